"""What trying again and trying elsewhere share: how far a stream may be given up, and a record of the tries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from trivet.errors import ConfigError, TrivetError
from trivet.model import Model, ended
from trivet.types import Attempt, Done, Event, Start, replace

__all__ = ["Trail", "because", "beneath", "keeps_trail", "now", "opening", "refuse", "tried"]


def now() -> float:
    """Seconds on the event loop's clock, which `Context.deadline_s` is on too."""
    return asyncio.get_running_loop().time()


async def opening(events: AsyncIterator[Event], name: str) -> list[Event]:
    """A stream up to and with its first content, or its `Done`: so far another target may answer in its place.

    Raises what the stream raises, and `TransportError` where it ends without an answer."""
    head: list[Event] = []
    async for event in events:
        head.append(event)
        if event.content or isinstance(event, Done):
            return head
    raise ended(name)


class Trail:
    """The attempts of one request, in their order."""

    def __init__(self) -> None:
        self.made: list[Attempt] = []

    def skipped(self, name: str, reason: str) -> None:
        self.made.append(Attempt(model=name, outcome="skipped", reason=reason))

    def cancelled(self, name: str, began: float, below: tuple[Attempt, ...] = (), *, why: str | None = None) -> None:
        """`below` is what it had tried by then; why it was cancelled may be known to whoever cancels alone."""
        tried = below or (Attempt(model=name, outcome="cancelled", took_s=_since(began)),)
        self.made += tried if why is None else because(tried, why)

    def failed(self, model: Model, name: str, error: TrivetError, began: float) -> None:
        """`model` failed. Where it keeps a trail of its own, the error has that."""
        if error.route and keeps_trail(model):
            self.made += error.route
        elif not error.asked:
            self.skipped(name, error.message)
        else:
            self.made.append(Attempt(model=name, outcome="failed", reason=error.message, took_s=_since(began)))

    def raised(self, error: TrivetError) -> TrivetError:
        """The error, with what was tried before it."""
        error.route = tuple(self.made)
        return error

    def stopped(self, stop: asyncio.CancelledError) -> None:
        """What was tried goes with the cancellation to whoever has cancelled: a hedge, or the time for everything."""
        stop.route = tuple(self.made)  # type: ignore[attr-defined]

    def told(self, event: Event, name: str, began: float) -> Event:
        """The event with the attempts, where it tells who answers or the answer. Its bytes are the provider's still."""
        if isinstance(event, Start):
            return replace(event, route=self._until(event.route, name, began))
        if isinstance(event, Done):
            route = self._until(event.response.route, name, began)
            return replace(event, response=replace(event.response, route=route))
        return event

    def _until(self, below: tuple[Attempt, ...], name: str, began: float) -> tuple[Attempt, ...]:
        if not below:
            below = (Attempt(model=name, outcome="answered", took_s=_since(began)),)
        return (*self.made, *below)


def tried(stop: asyncio.CancelledError) -> tuple[Attempt, ...]:
    """What a cancellation has brought up with it."""
    found: tuple[Attempt, ...] = getattr(stop, "route", ())
    return found


def because(route: tuple[Attempt, ...], why: str) -> tuple[Attempt, ...]:
    """The attempts, with the reason why those were cancelled that have none yet."""
    return tuple(replace(a, reason=why) if a.outcome == "cancelled" and a.reason is None else a for a in route)


def keeps_trail(model: Model) -> bool:
    """Whether the model, or one that it stands on, tells its attempts. An error object may have been raised before."""
    return any(getattr(each, "trails", False) for each in beneath(model))


def beneath(model: Model) -> Iterator[Model]:
    """The model, and every model that it stands on."""
    yield model
    for below in (getattr(model, "inner", None), *getattr(model, "inners", ())):
        if below is not None:
            yield from beneath(below)


def refuse(inner: Model, wrong: Callable[[Model], bool], why: str) -> None:
    """Raises `ConfigError` where what a wrapper is to stand on has something that it cannot stand on."""
    found = next((model for model in beneath(inner) if wrong(model)), None)
    if found is not None:
        raise ConfigError(f"{found.about.name}: {why}")


def _since(began: float) -> float:
    return round(now() - began, 6)
