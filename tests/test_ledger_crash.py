"""What is left of the ledger after kill -9: all but what came in the last moments, and nothing of it torn."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_rows import attempt, row
from trivet.ledger.rows import Row
from trivet.ledger.store import Store, export
from trivet.ledger.totals import totals

ROOT = Path(__file__).parent.parent
MOMENTS = 50
FILES = 25  # so that half of the moments find what an earlier one has left

# For each file that it is told, a process that adds requests as fast as it can: it says its id, and again and again how
# many are written for certain. They are forked, which spares each the imports.
SCRIPT = """
    import os, sys, threading
    from pathlib import Path
    from tests.test_ledger_crash import numbered
    from trivet.ledger.store import Store

    sys.setswitchinterval(0.0005)  # the two threads take turns more often: more moments in the same time
    added = 0

    def add(store, first):
        global added
        while True:
            if store.waiting < 60:
                store.add(numbered(first + added))
                added += 1

    def say(what):
        os.write(1, f"{what}\\n".encode())  # in one piece, also where it is killed

    for line in sys.stdin:
        path, first = line.split()
        child = os.fork()
        if child == 0:
            say(os.getpid())
            store = Store(Path(path), flush_s=0.001, batch_rows=20)
            threading.Thread(target=add, args=(store, int(first)), daemon=True).start()
            while True:
                before = added
                assert store.flush()
                say(before)
        os.waitpid(child, 0)
        say("over")
"""


def numbered(n: int) -> Row:
    """With one to three attempts, by its number."""
    return row(f"{n:08}", *(attempt(f"openai/{letter}", "0.001") for letter in "abc"[: n % 3 + 1]))


@pytest.fixture(scope="module")
def processes() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def killed(processes: subprocess.Popen[str], path: Path, first: int, lines: int) -> int:
    """Kills one at work on `path` as soon as it has said so many `lines`; how many rows are written, as it has said."""
    assert processes.stdin is not None
    assert processes.stdout is not None
    processes.stdin.write(f"{path} {first}\n")
    processes.stdin.flush()
    child = int(processes.stdout.readline())
    written = [int(processes.stdout.readline()) for _ in range(lines)]
    os.kill(child, signal.SIGKILL)
    while (line := processes.stdout.readline()) != "over\n":
        written.append(int(line))
    return written[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_the_ledger_opens_and_adds_up(processes: subprocess.Popen[str], tmp_path: Path) -> None:
    """50 moments, chosen by how far the process says it is. What it does right then is chance: most are killed in the
    midst of a transaction, as they do nothing else."""
    moments = random.Random(5)
    for moment in range(MOMENTS):
        path = tmp_path / f"{moment % FILES}.db"
        first = sum(total.requests for total in totals(path, []))
        written = killed(processes, path, first, moments.randint(1, 6))
        rows = list(export(path))
        assert len(rows) >= first + written, "rows are missing that were written"
        assert rows == [numbered(n) for n in range(len(rows))], "a row is missing, torn or altered"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            attempts = sum(len(row.attempts) for row in rows)
            assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (attempts,)
        (total,) = totals(path, [])
        assert (total.requests, total.usd) == (len(rows), sum(row.cost.usd or 0 for row in rows))
        assert total.unknown_costs == 0


def test_after_a_kill_the_next_process_goes_on(processes: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    killed(processes, path, 0, 3)
    lines: list[str] = []
    store = Store(path, log=lines.append)
    store.add(row("next"))
    store.close()
    assert store.fetch("next") == row("next")
    assert lines == []
