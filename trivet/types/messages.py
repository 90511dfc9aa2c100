"""Messages and their parts."""

from __future__ import annotations

from typing import Literal

from trivet.types.value import Extra, Json, Value


class CacheMark(Value, frozen=True, kw_only=True):
    """The end of a prefix that the user wants the provider to cache, and for how long (Anthropic's `cache_control`)."""

    ttl: Literal["5m", "1h"] | None = None


class BasePart(Value, tag_field="type", frozen=True, kw_only=True):
    """What every part has. `extra` holds what its protocol said and trivet has no field for."""

    cache: CacheMark | None = None
    extra: Extra = {}


class Citation(Value, frozen=True, kw_only=True):
    """Where a text has something from. `quote` is what is said there; `start` and `end` are the characters of the
    text that stand on it. `raw` is the citation in its `provider`'s own words, to be sent back untouched."""

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    provider: str | None = None
    raw: Json = None


class Text(BasePart, tag="text", frozen=True, kw_only=True):
    text: str
    citations: tuple[Citation, ...] = ()


class Media(BasePart, frozen=True, kw_only=True):
    """Bytes (`data`) or an address (`url`), exactly one; `media_type` such as `image/png`."""

    data: bytes | None = None
    url: str | None = None
    media_type: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise ValueError(f"{type(self).__name__} takes exactly one of data and url")


class Image(Media, tag="image", frozen=True, kw_only=True):
    """`detail` is OpenAI's resolution hint."""

    detail: Literal["auto", "low", "high"] | None = None


class Audio(Media, tag="audio", frozen=True, kw_only=True):
    pass


class Document(Media, tag="document", frozen=True, kw_only=True):
    """A PDF or a text, with the `name` to show."""

    name: str | None = None


class Thinking(BasePart, tag="thinking", frozen=True, kw_only=True):
    """A model's reasoning. `signature` is the proof of it that `provider` (`anthropic`, `openai`, `gemini`) wants back
    untouched; `redacted` is reasoning that only that provider can read, in which case `text` is empty.

    Gemini signs other parts too: an empty thought with its signature stands before such a part."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None


class ToolCall(BasePart, tag="tool_call", frozen=True, kw_only=True):
    """`arguments` is JSON text exactly as the model wrote it: it may be cut short when the tokens ran out."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResult(BasePart, tag="tool_result", frozen=True, kw_only=True):
    """The answer to the `ToolCall` whose id is `call_id`. It stands in a user's message."""

    call_id: str
    content: tuple[Text | Image | Audio | Document, ...] = ()
    is_error: bool = False


class Opaque(BasePart, tag="opaque", frozen=True, kw_only=True):
    """A block that only `provider` understands (a server-side tool's), as received."""

    provider: str
    raw: Json


Part = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Opaque
Role = Literal["system", "developer", "user", "assistant"]


class Message(Value, frozen=True, kw_only=True):
    """One turn. System prompts are messages too, in their place; `developer` is OpenAI's word for one."""

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    extra: Extra = {}

    @property
    def text(self) -> str:
        """The text parts, joined without a separator."""
        return "".join(p.text for p in self.content if isinstance(p, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(p for p in self.content if isinstance(p, ToolCall))


def system(text: str) -> Message:
    return Message(role="system", content=(Text(text=text),))


def user(*content: str | Part) -> Message:
    """A user's message from strings and parts, in order."""
    return Message(role="user", content=tuple(Text(text=c) if isinstance(c, str) else c for c in content))


def assistant(*content: str | Part) -> Message:
    return Message(role="assistant", content=tuple(Text(text=c) if isinstance(c, str) else c for c in content))
