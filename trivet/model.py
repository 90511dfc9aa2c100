"""The contract: a model answers requests, as a stream of events that ends in exactly one `Done`, last.

Nested async generators do not close from the bottom by themselves: whoever iterates over `stream` does so
inside `contextlib.aclosing`, so that leaving early closes everything below, innermost first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from trivet.errors import TransportError, UnsupportedError
from trivet.types import Done, Event, Request, Response, Value, replace, task_name

__all__ = ["About", "Model", "Provider", "Wrapper", "bottom", "ended"]


class About(Value, frozen=True, kw_only=True):
    """What a model is. `tasks` by name (`chat`, `embed`, …), `inputs` the kinds of part that it takes,
    `context_tokens` the most that prompt and output may have together; None is unknown."""

    name: str
    tasks: tuple[str, ...]
    inputs: tuple[str, ...] = ("text",)
    context_tokens: int | None = None
    tools: bool | None = None
    where: Literal["embedded", "self-served", "hosted", "test"] = "hosted"
    license: str | None = None


class Model:
    """Anything that answers requests. A subclass has `about` and `stream`, and `close` where it holds something."""

    @property
    def about(self) -> About:
        raise NotImplementedError

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """An async generator: maybe a `Start`, then deltas, and one `Done` as the last event.

        Raises `UnsupportedError` before the first event for a task that the model does not have, and any other
        `TrivetError` at any time. Closing the generator cancels the work, at once, down to the bottom.
        """
        raise NotImplementedError

    async def call(self, request: Request) -> Response:
        """The same, collected: the response that `Done` carries. Raises `TransportError` where none came."""
        whole = replace(request, context=replace(request.context, whole=True))
        async with aclosing(self.stream(whole)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.response
        raise ended(self.about.name)

    async def close(self) -> None:
        """Gives back what the model holds. Closing twice is fine."""

    def require(self, request: Request) -> None:
        """Raises `UnsupportedError` unless the model has the request's task."""
        about, task = self.about, task_name(request)
        if task not in about.tasks:
            raise UnsupportedError(
                f"{about.name} has no task {task!r}, it has {', '.join(about.tasks)}: name another model",
                field="model",
            )


class Wrapper(Model):
    """A model that adapts `inner`, and as it stands adapts nothing. Override `edit`, `stream`, or both."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    @property
    def about(self) -> About:
        return self.inner.about

    def edit(self, request: Request) -> Request:
        """The request to pass on. Tasks that do not concern the wrapper come back as they are."""
        return request

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        return self.inner.stream(self.edit(request))  # no generator of its own: each would cost every event a hop

    async def close(self) -> None:
        await self.inner.close()


def bottom(model: Model) -> Model:
    """The model under all wrappers."""
    while isinstance(model, Wrapper):
        model = model.inner
    return model


def ended(name: str) -> TransportError:
    """For a stream that ends without its `Done`."""
    return TransportError(f"{name}: the stream ended before its answer was complete; ask again")


class Provider:
    """A source of models under one name: the embedded ones (`local`), a host, an account at one."""

    def names(self) -> tuple[str, ...]:
        """The models that it lists, without the provider's name in front."""
        raise NotImplementedError

    def model(self, name: str) -> Model:
        """The model of this name, the same object each time. Raises `UnknownModelError`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Closes every model that it has given out."""
