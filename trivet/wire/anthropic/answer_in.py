"""Anthropic's answer: whole, or event by event.

A block that has no part of ours (a server-side tool's) is an `Opaque` part as received; in a stream it is told in one
piece, when it is whole. Where the client speaks this protocol too, every event keeps the bytes that it came in, and
what has no event of ours is an `Aside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trivet.errors import ProviderError, RequestError, TransportError
from trivet.types import (
    Aside,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Done,
    Event,
    FinishReason,
    Message,
    Part,
    Source,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    UsageUpdate,
    WholePart,
    replace,
)
from trivet.wire import Target, sse
from trivet.wire.anthropic import errors
from trivet.wire.anthropic.citations import read_citation
from trivet.wire.anthropic.growing import Growing
from trivet.wire.anthropic.messages_in import read_block, signed
from trivet.wire.anthropic.request_in import PROTOCOL
from trivet.wire.anthropic.request_out import notes
from trivet.wire.anthropic.usage import EXTRA, read_extra, read_usage
from trivet.wire.fields import Fields

Json = dict[str, Any]

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_OTHERS: Mapping[str, FinishReason] = {"model_context_window_exceeded": "length"}  # any other is `stop`
_IN_DELTAS = ("text", "thinking", "redacted_thinking", "tool_use")
_OURS = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage")


class Reader:
    """One request's answer."""

    def __init__(self, request: Chat, target: Target) -> None:
        self._target = target
        self._passes = request.source is not None and request.source.protocol == PROTOCOL
        self._notes = notes(request, target)
        self._message: Json = {}
        self._usage: Json = {}
        self._blocks: dict[int, Growing] = {}
        self._done = False

    def whole(self, body: bytes) -> ChatResponse:
        """The response. Raises `ProviderError` for what is none."""
        message = self._object(body)
        if message.get("type") == "error":
            raise errors.stream_error(body, self._target, PROTOCOL)
        blocks, usage = message.get("content"), message.get("usage")
        if not isinstance(blocks, list) or not isinstance(usage, dict):
            raise self._unreadable("an answer without content or usage")
        raw = Source(protocol=PROTOCOL, body=body) if self._passes else None
        return self._response(message, [self._part(b) for b in blocks], usage, raw)

    def event(self, event: sse.Event) -> list[Event]:
        """The events of ours that one of the provider's amounts to. Raises the error that it tells."""
        data = self._object(event.data)
        kind = data.get("type", event.name)
        if kind == "error":
            raise errors.stream_error(event.data, self._target, PROTOCOL)
        try:
            told = [] if self._done else list(self._read(kind, data))
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as e:
            raise self._unreadable(f"an event {kind!r} of another shape ({type(e).__name__}: {e})") from None
        return self._with_raw(told, event.raw) if self._passes else told

    def end(self) -> list[Event]:
        """Nothing where the stream is whole. Raises `TransportError` where it was cut."""
        if not self._done:
            raise TransportError(
                f"{self._target.provider}: the stream was cut before the answer was complete; ask again",
                provider=self._target.provider,
            )
        return []

    # --- the stream, in pieces ---------------------------------------------------------------------------------

    def _read(self, kind: Any, data: Json) -> Iterator[Event]:
        if kind == "message_start":
            self._message = dict(data["message"])
            yield Start(
                model=str(self._message.get("model") or self._target.model),
                id=self._message.get("id"),
                notes=self._notes,
            )
            yield self._used(self._message.get("usage"))
            self._usage.pop("output_tokens", None)  # of a beginning, and no count of the whole where none follows
        elif kind == "content_block_start":
            yield from self._begin(data["index"], dict(data["content_block"]))
        elif kind == "content_block_delta":
            yield from self._delta(data["index"], data["delta"])
        elif kind == "content_block_stop":
            block = self._blocks[data["index"]]
            if block.kind not in _IN_DELTAS:
                yield WholePart(value=self._part(block.whole()), part=data["index"])
        elif kind == "message_delta":
            self._message |= {k: v for k, v in data["delta"].items() if v is not None}
            yield self._used(data.get("usage"))
        elif kind == "message_stop":
            self._done = True
            content = [self._finished(block) for _, block in sorted(self._blocks.items())]
            yield Done(response=self._response(self._message, content, self._usage, None))

    def _used(self, usage: Any) -> UsageUpdate:
        """Counts add up as the stream goes on: each that is told again replaces the one before."""
        self._usage |= {k: v for k, v in (usage or {}).items() if v is not None or k not in self._usage}
        return UsageUpdate(usage=read_usage(self._usage))

    def _begin(self, index: int, block: Json) -> Iterator[Event]:
        self._blocks[index] = Growing(block)
        kind = block.get("type")
        if kind == "tool_use":
            arguments = msgspec.json.encode(block["input"]).decode() if block.get("input") else ""
            yield ToolCallDelta(id=block["id"], name=block["name"], arguments=arguments, part=index)
        elif kind == "text":
            citations = _citations(block.get("citations"))
            if block["text"] or citations:
                yield TextDelta(text=block["text"], citations=citations, part=index)
        elif kind == "thinking":
            signature, provider = signed(block.get("signature"))
            yield ThinkingDelta(text=block["thinking"], signature=signature, provider=provider, part=index)
        elif kind == "redacted_thinking":
            redacted, provider = signed(block["data"])
            yield ThinkingDelta(redacted=redacted, provider=provider, part=index)

    def _delta(self, index: int, delta: Json) -> Iterator[Event]:
        block, kind = self._blocks[index], delta.get("type")
        block.add(delta)
        if block.kind not in _IN_DELTAS:
            return
        if kind == "text_delta":
            yield TextDelta(text=delta["text"], part=index)
        elif kind == "citations_delta":
            yield TextDelta(text="", citations=_citations([delta["citation"]]), part=index)
        elif kind == "input_json_delta":
            yield ToolCallDelta(arguments=delta["partial_json"], part=index)
        elif kind == "thinking_delta":
            yield ThinkingDelta(text=delta["thinking"], part=index)
        elif kind == "signature_delta":
            signature, provider = signed(delta["signature"])
            yield ThinkingDelta(signature=signature, provider=provider, part=index)

    def _with_raw(self, told: list[Event], body: bytes) -> list[Event]:
        """The first event has the bytes, the others have none; an `Aside` where there is no event."""
        first, rest = (told[0], told[1:]) if told else (Aside(), [])
        nothing = Source(protocol=PROTOCOL, body=b"")
        return [
            replace(first, raw=Source(protocol=PROTOCOL, body=body)),
            *(replace(event, raw=nothing) for event in rest),
        ]

    # --- the whole ---------------------------------------------------------------------------------------------

    def _finished(self, block: Growing) -> Part:
        """A block's part; a call's arguments are the text that the model wrote, cut short or not."""
        if block.kind != "tool_use":
            return self._part(block.whole())
        call = self._part({**block.start, "input": block.start.get("input") or {}})
        assert isinstance(call, ToolCall)
        return replace(call, arguments=block.json) if block.json else call

    def _part(self, block: Any) -> Part:
        try:
            return read_block(Fields(block, "content"), "assistant")
        except RequestError as e:
            raise self._unreadable(f"a block of another shape ({e})") from None

    def _response(self, message: Json, content: list[Part], usage: Json, raw: Source | None) -> ChatResponse:
        reason = message.get("stop_reason")
        extra: Json = {}
        if reason is not None and reason not in _REASONS:
            extra["stop_reason"] = reason
        if message.get("stop_details") is not None:
            extra["stop_details"] = message["stop_details"]
        choice = Choice(
            message=Message(role="assistant", content=tuple(p for p in content if not _is_nothing(p))),
            finish_reason=_REASONS.get(str(reason)) or _OTHERS.get(str(reason), "stop"),
            stop_sequence=message.get("stop_sequence"),
            extra=extra,
        )
        beyond = {k: v for k, v in message.items() if k not in _OURS and v is not None}
        if used := read_extra(usage):
            beyond[EXTRA] = used
        return ChatResponse(
            model=str(message.get("model") or self._target.model),
            id=message.get("id"),
            choices=(choice,),
            usage=read_usage(usage),
            notes=self._notes,
            extra=beyond,
            raw=raw,
        )

    def _object(self, body: bytes) -> Json:
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise self._unreadable(f"what is no JSON ({e})") from None
        if not isinstance(data, dict):
            raise self._unreadable("JSON that is no object")
        return data

    def _unreadable(self, what: str) -> ProviderError:
        who = self._target.provider
        return ProviderError(f"{who} answers with {what}: look whether base_url is right", provider=who)


def _citations(raw: Any) -> tuple[Citation, ...]:
    return tuple(read_citation(c) for c in raw or ())


def _is_nothing(part: Part) -> bool:
    """A text that could not be sent back."""
    return isinstance(part, Text) and not part.text and not part.citations
