"""Whether the times of a series are at equal distances: of days and shorter, weeks, months, quarters and years."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from trivet.errors import RequestError

__all__ = ["Times", "refuse_irregular", "times"]

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


def refuse_irregular(stamps: Times, library: str) -> None:
    """Raises RequestError, which names the first two times that break the rule."""
    for i, stamp in enumerate(stamps):
        if stamp is None or stamp != stamp:  # NaT
            raise RequestError(f"The time at [{i}] is missing: each value has one.", field="series")
    # Python takes two times of one zone as the clock on the wall has them, which is put forward and back.
    instants = [s.astimezone(UTC) if isinstance(s, datetime) and s.tzinfo is not None else s for s in stamps]
    for i, (before, after) in enumerate(pairwise(instants)):
        if after == before:
            told = f"The time {stamps[i]} is there twice, at [{i}] and [{i + 1}]: keep one of them"
            raise RequestError(told, field="series")
        if after < before:
            how = "series.sort_index()" if library == "pandas" else "frame.sort(COLUMN)"
            told = f"The times are not in order: {stamps[i]} stands before {stamps[i + 1]}. Sort them: {how}"
            raise RequestError(told, field="series")
    if _regular(instants):
        return
    # By the clock on the wall: a day in which it is put forward or back is a day.
    wall = [stamp.replace(tzinfo=None) if isinstance(stamp, datetime) else stamp for stamp in stamps]
    if not _regular(wall):
        steps = [after - before for before, after in pairwise(instants)]
        usual = Counter(steps).most_common(1)[0][0]
        at = max(range(len(steps)), key=lambda i: abs(steps[i] - usual))
        raise RequestError(
            f"The times are not at equal distances: from {stamps[at]} to {stamps[at + 1]} it is {_told(steps[at])}, "
            f"and as a rule {_told(usual)}. Where values are missing, give them one distance, such as "
            f'{_cure(wall, usual, library)}, and fill the gaps: fill="linear". Where times do not matter, leave them '
            "out: series.to_numpy()",
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


def _regular(stamps: Sequence[Any]) -> bool:
    steps = [after - before for before, after in pairwise(stamps)]
    if all(step == steps[0] for step in steps):
        return True
    return isinstance(stamps[0], date) and (_by_months(stamps) or _by_working_days(stamps, steps))


def _by_months(stamps: Sequence[Any]) -> bool:
    """Months, quarters, years: the same number of months between all, at the same time of the same day, or of each
    month's last day, or its first or last working day."""
    months = [stamp.year * 12 + stamp.month for stamp in stamps]
    step = months[1] - months[0]
    if step < 1 or any(after - before != step for before, after in pairwise(months)):
        return False
    if len({str(stamp)[10:] for stamp in stamps}) > 1:  # the time of day, where there is one
        return False
    days, left = [stamp.day for stamp in stamps], [_days_left(stamp) for stamp in stamps]
    same = all(day == max(days) or ahead == 0 for day, ahead in zip(days, left, strict=True))
    working = all(stamp.weekday() < 5 for stamp in stamps)
    return same or (working and (max(days) <= 3 or max(left) <= 2))  # at most a weekend away from the month's end


def _days_left(stamp: Any) -> int:
    """Of the month."""
    return calendar.monthrange(stamp.year, stamp.month)[1] - int(stamp.day)


def _by_working_days(stamps: Sequence[Any], steps: Sequence[timedelta]) -> bool:
    """Monday to Friday: a day apart, and three over a weekend."""
    return all(
        step == timedelta(days=3 if before.weekday() == 4 else 1) and before.weekday() < 5
        for before, step in zip(stamps, steps, strict=False)
    )
