"""Budgets and limits of keys: what a request may take is reserved before it, and settled after.

`reserve` takes from this process's leases (`trivet.ledger.leases`) in memory, without waiting; only where they do not
suffice does a thread ask the file, for all that wait at once. All of this is for one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

from trivet.errors import BudgetError, TrivetError
from trivet.ledger.keys import Key, Keys, trouble, unavailable
from trivet.ledger.leases import Answer, Lease, Order, Shared
from trivet.ledger.limits import MOST, Limit, amount, counted, told
from trivet.ledger.settings import BudgetSettings

__all__ = ["Amounts", "Budgets", "Reservation"]

Amounts = Mapping[str, Decimal | int]  # by unit: usd, requests, tokens

_IDLE_S = 0.5  # a key that nobody has used for so long gives its leases back
_PAUSE_S = 1.0  # after the file has failed, nobody waits for it again for so long
_SOON_S = 60  # what begins anew so soon is worth another try


class _Account:
    """A key's leases in this process: those of the present windows, one for each limit, and `old` ones that requests
    under way still belong to. `uses` counts, so that an idle key is seen."""

    __slots__ = ("asking", "ends", "key", "leases", "old", "order", "seen", "uses")

    def __init__(self, key: Key, now: float) -> None:
        self.key = key
        self.leases = tuple(Lease(limit, now) for limit in key.limits)
        self.ends = min(lease.ends for lease in self.leases)
        self.old: list[Lease] = []
        self.asking: list[_Asking] = []
        self.order: _Sent | None = None
        self.uses = self.seen = 0

    def renew(self, key: Key, now: float) -> None:
        """For other windows, or other limits."""
        if self.key is key and now < self.ends:
            return
        stay = self.leases if self.key is key else ()
        going_on = {lease.limit: lease for lease in stay if now < lease.ends}
        fresh = tuple(going_on.get(limit) or Lease(limit, now) for limit in key.limits)
        self.old += [lease for lease in self.leases if lease not in fresh]
        self.key, self.leases = key, fresh
        self.ends = min((lease.ends for lease in fresh), default=float("inf"))

    def take(self, wanted: list[int]) -> bool:
        """From what is free: of every limit, or of none."""
        for lease, want in zip(self.leases, wanted, strict=True):
            if want > lease.free:
                return False
        for lease, want in zip(self.leases, wanted, strict=True):
            lease.free -= want
            lease.reserved += want
        self.uses += 1
        return True

    def send(self) -> Order:
        """What goes to the file, and is in `order` until it has answered."""
        self.old = [lease for lease in self.old if lease.reserved or lease.loose]
        old = [lease for lease in self.old if lease.loose]
        asking = [one for one in self.asking if not one.future.done()]
        wanted = [_counts(self.leases, one.amounts) for one in asking]
        for lease, wants in zip(self.leases, zip(*wanted, strict=True), strict=False):
            lease.usual = max(wants) or lease.usual
        self.asking, self.seen = [], self.uses
        name = self.key.name
        order = Order([lease.line(name) for lease in self.leases], [lease.line(name) for lease in old], wanted)
        self.order = _Sent(self.key, self.leases, old, asking, order)
        return order

    @property
    def loose(self) -> bool:
        """Whether there is anything that the file should know of."""
        return any(lease.loose for lease in self.leases) or any(lease.loose for lease in self.old)

    @property
    def all(self) -> tuple[Lease, ...]:
        return (*self.leases, *self.old)


class _Asking:
    """A request that waits for the file."""

    __slots__ = ("amounts", "future")

    def __init__(self, amounts: Amounts, future: asyncio.Future[Reservation]) -> None:
        self.amounts = amounts
        self.future = future


class _Sent:
    """What is on its way to the file, as it was when it went."""

    __slots__ = ("asking", "key", "leases", "old", "order")

    def __init__(
        self, key: Key, leases: tuple[Lease, ...], old: list[Lease], asking: list[_Asking], order: Order
    ) -> None:
        self.key, self.leases, self.old, self.asking, self.order = key, leases, old, asking, order

    def come_back(self, answer: Answer | None) -> None:
        """None: the file could not be written."""
        for n, lease in enumerate(self.leases):
            if answer is None:
                lease.take_back(self.order.lines[n])
            else:
                lease.kept(answer.kept[n], answer.spent[n], answer.taken[n])
        for lease, line in zip(self.old, self.order.old, strict=True):
            if answer is None:
                lease.take_back(line)
            else:
                lease.sent = 0


class Reservation:
    """What a request may take. It belongs to the windows in which it was made."""

    __slots__ = ("_account", "_budgets", "_earlier", "_held", "_leases", "_settled")

    def __init__(
        self, budgets: Budgets | None, account: _Account | None, leases: tuple[Lease, ...], held: list[int]
    ) -> None:
        self._budgets, self._account = budgets, account
        self._leases, self._held = leases, held
        self._earlier: list[tuple[tuple[Lease, ...], list[int]]] = []
        self._settled = False

    async def more(self, amounts: Amounts) -> None:
        """Reserves as much again, for another attempt of the same request. Raises as `reserve` does, and keeps what it
        had."""
        if self._account is None or self._budgets is None:
            return
        if self._settled:
            raise RuntimeError("the reservation is settled: nothing can be added to it")
        added = await self._budgets.reserve(self._account.key.name, amounts)
        if self._settled:  # meanwhile: nobody would settle what has come
            added.settle({})
            raise RuntimeError("the reservation was settled while more was asked for")
        if added._leases is self._leases:
            self._held = [a + b for a, b in zip(self._held, added._held, strict=True)]
        else:
            self._earlier.append((self._leases, self._held))
            self._leases, self._held = added._leases, added._held

    def settle(self, amounts: Amounts) -> None:
        """Books what it took in the end, more or less than was reserved; {} releases it all. Only the first counts."""
        if self._settled or self._account is None or self._budgets is None:
            return
        real = _counts(self._leases, amounts)
        self._settled = True
        for leases, held in self._earlier:
            real = _settle_earlier(leases, held, self._leases, real)
        for lease, had, took in zip(self._leases, self._held, real, strict=True):
            lease.reserved -= had
            lease.free += had - took
            lease.spent += took
        self._account.uses += 1
        if self._budgets._timer is None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: the next one writes it
                self._budgets._look_after()


def _settle_earlier(leases: tuple[Lease, ...], held: list[int], last: tuple[Lease, ...], real: list[int]) -> list[int]:
    """Fills what was reserved first, in its own window, and returns what remains for the last."""
    remains = {(lease.unit, lease.limit.per): took for lease, took in zip(last, real, strict=True)}
    for lease, had in zip(leases, held, strict=True):
        kind = (lease.unit, lease.limit.per)
        took = min(had, remains.get(kind, 0))
        remains[kind] = remains.get(kind, 0) - took
        lease.reserved -= had
        lease.free += had - took
        lease.spent += took
    return [remains[lease.unit, lease.limit.per] for lease in last]


_UNLIMITED = Reservation(None, None, (), [])


class Budgets:
    """What the keys of a file may take. Keys without limits, and names that the file has not, may take anything.

    `clock` tells the seconds since 1970 that windows go by, `busy_s` is how long the thread waits for a locked file.
    `unchecked` counts the requests that have passed while the file could not be used (`on_store_failure = "allow"`);
    what they cost is booked when it can be. `log` gets a line when that begins, and one when it is over."""

    def __init__(
        self,
        keys: Keys,
        settings: BudgetSettings,
        *,
        clock: Callable[[], float] = time.time,
        busy_s: float = 1.0,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.keys = keys
        self._log = log
        self._settings = settings
        self._clock = clock
        self._file = Shared(keys.path, busy_s=busy_s)
        self._accounts: dict[str, _Account] = {}
        self._to_send: dict[str, _Account] = {}
        self._under_way: asyncio.Future[list[Answer]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._trouble: str | None = None
        self._paused_until = 0.0
        self.unchecked = 0

    async def reserve(self, name: str | None, amounts: Amounts) -> Reservation:
        """Reserves of each limit of the key, or of none. Raises BudgetError 429, and TrivetError 503 where the file
        cannot be used and the settings deny what cannot be counted."""
        key = self.keys.get(name)
        if key is None or not key.limits:
            return _UNLIMITED
        account = self._accounts.get(key.name)
        if account is None or account.key is not key or self._clock() >= account.ends:
            account = self._present(key)
        leases = account.leases
        wanted = _counts(leases, amounts)
        if not account.take(wanted):
            return await self._ask(account, amounts)
        if self._timer is None:
            self._look_after()
        return Reservation(self, account, leases, wanted)

    def reserved(self, name: str) -> dict[Limit, Decimal]:
        """By limit, what requests of this process have reserved, in whichever window."""
        return self._told(name, lambda lease: lease.reserved, past=True)

    def spent(self, name: str) -> dict[Limit, Decimal]:
        """By limit, what was spent in the present window: by this process until now, by others as of its last look at
        the file. A limit that this process has not used yet is not there."""
        return self._told(name, lambda lease: lease.known_spent + lease.sent + lease.spent, past=False)

    @property
    def problem(self) -> str | None:
        if self._trouble is None:
            return None
        passed = f"; {self.unchecked:,} requests have passed unchecked" if self.unchecked else ""
        return f"what keys have spent cannot be counted: {self._trouble}{passed}"

    async def flush(self) -> None:
        """Writes what was settled, and gives back the leases that no request needs now."""
        self._here()
        self._paused_until = 0.0
        self._to_send |= {name: account for name, account in self._accounts.items() if account.loose}
        self._send()
        while self._under_way is not None:
            await asyncio.wait([self._under_way])

    async def close(self) -> None:
        """What is still reserved then counts as taken until its window ends, unless it is settled later."""
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await asyncio.get_running_loop().run_in_executor(worker, self._file.close)
            worker.shutdown(wait=False)

    # --- in memory ---

    def _present(self, key: Key) -> _Account:
        now = self._clock()
        account = self._accounts.get(key.name)
        if account is None:
            account = self._accounts[key.name] = _Account(key, now)
        account.renew(key, now)
        return account

    def _told(self, name: str, count: Callable[[Lease], int], *, past: bool) -> dict[Limit, Decimal]:
        account, now = self._accounts.get(name), self._clock()
        sums: dict[Limit, int] = {}
        for lease in account.all if account is not None else ():
            if past or now < lease.ends:
                sums[lease.limit] = sums.get(lease.limit, 0) + count(lease)
        return {limit: amount(limit.unit, whole) for limit, whole in sums.items()}

    def _here(self) -> asyncio.AbstractEventLoop:
        """The loop, of which there is one at a time: what another one has left behind is not waited for."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self._under_way = loop, None, None
            self._paused_until = 0.0
        return loop

    def _look_after(self) -> None:
        """Soon, what is not needed goes back to the file."""
        loop = self._here()
        if self._timer is None:
            self._timer = loop.call_later(_IDLE_S, self._look)

    def _look(self) -> None:
        self._timer = None
        busy = False
        for name, account in self._accounts.items():
            if account.loose:
                busy = True
                if account.uses == account.seen:
                    self._to_send[name] = account
                account.seen = account.uses
        if busy:
            self._send()
            self._look_after()

    # --- the file ---

    async def _ask(self, account: _Account, amounts: Amounts) -> Reservation:
        future: asyncio.Future[Reservation] = self._here().create_future()
        account.asking.append(_Asking(amounts, future))
        self._to_send[account.key.name] = account
        self._send()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().settle({})  # it came, and nobody is there any more
            raise

    def _send(self) -> None:
        if self._under_way is not None or not self._to_send:
            return
        loop = self._here()
        accounts, self._to_send = list(self._to_send.values()), {}
        orders = []
        for account in accounts:
            account.renew(self.keys.get(account.key.name) or account.key, self._clock())
            orders.append(account.send())
        if loop.time() < self._paused_until:
            self._failed(accounts)
            return
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="trivet-budgets")
        self._under_way = loop.run_in_executor(self._worker, self._file.exchange, orders)
        self._under_way.add_done_callback(functools.partial(self._came, accounts))

    def _came(self, accounts: list[_Account], future: asyncio.Future[list[Answer]]) -> None:
        self._under_way = None
        error = future.exception() if not future.cancelled() else None
        if future.cancelled() or error is not None:
            what = trouble(self._file.path, error) if isinstance(error, Exception) else "it was given up"
            if what != self._trouble:
                passes = "pass unchecked" if self._settings.on_store_failure == "allow" else "are refused"
                self._log(f"What keys have spent cannot be counted, and their requests {passes}: {what}.")
            self._trouble = what
            self._paused_until = self._here().time() + _PAUSE_S
            self._failed(accounts)
        else:
            if self._trouble is not None:
                self._log("What keys have spent is counted again.")
            self._trouble = None
            for account, answer in zip(accounts, future.result(), strict=True):
                self._answered(account, answer)
        self._look_after()
        self._send()

    def _answered(self, account: _Account, answer: Answer) -> None:
        sent, account.order = account.order, None
        assert sent is not None
        sent.come_back(answer)
        for one, wanted, lacking in zip(sent.asking, sent.order.asking, answer.lacking, strict=True):
            if lacking is not None:
                n, left = lacking
                if not one.future.done():
                    one.future.set_exception(self._refusal(sent.key, sent.leases[n], wanted[n], left))
                continue
            for lease, want in zip(sent.leases, wanted, strict=True):
                lease.reserved += want
            reservation = Reservation(self, account, sent.leases, wanted)
            if one.future.done():  # whoever asked has left
                reservation.settle({})
            else:
                one.future.set_result(reservation)
        self._serve(account)

    def _serve(self, account: _Account) -> None:
        """Those that came while all was out at the file are served from what has come back: else each trip would leave
        some for the next, without an end."""
        waiting: list[_Asking] = []
        for one in account.asking:
            wanted = _counts(account.leases, one.amounts)
            if one.future.done():
                continue
            if waiting or not account.take(wanted):
                waiting.append(one)  # nobody overtakes another
            else:
                one.future.set_result(Reservation(self, account, account.leases, wanted))
        account.asking = waiting
        if not waiting:
            self._to_send.pop(account.key.name, None)

    def _failed(self, accounts: list[_Account]) -> None:
        """Nothing has happened. What is free in this process may still be taken."""
        for account in accounts:
            sent, account.order = account.order, None
            assert sent is not None
            sent.come_back(None)
            for one, wanted in zip(sent.asking, sent.order.asking, strict=True):
                if one.future.done():
                    continue
                if account.leases is sent.leases and account.take(wanted):
                    one.future.set_result(Reservation(self, account, sent.leases, wanted))
                elif self._settings.on_store_failure == "allow":
                    self.unchecked += 1
                    one.future.set_result(Reservation(self, account, sent.leases, [0] * len(wanted)))
                else:
                    one.future.set_exception(self._unknown(sent.key))
        self._look_after()

    def _unknown(self, key: Key) -> TrivetError:
        path = self._file.path
        why = str(self._trouble).replace(str(path), path.name)  # where it is is nothing for clients
        return unavailable(
            f"What the key {key.name!r} has spent cannot be counted just now: {why}. Until then its requests "
            'are refused; on_store_failure = "allow" under [budgets] in trivet.toml lets them pass.'
        )

    def _refusal(self, key: Key, lease: Lease, wanted: int, left: int) -> BudgetError:
        limit, unit, name = lease.limit, lease.unit, key.name
        what = "budget" if unit == "usd" else "limit"
        reserved = max(0, lease.known_taken - lease.known_spent)
        text = (
            f"The key {name!r} has {told(unit, max(0, left))} left of its {what} of {limit} "
            f"({told(unit, lease.known_spent)} spent, {told(unit, reserved)} reserved), and this request may take "
            f"{told(unit, wanted)}."
        )
        raised = f"Ask for less, or raise it: `trivet keys change {name} --budget '{limit}'` with another amount."
        wait_s = lease.ends - self._clock()
        if wanted > lease.most:
            return BudgetError(f"{text} That is more than it ever has. {raised}")
        if limit.per == "ever":
            return BudgetError(f"{text} It does not begin anew. {raised}")
        anew = f"{datetime.fromtimestamp(lease.ends, UTC):%Y-%m-%d %H:%M} UTC"
        soon = unit != "usd" and wait_s <= _SOON_S
        return BudgetError(f"{text} It begins anew at {anew}. {raised}", retry_after_s=max(0.0, wait_s), retry=soon)


def _counts(leases: tuple[Lease, ...], amounts: Amounts) -> list[int]:
    """The amounts, one for each lease; what is not said is nothing."""
    found = []
    for lease in leases:
        value = amounts.get(lease.unit)
        if not value:
            found.append(0)
        elif type(value) is int and 0 < value < MOST and lease.unit != "usd":
            found.append(value)
        else:
            found.append(counted(lease.unit, value))
    return found
