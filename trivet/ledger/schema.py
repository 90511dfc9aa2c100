"""The ledger's tables, and rows on their way to them and back.

Money is written as the text of its decimal: every digit comes back, and sums are made of decimals (`totals.py`). A
column of whole pico-dollars would add up faster, but it would cut finer prices and could disagree with the text.
"""

from __future__ import annotations

import functools
import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from trivet.ledger.rows import AttemptRow, Row
from trivet.types import Attempt, Cost, Usage

__all__ = ["MIGRATIONS", "delete", "insert", "read", "text"]

# What each attempt and each request took. `audio_s` is the request's; among its attempts one alone has it, for sums.
_TOOK = """uncached_input_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, output_tokens INTEGER,
reasoning_tokens INTEGER, cache_write_1h_tokens INTEGER, audio_input_tokens INTEGER, audio_output_tokens INTEGER,
prompt_tokens INTEGER, audio_s REAL, usd TEXT, price_source TEXT, price_dated TEXT, usd_unknown TEXT,
estimate INTEGER, saved_usd TEXT"""

# The n-th script leads to version n. None is ever changed once it has been released (a test holds their digests).
MIGRATIONS = (
    f"""CREATE TABLE requests (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL, task TEXT, asked TEXT,
outcome TEXT, took_s REAL, status INTEGER, model TEXT, "key" TEXT, session TEXT, stream INTEGER, first_content_s REAL,
error TEXT, cache TEXT, prefix TEXT, prefix_chars INTEGER, route TEXT, {_TOOK});
CREATE INDEX requests_at ON requests (at);
CREATE TABLE attempts (request INTEGER NOT NULL, n INTEGER NOT NULL, model TEXT, outcome TEXT, began_s REAL,
took_s REAL, first_content_s REAL, error TEXT, said_model TEXT, response_id TEXT, {_TOOK},
PRIMARY KEY (request, n)) WITHOUT ROWID;
""",
)

_REQUEST_COLUMNS = 34
_ATTEMPT_COLUMNS = 26
# Rows per statement. Python lets go of its lock once for each statement, and where an event loop is busy it gets that
# back only after up to 5 ms: row by row, a busy server's rows would come faster than they could be written.
_PORTIONS = (100, 10, 1)

# What SQLite keeps as NULL (sqlite.org/floatingpoint.html), and Python hands over in a quarter of the time that None
# takes, for which it first looks for an adapter. Half of the columns are empty.
_NULL = float("nan")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Attempt, ...]).decode

Values = tuple[Any, ...]


# to columns


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Writes rows with their attempts, but for those whose id is there already; how many those were. Within a
    transaction that has begun as IMMEDIATE, so that the numbers given here are nobody else's."""
    last: int = connection.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()[0]
    requests = [_request(row, number) for number, row in enumerate(rows, last + 1)]
    attempts = [
        _attempt(attempt, number, n, row.audio_s if n == heard else None)
        for number, row in enumerate(rows, last + 1)
        if row.attempts
        for heard in (_heard(row),)
        for n, attempt in enumerate(row.attempts)
    ]
    left_out = len(requests) - _write(connection, "requests", _REQUEST_COLUMNS, requests)
    if left_out:
        new = {number for (number,) in connection.execute("SELECT number FROM requests WHERE number > ?", (last,))}
        attempts = [values for values in attempts if values[0] in new]
    _write(connection, "attempts", _ATTEMPT_COLUMNS, attempts)
    return left_out


def _request(row: Row, number: int) -> Values:
    return (
        number,
        row.id,
        row.at,
        row.task,
        row.asked,
        row.outcome,
        row.took_s,
        row.status,
        row.model,
        row.key,
        row.session,
        1 if row.stream else 0,
        row.first_content_s,
        row.error,
        row.cache,
        row.prefix,
        row.prefix_chars,
        _route(row.route) if row.route else None,
        *_took(row.usage, row.audio_s, row.cost),
    )


def _took(usage: Usage, audio_s: float | None, cost: Cost) -> Values:
    """The columns of `_TOOK`."""
    return (
        usage.uncached_input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.cache_write_1h_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
        usage.prompt_tokens,
        audio_s,
        None if cost.usd is None else str(cost.usd),
        cost.source,
        cost.dated,
        cost.unknown,
        1 if cost.estimate else 0,
        None if cost.saved_usd is None else str(cost.saved_usd),
    )


def _attempt(row: AttemptRow, request: int, n: int, audio_s: float | None) -> Values:
    return (
        request,
        n,
        row.model,
        row.outcome,
        row.began_s,
        row.took_s,
        row.first_content_s,
        row.error,
        row.said_model,
        row.response_id,
        *_took(row.usage, audio_s, row.cost),
    )


def _heard(row: Row) -> int:
    """Which attempt the request's audio counts for, once: the first that answered, else the first."""
    return next((n for n, attempt in enumerate(row.attempts) if attempt.outcome == "answered"), 0)


def _route(route: tuple[Attempt, ...]) -> str:
    try:
        return _encode(route).decode()
    except UnicodeEncodeError:  # half a character, cut out of somebody's message
        return json.dumps(msgspec.to_builtins(route))


