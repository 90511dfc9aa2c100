"""Wire formats: pure functions between a protocol's JSON and trivet's vocabulary, both ways. No I/O.

Each protocol is a module, or a package whose files say which of the four ways they go (`request_in`, `answer_out`:
a client asks us; `request_out`, `answer_in`: we ask a provider). Before a client, all that the server needs is:

- `PROTOCOL`: its name, as it stands in a `Source`.
- `parse(body) -> Incoming`: a client's JSON body as a request. Raises `RequestError` with the path of the field at
  fault.
- `Renderer(incoming)`: one per request. `whole(response)` is the JSON body of a whole answer; `event(event)` the
  bytes to send for one event of a stream (often none); `failure(error)` the bytes that end a stream in mid-air, None
  where it has no place for an error and can only be cut.
- `error(error) -> bytes`: the JSON body of an error, in the protocol's own shape.

And before a provider, all that `trivet.providers.hosted` needs:

- `write(request, target) -> dict`: the request as the JSON object to send, in an order that never changes. Raises
  `UnsupportedError` naming the field that cannot be carried. `trivet.wire.source` makes the body of it.
- `told(own, target) -> dict`: of a body that a client wrote in this protocol (`own`), the fields that go out with other
  values than the client's, whatever it wrote: the model's name, and whether it streams where the body says so; with
  `msgspec.UNSET` those that do not go out.
- `encode(request, target) -> (body, content_type)`, in the place of these two where the body is no JSON: a form.
- `hinted(own, after, before) -> dict | None`, where it has one: of a body that a client wrote in this protocol, the
  fields that a wrapper's hints on caching change; None where it has changed anything else, which takes longer to find.
- `Reader(request, target)`: one per request. `whole(body)` is a whole answer as the response; `event(event)` the events
  that one server-sent event amounts to; `end()` those that are left when the stream is over, the last of which is
  `Done`. Raises the error that the provider told in mid-stream, and `TransportError` from `end` where it was cut.
  Where a stream need not be one of server-sent events, it has `feed(chunk)`, the events that the next bytes amount to.
- `read_error(status, headers, body, target) -> TrivetError`: the provider's answer with a status of 400 or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from trivet.errors import TrivetError
from trivet.types import Event, Request, Response, Value
from trivet.wire import sse


class Incoming(Value, frozen=True, kw_only=True):
    """A client's request: what to ask the model, and how to answer the client. `content_type` is the answer's, None
    being JSON, and server-sent events for a stream."""

    request: Request
    stream: bool = False
    stream_usage: bool = False  # OpenAI's stream_options.include_usage
    base64: bool = False  # OpenAI's encoding_format of embeddings
    body: Mapping[str, object] = {}  # as received: some protocols echo fields in the response
    content_type: str | None = None


class Target(Value, frozen=True, kw_only=True):
    """What is asked: the `model` by the name that its provider knows, at the provider called `provider` here.

    `family` is whose signatures and opaque blocks it takes (`anthropic`, `openai`, `gemini`, or a host's own name).
    `stream` asks for a stream of events. `quirks` is how a compatible host differs from its protocol
    (`trivet.providers.hosts`)."""

    model: str
    provider: str
    family: str
    stream: bool = False
    quirks: Mapping[str, Any] = {}


class Renderer(Protocol):
    def whole(self, response: Response) -> bytes: ...
    def event(self, event: Event) -> bytes: ...
    def failure(self, error: TrivetError) -> bytes | None: ...


class Reader(Protocol):
    def whole(self, body: bytes) -> Response: ...
    def event(self, event: sse.Event) -> Iterable[Event]: ...
    def end(self) -> Iterable[Event]: ...


class Front(Protocol):
    """A protocol before a client."""

    @property
    def PROTOCOL(self) -> str: ...
    def parse(self, body: bytes, /) -> Incoming: ...
    def error(self, error: TrivetError, /) -> bytes: ...
    @property
    def Renderer(self) -> Callable[[Incoming], Renderer]: ...


class Back(Protocol):
    """A protocol before a provider."""

    PROTOCOL: str

    def parse(self, body: bytes, /) -> Incoming: ...
    def write(self, request: Any, target: Target, /) -> dict[str, Any]: ...
    def told(self, own: Mapping[str, Any], target: Target, /) -> dict[str, Any]: ...
    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target, /) -> TrivetError: ...
    @property
    def Reader(self) -> Callable[[Any, Target], Reader]: ...
