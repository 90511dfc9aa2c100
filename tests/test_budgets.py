"""Budgets: reserved before, settled after, and never a cent more than the limit."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.test_keys import spoil
from trivet.errors import BudgetError, TrivetError
from trivet.ledger import budgets as budgets_module
from trivet.ledger.budgets import Budgets, Reservation
from trivet.ledger.keys import Keys
from trivet.ledger.leases import standing
from trivet.ledger.limits import Limit, counted
from trivet.ledger.settings import BudgetSettings

CENT = Decimal("0.01")
NOON = 1_795_953_600.0  # 2026-11-29 12:00:00 UTC, a Sunday: `date -u -d @1795953600`
DAY_S = 86_400


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.db", every_s=0)


Make = Callable[..., Budgets]


@pytest.fixture
def make(keys: Keys, clock: Clock) -> Make:
    def made(*limits: str, **settings: object) -> Budgets:
        """The budgets of a process, for a key `alice` with these limits."""
        if limits:
            keys.add("alice", [Limit.of(text) for text in limits])
        return Budgets(keys, BudgetSettings(**settings), clock=clock, busy_s=0)  # type: ignore[arg-type]

    return made


def in_file(keys: Keys, text: str, now: float = NOON) -> tuple[int, int]:
    """What is spent and taken of a limit, counted."""
    return standing(keys.path, "alice", [Limit.of(text)], now)[0]


def only(found: dict[Limit, Decimal]) -> Decimal:
    (value,) = found.values()
    return value


async def refusal(budgets: Budgets, **amounts: Decimal | int) -> BudgetError:
    with pytest.raises(BudgetError) as found:
        await budgets.reserve("alice", amounts)
    return found.value


async def test_of_500_at_once_against_a_budget_for_100_exactly_100_are_admitted(make: Make, keys: Keys) -> None:
    budgets = make("5usd/day")
    asked = [budgets.reserve("alice", {"usd": 5 * CENT}) for _ in range(500)]
    came = await asyncio.gather(*asked, return_exceptions=True)
    admitted = [one for one in came if isinstance(one, Reservation)]
    assert len(admitted) == 100
    assert sum(isinstance(one, BudgetError) for one in came) == 400
    assert only(budgets.reserved("alice")) == 5
    for one in admitted:
        one.settle({"usd": 4 * CENT})
    assert only(budgets.reserved("alice")) == 0
    assert only(budgets.spent("alice")) == 4
    await budgets.close()
    assert in_file(keys, "5usd/day") == (counted("usd", 4), counted("usd", 4))


async def test_what_a_request_took_less_than_it_reserved_can_be_taken_again(make: Make) -> None:
    budgets = make("1usd/day")
    first = await budgets.reserve("alice", {"usd": 1})
    await refusal(budgets, usd=CENT)
    first.settle({"usd": Decimal("0.25")})
    (await budgets.reserve("alice", {"usd": Decimal("0.75")})).settle({})
    await refusal(budgets, usd=Decimal("0.751"))
    await budgets.close()


async def test_what_is_on_its_way_to_the_file_is_spent_meanwhile(make: Make) -> None:
    budgets = make("9usd/day")
    (await budgets.reserve("alice", {"usd": 1})).settle({"usd": 1})
    writes = asyncio.create_task(budgets.flush())
    await asyncio.sleep(0)
    assert not writes.done()
    assert only(budgets.spent("alice")) == 1
    await writes
    assert only(budgets.spent("alice")) == 1
    await budgets.close()


async def test_what_it_took_more_is_booked_and_nothing_is_left(make: Make, keys: Keys) -> None:
    budgets = make("1usd/day")
    one = await budgets.reserve("alice", {"usd": Decimal("0.9")})
    one.settle({"usd": Decimal("1.5")})
    assert only(budgets.spent("alice")) == Decimal("1.5")
    assert "has 0 USD left" in (await refusal(budgets, usd=CENT)).message
    await budgets.close()
    assert in_file(keys, "1usd/day") == (counted("usd", Decimal("1.5")),) * 2


async def test_a_reservation_is_settled_once(make: Make) -> None:
    budgets = make("1usd/day")
    one = await budgets.reserve("alice", {"usd": CENT})
    one.settle({"usd": CENT})
    one.settle({"usd": CENT})
    one.settle({})
    assert only(budgets.spent("alice")) == CENT
    with pytest.raises(RuntimeError, match="is settled"):
        await one.more({"usd": CENT})
    await budgets.close()


async def test_all_limits_are_taken_or_none(make: Make, keys: Keys) -> None:
    budgets = make("1usd/day", "10 requests/minute", "100 tokens/day")
    await budgets.reserve("alice", {"usd": CENT, "requests": 1, "tokens": 90})
    error = await refusal(budgets, usd=CENT, requests=1, tokens=11)
    assert "has 10 tokens left of its limit of 100 tokens/day" in error.message
    reserved = budgets.reserved("alice")
    assert list(reserved.values()) == [CENT, 1, 90]
    await budgets.flush()
    assert in_file(keys, "1usd/day")[1] == counted("usd", CENT)
    assert in_file(keys, "10 requests/minute")[1] == 1


async def test_another_attempt_adds_to_the_reservation(make: Make) -> None:
    budgets = make("1usd/day")
    one = await budgets.reserve("alice", {"usd": Decimal("0.4")})
    await one.more({"usd": Decimal("0.4")})
    with pytest.raises(BudgetError):
        await one.more({"usd": Decimal("0.4")})
    assert only(budgets.reserved("alice")) == Decimal("0.8")
    one.settle({"usd": Decimal("0.5")})
    assert only(budgets.reserved("alice")) == 0
    assert only(budgets.spent("alice")) == Decimal("0.5")
    await budgets.close()


async def test_what_comes_for_a_reservation_that_is_settled_meanwhile_goes_back(make: Make) -> None:
    budgets = make("10 requests/day")
    one = await budgets.reserve("alice", {"requests": 1})
    more = asyncio.create_task(one.more({"requests": 5}))
    await asyncio.sleep(0)  # it has asked the file
    one.settle({"requests": 1})
    with pytest.raises(RuntimeError, match="settled"):
        await more
    assert only(budgets.reserved("alice")) == 0


@pytest.mark.parametrize("name", ["free", "nobody", None])
async def test_who_has_no_limits_may_take_anything(make: Make, keys: Keys, name: str | None) -> None:
    budgets = make("1usd/day")
    keys.add("free")
    one = await budgets.reserve(name, {"usd": 10**6})
    await one.more({"usd": 1})
    one.settle({"usd": 1})
    assert budgets.reserved("free") == {}


async def test_units_that_a_key_has_no_limit_on_are_passed_over(make: Make) -> None:
    budgets = make("3 requests/day")
    one = await budgets.reserve("alice", {"usd": 10**6, "requests": 1})
    one.settle({"usd": 10**6, "requests": 1, "tokens": 5})
    assert budgets.spent("alice") == {Limit.of("3 requests/day"): 1}
    await budgets.close()


async def test_what_costs_nothing_passes_an_overdrawn_budget(make: Make) -> None:
    budgets = make("1usd/day", "9 requests/day")
    (await budgets.reserve("alice", {"usd": 1, "requests": 1})).settle({"usd": 2, "requests": 1})
    await refusal(budgets, usd=CENT, requests=1)
    (await budgets.reserve("alice", {"usd": 0, "requests": 1})).settle({"requests": 1})
    await budgets.close()


async def test_less_than_nothing_is_refused(make: Make) -> None:
    budgets = make("1usd/day")
    with pytest.raises(ValueError, match="less than nothing"):
        await budgets.reserve("alice", {"usd": -CENT})
    one = await budgets.reserve("alice", {"usd": CENT})
    with pytest.raises(ValueError, match="less than nothing"):
        one.settle({"usd": -CENT})
    assert only(budgets.reserved("alice")) == CENT
    await budgets.close()


# --- refusals ---


async def test_a_refusal_says_what_is_left_until_when_and_what_raises_it(make: Make) -> None:
    budgets = make("5usd/day")
    (await budgets.reserve("alice", {"usd": 4})).settle({"usd": 4})
    await budgets.reserve("alice", {"usd": Decimal("0.5")})
    error = await refusal(budgets, usd=Decimal("0.75"))
    assert error.message == (
        "The key 'alice' has 0.5 USD left of its budget of 5usd/day (4 USD spent, 0.5 USD reserved), and this request "
        "may take 0.75 USD. It begins anew at 2026-11-30 00:00 UTC. Ask for less, or raise it: `trivet keys change "
        "alice --budget '5usd/day'` with another amount."
    )
    assert (error.status, error.retry_after_s, error.retry, error.asked) == (429, DAY_S / 2, False, False)
    await budgets.close()


@pytest.mark.parametrize(
    ("limit", "amounts", "retry_after_s", "retry"),
    [
        ("1 requests/minute", {"requests": 1}, 60, True),
        ("1 requests/hour", {"requests": 1}, 3600, False),
        ("100 tokens/minute", {"tokens": 100}, 60, True),
        ("1usd/minute", {"usd": 1}, 60, False),
        ("1usd/ever", {"usd": 1}, None, False),
    ],
)
async def test_a_refusal_says_when_to_come_again(
    make: Make, limit: str, amounts: dict[str, int], retry_after_s: float | None, retry: bool
) -> None:
    budgets = make(limit)
    await budgets.reserve("alice", amounts)
    error = await refusal(budgets, **amounts)
    assert (error.retry_after_s, error.retry) == (retry_after_s, retry)
    await budgets.close()


async def test_a_request_that_never_fits_is_not_told_to_wait(make: Make) -> None:
    budgets = make("100 tokens/minute")
    error = await refusal(budgets, tokens=101)
    assert (error.retry_after_s, error.retry) == (None, False)
    assert "more than it ever has" in error.message
    await budgets.close()


async def test_a_request_that_fits_passes_others_that_do_not(make: Make) -> None:
    budgets = make("100 tokens/day")
    asked = [budgets.reserve("alice", {"tokens": n}) for n in (60, 60, 40)]
    came = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, Reservation) for one in came] == [True, False, True]
    await budgets.close()


# --- windows ---


async def test_a_new_window_begins_anew_and_old_reservations_stay_in_theirs(
    make: Make, keys: Keys, clock: Clock
) -> None:
    budgets = make("1usd/day")
    old = await budgets.reserve("alice", {"usd": 1})
    clock.now += DAY_S
    new = await budgets.reserve("alice", {"usd": 1})
    old.settle({"usd": Decimal("0.5")})
    assert only(budgets.reserved("alice")) == 1
    assert only(budgets.spent("alice")) == 0
    await refusal(budgets, usd=CENT)  # what the old one gave back is yesterday's
    new.settle({"usd": CENT})
    assert only(budgets.spent("alice")) == CENT
    await budgets.close()
    assert in_file(keys, "1usd/day", NOON) == (counted("usd", Decimal("0.5")),) * 2
    assert in_file(keys, "1usd/day", clock.now) == (counted("usd", CENT),) * 2


async def test_a_lease_ends_with_its_window(make: Make, keys: Keys, clock: Clock) -> None:
    budgets = make("100 requests/minute")
    await budgets.reserve("alice", {"requests": 1})
    assert in_file(keys, "100 requests/minute")[1] > 1
    clock.now += 60
    await budgets.reserve("alice", {"requests": 1})
    await budgets.flush()
    assert in_file(keys, "100 requests/minute", NOON)[1] == 1
    assert in_file(keys, "100 requests/minute", clock.now)[1] == 1
    await budgets.close()


async def test_an_attempt_in_a_new_window_is_reserved_and_booked_there(make: Make, keys: Keys, clock: Clock) -> None:
    budgets = make("1usd/day", "9usd/ever")
    one = await budgets.reserve("alice", {"usd": Decimal("0.6")})
    clock.now += DAY_S
    await one.more({"usd": Decimal("0.6")})
    one.settle({"usd": Decimal("0.7")})
    await budgets.close()
    assert in_file(keys, "1usd/day", NOON)[0] == counted("usd", Decimal("0.6"))
    assert in_file(keys, "1usd/day", clock.now)[0] == counted("usd", Decimal("0.1"))
    assert in_file(keys, "9usd/ever") == (counted("usd", Decimal("0.7")),) * 2
    assert set(budgets.reserved("alice").values()) == {0}


async def test_windows_that_nobody_asks_of_any_more_leave_the_file(make: Make, keys: Keys, clock: Clock) -> None:
    budgets = make("9 requests/minute")
    for _ in range(10):
        (await budgets.reserve("alice", {"requests": 1})).settle({"requests": 1})
        clock.now += 60
    await budgets.close()
    with contextlib.closing(sqlite3.connect(keys.path)) as file:
        assert file.execute("SELECT count(*) FROM spending").fetchone()[0] <= 2


# --- several processes, and keys that change ---


async def test_what_one_gives_back_another_can_spend(make: Make) -> None:
    one, other = make("100 requests/day"), make()
    await one.reserve("alice", {"requests": 1})  # its lease is more than that
    await other.reserve("alice", {"requests": 93})
    await refusal(other, requests=6)
    await one.flush()
    await other.reserve("alice", {"requests": 6})
    await refusal(one, requests=1)
    await one.close()
    await other.close()


async def test_a_key_that_is_idle_gives_its_lease_back_by_itself(
    make: Make, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets_module, "_IDLE_S", 0.001)
    budgets = make("160 requests/day")
    (await budgets.reserve("alice", {"requests": 1})).settle({"requests": 1})
    async with asyncio.timeout(10):
        while in_file(keys, "160 requests/day") != (1, 1):  # noqa: ASYNC110 - the file tells nobody
            await asyncio.sleep(0)
    await budgets.close()


async def test_a_refusal_puts_back_what_the_process_has_left(make: Make, keys: Keys) -> None:
    """Else two processes with half a request's worth each would both refuse the last one."""
    budgets = make("160 tokens/day")
    await budgets.reserve("alice", {"tokens": 3})
    assert in_file(keys, "160 tokens/day")[1] > 3
    await refusal(budgets, tokens=158)
    assert in_file(keys, "160 tokens/day")[1] == 3
    asked = [budgets.reserve("alice", {"tokens": n}) for n in (1, 1, 158)]  # the last two of them in one transaction
    await asyncio.gather(*asked, return_exceptions=True)
    assert in_file(keys, "160 tokens/day")[1] == 5
    await budgets.close()


