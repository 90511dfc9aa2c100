"""OpenAI's embeddings, as a server. Texts only: token ids are refused, because they are one model's own."""

from __future__ import annotations

import binascii
import struct
from typing import Any, Literal

import msgspec

from trivet.errors import RequestError, TrivetError, UnsupportedError
from trivet.types import Done, Embed, EmbedResponse, Event, Response, Source
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.fields import Fields, convert, read_object
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "openai-embeddings"
_FORMATS: Any = Literal["float", "base64"]


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
        """The JSON body. The protocol wants `usage`, so one that is unknown is null, never 0."""
        assert isinstance(response, EmbedResponse)
        tokens = response.usage.input_tokens
        body = {
            **response.extra,
            "object": "list",
            "data": [
                {"object": "embedding", "index": i, "embedding": _base64(v) if self._base64 else v}
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
