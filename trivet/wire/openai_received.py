"""What came from a host that speaks one of OpenAI's protocols, other than responses: JSON, errors in its place, and the
bytes that a client of the same protocol gets to see of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from trivet.errors import ProviderError, TransportError
from trivet.types import Aside, Event, Request, Response, Source, replace
from trivet.wire import Target
from trivet.wire.openai_errors import stream_error

Json = dict[str, Any]
R = TypeVar("R", bound=Response)
_CALLED = {
    "openai-chat": "chat completions",
    "openai-completions": "plain completions",
    "openai-embeddings": "OpenAI's embeddings",
    "openai-speech": "OpenAI's speech",
    "openai-transcriptions": "OpenAI's transcriptions",
    "rerank": "rerank",
}
_NO_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')  # outside of strings, whose quotes have a backslash


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Asked(msgspec.Struct):
    """What of a client's own body says which usage it wants."""

    stream_options: _Options | None = None


class Received:
    """For one request. `own` says that its client speaks `protocol` too: then events keep the bytes that they came of,
    without the usage that only we have asked for."""

    def __init__(self, request: Request, target: Target, protocol: str) -> None:
        self.target, self.protocol = target, protocol
        source = request.source
        self.own = source is not None and source.protocol == protocol
        self._takes_usage_out = False
        if self.own and source is not None and target.stream and target.quirks.get("stream_options", True):
            options = msgspec.json.decode(source.body, type=_Asked).stream_options
            self._takes_usage_out = options is None or not options.include_usage

    def object(self, body: bytes, *, named: bool = False) -> Json:
        """Raises `ProviderError` for what is no JSON object, and the error that stands in the place of an answer: which
        may be `named` so by its event, or, as older vLLM and Mistral have it, not be wrapped in anything."""
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise self.broken("what is no JSON object", body)
        wrapped = data.get("error") and not isinstance(data["error"], bool)
        # A chunk that has neither choices nor words is no error.
        said = data.get("message", data.get("detail")) and not (data.get("choices") or data.get("data"))
        if named or wrapped or said or data.get("object") == "error":
            raise stream_error(body, self.target, protocol=self.protocol)
        return data

    def broken(self, what: str, body: bytes) -> ProviderError:
        who = self.target.provider
        return ProviderError(f"{who} sent {what}: is it a host of {_CALLED[self.protocol]}?", provider=who, body=body)

    def cut(self) -> TransportError:
        """For a stream without its last event."""
        who = self.target.provider
        return TransportError(f"{who}: the stream was cut before the answer's end; ask again", provider=who)

    def whole(self, response: R, body: bytes) -> R:
        return replace(response, raw=Source(protocol=self.protocol, body=body)) if self.own else response

    def chunk(self, events: Sequence[Event], raw: bytes, data: Json | None = None) -> Sequence[Event]:
        """The events that came of a chunk: the first has its bytes, the others have none."""
        if not self.own:
            return events
        first, *others = events or [Aside()]
        nothing = Source(protocol=self.protocol, body=b"")
        seen = Source(protocol=self.protocol, body=self._for_client(raw, data or {}))
        return [replace(first, raw=seen), *(replace(e, raw=nothing) for e in others)]

    def piece(self, raw: bytes, *, null_usage: bool) -> Source | None:
        """What a client sees of a chunk that is one event, and has no usage but perhaps null."""
        if not self.own:
            return None
        seen = _NO_USAGE.sub(b"", raw, count=1) if null_usage and self._takes_usage_out else raw
        return Source(protocol=self.protocol, body=seen)

    def _for_client(self, raw: bytes, data: Json) -> bytes:
        if not (self._takes_usage_out and "usage" in data):
            return raw
        if data["usage"] is None:
            return _NO_USAGE.sub(b"", raw, count=1)
        return raw if data.get("choices") else b""


def place(choice: Json, i: int) -> int:
    """Which choice it is: by its index, where it has one, else by its place among the others."""
    index = choice.get("index")
    return index if isinstance(index, int) else i
