"""The times that a table gives its rows: read, held to equal steps, and continued."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from trivet.errors import RequestError
from trivet.times import Step, stepping

__all__ = ["Stamp", "Times", "parsed", "regular"]

Stamp = datetime | float  # a number counts years, or whatever the table counts

_FORMATS = (
    *("%Y-%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%b-%d-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b-%Y", "%b %Y", "%B %Y", "%b-%y", "%d/%m/%Y", "%m/%d/%Y"),
)
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.I)


class Times(NamedTuple):
    """Times at equal steps, and how they were written: a format of strptime, "quarter", or "" for ISO 8601 and
    numbers."""

    stamps: Sequence[Stamp]
    step: Step
    shape: str = ""

    def ahead(self, steps: int) -> list[Stamp]:
        """The next times after the last."""
        found = [self.stamps[-1]]
        for _ in range(steps):
            found.append(self.step.after(found[-1]))
        return found[1:]

    def text(self, stamp: Stamp) -> str:
        """As ISO 8601, no longer than it has to be."""
        if isinstance(stamp, float):
            return f"{stamp:.10g}"
        if self.shape == "quarter":
            return f"{stamp.year}-Q{(stamp.month + 2) // 3}"
        if self.shape and "%d" not in self.shape:
            return f"{stamp:%Y-%m}"
        at_midnight = all(isinstance(each, datetime) and each.time() == datetime.min.time() for each in self.stamps)
        if at_midnight and stamp.tzinfo is None:
            return stamp.date().isoformat()
        return stamp.isoformat(sep=" ", timespec="auto" if stamp.second or stamp.microsecond else "minutes")


def parsed(cells: Sequence[str]) -> list[tuple[list[Stamp], str]] | None:
    """The cells as times, with how they are written, in each way that they can be; None where they are no times."""
    ways: list[tuple[list[Stamp], str]] = []
    for shape in ("", "quarter", *_FORMATS):
        try:
            ways.append(([_one(cell.strip(), shape) for cell in cells], shape))
        except ValueError:
            continue
        if shape != "%d/%m/%Y":  # the one that may be another as well
            break
    return ways or None


def _one(cell: str, shape: str) -> Stamp:
    if shape == "quarter":
        if (found := _QUARTER.fullmatch(cell)) is None:
            raise ValueError(cell)
        return datetime(int(found[1]), int(found[2]) * 3 - 2, 1)
    if shape:
        return datetime.strptime(cell, shape)
    if re.fullmatch(r"-?\d+(\.\d*)?", cell) and not re.fullmatch(r"(19|20)\d{6}", cell):
        return float(cell)
    return datetime.fromisoformat(cell)


def regular(ways: Sequence[tuple[list[Stamp], str]], lines: Sequence[int], name: str) -> Times:
    """The times at their equal steps. Raises `RequestError`, which names the first line that breaks them; `lines` are
    those of the file, at least two. Of several ways to read the times it is the one that has them at equal steps."""
    found: list[Times] = []
    problem = None
    for stamps, shape in ways:
        try:
            found.append(_regular(stamps, shape, lines, name))
        except RequestError as error:
            problem = problem or error
    if len(found) > 1:
        raise RequestError(f"Column {name!r} can be read as day/month or month/day: write times as 2026-11-29.")
    if not found:
        assert problem is not None
        raise problem
    return found[0]


def _regular(stamps: list[Stamp], shape: str, lines: Sequence[int], name: str) -> Times:
    if len({(type(stamp), getattr(stamp, "tzinfo", None) is None) for stamp in stamps}) > 1:
        raise RequestError(f"Column {name!r} has times of several kinds: give all of them, or none, a time zone.")
    step, apart = stepping(stamps)
    times, expected = Times(stamps, step, shape), step.unit
    for place, each in enumerate(apart):
        same = abs(each - expected) <= 1e-6 * abs(expected) if isinstance(each, float) else each == expected
        if not same or each <= type(each)(0):
            raise _irregular(times, place, lines, name)
    return times


def _irregular(times: Times, place: int, lines: Sequence[int], name: str) -> RequestError:
    before, after = times.stamps[place], times.stamps[place + 1]
    where = f"Line {lines[place + 1]}: {times.text(after)} in column {name!r}"
    if after == before:
        return RequestError(f"{where} is there twice: keep one row for each time.")
    if after < before:  # type: ignore[operator]
        return RequestError(f"{where} is before {times.text(before)}, on line {lines[place]}: sort the rows by time.")
    return RequestError(
        f"{where} comes after {times.text(before)}, and steps are {_said(times.step)}: the times must be at equal "
        "steps. A row that is missing can be put in with an empty value; --fill linear fills it."
    )


def _said(step: Step) -> str:
    """The step in words."""
    if step.working:
        return "working days"
    if step.months:
        return {1: "months", 12: "years"}.get(step.months, f"{step.months} months")
    if isinstance(step.every, float):
        return f"{step.every:g}"
    seconds = step.every.total_seconds()
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {word}{'s' if seconds != size else ''}"
    return str(step.every)
