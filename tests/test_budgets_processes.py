"""Budgets of several processes on one file: real processes at once, one that is killed, and many short histories of two
against a simple model."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from trivet.errors import BudgetError
from trivet.ledger.budgets import Budgets, Reservation
from trivet.ledger.keys import Keys
from trivet.ledger.leases import standing
from trivet.ledger.limits import Limit, amount, counted
from trivet.ledger.settings import BudgetSettings

# Argument: the file. It says `ready`, and for each line that it is told does what that says.
PROCESS = """
import asyncio, random, sys
from decimal import Decimal
from pathlib import Path
from trivet.errors import BudgetError
from trivet.ledger.budgets import Budgets
from trivet.ledger.keys import Keys
from trivet.ledger.settings import BudgetSettings

keys = Keys(Path(sys.argv[1]))
budgets = Budgets(keys, BudgetSettings(), busy_s=60)

async def one(usd):
    try:
        return await budgets.reserve("alice", {"usd": usd})
    except BudgetError:
        return None

async def at_once(n):
    came = await asyncio.gather(*(one(Decimal("0.05")) for _ in range(n)))
    return sum(reservation is not None for reservation in came)

async def until_refused(seed):
    "Requests of many sizes, eight at a time, each of which takes less than it reserved."
    chance, spent, refusals = random.Random(seed), Decimal(), 0
    while refusals < 50:
        asked = [Decimal(chance.randint(1, 10**10)).scaleb(-12) for _ in range(8)]
        for usd, reservation in zip(asked, await asyncio.gather(*(one(usd) for usd in asked))):
            if reservation is None:
                refusals += 1
                continue
            took = usd * chance.randint(1, 100) / 100
            reservation.settle({"usd": took})
            spent += took
    await budgets.flush()
    return spent

async def main():
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        what, number = line.split()
        print(await globals()[what](int(number)), flush=True)
    await budgets.close()

