"""What of a conversation crosses, as docs/translation.md says: what a client has words for, and what its provider may
be told of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trivet.types import CacheMark, Chat, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, replace

FAMILIES = {"anthropic": "anthropic", "openai_chat": "openai", "openai_responses": "openai", "gemini": "gemini"}
# Whose signatures it takes back; OpenAI's chat completions nobody's.
SIGNS = FAMILIES | {"openai_chat": "nobody at all"}


def as_told(chat: Chat, front: str) -> Chat:
    """The conversation as far as a client of the protocol has words for it."""
    if front == "gemini":
        chat = marked(chat, lambda mark: None, tool=False)
    if front == "openai_responses":
        chat = marked(chat, _breakpoint, tool=False)
    chat = _results(chat, front)
    if front.startswith("openai"):
        chat = replace(chat, messages=tuple(_marks_in_results(m) for m in chat.messages))
    return chat


def _marks_in_results(message: Message) -> Message:
    """A mark stands on the last part of a result."""

    def part(value: Part) -> Part:
        if not isinstance(value, ToolResult) or value.cache is None:
            return value
        *before, last = value.content
        return replace(value, content=(*before, replace(last, cache=value.cache)), cache=None)

    return replace(message, content=tuple(part(p) for p in message.content))


def as_sent(chat: Chat, back: str) -> Chat:
    """The conversation as far as its provider may be told of it."""
    chat = replace(chat, messages=tuple(_its_thoughts(m, SIGNS[back]) for m in chat.messages))
    if back == "gemini":
        chat = marked(chat, lambda mark: None, tool=False)
    elif back != "anthropic":
        chat = marked(chat, _breakpoint, tool=False)
    if back == "openai_chat":
        return replace(chat, messages=tuple(_chat_order(m) for m in chat.messages))
    return _results(chat, back)


def _breakpoint(mark: CacheMark) -> CacheMark:
    return CacheMark(ttl="1h" if mark.ttl == "1h" else None)


def marked(chat: Chat, change: Callable[[CacheMark], CacheMark | None], *, tool: bool) -> Chat:
    def part(value: Any) -> Any:
        if isinstance(value, ToolResult):
            value = replace(value, content=tuple(part(p) for p in value.content))
        return value if value.cache is None else replace(value, cache=change(value.cache))

    messages = tuple(replace(m, content=tuple(part(p) for p in m.content)) for m in chat.messages)
    return replace(
        chat, messages=messages, tools=tuple(part(t) if tool else replace(t, cache=None) for t in chat.tools)
    )


def _its_thoughts(message: Message, family: str) -> Message:
    kept = (p for p in message.content if not isinstance(p, Thinking) or p.provider == family)
    return replace(message, content=tuple(kept))


def _results(chat: Chat, name: str) -> Chat:
    """OpenAI's protocols tell of an error in words; Gemini's results have their texts apart from their images."""

    def part(value: Part) -> Part:
        if not isinstance(value, ToolResult):
            return value
        content: tuple[Any, ...] = value.content
        if name == "gemini":
            return replace(value, content=tuple(sorted(content, key=lambda p: isinstance(p, Image))))
        failed = name != "anthropic" and value.is_error
        return replace(value, content=_failed(content), is_error=False) if failed else value

    return replace(chat, messages=tuple(replace(m, content=tuple(map(part, m.content))) for m in chat.messages))


def _failed(content: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(content[0], Text):
        return (replace(content[0], text=f"Error: {content[0].text}"), *content[1:])
    return (Text(text="Error"), *content)


def _chat_order(message: Message) -> Message:
    """A turn is text, then calls; images of results follow in a message."""
    if message.role == "assistant":
        return replace(message, content=tuple(sorted(message.content, key=lambda p: isinstance(p, ToolCall))))
    results: list[Part] = []
    late: list[Part] = []
    rest: list[Part] = []
    for part in message.content:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        said: tuple[Any, ...] = tuple(p for p in part.content if isinstance(p, Text))
        media = [p for p in part.content if isinstance(p, Image)]
        said = said or (Text(text="The result is in the next message."),)
        late += [Text(text=f"From the result of {part.call_id}:"), *media] if media else []
        results.append(replace(part, content=_failed(said) if part.is_error else said, is_error=False))
    return replace(message, content=(*results, *late, *rest))


def merged(messages: tuple[Message, ...]) -> list[tuple[str, list[Any]]]:
    """What was said by whom, however it is cut into messages. A model's texts side by side are one, and so are thoughts
    that nobody has signed; a mark at the end of a result is the result's."""
    out: list[tuple[str, list[Any]]] = []
    for message in messages:
        if not out or out[-1][0] != message.role:
            out.append((message.role, []))
        said = out[-1][1]
        for part in message.content:
            part = _plain(part)
            if message.role == "assistant" and isinstance(part, Text) and not part.text:
                continue  # at its end, Gemini's protocol has its signature on one
            if message.role == "assistant" and said and _one(said[-1], part):
                said[-1] = replace(part, text=said[-1].text + part.text)
            else:
                said.append(part)
    return out


def _one(a: Any, b: Any) -> bool:
    if isinstance(a, Text) and isinstance(b, Text):
        return True
    both = isinstance(a, Thinking) and isinstance(b, Thinking)
    return both and not any(t.signature or t.redacted for t in (a, b))


def _plain(part: Any) -> Any:
    cache = part.cache
    if part.extra.get("prompt_cache_breakpoint") == {"mode": "explicit", "ttl": "12h"}:
        cache = CacheMark(ttl="1h")
    if isinstance(part, ToolCall):
        part = replace(part, arguments=msgspec.json.encode(msgspec.json.decode(part.arguments)).decode())
    if isinstance(part, ToolResult):
        content = tuple(_plain(p) for p in part.content)
        cache = cache or content[-1].cache
        part = replace(part, content=(*content[:-1], replace(content[-1], cache=None)))
    return replace(part, cache=cache, extra={})


def lost(told: Chat, back: str) -> set[str]:
    """What a note has to tell of."""
    lost = set()
    thoughts = [p for m in told.messages for p in m.content if isinstance(p, Thinking)]
    if any(t.provider != SIGNS[back] for t in thoughts):
        lost.add("thinking")
    if back.startswith("openai") and told.tools[0].cache is not None:
        lost.add("marks")
    for message in told.messages if back == "openai_chat" else ():
        kinds = [isinstance(p, ToolCall) for p in message.content if not isinstance(p, Thinking)]
        if message.role == "assistant" and kinds != sorted(kinds):
            lost.add("order")
    return lost
