"""The official Anthropic client, its network being a protocol module of ours: what it sends is parsed, and what it
gets is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import httpx2
from anthropic import Anthropic

from trivet.errors import TrivetError
from trivet.types import Event, Response
from trivet.wire import Incoming

Answer = Response | Sequence[Event | TrivetError]
JSON = {"content-type": "application/json"}


class InMemory:
    """`client` is the SDK's; `incoming` is what its last request was parsed to. `answer` is a response, or the
    events of a stream with perhaps an error among them."""

    def __init__(self, wire: ModuleType, answer: Answer) -> None:
        self.wire, self.answer = wire, answer
        self.incoming: Incoming | None = None
        http = httpx2.Client(transport=httpx2.MockTransport(self._serve))
        self.client = Anthropic(api_key="a key", base_url="http://trivet.test", max_retries=0, http_client=http)

    def _serve(self, request: httpx2.Request) -> httpx2.Response:
        try:
            self.incoming = self.wire.parse(request.content)
        except TrivetError as e:
            return httpx2.Response(e.status, content=self.wire.error(e), headers=JSON)
        renderer = self.wire.Renderer(self.incoming)
        if isinstance(self.answer, Response):
            return httpx2.Response(200, content=renderer.whole(self.answer), headers=JSON)
        pieces = [renderer.failure(e) if isinstance(e, TrivetError) else renderer.event(e) for e in self.answer]
        return httpx2.Response(200, content=b"".join(pieces), headers={"content-type": "text/event-stream"})
