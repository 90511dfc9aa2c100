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
    Act,
    ActResponse,
    AnyResponse,
    AudioDelta,
    Chat,
    ChatResponse,
    Classify,
    ClassifyResponse,
    Complete,
    CompleteResponse,
    CountTokens,
    CountTokensResponse,
    Done,
    Embed,
    EmbedResponse,
    Event,
    Fold,
    FoldResponse,
    Forecast,
    ForecastResponse,
    Image,
    Label,
    Line,
    Mask,
    MaskResponse,
    Place,
    Ranked,
    Read,
    ReadResponse,
    Request,
    Rerank,
    RerankResponse,
    Residue,
    Response,
    Segment,
    SegmentDelta,
    Speak,
    SpeakResponse,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Transcribe,
    TranscribeResponse,
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
        said: list[str] = []  # of a transcript, or aloud
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, Fault):
                yield piece
                continue
            if isinstance(piece, str) and isinstance(request, Transcribe | Speak):
                said.append(piece)
                segment = Segment(text=piece, start_s=len(said) - 1, end_s=len(said))
                piece = (
                    SegmentDelta(segment=segment)
                    if isinstance(request, Transcribe)
                    else AudioDelta(data=piece.encode())
                )
            if isinstance(piece, str) and isinstance(request, Chat | Complete):
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
        yield Done(response=self._response(request, collector, said))

    def _response(self, request: Request, collector: Collector, said: Sequence[str]) -> AnyResponse:
        name, words = self.about.name, len(collector.text().split())
        usage = Usage(uncached_input_tokens=3, cache_read_tokens=0, cache_write_tokens=0, output_tokens=words)
        if isinstance(request, Embed):
            given: Sequence[str | Image] = getattr(request, request.given)
            lengths = [len(one if isinstance(one, str) else one.data or b"") for one in given]
            return EmbedResponse(model=name, vectors=tuple((float(length), 1.0) for length in lengths), usage=usage)
        if isinstance(request, CountTokens):
            return CountTokensResponse(model=name, input_tokens=3)
        if not isinstance(request, Chat | Complete):
            return _made_up(request, name, said)
        if isinstance(request, Complete):
            choices = collector.text_choices({0: "stop"}, {})
            return CompleteResponse(model=name, id="fake-1", choices=choices, usage=usage)
        called = any(isinstance(p, ToolCall) for p in collector.content())
        reasons = collector.choices({0: "tool_calls" if called else "stop"}, {})
        return ChatResponse(model=name, id="fake-1", choices=reasons, usage=usage)


def _made_up(request: Request, name: str, said: Sequence[str]) -> AnyResponse:
    """An answer to a task that has no text of its own: always the same to the same."""
    if isinstance(request, Rerank):
        order = range(len(request.documents))[: request.top]
        return RerankResponse(model=name, results=tuple(Ranked(index=i, score=1 / (i + 1)) for i in order))
    if isinstance(request, Classify):
        labels = (request.labels or ("cat", "dog"))[: request.top]
        return ClassifyResponse(model=name, labels=tuple(Label(label=la, score=1 / len(labels)) for la in labels))
    if isinstance(request, Read):
        return ReadResponse(model=name, lines=(Line(text="Hello"),))
    if isinstance(request, Transcribe):
        segments = tuple(Segment(text=text, start_s=i, end_s=i + 1) for i, text in enumerate(said))
        return TranscribeResponse(model=name, text="".join(said), segments=segments, language="en")
    if isinstance(request, Speak):
        return SpeakResponse(model=name, audio="".join(said).encode(), media_type="audio/wav", sample_rate=22_050)
    if isinstance(request, Forecast):
        last = next((value for value in reversed(request.series) if value is not None), 0.0)
        ahead = (last,) * request.horizon
        return ForecastResponse(model=name, point=ahead, quantiles={str(q): ahead for q in request.quantiles})
    if isinstance(request, Mask):
        places = [i for i, letter in enumerate(request.sequence) if letter == "_"]
        residues = (Residue(letter="A", probability=1.0),)
        told = tuple(Place(position=i, residues=residues) for i in places)
        return MaskResponse(model=name, sequence=request.sequence.replace("_", "A"), places=told)
    if isinstance(request, Fold):
        return FoldResponse(model=name, structure="END\n", plddt=(50.0,) * len(request.sequence))
    assert isinstance(request, Act)
    return ActResponse(model=name, actions=(request.state or (0.0,),))
