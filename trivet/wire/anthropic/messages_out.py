"""The messages of a request as Anthropic takes them.

System prompts at the beginning are the protocol's `system`; later ones stay where they are. Each result of parallel
calls may be a message of its own elsewhere: here those of one turn are one message, results first. Texts with nothing
in them, which the protocol refuses, are left out.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trivet.errors import UnsupportedError
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
    ToolCall,
    ToolResult,
    replace,
)
from trivet.wire.anthropic.citations import write_citation
from trivet.wire.anthropic.messages_in import PROVIDER
from trivet.wire.carry import LABELS
from trivet.wire.data_url import image_type
from trivet.wire.ids import fitting
from trivet.wire.thinking import tag

Json = dict[str, Any]

_PROMPTS = ("system", "developer")
_IDS = r"[a-zA-Z0-9_-]+"


class Words:
    """Whose words a request is in. What stands in an `extra` of another protocol's has no counterpart here."""

    def __init__(self, request: Conversation) -> None:
        source = request.source
        self.foreign = source is not None and not source.protocol.startswith(PROVIDER)

    def merged(self, written: Json, extra: Mapping[str, Any], path: str) -> Json:
        """What was written with the `extra` of the value that it is of, objects and lists put together."""
        if not extra:
            return written
        if self.foreign:
            name = next(iter(extra))
            raise refuse(f"{path}.{name}" if path else name)
        out = dict(written)
        for name, value in extra.items():
            ours = out.get(name)
            if isinstance(ours, dict) and isinstance(value, Mapping):
                out[name] = {**ours, **value}
            elif isinstance(ours, list) and isinstance(value, Sequence) and not isinstance(value, str):
                out[name] = [*ours, *value]
            else:
                out[name] = value
        return out


def refuse(what: str, how: str = "leave it out") -> UnsupportedError:
    return UnsupportedError(f"{what} has no counterpart in Anthropic's messages: {how}", field=what.partition(": ")[0])


def write_messages(messages: Sequence[Message], words: Words) -> tuple[list[Json], list[Json]]:
    """The blocks of `system`, and the messages. Paths in errors count as ours do, the system prompt included."""
    system: list[Json] = []
    out: list[Json] = []
    numbered = [(m, f"messages[{i}]") for i, m in enumerate(messages)]
    while numbered and numbered[0][0].role in _PROMPTS:
        message, path = numbered.pop(0)
        if message.extra:  # for which `system` has no place
            raise refuse(f"{path}.{next(iter(message.extra))}")
        system += _content(message, path, words)
    for message, path in _turns(numbered):
        role = "system" if message.role in _PROMPTS else message.role
        content = _content(message, path, words)
        if content:
            out.append(words.merged({"role": role, "content": content}, message.extra, path))
    return system, out


def _turns(numbered: list[tuple[Message, str]]) -> list[tuple[Message, str]]:
    """Messages in which a turn's results stand together, and first."""
    out: list[tuple[Message, str]] = []
    for message, path in numbered:
        if any(_is_result(p) for p in message.content):
            while out and _go_together(out[-1][0], message):
                before, path = out.pop()
                message = replace(before, content=before.content + message.content)
        out.append((message, path))
    return [(_results_first(message), path) for message, path in out]


def _go_together(one: Message, other: Message) -> bool:
    """Whether these are one user's, with nothing said of either that could not be said of both."""
    return all(m.role == "user" and not m.extra and m.name is None for m in (one, other))


def _results_first(message: Message) -> Message:
    if message.role != "user":
        return message
    content = tuple(sorted(message.content, key=lambda p: not _is_result(p)))
    return message if content == message.content else replace(message, content=content)


def _is_result(part: Part) -> bool:
    own = isinstance(part, Opaque) and isinstance(part.raw, Mapping) and part.raw.get("type") == "tool_result"
    return own or isinstance(part, ToolResult)


# --- blocks -----------------------------------------------------------------------------------------------------


def _content(message: Message, path: str, words: Words) -> list[Json]:
    if message.name is not None:
        raise refuse(f"{path}.name")
    if message.role in _PROMPTS and not all(isinstance(p, Text) for p in message.content):
        raise refuse(f"{path}.content", "a system prompt has nothing but text")
    return _blocks(message.content, f"{path}.content", words)


