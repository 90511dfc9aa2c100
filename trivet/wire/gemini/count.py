"""Gemini's countTokens: contents alone, or a whole request under `generateContentRequest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trivet.errors import ProviderError, RequestError, TrivetError
from trivet.types import CountTokens, CountTokensResponse, Done, Event, Response, Source
from trivet.wire import Incoming, Target, sse
from trivet.wire.gemini import errors
from trivet.wire.gemini.errors import error, read_error
from trivet.wire.gemini.proto import ProtoFields, canonical, read_body
from trivet.wire.gemini.request_in import read_conversation
from trivet.wire.gemini.request_out import notes, write_conversation

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]

PROTOCOL = "gemini-count"
_WHOLE = "generateContentRequest"


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `CountTokens`. Raises `RequestError` with the path of the field at fault."""
    outer = read_body(body)
    if outer.has(_WHOLE) and outer.has("contents"):
        raise RequestError(f"contents stands in {outer.at(_WHOLE)} too: send one of them", field="contents")
    data = outer.object(_WHOLE) or outer
    config = data.object("generationConfig") or ProtoFields({}, "generationConfig")
    fields = read_conversation(data, config)
    left = config.rest()
    extra = {} if data is outer else outer.rest()
    request = CountTokens(
        **fields,
        source=Source(protocol=PROTOCOL, body=canonical(body)),
        extra=extra | data.rest() | ({"generationConfig": left} if left else {}),
    )
    return Incoming(request=request)


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        pass

    def whole(self, response: Response) -> bytes:
        """The JSON body."""
        assert isinstance(response, CountTokensResponse)
        return msgspec.json.encode({**response.extra, "totalTokens": response.input_tokens})

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(errors.error(error))


def write(request: CountTokens, target: Target) -> dict[str, Any]:
    """The JSON object to send: contents alone where there is nothing else."""
    whole = write_conversation(request, target, {})
    if whole.keys() == {"contents"}:
        return whole
    return {_WHOLE: {"model": f"models/{target.model}"} | whole}


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """A whole request names the model once more."""
    name = msgspec.json.encode(f"models/{target.model}")
    if _WHOLE not in own:
        return {}
    inner = msgspec.json.decode(msgspec.json.encode(own[_WHOLE]), type=dict[str, msgspec.Raw])
    return {_WHOLE: inner | {"model": msgspec.Raw(name)}}


class Reader:
    """One request's answer."""

    def __init__(self, request: CountTokens, target: Target) -> None:
        self._target, self._notes = target, notes(request)
        self._keeps = request.source is not None and request.source.protocol == PROTOCOL

    def whole(self, body: bytes) -> CountTokensResponse:
        """Raises `ProviderError` for what is no count."""
        try:
            value = msgspec.json.decode(body, type=dict[str, Any])
            count = msgspec.convert(value.pop("totalTokens", 0), int)  # proto JSON leaves out a 0
        except (msgspec.MsgspecError, UnicodeDecodeError):
            who = f"{self._target.provider}/{self._target.model}"
            raise ProviderError(f"{who}: the answer is no count of tokens", provider=self._target.provider) from None
        raw = Source(protocol=PROTOCOL, body=body) if self._keeps else None
        return CountTokensResponse(
            model=self._target.model, input_tokens=count, notes=self._notes, extra=value, raw=raw
        )

    def event(self, event: sse.Event) -> Iterator[Event]:
        """The protocol has no streams."""
        return iter(())

    def end(self) -> Iterator[Event]:
        return iter(())
