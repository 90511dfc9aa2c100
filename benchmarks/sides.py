"""The bare engine and the Python API, in this process, on the same loaded weights.

Each side streams, as trivet always does; decodes greedily and past the end of the text, so that all give as many
tokens; and is asked in its own way for the same thing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import trivet
from benchmarks.prompts import as_messages
from trivet.local.llama import Llama
from trivet.model import Wrapper
from trivet.types import Chat, Done, Event, Request, Sampling, replace

AT_ONCE = 8


class Side(Protocol):
    """One way to the model. Both give seconds, and raise RuntimeError where it gave another number of tokens."""

    def answer(self, prompt: str, tokens: int) -> float: ...

    def at_once(self, prompts: Sequence[str], tokens: int) -> float: ...


class Bare:
    """`xllamacpp.Server`, called directly, on as many threads as there are requests."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.threads = ThreadPoolExecutor(AT_ONCE)

    def answer(self, prompt: str, tokens: int) -> float:
        last: dict[str, Any] = {}

        def take(chunk: dict[str, Any]) -> bool:
            nonlocal last
            last = chunk
            return False

        begin = time.perf_counter()
        self.server.handle_chat_completions(body(prompt, tokens), take)
        seconds = time.perf_counter() - begin
        expect(last["timings"]["predicted_n"], tokens)
        return seconds

    def at_once(self, prompts: Sequence[str], tokens: int) -> float:
        begin = time.perf_counter()
        list(self.threads.map(lambda prompt: self.answer(prompt, tokens), prompts))
        return time.perf_counter() - begin


class Async:
    """`Llama.stream`, on one event loop."""

    def __init__(self, model: Llama, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.model, self.run = model, run

    def answer(self, prompt: str, tokens: int) -> float:
        begin = time.perf_counter()
        self.run(self._answer(prompt, tokens))
        return time.perf_counter() - begin

    def at_once(self, prompts: Sequence[str], tokens: int) -> float:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._answer(prompt, tokens) for prompt in prompts))

        begin = time.perf_counter()
        self.run(all_of_them())
        return time.perf_counter() - begin

    async def _answer(self, prompt: str, tokens: int) -> None:
        async for event in self.model.stream(chat(prompt, tokens)):
            if isinstance(event, Done):
                expect(event.response.usage.output_tokens, tokens)


class Sync:
    """`trivet.stream` and `trivet.map`, as a script has them."""

    def __init__(self, model: Llama) -> None:
        self.model = Endless(model)

    def answer(self, prompt: str, tokens: int) -> float:
        begin = time.perf_counter()
        stream = trivet.stream(prompt, model=self.model, temperature=0, max_tokens=tokens)
        for _ in stream:
            pass
        seconds = time.perf_counter() - begin
        expect(stream.response.usage.output_tokens, tokens)
        return seconds

    def at_once(self, prompts: Sequence[str], tokens: int) -> float:
        requests = [chat(prompt, tokens) for prompt in prompts]
        begin = time.perf_counter()
        responses = trivet.map(requests, model=self.model, concurrency=AT_ONCE, progress=False)
        seconds = time.perf_counter() - begin
        for response in responses:
            expect(response.usage.output_tokens, tokens)
        return seconds


class Endless(Wrapper):
    """Goes on past the end of the text: `trivet.stream` has no argument for what is llama.cpp's own."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        async for event in self.inner.stream(replace(request, extra={"ignore_eos": True})):
            yield event


def chat(prompt: str, tokens: int) -> Chat:
    sampling = Sampling(temperature=0, max_tokens=tokens)
    return Chat(messages=as_messages(prompt), sampling=sampling, extra={"ignore_eos": True})


def body(prompt: str, tokens: int) -> dict[str, Any]:
    """The same, for the engine itself and for the server."""
    return {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }


def expect(found: object, tokens: int) -> None:
    if found != tokens:
        raise RuntimeError(f"{found} tokens came, and {tokens} were asked for: the sides are not comparable")
