"""On which terms a host takes a request in this protocol: its quirks, and what may not be said to it.

`Target.quirks` is how a compatible host differs from OpenAI. All are optional:

- `max_tokens`: its name for the bound, `max_completion_tokens` where it is not given.
- `seed`: its name for the seed, where it has another.
- `developer_role`: False where it has no such role; it is told as `system`.
- `stream_options`: False where it has none, and usage comes, if at all, by itself.
- `reasoning_content`: the name under which thinking is read and sent (`reasoning_content`, `reasoning`), or None where
  the host has none. `send_thinking`: True where it takes thinking back under that name.
- `reasoning_details`: True where it takes back signed thinking of any provider (OpenRouter); False where none, not even
  of its own family (OpenAI itself).
- `reasoning`: True where it has an object `reasoning` (OpenRouter) with `effort`, `max_tokens` and `exclude`.
- `tool_call_id`: `mistral9` for ids of nine letters and digits; `openai40` for at most 40 characters.
- `tool_images`: True where a tool's result may hold images; elsewhere they follow in a user's message.
- `cache`: how a cache mark is told: `breakpoint` (OpenAI), `cache_control` (OpenRouter), or `automatic` where the host
  keeps every prefix by itself, so that a mark asks for nothing more. Elsewhere `takes_mark` says no.
- `json_schema`: False where it holds no schema. `json_object`: False where it has no JSON mode either.
- `no`: names of request fields, and of kinds of content, that the host refuses.

What a client wrote in this protocol goes to any host as it was: then a host's refusals are the host's own to make.
"""

from __future__ import annotations

from typing import Any

from trivet.types import CacheMark, Opaque, Part, Request, Text, Thinking, Tool, ToolCall
from trivet.wire import Target
from trivet.wire.ids import fitting
from trivet.wire.openai_terms import SharedTerms, breakpoint

PROTOCOL = "openai-chat"
PROVIDER = "openai"  # whose opaque parts and signatures are its own
REFUSAL = "refusal"  # in the `extra` of a text that is a refusal: a label, in every protocol
_IDS = {"mistral9": ("[a-zA-Z0-9]{9}", "", 9), "openai40": (".{1,40}", "call_", 24)}


class Terms(SharedTerms):
    protocol = PROTOCOL
    called = "chat completions"

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.quirks = target.quirks
        self.cache_quirk = self.quirks.get("cache", "breakpoint" if target.family == PROVIDER else None)
        if self.own and request.source is not None:  # as its client writes its marks; where it has none, as the host
            written = request.source.body
            if b'"cache_control"' in written:
                self.cache_quirk = "cache_control"
            elif self.cache_quirk != "cache_control" or b'"prompt_cache_breakpoint"' in written:
                self.cache_quirk = "breakpoint"
        self.controls = self.cache_quirk == "cache_control"
        self._refused = () if self.own else tuple(target.quirks.get("no", ()))

    def need(self, name: str, path: str | None = None) -> None:
        """Raises where the host refuses this field, or this kind of content."""
        if name in self._refused:
            raise self.refuse(name, path or name)

    def cache(self, mark: CacheMark | None, path: str) -> dict[str, Any]:
        """The field that a cache mark is."""
        if mark is None:
            return {}
        if self.cache_quirk == "breakpoint":
            return breakpoint(mark)
        if self.controls:
            return {"cache_control": {"type": "ephemeral", **({} if mark.ttl is None else {"ttl": mark.ttl})}}
        if self.cache_quirk == "automatic":
            return {}
        raise self.refuse("cache marks", path)

    def no_cache(self, mark: CacheMark | None, path: str) -> None:
        """Raises for a mark where the protocol has no place for one."""
        if mark is not None and self.cache_quirk != "automatic":
            raise self.refuse("cache marks here", path, "put the mark on a text or an image")

    def call_id(self, id: str) -> str:
        """A tool call's id, as the host takes it."""
        style = _IDS.get(self.quirks.get("tool_call_id", ""))
        if style is None:
            return id
        pattern, prefix, length = style
        return fitting(id, pattern, prefix=prefix, length=length)


def takes_mark(value: Part | Tool, role: str, target: Target) -> bool:
    """Whether a cache mark can be told there, in some way."""
    quirk = target.quirks.get("cache", "breakpoint" if target.family == PROVIDER else None)
    if quirk == "automatic":
        return True
    refusal = isinstance(value, Text) and value.extra.get(REFUSAL) is True
    if quirk is None or refusal or isinstance(value, ToolCall | Thinking | Opaque):
        return False
    return quirk == "cache_control" or not isinstance(value, Tool)
