"""Messages as the contents of a Gemini request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trivet.errors import RequestError, UnsupportedError
from trivet.types import BasePart, Conversation, Extra, Message, Text, ToolResult
from trivet.wire.carry import LABELS
from trivet.wire.gemini.parts_out import PartsOut

Json = dict[str, Any]


def foreign(request: Conversation) -> bool:
    """Whether its fields' `extra` are of another protocol."""
    return request.source is not None and not request.source.protocol.startswith("gemini")


def refuse(path: str) -> UnsupportedError:
    """For a field of another protocol."""
    return UnsupportedError(f"{path} has no counterpart in Gemini's protocol: leave it out", field=path)


def write_contents(request: Conversation) -> Json:
    """`systemInstruction` and `contents`. System messages in front become the one; the protocol has no others."""
    from_elsewhere = foreign(request)
    extra = _refusing if from_elsewhere else _as_it_is
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    parts = PartsOut(names, extra)
    instruction: list[Json] = []
    contents: list[Json] = []
    results: Json | None = None  # the content before, where it has nothing but results
    for i, message in enumerate(request.messages):
        where = f"messages[{i}]"
        kept = extra(message.extra, where)
        if message.name is not None:
            raise UnsupportedError(
                f"{where}.name has no place in Gemini's contents: leave it out", field=f"{where}.name"
            )
        if message.role in ("system", "developer"):
            if contents:
                raise UnsupportedError(
                    f"{where} is a system prompt after the conversation has begun, which Gemini does not take: put it "
                    "first",
                    field=where,
                )
            instruction += _instruction(message, where, extra)
            continue
        written = parts.write(message.content, f"{where}.content")
        only_results = bool(message.content) and all(isinstance(p, ToolResult) for p in message.content)
        if results is not None and only_results and (from_elsewhere or request.source is None):
            results["parts"] += written  # Gemini wants the results of calls side by side in one content
            continue
        content = {"role": "model" if message.role == "assistant" else "user", "parts": written} | kept
        contents.append(content)
        results = content if only_results else None
    if not contents:
        raise RequestError(
            "there is no message but system prompts, and Gemini wants one: say something", field="messages"
        )
    return ({"systemInstruction": {"parts": instruction}} if instruction else {}) | {"contents": contents}


def _instruction(message: Message, where: str, extra: Callable[[Extra, str], Json]) -> list[Json]:
    out = []
    for n, part in enumerate(message.content):
        path = f"{where}.content[{n}]"
        if not isinstance(part, Text):
            raise UnsupportedError(f"{path}: Gemini's system instruction is text alone", field=path)
        out.append({"text": part.text} | extra(part.extra, path))
    return out


def marked(request: Conversation) -> bool:
    """Whether something in it has a cache mark."""
    parts: list[BasePart] = [part for message in request.messages for part in message.content]
    return any(part.cache is not None for part in parts) or any(tool.cache is not None for tool in request.tools)


def _as_it_is(extra: Extra, where: str) -> Json:
    return {k: v for k, v in extra.items() if k not in LABELS}


def _refusing(extra: Extra, where: str) -> Json:
    """Nothing: an `extra` of another protocol's has no counterpart, but for what is only a label."""
    for name in extra.keys() - LABELS:
        raise refuse(f"{where}.{name}")
    return {}
