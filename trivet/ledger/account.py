"""The requests under way, as they are counted: an account for each, with the attempts that are made for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trivet.errors import TrivetError
from trivet.ledger.estimate import byte_length, input_tokens, most_output_tokens, output_tokens
from trivet.ledger.prefix import prefix as prefix_of
from trivet.ledger.rows import AttemptRow, CacheState, Outcome, Row
from trivet.ledger.units import of_prompt
from trivet.types import Attempt, Cost, Event, Request, Response, TextDelta, Usage, task_name

if TYPE_CHECKING:
    from trivet.ledger.budgets import Budgets, Reservation
    from trivet.ledger.priced import Priced

__all__ = ["Account", "Book", "Observer", "Tried"]

Observer = Callable[[Row, Request, Response | None], None]
"""Gets each request that is over, on the event loop: it must not wait."""

FREE = Decimal(0)
log = logging.getLogger("trivet.ledger")
NOTHING = Usage(uncached_input_tokens=0, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
UNASKED = Cost(usd=FREE, source="not asked")
UNCHARGED = Cost(usd=FREE, source="errors are not charged for")


class Book:
    """Every account that is open, by what its request has as `context.reservation`; `observers` get the rows of those
    that are closed."""

    def __init__(self, budgets: Budgets | None = None, observers: Iterable[Observer] = ()) -> None:
        self.budgets = budgets
        self.observers = tuple(observers)
        self.open: dict[str | None, Account] = {}

    def begin(self, request: Request, asked: str) -> Account:
        account = self.open[request.context.reservation] = Account(self, request, asked)
        return account


class Account:
    """One request. `limits` are the units that its key has limits of; what budgets hold for it is in `reservation`, of
    which attempts use what they may cost while they are under way, and what they have cost afterwards."""

    def __init__(self, book: Book, request: Request, asked: str) -> None:
        self.book, self.request, self.asked = book, request, asked
        self.at, self.began = time.time(), time.perf_counter()
        self.first_content_s: float | None = None
        self.attempts: list[Tried] = []
        self.reservation: Reservation | None = None
        self.limits: tuple[str, ...] = ()
        self._held: dict[str, Any] = {}
        self._others: list[Reservation] = []
        self._admitted = False

    async def reserve(self, amounts: Mapping[str, Any], tried: Tried | None = None) -> None:
        """Holds so much for an attempt, and with the first one for the request itself: what other attempts of this
        request have left over, and more where that is too little. Raises `BudgetError`."""
        held = self._held
        used = self.used() if held else {}
        more = {unit: lack for unit, n in amounts.items() if (lack := used.get(unit, 0) + n - held.get(unit, 0)) > 0}
        if not self._admitted:
            more["requests"], self._admitted = 1, True
        if tried is not None:
            tried.used = amounts
        if not more:
            return
        for unit, amount in more.items():  # at once: an attempt beside this one must not count on the same
            held[unit] = held.get(unit, 0) + amount
        try:
            await self._hold(more)
        except BaseException:
            for unit, amount in more.items():
                held[unit] -= amount
            if tried is not None:
                tried.used = {}
            raise

    async def _hold(self, more: Mapping[str, Any]) -> None:
        if self.reservation is not None:
            return await self.reservation.more(more)
        budgets = self.book.budgets
        assert budgets is not None  # whose limits these are
        made = await budgets.reserve(self.request.context.key, more)
        if self.reservation is None:
            self.reservation = made
        else:  # two attempts have begun beside each other
            self._others.append(made)

    def used(self) -> dict[str, Any]:
        """What the attempts have spent, and those under way have reserved."""
        found: dict[str, Any] = {"requests": 1}
        for tried in self.attempts:
            for unit, amount in tried.used.items():
                found[unit] = found.get(unit, 0) + amount
        return found

    def content(self) -> None:
        if self.first_content_s is None:
            self.first_content_s = time.perf_counter() - self.began

    def cost(self) -> Cost:
        """Of all attempts so far."""
        if len(self.attempts) == 1:
            return self.attempts[0].cost
        asked = [tried.cost for tried in self.attempts if tried.cost.source not in (UNASKED.source, UNCHARGED.source)]
        if not asked:
            return self.attempts[-1].cost if self.attempts else UNASKED
        total = asked[0]
        for cost in asked[1:]:
            total += cost
        return total

    def close(
        self,
        outcome: Outcome,
        *,
        response: Response | None = None,
        error: TrivetError | None = None,
        route: tuple[Attempt, ...] = (),
    ) -> None:
        """Settles what was reserved, and writes down what happened. A second time nothing happens."""
        if self.book.open.pop(self.request.context.reservation, None) is None:
            return
        if outcome == "cancelled" and self.request.context.whole:
            for tried in self.attempts:
                tried.given_up()
        if self.reservation is not None:
            self.reservation.settle(self.used())
            for other in self._others:
                other.settle({})
        if self.book.observers:
            row = self._row(outcome, response, error, route)
            for observe in self.book.observers:
                try:
                    observe(row, self.request, response)
                except Exception:  # what looks on must not make an answer fail
                    log.exception("%s could not be told of %s", observe, row.id)

    def _row(
        self, outcome: Outcome, response: Response | None, error: TrivetError | None, route: tuple[Attempt, ...]
    ) -> Row:
        request, context = self.request, self.request.context
        hit = response is not None and response.cache == "hit" and not self.attempts
        cache: CacheState = "none" if response is None or response.cache is None else response.cache
        prefix = prefix_of(self.attempts[-1].request if self.attempts else request)  # with what wrappers put in front
        return Row(
            id=context.id or "",
            at=self.at,
            task=task_name(request),
            asked=self.asked,
            outcome=outcome,
            took_s=time.perf_counter() - self.began,
            status=200 if error is None else error.status,
            model=self._answered(response),
            key=context.key,
            session=context.session,
            stream=not context.whole,
            usage=NOTHING if hit else self._usage(),
            cost=(response.cost or UNASKED) if hit and response is not None else self.cost(),
            audio_s=getattr(response, "duration_s", None),
            first_content_s=self.first_content_s,
            error=None if error is None else type(error).__name__,
            cache=cache,
            prefix=None if prefix is None else prefix[0],
            prefix_chars=None if prefix is None else prefix[1],
            route=route,
            attempts=tuple(tried.row(self.began) for tried in self.attempts),
        )

    def _answered(self, response: Response | None) -> str | None:
        if len(self.attempts) == 1 and self.attempts[0].outcome == "answered":
            return self.attempts[0].name
        answered = next((tried.name for tried in reversed(self.attempts) if tried.outcome == "answered"), None)
        if response is None or answered is not None:
            return answered
        return response.route[-1].model if response.route else response.model  # of an answer of before: its name here

    def _usage(self) -> Usage:
        if len(self.attempts) == 1:
            return self.attempts[0].usage
        asked = [tried.usage for tried in self.attempts if tried.usage is not NOTHING]
        if not asked:
            return NOTHING
        total = asked[0]
        for usage in asked[1:]:
            total += usage
        return total


class Tried:
    """One attempt, as far as it has come. `used` is what it counts as against budgets; `asked` is False while it waits
    for that."""

    def __init__(self, priced: Priced, request: Request) -> None:
        self.priced, self.request, self.name = priced, request, priced.name
        self.began, self.when = time.perf_counter(), time.time()
        self._prompt_units: Mapping[str, int | None] | None = None
        self.took_s: float | None = None
        self.first_content_s: float | None = None
        self.outcome: Outcome = "cancelled"
        self.error: str | None = None
        self.response: Response | None = None
        self.asked = True
        self.notes: tuple[str, ...] = ()  # what was done differently from what was asked
        self.usage = Usage()
        self.cost = Cost(unknown="not over yet")
        self.used: Mapping[str, Any] = {}
        self._held: Mapping[str, Any] = {}
        self._bytes = 0  # of the answer so far

    def content(self, event: Event) -> None:
        """Some of the answer, of which an estimate is made where it is cut."""
        if self.first_content_s is None:
            self.first_content_s = time.perf_counter() - self.began
        self._bytes += byte_length(event.text) if type(event) is TextDelta else _size(event)

    @property
    def prompt_units(self) -> Mapping[str, int | None]:
        if self._prompt_units is None:
            self._prompt_units = of_prompt(self.request)
        return self._prompt_units

    def answered(self, response: Response) -> None:
        self.outcome, self.response, self.usage = "answered", response, response.usage
        self._over(self.priced.cost(self, response))

    def failed(self, error: TrivetError) -> None:
        self.outcome, self.error = "failed", type(error).__name__
        if not error.asked:
            self.outcome = "refused"
            self.usage = NOTHING
            self._over(UNASKED)
        elif self.first_content_s is None and (not error.sent or _is_answer(error)):
            self.usage = NOTHING
            self._over(UNCHARGED)
        else:
            self._over(self._estimate())

    def left(self) -> None:
        """Whoever asked has gone, or another one has answered sooner."""
        if self.asked:
            return self._over(self._estimate())
        self.usage = NOTHING
        self._over(UNASKED)

    def given_up(self) -> None:
        """Whoever asked for a whole answer has gone before it came: as much as the request allows may have been
        generated by then, and a key that always leaves early must not have it for the price of its prompts."""
        if self.outcome == "cancelled" and self.asked and not self.priced.free:
            why = "whoever asked has left before the answer came, and how much of it was generated is not told"
            self.usage, self.cost, self.used = Usage(), Cost(unknown=f"{self.name}: {why}"), self._held

    def row(self, began: float) -> AttemptRow:
        response = self.response
        return AttemptRow(
            model=self.name,
            outcome=self.outcome,
            began_s=self.began - began,
            took_s=time.perf_counter() - self.began if self.took_s is None else self.took_s,
            first_content_s=self.first_content_s,
            error=self.error,
            said_model=None if response is None else response.model,
            response_id=None if response is None else response.id,
            usage=self.usage,
            cost=self.cost,
        )

    def _estimate(self) -> Cost:
        """At what was generated: what the provider has told by then, and what is missing by its length."""
        told, cost = self.usage, Usage()
        whole = told.input_tokens if told.input_tokens is not None else input_tokens(self.request)
        if told.uncached_input_tokens is None or told.cache_read_tokens is None or told.cache_write_tokens is None:
            cost = Usage(uncached_input_tokens=whole, cache_read_tokens=0, cache_write_tokens=0)
        else:
            cost = told
        generated, most = output_tokens(self._bytes), most_output_tokens(self.request)
        output = max(generated if most is None else min(generated, most), told.output_tokens or 0)
        self.usage = Usage(
            uncached_input_tokens=cost.uncached_input_tokens,
            cache_read_tokens=cost.cache_read_tokens,
            cache_write_tokens=cost.cache_write_tokens,
            cache_write_1h_tokens=cost.cache_write_1h_tokens,
            output_tokens=output,
        )
        return self.priced.estimate(self)

    def _over(self, cost: Cost) -> None:
        self.took_s = time.perf_counter() - self.began
        self.cost = cost
        self._held = self.used
        if self.used:  # under a budget: where the cost is unknown, what was reserved is taken to be spent
            usd = self.used.get("usd") if cost.usd is None else cost.usd
            tokens = self.usage.total_tokens
            self.used = {"usd": usd, "tokens": self.used.get("tokens", 0) if tokens is None else tokens}


def _is_answer(error: TrivetError) -> bool:
    """Whether the provider itself has answered so: it charges for no error that it gives in place of an answer."""
    return getattr(error, "provider_status", None) is not None or error.status < 500


def _size(event: Event) -> int:
    return byte_length(getattr(event, "text", "") or "") + byte_length(getattr(event, "arguments", ""))
