"""The file of the ledger: written and read in transactions, replaced where it is damaged; what is wrong, in words."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

from trivet.database import DAMAGED, move_aside, opened, transaction
from trivet.errors import ConfigError
from trivet.ledger.rows import Row
from trivet.ledger.schema import MIGRATIONS, delete, insert, read

__all__ = ["File", "damaged", "export", "fetch", "sentence"]

SWEEP_ROWS = 500  # how many old requests are deleted in one transaction, so that others may write in between
ROOM = 65_536  # bytes: with less, a disk is full
_PASSES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)  # the connection itself is sound


class File:
    """The writer's connection, opened again where that is due: for one thread at a time."""

    def __init__(self, path: Path, busy_s: float, say: Callable[[str], None]) -> None:
        self.suspect = False  # a reader has found damage
        self._path = path
        self._busy_s = busy_s
        self._say = say
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def write(self, rows: Sequence[Row]) -> int:
        """Writes all rows or raises `sqlite3.Error`, `OSError` or `ConfigError`; how many were left out, because
        they make no sense or have the id of another. A damaged file is replaced."""
        if self.suspect:
            self._replace()
        try:
            return self._put(rows)
        except sqlite3.DatabaseError as e:
            if damaged(e):
                self._replace()
                return self._put(rows)
            if _code(e) not in _PASSES:
                self.close()  # a connection to a file that was read-only stays so
            raise

    def sweep(self, before: float) -> bool:
        """Deletes some of the requests that came before that; whether there may be more."""
        if self._connection is None and not self._path.exists():
            return False
        with transaction(self._connected()) as connection:
            return delete(connection, before, SWEEP_ROWS) == SWEEP_ROWS

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _put(self, rows: Sequence[Row]) -> int:
        try:
            with transaction(self._connected()) as connection:
                left_out = insert(connection, rows)
            if left_out:
                self._say(f"{left_out} requests are not counted: their ids are those of others. Give each its own id.")
            return left_out
        except (sqlite3.OperationalError, OSError, ConfigError):
            raise
        except Exception as e:
            if damaged(e):
                raise
            if len(rows) == 1:
                self._say(f"A row cannot be written, and is lost: {e!r}. Please report this.")
                return 1
        return sum(self._put([row]) for row in rows)  # one of them makes no sense

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and _identity(self._path) != self._identity:
            self.close()
            self._say(f"{self._path} was moved or removed while trivet was writing to it: it is begun anew.")
        if self._connection is None:
            self._connection = opened(self._path, MIGRATIONS, busy_s=self._busy_s)
            self._identity = _identity(self._path)
        return self._connection

    def _replace(self) -> None:
        """Moves a damaged file aside; not one that another process has just begun in its place."""
        self.close()
        self.suspect = False
        there = _identity(self._path)
        try:
            with contextlib.closing(opened(self._path, MIGRATIONS, busy_s=self._busy_s)) as connection:
                if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok":
                    return
        except sqlite3.DatabaseError as e:
            if not damaged(e):
                raise
        if _identity(self._path) == there:
            aside = move_aside(self._path)
            self._say(
                f"{self._path} is damaged. It is now {aside.name}, and a new ledger is begun. What was in it "
                f"may be had back with: sqlite3 {aside} .recover"
            )


def fetch(path: Path, id: str, *, busy_s: float = 1.0) -> Row | None:
    """The row of a request. Raises what `trivet.database.opened` does."""
    if not path.exists():
        return None
    with contextlib.closing(opened(path, MIGRATIONS, busy_s=busy_s)) as connection:
        connection.execute("BEGIN")
        found = read(connection, "id = ?", (id,))
    return found[0][1] if found else None


def export(path: Path, *, since: float | None = None, until: float | None = None) -> Iterator[Row]:
    """The requests that came from `since` on and before `until` (seconds since 1970), oldest first, read portion by
    portion: a server may write meanwhile. Raises what `trivet.database.opened` does."""
    if not path.exists():
        return
    after: tuple[float, int] = (float("-inf") if since is None else since, 0)
    before = float("inf") if until is None else until
    with contextlib.closing(opened(path, MIGRATIONS)) as connection:
        while True:
            connection.execute("BEGIN")
            found = read(
                connection, "(at, number) > (?, ?) AND at < ? ORDER BY at, number LIMIT 1000", (*after, before)
            )
            connection.execute("COMMIT")
            if not found:
                return
            for _, row in found:
                yield row
            after = (found[-1][1].at, found[-1][0])


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def damaged(error: Exception) -> bool:
    return _code(error) in DAMAGED


def _code(error: Exception) -> int:
    """SQLite's, without what it says beyond that (sqlite.org/rescode.html)."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _full(error: Exception, path: Path) -> bool:
    """Whether that is why: a connection that has no room for what it needs beside the file says only that it cannot."""
    if _code(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    with contextlib.suppress(OSError):
        return _code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and disk_usage(path.parent).free < ROOM
    return False


def sentence(error: Exception, path: Path, busy_s: float) -> str:
    """What is wrong with the file, and what to do."""
    code = _code(error)
    if _full(error, path):
        return f"The disk is full, {path} cannot grow: free some room, or name another file as path in [ledger]."
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"Another process has locked {path} for more than {busy_s:g} s: end it, or let it finish."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return (
            f"{path} cannot be written ({error}): make its folder and {path.name}* in it writable, "
            "or name another file as path in [ledger]."
        )
    if damaged(error):
        return f"{path} is damaged ({error}): move it elsewhere, and a new one is begun."
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, OSError):
        return (
            f"{path} cannot be made ({error.strerror or error}): mend that, or name another file as path in [ledger]."
        )
    return f"{path} cannot be written ({error}): look at its disk's room, quota and health."
