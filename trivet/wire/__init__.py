"""Wire formats: pure functions between a protocol's JSON and trivet's vocabulary. No I/O.

Each protocol module has the same three things, which is all that the server needs:

- `parse(body) -> Incoming`: a client's JSON body as a request. Raises `RequestError` with the field's path.
- `Renderer(incoming)`: one per request. `whole(response)` is the JSON body of a whole answer; `event(event)` the
  bytes to send for one event of a stream (often none); `failure(error)` the bytes that end a stream in mid-air.
- `error(error) -> bytes`: the JSON body of an error, in the protocol's own shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trivet.errors import TrivetError
from trivet.types import Event, Request, Response, Value


class Incoming(Value, frozen=True, kw_only=True):
    """A client's request: what to ask the model, and how to answer the client."""

    request: Request
    stream: bool = False
    stream_usage: bool = False  # OpenAI's stream_options.include_usage
    base64: bool = False  # OpenAI's encoding_format of embeddings
    body: Mapping[str, object] = {}  # as received: some protocols echo fields in the response


class Renderer(Protocol):
    def whole(self, response: Response) -> bytes: ...
    def event(self, event: Event) -> bytes: ...
    def failure(self, error: TrivetError) -> bytes: ...
