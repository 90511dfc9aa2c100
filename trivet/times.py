"""How far the times of a series are apart, and whether equally: days and shorter, weeks, months, quarters, years."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from trivet.errors import RequestError

__all__ = ["Step", "Times", "refuse_irregular", "stepping", "times"]

Times = list[Any]  # dates, datetimes or timedeltas, each of one kind or None


def times(column: Any) -> Times | None:
    """What an index or a column of pandas or polars says of time; None where it is of something else. Texts are times
    where each is a date as ISO 8601 writes it: files of CSV have such."""
    kind = str(getattr(column, "dtype", "")).lower()
    if kind.startswith("period"):
        column = column.dt.to_timestamp() if hasattr(column, "dt") else column.to_timestamp()
    elif not kind.startswith(("datetime", "date", "timedelta", "duration")):
        return _told_otherwise(column) if kind in ("object", "str", "string") else None
    found: Times = column.to_list()
    return found


def _told_otherwise(column: Any) -> Times | None:
    """Dates as Python's objects, or as texts."""
    values: Times = column.to_list()
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str} and "-" in str(values[0]):
        try:
            values, kinds = [datetime.fromisoformat(value) for value in values], {datetime}
        except (TypeError, ValueError):
            return None
    zones = {value.tzinfo is None for value in values if isinstance(value, datetime)}
    return values if kinds in ({date}, {datetime}) and len(zones) < 2 else None


class Step(NamedTuple):
    """How far times are apart: `every`, a duration or a number; or `months`, whole ones, each on the `day` of a year
    and month. `working` leaves weekends out."""

    every: Any = None
    months: int = 0
    day: Callable[[int, int], int] = lambda year, month: 1
    working: bool = False

    @property
    def unit(self) -> Any:
        """What `stepping` tells of a time that is a step after the one before."""
        return self.months or self.every

    def after(self, stamp: Any) -> Any:
        """The time that is a step later."""
        if self.months:
            year, month = divmod(stamp.year * 12 + stamp.month - 1 + self.months, 12)
            return stamp.replace(year=year, month=month + 1, day=self.day(year, month + 1))
        return stamp + (timedelta(days=3) if self.working and stamp.weekday() == 4 else self.every)


def stepping(stamps: Sequence[Any]) -> tuple[Step, list[Any]]:
    """The step that most of them are apart, and what each is apart from the one before: in months where the step is,
    else a duration, or a number, from which weekends are taken off where the step leaves them out. At least two dates,
    datetimes, timedeltas or numbers, all of one kind."""
    wall = _wall(stamps)
    dates = isinstance(wall[0], date)
    if dates and (day := _day_of_month(wall)) is not None:
        months = [stamp.year * 12 + stamp.month for stamp in wall]
        apart: list[Any] = [after - before for before, after in pairwise(months)]
        if (usual := _most(apart)) > 0:
            return Step(months=usual, day=day), apart
    apart = [after - before for before, after in pairwise(_instants(stamps))]
    by_clock = [after - before for before, after in pairwise(wall)]
    if len(set(by_clock)) == 1:  # a day in which the clock is put forward or back is a day
        apart = by_clock
    weekend, one = timedelta(days=2), timedelta(days=1)
    if dates and all(stamp.weekday() < 5 for stamp in wall) and _most(by_clock) == one and weekend + one in by_clock:
        return Step(one, working=True), [
            each - weekend if before.weekday() == 4 else each for before, each in zip(wall, by_clock, strict=False)
        ]
    return Step(_most(apart)), apart


def _most(steps: Sequence[Any]) -> Any:
    """What is there most often."""
    return Counter(round(step, 9) if isinstance(step, float) else step for step in steps).most_common(1)[0][0]


def _instants(stamps: Sequence[Any]) -> list[Any]:
    """Python takes two times of one zone as the clock on the wall has them, which is put forward and back."""
    return [s.astimezone(UTC) if isinstance(s, datetime) and s.tzinfo is not None else s for s in stamps]


