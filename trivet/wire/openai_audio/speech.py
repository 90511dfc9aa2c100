"""OpenAI's speech: JSON in, and sound out as it is made, plain or in server-sent events.

https://developers.openai.com/api/reference/resources/audio/subresources/speech/methods/create
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trivet.errors import RequestError, TrivetError
from trivet.types import AudioDelta, Done, Event, Response, Source, Speak, SpeakResponse
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.data_url import write_base64
from trivet.wire.fields import Fields, read_object
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "openai-speech"
_FORMATS: Any = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
_STREAMS: Any = Literal["audio", "sse"]
_FORMAT: Any = "mp3"  # the protocol's default


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Speak`, always streamed: plain sound is as good in pieces. Raises `RequestError` with
    the path of the field at fault."""
    data = read_object(body)
    as_events = data.take("stream_format", _STREAMS, "audio") == "sse"
    text, speed = data.need("input", str), data.take("speed", float, 1.0)
    if not text.strip():
        raise RequestError("input is empty: send the text to say", field="input")
    if not 0.25 <= speed <= 4:
        raise RequestError(f"speed is {speed}, must be between 0.25 and 4", field="speed")
    request = Speak(
        model=data.need("model", str),
        text=text,
        voice=_voice(data),
        format=data.take("response_format", _FORMATS, _FORMAT),
        speed=speed,
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=True, content_type=None if as_events else request.media_type)


def _voice(data: Fields) -> str | None:
    """A name, or an object with the id of a voice of one's own. A model with one voice need not be told it."""
    if isinstance(data.left.get("voice"), dict):
        voice = data.object("voice")
        return None if voice is None else voice.need("id", str)
    return data.take("voice", str)


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        self._as_events = incoming.content_type is None
        self._told = False

    def whole(self, response: Response) -> bytes:
        assert isinstance(response, SpeakResponse)
        return response.audio

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream, and are all of it where the sound came at once."""
        if isinstance(event, AudioDelta):
            self._told = True
            return self._piece(event.data)
        if isinstance(event, Done):
            response = event.response
            assert isinstance(response, SpeakResponse)
            rest = b"" if self._told or not response.audio else self._piece(response.audio)
            return rest + self._end(response)
        return b""

    def failure(self, error: TrivetError) -> bytes | None:
        """An error event. Sound has no place for one, and so is cut: None."""
        return sse.event(openai_errors.error(error)) if self._as_events else None

    def _piece(self, data: bytes) -> bytes:
        if not self._as_events:
            return data
        return sse.event(msgspec.json.encode({"type": "speech.audio.delta", "audio": write_base64(data)}))

    def _end(self, response: SpeakResponse) -> bytes:
        if not self._as_events:
            return b""
        usage = response.usage
        counts = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        known = None not in counts.values()
        done = {"type": "speech.audio.done", **({"usage": counts} if known else {})}
        return sse.event(msgspec.json.encode(done))
