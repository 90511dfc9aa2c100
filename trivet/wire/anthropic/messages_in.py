"""The messages and the system prompt of an Anthropic request.

A block that has no part of ours (a server-side tool's, a search result, a file's id, a document made of blocks)
is an `Opaque` part, as received, in its place. So is a whole tool result that has such a block inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trivet.errors import RequestError
from trivet.types import (
    CacheMark,
    Citation,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trivet.wire.anthropic.citations import read_citation
from trivet.wire.data_url import read_base64
from trivet.wire.fields import Fields, drop_defaults, need_object, rest
from trivet.wire.thinking import untag

PROVIDER = "anthropic"  # whose opaque parts and signatures these are

_ROLES = ("user", "assistant", "system")
# What our own parts allow nowhere else: a call is a model's, and a result is a user's.
_ONLY = {"thinking": "assistant", "redacted_thinking": "assistant", "tool_use": "assistant", "tool_result": "user"}


def read_messages(body: Fields) -> tuple[Message, ...]:
    """Takes `system` and `messages` from a request's body; the system prompt is the first message."""
    if not body.has("messages"):
        body.need("messages", list)
    system = _content(body, "system", "system") if body.has("system") else ()
    messages = tuple(_message(m) for m in body.objects("messages"))
    if not messages:
        raise RequestError("messages is empty: a request needs at least one message", field="messages")
    return (Message(role="system", content=system), *messages) if system else messages


def _message(m: Fields) -> Message:
    path, role = m.at("role"), m.need("role", str)
    if role not in _ROLES:
        raise RequestError(f"{path} is {role!r}, must be one of {', '.join(_ROLES)}", field=path)
    content = _content(m, "content", role)
    return Message(role=role, content=content, extra=m.rest())  # type: ignore[arg-type]  # one of the three


def _content(m: Fields, name: str, role: str) -> tuple[Part, ...]:
    """A string is one text; an empty one is none, which only a system prompt may be."""
    if isinstance(m.left.get(name), str):
        text = m.need(name, str)
        return () if role == "system" and not text else (Text(text=text),)
    values = m.need(name, list[Any])
    path = m.at(name)
    return tuple(read_block(Fields(v, f"{path}[{i}]"), role) for i, v in enumerate(values))


def read_block(b: Fields, role: str) -> Part:
    """A block of a message from `role`. Raises `RequestError` with its path where it has not the shape of its type."""
    path, raw = b.at("type"), dict(b.left)
    kind = b.need("type", str)
    only = "text" if role == "system" else kind
    if kind != only or _ONLY.get(kind, role) != role:
        raise RequestError(f"{path} is {kind!r}, which a message from {role} cannot have", field=path)
    reader = _READERS.get(kind)
    part = None if reader is None else reader(b)
    return Opaque(provider=PROVIDER, raw=raw) if part is None else part


# --- blocks: each as a part, or None where no part of ours can hold it ------------------------------------------


def _text(b: Fields) -> Text:
    mark, cache = read_cache_mark(b)
    path, citations = b.at("citations"), b.take("citations", list[Any], [])
    return Text(
        text=b.need("text", str),
        citations=tuple(_citation(c, f"{path}[{i}]") for i, c in enumerate(citations)),
        cache=mark,
        extra=rest(b, cache_control=cache),
    )


def _citation(raw: object, path: str) -> Citation:
    return read_citation(Fields(raw, path).left)


def _image(b: Fields) -> Image | None:
    source = need_object(b, "source")
    kind = source.need("type", str)
    if kind == "file":
        return None
    mark, cache = read_cache_mark(b)
    if kind == "base64":
        media_type = source.need("media_type", str)
        data = read_base64(source.need("data", str), source.at("data"))
        return Image(data=data, media_type=media_type, cache=mark, extra=rest(b, source=source, cache_control=cache))
    if kind == "url":
        url = source.need("url", str)
        return Image(url=url, cache=mark, extra=rest(b, source=source, cache_control=cache))
    raise _unknown_source(source, kind, "base64, url or file")


def _document(b: Fields) -> Document | None:
    source = need_object(b, "source")
    kind = source.need("type", str)
    if kind in ("file", "content"):
        return None
    data: bytes | None = None
    url: str | None = None
    media_type: str | None = None
    if kind == "base64":
        media_type = source.need("media_type", str)
        data = read_base64(source.need("data", str), source.at("data"))
    elif kind == "text":
        media_type = source.take("media_type", str, "text/plain")
        data = source.need("data", str).encode()
    elif kind == "url":
        url = source.need("url", str)
    else:
        raise _unknown_source(source, kind, "base64, text, url, content or file")
    mark, cache = read_cache_mark(b)
    drop_defaults(b, {"citations": {"enabled": False}})
    name = b.take("title", str)
    extra = rest(b, source=source, cache_control=cache)
    return Document(data=data, url=url, media_type=media_type, name=name, cache=mark, extra=extra)


def _unknown_source(source: Fields, kind: str, known: str) -> RequestError:
    path = source.at("type")
    return RequestError(f"{path} is {kind!r}, must be {known}", field=path)


def _thinking(b: Fields) -> Thinking:
    # An empty signature is how a model that signs nothing is answered for, by us too.
    signature, provider = signed(b.take("signature", str))
    return Thinking(text=b.need("thinking", str), signature=signature, provider=provider, extra=b.rest())


def _redacted_thinking(b: Fields) -> Thinking:
    redacted, provider = untag(b.need("data", str), PROVIDER)
    return Thinking(redacted=redacted, provider=provider, extra=b.rest())


def signed(text: str | None) -> tuple[str | None, str | None]:
    """A signature and whose it is; neither where there is none."""
    return untag(text, PROVIDER) if text else (None, None)


def _tool_use(b: Fields) -> ToolCall:
    mark, cache = read_cache_mark(b)
    drop_defaults(b, {"caller": {"type": "direct"}})
    return ToolCall(
        id=b.need("id", str),
        name=b.need("name", str),
        arguments=msgspec.json.encode(b.need("input", dict)).decode(),
        cache=mark,
        extra=rest(b, cache_control=cache),
    )


def _tool_result(b: Fields) -> ToolResult | None:
    mark, cache = read_cache_mark(b)
    content = _content(b, "content", "user") if b.has("content") else ()
    if not all(isinstance(part, Text | Image | Document) for part in content):
        return None
    return ToolResult(
        call_id=b.need("tool_use_id", str),
        content=content,  # type: ignore[arg-type]  # those three
        is_error=b.take("is_error", bool, False),
        cache=mark,
        extra=rest(b, cache_control=cache),
    )


def read_cache_mark(b: Fields) -> tuple[CacheMark | None, Fields | None]:
    """Takes `cache_control`: the mark, and what is left of it for `extra`."""
    cache = b.object("cache_control")
    if cache is None:
        return None, None
    path, kind, ttl = cache.at("type"), cache.need("type", str), cache.take("ttl", str)
    if kind != "ephemeral":
        raise RequestError(f"{path} is {kind!r}, must be ephemeral", field=path)
    if ttl not in (None, "5m", "1h"):
        raise RequestError(f"{cache.at('ttl')} is {ttl!r}, must be 5m or 1h", field=cache.at("ttl"))
    return CacheMark(ttl=ttl), cache  # type: ignore[arg-type]  # one of the two


_READERS: dict[str, Callable[[Fields], Part | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