asyncio.run(main())
"""


class Process:
    def __init__(self, path: Path) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.hears() == "ready"

    def tell(self, line: str) -> None:
        assert self.running.stdin is not None
        print(line, file=self.running.stdin, flush=True)

    def hears(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def ends(self) -> None:
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.close()
        assert self.running.wait(30) == 0
        self.running.stdout.close()

    def is_killed(self) -> None:
        self.running.send_signal(signal.SIGKILL)
        self.running.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


def spent_and_taken(path: Path, limit: str) -> tuple[Decimal, Decimal]:
    spent, taken = standing(path, "alice", [Limit.of(limit)], time.time())[0]
    return amount("usd", spent), amount("usd", taken)


def test_of_250_at_once_in_each_of_two_processes_exactly_100_are_admitted(path: Path) -> None:
    Keys(path).add("alice", [Limit.of("5usd/ever")])
    both = [Process(path), Process(path)]
    for process in both:
        process.tell("at_once 250")
    assert sum(int(process.hears()) for process in both) == 100
    for process in both:
        process.ends()
    assert spent_and_taken(path, "5usd/ever") == (0, 5)


def test_two_processes_spend_all_of_a_budget_and_not_a_cent_more(path: Path) -> None:
    Keys(path).add("alice", [Limit.of("1usd/ever")])
    both = [Process(path), Process(path)]
    for n, process in enumerate(both):
        process.tell(f"until_refused {n}")
    spent = sum(Decimal(process.hears()) for process in both)
    for process in both:
        process.ends()
    written, taken = spent_and_taken(path, "1usd/ever")
    assert Decimal("0.98") < written <= 1  # a request takes a cent at most
    assert taken == written  # nothing is reserved any more
    assert 0 <= written - spent < Decimal("1e-9")  # each settled amount is rounded up to a millionth of a millionth


def test_what_a_killed_process_held_counts_as_taken(path: Path) -> None:
    Keys(path).add("alice", [Limit.of("5usd/ever")])
    killed = Process(path)
    killed.tell("at_once 20")
    assert killed.hears() == "20"
    _, taken = spent_and_taken(path, "5usd/ever")
    killed.is_killed()
    assert taken >= 1
    other = Process(path)
    other.tell("at_once 250")
    assert int(other.hears()) == int((5 - taken) / Decimal("0.05"))
    other.ends()


# --- histories ---

LIMITS = ("1usd/day", "8 requests/minute", "200 tokens/ever")
PARSED = tuple(Limit.of(text) for text in LIMITS)
UNITS = ("usd", "requests", "tokens")
Wants = dict[str, int]  # cents, requests, tokens


def amounts(wants: Wants) -> dict[str, Decimal | int]:
    return {unit: Decimal(n) / 100 if unit == "usd" else n for unit, n in wants.items()}


class Held:
    """A reservation, and what the model knows of it: for each time that something was reserved, the window of each unit
    and how much."""

    def __init__(self, process: int, reservation: Reservation) -> None:
        self.process, self.reservation = process, reservation
        self.parts: list[tuple[dict[str, int], Wants]] = []


wants = st.fixed_dictionaries({"usd": st.integers(0, 40), "requests": st.integers(0, 3), "tokens": st.integers(0, 80)})
processes = st.integers(0, 1)


class TwoProcesses(RuleBasedStateMachine):
    """What is admitted fits. What is refused does not, beside what the other process holds in leases. What is settled
    is in the file in the end, in the window where it was reserved, and nothing is reserved."""

    @initialize()
    def begins(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "keys.db"
        Keys(path).add("alice", PARSED)
        self.now = 1_795_953_590.0
        self.path, self.keys = path, [Keys(path), Keys(path)]
        self.budgets = [Budgets(keys, BudgetSettings(), clock=lambda: self.now, busy_s=60) for keys in self.keys]
        self.runner = asyncio.Runner()
        self.held: list[Held] = []
        self.spent: Counter[tuple[str, int]] = Counter()  # by unit and window

    @rule(process=processes, wanted=wants)
    def reserves(self, process: int, wanted: Wants) -> None:
        reservation = self._asks(process, wanted, self.budgets[process].reserve("alice", amounts(wanted)))
        if reservation is not None:
            held = Held(process, reservation)
            held.parts.append((self._windows(), wanted))
            self.held.append(held)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wanted=wants)
    def adds(self, data: Any, wanted: Wants) -> None:
        held = data.draw(st.sampled_from(self.held))
        if self._asks(held.process, wanted, self._more(held, wanted)) is not None:
            held.parts.append((self._windows(), wanted))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), part=st.sampled_from([0, 50, 100, 130]))
    def settles(self, data: Any, part: int) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        took = {unit: sum(wanted[unit] for _, wanted in held.parts) * part // 100 for unit in UNITS}
        self._on_loop(held.reservation.settle, amounts(took))
        self._on_loop(held.reservation.settle, amounts(took))  # which changes nothing
        for n, (windows, wanted) in enumerate(held.parts):
            for unit in UNITS:
                here = took[unit] if n == len(held.parts) - 1 else min(took[unit], wanted[unit])
                took[unit] -= here
                self.spent[unit, windows[unit]] += here
        if part > 100:  # the other process knows of it half a second later
            self.flushes(held.process)

    @rule(process=processes)
    def flushes(self, process: int) -> None:
        self.runner.run(self.budgets[process].flush())

    @rule(seconds=st.sampled_from([20, 60, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    def teardown(self) -> None:
        if not hasattr(self, "budgets"):
            return
        for held in list(self.held):
            self._on_loop(held.reservation.settle, {})
        for budgets in self.budgets:
            assert set(budgets.reserved("alice").values()) <= {0}
            self.runner.run(budgets.close())
            assert budgets.problem is None
        for limit, (spent, taken) in zip(PARSED, self._in_file(), strict=True):
            assert spent == taken == self._counted(limit.unit, self.spent[limit.unit, limit.window(self.now)[0]])
        self.runner.close()
        for keys in self.keys:
            keys.close()
        self.folder.cleanup()

    def _asks(self, process: int, wanted: Wants, asking: Any) -> Any:
        """What comes of it, which has to be what the model says."""
        windows, fits = self._windows(), True
        for limit in PARSED:
            total = self._total(limit.unit, windows[limit.unit]) + wanted[limit.unit]
            fits = fits and (not wanted[limit.unit] or self._counted(limit.unit, total) <= limit.most)
        try:
            came = self.runner.run(asking)
        except BudgetError:
            left = [limit.most - taken for limit, (_, taken) in zip(PARSED, self._in_file(), strict=True)]
            lacks = [self._counted(u, wanted[u]) > rest for u, rest in zip(UNITS, left, strict=True)]
            assert any(lacks), f"refused {wanted} with {left} left"
            return None
        assert fits, f"{wanted} was admitted"
        return came

    async def _more(self, held: Held, wanted: Wants) -> bool:
        await held.reservation.more(amounts(wanted))
        return True

    def _total(self, unit: str, window: int) -> int:
        parts = [part for held in self.held for part in held.parts]
        reserved = sum(wanted[unit] for windows, wanted in parts if windows[unit] == window)
        return self.spent[unit, window] + reserved

    def _windows(self) -> dict[str, int]:
        return {limit.unit: limit.window(self.now)[0] for limit in PARSED}

    def _in_file(self) -> list[tuple[int, int]]:
        return standing(self.path, "alice", PARSED, self.now)

    def _counted(self, unit: str, n: int) -> int:
        return counted(unit, Decimal(n) / 100 if unit == "usd" else n)

    def _on_loop(self, function: Any, *args: Any) -> None:
        async def called() -> None:
            function(*args)

        self.runner.run(called())


TestTwoProcesses = TwoProcesses.TestCase
TestTwoProcesses.settings = settings(max_examples=settings.default.max_examples // 2)  # each writes to a disk
