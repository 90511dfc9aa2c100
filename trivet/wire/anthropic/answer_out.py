"""The answer to an Anthropic request: whole, or as a stream of events.

The protocol has no `n`: the first choice is the answer. `input_tokens` are the uncached ones. A count that is
unknown is null, even where the protocol wants a number, because 0 would be a claim. Only at the start of a stream
is the output so far 0, which it then is; so that the input is known by then, the start waits for the first content.

A tool call whose arguments are no JSON object (the tokens ran out) has them as text under `INVALID_JSON`, the key
that Anthropic's own pages give such a call; in a stream they are just what the model wrote.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.errors import TrivetError, UnsupportedError
from trivet.types import (
    ChatResponse,
    Choice,
    Done,
    Event,
    Extra,
    Message,
    Opaque,
    Part,
    Response,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    WholePart,
)
from trivet.wire import Incoming, sse
from trivet.wire.anthropic import errors
from trivet.wire.anthropic.citations import write_citation
from trivet.wire.anthropic.messages_in import PROVIDER
from trivet.wire.anthropic.usage import EXTRA, write_usage
from trivet.wire.carry import check_parts, last_opaque
from trivet.wire.deltas import deltas
from trivet.wire.ids import fresh_id
from trivet.wire.in_turn import Delta, Finished, InTurn, Step
from trivet.wire.thinking import tag

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "refusal": "refusal"}


class Renderer:
    """One request's answer. `id` stands in for a fresh one, in tests."""

    def __init__(self, incoming: Incoming, *, id: str | None = None) -> None:
        self._id = id or fresh_id("msg_")
        self._model = incoming.request.model or ""
        self._usage = Usage()
        self._begun = False
        self._parts = InTurn()
        self._index = 0  # of the block that is open, or comes next
        self._open = False
        self._told_whole = False  # a part in one piece: then the stream tells all of them

    def whole(self, response: Response) -> bytes:
        """The JSON body. Raises `UnsupportedError` for a part that the protocol cannot carry."""
        assert isinstance(response, ChatResponse)
        self._id, self._model = response.id or self._id, response.model
        choice = response.choices[0]
        message = {
            **self._message(response.usage, {**response.extra, **choice.message.extra}),
            "content": [_block(p) for p in _said(choice.message)],
            **_ending(choice),
        }
        return msgspec.json.encode(message)

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream. Raises `UnsupportedError` for a part in one piece
        that the protocol cannot carry."""
        if isinstance(event, Start):
            self._model, self._id = event.model, event.id or self._id
        elif isinstance(event, UsageUpdate):
            self._usage = event.usage
        elif isinstance(event, Step):
            if isinstance(event, TextDelta) and not event.text and not event.citations:
                return b""  # a block of nothing is one that clients could not send back
            return self._tell(self._parts.add(event))
        elif isinstance(event, Done):
            return self._end(event.response)
        return b""

    def failure(self, error: TrivetError) -> bytes:
        """An error event, which clients raise."""
        return sse.event(errors.error(error), "error")

    # --- the stream, in pieces ---------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {**self._message(self._usage, {}), "content": [], "stop_reason": None, "stop_sequence": None}
        message["usage"]["output_tokens"] = self._usage.output_tokens or 0
        return _event("message_start", message=message)

    def _tell(self, steps: list[Step | Finished]) -> bytes:
        return b"".join(self._step(s) for s in steps)

    def _step(self, step: Step | Finished) -> bytes:
        if isinstance(step, WholePart):
            check_parts(Message(role="assistant", content=(step.value,)), "Anthropic's messages", PROVIDER)
            self._told_whole = True
            return self._begin() + self._all_at_once(step.value)
        return self._delta(step) if isinstance(step, Delta) else self._close()

    def _delta(self, delta: Delta) -> bytes:
        """A piece of a block, and before its first piece the block's start."""
        out = b""
        if not self._open:
            self._open = True
            out = self._begin() + self._piece("content_block_start", content_block=_empty_block(delta))
        for piece in _pieces(delta):
            out += self._piece("content_block_delta", delta=piece)
        return out

    def _close(self) -> bytes:
        out = self._piece("content_block_stop")
        self._open, self._index = False, self._index + 1
        return out

    def _piece(self, name: str, **fields: Any) -> bytes:
        return _event(name, index=self._index, **fields)

    def _end(self, response: Response) -> bytes:
        """What is left to say: parts that no delta has told, why the answer ended, usage."""
        assert isinstance(response, ChatResponse)
        out = self._tell(self._parts.finish())
        try:
            untold = self._untold(response)
        except UnsupportedError as e:
            return out + self.failure(e)
        if not self._begun:
            self._model, self._id, self._usage = response.model, response.id or self._id, response.usage
            out += self._begin()
        for part in untold:
            out += self._all_at_once(part)
        choice = response.choices[0]
        ending = {"container": None, **_beyond(response.extra), **choice.message.extra, **_ending(choice)}
        usage = write_usage(response.usage, response.extra, stream=True)
        return out + _event("message_delta", delta=ending, usage=usage) + _event("message_stop")

    def _untold(self, response: ChatResponse) -> list[Part]:
        """The parts that the stream has not told: all of them where it had no deltas, else the opaque ones at the
        end, unless it told some in one piece. Raises `UnsupportedError` where one of those should have come before
        what was told."""
        parts = _said(response.choices[0].message)
        if self._told_whole:
            return []
        return last_opaque(parts) if self._begun else parts

    def _all_at_once(self, part: Part) -> bytes:
        if isinstance(part, Opaque):
            out = self._piece("content_block_start", content_block=part.raw) + self._piece("content_block_stop")
            self._index += 1
            return out
        choice = Choice(message=Message(role="assistant", content=(part,)), finish_reason="stop")
        told = b"".join(self._delta(d) for d in deltas(ChatResponse(model=self._model, choices=(choice,))))
        return told + self._close()

    def _message(self, usage: Usage, extra: Extra) -> dict[str, Any]:
        """What whole answers and starts of streams have in common."""
        return {
            "container": None,
            "diagnostics": None,
            "stop_details": None,
            **_beyond(extra),
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "usage": write_usage(usage, extra),
        }


