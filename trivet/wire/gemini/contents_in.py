"""The contents of a Gemini request, and the parts of an answer: both are made of the same parts.

A part that has none of ours (code that the server runs, a video, a file's id) is an `Opaque`, as received, in its
place. A signature on a text or a call is an empty thought before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from trivet.errors import RequestError
from trivet.types import Audio, Document, Image, Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult, replace
from trivet.wire.fields import Fields
from trivet.wire.gemini.proto import ProtoFields, read_bytes
from trivet.wire.gemini.results import read_response
from trivet.wire.gemini.signatures import BEFORE, FAMILY, read_signature

PROVIDER = FAMILY  # whose opaque parts these are
MADE = "trivet-call-"  # how the ids begin that calls without one get here; they are not sent to Gemini

_ROLES = {"user": "user", "model": "assistant", "function": "user", "tool": "user", "": "user"}
_ONLY = {"functionCall": "assistant", "functionResponse": "user"}
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
_KINDS = ("text", "functionCall", "functionResponse", "inlineData", "fileData")


def made_id(*of: object) -> str:
    """An id for a call that has none: the same for the same call each time that it is read."""
    return MADE + hashlib.sha256(repr(of).encode()).hexdigest()[:24]


def read_contents(body: ProtoFields) -> tuple[Message, ...]:
    """Takes `systemInstruction` and `contents` from a request's body; the system prompt is the first message."""
    instruction = body.left.pop("systemInstruction", None)
    messages: list[Message] = []
    if instruction is not None:
        path = body.at("systemInstruction")
        content = _instruction(instruction, path)
        if content:
            messages.append(Message(role="system", content=content))
    if not body.has("contents"):
        body.need("contents", list)
    calls = _Calls()
    contents = [_message(c, i, calls) for i, c in enumerate(body.objects("contents"))]
    if not contents:
        raise RequestError("contents is empty: a request needs at least one content", field="contents")
    return (*messages, *_rejoined(contents))


def _rejoined(contents: list[Message]) -> list[Message]:
    """Our streams tell another provider's signature in a piece of its own, after those of its thought, and clients send
    the pieces back as they came, or each as a content: here they are one thought again, where its signature is."""
    gone: set[int] = set()
    signed: dict[int, Thinking] = {}
    pieces: list[Thinking] = []  # of a thought whose signature may follow
    for message in contents:
        for part in message.content:
            if isinstance(part, Thinking) and part.signature is None and part.redacted is None:
                pieces.append(part)
                continue
            if isinstance(part, Thinking) and part.extra == BEFORE:
                text = "".join(p.text for p in pieces) if not part.text else part.text
                signed[id(part)] = replace(part, text=text, extra={})
                gone |= set() if part.text else {id(p) for p in pieces}
            pieces = []
    if not signed:
        return contents
    parts = [tuple(signed.get(id(p), p) for p in m.content if id(p) not in gone) for m in contents]
    return [replace(m, content=c) for m, c in zip(contents, parts, strict=True) if c or not m.content]


def _instruction(value: object, path: str) -> tuple[Part, ...]:
    if isinstance(value, str):  # which Google takes too
        return (Text(text=value),) if value else ()
    content = ProtoFields(value, path)
    content.take("role", str)  # says nothing here
    parts = [ProtoFields(p.left, p.path) for p in content.objects("parts")]
    return tuple(Text(text=p.need("text", str), extra=p.rest()) for p in parts)


