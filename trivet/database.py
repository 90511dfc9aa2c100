"""SQLite files that several processes share: opened, brought to the newest schema, moved aside where damaged."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from trivet.errors import ConfigError

__all__ = ["DAMAGED", "folder", "move_aside", "opened", "transaction"]

# What SQLite says of a file that is no database, or one no longer (sqlite.org/rescode.html).
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def folder() -> Path:
    """Where trivet keeps what it writes by itself: TRIVET_STATE, else TRIVET_HOME, else the user's data folder."""
    chosen = os.environ.get("TRIVET_STATE") or os.environ.get("TRIVET_HOME")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    import platformdirs

    return platformdirs.user_data_path("trivet", appauthor=False)


def opened(
    path: Path,
    migrations: Sequence[str],
    *,
    busy_s: float = 1.0,
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
) -> sqlite3.Connection:
    """A connection, for one thread at a time, to a file that is made where there is none, readable by its owner alone.

    `migrations` are scripts: the n-th leads from version n - 1 to n, and none is ever changed once it has been
    released. Readers and one writer do not wait for each other (WAL); a writer waits `busy_s` for another. With
    `NORMAL` a crash of the machine may lose the last transactions, a crash of the process none.

    Raises `sqlite3.Error` (see `DAMAGED`), `OSError` where the file cannot be made, and `ConfigError` for a file of a
    newer trivet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # Never opened by hand once it is there: closing it would end the locks of this process's other connections.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        _refuse_newer(connection, migrations, path)
        _write_ahead(connection, busy_s)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        _migrate(connection, migrations, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> None:
    if _version(connection) == len(migrations):
        return
    with transaction(connection):
        version = _refuse_newer(connection, migrations, path)  # by now: another process may have been first
        for script in migrations[version:]:
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")


def _refuse_newer(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> int:
    version = _version(connection)
    if version > len(migrations):
        raise ConfigError(
            f"{path} was written by a newer trivet (schema {version}, this one knows {len(migrations)}): "
            "update trivet, or name another file"
        )
    return version


def _write_ahead(connection: sqlite3.Connection, busy_s: float) -> None:
    """To WAL. SQLite does not wait where two processes do that at once for a new file, so this does."""
    until = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(0.005)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing; other writers wait meanwhile, from its beginning on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def move_aside(path: Path) -> Path:
    """Gives a damaged file, and what belongs to it, another name, which comes back: nothing is thrown away."""
    name = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    names = (path.with_name(name + (f"-{n}" if n else "")) for n in itertools.count())
    aside = next(other for other in names if not other.exists())
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    return aside
