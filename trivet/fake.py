"""A model to test with: it says what it is told to, fails where it is told to, and notes what it was asked.

::

    Fake("Hello")                                   # every request gets this answer
    Fake(["first", "second"])                       # one reply per request, in order
    Fake(lambda request: request.messages[-1].text) # a function, which may be async
    Fake([RateLimitError("slow down"), "fine"])     # an error before the first event, then an answer
    Fake([["Hel", "lo", TransportError("gone")]])   # a reply in pieces: an error after content
    Fake([["Hel", CUT]])                            # the stream ends without its `Done`
    Fake([["Hel", STALL, "lo"]])                    # nothing more comes until the client leaves
    Fake([["one ", "two"]], delay_s=0.1)            # slow tokens
"""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Literal

from trivet.collect import Collector
from trivet.errors import ConfigError
from trivet.model import About, Model
from trivet.types import (
    AnyResponse,
    ChatResponse,
    Complete,
    CompleteResponse,
    CountTokens,
    CountTokensResponse,
    Done,
    Embed,
    EmbedResponse,
    Event,
    Request,
    Response,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    tasks,
)


class Fault(enum.Enum):
    CUT = "the stream ends without its Done"
    STALL = "nothing more comes"


CUT, STALL = Fault.CUT, Fault.STALL

Piece = str | Event | ToolCall | Exception | Fault
Reply = str | Response | Exception | Sequence[Piece]
Script = str | list[Reply] | Callable[[Request], Reply | Awaitable[Reply]]


class Fake(Model):
    """A scripted model that has every task. See the module's docstring for scripts.

    `requests` is what it was asked; `open` the number of streams under way; `log` says, in order, `start` and
    then `done`, `failed` or `closed` (left early) for each request.
    """

    def __init__(self, script: Script = "Hello", *, about: About | None = None, delay_s: float = 0.0) -> None:
        self.script = list(script) if isinstance(script, list) else script
        self.delay_s = delay_s
        self.requests: list[Request] = []
        self.log: list[Literal["start", "done", "failed", "closed"]] = []
        self.open = 0
        self.closed = False
        self._about = about or About(name="fake", tasks=tuple(sorted(tasks())), where="test")

    @property
    def about(self) -> About:
        return self._about

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        self.requests.append(request)
        self.log.append("start")
        self.open += 1
        end: Literal["done", "failed", "closed"] = "closed"
        try:
            reply = await self._next(request)
            if isinstance(reply, Exception):
                raise reply
            if isinstance(reply, Response):
                end = "done"
                yield Done(response=reply)  # type: ignore[arg-type]  # a task of one's own is fine here
                return
            collector = Collector()
            for event in self._events(request, reply, collector):
                if event is CUT:
                    end = "failed"
                    return
                if event is STALL:
                    await asyncio.get_running_loop().create_future()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                assert isinstance(event, Event)
                if isinstance(event, Done):
                    end = "done"
                yield event
        except Exception:
            end = "failed"
            raise
        finally:
            self.open -= 1
            self.log.append(end)

    async def close(self) -> None:
        self.closed = True

    async def _next(self, request: Request) -> Reply:
        if isinstance(self.script, list):
            if not self.script:
                raise ConfigError(f"{self.about.name}: the script has no reply left for request {len(self.requests)}")
            return self.script.pop(0)
        if callable(self.script):
            reply = self.script(request)
            return await reply if inspect.isawaitable(reply) else reply
        return self.script

    def _events(self, request: Request, reply: str | Sequence[Piece], collector: Collector):  # type: ignore[no-untyped-def]
        """The script's pieces as events, faults among them, and the `Done` that they amount to."""
        yield Start(model=self.about.name, id="fake-1")
        pieces = [reply] if isinstance(reply, str) else reply
        part = -1
        inside_text = False
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, Fault):
                yield piece
                continue
            if isinstance(piece, str) and not isinstance(request, Embed | CountTokens):
                part += not inside_text
                inside_text = True
                piece = TextDelta(text=piece, part=part)
            elif isinstance(piece, ToolCall):
                part, inside_text = part + 1, False
                piece = ToolCallDelta(id=piece.id, name=piece.name, arguments=piece.arguments, part=part)
            if isinstance(piece, TextDelta | ThinkingDelta | ToolCallDelta):
                part, inside_text = max(part, piece.part), isinstance(piece, TextDelta)
            if isinstance(piece, Event):
                collector.add(piece)
                yield piece
        yield Done(response=self._response(request, collector))

    def _response(self, request: Request, collector: Collector) -> AnyResponse:
        name, words = self.about.name, len(collector.text().split())
        usage = Usage(uncached_input_tokens=3, cache_read_tokens=0, cache_write_tokens=0, output_tokens=words)
        if isinstance(request, Embed):
            return EmbedResponse(model=name, vectors=tuple((float(len(t)), 1.0) for t in request.texts), usage=usage)
        if isinstance(request, CountTokens):
            return CountTokensResponse(model=name, input_tokens=3)
        if isinstance(request, Complete):
            choices = collector.text_choices({0: "stop"}, {})
            return CompleteResponse(model=name, id="fake-1", choices=choices, usage=usage)
        called = any(isinstance(p, ToolCall) for p in collector.content())
        reasons = collector.choices({0: "tool_calls" if called else "stop"}, {})
        return ChatResponse(model=name, id="fake-1", choices=reasons, usage=usage)
