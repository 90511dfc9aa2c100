"""A forecast in the terminal: lines of braille, which has two by four dots in each letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from trivet.cli.forecast_plot import Shown, shown, ticks, title

if TYPE_CHECKING:
    from trivet.cli.forecast_input import Series
    from trivet.types import ForecastResponse

__all__ = ["lines", "show"]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a letter, by row and column
PAST, AHEAD, BAND = "default", "bright_blue", "blue"
_RANK = {"": 0, BAND: 1, PAST: 2, AHEAD: 3}

Piece = tuple[str, str]  # text and its style


class _Canvas:
    """Dots in letters; a letter has the style of the most important thing in it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.width, self.height = columns * 2, rows * 4  # in dots
        self._bits = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, style: str) -> None:
        column, row = x // 2, y // 4
        self._bits[row][column] |= _DOTS[y % 4][x % 2]
        if _RANK[style] > _RANK[self._styles[row][column]]:
            self._styles[row][column] = style

    def row(self, n: int) -> list[Piece]:
        return [(chr(0x2800 + bits), style) for bits, style in zip(self._bits[n], self._styles[n], strict=True)]


def show(series: Series, response: ForecastResponse) -> None:
    from rich.console import Console
    from rich.text import Text

    from trivet.cli.table import plain

    console = Console(highlight=False)
    console.print(Text(plain(f"{title(series, response)}, by {response.model}"), style="bold"))
    for pieces in lines(series, response, width=console.width, height=15):
        console.print(Text.assemble(*pieces), no_wrap=True, crop=True)


def lines(series: Series, response: ForecastResponse, *, width: int, height: int) -> list[list[Piece]]:
    """The lines of the plot, at most `width` columns wide; `height` is that of the canvas, axes apart."""
    what = shown(series, response, marks=max(2, width // 14), room=width)
    low, high = what.low, what.high
    values, written = ticks(low, high, max(2, height // 3))
    margin = max(map(len, written), default=0)
    canvas = _Canvas(max(10, width - margin - 3), height)

    def y(value: float) -> int:
        return round((canvas.height - 1) * (1 - (value - low) / (high - low)))

    _band(canvas, what, y)
    last, value = what.last
    _path(canvas, what, list(enumerate(what.past)), PAST, y)
    ahead = [(last, value), *((len(what.past) + n, v) for n, v in enumerate(what.point))]
    _path(canvas, what, ahead, AHEAD, y)

    labels = {y(value) // 4: label for value, label in zip(values, written, strict=True)}
    out: list[list[Piece]] = []
    for n in range(height):
        edge = "┤" if n in labels else "│"
        out.append([(f"{labels.get(n, ''):>{margin}} {edge}", ""), *canvas.row(n)])
    out.append([(" " * margin + " └" + "─" * (canvas.width // 2), "")])
    out.append([(" " * (margin + 2) + _below(canvas, what), "")])
    return [*out, [(" " * (margin + 2), ""), *_legend(what)], []]


def _x(canvas: _Canvas, what: Shown, place: float) -> int:
    return round((canvas.width - 1) * place / (what.places - 1))


def _path(
    canvas: _Canvas, what: Shown, points: Iterable[tuple[int, float | None]], style: str, y: Callable[[float], int]
) -> None:
    """Straight from point to point; a gap where a value is None."""
    before = None
    for place, value in points:
        if value is None:
            before = None
            continue
        here = (_x(canvas, what, place), y(value))
        from_ = before or here
        length = max(abs(here[0] - from_[0]), abs(here[1] - from_[1]), 1)
        for n in range(length + 1):
            part = n / length
            canvas.dot(
                round(from_[0] + (here[0] - from_[0]) * part), round(from_[1] + (here[1] - from_[1]) * part), style
            )
        before = here


def _band(canvas: _Canvas, what: Shown, y: Callable[[float], int]) -> None:
    """Sparse dots in the widest band."""
    if not what.bands:
        return
    last, value = what.last
    _, _, lower, upper = what.bands[0]
    places = [last, *(len(what.past) + n for n in range(len(lower)))]
    low, high = [value, *lower], [value, *upper]
    for x in range(_x(canvas, what, last), canvas.width):
        place = x / (canvas.width - 1) * (what.places - 1)
        n = min(max(sum(p <= place for p in places) - 1, 0), len(places) - 2)
        part = (place - places[n]) / (places[n + 1] - places[n])
        begin, end = (y(edge[n] + (edge[n + 1] - edge[n]) * part) for edge in (high, low))
        for dot in range(max(0, begin), min(canvas.height, end + 1)):
            if (dot + 2 * (x % 2)) % 4 == 0 or dot in (begin, end):
                canvas.dot(x, dot, BAND)


def _below(canvas: _Canvas, what: Shown) -> str:
    """Times, as many as fit beneath their places."""
    line = ""
    for place, label in what.marks:
        column = max(0, _x(canvas, what, place) // 2 - len(label) // 2)
        if (not line or column > len(line)) and column + len(label) <= canvas.width // 2:
            line = line.ljust(column) + label
    return line


def _legend(what: Shown) -> list[Piece]:
    pieces: list[Piece] = [("⠒⠒", PAST), (" history  ", ""), ("⠒⠒", AHEAD), (" median ahead  ", "")]
    if what.bands:
        low, high, _, _ = what.bands[0]
        pieces += [("⢕⢕", BAND), (f" quantiles {low} to {high}", "")]
    return pieces
