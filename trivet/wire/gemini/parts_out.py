"""Parts as Gemini's, in a request's contents and in an answer's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Audio, Document, Extra, Image, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from trivet.wire.data_url import image_type
from trivet.wire.gemini.contents_in import MADE, PROVIDER
from trivet.wire.gemini.proto import write_bytes
from trivet.wire.gemini.results import write_response
from trivet.wire.gemini.signatures import FAMILY, write_signature

Json = dict[str, Any]
_DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}


class PartsOut:
    """Writes parts in their order. `names` are the functions' names by the ids of their calls; `extra` gives what goes
    out of a part's `extra`, or refuses it; `where` is the path of the content, for errors."""

    def __init__(self, names: Mapping[str, str], extra: Callable[[Extra, str], Json]) -> None:
        self._names, self._extra = names, extra

    def write(self, parts: Iterable[Part], where: str) -> list[Json]:
        """An empty thought that Gemini has signed becomes the signature of the part after it; at the end, and before
        another thought, that of an empty text."""
        out: list[Json] = []
        signature: str | None = None
        for i, part in enumerate(parts):
            bare = is_bare(part)
            if signature is not None and (bare or isinstance(part, Thinking | Opaque)):
                out.append(_empty(signature))
                signature = None
            if bare:
                assert isinstance(part, Thinking)
                signature = part.signature
                continue
            written = self.part(part, f"{where}[{i}]")
            out.append(written if signature is None else written | {"thoughtSignature": signature})
            signature = None
        return out if signature is None else [*out, _empty(signature)]

    def part(self, part: Part, where: str) -> Json:
        """One part. Raises `UnsupportedError` for an opaque one of another provider."""
        if isinstance(part, Opaque):
            if part.provider != PROVIDER or not isinstance(part.raw, dict):
                raise UnsupportedError(
                    f"{where} is a block that only {part.provider} understands, and Gemini is asked: leave it out, or "
                    f"ask {part.provider}",
                    field=where,
                )
            return part.raw
        extra = self._extra(part.extra, where)
        if isinstance(part, Text):
            return {"text": part.text} | extra
        if isinstance(part, Thinking):
            signature = write_signature(part)
            signed = {} if signature is None else {"thoughtSignature": signature}
            return {"text": part.text, "thought": True} | extra | signed
        if isinstance(part, ToolCall):
            named = {} if part.id.startswith(MADE) else {"id": part.id}
            return _joined("functionCall", named | {"name": part.name, "args": arguments(part.arguments)}, extra)
        if isinstance(part, ToolResult):
            return self._result(part, extra, where)
        return self._media(part, extra, where)

    def _result(self, part: ToolResult, extra: Json, where: str) -> Json:
        kept = extra.get("functionResponse", {})
        name = self._names.get(part.call_id) or kept.get("name")
        if name is None:
            raise RequestError(f"{where}: no tool call before it has the id {part.call_id!r}", field=where)
        texts = [p for p in part.content if isinstance(p, Text)]
        for i, text in enumerate(texts):
            self._extra(text.extra, f"{where}.content[{i}]")  # refuses what has no place here
        media = [self.part(p, f"{where}.content[{i}]") for i, p in enumerate(part.content) if not isinstance(p, Text)]
        named = {} if part.call_id.startswith(MADE) else {"id": part.call_id}
        response: Json = {"name": name, "response": write_response([p.text for p in texts], part.is_error)}
        return _joined("functionResponse", named | response | ({"parts": media} if media else {}), extra)

    def _media(self, part: Image | Audio | Document, extra: Json, where: str) -> Json:
        shown = {"displayName": part.name} if isinstance(part, Document) and part.name is not None else {}
        detail = part.detail if isinstance(part, Image) else None
        resolution = {"mediaResolution": {"level": _DETAILS[detail]}} if detail in _DETAILS else {}
        media_type = part.media_type or (image_type(part.data or b"") if isinstance(part, Image) else None)
        kind = {} if media_type is None else {"mimeType": media_type}
        if part.url is not None:
            return _joined("fileData", {"fileUri": part.url} | kind | shown, extra) | resolution
        if not kind:
            raise RequestError(f"{where} has no media type, which Gemini wants: say it", field=where)
        data = write_bytes(part.data or b"")
        return _joined("inlineData", kind | {"data": data} | shown, extra) | resolution


def is_bare(part: Part) -> bool:
    """Whether this thought is only Gemini's signature of what comes after it."""
    return (
        isinstance(part, Thinking)
        and not part.text
        and part.signature is not None
        and part.redacted is None
        and part.provider in (None, FAMILY)
        and not part.extra
    )


def arguments(text: str) -> Json:
    """Arguments that are no JSON object (the tokens ran out) are kept as text."""
    try:
        value = msgspec.json.decode(text) if text.strip() else {}  # some models write none at all
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": text}


def _joined(name: str, inner: Json, extra: Json) -> Json:
    """A part made of one object, with what was left of that object and of the part when they were read."""
    return {name: inner | {k: v for k, v in extra.get(name, {}).items() if k not in inner}} | {
        k: v for k, v in extra.items() if k != name
    }


def _empty(signature: str) -> Json:
    return {"text": "", "thoughtSignature": signature}
