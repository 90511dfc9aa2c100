"""Which parts of an answer a protocol can carry, and which of them a stream can still tell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from trivet.errors import UnsupportedError
from trivet.types import Message, Opaque, Part, Text, Thinking, ToolCall

# What the `extra` of a text may say about it that is only for those who know: that it is OpenAI's refusal, and whether
# it is a comment or the answer. The text itself is there, so that other protocols lose nothing without.
LABELS = frozenset({"refusal", "phase"})


def check_parts(message: Message, protocol: str, provider: str | None = None) -> None:
    """Raises `UnsupportedError` for a part that is neither text, thinking nor a tool call, nor an opaque one of the
    protocol's own provider. `protocol` is its name in that error."""
    for part in message.content:
        own = isinstance(part, Opaque) and part.provider == provider
        if not own and not isinstance(part, Text | Thinking | ToolCall):
            kind = part.__struct_config__.tag
            raise UnsupportedError(
                f"the answer has a part of type {kind!r}, which {protocol} cannot carry: "
                "ask over the protocol of the model's own provider"
            )


def last_opaque(parts: Sequence[Part]) -> list[Part]:
    """The opaque parts at the end, which no delta has told. Raises `UnsupportedError` where one of those stands
    before what a stream has told by now."""
    last = list(takewhile(lambda p: isinstance(p, Opaque), reversed(parts)))
    if len(last) < sum(isinstance(p, Opaque) for p in parts):
        raise UnsupportedError(
            "the answer has a part of a server-side tool before its text, which this stream cannot tell any more: "
            "ask without stream"
        )
    return last[::-1]
