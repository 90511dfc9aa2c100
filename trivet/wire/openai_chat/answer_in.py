"""A host's answer: whole, or the chunks of a stream as events. What `Target.quirks` may say is in `terms`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from trivet.errors import ProviderError, TransportError
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Done,
    Event,
    Message,
    Response,
    Start,
    Text,
    Usage,
    UsageUpdate,
)
from trivet.wire import Target, sse
from trivet.wire.openai import read_usage
from trivet.wire.openai_chat.choice_in import ChoiceIn
from trivet.wire.openai_chat.terms import PROTOCOL
from trivet.wire.openai_received import Received, place

Json = dict[str, Any]
_TAKEN = ("id", "object", "created", "model", "choices", "usage", "error")


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    annotations: tuple[()] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: tuple[()] | None = None
    reasoning_content: None = None
    reasoning: None = None


class _Piece(msgspec.Struct, forbid_unknown_fields=True):
    delta: _Text
    index: int = 0
    logprobs: None = None
    finish_reason: None = None
    stop_reason: None = None


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """A chunk that holds a piece of text and nothing more, as nearly all of a stream do: read at once. Any other chunk
    is not of this shape, and is read field by field."""

    choices: tuple[_Piece]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    usage: msgspec.UnsetType | None = msgspec.UNSET
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None


class _WholePiece(msgspec.Struct, forbid_unknown_fields=True):
    message: _Text
    finish_reason: Literal["stop", "length"]
    index: int = 0
    logprobs: None = None
    stop_reason: None = None
    token_ids: None = None


class _UsualWhole(msgspec.Struct, forbid_unknown_fields=True):
    """The same for a whole answer: one text. vLLM says what it has not as null."""

    choices: tuple[_WholePiece]
    id: str | None = None
    object: Literal["chat.completion"] | None = None  # and not "error"
    created: int | None = None
    model: str | None = None
    usage: Json | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    prompt_logprobs: None = None
    prompt_token_ids: None = None
    kv_transfer_params: None = None


_usual = msgspec.json.Decoder(_Usual)
_usual_whole = msgspec.json.Decoder(_UsualWhole)


class Reader:
    """One answer."""

    def __init__(self, request: Chat, target: Target) -> None:
        self._received = Received(request, target, PROTOCOL)
        self._target = target
        self._model = target.model
        self._id: str | None = None
        self._started = self._done = False
        self._usage = Usage()
        self._extra: Json = {}
        self._choices: dict[int, ChoiceIn] = {}

    def whole(self, body: bytes) -> Response:
        """Raises `ProviderError` for what is no answer, and the error that stands in place of one."""
        return self._received.whole(self._whole_text(body) or self._whole(body), body)

    def _whole(self, body: bytes) -> ChatResponse:
        data = self._received.object(body)
        if not data.get("choices"):
            raise self._received.broken("an answer without choices", body)
        self._note(data)
        for i, choice in enumerate(data["choices"]):
            told = choice.get("message") or {}
            for _ in self._choice(place(choice, i)).add(told, choice):
                pass
        return self._response()

    def _whole_text(self, body: bytes) -> ChatResponse | None:
        """A usual answer; None for any other."""
        try:
            data = _usual_whole.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        (piece,) = data.choices
        if not piece.message.content:
            return None
        message = Message(role="assistant", content=(Text(text=piece.message.content),))
        self._note_labels(data)
        return ChatResponse(
            model=self._model,
            id=self._id,
            usage=read_usage(data.usage),
            choices=(Choice(message=message, finish_reason=piece.finish_reason),),
            extra=self._extra,
        )

    def event(self, event: sse.Event) -> Iterable[Event]:
        """The events that a chunk amounts to. Raises the error that a provider tells in mid-stream."""
        if self._started and (delta := self._text(event)) is not None:
            return (delta,)
        if event.data.strip() == b"[DONE]":
            return self._received.chunk([] if self._done else list(self._finish()), event.raw)
        if not event.data:
            return self._received.chunk([], event.raw)
        data = self._received.object(event.data, named=event.name == "error")
        found: list[Event] = []
        if not self._started:
            self._started = True
            self._note(data)
            found.append(Start(model=self._model, id=self._id))
        else:
            self._note(data)
        for i, choice in enumerate(data.get("choices") or ()):
            found += self._choice(place(choice, i)).add(choice.get("delta") or {}, choice)
        if self._told_usage(data):
            found.append(UsageUpdate(usage=self._usage))
        return self._received.chunk(found, event.raw, data)

    def end(self) -> Iterable[Event]:
        """What is left to say. Raises `TransportError` where neither `[DONE]` nor the choices' ends have come."""
        if self._done:
            return ()
        if not self._choices or any(c.reason is None for c in self._choices.values()):
            raise TransportError(
                f"{self._target.provider}: the stream was cut before the answer's end; ask again",
                provider=self._target.provider,
            )
        return self._received.chunk(list(self._finish()), sse.event(b"[DONE]"))  # which some hosts leave out

    def _text(self, event: sse.Event) -> Event | None:
        """The one event of a usual chunk; None for any other."""
        try:
            data = _usual.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        (piece,) = data.choices
        if not piece.delta.content:
            return None
        self._note_labels(data)
        raw = self._received.piece(event.raw, null_usage=data.usage is None)
        return self._choice(piece.index).text(piece.delta.content, raw)

    def _choice(self, index: int) -> ChoiceIn:
        if index not in self._choices:
            self._choices[index] = ChoiceIn(index, self._target)
        return self._choices[index]

    def _finish(self) -> Iterator[Event]:
        if not self._choices:
            raise TransportError(
                f"{self._target.provider}: the stream ended before any answer; ask again",
                provider=self._target.provider,
            )
        self._done = True
        for _, choice in sorted(self._choices.items()):
            yield from choice.finish()
        yield Done(response=self._response())

    def _response(self) -> ChatResponse:
        """Raises `ProviderError` where a choice has broken off; a client of the protocol reads that itself."""
        broken = next((c.broken for c in self._choices.values() if c.broken), None)
        if broken is not None and not self._received.own:
            who = self._target.provider
            raise ProviderError(f"{who} broke the answer off (finish_reason {broken!r}): ask again", provider=who)
        return ChatResponse(
            model=self._model,
            id=self._id,
            usage=self._usage,
            choices=tuple(choice.whole() for _, choice in sorted(self._choices.items())),
            extra=self._extra,
        )

    def _note(self, data: Json) -> None:
        """What stands in every chunk, beside the choices."""
        self._model = data.get("model") or self._model
        self._id = data.get("id") or self._id
        if self._told_usage(data):
            self._usage = read_usage(_usage(data))
        self._extra |= {name: value for name, value in data.items() if name not in _TAKEN and value is not None}

    def _note_labels(self, data: _Usual | _UsualWhole) -> None:
        """The same for what is of the usual shape."""
        self._model, self._id = data.model or self._model, data.id or self._id
        if data.service_tier is not None:
            self._extra["service_tier"] = data.service_tier
        if data.system_fingerprint is not None:
            self._extra["system_fingerprint"] = data.system_fingerprint
        if data.obfuscation is not None:
            self._extra["obfuscation"] = data.obfuscation

    def _told_usage(self, data: Json) -> bool:
        return isinstance(_usage(data), dict)


def _usage(data: Json) -> Any:
    """Groq has it in an object of its own."""
    own = data.get("usage")
    groq = data.get("x_groq")
    return groq.get("usage") if own is None and isinstance(groq, dict) else own
