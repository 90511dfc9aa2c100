"""What processes take from the file that they share, so that together they never take more than a limit.

The file has a row for each key, limit and window: what was `spent`, and what was `taken`, which is that and all leases.
A process takes a lease for several requests at once and reserves from it in memory; what it does not need it gives
back. Near a limit's end leases are no larger than what is needed, and a process that must refuse a request puts back
what it has left in the same transaction: what is left is never held by one while another is refused for the last time.

A lease that a crashed process held stays taken until its window ends: too much is counted then, and never too little.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trivet.database import opened, transaction
from trivet.ledger.keys import SCHEMA
from trivet.ledger.limits import Limit

__all__ = ["Answer", "Lease", "Line", "Order", "Shared", "standing"]

_PART = 16  # a lease is at most this part of what is left,
_REQUESTS = 1024  # and enough for this many requests like those that ask: what a crash can lose
_INTEGER = 2**63 - 1  # SQLite's largest


class Lease:
    """What this process holds of one limit in one window, counted as `trivet.ledger.limits.counted` does.

    `free` may be reserved; it is less than 0 where more was settled than had been reserved. `spent` was settled since
    the file was written, `sent` is on its way there. `known_spent` and `known_taken` are what the file said. `usual` is
    what was last asked for at a time: a request asks for its money later than for itself, and both come again."""

    __slots__ = (
        "began",
        "ends",
        "free",
        "known_spent",
        "known_taken",
        "limit",
        "most",
        "reserved",
        "sent",
        "spent",
        "unit",
        "usual",
    )

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit, self.unit, self.most = limit, limit.unit, limit.most
        self.began, self.ends = limit.window(now)
        self.free = self.reserved = self.spent = self.sent = self.usual = 0
        self.known_spent = self.known_taken = 0

    @property
    def loose(self) -> bool:
        """Whether it has anything that the file should know of."""
        return self.free != 0 or self.spent != 0

    def line(self, key: str) -> Line:
        """What it brings to the file. It is out of the lease until the file has answered."""
        line = Line(key, self.limit, self.began, self.most, self.free, self.spent, self.reserved, self.usual)
        self.free, self.spent, self.sent = 0, 0, self.spent
        return line

    def kept(self, free: int, spent: int, taken: int) -> None:
        self.free += free
        self.sent, self.known_spent, self.known_taken = 0, spent, taken

    def take_back(self, line: Line) -> None:
        """The file could not be written."""
        self.free += line.free
        self.spent += line.spent
        self.sent = 0


class Line(NamedTuple):
    """One lease on its way to the file: `free` is given back, `spent` is news."""

    key: str
    limit: Limit
    began: int
    most: int
    free: int
    spent: int
    reserved: int
    usual: int = 0

    @property
    def row(self) -> tuple[str, str, str, int]:
        return self.key, self.limit.unit, self.limit.per, self.began


@dataclass(slots=True)
class Order:
    """What a process brings for one key: the `lines` of its present windows, and those of `old` ones. `asking` has what
    each waiting request wants of each line."""

    lines: list[Line]
    old: list[Line]
    asking: list[list[int]] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """For each that asked, `lacking` is None, or which line has too little, and how much that is. For each line, `kept`
    is the new lease beyond what was granted; `spent` and `taken` are what the file says now."""

    lacking: list[tuple[int, int] | None]
    kept: list[int]
    spent: list[int]
    taken: list[int]


class Shared:
    """The file, for one thread at a time. It raises what SQLite does, and nothing has happened then."""

    def __init__(self, path: Path, *, busy_s: float) -> None:
        self.path = path
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def exchange(self, orders: Sequence[Order]) -> list[Answer]:
        """All of them in one transaction."""
        try:
            with transaction(self._opened()) as connection:
                return [_answer(connection, order) for order in orders]
        except BaseException:
            self.close()  # with it goes what could not be committed
            raise

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        inode = os.stat(self.path).st_ino  # it is there: a key with limits was in it. A new one would forget them
        if self._connection is None or inode != self._inode:
            self.close()
            self._connection = opened(self.path, SCHEMA, busy_s=self._busy_s, synchronous="FULL")
            self._inode = inode
        return self._connection


def _answer(connection: sqlite3.Connection, order: Order) -> Answer:
    for line in order.old:
        there = _read(connection, line)
        if there is not None:  # else it is so old that nobody asks any more
            _write(connection, line, there, (there[0] + line.spent, there[1] - line.free))
    rows = [_read(connection, line) for line in order.lines]
    # A row that has gone, with the file that it was in, begins with what this process knows.
    before = [row or (0, line.reserved + line.spent) for row, line in zip(rows, order.lines, strict=True)]
    free = [line.free if row else 0 for row, line in zip(rows, order.lines, strict=True)]
    left = [line.most - b[1] + f for line, b, f in zip(order.lines, before, free, strict=True)]

    granted = [0] * len(left)
    lacking: list[tuple[int, int] | None] = []
    for wanted in order.asking:
        # What wants nothing of a limit does not care whether it is overdrawn.
        short = next((i for i, want in enumerate(wanted) if want and want > left[i]), None)
        lacking.append(None if short is None else (short, left[short]))
        if short is None:
            for i, want in enumerate(wanted):
                left[i] -= want
                granted[i] += want

    goes_on = bool(order.asking) and not any(lacking)
    kept = [
        max(0, min(rest // _PART, (_REQUESTS - 1) * max(given, line.usual))) if goes_on else 0
        for rest, given, line in zip(left, granted, order.lines, strict=True)
    ]
    spent, taken = [], []
    for i, line in enumerate(order.lines):
        after = _write(
            connection, line, rows[i], (before[i][0] + line.spent, before[i][1] - free[i] + granted[i] + kept[i])
        )
        spent.append(after[0])
        taken.append(after[1])
    return Answer(lacking, kept, spent, taken)


def _read(connection: sqlite3.Connection, line: Line) -> tuple[int, int] | None:
    """Spent and taken."""
    found: tuple[int, int] | None = connection.execute(
        "SELECT spent, taken FROM spending WHERE key = ? AND unit = ? AND per = ? AND began = ?", line.row
    ).fetchone()
    return found


def _write(
    connection: sqlite3.Connection, line: Line, before: tuple[int, int] | None, after: tuple[int, int]
) -> tuple[int, int]:
    after = min(after[0], _INTEGER), min(max(after[1], 0), _INTEGER)
    if before is None:
        last, _ = line.limit.window(line.began - 1)
        connection.execute(
            "DELETE FROM spending WHERE key = ? AND unit = ? AND per = ? AND began < ?", (*line.row[:3], last)
        )
        connection.execute(
            "INSERT INTO spending (spent, taken, key, unit, per, began) VALUES (?, ?, ?, ?, ?, ?)", (*after, *line.row)
        )
    elif after != before:
        connection.execute(
            "UPDATE spending SET spent = ?, taken = ? WHERE key = ? AND unit = ? AND per = ? AND began = ?",
            (*after, *line.row),
        )
    return after


def standing(path: Path, key: str, limits: Sequence[Limit], now: float) -> list[tuple[int, int]]:
    """What was spent and what is taken of each limit in its present window, as the file has it. Raises what SQLite
    does."""
    with contextlib.closing(opened(path, SCHEMA)) as connection:
        lines = [Line(key, limit, limit.window(now)[0], limit.most, 0, 0, 0) for limit in limits]
        return [_read(connection, line) or (0, 0) for line in lines]
