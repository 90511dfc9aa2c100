"""The times that a table gives its rows: read, held to equal steps, and continued."""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from trivet.errors import RequestError

__all__ = ["Stamp", "Times", "parsed", "regular"]

Stamp = datetime | float  # a number counts years, or whatever the table counts

_FORMATS = (
    *("%Y-%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%b-%d-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b-%Y", "%b %Y", "%B %Y", "%b-%y", "%d/%m/%Y", "%m/%d/%Y"),
)
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.I)


class Times(NamedTuple):
    """Times at equal steps. `step` is a duration, a number, or a number of months; `working` leaves weekends out."""

    stamps: Sequence[Stamp]
    step: timedelta | float | None
    months: int = 0
    working: bool = False
    shape: str = ""  # how they were written: a format of strptime, "quarter", or "" for ISO 8601 and numbers

    def ahead(self, steps: int) -> list[Stamp]:
        """The next times after the last."""
        step: Any = self.step
        found: list[Any] = [self.stamps[-1]]
        for n in range(1, steps + 1):
            if self.months:
                found.append(self._months_on(n))
            elif self.working and found[-1].weekday() == 4:
                found.append(found[-1] + timedelta(days=3))
            else:
                found.append(found[-1] + step)
        return found[1:]

    def _months_on(self, n: int) -> datetime:
        """`n` steps after the last, on the day that the others are: a month that is too short has its last."""
        days = [stamp.day for stamp in self.stamps if isinstance(stamp, datetime)]
        last = self.stamps[-1]
        assert isinstance(last, datetime)
        month = last.year * 12 + last.month - 1 + n * self.months
        year, month = month // 12, month % 12 + 1
        return last.replace(year=year, month=month, day=min(max(days), calendar.monthrange(year, month)[1]))

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
    wall = [stamp.replace(tzinfo=None) for stamp in stamps if isinstance(stamp, datetime)]
    times, steps = _stepping(stamps, wall, shape)
    expected: Any = times.months or times.step
    for place, step in enumerate(steps):
        same = abs(step - expected) <= 1e-6 * abs(expected) if isinstance(step, float) else step == expected
        if not same or step <= type(step)(0):
            raise _irregular(times, place, lines, name)
    return times


def _stepping(stamps: list[Stamp], wall: list[datetime], shape: str) -> tuple[Times, list[Any]]:
    """The times with the step that most of them are apart, and what each is apart from the one before; `wall` are the
    same without time zones. After a Friday, working days have their weekend taken off."""
    if (months := _months(wall)) and (usual := _most(months)) > 0:
        return Times(stamps, None, months=usual, shape=shape), months
    steps: list[Any] = [after - before for before, after in pairwise(stamps)]  # type: ignore[operator]
    by_clock: list[Any] = [after - before for before, after in pairwise(wall)]
    if by_clock and len(set(by_clock)) == 1:  # a day in which the clock is put forward is a day
        steps = by_clock
    weekend, day = timedelta(days=2), timedelta(days=1)
    if wall and not {stamp.weekday() for stamp in wall} & {5, 6} and _most(steps) == day and weekend + day in steps:
        steps = [step - weekend if at.weekday() == 4 else step for at, step in zip(wall, steps, strict=False)]
        return Times(stamps, day, working=True, shape=shape), steps
    return Times(stamps, _most(steps), shape=shape), steps


def _most(steps: Sequence[Any]) -> Any:
    """The step that is there most often."""
    return Counter(round(step, 9) if isinstance(step, float) else step for step in steps).most_common(1)[0][0]


def _months(stamps: Sequence[datetime]) -> list[int]:
    """The months between them, where each stands at the same day and hour, or at its month's end; else nothing."""
    if not stamps or len({stamp.time() for stamp in stamps}) != 1:
        return []
    most = max(stamp.day for stamp in stamps)
    if any(stamp.day != min(most, calendar.monthrange(stamp.year, stamp.month)[1]) for stamp in stamps):
        return []
    counted = [stamp.year * 12 + stamp.month for stamp in stamps]
    return [after - before for before, after in pairwise(counted)]


def _irregular(times: Times, place: int, lines: Sequence[int], name: str) -> RequestError:
    before, after = times.stamps[place], times.stamps[place + 1]
    where = f"Line {lines[place + 1]}: {times.text(after)} in column {name!r}"
    if after == before:
        return RequestError(f"{where} is there twice: keep one row for each time.")
    if after < before:  # type: ignore[operator]
        return RequestError(f"{where} is before {times.text(before)}, on line {lines[place]}: sort the rows by time.")
    return RequestError(
        f"{where} comes after {times.text(before)}, and steps are {_said(times)}: the times must be at equal steps. "
        "A row that is missing can be put in with an empty value; --fill linear fills it."
    )


def _said(times: Times) -> str:
    """The step in words."""
    if times.working:
        return "working days"
    if times.months:
        return "years" if times.months == 12 else "months" if times.months == 1 else f"{times.months} months"
    if isinstance(times.step, float):
        return f"{times.step:g}"
    seconds = (times.step or timedelta(0)).total_seconds()
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {word}{'s' if seconds != size else ''}"
    return str(times.step)
