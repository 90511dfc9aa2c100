"""The ledger's file: rows are added by the event loop, and written behind it by a thread.

The thread writes what has come within `flush_s`, each batch in one transaction: a process that is killed has lost what
came within that time and no more, and no request is there without its attempts. While the file cannot be written, rows
wait; beyond `room_rows` the oldest are dropped, counted, and told of.

Several processes may write one file. The thread stays with the parent where a process forks, and with it the rows that
wait: the child begins with none.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from trivet.errors import TrivetError
from trivet.ledger.file import File, damaged, export, fetch, sentence
from trivet.ledger.rows import Row
from trivet.ledger.totals import By, Total, totals

__all__ = ["Store", "export"]

CLOSE_S = 5.0  # how long closing waits for rows to be written
SWEEP_S = 3600.0  # how often old rows are looked for
RETRY_S = 5.0  # the longest pause between two tries to write


class Store:
    """The file at `path`, which is made with the first row. `retention_days` None keeps rows for good. A transaction
    waits `busy_s` for that of another process. `log` gets a line when rows cannot be written, and one when they can be
    again; it is called from the thread.

    `problem` says what is wrong and what to do, None while all is well. `dropped` counts the rows that are lost."""

    def __init__(
        self,
        path: Path,
        *,
        retention_days: float | None = None,
        flush_s: float = 0.5,
        batch_rows: int = 500,
        room_rows: int = 20_000,
        busy_s: float = 1.0,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self.dropped = 0
        self._retention_days = retention_days
        self._flush_s = flush_s
        self._batch_rows = batch_rows
        self._room_rows = room_rows
        self._busy_s = busy_s
        self._log = log
        self._begin()
        _stores.add(self)
        if retention_days is not None:
            self._rouse()  # old rows go also where no new ones come

    def _begin(self) -> None:
        self._rows: deque[Row] = deque()
        self._batch: list[Row] = []  # in the writer's hand
        self._file = File(self.path, self._busy_s, self._say)
        self._lock = threading.Lock()  # of what follows, and of rows that go from one to the other; held for moments
        self._writing = threading.Lock()  # whoever writes: the thread, or where there can be none, who closes
        self._wake = threading.Event()
        self._asks: list[threading.Event] = []  # those who wait for a try to write
        self._asleep = True  # the thread waits for a row, or there is none
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._next_sweep = 0.0
        self._most_waiting = 0  # during the problem
        self._told_dropped = self.dropped

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._rows) + len(self._batch)

    def add(self, row: Row) -> None:
        """Takes a row, whose `id` nobody else has. Waits for nothing and raises nothing."""
        self._rows.append(row)
        if self._asleep:
            self._rouse()
        if len(self._rows) > self._room_rows:
            with self._lock:
                self._trim()

    def fetch(self, id: str) -> Row | None:
        """The row of a request, also one that still waits. Reads the file: not for the event loop. Raises
        `TrivetError` where it cannot be read."""
        with self._lock:
            for row in (*self._rows.copy(), *self._batch):
                if row.id == id:
                    return row
        try:
            return fetch(self.path, id, busy_s=self._busy_s)
        except (sqlite3.Error, OSError) as e:
            self._file.suspect |= damaged(e)
            raise TrivetError(sentence(e, self.path, self._busy_s), status=503) from e

    def totals(
        self, by: Sequence[By], *, since: float | None = None, until: float | None = None, local_days: bool = False
    ) -> list[Total]:
        """Of what is written: see `trivet.ledger.totals`. Reads the file: not for the event loop."""
        return totals(self.path, by, since=since, until=until, local_days=local_days, busy_s=self._busy_s)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Waits until what was added before is written, or a try to do so has failed; whether it is written. Not for
        the event loop."""
        ask = threading.Event()
        with self._lock:
            self._asks.append(ask)
        if self._rouse():
            return ask.wait(timeout_s) and self.problem is None
        self._write_all()
        return self.problem is None

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Writes what waits, for at most `timeout_s`, and lets the file go. A row that comes later opens it again."""
        with self._lock:
            thread, self._stopping = self._thread, self._thread is not None
        if thread is not None:
            self._wake.set()
            thread.join(timeout_s)
        elif self._rows:  # from the interpreter's last moments, in which no thread can be started
            self._write_all()
            self._file.close()
        if self.waiting:
            self._say(f"The ledger is closed, and {self.waiting:,} rows are not written. {self.problem or ''}")

    # the thread

    def _rouse(self) -> bool:
        """Wakes the thread; whether there is one."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trivet ledger", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter ends: `close` writes
                    self._thread = None
                    return False
            else:
                self._wake.set()
            self._asleep = False
        return True

    def _trim(self) -> None:
        """Drops the oldest of the rows that there is no room for."""
        while len(self._rows) > self._room_rows:
            self._rows.popleft()
            self.dropped += 1

    def _run(self) -> None:
        pause = self._flush_s
        while True:
            self._sleep()
            self._wake.clear()
            if not self._asks and not self._stopping:
                self._wake.wait(pause)
            with self._lock:
                asks, self._asks, last = self._asks, [], self._stopping
            self._write_all()
            for ask in asks:
                ask.set()
            if last and self._ended():
                return
            pause = self._flush_s if self.problem is None else min(2 * max(pause, 0.05), RETRY_S)

    def _sleep(self) -> None:
        """Until a row comes, or old ones are to be deleted."""
        self._asleep = True  # said before looking: a row that comes now either wakes us or is seen
        if not self.waiting and not self._asks and not self._stopping:
            sweeps = self._retention_days is not None
            self._wake.wait(max(self._next_sweep - time.monotonic(), 0) if sweeps else None)
        self._asleep = False

    def _ended(self) -> bool:
        with self._writing:
            self._file.close()
        with self._lock:
            self._asleep = True  # said before looking, as in `_sleep`
            if self._asks or (self._rows and self.problem is None):
                return False
            self._thread, self._stopping = None, False
            return True

    def _write_all(self) -> None:
        """What is there now. Rows that come meanwhile are not for this time: whoever waits need not wait for ever."""
        with self._writing:
            left, well = len(self._rows), self.problem is None
            while left > 0 and (well := self._write(min(left, self._batch_rows))):
                left -= self._batch_rows
            if well:
                self._recover()
                self._sweep()

    def _write(self, count: int) -> bool:
        with self._lock:
            self._batch = [self._rows.popleft() for _ in range(min(count, len(self._rows)))]
        try:
            refused = self._file.write(self._batch)
        except Exception as e:
            self._fail(e)
            return False
        with self._lock:
            self._batch = []
            self.dropped += refused
            self._told_dropped += refused
        return True

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._rows.extendleft(reversed(self._batch))
            self._batch = []
            self._most_waiting = max(self._most_waiting, len(self._rows))
            self._trim()
        problem = sentence(error, self.path, self._busy_s)
        if problem != self.problem:
            self.problem = problem
            self._say(f"The ledger is not written, {self.waiting:,} rows wait. {problem}")

    def _recover(self) -> None:
        dropped = self.dropped
        lost, self._told_dropped = dropped - self._told_dropped, dropped
        if self.problem is not None:
            self.problem = None
            self._say(f"The ledger is written again: {self._most_waiting:,} rows had waited, {lost:,} were dropped.")
            self._most_waiting = 0
        elif lost:
            self._say(f"{lost:,} rows were dropped: they came faster than the ledger's disk could take them.")

    def _sweep(self) -> None:
        """Deletes some of what is older than it may be, where that is due."""
        days = self._retention_days
        if days is None or time.monotonic() < self._next_sweep:
            return
        try:
            more = self._file.sweep(time.time() - days * 86_400)
        except Exception as e:
            more = False
            self._say(f"Rows older than {days:g} days were not deleted. {sentence(e, self.path, self._busy_s)}")
        self._next_sweep = time.monotonic() + (0 if more else SWEEP_S)

    def _say(self, line: str) -> None:
        if self._log is not None:
            with contextlib.suppress(Exception):  # whatever becomes of the log, rows are written
                self._log(line)

    def _forked(self) -> None:
        _kept.append(self._file)  # SQLite allows a child no more than that
        self._begin()


_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_kept: list[object] = []  # of the parent's, in a child


@atexit.register
def _close_all() -> None:
    for store in list(_stores):
        store.close()


def _after_fork() -> None:
    for store in list(_stores):
        store._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
