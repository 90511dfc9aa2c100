"""The file of answers that may be given again: what it keeps, for how long and how much, and what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import CEILING_S, ROOT
from trivet.adapt.cache_settings import CacheSettings
from trivet.adapt.cache_store import CacheStore

NOISE = os.urandom(20_000)  # which zlib does not make smaller
Made = Callable[..., CacheStore]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.db"


@pytest.fixture
def made(path: Path) -> Iterator[Made]:
    """Stores on one file, which write when they are told to."""
    stores: list[CacheStore] = []

    def make(**options: Any) -> CacheStore:
        stores.append(CacheStore(path, **{"flush_s": 3600, "again_s": 0, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def key(n: int) -> bytes:
    return n.to_bytes(32, "big")


def kept(path: Path) -> int:
    with sqlite3.connect(path) as file:
        return int(file.execute("SELECT count(*) FROM answers").fetchone()[0])


def test_what_is_put_is_got_at_once_after_it_is_written_and_by_the_next_process(made: Made) -> None:
    store = made()
    assert store.get(key(1)) is None
    assert store.put(key(1), b"one")
    assert store.get(key(1)) == b"one"
    store.flush()
    assert (store.get(key(1)), store.get(key(2))) == (b"one", None)
    store.put(key(2), b"two")
    store.close()
    assert (made().get(key(1)), made().get(key(2))) == (b"one", b"two")


def test_it_is_written_without_being_told_to(made: Made) -> None:
    store, other = made(flush_s=0.01), made()
    store.put(key(1), b"one")
    assert store._thread is not None
    while other.get(key(1)) is None:
        assert store._thread.is_alive()
    assert other.get(key(1)) == b"one"


def test_the_newer_takes_the_place_of_the_older(made: Made) -> None:
    store = made()
    for body in (b"one", b"two"):
        store.put(key(1), body)
    assert store.get(key(1)) == b"two"
    store.flush()
    store.put(key(1), b"three")
    store.flush()
    assert store.get(key(1)) == b"three"


def test_what_is_put_while_the_older_is_written_is_written_after_it(made: Made) -> None:
    clock, during = Clock(), [b"two"]

    def looked_at() -> float:  # as the clock is while a batch is written
        if during and written:
            store.put(key(1), during.pop())
        return clock()

    store, written = made(clock=looked_at), False
    store.put(key(1), b"one")
    written = True
    store.flush()
    assert store.get(key(1)) == made(clock=clock).get(key(1)) == b"two"


def test_bytes_are_made_smaller_where_that_pays(made: Made, path: Path) -> None:
    store = made()
    store.put(key(1), b"word " * 1000)
    store.put(key(2), NOISE)
    store.flush()
    assert (store.get(key(1)), store.get(key(2))) == (b"word " * 1000, NOISE)
    with sqlite3.connect(path) as file:
        sizes = [size for (size,) in file.execute("SELECT length(body) FROM answers ORDER BY key")]
    assert sizes[0] < 500
    assert sizes[1] == len(NOISE)


def test_the_file_is_for_its_owner_alone(made: Made, path: Path) -> None:
    made()
    assert path.stat().st_mode & 0o777 == 0o600


# --- age and size ----------------------------------------------------------------------------------------------


def test_what_is_too_old_is_not_got_and_goes_from_the_file(made: Made, path: Path) -> None:
    clock = Clock()
    store = made(max_age_s=100, clock=clock)
    store.put(key(1), b"one")
    clock.now += 99
    assert store.get(key(1)) == b"one"
    clock.now += 1
    assert store.get(key(1)) is None  # while it waits
    store.flush()
    assert kept(path) == 0
    store.put(key(1), b"one")
    store.flush()
    clock.now += 100
    assert store.get(key(1)) is None  # while it is in the file
    store.put(key(2), b"two")
    store.flush()
    assert kept(path) == 1


def test_the_file_stays_below_its_bound_and_keeps_what_was_used_last(made: Made, path: Path) -> None:
    clock = Clock()
    store = made(max_mb=1, clock=clock)
    for n in range(200):  # 4 MB
        clock.now += 1
        store.put(key(n), NOISE)
        if n % 10 == 9:
            clock.now += 100
            assert store.get(key(0)) == NOISE  # which counts as a use, once in a while
            store.flush()
            assert sum(store._size()) <= 1_000_000
    store.close()
    assert path.stat().st_size <= 1_000_000
    again = made(clock=clock)
    there = [n for n in range(200) if again.get(key(n)) is not None]
    assert there == [0, *range(200 - len(there) + 1, 200)]
    assert len(there) > 30  # it is not emptied either: some 45 have room


def test_a_file_with_a_smaller_bound_than_before_shrinks(made: Made, path: Path) -> None:
    first = made(max_mb=8)
    for n in range(300):
        first.put(key(n), NOISE)
    first.close()
    assert path.stat().st_size > 6_000_000
    second = made(max_mb=1)
    second.flush()
    second.close()
    assert path.stat().st_size <= 1_000_000
    assert not Path(f"{path}-wal").exists()


def test_an_answer_that_would_push_out_many_others_is_not_kept(made: Made) -> None:
    store = made(max_mb=1)
    assert not store.put(key(1), bytes(63_000))
    assert store.put(key(1), bytes(62_000))


def test_what_waits_to_be_written_has_a_bound(made: Made) -> None:
    store = made(max_mb=1000)
    puts = [store.put(key(n), bytes(1_000_000)) for n in range(40)]
    assert (sum(puts), puts[:32]) == (32, [True] * 32)
    store.flush()
    assert store.put(key(40), bytes(1_000_000))


@pytest.mark.parametrize("wrong", [{"max_mb": 0}, {"max_age_s": 0}, {"max_mb": -1}])
def test_bounds_are_more_than_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CacheSettings(**wrong)  # type: ignore[arg-type]


# --- what is wrong with the file -------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_moved_aside_and_begun_anew(made: Made, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 500)
    store = made()
    assert store.problem is None
    store.put(key(1), b"one")
    store.flush()
    assert store.get(key(1)) == b"one"
    (aside,) = path.parent.glob("cache.db.damaged-*")
    assert aside.read_bytes().startswith(b"not a database")


def test_a_file_that_is_damaged_while_it_is_used_is_moved_aside_and_begun_anew(made: Made, path: Path) -> None:
    first = made(max_mb=8)
    for n in range(300):
        first.put(key(n), NOISE)
    first.close()
    store = made(max_mb=8)
    with path.open("r+b") as file:  # all but the page that says what it is
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    assert store.get(key(1)) is None
    store.put(key(2), b"two")
    store.flush()
    assert (store.problem, store.get(key(2))) == (None, b"two")
    assert len([p for p in path.parent.glob("cache.db.damaged-*") if not p.name.endswith(("-wal", "-shm"))]) == 1


def test_a_file_that_is_deleted_while_it_is_used_begins_anew(made: Made, path: Path) -> None:
    store = made()
    store.put(key(1), b"one")
    store.flush()
    for each in path.parent.iterdir():
        each.unlink()
    store.put(key(2), b"two")
    store.flush()
    assert (store.get(key(1)), store.get(key(2)), made().get(key(2))) == (None, b"two", b"two")


def test_while_another_process_writes_reads_go_on_and_writes_wait(made: Made, path: Path) -> None:
    store = made(busy_s=0)
    store.put(key(1), b"one")
    store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.put(key(2), b"two")
    store.flush()
    assert store.problem is not None
    assert "locked by another process" in store.problem
    assert (store.get(key(1)), store.get(key(2))) == (b"one", b"two")
    other.execute("ROLLBACK")
    other.close()
    store.flush()
    assert (store.problem, made().get(key(2))) == (None, b"two")


def test_a_file_that_is_locked_against_everybody_is_a_miss_until_it_is_free(made: Made, path: Path) -> None:
    made().close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    store = made(busy_s=0)
    assert store.problem is not None
    assert (store.put(key(1), b"one"), store.get(key(1))) == (False, None)
    other.close()
    store.flush()
    assert store.put(key(1), b"one")
    store.flush()
    assert (store.problem, store.get(key(1))) == (None, b"one")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.mkdir(parents=True), "unable to open"),
        (lambda path: path.parent.write_bytes(b""), "exists"),
        (lambda path: _newer(path), "newer trivet"),
    ],
)
def test_a_file_that_cannot_be_opened_keeps_nothing_and_says_why(
    made: Made, path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(path)
    store = made()
    assert (store.put(key(1), b"one"), store.get(key(1))) == (False, None)
    assert store.problem is not None
    assert str(path) in store.problem
    assert says in store.problem


def _newer(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version=99")


FULL = """
import os, resource, signal, sys
from trivet.adapt.cache_store import CacheStore

