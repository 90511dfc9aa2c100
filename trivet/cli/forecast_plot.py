"""The picture of a forecast, as shapes at places: history, what is ahead, and how sure it is. `forecast_draw` makes
SVG and PNG of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from trivet.cli.forecast_input import Series
    from trivet.types import ForecastResponse

__all__ = ["Area", "Line", "Picture", "Shown", "Text", "picture", "shown", "ticks", "time_ticks", "title"]

Point = tuple[float, float]  # in pixels from the upper left corner

WIDTH, HEIGHT = 960, 540
SMALL, LARGE = 13, 17  # of letters, in pixels
INK, PALE, GRID = "#1e293b", "#64748b", "#e2e8f0"
PAST, AHEAD, BAND = "#334155", "#2563eb", "#3b82f6"


class Line(NamedTuple):
    points: Sequence[Point]
    colour: str
    width: float = 1.0
    dashed: bool = False


class Area(NamedTuple):
    points: Sequence[Point]
    colour: str
    opacity: float


class Text(NamedTuple):
    """`at` is on the line that the letters stand on."""

    at: Point
    text: str
    colour: str = PALE
    size: int = SMALL
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


class Picture(NamedTuple):
    width: int
    height: int
    shapes: Sequence[Line | Area | Text]


class Shown(NamedTuple):
    """What there is to draw, at places counted from the first one shown. `bands` are pairs of levels, the widest first,
    each with its lower and upper values; `marks` are times and their places; `low` and `high` the ends of the axis."""

    past: Sequence[float | None]
    point: Sequence[float]
    bands: Sequence[tuple[str, str, Sequence[float], Sequence[float]]]
    marks: Sequence[tuple[int, str]]
    low: float
    high: float

    @property
    def places(self) -> int:
        return len(self.past) + len(self.point)

    @property
    def last(self) -> tuple[int, float]:
        """The last value that is known, from which the forecast goes on."""
        return next((n, v) for n, v in reversed(list(enumerate(self.past))) if v is not None)


def shown(series: Series, response: ForecastResponse, marks: int, room: int) -> Shown:
    """The forecast, and before it as much of the past as one can look at beside it: `room` places in all, but at least
    twice as much past as future. About so many `marks` of time."""
    steps = len(response.point)
    first = max(0, len(series.values) - max(2 * steps, min(room - steps, max(72, 5 * steps))))
    past = series.values[first:]
    levels = sorted(response.quantiles, key=float)
    bands = [
        (low, high, response.quantiles[low], response.quantiles[high])
        for low, high in zip(levels, reversed(levels), strict=True)
        if float(low) < float(high)
    ]
    numbers = [*(value for value in past if value is not None), *response.point]
    numbers += [value for _, _, low, high in bands for value in (*low, *high)]
    if series.times is None:
        stamps: list[datetime | float] = [float(n + 1) for n in range(first, len(series.values) + steps)]
        text: Callable[[datetime | float], str] = "{:g}".format
    else:
        stamps, text = [*series.times.stamps[first:], *series.times.ahead(steps)], series.times.text
    edge = 0.06 * (max(numbers) - min(numbers)) or 0.1 * abs(numbers[0]) or 1.0
    low, high = min(numbers) - edge, max(numbers) + edge
    if min(numbers) >= 0 > low:  # nothing is below 0: neither is the axis
        low = 0.0
    return Shown(past, response.point, bands, time_ticks(stamps, marks, text), low, high)


def picture(series: Series, response: ForecastResponse) -> Picture:
    what = shown(series, response, marks=9, room=WIDTH // 3)
    low, high = what.low, what.high
    values, written = ticks(low, high, 7)
    left, right = 34 + 0.6 * SMALL * max(map(len, written)), WIDTH - 28
    top, bottom = 92, HEIGHT - 48

    def at(place: float, value: float) -> Point:
        return (
            left + (right - left) * place / (what.places - 1),
            bottom - (bottom - top) * (value - low) / ((high - low) or 1),
        )

    shapes: list[Line | Area | Text] = []
    for value, label in zip(values, written, strict=True):
        y = at(0, value)[1]
        shapes += [Line([(left, y), (right, y)], GRID), Text((left - 10, y + 4.5), label, anchor="end")]
    for place, label in what.marks:
        x = at(place, low)[0]
        shapes += [Line([(x, bottom), (x, bottom + 5)], PALE), Text((x, bottom + 22), label, anchor="middle")]
    shapes.append(Line([(left, bottom), (right, bottom)], PALE))

    last, value = what.last
    start = at(last, value)
    shapes.append(Line([(start[0], top - 6), (start[0], bottom)], PALE, 1, dashed=True))
    for n, (_, _, lower, upper) in enumerate(what.bands):
        edge = [at(len(what.past) + n, value) for n, value in enumerate(upper)]
        back = [at(len(what.past) + n, value) for n, value in enumerate(lower)]
        shapes.append(Area([start, *edge, *reversed(back)], BAND, _opacity(n)))
    shapes += [Line([at(n, v) for n, v in run], PAST, 1.8) for run in _runs(what.past)]
    shapes.append(Line([start, *(at(len(what.past) + n, value) for n, value in enumerate(what.point))], AHEAD, 2.4))
    return Picture(WIDTH, HEIGHT, [*shapes, *_title(series, response, left), *_legend(what, left)])


def _opacity(n: int) -> float:
    return 0.2 if n == 0 else 0.15


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """What follows each other without a gap, each value with its place."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            runs[-1].append((place, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def title(series: Series, response: ForecastResponse) -> str:
    """Whose future is to be seen: `visitors: the next 12 steps`."""
    steps = len(response.point)
    ahead = f"the next {steps} steps" if steps > 1 else "the next step"
    return f"{series.name}: {ahead}" if series.name else ahead.capitalize()


