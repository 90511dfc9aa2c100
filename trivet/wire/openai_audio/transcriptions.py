"""OpenAI's transcriptions: a form with a file in, and JSON, text, subtitles or a stream of events out.

https://developers.openai.com/api/reference/resources/audio/subresources/transcriptions/methods/create
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trivet.errors import RequestError, TrivetError, UnsupportedError
from trivet.types import (
    Audio,
    Done,
    Event,
    Response,
    Segment,
    SegmentDelta,
    Source,
    TextDelta,
    Transcribe,
    TranscribeResponse,
    Usage,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.multipart import Part
from trivet.wire.openai_audio.subtitles import srt, vtt
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "openai-transcriptions"
_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
_GRANULARITIES = ("segment", "word")
_STREAMED = ("json", "text")  # the events have no times
_DEFAULTS = (("temperature", "0"), ("temperature", "0.0"))
_Json = dict[str, Any]


def parse(parts: Sequence[Part]) -> Incoming:
    """A form's fields as a `Transcribe`, whose source has those that are text, as JSON. Raises `RequestError` with the
    name of the field at fault."""
    form = _Form(parts)
    source = Source(protocol=PROTOCOL, body=msgspec.json.encode(form.texts()))
    kind = form.one("response_format") or "json"
    if kind not in _TYPES:
        raise UnsupportedError(f"response_format is {kind!r}: trivet has {', '.join(_TYPES)}", field="response_format")
    told = form.several("timestamp_granularities")
    if told and kind != "verbose_json":
        raise RequestError(
            f"timestamp_granularities are told in verbose_json alone, and response_format is {kind!r}",
            field="timestamp_granularities",
        )
    if unknown := set(told) - set(_GRANULARITIES):
        raise RequestError(
            f"timestamp_granularities has {min(unknown)!r}: there are segment and word", field="timestamp_granularities"
        )
    stream = _flag("stream", form.one("stream"))
    if stream and kind not in _STREAMED:
        raise RequestError(
            f"stream tells text alone, and response_format is {kind!r}: ask for json, or leave stream out",
            field="stream",
        )
    request = Transcribe(
        audio=_audio(form),
        model=form.need("model"),
        language=form.one("language"),
        prompt=form.one("prompt"),
        words="word" in told,
        source=source,
        extra=form.rest(),  # last: what nothing above has taken
    )
    granularities = told or ["segment"]
    body = {"response_format": kind, "timestamp_granularities": granularities}
    return Incoming(request=request, stream=stream, body=body, content_type=None if stream else _TYPES[kind])


class _Form:
    """Fields, taken one after the other. What has been left empty counts as absent."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.left: dict[str, list[Part]] = {}
        for part in parts:
            if part.data or part.filename is not None:
                self.left.setdefault(part.name.removesuffix("[]"), []).append(part)

    def take(self, name: str) -> Part | None:
        found = self.left.pop(name, None)
        if found is not None and len(found) > 1:
            raise RequestError(f"{name} is there {len(found)} times: send it once", field=name)
        return None if found is None else found[0]

    def one(self, name: str) -> str | None:
        part = self.take(name)
        return None if part is None else part.text

    def need(self, name: str) -> str:
        value = self.one(name)
        if value is None:
            raise RequestError(f"{name} is missing", field=name)
        return value

    def several(self, name: str) -> list[str]:
        return [part.text for part in self.left.pop(name, [])]

    def texts(self) -> _Json:
        """All that is left and no file, as JSON has it."""
        told = {name: [p.text for p in parts if p.filename is None] for name, parts in self.left.items()}
        return {name: values[0] if len(values) == 1 else values for name, values in told.items() if values}

    def rest(self) -> _Json:
        """What nobody has taken. A temperature of 0 is how a model transcribes that is told nothing."""
        for name, parts in self.left.items():
            if any(part.filename is not None for part in parts):
                raise RequestError(f"{name} is a file, and there is no such file: send the sound as file", field=name)
        return {n: value for n, value in self.texts().items() if (n, value) not in _DEFAULTS}


