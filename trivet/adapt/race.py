"""One request on its way through a route: one target after the other, or with a second beside a slow first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from trivet.adapt.attempts import Trail, now, opening, tried
from trivet.errors import TrivetError
from trivet.types import Attempt, Event, Request

if TYPE_CHECKING:
    from trivet.adapt.route import Target

__all__ = ["Race", "Run"]


class Run:
    """A target that is being asked; `head` is what it told up to its first content."""

    def __init__(self, target: Target, request: Request) -> None:
        self.target, self.began = target, now()
        self.events: AsyncGenerator[Event, None] = target.model.stream(request)
        self.head: list[Event] = []
        self.tried: tuple[Attempt, ...] = ()  # by the time that it was cancelled
        self._open = True
        target.in_flight += 1

    async def begin(self) -> None:
        try:
            self.head = await opening(self.events, self.target.name)
        except asyncio.CancelledError as stop:
            self.tried = tried(stop)
            raise
        self.target.took(now() - self.began)

    async def close(self) -> None:
        if self._open:
            self._open = False
            self.target.in_flight -= 1
            await self.events.aclose()


class Race:
    """Asks `order` until one has content; `aclose` ends whoever is still being asked."""

    def __init__(self, name: str, order: Sequence[Target], request: Request, trail: Trail) -> None:
        self._name, self._order, self._request, self._trail = name, list(order), request, trail
        self._errors: list[TrivetError] = []
        self._runs: dict[asyncio.Task[None], Run] = {}  # those beside each other
        self._won: Run | None = None

    async def won(self, hedge_s: float | None) -> Run:
        """The run that answers. Raises the error that says most, where none does."""
        while self._order or self._runs:
            self._won = await (self._next() if hedge_s is None else self._beside(hedge_s))
            if self._won is not None:
                return self._won
        raise self._none()

    async def aclose(self) -> None:
        try:
            if self._runs:
                await _to_its_end(self._end_others(None))
        finally:
            if self._won is not None:
                await self._won.close()

    async def _next(self) -> Run | None:
        run = self._won = Run(self._order.pop(0), self._request)  # so that it is closed, whatever happens
        try:
            await run.begin()
        except TrivetError as error:
            await run.close()
            self._fails(run, error)
            return None
        except asyncio.CancelledError:
            self._cancelled(run)
            raise
        return run

    async def _beside(self, hedge_s: float) -> Run | None:
        """Another one starts where nobody is being asked, or where nothing has come for `hedge_s`."""
        if not self._runs and self._order:
            self._start()
        done, _ = await asyncio.wait(
            self._runs, timeout=hedge_s if self._order else None, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            self._start()
        began = [task for task in self._runs if task in done]  # in their order, and who answers before who fails
        for task in sorted(began, key=lambda task: task.exception() is not None):
            run = self._runs[task]
            if task.exception() is None:
                del self._runs[task]
                self._won = run  # before anything else is awaited, so that it is closed, whatever happens
                await self._end_others(f"{run.target.name} was sooner")
                return run
            await self._failed(task)
            if self._order:
                self._start()
        return None

    async def _failed(self, task: asyncio.Task[None]) -> None:
        run, error = await self._end(task), task.exception()
        if not isinstance(error, TrivetError):
            assert error is not None
            raise error
        if not error.fallback:
            await self._end_others(f"{run.target.name} finds the request wrong")
        self._fails(run, error)

    async def _end_others(self, why: str | None) -> None:
        for task in list(self._runs):
            run, error = await self._end(task), None if task.cancelled() else task.exception()
            if isinstance(error, TrivetError):
                self._trail.failed(run.target.model, run.target.name, error, run.began)
            else:
                self._cancelled(run, why)

    def _cancelled(self, run: Run, why: str | None = None) -> None:
        self._trail.cancelled(run.target.name, run.began, run.tried, why=why)

    def _start(self) -> None:
        run = Run(self._order.pop(0), self._request)
        self._runs[asyncio.ensure_future(run.begin())] = run

    async def _end(self, task: asyncio.Task[None]) -> Run:
        run = self._runs[task]
        task.cancel()
        await asyncio.wait([task])
        del self._runs[task]
        await run.close()
        return run

    def _fails(self, run: Run, error: TrivetError) -> None:
        """Raises the error where another target would answer the same."""
        self._trail.failed(run.target.model, run.target.name, error, run.began)
        if not error.fallback:
            raise self._trail.raised(error) from None
        self._errors.append(error)

    def _none(self) -> TrivetError:
        """One error for all: of the class, and with the status, that tells the client most. Of one model, its own."""
        telling = max(self._errors, key=_telling)
        if len({attempt.model for attempt in self._trail.made}) > 1:
            reasons = dict.fromkeys(f"{a.model}: {a.reason}" for a in self._trail.made if a.reason)
            telling = _like(telling, f"{self._name}: no model of it has answered. {'; '.join(reasons)}")
            telling.asked = any(error.asked for error in self._errors)
            waits = [w for e in self._errors if (w := getattr(e, "retry_after_s", None)) is not None]
            if waits and hasattr(telling, "retry_after_s"):
                telling.retry_after_s = min(waits)
        return self._trail.raised(telling)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Whoever cancels meanwhile (a client that leaves when time is up) waits for it: else what it has not come to would
    stay open."""
    task = asyncio.ensure_future(work)
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as stop:
            stopped = stop
    task.result()
    if stopped is not None:
        raise stopped


def _like(error: TrivetError, message: str) -> TrivetError:
    """An error of the same class and fields. `copy.copy` would call `__init__` with the message alone."""
    made = type(error).__new__(type(error), message)
    made.__dict__.update(error.__dict__, raw=None)
    return made


def _telling(error: TrivetError) -> tuple[bool, bool, int]:
    """What may pass by itself says more than what will not, a provider's failure more than that it cannot; among those
    too many requests (429) more than too much work (503), and that more than no connection (502)."""
    return error.retry, error.status >= 429, {429: 2, 503: 1}.get(error.status, 0)
