"""Gemini's embeddings: embedContent of one content, batchEmbedContents of several. We ask for all in one batch.

A content is one text. Everything else that its request may say (`taskType`, `title`) must be the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trivet.errors import ProviderError, RequestError, TrivetError, UnsupportedError
from trivet.types import Done, Embed, EmbedResponse, Event, Response, Source
from trivet.wire import Incoming, Target, sse
from trivet.wire.fields import Fields
from trivet.wire.gemini import errors
from trivet.wire.gemini.contents_out import refuse
from trivet.wire.gemini.errors import error, read_error
from trivet.wire.gemini.proto import ProtoFields, canonical, read_body
from trivet.wire.gemini.usage import read_usage

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]

PROTOCOL = "gemini-embed"
ONE = "gemini-embed-one"  # what a client wrote to embedContent, which is not what we send


def parse(body: bytes) -> Incoming:
    """A body of either kind as an `Embed`. Raises `RequestError` with the path of the field at fault."""
    data = read_body(body)
    batch = data.has("requests") or not data.has("content")
    data.take("model", str)
    asked = data.objects("requests") if batch else [data]
    if not asked:
        raise RequestError("requests is empty: send at least one content", field="requests")
    read = [_one(r) for r in asked]
    for i, (_, dimensions, extra) in enumerate(read):
        if (dimensions, extra) != read[0][1:]:
            path = f"requests[{i}]"
            raise UnsupportedError(
                f"{path} asks for another kind of vector than the first one: ask for those apart", field=path
            )
    request = Embed(
        texts=tuple(text for text, _, _ in read),
        dimensions=read[0][1],
        source=Source(protocol=PROTOCOL if batch else ONE, body=canonical(body)),
        extra=read[0][2] | (data.rest() if batch else {}),
    )
    return Incoming(request=request, body={"requests": True} if batch else {})


def _one(r: Fields) -> tuple[str, int | None, dict[str, Any]]:
    assert isinstance(r, ProtoFields)
    r.take("model", str)  # the path's
    path = r.at("content")
    content = ProtoFields(r.need("content", dict), path)
    parts = content.objects("parts")
    if len(parts) != 1 or not parts[0].has("text"):
        raise UnsupportedError(f"{path} must have one part, a text: ask for the others apart", field=path)
    text = parts[0].need("text", str)
    if not text:
        raise RequestError(f"{path} is an empty text, which has no vector: leave it out", field=path)
    dimensions = r.whole("outputDimensionality")
    if dimensions is not None and dimensions < 1:
        where = r.at("outputDimensionality")
        raise RequestError(f"{where} is {dimensions}, must be at least 1", field=where)
    return text, dimensions, r.rest()


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        self._batch = "requests" in incoming.body

    def whole(self, response: Response) -> bytes:
        """The JSON body."""
        assert isinstance(response, EmbedResponse)
        vectors = [{"values": v} for v in response.vectors]
        tokens = response.usage.input_tokens
        usage = {} if tokens is None else {"usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}}
        vector = {"embeddings": vectors} if self._batch else {"embedding": vectors[0]}
        return msgspec.json.encode(vector | usage)

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(errors.error(error))


def write(request: Embed, target: Target) -> dict[str, Any]:
    """The JSON object to send to batchEmbedContents."""
    if request.source is not None and not request.source.protocol.startswith(PROTOCOL):
        for name in request.extra:
            raise refuse(name)
    if request.truncate is not None:
        raise refuse("truncate")
    size = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    named = {"model": f"models/{target.model}"}
    return {
        "requests": [
            named | {"content": {"parts": [{"text": text}]}} | size | dict(request.extra) for text in request.texts
        ]
    }


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Each of the requests names the model once more."""
    name = msgspec.Raw(msgspec.json.encode(f"models/{target.model}"))
    Object = dict[str, msgspec.Raw]
    asked = msgspec.json.decode(msgspec.json.encode(own["requests"]), type=list[Object] | Object)
    return {"requests": [one | {"model": name} for one in (asked if isinstance(asked, list) else [asked])]}


class Reader:
    """One request's answer."""

    def __init__(self, request: Embed, target: Target) -> None:
        self._target, self._count = target, len(request.texts)
        self._keeps = request.source is not None and request.source.protocol == PROTOCOL

    def whole(self, body: bytes) -> EmbedResponse:
        """Raises `ProviderError` for what is no list of a vector for each text."""
        try:
            value = msgspec.json.decode(body, type=dict[str, Any])
            told = value.pop("embeddings", None) or [value.pop("embedding")]
            vectors = msgspec.convert([one["values"] for one in told], tuple[tuple[float, ...], ...])
        except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError):
            vectors, value = (), {}
        if len(vectors) != self._count:
            who = f"{self._target.provider}/{self._target.model}"
            raise ProviderError(f"{who}: the answer is not a vector for each text", provider=self._target.provider)
        usage, _ = read_usage(value.get("usageMetadata"))
        raw = Source(protocol=PROTOCOL, body=body) if self._keeps else None
        return EmbedResponse(model=self._target.model, vectors=vectors, usage=usage, raw=raw)

    def event(self, event: sse.Event) -> Iterator[Event]:
        """The protocol has no streams."""
        return iter(())

    def end(self) -> Iterator[Event]:
        return iter(())
