"""Anthropic's count of tokens, both ways: the fields of a message's request that make up its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import ProviderError, TransportError, TrivetError
from trivet.types import CountTokens, CountTokensResponse, Done, Event, Response, Source
from trivet.wire import Incoming, Target, sse
from trivet.wire.anthropic import errors
from trivet.wire.anthropic.errors import error
from trivet.wire.anthropic.messages_out import Words
from trivet.wire.anthropic.request_in import read_conversation
from trivet.wire.anthropic.request_out import write_conversation
from trivet.wire.fields import read_object

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]

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


def write(request: CountTokens, target: Target) -> dict[str, Any]:
    """The JSON object to send. Raises `UnsupportedError` naming what the protocol cannot carry."""
    words = Words(request)
    return words.merged({"model": target.model, **write_conversation(request, words)}, request.extra, "")


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """What a client's own body says differently to this provider: the model."""
    return {"model": target.model}


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> TrivetError:
    """The provider's answer with a status of 400 or more."""
    return errors.read_error(status, headers, body, target, protocol=PROTOCOL)


class Reader:
    """One request's answer, which never comes as a stream."""

    def __init__(self, request: CountTokens, target: Target) -> None:
        self._target = target
        self._passes = request.source is not None and request.source.protocol == PROTOCOL

    def whole(self, body: bytes) -> CountTokensResponse:
        """The response. Raises `ProviderError` for what is none."""
        who = self._target.provider
        try:
            told = msgspec.json.decode(body, type=dict[str, Any])
            count = msgspec.convert(told.pop("input_tokens", None), int)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderError(
                f"{who} answers with no count of tokens: look whether base_url is right", provider=who
            ) from None
        raw = Source(protocol=PROTOCOL, body=body) if self._passes else None
        return CountTokensResponse(model=self._target.model, input_tokens=count, extra=told, raw=raw)

    def event(self, event: sse.Event) -> list[Event]:
        return []

    def end(self) -> list[Event]:
        raise TransportError(f"{self._target.provider}: counts do not come as a stream", provider=self._target.provider)
