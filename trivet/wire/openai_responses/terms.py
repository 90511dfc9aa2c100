"""What may be said to a provider in this protocol, and in which words: `extra`, cache marks, ids, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from trivet.errors import UnsupportedError
from trivet.types import CacheMark, Document, Extra, Image, Part, Request, Text, Tool, ToolResult
from trivet.wire import Target
from trivet.wire.ids import fitting
from trivet.wire.openai_responses.items_in import SAID
from trivet.wire.openai_responses.request_in import PROTOCOL

_ID = r"(?s:.{1,64})"  # what OpenAI takes as a call's id


class Terms:
    """Those of one request. `own` says that its client wrote it in this protocol, `foreign` that it wrote another."""

    def __init__(self, request: Request, target: Target) -> None:
        self.target, self.family, self._source = target, target.family, request.source
        self.own = request.source is not None and request.source.protocol == PROTOCOL
        self.foreign = request.source is not None and not self.own

    @cached_property
    def body(self) -> dict[str, msgspec.Raw]:
        """What the client wrote in this protocol; nothing where it wrote another."""
        if not self.own or self._source is None:
            return {}
        return msgspec.json.decode(self._source.body, type=dict[str, msgspec.Raw])

    def said(self, name: str) -> Any:
        """A field of what the client wrote in this protocol."""
        return msgspec.json.decode(self.body[name]) if name in self.body else None

    def refuse(self, what: str, field: str, instead: str = "leave it out, or name another model") -> UnsupportedError:
        return UnsupportedError(
            f"{self.target.provider} takes no {what} ({field}) in responses: {instead}", field=field
        )

    def merge(self, written: dict[str, Any], extra: Extra, where: str = "") -> dict[str, Any]:
        """With the `extra` of what was written, which only its own protocol can carry."""
        left = {name: value for name, value in extra.items() if name not in SAID}
        for name in left if self.foreign else ():
            path = f"{where}.{name}" if where else name
            raise UnsupportedError(
                f"{path} has no counterpart in responses, which {self.target.provider} is asked in: "
                "leave it out, or name another model",
                field=name,
            )
        return merged(written, left)

    def cache(self, mark: CacheMark | None) -> dict[str, Any]:
        """The field that a cache mark is. Lifetimes here are the least that is kept: 30 minutes where none is given,
        else 12 hours."""
        if mark is None:
            return {}
        longer = {"ttl": "12h"} if mark.ttl == "1h" else {}
        return {"prompt_cache_breakpoint": {"mode": "explicit", **longer}}

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


def merged(written: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects in one another."""
    out = dict(written)
    for name, value in more.items():
        old = out.get(name)
        out[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out