async def test_another_limit_is_in_force_at_once_and_what_was_spent_stays(make: Make, keys: Keys) -> None:
    budgets = make("1usd/day")
    one = await budgets.reserve("alice", {"usd": Decimal("0.5")})
    (await budgets.reserve("alice", {"usd": Decimal("0.5")})).settle({"usd": Decimal("0.5")})
    Keys(keys.path).change("alice", [Limit.of("2usd/day")], ())
    keys.all()  # as the next request's key is found
    await budgets.reserve("alice", {"usd": 1})
    await refusal(budgets, usd=CENT)
    Keys(keys.path).change("alice", [Limit.of("0.9usd/day")], ())
    keys.all()
    one.settle({})
    error = await refusal(budgets, usd=CENT)
    assert "0 USD left of its budget of 0.9usd/day (0.5 USD spent, 1 USD reserved)" in error.message
    await budgets.close()


async def test_a_lower_limit_holds_for_what_was_leased_before(make: Make, keys: Keys) -> None:
    budgets = make("1600 requests/day")
    await budgets.reserve("alice", {"requests": 1})
    Keys(keys.path).change("alice", [Limit.of("1 requests/day")], ())
    keys.all()
    await refusal(budgets, requests=1)
    await budgets.close()


async def test_a_request_that_leaves_while_it_waits_holds_nothing(make: Make, keys: Keys) -> None:
    budgets = make("10 requests/day")
    waits = [asyncio.create_task(budgets.reserve("alice", {"requests": 1})) for _ in range(10)]
    await asyncio.sleep(0)  # they have asked
    for wait in waits[:5]:
        wait.cancel()
    await asyncio.wait(waits)
    assert only(budgets.reserved("alice")) == 5
    await budgets.close()
    assert in_file(keys, "10 requests/day")[1] == 5


