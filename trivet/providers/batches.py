"""Vectors of more texts than a host takes in one request: asked for in several, one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from trivet.collect import vectors_together
from trivet.types import Done, Embed, EmbedResponse, Event, Request, replace

__all__ = ["in_batches"]

Ask = Callable[[Request], AsyncGenerator[Event, None]]


async def in_batches(ask: Ask, request: Embed, most: int) -> AsyncGenerator[Event, None]:
    """One `Done` of them all. The first that fails ends it."""
    answers = []
    for at in range(0, len(request.texts), most):
        async with aclosing(ask(replace(request, texts=request.texts[at : at + most]))) as events:
            async for event in events:
                if isinstance(event, Done):
                    assert isinstance(event.response, EmbedResponse)
                    answers.append(event.response)
    yield Done(response=vectors_together(answers))
