"""The ledger's file: what is written comes back, nothing that is wrong with the file reaches who adds a row, and all of
it is told."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_rows import NOON, attempt, row
from trivet.database import opened, transaction
from trivet.errors import ConfigError, TrivetError
from trivet.ledger import schema
from trivet.ledger import store as store_module
from trivet.ledger.rows import AttemptRow, Row
from trivet.ledger.store import Store, export
from trivet.types import Attempt, Cost, Usage

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def store(path: Path, lines: list[str]) -> Iterator[Store]:
    """One that writes only when it is told to."""
    store = Store(path, flush_s=3600, busy_s=0.01, log=lines.append)
    yield store
    store.close()


def ids(path: Path) -> list[str]:
    return sorted(row.id for row in export(path))


def python(script: str, *args: object, **more: Any) -> subprocess.Popen[str]:
    """Another process, which talks by lines."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **more,
    )


# what is written comes back

counts = st.none() | st.integers(0, 2**63 - 1)
seconds = st.floats(0, 1e6)
# Also halves of characters, as a message may have that was cut somewhere.
texts = st.text(st.characters(exclude_categories=[]), max_size=20)
maybe_text = st.none() | texts
money = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
usages = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, counts))
costs = st.builds(
    Cost,
    usd=money | st.just(Decimal("0.000000000000123456789")),
    source=maybe_text,
    dated=maybe_text,
    unknown=maybe_text,
    estimate=st.booleans(),
    saved_usd=money,
)
outcomes = st.sampled_from(["answered", "failed", "cancelled", "refused"])
attempt_rows = st.builds(
    AttemptRow,
    model=texts,
    outcome=outcomes,
    began_s=seconds,
    took_s=seconds,
    first_content_s=st.none() | seconds,
    error=maybe_text,
    said_model=maybe_text,
    response_id=maybe_text,
    usage=usages,
    cost=costs,
)
tries = st.builds(
    Attempt,
    model=texts,
    outcome=st.sampled_from(["answered", "failed", "skipped", "cancelled"]),
    reason=maybe_text,
    took_s=st.none() | seconds,
)
rows = st.builds(
    Row,
    id=texts,
    at=st.floats(0, 4e9),
    task=texts,
    asked=texts,
    outcome=outcomes,
    took_s=seconds,
    status=st.integers(100, 599),
    model=maybe_text,
    key=maybe_text,
    session=maybe_text,
    stream=st.booleans(),
    usage=usages,
    cost=costs,
    audio_s=st.none() | seconds,
    first_content_s=st.none() | seconds,
    error=maybe_text,
    cache=st.sampled_from(["none", "miss", "stored", "hit"]),
    prefix=maybe_text,
    prefix_chars=counts,
    route=st.lists(tries, max_size=2).map(tuple),
    attempts=st.lists(attempt_rows, max_size=2).map(tuple),
)


