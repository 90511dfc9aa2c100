"""A provider's answer in this protocol: whole, or as a stream of events.

The stream tells items, one after the other or side by side; each is a part of ours, or, a message, as many as it has
texts. What the pieces of an item have left untold is told when the item is done. The last event has the whole response,
which `Done` is read from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trivet.errors import ProviderError, TransportError, TrivetError
from trivet.types import (
    Aside,
    ChatResponse,
    Choice,
    Done,
    Event,
    FinishReason,
    Message,
    Part,
    Request,
    Source,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    UsageUpdate,
    WholePart,
    replace,
)
from trivet.wire import Target, openai_errors, sse
from trivet.wire.deltas import phase_of
from trivet.wire.openai import read_usage
from trivet.wire.openai_responses.citations import citation
from trivet.wire.openai_responses.items_back import BETWEEN, objects, read_item, read_logprobs, text
from trivet.wire.openai_responses.request_in import PROTOCOL

Json = dict[str, Any]
# What a response says that is ours to say, or that is only the request's own field said again.
_SAID = {
    *("id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model", "output"),
    *("usage", "store", "output_text", "background", "instructions", "max_output_tokens", "max_tool_calls", "metadata"),
    *("parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "reasoning", "safety_identifier", "temperature", "text", "tool_choice", "tools"),
    *("top_logprobs", "top_p", "truncation", "user"),
}
# How the codes begin of failed responses whose request was at fault.
_REQUEST_CODES = (
    *("invalid_", "image_", "empty_image", "unsupported_image", "failed_to_download", "bio_policy"),
    *("data_residency", "misalignment_policy"),
)


class _Told:
    """What a stream has said so far of one part."""

    def __init__(self, part: int) -> None:
        self.part = part
        self.text = ""  # or arguments
        self.kind = ""  # of thought: the events that tell it
        self.piece = 0  # of a thought: which one is being told
        self.citations = 0


class Reader:
    """Reads one answer. `whole` and `event` raise the error that the provider tells in it."""

    def __init__(self, request: Request, target: Target) -> None:
        self._target, self._family = target, target.family
        self._own = request.source is not None and request.source.protocol == PROTOCOL
        self._begun = self._finished = False
        self._told: dict[tuple[int, int], _Told] = {}  # by the places of the item, and of the content in it
        self._items: dict[int, Json] = {}  # those that are done
        self._phases: dict[int, str] = {}  # of messages, by the places of their items

    def whole(self, body: bytes) -> ChatResponse:
        response = self._response(_object(body, self._target))
        return replace(response, raw=Source(protocol=PROTOCOL, body=body)) if self._own else response

    def event(self, event: sse.Event) -> list[Event]:
        """What one server-sent event amounts to: `Done` for that which ends the answer, and nothing after it."""
        if self._finished:
            return []
        events = self._read(event)
        if not self._own:
            return events
        first, none = Source(protocol=PROTOCOL, body=event.raw), Source(protocol=PROTOCOL, body=b"")
        if not events:
            return [Aside(raw=first)]
        return [replace(e, raw=first if i == 0 else none) for i, e in enumerate(events)]

    def end(self) -> list[Event]:
        if self._finished:
            return []
        raise TransportError(
            f"{self._target.provider}: the stream was cut before the response was complete; ask again",
            provider=self._target.provider,
        )

    # --- the stream ----------------------------------------------------------------------------------------

    def _read(self, event: sse.Event) -> list[Event]:
        if event.data.strip() == b"[DONE]":  # some hosts end every stream like this
            return []
        data = _object(event.data, self._target)
        kind = text(data.get("type")) or event.name or ""
        if kind == "error":
            raise self._failure(data.get("error") if isinstance(data.get("error"), dict) else data)
        events = self._start(data)
        if kind == "response.failed":
            raise self._failed(data, event.raw)
        if kind in ("response.completed", "response.incomplete"):
            return [*events, *self._end(data)]
        read = _READERS.get(kind)
        return events if read is None else [*events, *read(self, data)]

    def _start(self, data: Json) -> list[Event]:
        """Who answers: with the first event, which has the response as it begins."""
        if self._begun:
            return []
        self._begun = True
        response = data.get("response") if isinstance(data.get("response"), dict) else {}
        assert isinstance(response, dict)
        return [Start(model=text(response.get("model")) or self._target.model, id=response.get("id"))]

    def _at(self, data: Json, content: int | None = None) -> _Told:
        """The part that an event is about. Parts are counted as they appear."""
        place = data.get("content_index", 0) if content is None else content
        key = (_index(data.get("output_index")), _index(place))
        if key not in self._told:
            self._told[key] = _Told(len(self._told))
        return self._told[key]

    def _added(self, data: Json) -> list[Event]:
        """An item begins. A call says whose it is; a message and a thought wait for their first words."""
        item = data.get("item")
        if isinstance(item, dict) and isinstance(item.get("phase"), str):
            self._phases[_index(data.get("output_index"))] = item["phase"]
        if not isinstance(item, dict) or item.get("type") in ("message", "reasoning"):
            return []
        told = self._at(data, 0)
        if item.get("type") != "function_call":
            return []
        (call,) = read_item(item, self._family)
        assert isinstance(call, ToolCall)
        told.kind = "call"
        return [ToolCallDelta(id=call.id, name=call.name, part=told.part)]

    def _text(self, data: Json) -> list[Event]:
        told, delta = self._at(data), text(data.get("delta"))
        told.text += delta
        refusal = data.get("type") == "response.refusal.delta"
        logprobs = read_logprobs(data.get("logprobs"))
        phase = self._phases.get(_index(data.get("output_index")))
        return [TextDelta(text=delta, part=told.part, logprobs=logprobs, refusal=refusal, phase=phase)]

    def _annotation(self, data: Json) -> list[Event]:
        told, cited = self._at(data), data.get("annotation")
        if not isinstance(cited, dict):
            return []
        told.citations += 1
        return [TextDelta(text="", part=told.part, citations=(citation(cited, self._family),))]

    def _thought(self, data: Json) -> list[Event]:
        """A piece of a summary, or of the thought itself: of one item, those of the kind that came first."""
        told, delta, kind = self._at(data, 0), text(data.get("delta")), text(data.get("type"))
        told.kind = told.kind or kind
        if told.kind != kind:
            return []
        piece = _index(data.get("summary_index", data.get("content_index")))
        if piece != told.piece and told.text:
            delta = BETWEEN + delta
        told.piece = piece
        told.text += delta
        return [ThinkingDelta(text=delta, part=told.part)]

    def _arguments(self, data: Json) -> list[Event]:
        told, delta = self._at(data, 0), text(data.get("delta"))
        told.text += delta
        return [ToolCallDelta(arguments=delta, part=told.part)]

    def _done(self, data: Json) -> list[Event]:
        item = data.get("item")
        return self._settle(_index(data.get("output_index")), item) if isinstance(item, dict) else []

    def _settle(self, index: int, item: Json) -> list[Event]:
        """The end of an item: what its pieces have not said."""
        self._items[index] = item
        events: list[Event] = []
        for n, part in enumerate(read_item(item, self._family)):
            told = self._at({"output_index": index}, n)
            said = read_logprobs(item["content"][n].get("logprobs")) if isinstance(part, Text) and not told.text else ()
            events += _rest(part, told, said)
        return events

    def _end(self, data: Json) -> list[Event]:
        """The last event. A host that tells its items only in the stream leaves them out here."""
        response = data.get("response")
        response = dict(response) if isinstance(response, dict) else {}
        events: list[Event] = []
        items = objects(response.get("output"))
        done = {item.get("id") for item in self._items.values()} - {None}  # some hosts' places have gaps
        for index, item in enumerate(items):
            if index not in self._items and item.get("id") not in done:
                events += self._settle(index, item)
        if not items:
            response["output"] = [item for _, item in sorted(self._items.items())]
        whole = self._response({"status": text(data.get("type")).removeprefix("response."), **response})
        self._finished = True
        return [*events, UsageUpdate(usage=whole.usage), Done(response=whole)]

    # --- the response --------------------------------------------------------------------------------------

    def _response(self, data: Json) -> ChatResponse:
        """Raises the error that a failed response has."""
        if data.get("status") == "failed" or isinstance(data.get("error"), dict):
            raise self._failure(data.get("error"))
        if not isinstance(data.get("output"), list):
            raise _unknown(self._target, msgspec.json.encode(data))
        items = objects(data["output"])
        parts = tuple(part for item in items for part in read_item(item, self._family))
        reason = (data.get("incomplete_details") or {}).get("reason")
        details = {} if reason in (None, *_REASONS) else {"incomplete_details": data["incomplete_details"]}
        choice = Choice(
            message=Message(role="assistant", content=parts),
            finish_reason=_REASONS.get(reason) or _finish(parts),
            logprobs=_logprobs(items),
            extra=details,
        )
        return ChatResponse(
            model=text(data.get("model")) or self._target.model,
            id=data.get("id"),
            usage=read_usage(data.get("usage")),
            choices=(choice,),
            extra={name: value for name, value in data.items() if name not in _SAID and value is not None},
        )

    def _failed(self, data: Json, raw: bytes) -> TrivetError:
        """That of a response that failed in mid-stream. A client of this protocol reads the response itself."""
        response = data.get("response")
        error = self._failure(response.get("error") if isinstance(response, dict) else None)
        if self._own:
            error.ending = Source(protocol=PROTOCOL, body=raw)
        return error

    def _failure(self, told: Any) -> TrivetError:
        """An error in the shape that answers with a status have."""
        error: Json = dict(told) if isinstance(told, dict) else {"message": "the response has failed"}
        error = {name: error.get(name) for name in ("message", "type", "param", "code")}
        code = text(error["code"])
        if error["type"] in (None, "error"):
            error["type"] = "invalid_request_error" if code.startswith(_REQUEST_CODES) else None
        return openai_errors.stream_error(msgspec.json.encode({"error": error}), self._target, protocol=PROTOCOL)


_READERS: Mapping[str, Callable[[Reader, Json], list[Event]]] = {
    "response.output_item.added": Reader._added,
    "response.output_item.done": Reader._done,
    "response.output_text.delta": Reader._text,
    "response.output_text.annotation.added": Reader._annotation,
    "response.refusal.delta": Reader._text,
    "response.reasoning_summary_text.delta": Reader._thought,
    "response.reasoning_text.delta": Reader._thought,
    "response.function_call_arguments.delta": Reader._arguments,
}
_REASONS: Mapping[Any, FinishReason] = {"max_output_tokens": "length", "content_filter": "refusal"}


def _rest(part: Part, told: _Told, logprobs: tuple[TokenLogprob, ...]) -> list[Event]:
    """The end of a part that has been told up to here. `logprobs` are those of a text that has not."""
    if isinstance(part, Text):
        left = part.text.removeprefix(told.text) if part.text.startswith(told.text) else ""
        cited = part.citations[told.citations :]
        if not left and not cited:
            return []
        rest = TextDelta(text=left, part=told.part, citations=cited, logprobs=logprobs)
        return [replace(rest, refusal=bool(part.extra.get("refusal")), phase=phase_of(part))]
    if isinstance(part, Thinking):
        left = part.text.removeprefix(told.text) if part.text.startswith(told.text) else ""
        signed = part.signature is not None or part.redacted is not None
        delta = ThinkingDelta(
            text=left, signature=part.signature, redacted=part.redacted, provider=part.provider, part=told.part
        )
        return [delta] if left or signed else []
    if isinstance(part, ToolCall):
        left = part.arguments.removeprefix(told.text) if part.arguments.startswith(told.text) else ""
        if told.kind == "call":
            return [ToolCallDelta(arguments=left, part=told.part)] if left else []
        return [ToolCallDelta(id=part.id, name=part.name, arguments=left, part=told.part)]
    return [WholePart(value=part, part=told.part)]


def _finish(parts: tuple[Part, ...]) -> FinishReason:
    if any(isinstance(part, ToolCall) for part in parts):
        return "tool_calls"
    return "refusal" if any(part.extra.get("refusal") for part in parts) else "stop"


def _logprobs(items: Any) -> Any:
    """Those of all texts, one after the other."""
    told = [t for i in items for c in objects(i.get("content")) for t in read_logprobs(c.get("logprobs"))]
    return tuple(told) or None


def _index(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _object(body: bytes, target: Target) -> Json:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unknown(target, body) from None
    if not isinstance(data, dict):
        raise _unknown(target, body)
    return data


def _unknown(target: Target, body: bytes) -> ProviderError:
    return ProviderError(
        f"{target.provider} answers with what is no response: check base_url under [providers.{target.provider}]",
        provider=target.provider,
        body=body,
    )