def _blocks(parts: Sequence[Part], path: str, words: Words) -> list[Json]:
    return [_block(p, f"{path}[{i}]", words) for i, p in enumerate(parts) if not _is_nothing(p)]


def _is_nothing(part: Part) -> bool:
    return isinstance(part, Text) and not part.text and part.cache is None


def _block(part: Part, path: str, words: Words) -> Json:
    if isinstance(part, Opaque):
        if part.provider != PROVIDER:
            raise refuse(path, f"a block of {part.provider}'s own can only be sent back to {part.provider}")
        return {**part.raw, **cache_control(part.cache)}
    if isinstance(part, Thinking):
        return _thinking(part, path, words)
    if isinstance(part, Text):
        body = _text(part)
    elif isinstance(part, Image):
        body = _image(part, path)
    elif isinstance(part, Document):
        body = _document(part, path)
    elif isinstance(part, ToolCall):
        body = {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": _input(part.arguments)}
    elif isinstance(part, ToolResult):
        body = _result(part, path, words)
    else:
        raise refuse(f"{path}: audio", "send its text, or name a model that hears")
    extra = {k: v for k, v in part.extra.items() if k not in LABELS}
    return words.merged(body | cache_control(part.cache), extra, path)


def cache_control(mark: CacheMark | None) -> Json:
    if mark is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({} if mark.ttl is None else {"ttl": mark.ttl})}


def call_id(id: str) -> str:
    """The id of a call, and of its result, in the letters that the protocol has for it."""
    return fitting(id, _IDS, prefix="toolu_")


def _text(part: Text) -> Json:
    citations = [write_citation(c) for c in part.citations]
    return {"type": "text", "text": part.text} | ({"citations": citations} if citations else {})


def _image(part: Image, path: str) -> Json:
    if part.detail not in (None, "auto"):
        raise refuse(f"{path}.detail")
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    assert part.data is not None
    media_type = part.media_type or image_type(part.data)
    if media_type is None:
        raise UnsupportedError(f"{path}: the type of this image is not known: say its media_type", field=path)
    return {"type": "image", "source": _base64(part.data, media_type)}


def _document(part: Document, path: str) -> Json:
    title = {} if part.name is None else {"title": part.name}
    return {"type": "document", "source": _document_source(part, path), **title}


def _document_source(part: Document, path: str) -> Json:
    media_type = part.media_type
    if media_type is None and part.data is not None and part.data.startswith(b"%PDF"):
        media_type = "application/pdf"
    if part.url is not None and media_type in (None, "application/pdf"):
        return {"type": "url", "url": part.url}
    if part.data is not None and media_type == "application/pdf":
        return _base64(part.data, media_type)
    if part.data is not None and media_type is not None and media_type.startswith("text/"):
        try:
            return {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
        except UnicodeDecodeError:
            raise UnsupportedError(f"{path}: the text of this document is not UTF-8", field=path) from None
    kind = media_type or "of no known type"
    raise refuse(f"{path}: a document {kind}", "send a PDF, or a text as bytes")


def _base64(data: bytes, media_type: str) -> Json:
    return {"type": "base64", "media_type": media_type, "data": b64encode(data).decode()}


def _thinking(part: Thinking, path: str, words: Words) -> Json:
    """Another provider's is tagged, as a client of the protocol has it. No provider is sent that: it is left out before
    (`trivet.wire.thinking`)."""
    if part.cache is not None:
        raise refuse(f"{path}.cache_control")
    if part.redacted is not None:
        return words.merged(
            {"type": "redacted_thinking", "data": tag(part.redacted, part.provider, PROVIDER)}, part.extra, path
        )
    signature = tag(part.signature, part.provider, PROVIDER) if part.signature else ""
    body = {"type": "thinking", "thinking": part.text, "signature": signature}
    return words.merged(body, part.extra, path)


def _result(part: ToolResult, path: str, words: Words) -> Json:
    body: Json = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
    if content := _blocks(part.content, f"{path}.content", words):
        body["content"] = content
    return body | ({"is_error": True} if part.is_error else {})


def _input(arguments: str) -> Any:
    """The arguments as the model wrote them where they are an object, else under the key of cut ones."""
    try:
        value = msgspec.json.decode(arguments) if arguments.strip() else {}  # some models write none at all
    except msgspec.DecodeError:
        value = None
    return msgspec.Raw(arguments.strip().encode() or b"{}") if isinstance(value, dict) else {"INVALID_JSON": arguments}
