"""Asking the same target again, for as long as nothing of an answer has come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from trivet.adapt.attempts import Trail, now, opening, refuse, tried
from trivet.errors import TrivetError
from trivet.model import Model, Wrapper, ended
from trivet.types import Done, Event, Request

__all__ = ["Retry"]

_random = random.Random()  # noqa: S311 - not a secret; and not `random`'s own, which a program may seed


class Retry(Wrapper):
    """Asks `inner` up to `retries` times more, after errors whose class says that it may help (`error.retry`).

    Between two tries it waits a random time of up to `base_s`, 2 `base_s`, 4 `base_s`, … and at most `most_s` ("full
    jitter": M. Brooker, Exponential Backoff and Jitter, 2015); at least what the provider said (`retry-after`). Where
    that is more than `patience_s`, or would be past the request's deadline, it does not wait: another target may
    answer meanwhile."""

    trails = True

    def __init__(
        self, inner: Model, *, retries: int = 2, base_s: float = 0.5, most_s: float = 8, patience_s: float = 30
    ) -> None:
        again = "it asks again already, and retries in retries multiply: take them out of one of the two"
        refuse(inner, lambda model: isinstance(model, Retry), again)
        bounded = "its time for everything (total_s) would count anew for each retry: put it around the retries"
        refuse(inner, lambda model: getattr(model, "total_s", None) is not None, bounded)
        super().__init__(inner)
        self.retries, self.base_s, self.most_s, self.patience_s = retries, base_s, most_s, patience_s

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        trail, name = Trail(), self.inner.about.name
        for n in range(self.retries + 1):
            began, answering = now(), False
            async with aclosing(self.inner.stream(request)) as events:
                try:
                    head = await opening(events, name)
                    answering = True
                    for event in head:
                        yield trail.told(event, name, began)
                    async for event in events:
                        yield trail.told(event, name, began) if isinstance(event, Done) else event
                    if not isinstance(event, Done):
                        raise ended(name)
                    return
                except TrivetError as error:
                    trail.failed(self.inner, name, error, began)
                    wait_s = None if answering else self.wait_s(error, n, request.context.deadline_s)
                    if wait_s is None:
                        raise trail.raised(error) from None
                except asyncio.CancelledError as stop:
                    trail.cancelled(name, began, tried(stop))
                    trail.stopped(stop)
                    raise
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError as stop:
                trail.stopped(stop)
                raise

    def wait_s(self, error: TrivetError, n: int, deadline_s: float | None) -> float | None:
        """How long to wait after try `n` (0 is the first), None where it is not to be made again."""
        if not error.retry or not error.asked or n >= self.retries:
            return None  # what a breaker leaves alone has its time
        said_s: float = getattr(error, "retry_after_s", None) or 0
        jitter_s = _random.uniform(0, min(self.most_s, self.base_s * 2**n))
        wait_s = said_s + min(jitter_s, self.base_s) if said_s else jitter_s  # not all that wait come at once
        if wait_s > self.patience_s or (deadline_s is not None and now() + wait_s >= deadline_s):
            return None
        return wait_s