@given(st.lists(rows, max_size=3, unique_by=lambda row: row.id))
def test_a_row_comes_back_from_the_file_as_it_was(written: list[Row]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(connection):
        for statement in schema.MIGRATIONS[0].split(";\n"):
            connection.execute(statement)
        with transaction(connection):
            schema.insert(connection, written)
        assert [row for _, row in schema.read(connection, "true ORDER BY number")] == written
        # Every digit and every exponent, which equality of decimals does not see.
        for (_, got), row in zip(schema.read(connection, "true ORDER BY number"), written, strict=True):
            assert str(got.cost.usd) == str(row.cost.usd)


def test_what_waits_can_be_fetched_and_what_is_written_too(store: Store, path: Path) -> None:
    store.add(row("a"))
    assert store.fetch("a") == row("a")
    assert not path.exists()
    assert store.flush()
    assert store.waiting == 0
    assert store.fetch("a") == row("a")
    assert store.fetch("b") is None


def test_a_row_is_written_without_being_asked_for(path: Path) -> None:
    store = Store(path, flush_s=0.01)
    store.add(row("a"))
    while "a" not in ids(path):
        pass
    store.close()


def test_rows_of_one_batch_and_of_many_come_in_the_order_of_their_time(store: Store, path: Path) -> None:
    many = [row(f"{n:04}", at=NOON - n) for n in range(1234)]
    for each in many:
        store.add(each)
    assert store.flush()
    assert list(export(path)) == many[::-1]
    assert list(export(path, since=NOON - 20, until=NOON - 10)) == many[20:10:-1]


def test_of_two_rows_with_one_id_the_first_stays_with_its_own_attempts(
    store: Store, path: Path, lines: list[str]
) -> None:
    store.add(row("a"))
    store.flush()
    store.add(row("b", attempt("openai/d")))
    store.add(row("a", attempt("openai/b"), attempt("openai/c")))
    assert store.flush()
    store.add(row("c"))
    assert store.flush()
    assert list(export(path)) == [row("a"), row("b", attempt("openai/d")), row("c")]
    assert store.dropped == 1
    assert lines == ["1 requests are not counted: their ids are those of others. Give each its own id."]


def test_nobody_else_on_the_machine_may_read_it(store: Store, path: Path) -> None:
    store.add(row("a"))
    store.flush()
    assert path.stat().st_mode & 0o077 == 0


def test_a_row_that_makes_no_sense_is_lost_alone_and_that_is_said(store: Store, path: Path, lines: list[str]) -> None:
    store.add(row("a"))
    store.add(None)  # type: ignore[arg-type]
    store.add(row("c"))
    assert store.flush()
    assert ids(path) == ["a", "c"]
    assert (store.dropped, store.waiting) == (1, 0)
    assert len(lines) == 1
    assert "lost" in lines[0]


def test_a_count_beyond_64_bits_is_unknown(store: Store) -> None:
    store.add(row("a", usage=Usage(output_tokens=2**64, prompt_tokens=3)))
    assert store.flush()
    found = store.fetch("a")
    assert found is not None
    assert found.usage == Usage(prompt_tokens=3)


# beginning and end


def test_a_file_is_not_made_before_there_is_a_row(store: Store, path: Path) -> None:
    assert store.fetch("a") is None
    assert store.totals(["day"]) == []
    assert list(export(path)) == []
    assert not path.exists()


def test_closing_writes_what_waits_and_may_be_done_twice(store: Store, path: Path) -> None:
    others = set(threading.enumerate())  # of ledgers that tests before this one have open
    store.add(row("a"))
    store.close()
    store.close()
    assert ids(path) == ["a"]
    assert not any(thread.name == "trivet ledger" for thread in set(threading.enumerate()) - others)


def test_a_row_that_comes_after_closing_is_written_too(store: Store, path: Path) -> None:
    store.add(row("a"))
    store.close()
    store.add(row("b"))
    store.close()
    assert ids(path) == ["a", "b"]


@pytest.mark.parametrize("when", ["store.add(row('a'))", "atexit.register(lambda: store.add(row('a')))"])
def test_a_script_that_just_ends_loses_no_row(path: Path, when: str) -> None:
    """Also not one that comes when threads can be started no more."""
    script = f"""
        import sys, atexit
        from pathlib import Path
        from tests.ledger_rows import row
        from trivet.ledger.store import Store
        store = Store(Path(sys.argv[1]), flush_s=3600)
        {when}
    """
    assert python(script, path).wait() == 0
    assert ids(path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_each_process_writes_its_own_rows(path: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from tests.ledger_rows import row
        from trivet.ledger.store import Store
        store = Store(Path(sys.argv[1]), flush_s=3600)
        store.add(row("before"))
        store.flush()
        store.add(row("parent"))
        child = os.fork()
        if child == 0:
            assert store.waiting == 0
            store.add(row("child"))
            assert store.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    assert python(script, path).wait() == 0
    assert ids(path) == ["before", "child", "parent"]


def test_two_processes_write_one_file(path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from tests.ledger_rows import row
        from trivet.ledger.store import Store
        lines = []
        store = Store(Path(sys.argv[1]), flush_s=0.01, batch_rows=10, busy_s=30, log=lines.append)
        print("ready", flush=True)
        input()
        for n in range(2000):
            store.add(row(f"{sys.argv[2]}{n:04}"))
        store.close(60)
        assert not lines, lines
    """
    both = [python(script, path, name) for name in "ab"]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        assert process.wait() == 0
    assert ids(path) == [f"{name}{n:04}" for name in "ab" for n in range(2000)]
    assert all(len(found.attempts) == 1 for found in export(path))


# what may be wrong with the file


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """By another process."""
    script = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        input()
    """
    process = python(script, path)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait() == 0


def test_while_another_process_holds_the_file_rows_wait(store: Store, path: Path, lines: list[str]) -> None:
    store.add(row("a"))
    store.flush()
    with locked(path):
        store.add(row("b"))
        assert not store.flush()
        store.add(row("c"))
        assert not store.flush()
        assert store.waiting == 2
        assert store.problem == f"Another process has locked {path} for more than 0.01 s: end it, or let it finish."
        assert store.fetch("b") == row("b")
    assert store.flush()
    assert store.problem is None
    assert store.waiting == store.dropped == 0
    assert ids(path) == ["a", "b", "c"]
    assert lines == [
        "The ledger is not written, 1 rows wait. "
        f"Another process has locked {path} for more than 0.01 s: end it, or let it finish.",
        "The ledger is written again: 2 rows had waited, 0 were dropped.",
    ]


def test_beyond_its_room_the_oldest_rows_are_dropped_and_counted(path: Path, lines: list[str]) -> None:
    store = Store(path, flush_s=3600, room_rows=10, batch_rows=4, busy_s=0.01, log=lines.append)
    store.add(row("first"))
    store.flush()
    with locked(path):
        for n in range(15):
            store.add(row(f"{n:02}"))
            if n == 7:
                assert not store.flush()
        assert (store.waiting, store.dropped) == (10, 5)
    store.close()
    assert ids(path) == [*(f"{n:02}" for n in range(5, 15)), "first"]
    assert lines[1:] == ["The ledger is written again: 8 rows had waited, 5 were dropped."]


def test_closing_while_the_file_is_locked_says_what_is_lost(store: Store, path: Path, lines: list[str]) -> None:
    store.add(row("a"))
    store.flush()
    with locked(path):
        store.add(row("b"))
        store.close()
    assert lines[-1].startswith("The ledger is closed, and 1 rows are not written. Another process")


def test_a_folder_that_cannot_be_made_is_a_problem_until_it_can(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "state").write_text("a file")
    store = Store(tmp_path / "state" / "ledger.db", flush_s=3600, log=lines.append)
    store.add(row("a"))
    assert not store.flush()
    assert store.problem is not None
    assert "cannot be made" in store.problem
    (tmp_path / "state").unlink()
    assert store.flush()
    assert ids(store.path) == ["a"]
    store.close()


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that others may look into: pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("folder", [0o555, 0o777])
def test_a_file_that_may_not_be_written_is_a_problem_until_it_may(everybodys: Path, folder: int) -> None:
    """In a process of its own: root may write everywhere, so it becomes somebody else."""
    script = """
        import os, sys
        from pathlib import Path
        import errno, shutil, sqlite3, encodings.idna
        from tests.ledger_rows import row
        from trivet.ledger.store import Store
        path = Path(sys.argv[1])
        if os.getuid() == 0:
            os.setresuid(65534, 65534, 0)
        store = Store(path, flush_s=3600)
        store.add(row("b"))
        assert not store.flush()
        print(store.problem, flush=True)
        input()
        assert store.flush(), store.problem
        store.close()
    """
    path = everybodys / "ledger.db"
    first = Store(path)
    first.add(row("a"))
    first.close()
    path.chmod(0o444)
    path.parent.chmod(folder)
    process = python(script, path)
    assert process.stdin is not None
    assert process.stdout is not None
    problem = process.stdout.readline()
    path.parent.chmod(0o777)
    for file in path.parent.iterdir():  # SQLite makes the others as the first one is
        file.chmod(0o666)
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait() == 0
    assert "cannot be written" in problem
    assert "make its folder and ledger.db* in it writable" in problem
    assert ids(path) == ["a", "b"]


def test_a_file_that_is_no_database_is_moved_aside(store: Store, path: Path, lines: list[str]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    store.add(row("a"))
    assert store.flush()
    assert ids(path) == ["a"]
    (aside,) = path.parent.glob("ledger.db.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    assert len(lines) == 1
    assert aside.name in lines[0]
    assert store.problem is None


def damage(path: Path) -> None:
    """All of the file itself, with nothing in the WAL that could mend it."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def test_a_file_that_is_damaged_while_it_is_open_is_moved_aside(store: Store, path: Path, lines: list[str]) -> None:
    for n in range(100):
        store.add(row(f"{n:02}"))
    store.flush()
    damage(path)
    with pytest.raises(TrivetError, match="damaged") as refused:
        store.fetch("00")
    assert refused.value.status == 503
    store.add(row("a"))
    assert store.flush()
    assert ids(path) == ["a"]
    assert len(list(path.parent.glob("ledger.db.damaged-*"))) == 1
    assert len(lines) == 1


def test_a_file_that_another_process_has_replaced_already_is_not_moved_again(path: Path, lines: list[str]) -> None:
    one, other = (Store(path, flush_s=3600, log=lines.append) for _ in range(2))
    for store in (one, other):
        store.add(row(f"before {store is one}"))
        store.flush()
    damage(path)
    for store in (one, other):
        store._file.suspect = True
        store.add(row(f"after {store is one}"))
        assert store.flush()
    assert ids(path) == ["after False", "after True"]
    assert len(list(path.parent.glob("ledger.db.damaged-*[0-9]"))) == 1
    one.close()
    other.close()


def test_a_file_that_was_removed_while_it_is_open_is_begun_anew(store: Store, path: Path, lines: list[str]) -> None:
    store.add(row("a"))
    store.flush()
    shutil.rmtree(path.parent)
    store.add(row("b"))
    assert store.flush()
    assert ids(path) == ["b"]
    assert lines == [f"{path} was moved or removed while trivet was writing to it: it is begun anew."]


def fill_and_empty(store: Store, fill: Path) -> None:
    """Until the disk has no room; then makes some again."""
    added = 0
    while store.problem is None:
        store.add(row(f"{added:05}"))
        added += 1
        store.flush()
    assert store.problem.startswith("The disk is full"), store.problem
    for _ in range(100):
        store.add(row(f"{added:05}"))
        added += 1
    assert not store.flush()
    assert store.waiting == 101
    fill.unlink()
    assert store.flush(), store.problem
    store.close()
    assert ids(store.path) == [f"{n:05}" for n in range(added)]
    assert all(len(found.attempts) == 1 for found in export(store.path))


def test_on_a_full_disk_rows_wait_until_there_is_room(tmp_path: Path, lines: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount; a limit on the file's size is tested in any case")
    try:
        fill = disk / "fill"
        fill.write_bytes(bytes(1_500_000))
        fill_and_empty(Store(disk / "ledger.db", flush_s=3600, log=lines.append), fill)
        assert len(lines) == 2, lines
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_at_the_limit_of_a_files_size_rows_wait_until_it_is_lifted(path: Path) -> None:
    script = """
        import resource, sys
        from pathlib import Path
        from tests.ledger_rows import row
        from trivet.ledger.store import Store
        store = Store(Path(sys.argv[1]), flush_s=3600, room_rows=50)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        added = 0
        while store.flush() or store.flush():  # the first may have made room: what is in the WAL goes to the file
            for _ in range(40):
                store.add(row(f"{added:05}"))
                added += 1
        print(store.problem)
        for _ in range(60):
            store.add(row(f"{added:05}"))
            added += 1
        assert not store.flush()
        assert store.waiting == 50 and store.dropped == 50
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert store.flush(), store.problem
        store.close()
        print(added)
    """
    told, _ = python(script, path).communicate()
    problem, added = told.splitlines()
    assert "look at its disk's room, quota and health" in problem
    kept = [f"{n:05}" for n in range(int(added)) if not int(added) - 100 <= n < int(added) - 50]
    assert ids(path) == kept


# versions

# The tables of version 1, as the first release made them.
VERSION_1 = """
CREATE TABLE requests (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL, task TEXT, asked TEXT,
outcome TEXT, took_s REAL, status INTEGER, model TEXT, "key" TEXT, session TEXT, stream INTEGER, first_content_s REAL,
error TEXT, cache TEXT, prefix TEXT, prefix_chars INTEGER, route TEXT, uncached_input_tokens INTEGER,
cache_read_tokens INTEGER, cache_write_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER,
cache_write_1h_tokens INTEGER, audio_input_tokens INTEGER, audio_output_tokens INTEGER, prompt_tokens INTEGER,
audio_s REAL, usd TEXT, price_source TEXT, price_dated TEXT, usd_unknown TEXT, estimate INTEGER, saved_usd TEXT);
CREATE INDEX requests_at ON requests (at);
CREATE TABLE attempts (request INTEGER NOT NULL, n INTEGER NOT NULL, model TEXT, outcome TEXT, began_s REAL,
took_s REAL, first_content_s REAL, error TEXT, said_model TEXT, response_id TEXT, uncached_input_tokens INTEGER,
cache_read_tokens INTEGER, cache_write_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER,
cache_write_1h_tokens INTEGER, audio_input_tokens INTEGER, audio_output_tokens INTEGER, prompt_tokens INTEGER,
audio_s REAL, usd TEXT, price_source TEXT, price_dated TEXT, usd_unknown TEXT, estimate INTEGER, saved_usd TEXT,
PRIMARY KEY (request, n)) WITHOUT ROWID;
INSERT INTO requests (number, id, at, task, asked, outcome, took_s, status, model, "key", stream, cache, route,
uncached_input_tokens, cache_read_tokens, output_tokens, usd, price_source, price_dated, estimate, saved_usd)
VALUES (7, 'old', 1790942400.0, 'chat', 'smart', 'answered', 1.5, 200, 'openai/a', 'team', 1, 'none',
'[{"model":"openai/a","outcome":"answered"}]', 10, 3, 5, '0.000000000000000001', 'list 1', '2026-01-01', 0, '0.10');
INSERT INTO attempts (request, n, model, outcome, began_s, took_s, output_tokens, usd, estimate)
VALUES (7, 0, 'openai/a', 'answered', 0.0, 1.5, 5, '1E-18', 1);
PRAGMA user_version=1;
"""


def test_a_file_of_version_1_is_read_and_written(store: Store, path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    old = Row(
        id="old",
        at=NOON,
        task="chat",
        asked="smart",
        outcome="answered",
        took_s=1.5,
        model="openai/a",
        key="team",
        stream=True,
        usage=Usage(uncached_input_tokens=10, cache_read_tokens=3, output_tokens=5),
        cost=Cost(usd=Decimal("0.000000000000000001"), source="list 1", dated="2026-01-01", saved_usd=Decimal("0.10")),
        route=(Attempt(model="openai/a", outcome="answered"),),
        attempts=(
            AttemptRow(
                model="openai/a",
                outcome="answered",
                began_s=0.0,
                took_s=1.5,
                usage=Usage(output_tokens=5),
                cost=Cost(usd=Decimal("1E-18"), estimate=True),
            ),
        ),
    )
    assert store.fetch("old") == old
    store.add(row("new"))
    assert store.flush()
    assert list(export(path)) == [old, row("new")]


def test_a_migration_that_was_released_is_never_changed() -> None:
    """Add a script for the next version, and its digest here."""
    digests = [hashlib.sha256(script.encode()).hexdigest()[:16] for script in schema.MIGRATIONS]
    assert digests == ["b6d3ce91fb17407a"]


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(store: Store, path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE future (a); PRAGMA user_version={len(schema.MIGRATIONS) + 1};")
    before = path.read_bytes()
    store.add(row("a"))
    assert not store.flush()
    assert store.problem is not None
    assert "newer trivet" in store.problem
    assert store.waiting == 1
    with pytest.raises(ConfigError, match="update trivet"):
        opened(path, schema.MIGRATIONS)
    with pytest.raises(ConfigError, match="update trivet"):
        store.fetch("b")
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["ledger.db"]


# retention


def test_old_rows_are_deleted_in_portions_with_their_attempts(
    path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setattr("time.time", lambda: NOON + 30 * 86_400)
    monkeypatch.setattr("trivet.ledger.file.SWEEP_ROWS", 2)
    first = Store(path)
    for n in range(5):
        first.add(row(f"old {n}", at=NOON - 1 - n))
    first.add(row("young", at=NOON + 1))
    first.close()
    store = Store(path, retention_days=30, flush_s=3600, log=lines.append)
    left = []
    for _ in range(4):
        store.flush()
        left.append(len(ids(path)))
    store.close()
    assert left[-1] == 1
    assert left == sorted(left, reverse=True)
    assert ids(path) == ["young"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
    assert lines == []


def test_old_rows_go_every_hour_also_where_no_new_ones_come(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SWEEP_S", 0.01)
    store = Store(path, retention_days=30, flush_s=0.01)
    store.add(row("a", at=0.0))
    while not path.exists() or store.waiting or ids(path):
        pass
    store.close()
    assert ids(path) == []
