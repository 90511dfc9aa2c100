"""Where answers are kept that may be given again: a SQLite file with a bound on its size and on their age.

Reads happen on the caller's thread and never wait for a lock: 8 us, where a thread of their own takes 80, and up to
seconds beside a busy event loop. Writes are made in batches by a thread behind the requests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trivet import database
from trivet.errors import ConfigError

__all__ = ["CacheStore"]

log = logging.getLogger("trivet.cache")

_MIGRATIONS = (
    """
CREATE TABLE answers (
    key BLOB PRIMARY KEY, created REAL NOT NULL, used REAL NOT NULL, packed INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX answers_created ON answers (created);
CREATE INDEX answers_used ON answers (used)
""",
)
_FIND = "SELECT used, packed, body FROM answers WHERE key = ? AND created > ?"
_KEEP = "INSERT OR REPLACE INTO answers (key, created, used, packed, body) VALUES (?, ?, ?, ?, ?)"
_EXPIRE = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE created <= ? LIMIT 500)"
_OLDEST = "SELECT rowid, length(body) FROM answers ORDER BY used LIMIT 500"

_LOWER = 0.9  # a file that is too large shrinks to this share of its bound, so that not every answer evicts another
_LARGEST = 1 / 16  # of the bound, for one answer
_BATCH = 4_000_000  # bytes in one transaction, so that another process need not wait long for its own
_WAITING = 32_000_000  # bytes that may wait to be written, beyond which nothing is kept
_ROW = 200  # bytes that a row takes beside its body, roughly
_PAGES = 1000  # that are given back at once
_TRIED, _PAYS = 512, 0.8  # bytes from which zlib is tried, and the share of them that it has to get below
_NOTED_S = 60  # for how long an answer counts as just used
_INCREMENTAL = 2  # as SQLite calls the kind of auto_vacuum that gives pages back when it is told to
_SLOW_S = 0.25  # a read that takes longer keeps everybody waiting: the file is left alone for a while


class CacheStore:
    """Bytes by key, in the file `path`, which several processes may share. It is opened at once.

    The file stays below `max_mb` (of 10^6 bytes; SQLite's journal beside it has some 4 MB): answers that were not used
    for the longest time make room. An answer waits `flush_s` to be written, which is what a crash can lose; the writer
    waits `busy_s` for another process. After a failure the file is left alone for `again_s`. `clock` is in seconds
    since 1970.

    Nothing here raises. Whatever is wrong with the file, there is nothing in it (`get`) and nothing is kept (`put`),
    and `problem` says why, for as long as it is so. A damaged file is moved aside and begun anew."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        max_mb: float = 256,
        max_age_s: float = 86_400,
        flush_s: float = 0.5,
        busy_s: float = 0.1,
        again_s: float = 5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(os.path.abspath(database.folder() / "cache.db" if path is None else path))
        self.max_bytes, self.max_age_s = int(max_mb * 1e6), max_age_s
        self.flush_s, self.busy_s, self.again_s, self.clock = flush_s, busy_s, again_s, clock
        self.problem: str | None = None
        self._changed = threading.Condition()  # guards all of this, for moments
        self._waiting: dict[bytes, tuple[float, bytes]] = {}  # when it was made, and the body
        self._waiting_bytes = 0
        self._used: dict[bytes, float] = {}
        self._reader: sqlite3.Connection | None = None
        self._rests_until = 0.0  # on the monotonic clock
        self._damaged = self._missed = self._closed = self._idle = False
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()  # guards the rest, and is held while it is written
        self._writer: sqlite3.Connection | None = None
        self._inode: int | None = None
        with self._writing:
            self._ready()

    # --- what requests call --------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """What was kept under this key, unless it is too old."""
        now = self.clock()
        with self._changed:
            if (waits := self._waiting.get(key)) is not None:
                return waits[1] if waits[0] > now - self.max_age_s else None
            row = self._read(key, now)
            if row is None:
                return None
            used, packed, body = row
            if now - used > _NOTED_S:
                self._used[key] = now
                self._wake()
        try:
            return zlib.decompress(body) if packed else body
        except zlib.error:
            return None

    def put(self, key: bytes, body: bytes) -> bool:
        """Keeps `body`, in the place of what was there. Says whether it does."""
        with self._changed:
            full = self._waiting_bytes + len(body) > _WAITING
            if not self._usable() or full or len(body) > self.max_bytes * _LARGEST:
                return False
            self._forget(key)
            self._waiting[key] = (self.clock(), body)
            self._waiting_bytes += len(body)
            self._wake()
        return True

    def flush(self) -> None:
        """Writes what waits; whoever calls waits too."""
        with self._writing:
            for _ in range(2):  # the second time, where the first has found the file damaged
                if self._ready():
                    self._flush()
                if not self._damaged:
                    return

    def close(self) -> None:
        """Writes what waits, and gives the file back. Closing twice is fine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)  # where the disk hangs, the process has to end all the same
        if self._writing.acquire(timeout=5):
            self._drop()
            self._writing.release()

    # --- with `_changed` held ------------------------------------------------------------------------------------

    def _usable(self) -> bool:
        """Whether there is a file to ask now. Where it could not be opened, the thread tries again."""
        if self._closed or time.monotonic() < self._rests_until:
            return False
        if self._reader is None:
            self._missed = True
            self._wake()
        return self._reader is not None

    def _read(self, key: bytes, now: float) -> tuple[float, int, bytes] | None:
        if not self._usable() or self._reader is None:
            return None
        began = time.perf_counter()
        try:
            row: tuple[float, int, bytes] | None
            row = self._reader.execute(_FIND, (key, now - self.max_age_s)).fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        if (took_s := time.perf_counter() - began) > _SLOW_S:
            self._rest(f"{self.path} is slow, reading an answer took {took_s:.2g} s: put it on another disk")
        return row

    def _forget(self, key: bytes) -> None:
        _, body = self._waiting.pop(key, (0, b""))
        self._waiting_bytes -= len(body)

    def _wake(self) -> None:
        """The thread, which begins with the first that there is to do."""
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="trivet-cache", daemon=True)
            self._thread.start()
        elif self._idle:  # and not waiting for more already: to be woken takes longer than all else here
            self._changed.notify_all()

    def _failed(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what the extended codes add
        if code in database.DAMAGED:
            self._damaged = True
            self._wake()
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            self._tell(f"{self.path} is locked by another process: {error}")  # for how long, nobody knows
        else:
            self._rest(f"{self.path} cannot be used: {error}")

    def _rest(self, problem: str) -> None:
        self._rests_until = time.monotonic() + self.again_s
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        problem = f"the cache of answers: {problem}"
        if problem != self.problem:
            log.warning("%s (requests are answered without it)", problem)
        self.problem = problem

    # --- the thread behind the requests, which holds `_writing` --------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: self._closed or self._todo())
                self._idle = False
                rest_s = max(self.flush_s, self._rests_until - time.monotonic())
                self._changed.wait_for(lambda: self._closed, rest_s)
            self.flush()

    def _todo(self) -> bool:
        return bool(self._waiting or self._used or self._damaged or self._missed)

    def _flush(self) -> None:
        try:
            while self._write():
                pass
            self._shrink()
        except sqlite3.Error as error:
            with self._changed:
                self._failed(error)
            return
        with self._changed:
            if time.monotonic() >= self._rests_until:
                self.problem = None

    def _write(self) -> bool:
        """One transaction. Says whether more waits. What cannot be written goes on waiting."""
        batch, size = {}, 0
        with self._changed:
            used, self._used = self._used, {}
            for key, entry in self._waiting.items():
                batch[key], size = entry, size + len(entry[1])
                if size > _BATCH:
                    break
        rows = [(key, created, created, *_packed(body)) for key, (created, body) in batch.items()]
        assert self._writer is not None
        with database.transaction(self._writer) as writer:
            writer.executemany(_KEEP, rows)
            writer.executemany("UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key, now in used.items()])
            writer.execute(_EXPIRE, (self.clock() - self.max_age_s,))
        with self._changed:
            for key, entry in batch.items():
                if self._waiting.get(key) is entry:  # and nothing newer
                    self._forget(key)
            return bool(self._waiting)

    def _shrink(self) -> None:
        """Makes room: what was used longest ago goes, in portions, then the pages that are free."""
        assert self._writer is not None
        if self._size()[0] > self.max_bytes:
            while (excess := self._size()[0] - _LOWER * self.max_bytes) > 0 and self._evict(excess):
                pass
        while sum(self._size()) > self.max_bytes and (free := self._size()[1]):
            self._writer.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` gives one page back
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if self._size()[1] == free:
                return  # the file was not made for it

    def _evict(self, excess: float) -> bool:
        """Deletes about so many bytes. Says whether there was anything to delete."""
        assert self._writer is not None
        gone: list[tuple[int]] = []
        for rowid, length in self._writer.execute(_OLDEST).fetchall():
            if excess <= 0:
                break
            gone.append((rowid,))
            excess -= length + _ROW
        with database.transaction(self._writer) as writer:
            writer.executemany("DELETE FROM answers WHERE rowid = ?", gone)
        return bool(gone)

    def _size(self) -> tuple[int, int]:
        """The bytes of the file that are in use, and those that are not."""
        assert self._writer is not None
        page, pages, free = (
            self._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return (pages - free) * page, free * page

    # --- the file ------------------------------------------------------------------------------------------------

    def _ready(self) -> bool:
        """Whether the file is open. It is opened again where somebody has deleted it, and begun anew where it is
        damaged."""
        same = self._inode == _inode(self.path)
        if self._writer is not None and same and not self._damaged:
            return True
        if self._damaged and same:  # and not begun anew by another process
            self._begin_anew()
        self._drop()
        try:
            self._open()
        except (sqlite3.Error, OSError, ConfigError) as error:
            self._drop()
            with self._changed:
                self._failed(error)
                self._damaged = self._missed = False
            return False
        return True

    def _open(self) -> None:
        try:
            writer = database.opened(self.path, _MIGRATIONS, busy_s=self.busy_s)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in database.DAMAGED:
                raise
            self._begin_anew()
            writer = database.opened(self.path, _MIGRATIONS, busy_s=self.busy_s)
        self._writer = writer
        writer.execute("PRAGMA journal_size_limit=4000000")
        if writer.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
            writer.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
            with suppress(sqlite3.OperationalError):  # another process is at it
                writer.execute("VACUUM")  # of a file that has nothing yet
        reader = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )
        with self._changed:
            self._reader, self._inode = reader, _inode(self.path)
            self._damaged = self._missed = False

    def _begin_anew(self) -> None:
        self._drop()
        aside = database.move_aside(self.path)
        log.warning("the cache of answers was damaged and begins anew; the old file is %s", aside)

    def _drop(self) -> None:
        with self._changed:
            reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        for connection in (reader, writer):
            if connection is not None:
                connection.close()


def _packed(body: bytes) -> tuple[int, bytes]:
    """The body as it is kept, and before it whether that is zlib's: vectors, which are noise, stay as they are."""
    if len(body) < _TRIED:
        return 0, body
    packed = zlib.compress(body, 1)
    return (1, packed) if len(packed) < _PAYS * len(body) else (0, body)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
