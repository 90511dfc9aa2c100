"""Bars in the terminal: one for each value, as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["bars", "ceiling", "merged"]

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_WIDEST = 6  # columns of one bar
_UNKNOWN = "?"


def bars(
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    width: int,
    height: int = 8,
    unit: Callable[[float], str] = "{:g}".format,
) -> list[str]:
    """The lines of a plot at most `width` columns wide and `height` lines high, axes apart. A value that is None is not
    known, and is drawn as a question mark. Where there are more values than columns, some stand together (`merged`)."""
    top = ceiling(max((value for value in values if value is not None), default=0))
    marks = {height: unit(top), 0: unit(0)}
    if height >= 4 and height % 2 == 0:
        marks[height // 2] = unit(top / 2)
    margin = max(map(len, marks.values()))
    room = max(width - margin - 2, 1)
    count = len(values)
    labels, values = merged(labels, values, room)
    bar = max(1, min(_WIDEST, room // len(values)))
    gap = 1 if bar > 2 else 0
    lines = []
    for level in range(height, 0, -1):
        cells = "".join(_cell(value, top, level, height) * (bar - gap) + " " * gap for value in values)
        lines.append(f"{marks.get(level, ''):>{margin}} {'┤' if level in marks else '│'}{cells}".rstrip())
    lines.append(f"{marks[0]:>{margin}} └{'─' * (bar * len(values))}")
    lines.append(" " * (margin + 2) + _axis(labels, bar))
    if count > len(values):
        lines.append(" " * (margin + 2) + f"each bar is {math.ceil(count / room)} of them together"[:room])
    return lines


def ceiling(most: float) -> float:
    """The next number that is round, and whose half is."""
    if not most > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    steps = (1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return next((step * power for step in steps if most <= step * power * (1 + 1e-9)), 10 * power)


def merged(
    labels: Sequence[str], values: Sequence[float | None], room: int
) -> tuple[Sequence[str], Sequence[float | None]]:
    """As few values as there is room for: sums of so many that follow each other, each with the label of its first.
    What is not known in one is left out of its sum, and a sum of nothing known is not known either."""
    size = math.ceil(len(values) / room) if values else 1
    if size <= 1:
        return labels, values
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    return labels[::size], [_sum(group) for group in groups]


def _sum(group: Sequence[float | None]) -> float | None:
    known = [value for value in group if value is not None]
    return sum(known) if known else None


def _cell(value: float | None, top: float, level: int, height: int) -> str:
    """What a bar has on this line, the lowest being 1. The least that is more than nothing is to be seen."""
    if value is None:
        return _UNKNOWN if level == 1 else " "
    eighths = value / top * height * 8
    if value > 0:
        eighths = max(eighths, 1)
    return _EIGHTHS[max(0, min(8, round(eighths) - 8 * (level - 1)))]


def _axis(labels: Sequence[str], bar: int) -> str:
    """As many labels as fit beneath their bars, the first and as a rule the last among them."""
    length = max(map(len, labels))
    every = max(1, math.ceil((length + 1) / bar))
    line = ""
    for n in range(0, len(labels), every):
        line = line.ljust(n * bar) + labels[n]
    return line