def _event(name: str, **fields: Any) -> bytes:
    return sse.event(msgspec.json.encode({"type": name, **fields}), name)


def _beyond(extra: Extra) -> dict[str, Any]:
    """What a provider said beyond the protocol's fields that are ours, without what belongs to its usage."""
    return {k: v for k, v in extra.items() if k != EXTRA}


def _ending(choice: Choice) -> dict[str, Any]:
    reason = _STOP_REASONS[choice.finish_reason]
    if choice.finish_reason == "stop" and choice.stop_sequence is not None:
        reason = "stop_sequence"
    if any(isinstance(p, Text) and p.extra.get("refusal") for p in choice.message.content):
        reason = "refusal"  # the text itself is the refusal, as OpenAI has it
    stop = choice.stop_sequence if reason == "stop_sequence" else None
    # A reason that the protocol has and we have not (a turn that paused) comes back as it was.
    return {"stop_details": None, "stop_reason": reason, **choice.extra, "stop_sequence": stop}


def _said(message: Message) -> list[Part]:
    """The parts that go out. Raises `UnsupportedError` for one that the protocol cannot carry."""
    check_parts(message, "Anthropic's messages", PROVIDER)
    return [p for p in message.content if not (isinstance(p, Text) and not p.text and not p.citations)]


# --- blocks ----------------------------------------------------------------------------------------------------


def _block(part: Part) -> Any:
    if isinstance(part, Opaque):
        return part.raw
    extra = {k: v for k, v in part.extra.items() if k != "refusal"}  # said by the stop reason
    if isinstance(part, Text):
        citations = [write_citation(c) for c in part.citations] or None
        return {"citations": citations, **extra, "type": "text", "text": part.text}
    if isinstance(part, Thinking) and part.redacted is not None:
        return {**extra, "type": "redacted_thinking", "data": _tagged(part.redacted, part)}
    if isinstance(part, Thinking):
        return {**extra, "type": "thinking", "thinking": part.text, "signature": _tagged(part.signature or "", part)}
    assert isinstance(part, ToolCall)
    return {**extra, "type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)}


def _tagged(text: str, part: Thinking | ThinkingDelta) -> str:
    return tag(text, part.provider, PROVIDER) if text else ""


def _input(arguments: str) -> Any:
    try:
        value = msgspec.json.decode(arguments) if arguments.strip() else {}  # some models write none at all
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _empty_block(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, TextDelta):
        return {"type": "text", "text": "", "citations": None}
    if isinstance(delta, ToolCallDelta):
        return {"type": "tool_use", "id": delta.id or "", "name": delta.name or "", "input": {}}
    if delta.redacted is not None:
        return {"type": "redacted_thinking", "data": _tagged(delta.redacted, delta)}
    return {"type": "thinking", "thinking": "", "signature": ""}


def _pieces(delta: Delta) -> list[dict[str, Any]]:
    if isinstance(delta, TextDelta):
        told = [{"type": "text_delta", "text": delta.text}] if delta.text else []
        return told + [{"type": "citations_delta", "citation": write_citation(c)} for c in delta.citations]
    if isinstance(delta, ToolCallDelta):
        return [{"type": "input_json_delta", "partial_json": delta.arguments}]
    pieces = [{"type": "thinking_delta", "thinking": delta.text}] if delta.text else []
    if delta.signature is not None:
        pieces.append({"type": "signature_delta", "signature": _tagged(delta.signature, delta)})
    return pieces
