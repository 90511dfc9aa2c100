"""Rounds in which every side has its turn, and rows of the table."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PAIRS = 12


@dataclass(frozen=True)
class Row:
    """One line of the table. `measured` is the median, `spread` its quartiles, both in the unit of `target`."""

    what: str
    target: str
    measured: str
    spread: str
    passed: bool | None
    detail: str = ""


def rounds(what: str, sides: Mapping[str, Callable[[], float]], pairs: int = PAIRS) -> dict[str, list[float]]:
    """What each side gives, in each of `pairs` rounds, after a round that does not count.

    All sides run in each round, so that they share the machine's good and bad moments. Who is first goes round, and
    every other round runs backwards: no side always follows the same one.
    """
    names = list(sides)
    results: dict[str, list[float]] = {name: [] for name in names}
    for i in range(-1, pairs):
        progress(what, i + 1, pairs)
        first = i % len(names)
        order = names[first:] + names[:first]
        for name in order if i // len(names) % 2 == 0 else reversed(order):
            figure = sides[name]()
            if i >= 0:
                results[name].append(figure)
    return results


def progress(what: str, done: int, of: int) -> None:
    """A counter on a terminal; elsewhere, one line at the start and one at the end."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done in (0, of):
        print(f"{what}: {done} of {of}", file=sys.stderr, flush=True)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


def at_least(target: float | None, what: str, ratios: Sequence[float], detail: str) -> Row:
    """A row for ratios, of which the median must not be below `target`; None is for what has none."""
    first, median, third = quartiles(ratios)
    return Row(
        what=what,
        target="–" if target is None else f"≥ {target:g} ×",
        measured=f"{_short(median)} ×",
        spread=f"{_short(first)} to {_short(third)}",
        passed=None if target is None else median >= target,
        detail=detail,
    )


def _short(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.3f}"


def at_most(target: float, unit: str, what: str, values: Sequence[float], detail: str, digits: int = 0) -> Row:
    """A row for values in `unit`, of which the median must not be above `target`."""
    first, median, third = quartiles(values)
    return Row(
        what=what,
        target=f"≤ {target:g} {unit}",
        measured=f"{median:.{digits}f} {unit}",
        spread=f"{first:.{digits}f} to {third:.{digits}f}",
        passed=median <= target,
        detail=detail,
    )
