"""OpenAI's speech, asked of a host: JSON out, and sound back as it is made.

OpenAI's `gpt-` models are asked for server-sent events, the last of which tells the tokens that they charge by; others
send the sound itself, and charge by the characters.

https://developers.openai.com/api/reference/resources/audio/subresources/speech/methods/create
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from trivet.errors import ProviderError, UnsupportedError
from trivet.types import AudioDelta, Done, Event, Response, Speak, SpeakResponse, Usage, replace
from trivet.wire import Target, openai_errors, sse
from trivet.wire.openai_audio.containers import sample_rate
from trivet.wire.openai_audio.speech import PROTOCOL, parse
from trivet.wire.openai_received import Received
from trivet.wire.openai_terms import carried

__all__ = ["PROTOCOL", "Reader", "parse", "read_error", "told", "write"]

read_error = partial(openai_errors.read_error, protocol=PROTOCOL)


def write(request: Speak, target: Target) -> dict[str, Any]:
    """The JSON object to send. Raises `UnsupportedError` for fields of another protocol, and where the protocol wants
    a voice and none is named."""
    extra = carried(request, target, PROTOCOL, "OpenAI's speech")
    if request.voice is None and target.family == "openai":
        raise UnsupportedError(
            f"{target.provider} has several voices and none that goes without saying: name one (alloy, coral, …)",
            field="voice",
        )
    body: dict[str, Any] = {"model": target.model, "input": request.text}
    if request.voice is not None:
        body["voice"] = request.voice
    body["response_format"] = request.format
    if request.speed != 1:
        body["speed"] = request.speed
    return {**body, **extra, **_stream_format(target)}


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The model, and how the sound is to come."""
    return {"model": target.model, "stream_format": msgspec.UNSET, **_stream_format(target)}


def _stream_format(target: Target) -> dict[str, Any]:
    return {"stream_format": "sse"} if _in_events(target) else {}


def _in_events(target: Target) -> bool:
    return target.family == "openai" and target.model.startswith("gpt-")


class Reader:
    """One request's answer: sound, or events that have it."""

    def __init__(self, request: Speak, target: Target) -> None:
        self._received = Received(request, replace(target, stream=False), PROTOCOL)
        self._target, self._format, self._media_type = target, request.format, request.media_type
        self._parser = sse.Parser() if _in_events(target) else None
        self._sound: list[bytes] = []
        self._usage: Usage | None = None

    def whole(self, body: bytes) -> Response:
        for _ in self.feed(body):
            pass
        return self._response()

    def feed(self, chunk: bytes) -> Iterable[Event]:
        if self._parser is not None:
            for event in self._parser.feed(chunk):
                yield from self.event(event)
            return
        self._sound.append(chunk)
        yield AudioDelta(data=chunk)

    def event(self, event: sse.Event) -> Iterable[Event]:
        data = self._received.object(event.data, named=event.name == "error")
        if data.get("type") == "speech.audio.delta":
            try:
                sound = binascii.a2b_base64(data["audio"], strict_mode=True)
            except (KeyError, TypeError, ValueError):
                raise self._received.broken("sound that is no base64", event.data) from None
            self._sound.append(sound)
            yield AudioDelta(data=sound)
        elif data.get("type") == "speech.audio.done":
            self._usage = _usage(data.get("usage"))

    def end(self) -> Iterable[Event]:
        yield Done(response=self._response())

    def _response(self) -> SpeakResponse:
        """Raises `TransportError` for a stream without its last event, `ProviderError` for what is no sound."""
        if self._parser is not None and self._usage is None:
            raise self._received.cut()
        sound = b"".join(self._sound)
        if not sound or sound.lstrip()[:1] == b"{":
            who = self._target.provider
            raise ProviderError(f"{who} sent no sound: does it have {self._format}?", provider=who, body=sound)
        rate = sample_rate(sound, self._format)
        return SpeakResponse(
            model=self._target.model,
            audio=sound,
            media_type=self._media_type,
            sample_rate=rate,
            duration_s=round(len(sound) / 2 / rate, 3) if self._format == "pcm" else None,
            usage=self._usage or Usage(),
        )


def _usage(told: Any) -> Usage:
    counts = told if isinstance(told, dict) else {}
    count, output = counts.get("input_tokens"), counts.get("output_tokens")
    if not isinstance(count, int) or not isinstance(output, int):
        return Usage()
    return Usage(uncached_input_tokens=count, cache_read_tokens=0, cache_write_tokens=0, output_tokens=output)
