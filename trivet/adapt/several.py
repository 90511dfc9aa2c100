"""Plain completions of several prompts, by a model that takes one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from trivet.errors import UnsupportedError
from trivet.model import Wrapper, ended
from trivet.types import Complete, CompleteResponse, Done, Event, Request, Start, TextDelta, Usage, replace

AT_ONCE = 16  # the others wait for their turn


class Several(Wrapper):
    """A `Complete` whose `extra` has a list of texts as its `prompt` becomes one for each, asked side by side. Their
    choices are told in the order of the prompts: first the `n` of the first. Usage is the sum; an answer from a cache
    of ours is one where all of them are.

    Raises `UnsupportedError` for a prompt of token ids, which only a host of the protocol knows how to read."""

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        prompts = request.extra.get("prompt") if isinstance(request, Complete) else None
        if isinstance(request, Complete) and prompts is not None:
            return _side_by_side(self, request, prompts)
        return self.inner.stream(request)


def _each(request: Complete, prompts: Any, name: str) -> list[Complete]:
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise UnsupportedError(
            f"prompt is made of token ids, and {name} reads text: send it as text, or name a model of a host that "
            "speaks OpenAI's completions",
            field="prompt",
        )
    extra = {name: value for name, value in request.extra.items() if name != "prompt"}
    return [replace(request, prompt=prompt, extra=extra) for prompt in prompts]


async def _side_by_side(model: Several, request: Complete, prompts: Any) -> AsyncGenerator[Event, None]:
    """Their events as they come, and one `Done`. The first error ends them all."""
    requests = _each(request, prompts, model.about.name)
    told: asyncio.Queue[tuple[int, Event | Exception]] = asyncio.Queue(AT_ONCE)
    waiting = iter(enumerate(requests))
    workers = [asyncio.ensure_future(_work(model, waiting, told)) for _ in requests[:AT_ONCE]]
    responses: dict[int, CompleteResponse] = {}
    n, started = requests[0].sampling.n, False
    try:
        while len(responses) < len(requests):
            i, event = await told.get()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Done):
                assert isinstance(event.response, CompleteResponse)
                responses[i] = event.response
            elif isinstance(event, TextDelta):
                yield replace(event, choice=i * n + event.choice, raw=None)
            elif isinstance(event, Start) and not started:
                started = True
                yield replace(event, raw=None, cache=None)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    yield Done(response=_together([responses[i] for i in range(len(requests))]))


async def _work(
    model: Several, waiting: Iterator[tuple[int, Complete]], told: asyncio.Queue[tuple[int, Event | Exception]]
) -> None:
    """Asks one after the other of those that nobody else has taken."""
    for i, request in waiting:
        done = False
        try:
            async with aclosing(model.inner.stream(request)) as events:
                async for event in events:
                    done = done or isinstance(event, Done)
                    await told.put((i, event))
        except Exception as error:
            return await told.put((i, error))
        if not done:
            return await told.put((i, ended(model.about.name)))


def _together(responses: list[CompleteResponse]) -> CompleteResponse:
    usage: Usage = responses[0].usage
    for response in responses[1:]:
        usage += response.usage
    notes = dict.fromkeys(note for response in responses for note in response.notes)
    choices = tuple(choice for response in responses for choice in response.choices)
    cache = next((told for told in ("stored", "miss", "hit", None) if any(r.cache == told for r in responses)), None)
    return replace(responses[0], choices=choices, usage=usage, notes=tuple(notes), cache=cache, raw=None)
