"""Where a conversation's break points are, for models that keep a prompt's prefix only where they are told to.

Anthropic's rules (platform.claude.com/docs/en/build-with-claude/prompt-caching, as of October 2026): an entry is
written at a mark alone, and is found by the content up to it, the marks themselves not being content. From each mark of
a later request it looks back over 20 blocks for an entry. There are four marks; a thought, an empty text and a tool
whose loading is deferred take none. Below a length that each model has, nothing is kept and nothing is charged. A token
costs 1.25 of its price to write for five minutes, and 0.1 or less to read.

So the marks stand, as far as four go:

- at the end of the tools and of the system prompt, which all conversations of an application share: 1.25 + 0.1 against
  1 + 1, they pay from the second request within five minutes;
- at the ends of the user's last turns, the last of which is where the next request finds what this one has written:
  that request has a mark in the same place, as the end of its last but one, and need not look back.

A turn is written where the conversation is likely to go on: it has gone on before, or has tools that the model may
call. It costs 0.25 of it more where it ends there and spares 0.9 where not, so it pays where more than 28 % go on. A
first question without tools is as often the only one (an extraction, a summary, a call that a tool choice forces): it
costs what it did, and its turn is written by the second request.

Nothing of this depends on what comes later in the conversation, and no mark is taken back: those of the next request
are the same but for the turns, whose first ones give way to new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trivet.types import (
    CacheMark,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    replace,
)

MOST = 4
_MARK = CacheMark()
_PROMPTS = ("system", "developer")
_OPAQUE = ("tool_result", "document", "image", "search_result")  # blocks of a user's that take a mark

# --- how long a prefix must be ---------------------------------------------------------------------------------

# The page above, "Cache limitations", as of October 2026.
_LEAST: Mapping[int, Sequence[str]] = {
    512: ("opus 5.5", "opus 5", "sonnet 5.5", "fable 5.1", "fable 5", "mythos 5.1", "mythos 5"),
    1024: ("opus 4.8", "opus 4.1", "opus 4", "sonnet 5", "sonnet 4.6", "sonnet 4.5", "sonnet 4", "sonnet 3.7"),
    2048: ("opus 4.7", "haiku 3.5"),
    4096: ("opus 4.6", "opus 4.5", "haiku 4.5"),
}
LARGEST = max(_LEAST)
_TOKENS = {name: tokens for tokens, names in _LEAST.items() for name in names}
# claude-opus-4-5-20251101, anthropic/claude-opus-4.5; claude-3-7-sonnet-latest
_NAME = re.compile(r"claude-([a-z]+)-(\d)(?:[.-](\d{1,2})(?!\d))?|claude-(\d)(?:[.-](\d))?-([a-z]+)")


def least(model: str) -> int:
    """The tokens that a prefix must have for this Claude to keep it; the most of any for one that is not known."""
    found = _NAME.search(model.lower())
    if found is None:
        return LARGEST
    kind, major, minor, old_major, old_minor, old_kind = found.groups()
    version = ".".join(filter(None, (major or old_major, minor or old_minor)))
    return _TOKENS.get(f"{kind or old_kind} {version}", LARGEST)


class Length:
    """How long a prefix is, as far as it matters: whether it may have so many `tokens`.

    A token is seldom less than two letters of ASCII, and other letters are up to four. What is taken for long enough
    and is not costs nothing: only one of the four marks."""

    def __init__(self, tokens: int) -> None:
        self.left = 2 * tokens

    @property
    def enough(self) -> bool:
        return self.left <= 0

    def tool(self, tool: Tool) -> None:
        self._text(tool.description or "")
        if self.left > 0:
            self.left -= len(msgspec.json.encode(tool.parameters))

    def part(self, part: Part) -> None:
        if isinstance(part, Text | Thinking):
            self._text(part.text)
        elif isinstance(part, ToolCall):
            self._text(part.arguments)
        elif isinstance(part, ToolResult):
            for inner in part.content:
                self.part(inner)
        else:  # what is seen, heard or opaque may be of any length
            self.left = 0

    def _text(self, text: str) -> None:
        self.left -= len(text) if text.isascii() else 8 * len(text)


# --- where the marks are ---------------------------------------------------------------------------------------


def placed(request: Conversation, tokens: int) -> Conversation:
    """The conversation with its break points, for a model that keeps prefixes of so many `tokens` and more. The same
    object where it has none: too short, or a first question that nothing stands before.

    Whoever has marked anything himself, or has asked for caching in another way, has decided what is worth being
    written: his marks stay, and there are no others."""
    if asked(request):
        return request
    length, messages = Length(tokens), request.messages
    tools, free = _tools(request.tools, length), MOST
    free -= tools is not None
    start, prompt = 0, None
    while start < len(messages) and messages[start].role in _PROMPTS:
        for n, part in enumerate(messages[start].content):
            length.part(part)
            if isinstance(part, Text) and part.text.strip():
                prompt = start, n
        start += 1
    marks = [prompt] if prompt is not None and length.enough else []
    if (first := _goes_on(request, start)) is not None:
        marks += _turns(messages, start, first, length, free - len(marks))
    if tools is None and not marks:
        return request
    told = list(messages)
    for i, n in marks:
        content = told[i].content
        told[i] = replace(told[i], content=(*content[:n], replace(content[n], cache=_MARK), *content[n + 1 :]))
    return replace(request, messages=tuple(told), tools=request.tools if tools is None else tools)


def asked(request: Conversation) -> bool:
    """Whether the client has said itself what is to be kept: by marks, or for the whole request, as Anthropic's
    `cache_control` there does, and OpenAI's choice of break points of one's own."""
    extra = request.extra
    if extra and ("cache_control" in extra or _explicit(extra.get("prompt_cache_options"))):
        return True
    if extra and any(isinstance(t, Mapping) and "cache_control" in t for t in extra.get("tools") or ()):
        return True
    for tool in request.tools:
        if tool.cache is not None:
            return True
    for message in request.messages:
        for part in message.content:
            if part.cache is not None:
                return True
            kind = type(part)  # compared as it is: `isinstance` takes longer than all the rest
            if kind is ToolResult:
                for inner in part.content:  # type: ignore[union-attr]
                    if inner.cache is not None:
                        return True
            elif kind is Opaque and _marked(part.raw):  # type: ignore[union-attr]
                return True
    return False


def _explicit(options: Any) -> bool:
    return isinstance(options, Mapping) and options.get("mode") == "explicit"


def _marked(raw: Any) -> bool:
    if isinstance(raw, Mapping):
        return "cache_control" in raw or _marked(raw.get("content"))
    return isinstance(raw, list) and any(_marked(each) for each in raw)


def _tools(tools: tuple[Tool, ...], length: Length) -> tuple[Tool, ...] | None:
    """The tools with a mark on the last that takes one; None where they are too short, or none takes any."""
    for tool in tools:
        length.tool(tool)
        if length.enough:
            break
    else:
        return None
    for n in range(len(tools) - 1, -1, -1):
        if not tools[n].extra.get("defer_loading"):
            return (*tools[:n], replace(tools[n], cache=_MARK), *tools[n + 1 :])
    return None


def _goes_on(request: Conversation, start: int) -> int | None:
    """The first message whose turn is likely to be followed by another; None where there is none. `start` is the
    message after the system prompt."""
    choice = request.tool_choice
    if (request.tools or "tools" in request.extra) and (choice is None or choice.mode in ("auto", "required")):
        return start
    return next((i for i, m in enumerate(request.messages) if m.role == "assistant"), None)


def _turns(messages: Sequence[Message], start: int, first: int, length: Length, most: int) -> list[tuple[int, int]]:
    """The ends of the user's last turns from message `first` on, as places of parts. A turn is all that stands between
    two of the model's."""
    while start < len(messages) and not length.enough:
        for part in messages[start].content:
            length.part(part)
        start += not length.enough
    first = max(first, start)
    found: list[tuple[int, int]] = []
    new = True
    for i in range(len(messages) - 1, first - 1, -1):
        if len(found) == most:
            break
        if messages[i].role == "assistant":
            new = True
        elif new and messages[i].role == "user":
            n = _end(messages[i].content)
            if n is not None:
                found.append((i, n))
                new = False
    return found


def _end(content: Sequence[Part]) -> int | None:
    """The last part that takes a mark. Results of tools are told before the rest of their turn."""
    takers = [n for n, part in enumerate(content) if _takes(part)]
    others = [n for n in takers if not _is_result(content[n])]
    ends = others or takers
    return ends[-1] if ends else None


def _takes(part: Part) -> bool:
    if isinstance(part, Text):
        return bool(part.text.strip())
    if isinstance(part, Opaque):
        return isinstance(part.raw, Mapping) and part.raw.get("type") in _OPAQUE
    return isinstance(part, Image | Document | ToolResult)


def _is_result(part: Part) -> bool:
    return isinstance(part, ToolResult) or (isinstance(part, Opaque) and part.raw.get("type") == "tool_result")
