"""The times that a table gives its rows: read, held to equal steps, and continued."""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
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
        return stamp.date().isoformat() if at_midnight and stamp.tzinfo is None else stamp.isoformat(sep=" ")


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
    those of the file. Of several ways to read the times the one is taken in which they are at equal steps."""
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
    if len(stamps) < 2:
        return Times(stamps, None, shape=shape)
    dates = [stamp for stamp in stamps if isinstance(stamp, datetime)]
    wall = [stamp.replace(tzinfo=None) for stamp in dates]
    if months := _months(wall):
        return Times(stamps, None, months=months, shape=shape)
    if _working_days(wall):
        return Times(stamps, timedelta(days=1), working=True, shape=shape)
    steps: list[Any] = [after - before for before, after in pairwise(stamps)]  # type: ignore[operator]
    by_clock: list[Any] = [after - before for before, after in pairwise(wall)]
    if by_clock and len(set(by_clock)) == 1:  # a day in which the clock is put forward is a day
        steps = by_clock
    usual = Counter(round(step, 9) if isinstance(step, float) else step for step in steps).most_common(1)[0][0]
    for place, step in enumerate(steps):
        same = abs(step - usual) <= 1e-6 * abs(usual) if isinstance(step, float) else step == usual
        if not same or step <= type(step)(0):
            raise _irregular(Times(stamps, usual, shape=shape), place, lines, name)
    return Times(stamps, usual, shape=shape)


def _months(stamps: Sequence[datetime]) -> int:
    """The months between all of them, where each stands at the same day and hour, or at its month's end; else 0."""
    counted = [stamp.year * 12 + stamp.month for stamp in stamps]
    steps = {after - before for before, after in pairwise(counted)}
    if len(steps) != 1 or len({stamp.time() for stamp in stamps}) != 1:
        return 0
    most = max(stamp.day for stamp in stamps)
    same = all(stamp.day == min(most, calendar.monthrange(stamp.year, stamp.month)[1]) for stamp in stamps)
    return max(0, steps.pop()) if same else 0


def _working_days(stamps: Sequence[datetime]) -> bool:
    """From Monday to Friday, without a gap; not where a day of the week more is among them, or no weekend is."""
    if not stamps or {stamp.weekday() for stamp in stamps} & {5, 6}:
        return False
    steps = [(before.weekday(), after - before) for before, after in pairwise(stamps)]
    return (4, timedelta(days=3)) in steps and all(step == timedelta(days=3 if day == 4 else 1) for day, step in steps)


def _irregular(times: Times, place: int, lines: Sequence[int], name: str) -> RequestError:
    before, after = times.stamps[place], times.stamps[place + 1]
    where = f"Line {lines[place + 1]}: {times.text(after)} in column {name!r}"
    if after == before:
        return RequestError(f"{where} is there twice: keep one row for each time.")
    if after < before:  # type: ignore[operator]
        return RequestError(f"{where} is before {times.text(before)}, on line {lines[place]}: sort the rows by time.")
    step = times.step if isinstance(times.step, float) else _said(times.step or timedelta(0), before)
    return RequestError(
        f"{where} comes after {times.text(before)}, and steps are {step}: the times must be at equal steps. "
        "A row that is missing can be put in with an empty value; --fill linear fills it."
    )


def _said(step: timedelta, at: date | float) -> str:
    """A step in words; what is 28 to 31 days, at the first of a month, is meant as one."""
    if 28 <= step.days <= 31 and isinstance(at, date):
        return "a month"
    days, seconds = step.days, step.seconds
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count = (days * 86_400 + seconds) / size
        if count >= 1 and count == int(count):
            return f"{int(count)} {word}{'s' if count != 1 else ''}"
    return str(step)
