"""A host's answer: whole, or the chunks of a stream as events. What `Target.quirks` may say is in `terms`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from trivet.errors import ProviderError, TransportError
from trivet.types import (
    Aside,
    Chat,
    ChatResponse,
    Choice,
    Done,
    Event,
    Message,
    Response,
    Source,
    Start,
    Text,
    Usage,
    UsageUpdate,
    replace,
)
from trivet.wire import Target, sse
from trivet.wire.openai import read_usage
from trivet.wire.openai_chat.choice_in import ChoiceIn
from trivet.wire.openai_chat.terms import PROTOCOL
from trivet.wire.openai_errors import stream_error

Json = dict[str, Any]
_TAKEN = ("id", "object", "created", "model", "choices", "usage", "error")
_NO_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')  # outside of strings, whose quotes have a backslash


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Asked(msgspec.Struct):
    """What of a client's own body says which usage it wants."""

    stream_options: _Options | None = None


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
_LABELS = ("service_tier", "system_fingerprint", "obfuscation")


class Reader:
    """One answer. Where the client speaks this protocol too, events keep the bytes that they came of, without the
    usage that only we have asked for."""

    def __init__(self, request: Chat, target: Target) -> None:
        self._target = target
        source = request.source
        self._own = source is not None and source.protocol == PROTOCOL
        self._takes_usage_out = False
        if self._own and source is not None and target.stream and target.quirks.get("stream_options", True):
            options = msgspec.json.decode(source.body, type=_Asked).stream_options
            self._takes_usage_out = options is None or not options.include_usage
        self._model = target.model
        self._id: str | None = None
        self._started = self._done = False
        self._usage = Usage()
        self._extra: Json = {}
        self._choices: dict[int, ChoiceIn] = {}

    def whole(self, body: bytes) -> Response:
        """Raises `ProviderError` for what is no answer, and the error that stands in place of one."""
        response = self._whole_text(body) or self._whole(body)
        return replace(response, raw=Source(protocol=PROTOCOL, body=body)) if self._own else response

    def _whole(self, body: bytes) -> ChatResponse:
        data = self._object(body)
        if not data.get("choices"):
            raise self._broken("an answer without choices", body)
        self._note(data)
        for i, choice in enumerate(data["choices"]):
            told = choice.get("message") or {}
            for _ in self._choice(choice.get("index", i)).add(told, choice):
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
            found = [] if self._done else list(self._finish())
            return self._with_raw(found, event.raw)
        if not event.data:
            return self._with_raw([], event.raw)
        data = self._object(event.data)
        if event.name == "error":
            raise stream_error(event.data, self._target, protocol=PROTOCOL)
        found = []
        if not self._started:
            self._started = True
            self._note(data)
            found.append(Start(model=self._model, id=self._id))
        else:
            self._note(data)
        for i, choice in enumerate(data.get("choices") or ()):
            found += self._choice(choice.get("index", i)).add(choice.get("delta") or {}, choice)
        if self._told_usage(data):
            found.append(UsageUpdate(usage=self._usage))
        return self._with_raw(found, self._for_client(event.raw, data))

    def end(self) -> Iterable[Event]:
        """What is left to say. Raises `TransportError` where neither `[DONE]` nor the choices' ends have come."""
        if self._done:
            return ()
        if not self._choices or any(c.reason is None for c in self._choices.values()):
            raise TransportError(
                f"{self._target.provider}: the stream was cut before the answer's end; ask again",
                provider=self._target.provider,
            )
        return self._with_raw(list(self._finish()), sse.event(b"[DONE]"))  # which some hosts leave out

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
        raw = None
        if self._own:
            seen = self._takes_usage_out and data.usage is None
            body = _NO_USAGE.sub(b"", event.raw, count=1) if seen else event.raw
            raw = Source(protocol=PROTOCOL, body=body)
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
        if broken is not None and not self._own:
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
        for name in _LABELS:
            if (label := getattr(data, name)) is not None:
                self._extra[name] = label

    def _told_usage(self, data: Json) -> bool:
        return isinstance(_usage(data), dict)

    def _object(self, body: bytes) -> Json:
        """Raises the error that it may be instead, which older vLLM and Mistral do not wrap."""
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise self._broken("what is no JSON object", body)
        if data.get("object") == "error" or (data.get("error") and not isinstance(data["error"], bool)):
            raise stream_error(body, self._target, protocol=PROTOCOL)
        return data

    def _broken(self, what: str, body: bytes) -> ProviderError:
        who = self._target.provider
        return ProviderError(f"{who} sent {what}: is it a host of chat completions?", provider=who, body=body)

    # --- what the client gets to see of it ---------------------------------------------------------------------

    def _for_client(self, raw: bytes, data: Json) -> bytes:
        if not (self._takes_usage_out and "usage" in data):
            return raw
        if data["usage"] is None:
            return _NO_USAGE.sub(b"", raw, count=1)
        return raw if data.get("choices") else b""

    def _with_raw(self, events: list[Event], raw: bytes) -> list[Event]:
        """The first event has the bytes, the others have none."""
        if not self._own:
            return events
        if not events:
            return [Aside(raw=Source(protocol=PROTOCOL, body=raw))]
        first, *others = events
        rest = [replace(e, raw=Source(protocol=PROTOCOL, body=b"")) for e in others]
        return [replace(first, raw=Source(protocol=PROTOCOL, body=raw)), *rest]


def _usage(data: Json) -> Any:
    """Groq has it in an object of its own."""
    own = data.get("usage")
    groq = data.get("x_groq")
    return groq.get("usage") if own is None and isinstance(groq, dict) else own
