"""SQLite files that several processes share."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trivet.database import DAMAGED, folder, move_aside, opened, transaction
from trivet.errors import ConfigError

ROOT = Path(__file__).parent.parent
FIRST = "CREATE TABLE a (x);\nINSERT INTO a VALUES (1);\n"
SECOND = "ALTER TABLE a ADD COLUMN y;\nUPDATE a SET y = 2;\n"


def python(script: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "state.db"


def test_a_new_file_is_for_its_owner_alone_with_all_that_belongs_to_it(path: Path) -> None:
    with contextlib.closing(opened(path, [FIRST])):
        found = list(path.parent.iterdir())
        assert {file.name for file in found} == {"state.db", "state.db-wal", "state.db-shm"}
        assert all(file.stat().st_mode & 0o077 == 0 for file in found)


def test_migrations_run_once_and_in_their_order(path: Path) -> None:
    for migrations, rows in (([FIRST], [(1,)]), ([FIRST, SECOND], [(1, 2)]), ([FIRST, SECOND], [(1, 2)])):
        with contextlib.closing(opened(path, migrations)) as connection:
            assert connection.execute("SELECT * FROM a").fetchall() == rows


def test_a_migration_that_fails_leaves_the_version_before(path: Path) -> None:
    opened(path, [FIRST]).close()
    with pytest.raises(sqlite3.OperationalError):
        opened(path, [FIRST, SECOND + "CREATE NONSENSE;\n"])
    with contextlib.closing(opened(path, [FIRST])) as connection:
        assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]


def test_a_newer_file_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=3")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"schema 3, this one knows 2.*update trivet"):
        opened(path, [FIRST, SECOND])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_no_database_is_said_to_be_damaged(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"something else" * 100)
    with pytest.raises(sqlite3.DatabaseError) as refused:
        opened(path, [FIRST])
    assert refused.value.sqlite_errorcode in DAMAGED


def test_a_transaction_is_written_whole_or_not_at_all(path: Path) -> None:
    with contextlib.closing(opened(path, [FIRST])) as connection:
        with contextlib.suppress(ZeroDivisionError), transaction(connection):
            connection.execute("INSERT INTO a VALUES (2)")
            raise ZeroDivisionError
        assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]


def test_many_processes_may_make_one_file_at_once(path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from trivet.database import opened, transaction
        print("ready", flush=True)
        for path in sys.stdin:
            connection = opened(Path(path.strip()), [{FIRST!r}, {SECOND!r}], busy_s=60)
            with transaction(connection):
                connection.execute("INSERT INTO a VALUES (3, 4)")
            connection.close()
    """
    all_of_them = [python(script) for _ in range(4)]
    for process in all_of_them:
        assert process.stdout is not None
        process.stdout.readline()
    files = [path.with_name(f"{n}.db") for n in range(20)]
    for process in all_of_them:
        assert process.stdin is not None
        process.stdin.write("".join(f"{file}\n" for file in files))
        process.stdin.flush()
    for process in all_of_them:
        process.communicate()
        assert process.returncode == 0
    for file in files:
        with contextlib.closing(opened(file, [FIRST, SECOND])) as connection:
            assert connection.execute("SELECT count(*), sum(x) FROM a").fetchone() == (5, 1 + 4 * 3)


def test_another_process_that_is_just_making_the_file_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself gives up at once where somebody is about to write to a file that has no WAL yet."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            other.rollback()

        monkeypatch.setattr("time.sleep", wait)
        with contextlib.closing(opened(path, [FIRST])) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert len(waits) == 1


@pytest.mark.skipif(os.name == "nt", reason="locks are a process's own on POSIX")
def test_a_second_connection_leaves_the_locks_of_the_first(path: Path) -> None:
    """Closing any file descriptor of a file ends all locks that the process has on it (sqlite.org/howtocorrupt.html,
    2.2): another process could then take the WAL away from under the first connection."""
    script = """
        import sqlite3, sys
        print(sqlite3.connect(sys.argv[1], timeout=0).execute("PRAGMA journal_mode=DELETE").fetchone())
    """
    with contextlib.closing(opened(path, [FIRST])):
        opened(path, [FIRST]).close()
        said, _ = python(script, path).communicate()
        assert said != "('delete',)\n"


def test_what_is_moved_aside_is_whole_and_the_name_is_free(path: Path) -> None:
    connection = opened(path, [FIRST])
    connection.execute("INSERT INTO a VALUES (2)")  # is in the WAL
    aside = move_aside(path)
    assert not any(file.name.startswith("state.db-") or file == path for file in path.parent.iterdir())
    connection.close()
    with contextlib.closing(sqlite3.connect(aside)) as moved:
        assert moved.execute("SELECT * FROM a").fetchall() == [(1,), (2,)]


def test_two_damaged_files_in_one_second_are_both_kept(path: Path) -> None:
    path.parent.mkdir()
    for content in (b"one", b"two"):
        path.write_bytes(content)
        move_aside(path)
    assert {file.read_bytes() for file in path.parent.iterdir()} == {b"one", b"two"}


def test_the_folder_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIVET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "state"
    monkeypatch.delenv("TRIVET_STATE")
    assert folder() == tmp_path / "home"
    monkeypatch.delenv("TRIVET_HOME")
    assert folder().name == "trivet"