def _title(series: Series, response: ForecastResponse, left: float) -> list[Text]:
    return [
        Text((left, 34), title(series, response), INK, LARGE, bold=True),
        Text((WIDTH - 28, 34), f"by {response.model}", anchor="end"),
    ]


def _legend(what: Shown, left: float) -> list[Line | Area | Text]:
    shapes: list[Line | Area | Text] = []
    x, y = left, 62.0

    def entry(mark: Line | Area, text: str) -> None:
        nonlocal x
        shapes.extend([mark, Text((x + 30, y + 4.5), text, INK)])
        x += 30 + 0.56 * SMALL * len(text) + 26

    entry(Line([(x, y), (x + 22, y)], PAST, 1.8), "history")
    entry(Line([(x, y), (x + 22, y)], AHEAD, 2.4), "forecast (median)")
    for n, (low, high, _, _) in enumerate(what.bands[:3]):
        box = [(x, y - 6), (x + 22, y - 6), (x + 22, y + 6), (x, y + 6)]
        darker = 1 - math.prod(1 - _opacity(k) for k in range(n + 1))  # bands lie on top of each other
        entry(Area(box, BAND, darker), f"quantiles {low} to {high}")
    return shapes


# --- axes -----------------------------------------------------------------------------------------------------


def ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """At most so many round values from `low` to `high`, and how they are written."""
    span = (high - low) or abs(low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step, first, last = span, 0, 0
    for step in (power * size for size in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    values = [n * step for n in range(first, last + 1)]
    largest = max(map(abs, values), default=0.0)
    size, unit = next(((s, u) for s, u in ((1e12, "T"), (1e9, "G"), (1e6, "M")) if largest >= 2 * s), (1.0, ""))
    if largest >= 1e15 or step < 1e-6:
        exact = max(6, 2 + math.ceil(math.log10(max(largest, step) / step)))
        return values, [f"{value:.{exact}g}" for value in values]
    digits = max(0, -math.floor(math.log10(step / size) + 1e-9))
    digits += abs(step / size * 10**digits - round(step / size * 10**digits)) > 1e-6  # 2.5, 0.25, …
    return values, [f"{value / size + 0.0:,.{digits}f}{unit}" if value or not unit else "0" for value in values]


def time_ticks(
    stamps: Sequence[datetime | float], most: int, text: Callable[[datetime | float], str]
) -> list[tuple[int, str]]:
    """Places of round times, at most so many, and what to write there: years, months, days or hours where the places
    begin with one, else round numbers."""
    dates = [stamp for stamp in stamps if isinstance(stamp, datetime)]
    if not dates:
        return _number_ticks([float(stamp) for stamp in stamps if isinstance(stamp, float)], most, text)
    for key, written in _CALENDAR:
        begins = [n for n in range(1, len(dates)) if key(dates[n]) != key(dates[n - 1])]
        if 2 <= len(begins) <= most:
            return [(n, dates[n].strftime(written)) for n in begins]
    every = math.ceil(len(dates) / most)
    return [(n, text(dates[n])) for n in range(0, len(dates), every)]


_CALENDAR: tuple[tuple[Callable[[datetime], object], str], ...] = (
    (lambda at: (at.year, at.month, at.day, at.hour), "%H:%M"),
    (lambda at: (at.year, at.month, at.day, at.hour // 3), "%H:%M"),
    (lambda at: (at.year, at.month, at.day, at.hour // 6), "%d %b %H:%M"),
    (lambda at: (at.year, at.month, at.day), "%d %b"),
    (lambda at: at.toordinal() // 2, "%d %b"),
    (lambda at: at.toordinal() // 7, "%d %b"),
    (lambda at: at.toordinal() // 14, "%d %b"),
    (lambda at: (at.year, at.month), "%b %Y"),
    (lambda at: (at.year, (at.month - 1) // 3), "%b %Y"),
    (lambda at: (at.year, (at.month - 1) // 6), "%b %Y"),
    (lambda at: at.year, "%Y"),
    (lambda at: at.year // 2, "%Y"),
    (lambda at: at.year // 5, "%Y"),
    (lambda at: at.year // 10, "%Y"),
    (lambda at: at.year // 20, "%Y"),
    (lambda at: at.year // 50, "%Y"),
)


def _number_ticks(
    numbers: Sequence[float], most: int, text: Callable[[datetime | float], str]
) -> list[tuple[int, str]]:
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1.0
    values, _ = ticks(numbers[0], numbers[-1], most)
    places = [(value, (value - numbers[0]) / step) for value in values]
    return [(round(n), text(v)) for v, n in places if abs(n - round(n)) < 1e-6 and 0 <= round(n) < len(numbers)]
