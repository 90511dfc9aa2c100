"""A stream's events."""

from __future__ import annotations

from typing import ClassVar, Literal

from trivet.types.all_tasks import AnyResponse
from trivet.types.media_tasks import Segment
from trivet.types.messages import Citation, Part
from trivet.types.responses import Attempt, TokenLogprob
from trivet.types.source import Source
from trivet.types.usage import Usage
from trivet.types.value import Value


class Event(Value, tag_field="event", frozen=True, kw_only=True):
    """One step of an answer. `content` says whether it carries some of the answer: after the first that does,
    nothing is retried. `raw` is what the provider sent, in whole server-sent events, for a server of the same
    protocol to pass on; where several events came of the same bytes, the first has them and the others have none
    (`body=b""`). Whoever changes an event drops it."""

    content: ClassVar[bool] = False

    raw: Source | None = None


class Start(Event, tag="start", frozen=True, kw_only=True):
    """The first event: who answers. `notes`, `route` and `cache` are the response's, as far as they are known."""

    model: str
    id: str | None = None
    notes: tuple[str, ...] = ()
    route: tuple[Attempt, ...] = ()
    cache: Literal["hit"] | None = None


class Aside(Event, tag="aside", frozen=True, kw_only=True):
    """What a provider's stream says and trivet has no event for (a ping, the end of a block): only its `raw`."""


class TextDelta(Event, tag="text", frozen=True, kw_only=True):
    """Text for part `part` of choice `choice`. `logprobs` are those of the tokens in `text`; `citations` are of the
    part, and may come with an empty text. `refusal` says that the text itself is one, and `phase` (OpenAI's) whether it
    is a comment or the answer, as every delta of its part does (and the `extra` of the whole part)."""

    content = True

    text: str
    choice: int = 0
    part: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    citations: tuple[Citation, ...] = ()
    refusal: bool = False
    phase: str | None = None


class ThinkingDelta(Event, tag="thinking", frozen=True, kw_only=True):
    content = True

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    choice: int = 0
    part: int = 0


class ToolCallDelta(Event, tag="tool_call", frozen=True, kw_only=True):
    """`id` and `name` come with a call's first delta; `arguments` is the next piece of JSON text. Calls side
    by side are kept apart by `part`."""

    content = True

    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0
    part: int = 0


class WholePart(Event, tag="part", frozen=True, kw_only=True):
    """A part that comes in one piece: an image, a block of a server-side tool."""

    content = True

    value: Part
    choice: int = 0
    part: int = 0


class SegmentDelta(Event, tag="segment", frozen=True, kw_only=True):
    """The next segment of a transcript."""

    content = True

    segment: Segment


class AudioDelta(Event, tag="audio", frozen=True, kw_only=True):
    """The next bytes of the sound, in the format that was asked for."""

    content = True

    data: bytes


class UsageUpdate(Event, tag="usage", frozen=True, kw_only=True):
    """What is known of the usage so far; each replaces the one before."""

    usage: Usage


class Done(Event, tag="done", frozen=True, kw_only=True):
    """The last event: the whole response."""

    response: AnyResponse


AnyEvent = (
    Start
    | Aside
    | TextDelta
    | ThinkingDelta
    | ToolCallDelta
    | WholePart
    | SegmentDelta
    | AudioDelta
    | UsageUpdate
    | Done
)
