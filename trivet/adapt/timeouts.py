"""How long a model may take: for its first content, between two events, and in all."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing, closing
from math import inf
from typing import Any, TypeVar

from trivet.adapt.attempts import because, now, tried
from trivet.errors import TransportError
from trivet.model import Model, Wrapper
from trivet.types import Attempt, Done, Event, Request, replace

__all__ = ["Timeouts"]

T = TypeVar("T")


class Timeouts(Wrapper):
    """Ends `inner` with `TransportError` where it takes longer, in seconds: `first_content_s` until its first content
    (for a task without any, until its answer), `gap_s` between two events after that, `total_s` until the end. Where
    nobody reads the answer before its end, and it comes in one piece, `whole_s` counts in place of the first.

    `total_s` becomes the request's deadline, which retries within it heed; where the request has one that is sooner,
    that counts. Time that whoever reads takes between two events counts for the total alone."""

    def __init__(
        self,
        inner: Model,
        *,
        first_content_s: float | None = None,
        gap_s: float | None = None,
        whole_s: float | None = None,
        total_s: float | None = None,
    ) -> None:
        super().__init__(inner)
        self.first_content_s, self.gap_s, self.whole_s, self.total_s = first_content_s, gap_s, whole_s, total_s

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        began, deadline_s = now(), request.context.deadline_s
        if self.total_s is not None:
            deadline_s = min(began + self.total_s, deadline_s or inf)
            request = replace(request, context=replace(request.context, deadline_s=deadline_s))
        first = self.whole_s if request.context.whole else self.first_content_s
        answered, until = False, min(deadline_s or inf, began + (first or inf))
        async with aclosing(self.inner.stream(request)) as events:
            with closing(_Clock()) as clock:
                while True:
                    try:
                        event = await clock.wait(anext(events), until)
                    except StopAsyncIteration:
                        return
                    except _RanOut as out:
                        patience = self.gap_s if answered else first
                        raise self._late(
                            answered, None if until == deadline_s else patience, began, out.route
                        ) from None
                    came = now()
                    if deadline_s is not None and came > deadline_s and not isinstance(event, Done):
                        raise self._late(answered, None, began, ())  # events that never keep it waiting ring no clock
                    yield event
                    answered = answered or event.content or isinstance(event, Done)
                    left = self.gap_s or inf if answered else until - came
                    until = min(deadline_s or inf, now() + left)

    def _late(
        self, answered: bool, patience_s: float | None, began: float, route: tuple[Attempt, ...]
    ) -> TransportError:
        if patience_s is None:
            what = f"not done {now() - began:.3g} s after it was asked, which is all the time that it has"
        elif answered:
            what = f"nothing more came for {patience_s:g} s in mid-answer"
        else:
            what = f"nothing of an answer came for {patience_s:g} s"
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

    @types.coroutine
    def wait(self, coming: Awaitable[T], until: float) -> Generator[Any, Any, T]:
        """What comes. Raises `_RanOut` where that takes until `until`, after `coming` is cancelled.

        It drives what comes itself, as `await` does, and so sees whether that has to wait: what is ready sets no
        timer."""
        steps: Any = coming.__await__()
        task, before = None, 0
        try:
            waits_for = next(steps)
            if until < inf:
                task, before = self._begin(until)
            while True:
                try:
                    yield waits_for
                except BaseException as thrown:
                    waits_for = steps.throw(thrown)
                else:
                    waits_for = next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
        except asyncio.CancelledError as stop:
            rang, self._rang = self._rang, False
            if rang and task is not None and task.uncancel() <= before:
                raise _RanOut(stop) from None
            raise
        finally:
            self._until = None
            if self._rang and task is not None:
                self._rang = False
                task.uncancel()  # it has ended in another way

    def _begin(self, until: float) -> tuple[asyncio.Task[object], int]:
        task = self._task = asyncio.current_task()
        assert task is not None
        self._until, self._rang = until, False
        if until < self._rings_at:
            self._set(until)
        return task, task.cancelling()

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
