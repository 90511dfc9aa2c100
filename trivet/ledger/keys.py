"""The keys that `trivet keys add` gives out: their names, limits and models, and the digests of their secrets.

They have a file of their own (`keys.db`, with what each key has spent), so that a damaged ledger takes nobody's key
away. A server holds them in memory, and looks at the file again after a moment: what another process changes is in
force within a second, and a new key at once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trivet.database import DAMAGED, opened, transaction
from trivet.errors import ConfigError, TrivetError
from trivet.ledger.limits import Limit
from trivet.types import Value

__all__ = ["SCHEMA", "Key", "Keys", "trouble", "unavailable", "unknown"]

SCHEMA = (
    """
CREATE TABLE keys (
    name TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, limits TEXT NOT NULL, models TEXT NOT NULL,
    created REAL NOT NULL, revoked REAL
) STRICT;
CREATE TABLE revision (n INTEGER NOT NULL) STRICT;
INSERT INTO revision VALUES (0);
CREATE TABLE spending (
    key TEXT NOT NULL, unit TEXT NOT NULL, per TEXT NOT NULL, began INTEGER NOT NULL,
    taken INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (key, unit, per, began)
) STRICT, WITHOUT ROWID;
""",
)
_NAME = re.compile(r"[\w.@+-]{1,64}")
_STATIC = re.compile(r"key-\d+")  # what server/security.py calls the keys that stand in trivet.toml
_BLOCKS_S = 0.02  # how long a look may hold up the event loop where the file is locked


class Key(Value, frozen=True, kw_only=True):
    """Who may ask. `models` are names that it may ask for, `*` standing for anything; none is all. `created` and
    `revoked` are seconds since 1970."""

    name: str
    limits: tuple[Limit, ...] = ()
    models: tuple[str, ...] = ()
    created: float
    revoked: float | None = None

    def allows(self, model: str) -> bool:
        """Whether it may ask for a model of this name."""
        return not self.models or _pattern(self.models).fullmatch(model) is not None


@functools.lru_cache(1024)
def _pattern(models: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(".*".join(re.escape(part) for part in model.split("*")) for model in models), re.DOTALL)


class Keys:
    """The keys of one file. `find` is for the event loop; the others may wait for the file for a second.

    `every_s` is how often the file is looked at for changes, and `log` gets a line when it cannot be read. `closed` is
    whether there are any keys, or have been: a server that was closed does not open because its last key was revoked,
    or because the file has gone."""

    def __init__(
        self,
        path: Path,
        *,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._log = log
        self._every_s = every_s
        self._clock = clock
        self._next = 0.0
        self._keys: dict[str, Key] = {}
        self._digests: dict[bytes, tuple[bytes, Key]] = {}
        self._closed = False
        self._problem: str | None = None
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._version = self._revision = -1
        self._look()

    # --- what a server asks ---

    def find(self, secret: bytes) -> Key | None:
        """The key with this secret; None where it is nobody's, or was revoked. Raises TrivetError 503 for a secret that
        is not known, while the file cannot be read: it may be a right one."""
        now = self._clock()
        if now >= self._next:
            self._look()
        digest = hashlib.sha256(secret).digest()
        found = self._digests.get(digest)
        if found is None:
            if self._problem is None:  # a key of this moment; while there is a problem, `_next` bounds the looks
                self._look()
                found = self._digests.get(digest)
            if found is None and self._problem is not None:
                why = self._problem.replace(str(self.path), self.path.name)  # where it is is nothing for strangers
                raise unavailable(f"Whether this key is right cannot be told just now: {why}.")
        if found is None or not hmac.compare_digest(found[0], digest) or found[1].revoked is not None:
            return None
        return found[1]

    def get(self, name: str | None) -> Key | None:
        """The key of this name, as of the last look; revoked ones too."""
        return self._keys.get(name)  # type: ignore[arg-type]

    def all(self) -> tuple[Key, ...]:
        """Revoked ones too, in the order of their creation."""
        self._look_when_due()
        return tuple(self._keys.values())

    @property
    def closed(self) -> bool:
        self._look_when_due()
        return self._closed

    @property
    def problem(self) -> str | None:
        """Why the file cannot be read, and what mends it; None where it can, or where there is none."""
        self._look_when_due()
        return self._problem

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._version = -1

    # --- what `trivet keys` does ---

    def add(self, name: str, limits: Sequence[Limit] = (), models: Sequence[str] = ()) -> str:
        """Its secret, which is kept nowhere. A key that was revoked gets a new one, and keeps what it has spent. Raises
        ConfigError for a name that is taken, and TrivetError 503 where the file cannot be written, as the others do."""
        if not _NAME.fullmatch(name) or _STATIC.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be a key's name: use letters, digits and . _ @ + - (at most 64), and not key-1, "
                "key-2, …, which are the keys of trivet.toml."
            )
        _check(limits, models)
        secret = "trivet-" + secrets.token_urlsafe(32)
        values = (hashlib.sha256(secret.encode()).digest(), *_texts(limits, models), time.time(), name)
        with self._writing() as connection:
            there = connection.execute("SELECT revoked FROM keys WHERE name = ?", (name,)).fetchone()
            if there is not None and there[0] is None:
                raise ConfigError(
                    f"There is a key {name!r} already. Take another name; or give it other limits by `trivet keys "
                    f"change {name}`, or a new secret by `trivet keys revoke {name}` first."
                )
            connection.execute("DELETE FROM keys WHERE name = ?", (name,))
            connection.execute(
                "INSERT INTO keys (digest, limits, models, created, name) VALUES (?, ?, ?, ?, ?)", values
            )
        return secret

    def change(self, name: str, limits: Sequence[Limit], models: Sequence[str]) -> None:
        """Other limits and models for a key, whose secret stays. Raises ConfigError for an unknown name."""
        _check(limits, models)
        with self._writing() as connection:
            self._known(connection, name)
            connection.execute("UPDATE keys SET limits = ?, models = ? WHERE name = ?", (*_texts(limits, models), name))

    def revoke(self, name: str) -> None:
        """Raises ConfigError for an unknown name."""
        with self._writing() as connection:
            self._known(connection, name)
            connection.execute("UPDATE keys SET revoked = ? WHERE name = ? AND revoked IS NULL", (time.time(), name))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            opening = contextlib.closing(opened(self.path, SCHEMA, synchronous="FULL"))
            with opening as connection, transaction(connection):
                yield connection
                connection.execute("UPDATE revision SET n = n + 1")
        except (sqlite3.Error, OSError) as error:
            raise unavailable(f"{trouble(self.path, error)}.") from error
        self._look()

    def _known(self, connection: sqlite3.Connection, name: str) -> None:
        names = [row[0] for row in connection.execute("SELECT name FROM keys ORDER BY created")]
        if name not in names:
            raise unknown(name, names)

    # --- the file ---

    def _look_when_due(self) -> None:
        if self._clock() >= self._next:
            self._look()

    def _look(self) -> None:
        """Reads the file where it has changed. What is known stays known where it cannot be read."""
        self._next = self._clock() + self._every_s
        try:
            self._read()
            self._problem = None
        except (sqlite3.Error, OSError, ConfigError, ValueError) as error:
            self.close()
            self._closed = True  # there is a file, with keys in it for all we know
            problem = trouble(self.path, error)
            if problem != self._problem and self._log is not None:
                self._log(f"Keys that are not known yet are refused: {problem}.")
            self._problem = problem

    def _read(self) -> None:
        try:
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            if self._closed:
                raise
            return  # no keys, and looking does not make the file
        if self._connection is None or inode != self._inode:  # another file in its place
            self.close()
            self._connection = opened(self.path, SCHEMA, busy_s=_BLOCKS_S, synchronous="FULL")
            self._inode, self._revision = inode, -1
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        revision = self._connection.execute("SELECT n FROM revision").fetchone()[0]  # the rest is what keys have spent
        if revision != self._revision:
            self._load(self._connection)
        self._version, self._revision = version, revision

    def _load(self, connection: sqlite3.Connection) -> None:
        keys: dict[str, Key] = {}
        digests: dict[bytes, tuple[bytes, Key]] = {}
        rows = connection.execute("SELECT name, digest, limits, models, created, revoked FROM keys ORDER BY created")
        for name, digest, limits, models, created, revoked in rows:
            key = Key(
                name=name,
                limits=tuple(Limit.of(text) for text in json.loads(limits)),
                models=tuple(json.loads(models)),
                created=created,
                revoked=revoked,
            )
            known = self._keys.get(name)
            keys[name] = known if known is not None and known == key else key
            digests[digest] = (digest, keys[name])
        self._keys, self._digests = keys, digests
        self._closed = self._closed or bool(keys)


def unknown(name: str, names: Sequence[str]) -> ConfigError:
    """Says so of a name that no key has, with the nearest."""
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}."
    return ConfigError(f"No key is called {name!r}. {guess}")


def unavailable(message: str) -> TrivetError:
    """What is refused while the file cannot be used. It may be asked again."""
    error = TrivetError(message, status=503)
    error.retry, error.asked = True, False
    return error


def trouble(path: Path, error: Exception) -> str:
    """Why the file cannot be used, and what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    code = code & 0xFF if code is not None else None  # the primary one (sqlite.org/rescode.html)
    if isinstance(error, FileNotFoundError):
        return f"{path} has gone: put it back, or restart the server if its keys are to go too"
    if code in DAMAGED:
        return f"{path} is damaged ({error}): put a copy of it in its place, or move it away and add the keys anew"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is locked by another process: try again, and see who holds it (`lsof {path}`)"
    if code == sqlite3.SQLITE_FULL:
        return f"{path} cannot grow, its disk is full: make room"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM) or isinstance(error, OSError):
        return f"{path} cannot be opened for writing ({error}): give trivet the right to, or name another file"
    if code == sqlite3.SQLITE_IOERR:
        return f"{path} cannot be written or read ({error}): see whether its disk is full, or fails"
    if isinstance(error, ConfigError):
        return error.message
    return f"{path} cannot be used ({type(error).__name__}: {error})"


def _texts(limits: Sequence[Limit], models: Sequence[str]) -> tuple[str, str]:
    return json.dumps([str(limit) for limit in limits]), json.dumps(list(models))


def _check(limits: Sequence[Limit], models: Sequence[str]) -> None:
    seen = set()
    for limit in limits:
        if (limit.unit, limit.per) in seen:
            raise ConfigError(f"There are two limits of {limit.unit} in one {limit.per}: give the one that holds.")
        seen.add((limit.unit, limit.per))
    if any(not model.strip() for model in models):
        raise ConfigError("A model's name is empty: give names or patterns with * (`openai/*`), or leave models out.")
