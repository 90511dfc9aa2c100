"""Whether the times of a series are at equal distances: of days and shorter, weeks, months, quarters and years."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from trivet.errors import RequestError

__all__ = ["Times", "refuse_irregular", "temporal"]

Times = Any  # a DatetimeIndex, PeriodIndex or TimedeltaIndex of pandas, or a column of times of pandas or polars

_CURES = {
    "pandas": 'give them one distance, such as series.resample("D").mean()',
    "polars": 'give them one distance, such as frame.upsample("time", every="1d")',
}


def temporal(column: Any) -> bool:
    """Whether a column or an index is of times."""
    kind = str(getattr(column, "dtype", "")).lower()
    return kind.startswith(("datetime", "date", "period", "timedelta", "duration"))


def refuse_irregular(times: Times, library: str) -> None:
    """Raises RequestError, which names the first two times that break the rule."""
    stamps = _stamps(times)
    for i, stamp in enumerate(stamps):
        if stamp is None or stamp != stamp:  # NaT
            raise RequestError(f"The time at [{i}] is missing: each value has one.", field="series")
    for i, (before, after) in enumerate(pairwise(stamps)):
        if after == before:
            told = f"The time {before} is there twice, at [{i}] and [{i + 1}]: keep one of them"
            raise RequestError(told, field="series")
        if after < before:
            how = "series.sort_index()" if library == "pandas" else "frame.sort(COLUMN)"
            told = f"The times are not in order: {before} stands before {after}. Sort them: {how}"
            raise RequestError(told, field="series")
    if _regular(stamps):
        return
    # By the clock on the wall: a day in which it is put forward or back is a day.
    wall = [stamp.replace(tzinfo=None) if isinstance(stamp, datetime) else stamp for stamp in stamps]
    if not _regular(wall):
        steps = [after - before for before, after in pairwise(stamps)]
        usual = sorted(steps)[len(steps) // 2]
        at = max(range(len(steps)), key=lambda i: abs(steps[i] - usual))
        raise RequestError(
            f"The times are not at equal distances: from {stamps[at]} to {stamps[at + 1]} it is {_told(steps[at])}, "
            f"and as a rule {_told(usual)}. Where values are missing, {_CURES[library]}, and fill the gaps: "
            'fill="linear"',
            field="series",
        )


def _told(step: timedelta) -> str:
    days, seconds = divmod(step.total_seconds(), 86_400)
    words = [f"{days:.0f} day{'s' if days != 1 else ''}"] if days else []
    return " ".join([*words, f"{seconds / 3600:g} h"] if seconds or not days else words)


def _stamps(times: Times) -> list[Any]:
    if str(times.dtype).startswith("period"):  # pandas' index, or a column
        times = times.dt.to_timestamp() if hasattr(times, "dt") else times.to_timestamp()
    stamps: list[Any] = times.to_list()
    return stamps


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