async def test_a_request_that_leaves_as_its_reservation_comes_holds_nothing(make: Make) -> None:
    budgets = make("10 requests/day")
    wait = asyncio.create_task(budgets.reserve("alice", {"requests": 1}))
    await asyncio.sleep(0)
    under_way = budgets._under_way
    assert under_way is not None
    under_way.add_done_callback(lambda done: wait.cancel())  # after the one that hands the reservation out
    await asyncio.wait([wait])
    assert wait.cancelled()
    assert only(budgets.reserved("alice")) == 0
    await budgets.close()


def test_budgets_outlive_the_loop_that_they_began_in(make: Make) -> None:
    budgets = make("3 requests/day")
    kept = [asyncio.run(budgets.reserve("alice", {"requests": 1})) for _ in range(3)]
    kept.pop().settle({})
    asyncio.run(budgets.reserve("alice", {"requests": 1}))
    with pytest.raises(BudgetError):
        asyncio.run(budgets.reserve("alice", {"requests": 1}))
    asyncio.run(budgets.close())


def test_a_loop_that_ends_while_the_file_is_asked_leaves_nothing_to_wait_for(keys: Keys) -> None:
    async def leaves() -> None:
        asks = asyncio.create_task(budgets.reserve("alice", {"requests": 1}))
        await asyncio.sleep(0)
        assert not asks.done()

    keys.add("alice", [Limit.of("3 requests/day")])
    budgets = Budgets(keys, BudgetSettings(), busy_s=60)
    with locked(keys.path):
        asyncio.run(leaves())
    asyncio.run(budgets.reserve("alice", {"requests": 1}))
    asyncio.run(budgets.close())