def _wall(stamps: Sequence[Any]) -> list[Any]:
    """The same by the clock on the wall."""
    return [stamp.replace(tzinfo=None) if isinstance(stamp, datetime) else stamp for stamp in stamps]


def _day_of_month(stamps: Sequence[Any]) -> Callable[[int, int], int] | None:
    """On which day of a year's month all of them stand, at the same time of day: the same day, which in a month that is
    too short is its last; or the first or last working day."""
    if len({str(stamp)[10:] for stamp in stamps}) > 1:  # the time of day, where there is one
        return None
    most: int = max(stamp.day for stamp in stamps)

    def same(year: int, month: int) -> int:
        return min(most, calendar.monthrange(year, month)[1])

    days = (same, _first_working_day, _last_working_day)
    return next((day for day in days if all(s.day == day(s.year, s.month) for s in stamps)), None)


def _first_working_day(year: int, month: int) -> int:
    return {5: 3, 6: 2}.get(calendar.weekday(year, month, 1), 1)


def _last_working_day(year: int, month: int) -> int:
    last = calendar.monthrange(year, month)[1]
    return last - max(0, calendar.weekday(year, month, last) - 4)


def refuse_irregular(stamps: Times, library: str) -> None:
    """Raises RequestError, which names the first two times that break the rule."""
    for i, stamp in enumerate(stamps):
        if stamp is None or stamp != stamp:  # NaT
            raise RequestError(f"The time at [{i}] is missing: each value has one.", field="series")
    instants = _instants(stamps)
    for i, (before, after) in enumerate(pairwise(instants)):
        if after == before:
            told = f"The time {stamps[i]} is there twice, at [{i}] and [{i + 1}]: keep one of them"
            raise RequestError(told, field="series")
        if after < before:
            how = "series.sort_index()" if library == "pandas" else "frame.sort(COLUMN)"
            told = f"The times are not in order: {stamps[i]} stands before {stamps[i + 1]}. Sort them: {how}"
            raise RequestError(told, field="series")
    if len(stamps) < 2:
        return
    step, apart = stepping(stamps)
    if any(each != step.unit for each in apart):
        steps = [after - before for before, after in pairwise(instants)]
        usual = Counter(steps).most_common(1)[0][0]
        at = max(range(len(steps)), key=lambda i: abs(steps[i] - usual))
        raise RequestError(
            f"The times are not at equal distances: from {stamps[at]} to {stamps[at + 1]} it is {_told(steps[at])}, "
            f"and as a rule {_told(usual)}. Where values are missing, give them one distance, such as "
            f'{_cure(_wall(stamps), usual, library)}, and fill the gaps: fill="linear". Where times do not matter, '
            "leave them out: series.to_numpy()",
            field="series",
        )


def _told(step: timedelta) -> str:
    left, words = step.total_seconds(), []
    for name, seconds in (("day", 86_400), ("h", 3_600), ("min", 60)):
        count, left = divmod(left, seconds)
        if count:
            words.append(f"{count:.0f} {name}{'s' if name == 'day' and count != 1 else ''}")
    return " ".join(words if words and not left else [*words, f"{left:g} s"])


def _cure(stamps: Sequence[Any], step: timedelta, library: str) -> str:
    """How to put times at a distance of `step`, in the words of their library."""
    months = round(step.days / 30.4)
    seconds = step.total_seconds()
    units = ((86_400, "D", "d"), (3_600, "h", "h"), (60, "min", "m"), (1, "s", "s"))
    size, theirs, polars = next((unit for unit in units if seconds % unit[0] == 0), units[-1])
    count = max(1, round(seconds / size))
    if step.days >= 28:
        count, theirs, polars = months, "MS", "mo"
    elif step == timedelta(days=1) and isinstance(stamps[0], date) and all(stamp.weekday() < 5 for stamp in stamps):
        theirs = "B"
    if library == "polars":
        return f'frame.upsample("time", every="{count}{polars}")'
    return f'series.resample("{count if count > 1 else ""}{theirs}").mean()'