class _Calls:
    """The calls so far, to find the one that a result without an id belongs to: the first of its name still open."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []

    def add(self, call: ToolCall) -> None:
        self._open.append(call)

    def close(self, name: str, id: str | None, path: str) -> tuple[str, bool]:
        """The id, and whether a call has it."""
        found = next((c for c in self._open if c.name == name and id in (None, c.id)), None)
        if found is not None:
            self._open.remove(found)
            return found.id, True
        if id is not None:
            return id, False
        raise RequestError(f"{path}: no call of {name!r} before it waits for a result", field=path)


def _message(c: Fields, index: int, calls: _Calls) -> Message:
    path, said = c.at("role"), c.take("role", str, "")
    if said not in _ROLES:
        raise RequestError(f"{path} is {said!r}, must be user or model", field=path)
    role: Any = _ROLES[said]
    parts: list[Part] = []
    items = c.objects("parts")
    for n, p in enumerate(items):
        kind = next((k for k in _ONLY if p.has(k)), None)
        if kind is not None and _ONLY[kind] != role:
            raise RequestError(f"{p.at(kind)}: a content from {said or 'user'} cannot have it", field=p.at(kind))
        for part in read_part(p, partial(made_id, index, n), last=n == len(items) - 1):
            if isinstance(part, ToolCall):
                calls.add(part)
            if isinstance(part, ToolResult):
                part = _matched(part, calls, p.at("functionResponse"))
            parts.append(part)
    return Message(role=role, content=tuple(parts), extra=c.rest())


def _matched(result: ToolResult, calls: _Calls, path: str) -> ToolResult:
    """With the id of its call; the name stays in `extra` only where there is no such call to take it from."""
    extra = dict(result.extra)
    name = extra.pop("name")
    id, known = calls.close(name, result.call_id or None, path)
    if not known:
        extra["functionResponse"] = {**extra.get("functionResponse", {}), "name": name}
    return replace(result, call_id=id, extra=extra)


def read_part(p: Fields, id: Callable[[str, Any], str], *, last: bool = False) -> list[Part]:
    """A part as ours: two where it is signed. `id` makes one for a call without. A result still has its `name` in
    `extra`, and no id where it had none. `last` says that no part comes after it."""
    raw = dict(p.left)
    kind = next((k for k in _KINDS if p.has(k)), None)
    if kind is None:
        return [Opaque(provider=PROVIDER, raw=raw)]
    signature = p.take("thoughtSignature", str) or None
    signed: dict[str, Any] = {} if signature is None else read_signature(signature)
    if p.take("thought", bool, False):
        if kind == "text":
            text = p.need("text", str)
            # An empty thought of Gemini's own would else be the signature of what comes after it.
            alone = {"thought": True} if not text and signed.get("provider") == FAMILY else {}
            return [Thinking(text=text, **signed | {"extra": signed.get("extra", {}) | p.rest() | alone})]
        return [Opaque(provider=PROVIDER, raw=raw)]
    part = _READERS[kind](p, id)
    if part is None:
        return [Opaque(provider=PROVIDER, raw=raw)]
    if not signed:
        return [part]
    empty = isinstance(part, Text) and not part.text and not part.extra
    return [Thinking(**signed)] if empty and last else [Thinking(**signed), part]


# --- each kind of part, or None where no part of ours can hold it ----------------------------------------------


def _text(p: Fields, id: Callable[[str, Any], str]) -> Text:
    return Text(text=p.need("text", str), extra=p.rest())


def _call(p: Fields, id: Callable[[str, Any], str]) -> ToolCall | None:
    call = ProtoFields(p.need("functionCall", dict), p.at("functionCall"))
    if call.has("partialArgs") or call.left.get("willContinue"):
        return None
    name, args = call.need("name", str), call.take("args", dict[str, Any], {})
    given = call.take("id", str) or None
    extra = _with(p.rest(), "functionCall", call)
    arguments = msgspec.json.encode(args).decode()
    return ToolCall(id=given or id(name, arguments), name=name, arguments=arguments, extra=extra)


def _result(p: Fields, id: Callable[[str, Any], str]) -> ToolResult | None:
    response = ProtoFields(p.need("functionResponse", dict), p.at("functionResponse"))
    name = response.need("name", str)
    texts, failed = read_response(response.take("response", dict[str, Any], {}))
    media = [read_part(m, id) for m in response.objects("parts")]
    content: list[Any] = [Text(text=text) for text in texts] + [part for parts in media for part in parts]
    if not all(isinstance(part, Text | Image | Audio | Document) for part in content):
        return None
    given = response.take("id", str) or ""
    extra = _with(p.rest(), "functionResponse", response)
    return ToolResult(call_id=given, content=tuple(content), is_error=failed, extra=extra | {"name": name})


def _inline(p: Fields, id: Callable[[str, Any], str]) -> Part | None:
    blob = ProtoFields(p.need("inlineData", dict), p.at("inlineData"))
    kind = blob.need("mimeType", str)
    data = read_bytes(blob.take("data", str, ""), blob.at("data"))
    return _media(p, blob, "inlineData", kind, data=data)


def _file(p: Fields, id: Callable[[str, Any], str]) -> Part | None:
    file = ProtoFields(p.need("fileData", dict), p.at("fileData"))
    url, kind = file.need("fileUri", str), file.take("mimeType", str)
    if kind is None or not url.startswith(("https://", "http://")) or "/v1beta/files/" in url:
        return None  # a video's page, a bucket's or a stored file's
    return _media(p, file, "fileData", kind, url=url)


def _media(p: Fields, blob: ProtoFields, name: str, kind: str, **where: Any) -> Part | None:
    family = kind.partition("/")[0].lower()
    if family == "video" or p.has("videoMetadata"):
        return None
    if family == "image":
        detail: Any = None
        resolution = p.left.get("mediaResolution")
        if isinstance(resolution, dict) and len(resolution) == 1 and resolution.get("level") in _DETAILS:
            detail = _DETAILS[p.left.pop("mediaResolution")["level"]]
        return Image(media_type=kind, detail=detail, extra=_with(p.rest(), name, blob), **where)
    if family == "audio":
        return Audio(media_type=kind, extra=_with(p.rest(), name, blob), **where)
    shown = blob.take("displayName", str)
    return Document(media_type=kind, name=shown, extra=_with(p.rest(), name, blob), **where)


def _with(extra: dict[str, Any], name: str, inner: Fields) -> dict[str, Any]:
    """With what nobody has taken of the object that a part is made of."""
    left = inner.rest()
    return extra | {name: left} if left else extra


_READERS: dict[str, Callable[[Fields, Callable[[str, Any], str]], Part | None]] = {
    "text": _text,
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _inline,
    "fileData": _file,
}