# --- where the file cannot be written ---


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@contextlib.contextmanager
def full(path: Path) -> Iterator[None]:
    """No file of this process may grow beyond a page, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def gone(path: Path) -> Iterator[None]:
    aside = path.with_name("aside.db")
    path.rename(aside)
    try:
        yield
    finally:
        assert not path.exists(), "a new file would have forgotten what was spent"
        aside.rename(path)


FAULTS = {"locked": locked, "full": full, "gone": gone}
SAID = {"locked": "is locked by another process", "full": "disk", "gone": "has gone"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_denying_refuses_what_cannot_be_counted_and_goes_on_when_the_file_is_back(
    make: Make, keys: Keys, fault: str
) -> None:
    budgets = make("100 requests/day")
    one = await budgets.reserve("alice", {"requests": 1})
    await budgets.flush()
    with FAULTS[fault](keys.path):
        with pytest.raises(TrivetError) as found:
            await budgets.reserve("alice", {"requests": 1})
        one.settle({"requests": 7})
        await budgets.flush()
    assert (found.value.status, found.value.retry, found.value.asked) == (503, True, False)
    assert SAID[fault] in found.value.message
    assert 'on_store_failure = "allow"' in found.value.message
    assert SAID[fault] in (budgets.problem or "")
    await budgets.flush()
    assert budgets.problem is None
    assert in_file(keys, "100 requests/day") == (7, 7)
    await budgets.reserve("alice", {"requests": 93})
    await refusal(budgets, requests=1)
    await budgets.close()


async def test_the_log_is_told_once_when_nothing_can_be_counted_and_when_it_can_again(keys: Keys) -> None:
    keys.add("alice", [Limit.of("10 requests/day")])
    lines: list[str] = []
    budgets = Budgets(keys, BudgetSettings(), busy_s=0, log=lines.append)
    with locked(keys.path):
        for _ in range(3):
            with pytest.raises(TrivetError) as found:
                await budgets.reserve("alice", {"requests": 1})
    assert str(keys.path.parent) not in found.value.message  # where it is is nothing for clients
    await budgets.flush()
    await budgets.reserve("alice", {"requests": 1})
    await budgets.close()
    stopped, goes_on = lines
    assert f"their requests are refused: {keys.path} is locked" in stopped
    assert "counted again" in goes_on


@pytest.mark.parametrize("fault", FAULTS)
async def test_allowing_lets_requests_pass_unchecked_and_books_them_when_the_file_is_back(
    make: Make, keys: Keys, fault: str
) -> None:
    budgets = make("10 requests/day", on_store_failure="allow")
    (await budgets.reserve("alice", {"requests": 1})).settle({"requests": 1})
    await budgets.flush()
    with FAULTS[fault](keys.path):
        passed = [await budgets.reserve("alice", {"requests": 1}) for _ in range(12)]
        for one in passed:
            one.settle({"requests": 1})
        assert "12 requests have passed unchecked" in (budgets.problem or "")
    await budgets.flush()
    assert budgets.problem is None
    assert in_file(keys, "10 requests/day") == (13, 13)
    await refusal(budgets, requests=1)
    await budgets.close()


async def test_while_the_file_is_away_what_was_leased_may_be_taken(make: Make, keys: Keys) -> None:
    budgets = make("1600 requests/day")
    await budgets.reserve("alice", {"requests": 1})
    with locked(keys.path):
        for _ in range(99):  # a sixteenth of what was left
            await budgets.reserve("alice", {"requests": 1})
        with pytest.raises(TrivetError, match="is locked"):
            await budgets.reserve("alice", {"requests": 1})
    await budgets.close()


async def test_what_comes_free_while_the_file_is_asked_in_vain_may_be_taken(make: Make, keys: Keys) -> None:
    budgets = make("10 requests/day")
    one = await budgets.reserve("alice", {"requests": 10})
    with locked(keys.path):
        asks = asyncio.create_task(budgets.reserve("alice", {"requests": 3}))
        await asyncio.sleep(0)  # it has asked
        one.settle({"requests": 7})
        await asks
    await budgets.close()
    assert in_file(keys, "10 requests/day") == (7, 10)


async def test_a_locked_file_is_waited_for_once_and_not_by_each_request(make: Make, keys: Keys) -> None:
    budgets = make("10 requests/day")
    with locked(keys.path):
        with pytest.raises(TrivetError, match="is locked"):
            await budgets.reserve("alice", {"requests": 1})
        asked = budgets.reserve("alice", {"requests": 1})
        with pytest.raises(TrivetError, match="is locked"):
            asked.send(None)  # it does not suspend
    await budgets.close()


async def test_the_event_loop_goes_on_while_a_thread_waits_for_the_file(keys: Keys) -> None:
    keys.add("alice", [Limit.of("10 requests/day")])
    budgets = Budgets(keys, BudgetSettings(), busy_s=60)
    with locked(keys.path):
        waits = asyncio.create_task(budgets.reserve("alice", {"requests": 1}))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not waits.done()
    await waits
    await budgets.close()


async def test_a_damaged_file_denies_and_says_what_mends_it(make: Make, keys: Keys) -> None:
    budgets = make("10 requests/day")
    await budgets.reserve("alice", {"requests": 1})
    spoil(keys.path)
    with pytest.raises(TrivetError, match=r"is damaged .* put a copy of it in its place") as found:
        await budgets.reserve("alice", {"requests": 9})
    assert found.value.status == 503
    await budgets.close()


async def test_a_copy_put_in_its_place_goes_on_from_there(make: Make, keys: Keys, clock: Clock) -> None:
    budgets = make("10 requests/day")
    (await budgets.reserve("alice", {"requests": 4})).settle({"requests": 4})
    await budgets.flush()
    copy = keys.path.with_name("copy.db")
    with contextlib.closing(sqlite3.connect(keys.path)) as file, contextlib.closing(sqlite3.connect(copy)) as aside:
        file.backup(aside)
    spoil(keys.path)
    for suffix in ("-wal", "-shm"):
        keys.path.with_name(keys.path.name + suffix).unlink(missing_ok=True)
    copy.rename(keys.path)
    await budgets.reserve("alice", {"requests": 6})
    await refusal(budgets, requests=1)
    await budgets.close()


def test_the_clock_of_these_tests_is_at_noon() -> None:
    assert time.strftime("%A %H:%M", time.gmtime(NOON)) == "Sunday 12:00"
