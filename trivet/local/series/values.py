"""A series as the model can use it: what it cannot is refused before anything loads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from trivet.errors import RequestError

__all__ = ["CONTEXT", "HORIZON", "usable"]

CONTEXT = 2048  # values that Fracast looks at
HORIZON = 48  # steps that it sees ahead
FEWEST = 8  # values that it must have
MOST = 1e300  # beyond it, the distance of two values may be no number any more


def usable(series: Sequence[float | None], fill: Literal["linear"] | None) -> list[float]:
    """All values, gaps between them filled if `fill` says so. NaN is missing, as None is. Raises `RequestError` for a
    series that is empty, too short, missing at one of its ends, missing between them without `fill`, or too large."""
    values = [math.nan if value is None else float(value) for value in series]
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    if not values:
        raise _wrong(f"The series is empty: a forecast needs at least {FEWEST} values")
    if not known:
        raise _wrong(f"All {len(values)} values of the series are missing: a forecast needs at least {FEWEST}")
    for place in known:
        if abs(values[place]) > MOST:
            said = "infinite" if math.isinf(values[place]) else f"{values[place]:g}, beyond ±1e300"
            raise _wrong(f"Value {place + 1} of the series is {said}: leave it out (as a missing value), or mend it")
    _no_ragged_ends(values, known)
    if len(known) < len(values):
        if fill is None:
            gap = next(place for place, value in enumerate(values) if math.isnan(value))
            raise _wrong(
                f"{len(values) - len(known)} of the {len(values)} values of the series are missing, the first of them "
                f'value {gap + 1}: with fill="linear" they are put on straight lines between the others'
            )
        _fill(values, known)
    if len(values) < FEWEST:
        raise _wrong(f"The series has {len(values)} values: a forecast needs at least {FEWEST}")
    return values


def _no_ragged_ends(values: Sequence[float], known: Sequence[int]) -> None:
    for missing, end in ((known[0], "begins"), (len(values) - 1 - known[-1], "ends")):
        if missing:
            what = "a missing value" if missing == 1 else f"{missing} missing values"
            raise _wrong(
                f"The series {end} with {what}, and only gaps between values can be filled: leave that end out"
            )


def _fill(values: list[float], known: Sequence[int]) -> None:
    """Puts what is missing on straight lines between its neighbours."""
    for left, right in itertools.pairwise(known):
        for place in range(left + 1, right):
            part = (place - left) / (right - left)
            values[place] = values[left] * (1 - part) + values[right] * part


def _wrong(message: str) -> RequestError:
    return RequestError(f"{message}.", field="series")
