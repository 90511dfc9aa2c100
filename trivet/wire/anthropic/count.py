"""Anthropic's count of tokens, as a server: the fields of a message's request that make up its prompt."""

from __future__ import annotations

import msgspec

from trivet.errors import TrivetError
from trivet.types import CountTokens, CountTokensResponse, Done, Event, Response, Source
from trivet.wire import Incoming, sse
from trivet.wire.anthropic import errors
from trivet.wire.anthropic.errors import error
from trivet.wire.anthropic.request_in import read_conversation
from trivet.wire.fields import read_object

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "anthropic-count"


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `CountTokens`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    request = CountTokens(
        **read_conversation(data),
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request)


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        pass

    def whole(self, response: Response) -> bytes:
        """The JSON body."""
        assert isinstance(response, CountTokensResponse)
        return msgspec.json.encode({**response.extra, "input_tokens": response.input_tokens})

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(errors.error(error), "error")