def _audio(form: _Form) -> Audio:
    part = form.take("file")
    if part is None:
        raise RequestError("file is missing: send the sound as a file in the form", field="file")
    if part.filename is None:
        raise RequestError('file is no file: say filename="…" where the form names it', field="file")
    if not part.data:
        raise RequestError(f"file is empty: {part.filename!r} has no bytes", field="file")
    known = part.media_type is not None and part.media_type.startswith(("audio/", "video/"))
    return Audio(data=part.data, media_type=part.media_type if known else None)


def _flag(name: str, value: str | None) -> bool:
    if value is None or value.lower() in ("false", "0"):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise RequestError(f"{name} is {value!r}, must be true or false", field=name)


class Renderer:
    """One request's answer. `body` of the incoming has its form, and what the client wants to know the times of."""

    def __init__(self, incoming: Incoming) -> None:
        self._format = incoming.body["response_format"]
        self._granularities: Any = incoming.body["timestamp_granularities"]
        self._told = False

    def whole(self, response: Response) -> bytes:
        """The body, in the form that was asked for. Raises `UnsupportedError` for subtitles of a model that tells no
        times."""
        assert isinstance(response, TranscribeResponse)
        if self._format == "text":
            return response.text.strip().encode() + b"\n"
        if self._format in ("srt", "vtt"):
            if response.text.strip() and not response.segments:
                raise UnsupportedError(
                    f"{response.model} tells no times, which {self._format} needs: ask for text, or name another model",
                    field="response_format",
                )
            return (srt if self._format == "srt" else vtt)(response.segments).encode()
        if self._format == "verbose_json":
            return msgspec.json.encode(self._verbose(response))
        return msgspec.json.encode({**response.extra, "text": response.text, **_usage(response)})

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` tell the text as a whole."""
        if isinstance(event, SegmentDelta):
            return self._delta(event.segment.text)
        if isinstance(event, TextDelta):
            return self._delta(event.text)
        if isinstance(event, Done):
            response = event.response
            assert isinstance(response, TranscribeResponse)
            before = b"" if self._told or not response.text else self._delta(response.text)
            tokens = _tokens(response.usage)
            done = {"type": "transcript.text.done", "text": response.text, **({"usage": tokens} if tokens else {})}
            return before + sse.event(msgspec.json.encode(done))
        return b""

    def failure(self, error: TrivetError) -> bytes:
        """An error event, which clients raise."""
        return sse.event(openai_errors.error(error))

    def _delta(self, text: str) -> bytes:
        self._told = True
        return sse.event(msgspec.json.encode({"type": "transcript.text.delta", "delta": text}))

    def _verbose(self, response: TranscribeResponse) -> _Json:
        """`language` is ISO 639-1's code. What trivet does not know of a segment is null."""
        body: _Json = {
            **response.extra,
            "task": "transcribe",
            "language": response.language,
            "duration": response.duration_s,
            "text": response.text,
        }
        if "word" in self._granularities:
            body["words"] = [
                {"word": word.text.strip(), "start": word.start_s, "end": word.end_s}
                for segment in response.segments
                for word in segment.words
            ]
        if "segment" in self._granularities:
            body["segments"] = [_segment(i, segment) for i, segment in enumerate(response.segments)]
        return body | _usage(response)


def _segment(i: int, segment: Segment) -> _Json:
    unknown = ("seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
    times = {"start": segment.start_s, "end": segment.end_s}
    return {"id": i, **times, "text": segment.text, **dict.fromkeys(unknown)}


def _usage(response: TranscribeResponse) -> _Json:
    """In tokens where they are known, else in seconds of sound; nothing where neither is, and where a host has told it
    in its own words (`extra`), which charges for more seconds than there are, perhaps."""
    if tokens := _tokens(response.usage):
        return {"usage": tokens}
    seconds = response.duration_s
    return {} if seconds is None or "usage" in response.extra else {"usage": {"type": "duration", "seconds": seconds}}


def _tokens(usage: Usage) -> _Json | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return {
        "type": "tokens",
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