store = CacheStore(sys.argv[1], flush_s=3600, again_s=0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # a write beyond it fails, as on a full disk
for n in range(100):
    assert store.put(n.to_bytes(32, "big"), os.urandom(20_000))
store.flush()
print(store.problem)
print(all(store.get(n.to_bytes(32, "big")) for n in range(100)))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.flush()
print(store.problem, store._waiting_bytes)
"""


def run(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=CEILING_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_disk_that_is_full_fails_nothing_and_what_waited_is_written_when_there_is_room(path: Path) -> None:
    problem, there, after = run(FULL, str(path)).splitlines()
    assert "cannot be used" in problem
    assert (there, after) == ("True", "None 0")


ONE_OF_TWO = """
import sys
from trivet.adapt.cache_store import CacheStore

store, first = CacheStore(sys.argv[1], busy_s=10), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for n in range(first, first + 300):
    store.put(n.to_bytes(32, "big"), b"%d" % n)
    if n % 10 == 0:
        store.flush()
    assert store.get(n.to_bytes(32, "big")) == b"%d" % n
store.close()
print(store.problem)
"""


def test_two_processes_share_a_file(made: Made, path: Path) -> None:
    command = [sys.executable, "-c", ONE_OF_TWO, str(path)]
    options: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen([*command, str(first)], **options) for first in (0, 300)]
    try:
        for process in both:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=CEILING_S)[0] for process in both] == ["None\n", "None\n"]
    finally:
        for process in both:
            process.kill()
            process.wait()
    store = made()
    assert [store.get(key(n)) for n in range(600)] == [b"%d" % n for n in range(600)]


def test_closing_twice_is_fine_and_after_it_nothing_is_kept(made: Made) -> None:
    store = made()
    store.put(key(1), b"one")
    store.close()
    store.close()
    assert (store.put(key(2), b"two"), store.get(key(1))) == (False, None)
    assert made().get(key(1)) == b"one"
