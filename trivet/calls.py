"""Requests on the bridge's loop: what each function of `import trivet` comes down to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trivet.config import Config
from trivet.errors import TrivetError
from trivet.model import Model
from trivet.sync import Bridge, bridge
from trivet.types import Event, Request, Response, replace

__all__ = ["ConfigLike", "answer", "bar", "call", "each", "events", "named"]

ConfigLike = Config | str | os.PathLike[str]


def call(request: Request, model: str | Model | None, config: ConfigLike | None) -> Response:
    over = bridge()
    return over.run(lambda: answer(over, request, model, config))


async def answer(over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None) -> Response:
    request = named(request, model)
    return await _model(over, request, model, config).call(request)


def events(
    over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None
) -> AsyncGenerator[Event, None]:
    return _model(over, request, model, config).stream(request)


def named(request: Request, model: str | Model | None) -> Request:
    if not isinstance(model, str | Model | None):  # or the default model would answer in its place
        raise TypeError(
            f"model is a name, a path as a string, or a trivet.Model, and this is of type {type(model).__name__}"
        )
    return replace(request, model=model) if isinstance(model, str) and request.model is None else request


def _model(over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None) -> Model:
    if isinstance(model, Model) and request.model is None:
        return model
    return over.runtime(config).model(request.model, request=request)


async def each(
    todo: Sequence[Request],
    one: Callable[[Request], Awaitable[Response | TrivetError]],
    concurrency: int,
    advance: Callable[[], None],
) -> list[Any]:
    """The answer to each, in order. Workers take the next request as they get free."""
    answers: list[Any] = [None] * len(todo)
    left = iter(enumerate(todo))

    async def work() -> None:
        for i, request in left:
            answers[i] = await one(request)
            advance()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(todo))):
                group.create_task(work())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return answers


@contextmanager
def bar(total: int, progress: bool | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, which moves on with each call of what it gives."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=total)
        yield lambda: bars.advance(task)
