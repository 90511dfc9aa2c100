"""The outermost wrapper of a name: it has an account for each request, and writes down what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from trivet.errors import RequestError, TrivetError
from trivet.ledger.account import Account, Book
from trivet.model import Model, Wrapper, ended
from trivet.types import Attempt, Done, Event, Request, Start, replace
from trivet.wire.ids import fresh_id

__all__ = ["Meter"]


class Meter(Wrapper):
    """Counts each request as `name`. One that belongs to another's account (`context.reservation`) is part of that, and
    passes. One whose id another has, which is still under way, gets an id of its own.

    Raises `BudgetError` for a key whose limits are reached, and `RequestError` 403 for one that may not ask for this
    name. What happened is written down before `Done` goes by; `Done` has the cost of all attempts."""

    def __init__(self, inner: Model, book: Book, name: str) -> None:
        super().__init__(inner)
        self.book, self.name = book, name

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        if request.context.reservation in self.book.open:
            return self.inner.stream(request)
        return self._counted(request)

    async def _counted(self, request: Request) -> AsyncGenerator[Event, None]:
        context = request.context
        id = fresh_id("req_") if context.id is None or context.id in self.book.open else context.id
        request = replace(request, context=replace(context, id=id, reservation=id))
        account = self.book.begin(request, self.name)
        try:
            if self.book.budgets is not None and request.context.key is not None:
                self._admit(account, request.context.key)
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    if event.content:
                        account.content()
                    elif account.limits and account.reservation is None and _is_hit(event):
                        await account.reserve({})  # nobody is asked, and it is a request all the same
                    if type(event) is Done:
                        yield _told(account, event)
                        return
                    yield event
            raise ended(self.name)
        except TrivetError as error:
            asked = any(tried.outcome != "refused" for tried in account.attempts)
            account.close("failed" if asked else "refused", error=error, route=error.route)
            raise
        except (asyncio.CancelledError, GeneratorExit) as stop:
            left: tuple[Attempt, ...] = getattr(stop, "route", ())
            account.close("cancelled", route=left)
            raise
        except Exception as error:
            account.close("failed", error=TrivetError(f"{type(error).__name__} inside trivet"))
            raise

    def _admit(self, account: Account, key: str) -> None:
        """Raises where the key may not ask for this name, nor for the model that it stands for."""
        assert self.book.budgets is not None
        found = self.book.budgets.keys.get(key)
        if found is None:
            return
        account.limits = tuple(limit.unit for limit in found.limits)
        if not found.models or found.allows(self.name) or found.allows(self.inner.about.name):
            return
        raise RequestError(
            f"the key {key!r} may ask for {', '.join(found.models)}, and not for {self.name!r}: ask for one of those, "
            "or add a key that may ask for it",
            field="model",
            status=403,
        )


def _is_hit(event: Event) -> bool:
    """Whether the answer is one of before."""
    if isinstance(event, Done):
        return event.response.cache == "hit"
    return isinstance(event, Start) and event.cache == "hit"


def _told(account: Account, event: Done) -> Done:
    """Closes the account: the answer is whole."""
    response = event.response
    if response.cache != "hit" or account.attempts:  # of a route's targets, one may have failed before another had it
        cost = account.cost()
        if response.cost is not cost:
            response = replace(response, cost=cost)
            event = replace(event, response=response)
    account.content()
    account.close("answered", response=response, route=response.route)
    return event
