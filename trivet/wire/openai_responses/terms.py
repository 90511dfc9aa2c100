"""What may be said to a provider in this protocol, and in which words: `extra`, cache marks, ids, refusals."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from trivet.types import CacheMark, Document, Image, Part, Request, Text, Tool, ToolResult
from trivet.wire import Target
from trivet.wire.ids import fitting
from trivet.wire.openai_responses.items_in import SAID
from trivet.wire.openai_responses.request_in import PROTOCOL
from trivet.wire.openai_terms import SharedTerms, breakpoint

_ID = r"(?s:.{1,64})"  # what OpenAI takes as a call's id


class Terms(SharedTerms):
    protocol = PROTOCOL
    called = "responses"
    labels = SAID

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.family, self._source = target.family, request.source

    @cached_property
    def body(self) -> dict[str, msgspec.Raw]:
        """What the client wrote in this protocol; nothing where it wrote another."""
        if not self.own or self._source is None:
            return {}
        return msgspec.json.decode(self._source.body, type=dict[str, msgspec.Raw])

    def said(self, name: str) -> Any:
        """A field of what the client wrote in this protocol."""
        return msgspec.json.decode(self.body[name]) if name in self.body else None

    def cache(self, mark: CacheMark | None) -> dict[str, Any]:
        """The field that a cache mark is."""
        return {} if mark is None else breakpoint(mark)

    def no_cache(self, mark: CacheMark | None, path: str) -> None:
        """Raises for a mark where the protocol has no place for one."""
        if mark is not None:
            raise self.refuse("cache mark here", path, "put the mark on a text, an image or a file")

    def call_id(self, id: str) -> str:
        """A tool call's id, as OpenAI takes it: the same for the call and its result."""
        return fitting(id, _ID, prefix="call_")


def takes_mark(value: Part | Tool, role: str, target: Target) -> bool:
    """Whether the protocol has a place for a cache mark there: on what the model reads, and not on what it has said."""
    return role != "assistant" and isinstance(value, Text | Image | Document | ToolResult)
