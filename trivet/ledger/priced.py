"""A provider's model with its prices: each time it is asked is an attempt, reserved before and priced after."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from trivet.errors import BudgetError, TrivetError
from trivet.ledger.account import FREE, Account, Book, Tried
from trivet.ledger.estimate import most_output_tokens, size
from trivet.ledger.settings import BudgetSettings
from trivet.ledger.units import TEXT, elsewhere, inference_geo, own_tools, service_tier, units
from trivet.model import Model, Wrapper, ended
from trivet.types import (
    Complete,
    Conversation,
    Cost,
    CountTokens,
    Done,
    Embed,
    Event,
    Request,
    Response,
    Speak,
    Start,
    Transcribe,
    UsageUpdate,
    replace,
    task_name,
)
from trivet.wire.openai_completions.request_in import bound_said

if TYPE_CHECKING:
    from trivet.ledger.prices import Prices

__all__ = ["Priced"]

_COUNTING = Cost(usd=FREE, source="counting is free")


class Priced(Wrapper):
    """Tells the account of the request (`context.reservation`) of each attempt, and each answer its cost.

    Where the client's key has a budget, an attempt holds beforehand what it can cost at most: the prompt at a token for
    each byte, the output at what the request bounds it by, else at `max_tokens` of the settings, which is then sent.
    Raises `BudgetError` where that is more than is left, where the price is not known, and for charges without a
    bound."""

    def __init__(
        self, inner: Model, book: Book, prices: Prices, settings: BudgetSettings | None = None, *, free: bool = False
    ) -> None:
        super().__init__(inner)
        self.book, self.prices, self.settings, self.free = book, prices, settings or BudgetSettings(), free
        self.name = inner.about.name

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        tried, account = Tried(self, request), self.book.open.get(request.context.reservation)
        try:
            if account is not None:
                account.attempts.append(tried)
                if account.limits:
                    tried.asked = False
                    request = await self._reserved(account, tried, request)
                    tried.asked = True
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    if event.content:
                        tried.content(event)
                    elif type(event) is UsageUpdate:
                        tried.usage = event.usage
                    elif type(event) is Done:
                        tried.answered(event.response)
                        notes = event.response.notes + tried.notes
                        yield replace(event, response=replace(event.response, cost=tried.cost, notes=notes))
                        return
                    elif tried.notes and type(event) is Start:
                        event = replace(event, notes=event.notes + tried.notes)
                    yield event
            raise ended(self.name)
        except TrivetError as error:
            tried.failed(error)
            raise
        finally:
            if tried.took_s is None:
                tried.left()

    def cost(self, tried: Tried, response: Response) -> Cost:
        """Of a whole answer."""
        request = tried.request
        if isinstance(request, CountTokens):
            return _COUNTING
        counted, uncounted = units(request, response, tried.prompt_units)
        if uncounted is not None and not self.free:
            return Cost(unknown=f"{self.name}: what {uncounted} cost is not told with the answer")
        return self.prices.cost(
            response.usage,
            when=tried.when,
            service_tier=service_tier(request, response),
            inference_geo=inference_geo(request, response),
            units=counted,
        )

    def estimate(self, tried: Tried) -> Cost:
        """Of an answer that was cut, at what was generated."""
        request = tried.request
        if isinstance(request, CountTokens):
            return _COUNTING
        return self.prices.cost(
            tried.usage,
            when=tried.when,
            service_tier=service_tier(request, None),
            inference_geo=inference_geo(request, None),
            estimate=True,
            units=tried.prompt_units if isinstance(request, Transcribe | Speak) else TEXT,
        )

    async def _reserved(self, account: Account, tried: Tried, request: Request) -> Request:
        """The request as it goes on, with what it may cost held for it."""
        if isinstance(request, CountTokens):
            await account.reserve({})
            return request
        if "tokens" in account.limits or ("usd" in account.limits and not self.free):
            request, tried.notes = self._bounded(request)
        tried.request = request
        most = self._most(account, tried)
        await account.reserve(most, tried)
        return request

    def _bounded(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """With a bound on its output, where it has none of its own, and a note of that."""
        sampling: Any = getattr(request, "sampling", None)
        if isinstance(request, Complete):
            request = bound_said(request)
        if sampling is None or sampling.max_tokens is not None:
            return request, ()
        thinks = getattr(getattr(request, "reasoning", None), "budget_tokens", None) or 0
        most = self.settings.max_tokens + thinks
        note = f"max_tokens is {most}, because the key has a budget: ask for more where answers end early"
        return replace(request, sampling=replace(sampling, max_tokens=most)), (note,)

    def _most(self, account: Account, tried: Tried) -> Mapping[str, Any]:
        request = tried.request
        prompt, output = size(request), most_output_tokens(request) or 0
        media = self.settings.media_tokens
        tokens = prompt.about_tokens(media) + output
        if self.free or "usd" not in account.limits:
            return {"usd": FREE, "tokens": tokens}
        if not self.settings.allow_unbounded and (why := _unbounded(request, tried.prompt_units)) is not None:
            raise _refused(
                f"{self.name}: {why}, and the key {account.request.context.key!r} has a budget. Leave it out, or set "
                "allow_unbounded = true under [budgets]"
            )
        usd = self.prices.most(
            prompt.most_tokens(media),
            output,
            when=tried.when,
            service_tier=service_tier(request, None),
            inference_geo=inference_geo(request, None),
            units=tried.prompt_units,
        )
        if usd is None:
            raise _refused(
                f"the price of {self.name} is not known, and the key {account.request.context.key!r} has a budget. "
                f'Give it one: input and output, in USD for a million tokens, under [prices."{self.name}"]'
            )
        return {"usd": usd, "tokens": tokens}


def _unbounded(request: Request, prompt: Mapping[str, int | None]) -> str | None:
    """Why nobody knows beforehand what the request may cost; None where it has a bound."""
    if not isinstance(request, Conversation | Complete | Embed):
        return f"what the task {task_name(request)!r} costs has no bound here"
    if (tool := own_tools(request)) is not None:
        return f"{tool} is a tool of the provider's own, whose charges have no bound"
    if (name := elsewhere(request, prompt)) is not None:
        return f"{name} stands for what is not in the request, whose cost has no bound here"
    return None


def _refused(message: str) -> BudgetError:
    error = BudgetError(message)
    error.asked = False
    return error
