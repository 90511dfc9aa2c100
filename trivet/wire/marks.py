"""Cache marks, and other hints about caches, where a protocol or a host has no place for them. They change what an
answer costs and not what it says: they are left out, with a note, and the request goes on."""

from __future__ import annotations

from collections.abc import Callable

from trivet.types import CacheMark, Conversation, Message, Part, Tool, ToolResult, replace

Takes = Callable[[Part | Tool, str], bool]
"""Whether a part of a message from this role, or a tool (whose role is `tool`), may have a mark."""

# Fields of a whole request that say how its prefixes are kept, by the makers of the protocols that have them.
_HINTS = {"anthropic": ("cache_control",), "openai": ("prompt_cache_options", "prompt_cache_retention")}


def leave_out_hints(request: Conversation, protocol: str, who: str) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation without those hints where `protocol` is another maker's, and a note that names them."""
    maker = "" if request.source is None else request.source.protocol.partition("-")[0]
    gone = [name for name in _HINTS.get(maker, ()) if name in request.extra and not protocol.startswith(maker)]
    if not gone:
        return request, ()
    extra = {name: value for name, value in request.extra.items() if name not in gone}
    return replace(request, extra=extra), (f"{', '.join(gone)} left out for {who}, which has no place for it",)


def leave_out_marks(request: Conversation, takes: Takes, who: str) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation without the marks that `who` has no place for, and a note that counts them. The same object
    comes back where there are none."""
    if not any(_marked(p) for m in request.messages for p in m.content) and not any(t.cache for t in request.tools):
        return request, ()  # as nearly always: nothing need be built to be compared
    gone: list[CacheMark] = []
    messages = tuple(_message(m, takes, gone) for m in request.messages)
    tools = tuple(_tool(t, takes, gone) for t in request.tools)
    if not gone:
        return request, ()
    return replace(request, messages=messages, tools=tools), (
        f"cache marks left out for {who}, which has no place for them: {len(gone)}",
    )


def _marked(part: Part) -> bool:
    return part.cache is not None or (isinstance(part, ToolResult) and any(_marked(p) for p in part.content))


def _message(message: Message, takes: Takes, gone: list[CacheMark]) -> Message:
    content = tuple(_part(p, message.role, takes, gone) for p in message.content)
    same = all(a is b for a, b in zip(content, message.content, strict=True))
    return message if same else replace(message, content=content)


def _part(part: Part, role: str, takes: Takes, gone: list[CacheMark]) -> Part:
    if isinstance(part, ToolResult):
        content = tuple(_part(p, role, takes, gone) for p in part.content)
        if any(a is not b for a, b in zip(content, part.content, strict=True)):
            part = replace(part, content=content)
    if part.cache is None or takes(part, role):
        return part
    gone.append(part.cache)
    return replace(part, cache=None)


def _tool(tool: Tool, takes: Takes, gone: list[CacheMark]) -> Tool:
    if tool.cache is None or takes(tool, "tool"):
        return tool
    gone.append(tool.cache)
    return replace(tool, cache=None)
