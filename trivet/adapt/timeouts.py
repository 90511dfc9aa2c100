"""How long a model may take: for its first content, between two events, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, closing
from math import inf
from typing import TypeVar

from trivet.adapt.attempts import because, now, tried
from trivet.errors import TransportError
from trivet.model import Model, Wrapper
from trivet.types import Attempt, Done, Event, Request, replace

__all__ = ["Timeouts"]

T = TypeVar("T")


class Timeouts(Wrapper):
    """Ends `inner` with `TransportError` where it takes longer, in seconds: `first_content_s` until its first content
    (for a task without any, until its answer), `gap_s` between two events after that, `total_s` until the end.

    `total_s` becomes the request's deadline, which retries within it heed; where the request has one that is sooner,
    that counts. Time that whoever reads takes between two events counts for the total alone."""

    def __init__(
        self,
        inner: Model,
        *,
        first_content_s: float | None = None,
        gap_s: float | None = None,
        total_s: float | None = None,
    ) -> None:
        super().__init__(inner)
        self.first_content_s, self.gap_s, self.total_s = first_content_s, gap_s, total_s

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        began, deadline_s = now(), request.context.deadline_s
        if self.total_s is not None:
            deadline_s = min(began + self.total_s, deadline_s or inf)
            request = replace(request, context=replace(request.context, deadline_s=deadline_s))
        answered, until = False, min(deadline_s or inf, began + (self.first_content_s or inf))
        async with aclosing(self.inner.stream(request)) as events:
            with closing(_Clock()) as clock:
                while True:
                    try:
                        event = await clock.wait(anext(events), until)
                    except StopAsyncIteration:
                        return
                    except _RanOut as out:
                        raise self._late(answered, until == deadline_s, now() - began, out.route) from None
                    came = now()
                    yield event
                    answered = answered or event.content or isinstance(event, Done)
                    patience = self.gap_s or inf if answered else until - came
                    until = min(deadline_s or inf, now() + patience)

    def _late(self, answered: bool, in_all: bool, took_s: float, route: tuple[Attempt, ...]) -> TransportError:
        if in_all:
            what = f"not done {took_s:.3g} s after it was asked, which is all the time that it has"
        elif answered:
            what = f"nothing more came for {self.gap_s:g} s in mid-answer"
        else:
            what = f"nothing of an answer came for {self.first_content_s:g} s"
        route = because(route, "there was no more time")
        before = "".join(f"; {attempt.model}: {attempt.reason}" for attempt in route)
        error = TransportError(f"{self.about.name}: {what}: ask again, or ask for less{before}")
        error.route = route
        return error


class _RanOut(Exception):
    """There is no more time; `route` was tried in it."""

    def __init__(self, stop: asyncio.CancelledError) -> None:
        self.route = tried(stop)


class _Clock:
    """One timer for all waits of a stream: `asyncio.timeout` sets one for each, which takes longer than most waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf  # uvloop's handle of a time that has come does not know it
        self._until: float | None = None  # None while nobody waits
        self._task: asyncio.Task[object] | None = None
        self._rang = False

    async def wait(self, coming: Awaitable[T], until: float) -> T:
        """What comes. Raises `_RanOut` where that takes until `until`, after `coming` is cancelled."""
        if until == inf:
            return await coming
        self._until, self._task, self._rang = until, asyncio.current_task(), False
        if until < self._rings_at:
            self._set(until)
        assert self._task is not None
        before = self._task.cancelling()
        try:
            return await coming
        except asyncio.CancelledError as stop:
            rang, self._rang = self._rang, False
            if rang and self._task.uncancel() <= before:
                raise _RanOut(stop) from None
            raise
        finally:
            self._until = None
            if self._rang:
                self._task.uncancel()  # it has ended in another way

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, when: float) -> None:
        self.close()
        self._timer, self._rings_at = self._loop.call_at(when, self._ring), when

    def _ring(self) -> None:
        self._timer, self._rings_at = None, inf
        if self._until is None:
            return
        if self._loop.time() < self._until:
            self._set(self._until)
        elif self._task is not None:
            self._rang = True
            self._task.cancel()
