"""OpenAI's embeddings, before clients and before hosts. Texts only: token ids are refused, because they are one model's
own.

Hosts differ (`Target.quirks`): `base64` says that they send vectors in base64, which is a third as long as numbers are;
`dimensions` is their name for the length that is asked for, where it is another; `truncate` is their name for whether
long texts are cut, which is no field of OpenAI's: those that have none are not asked for it.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from trivet.errors import RequestError, TransportError, TrivetError, UnsupportedError
from trivet.types import Done, Embed, EmbedResponse, Event, Response, Source, Usage, replace
from trivet.wire import Incoming, Target, openai_errors, sse
from trivet.wire.fields import Fields, convert, read_object
from trivet.wire.openai import read_usage
from trivet.wire.openai_errors import error
from trivet.wire.openai_received import Received
from trivet.wire.openai_terms import carried

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]

PROTOCOL = "openai-embeddings"
read_error = partial(openai_errors.read_error, protocol=PROTOCOL)
_FORMATS: Any = Literal["float", "base64"]
_TAKEN = ("object", "data", "model", "usage", "id", "error")
# What the bytes of a vector are, by Voyage's and Mistral's `output_dtype`.
_BYTES = {"int8": "b", "binary": "b", "uint8": "B", "ubinary": "B"}

# --- before a client ---------------------------------------------------------------------------------------


def parse(body: bytes) -> Incoming:
    """A request's JSON body as an `Embed`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    form = data.take("encoding_format", _FORMATS, "float")
    dimensions = data.take("dimensions", int)
    if dimensions is not None and dimensions < 1:
        raise RequestError(f"dimensions is {dimensions}, must be at least 1", field="dimensions")
    request = Embed(
        model=data.need("model", str),
        texts=_texts(data),
        dimensions=dimensions,
        truncate=data.take("truncate", bool) if isinstance(data.left.get("truncate"), bool) else None,
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, base64=form == "base64")


def _texts(data: Fields) -> tuple[str, ...]:
    value = data.need("input", object)
    many = isinstance(value, list)
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise RequestError("input is empty: send at least one text", field="input")
    if many and isinstance(texts[0], int | list):
        raise UnsupportedError("input is made of token ids: send the texts themselves", field="input")
    paths = [f"input[{i}]" if many else "input" for i in range(len(texts))]
    found = tuple(convert(text, str, path) for text, path in zip(texts, paths, strict=True))
    if "" in found:
        path = paths[found.index("")]
        raise RequestError(f"{path} is an empty text, which has no vector: leave it out", field=path)
    return found


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        self._base64 = incoming.base64

    def whole(self, response: Response) -> bytes:
        """The JSON body. The protocol wants `usage`, so one that is unknown is null, never 0. Each vector is encoded by
        itself, as nothing else runs in Python meanwhile."""
        assert isinstance(response, EmbedResponse)
        tokens = response.usage.input_tokens
        body = {
            **response.extra,
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": i,
                    "embedding": _base64(v) if self._base64 else msgspec.Raw(msgspec.json.encode(v)),
                }
                for i, v in enumerate(response.vectors)
            ],
            "model": response.model,
            "usage": None if tokens is None else {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return msgspec.json.encode(body)

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(openai_errors.error(error))


def _base64(vector: tuple[float, ...]) -> str:
    """Little-endian float32, in base64."""
    return binascii.b2a_base64(struct.pack(f"<{len(vector)}f", *vector), newline=False).decode()


# --- before a host -----------------------------------------------------------------------------------------


def write(request: Embed, target: Target) -> dict[str, Any]:
    """The JSON object to send. Raises `UnsupportedError` for fields of another protocol."""
    extra = carried(request, target, PROTOCOL, "OpenAI's embeddings")
    body: dict[str, Any] = {"model": target.model, "input": list(request.texts)}
    if target.family == "openai" or target.quirks.get("base64"):
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body[target.quirks.get("dimensions", "dimensions")] = request.dimensions
    if request.truncate is not None:
        if "truncate" not in target.quirks:
            raise UnsupportedError(
                f"truncate has no counterpart at {target.provider}: leave it out and send shorter texts, or name "
                "another model",
                field="truncate",
            )
        body[target.quirks["truncate"]] = request.truncate
    return {**body, **extra}


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The model, and the host's names for the fields that it calls otherwise."""
    fields: dict[str, Any] = {"model": target.model}
    for ours in ("dimensions", "truncate"):
        theirs = target.quirks.get(ours, ours)
        if theirs != ours and ours in own:
            fields |= {theirs: own[ours], ours: msgspec.UNSET}
    return fields


class Reader:
    """One request's answer. The protocol has no streams."""

    def __init__(self, request: Embed, target: Target) -> None:
        self._received = Received(request, target, PROTOCOL)
        self._expected = len(request.texts)
        self._bytes = _BYTES.get(request.extra.get("output_dtype", ""), "f")
        self._model = target.model

    def whole(self, body: bytes) -> Response:
        """Raises `ProviderError` for what is no answer: one vector for each text, all of one length."""
        data = self._received.object(body)
        try:
            vectors = tuple(self._vector(item["embedding"]) for item in self._in_order(data["data"]))
        except (AttributeError, KeyError, TypeError, ValueError, struct.error):
            raise self._received.broken("vectors in no shape that trivet knows", body) from None
        if len(vectors) != self._expected or len({len(vector) for vector in vectors}) > 1:
            lengths = ", ".join(str(n) for n in sorted({len(vector) for vector in vectors}))
            raise self._received.broken(
                f"{len(vectors)} vectors of length {lengths or 0} for {self._expected} texts", body
            )
        extra = {name: value for name, value in data.items() if name not in _TAKEN and value is not None}
        response = EmbedResponse(
            model=data.get("model") or self._model,
            id=data.get("id"),
            usage=_usage(data.get("usage")),
            vectors=vectors,
            extra=extra,
        )
        return self._received.whole(response, body)

    def event(self, event: sse.Event) -> Iterable[Event]:
        return ()

    def end(self) -> Iterable[Event]:
        raise TransportError(f"{self._received.target.provider} streams vectors, which its protocol does not")

    def _in_order(self, data: list[Any]) -> list[Any]:
        """By index, where each has its own; hosts that give none send them in order."""
        places = [item.get("index") for item in data]
        if set(places) == {None}:
            return data
        if sorted(places) != list(range(len(data))):
            raise ValueError
        return sorted(data, key=lambda item: item["index"])

    def _vector(self, told: Any) -> tuple[float, ...]:
        if isinstance(told, list):
            return msgspec.convert(told, tuple[float, ...])
        raw = binascii.a2b_base64(told, strict_mode=True)
        size = struct.calcsize(self._bytes)
        return tuple(float(x) for x in struct.unpack(f"<{len(raw) // size}{self._bytes}", raw))


def _usage(told: Any) -> Usage:
    """There is no output, and no cache: a text is not the beginning of another. Voyage tells the total alone, which is
    the prompt then."""
    usage = read_usage(told if isinstance(told, dict) else None)
    if usage.input_tokens is None and isinstance(told, dict):
        usage = read_usage({"prompt_tokens": told.get("total_tokens")})
    if usage.prompt_tokens is not None:
        usage = Usage(uncached_input_tokens=usage.prompt_tokens, cache_read_tokens=0, cache_write_tokens=0)
    return replace(usage, output_tokens=0)
