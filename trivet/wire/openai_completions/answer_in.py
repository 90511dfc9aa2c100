"""A host's answer: whole, or the chunks of a stream as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from trivet.collect import Collector
from trivet.errors import TransportError
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    FinishReason,
    Response,
    Start,
    TextDelta,
    TokenLogprob,
    Usage,
    UsageUpdate,
)
from trivet.wire import Target, openai_errors, sse
from trivet.wire.openai import read_usage
from trivet.wire.openai_completions.request_in import PROTOCOL
from trivet.wire.openai_received import Received, place

Json = dict[str, Any]

read_error = partial(openai_errors.read_error, protocol=PROTOCOL)

_TAKEN = ("id", "object", "created", "model", "choices", "usage", "error")
_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # Together's
    "length": "length",
    "content_filter": "refusal",
}


class Reader:
    """One answer."""

    def __init__(self, request: Complete, target: Target) -> None:
        self._received = Received(request, target, PROTOCOL)
        self._who = target.provider
        self._model, self._id = target.model, None
        self._started = self._done = False
        self._usage = Usage()
        self._extra: Json = {}
        self._collector = Collector()
        self._reasons: dict[int, FinishReason | None] = {}  # of each choice that has begun
        self._stops: dict[int, str | None] = {}
        self._notes: list[str] = []

    def whole(self, body: bytes) -> Response:
        """Raises `ProviderError` for what is no answer, and the error that stands in place of one."""
        data = self._received.object(body)
        if not data.get("choices"):
            raise self._received.broken("an answer without choices", body)
        for _ in self._read(data):
            pass
        return self._received.whole(self._response(), body)

    def event(self, event: sse.Event) -> Iterable[Event]:
        """The events that a chunk amounts to. Raises the error that a provider tells in mid-stream."""
        if event.data.strip() == b"[DONE]":
            return self._received.chunk([] if self._done else [self._finish()], event.raw)
        if not event.data:
            return self._received.chunk([], event.raw)
        data = self._received.object(event.data, named=event.name == "error")
        return self._received.chunk(list(self._read(data)), event.raw, data)

    def end(self) -> Iterable[Event]:
        """What is left to say. Raises `TransportError` where neither `[DONE]` nor the choices' ends have come."""
        if self._done:
            return ()
        if None in self._reasons.values():
            raise self._cut()
        return self._received.chunk([self._finish()], sse.event(b"[DONE]"))  # which some hosts leave out

    def _read(self, data: Json) -> Iterator[Event]:
        """What stands in every chunk, and the choices' next pieces."""
        self._model = data.get("model") or self._model
        self._id = data.get("id") or self._id
        self._extra |= {name: value for name, value in data.items() if name not in _TAKEN and value is not None}
        if not self._started:
            self._started = True
            yield Start(model=self._model, id=self._id)
        for i, choice in enumerate(data.get("choices") or ()):
            yield from self._choice(choice, place(choice, i))
        if data.get("usage"):
            self._usage = read_usage(data["usage"])
            yield UsageUpdate(usage=self._usage)

    def _choice(self, choice: Json, index: int) -> Iterator[TextDelta]:
        self._reasons.setdefault(index, None)
        text, logprobs = choice.get("text") or "", _logprobs(choice.get("logprobs"))
        if text or logprobs:
            delta = TextDelta(text=text, choice=index, logprobs=logprobs)
            self._collector.add(delta)
            yield delta
        stop, reason = choice.get("stop_reason", choice.get("matched_stop")), choice.get("finish_reason")
        if isinstance(stop, str):  # a number is a token's
            self._stops[index] = stop
        if reason is not None:
            self._reasons[index] = _REASONS.get(reason, "stop")
            if reason not in _REASONS:
                self._notes.append(f"{self._who} ended with {reason!r}, which is told as 'stop'")

    def _finish(self) -> Done:
        if not self._reasons:
            raise self._cut()
        self._done = True
        return Done(response=self._response())

    def _cut(self) -> TransportError:
        return TransportError(f"{self._who}: the stream was cut before the answer's end; ask again", provider=self._who)

    def _response(self) -> CompleteResponse:
        reasons = {index: reason or "stop" for index, reason in self._reasons.items()}
        return CompleteResponse(
            model=self._model,
            id=self._id,
            usage=self._usage,
            choices=self._collector.text_choices(reasons, self._stops),
            notes=tuple(self._notes),
            extra=self._extra,
        )


def _logprobs(told: Json | None) -> tuple[TokenLogprob, ...]:
    """Four lists side by side; llama-server has one list, as in chat completions. The first token of a prompt that is
    sent back has no probability: it is text alone."""
    if not told:
        return ()
    if isinstance(told.get("content"), list):
        return tuple(_token(t, [_token(other) for other in t.get("top_logprobs") or ()]) for t in told["content"])
    tokens, logprobs = told.get("tokens") or [], told.get("token_logprobs") or []
    tops = told.get("top_logprobs") or [None] * len(tokens)
    return tuple(
        TokenLogprob(
            token=token,
            logprob=logprob,
            top=tuple(TokenLogprob(token=t, logprob=p) for t, p in (top or {}).items()),
        )
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
        if logprob is not None
    )


def _token(told: Json, top: list[TokenLogprob] | None = None) -> TokenLogprob:
    raw = told.get("bytes")
    bytes = None if raw is None else tuple(raw)
    return TokenLogprob(token=told["token"], logprob=told["logprob"], bytes=bytes, top=tuple(top or ()))
