"""OpenAI's transcriptions, asked of a host: a form with the sound, and JSON back or a stream of events.

Times are in `verbose_json` alone, which Whisper has and OpenAI's later models have not; these stream, and Whisper,
asked to, answers as ever. A host's `least_audio_s` (`Target.quirks`) is how many seconds it charges at least.

https://developers.openai.com/api/reference/resources/audio/subresources/transcriptions/methods/create,
https://console.groq.com/docs/speech-to-text
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from trivet.errors import UnsupportedError
from trivet.types import (
    Done,
    Event,
    Segment,
    SegmentDelta,
    TextDelta,
    Transcribe,
    TranscribeResponse,
    Usage,
    Word,
    replace,
)
from trivet.wire import Target, openai_errors, sse
from trivet.wire.multipart import Part
from trivet.wire.multipart import write as write_form
from trivet.wire.openai_audio.containers import extension
from trivet.wire.openai_audio.languages import code
from trivet.wire.openai_audio.transcriptions import PROTOCOL
from trivet.wire.openai_received import Received
from trivet.wire.openai_terms import carried

__all__ = ["PROTOCOL", "Reader", "encode", "read_error"]

read_error = partial(openai_errors.read_error, protocol=PROTOCOL)
_TAKEN = ("text", "task", "language", "languages", "duration", "segments", "words", "usage", "x_groq", "type")
_Json = dict[str, Any]


def has_times(model: str) -> bool:
    """Whether a model of this name answers in `verbose_json`: Whisper, whoever made it smaller."""
    return "whisper" in model.lower()


def encode(request: Transcribe, target: Target) -> tuple[bytes, str]:
    """The form to send, and its content type. Raises `UnsupportedError` for what it has no field for."""
    return write_form(_parts(request, target))


def _parts(request: Transcribe, target: Target) -> Iterable[Part]:
    extra = carried(request, target, PROTOCOL, "OpenAI's transcriptions")
    if request.audio.data is None:
        raise UnsupportedError(f"{target.provider} takes sound as bytes, not by its address: send them", field="audio")
    times = has_times(target.model)
    if request.words and not times:
        raise UnsupportedError(
            f"{target.provider}/{target.model} tells no times of words: leave words out, or name a Whisper",
            field="words",
        )
    fields: dict[str, Any] = {
        "model": target.model,
        "language": request.language,
        "prompt": request.prompt,
        "response_format": "verbose_json" if times else "json",
        "timestamp_granularities": ["segment", "word"] if request.words else None,
        "stream": True if target.stream and not times else None,
        **extra,
    }
    for name, value in fields.items():
        many = isinstance(value, list | tuple)
        for one in value if many else [] if value is None else [value]:
            yield Part(name=f"{name}[]" if many else name, data=_text(one))
    ending = extension(request.audio.data, request.audio.media_type)
    filename = "audio" if ending is None else f"audio.{ending}"  # by which hosts know the format
    yield Part(
        name="file",
        data=request.audio.data,
        filename=filename,
        media_type=request.audio.media_type or "application/octet-stream",
    )


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


class Reader:
    """One request's answer. Whether it is a stream of events is seen when it comes: a model that cannot stream sends
    one JSON object instead."""

    def __init__(self, request: Transcribe, target: Target) -> None:
        self._received = Received(request, replace(target, stream=False), PROTOCOL)
        self._target, self._words = target, request.words
        self._parser: sse.Parser | None = None
        self._body = bytearray()
        self._done: TranscribeResponse | None = None

    def whole(self, body: bytes) -> TranscribeResponse:
        """Raises `ProviderError` for what is no transcript."""
        data = self._received.object(body)
        if not isinstance(data.get("text"), str):
            raise self._received.broken("no transcript", body)
        try:
            segments = _segments(data) if has_times(self._target.model) else ()
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._received.broken("a transcript whose times are in no shape that trivet knows", body) from None
        return self._response(data, segments)

    def feed(self, chunk: bytes) -> Iterable[Event]:
        if self._parser is None:
            self._body += chunk
            if bytes(self._body[:64]).lstrip()[:1] in (b"", b"{"):
                return
            self._parser, chunk = sse.Parser(), bytes(self._body)
        for event in self._parser.feed(chunk):
            yield from self.event(event)

    def event(self, event: sse.Event) -> Iterable[Event]:
        if event.data.strip() == b"[DONE]":
            return
        data = self._received.object(event.data, named=event.name == "error")
        if data.get("type") == "transcript.text.delta":
            yield TextDelta(text=str(data.get("delta", "")))
        elif data.get("type") == "transcript.text.done":
            self._done = self._response(data, ())

    def end(self) -> Iterable[Event]:
        """What is left. A stream without its last event has been cut, and ends without `Done`."""
        if self._parser is None:
            self._done = self.whole(bytes(self._body))
            for segment in self._done.segments:
                yield SegmentDelta(segment=segment)
        if self._done is None:
            raise self._received.cut()
        yield Done(response=self._done)

    def _response(self, data: _Json, segments: tuple[Segment, ...]) -> TranscribeResponse:
        usage, seconds = data.get("usage"), data.get("duration")
        duration = float(seconds) if isinstance(seconds, int | float) else None
        told = usage if isinstance(usage, dict) else {}
        extra = {name: value for name, value in data.items() if name not in _TAKEN and value is not None}
        charged = told.get("seconds", duration)
        if charged is not None and "input_tokens" not in told:
            charged = max(charged, self._target.quirks.get("least_audio_s", 0))
            extra["usage"] = {"type": "duration", "seconds": charged}
        languages = data.get("languages") or [{}]
        return TranscribeResponse(
            model=self._target.model,
            text=data["text"],
            segments=segments,
            language=code(data.get("language") or languages[0].get("code")),
            duration_s=duration,
            usage=_usage(told),
            extra=extra,
        )


def _segments(data: Mapping[str, Any]) -> tuple[Segment, ...]:
    """With the words that begin in each; those before the first belong to it."""
    told = data.get("segments") or []
    words = [Word(text=w["word"], start_s=float(w["start"]), end_s=float(w["end"])) for w in data.get("words") or []]
    segments = []
    for i, segment in enumerate(told):
        ends = float(told[i + 1]["start"]) if i + 1 < len(told) else float("inf")
        mine = [word for word in words if word.start_s < ends]
        words = words[len(mine) :]
        times = {"start_s": float(segment["start"]), "end_s": float(segment["end"])}
        segments.append(Segment(text=segment["text"], words=tuple(mine), **times))
    if words and not segments:  # where a host tells words alone
        return (Segment(text=data["text"], start_s=words[0].start_s, end_s=words[-1].end_s, words=tuple(words)),)
    return tuple(segments)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Tokens, where they are told. Nothing of a recording comes from a cache."""
    count, output = told.get("input_tokens"), told.get("output_tokens")
    details = told.get("input_token_details")
    audio = details.get("audio_tokens") if isinstance(details, dict) else None
    if not isinstance(count, int):
        return Usage()
    return Usage(
        uncached_input_tokens=count,
        cache_read_tokens=0,
        cache_write_tokens=0,
        output_tokens=output if isinstance(output, int) else None,
        audio_input_tokens=audio if isinstance(audio, int) else None,
    )