def _write(connection: sqlite3.Connection, table: str, columns: int, rows: list[Values]) -> int:
    """How many were new."""
    try:
        return _in_portions(connection, table, columns, rows)
    except (UnicodeEncodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
        connection.execute(f"DELETE FROM {table} WHERE {_FIRST[table]} >= ?", (rows[0][0],))  # noqa: S608
        return _in_portions(connection, table, columns, [tuple(map(_fit, values)) for values in rows])


_FIRST = {"requests": "number", "attempts": "request"}


def _in_portions(connection: sqlite3.Connection, table: str, columns: int, rows: list[Values]) -> int:
    new = at = 0
    for size in _PORTIONS:
        while len(rows) - at >= size:
            portion = itertools.chain.from_iterable(rows[at : at + size])
            values = [_NULL if value is None else value for value in portion]
            new += connection.execute(_statement(table, columns, size), values).rowcount
            at += size
    return new


@functools.cache
def _statement(table: str, columns: int, rows: int) -> str:
    one = f"({', '.join('?' * columns)})"
    unless = " ON CONFLICT (id) DO NOTHING" if table == "requests" else ""
    return f"INSERT INTO {table} VALUES {', '.join([one] * rows)}{unless}"  # noqa: S608


def _fit(value: Any) -> Any:
    """What SQLite takes: half characters as bytes, and a number beyond 64 bits, which no provider means, as unknown."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
        return str(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    return value if value is None or isinstance(value, float) else str(value)


# and back


def read(connection: sqlite3.Connection, where: str, values: Sequence[Any] = ()) -> list[tuple[int, Row]]:
    """The numbers and rows of the requests that `where` chooses, in its order. Within one transaction, so that nobody
    deletes in between."""
    found = connection.execute(f"SELECT * FROM requests WHERE {where}", values).fetchall()  # noqa: S608
    attempts: dict[int, list[AttemptRow]] = {}
    numbers = json.dumps([values[0] for values in found])
    for request, _, *rest in connection.execute(
        "SELECT * FROM attempts WHERE request IN (SELECT value FROM json_each(?)) ORDER BY request, n", (numbers,)
    ):
        attempts.setdefault(request, []).append(_to_attempt(rest))
    return [(values[0], _to_row(values, tuple(attempts.get(values[0], ())))) for values in found]


def delete(connection: sqlite3.Connection, before: float, most: int) -> int:
    """Deletes the oldest requests of those that came before that, with their attempts; how many. Within a
    transaction."""
    old = connection.execute("SELECT number FROM requests WHERE at < ? ORDER BY at LIMIT ?", (before, most)).fetchall()
    connection.executemany("DELETE FROM attempts WHERE request = ?", old)
    connection.executemany("DELETE FROM requests WHERE number = ?", old)
    return len(old)


def text(value: str | bytes | None) -> str | None:
    """A column's text: bytes are text with half characters in it."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _to_row(values: Sequence[Any], attempts: tuple[AttemptRow, ...]) -> Row:
    columns = iter(values)
    next(columns)
    row: dict[str, Any] = {
        "id": text(next(columns)),
        "at": _number(next(columns)),
        "task": text(next(columns)),
        "asked": text(next(columns)),
        "outcome": next(columns),
        "took_s": _number(next(columns)),
        "status": next(columns),
        "model": text(next(columns)),
        "key": text(next(columns)),
        "session": text(next(columns)),
        "stream": bool(next(columns)),
        "first_content_s": next(columns),
        "error": text(next(columns)),
        "cache": next(columns),
        "prefix": text(next(columns)),
        "prefix_chars": next(columns),
        "route": _to_route(next(columns)),
        "usage": _to_usage(columns),
        "audio_s": next(columns),
        "cost": _to_cost(columns),
    }
    return Row(**row, attempts=attempts)


def _to_attempt(values: Sequence[Any]) -> AttemptRow:
    columns = iter(values)
    row: dict[str, Any] = {
        "model": text(next(columns)),
        "outcome": next(columns),
        "began_s": _number(next(columns)),
        "took_s": _number(next(columns)),
        "first_content_s": next(columns),
        "error": text(next(columns)),
        "said_model": text(next(columns)),
        "response_id": text(next(columns)),
        "usage": _to_usage(columns),
    }
    next(columns)  # the request has it
    return AttemptRow(**row, cost=_to_cost(columns))


def _to_usage(columns: Iterator[Any]) -> Usage:
    names = (
        "uncached_input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cache_write_1h_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "prompt_tokens",
    )
    return Usage(**{name: next(columns) for name in names})


def _to_cost(columns: Iterator[Any]) -> Cost:
    usd, source, dated, unknown, estimate, saved = (next(columns) for _ in range(6))
    return Cost(
        usd=_money(usd),
        source=text(source),
        dated=text(dated),
        unknown=text(unknown),
        estimate=bool(estimate),
        saved_usd=_money(saved),
    )


def _money(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value  # SQLite keeps what is not a number as NULL


def _to_route(written: str | None) -> tuple[Attempt, ...]:
    if written is None:
        return ()
    try:
        return _decode(written)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(written), tuple[Attempt, ...])
