"""The answer to an OpenAI Responses request: whole, or as a stream of events.

The protocol has no `n`: the first choice is the answer. Usage is null where a total is unknown. A detail that is
unknown is null too, although the protocol wants a number: 0 would be a claim. The request's own fields are said
again as the client sent them; one that it did not send is null, or what the protocol has by default.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import TrivetError, UnsupportedError
from trivet.types import (
    ChatResponse,
    Choice,
    Done,
    Event,
    Extra,
    Opaque,
    Part,
    Response,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    WholePart,
    assistant,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.carry import check_parts, last_opaque
from trivet.wire.deltas import phase_of
from trivet.wire.ids import fresh_id
from trivet.wire.in_turn import Delta, Finished, InTurn, Step
from trivet.wire.openai_responses.items_in import PROVIDER
from trivet.wire.openai_responses.items_out import (
    Item,
    empty_content,
    empty_item,
    summary_part,
    write_item,
    write_logprobs,
)
from trivet.wire.openai_responses.passed import Passed

EMPTY: Extra = {}
PROTOCOL_NAME = "OpenAI's responses"
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
)
_DEFAULTS: Mapping[str, Any] = {
    "background": False,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
}


class Renderer:
    """One request's answer. `id` and `created` (seconds since 1970) stand in for fresh ones, in tests."""

    def __init__(self, incoming: Incoming, *, id: str | None = None, created: int | None = None) -> None:
        self._id = id or fresh_id("resp_")
        self._stem = self._id.removeprefix("resp_")  # of the ids of items
        self._created = int(time.time()) if created is None else created
        self._fixed_time = created
        self._model = incoming.request.model or ""
        self._echo = _echo(incoming.body)
        self._begun = False
        self._sequence = 0
        self._parts = InTurn()
        self._output: list[Item] = []  # the items that are finished
        self._open: Item | None = None  # the one that is being told
        self._logprobs: list[TokenLogprob] = []  # of it
        self._said = False  # whether its summary, or its arguments, have begun
        self._passed = Passed()
        self._opaque = 0  # how many parts that come in one piece have been told

    def whole(self, response: Response) -> bytes:
        """The JSON body. Raises `UnsupportedError` for a part that the protocol cannot carry."""
        assert isinstance(response, ChatResponse)
        self._id, self._model = response.id or self._id, response.model
        choice = response.choices[0]
        check_parts(choice.message, PROTOCOL_NAME, PROVIDER)
        parts, first_text = choice.message.content, _first_text(choice)
        for i, part in enumerate(parts):
            status = _item_status(choice) if i == len(parts) - 1 else "completed"
            logprobs = choice.logprobs or () if i == first_text else ()
            self._output.append(write_item(part, self._item_id(), status, logprobs))
        return msgspec.json.encode(self._finished(response))

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream. Nothing is sent before the first content."""
        if isinstance(event, Start):
            self._name(event.model, event.id)
        elif isinstance(event, Step):
            return self._tell(self._parts.add(event))
        elif isinstance(event, Done):
            return self._end(event.response)
        return b""

    def passed(self, event: Event) -> None:
        """Takes note of an event whose own bytes the client got: what follows goes on from there."""
        if isinstance(event, Start):
            self._name(event.model, event.id)
        if event.raw is not None and event.raw.body:
            self._begun, self._sequence = True, self._sequence + 1
            self._passed.note(event, event.raw.body)

    def failure(self, error: TrivetError) -> bytes:
        """An error event, which clients raise, and the response as one that has failed."""
        shape = openai_errors.shape(error)
        flat = {"code": shape["code"], "message": shape["message"], "param": shape["param"]}
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        told = {"code": "invalid_prompt" if 400 <= error.status < 429 else code, "message": error.message}
        begin = self._begin()
        self._output += self._passed.output(self._stem)
        # The published event is flat; OpenAI's client raises only where there is also an `error` in it.
        failed = self._event("error", **flat, error=shape)
        return begin + failed + self._event("response.failed", response=self._response("failed", error=told))

    # --- the stream, in pieces ---------------------------------------------------------------------------------

    def _name(self, model: str, id: str | None) -> None:
        """Fixes id and model: all events of a stream have the same."""
        if not self._begun:
            self._model, self._id = model, id or self._id

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        response = self._response("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _tell(self, steps: list[Step | Finished], last: str = "completed") -> bytes:
        """What `InTurn` has let through. `last` is the status of the item that ends it all."""
        out = b""
        for i, step in enumerate(steps):
            if isinstance(step, Delta):
                out += self._delta(step)
            elif isinstance(step, WholePart):
                out += self._whole_part(step.value)
            else:
                out += self._close(step, last if i == len(steps) - 1 else "completed")
        return out

    def _whole_part(self, part: Part) -> bytes:
        """Raises `UnsupportedError` for one that the protocol cannot carry."""
        check_parts(assistant(part), PROTOCOL_NAME, PROVIDER)
        self._opaque += 1
        return self._begin() + self._all_at_once(part, "completed", ())

    def _delta(self, delta: Delta) -> bytes:
        """A piece of an item, and before its first piece the item's start. A text is of one of two kinds."""
        if isinstance(delta, TextDelta):
            kind = "refusal" if delta.refusal else "output_text"
            logprobs = {} if kind == "refusal" else {"logprobs": write_logprobs(delta.logprobs)}
            start = self._start(Text(text="", extra={} if delta.phase is None else {"phase": delta.phase}))
            self._logprobs += delta.logprobs
            if start:
                start += self._piece("response.content_part.added", content_index=0, part=empty_content(kind))
            if not delta.text and delta.citations:  # they are told at the end
                return start
            return start + self._piece(f"response.{kind}.delta", content_index=0, delta=delta.text, **logprobs)
        if isinstance(delta, ToolCallDelta):
            start = self._start(ToolCall(id=delta.id or "", name=delta.name or ""))
            return start + self._arguments(delta.arguments) if delta.arguments else start
        start = self._start(Thinking())
        if not delta.text:
            return start
        start += self._start_summary()
        return start + self._piece("response.reasoning_summary_text.delta", summary_index=0, delta=delta.text)

    def _start(self, part: Part) -> bytes:
        if self._open is not None:
            return b""
        begin = self._begin()
        self._open, self._logprobs, self._said = empty_item(part, self._item_id()), [], False
        return begin + self._item_event("response.output_item.added", self._open)

    def _arguments(self, text: str) -> bytes:
        self._said = True
        return self._piece("response.function_call_arguments.delta", delta=text)

    def _start_summary(self) -> bytes:
        if self._said:
            return b""
        self._said = True
        return self._piece("response.reasoning_summary_part.added", summary_index=0, part=summary_part(""))

    def _close(self, part: Finished, status: str = "completed") -> bytes:
        """The end of an item: what it has come to, piece by piece and whole."""
        item = write_item(part, self._item_id(), status, self._logprobs)
        if isinstance(part, Text):
            out = self._close_text(item["content"][0])
        elif isinstance(part, ToolCall):
            out = b"" if self._said else self._arguments(part.arguments)  # some models leave out an empty object
            out += self._piece("response.function_call_arguments.done", arguments=part.arguments)
        elif item["summary"]:
            said = item["summary"][0]
            out = self._start_summary()
            out += self._piece("response.reasoning_summary_text.done", summary_index=0, text=said["text"])
            out += self._piece("response.reasoning_summary_part.done", summary_index=0, part=said)
        else:
            out = b""
        return out + self._finish_item(item)

    def _close_text(self, content: Item) -> bytes:
        out = b""
        for i, annotation in enumerate(content.get("annotations", ())):
            fields = {"content_index": 0, "annotation_index": i, "annotation": annotation}
            out += self._piece("response.output_text.annotation.added", **fields)
        said = {k: v for k, v in content.items() if k in ("text", "refusal", "logprobs")}
        out += self._piece(f"response.{content['type']}.done", content_index=0, **said)
        return out + self._piece("response.content_part.done", content_index=0, part=content)

    def _finish_item(self, item: Item) -> bytes:
        out = self._item_event("response.output_item.done", item)
        self._output.append(item)
        self._open = None
        return out

    def _end(self, response: Response) -> bytes:
        """What is left to say: parts that no delta has told, and the whole response."""
        assert isinstance(response, ChatResponse)
        choice = response.choices[0]
        status = _item_status(choice)
        out = self._tell(self._parts.finish(), status)
        try:
            untold = self._untold(choice)
        except UnsupportedError as e:
            return out + self.failure(e)
        self._name(response.model, response.id)
        out += self._begin()
        for i, part in enumerate(untold):
            logprobs = choice.logprobs or () if i == _first_text(choice) else ()
            out += self._all_at_once(part, status if i == len(untold) - 1 else "completed", logprobs)
        whole = self._finished(response)
        return out + self._event(f"response.{whole['status']}", response=whole)

    def _untold(self, choice: Choice) -> list[Part]:
        """The parts that the stream has not told: all of them where it had no deltas, else, where it told none of
        them, the opaque ones at the end. Raises `UnsupportedError` where one of those should have come before."""
        check_parts(choice.message, PROTOCOL_NAME, PROVIDER)
        parts = list(choice.message.content)
        if not self._begun:
            return parts
        return [] if self._opaque else last_opaque(parts)

    def _all_at_once(self, part: Part, status: str, logprobs: tuple[TokenLogprob, ...]) -> bytes:
        if isinstance(part, Opaque):
            return self._item_event("response.output_item.added", part.raw) + self._finish_item(part.raw)
        if isinstance(part, Text):
            refusal = bool(part.extra.get("refusal"))
            delta = TextDelta(text=part.text, logprobs=logprobs, refusal=refusal, phase=phase_of(part))
            return self._delta(delta) + self._close(part, status)
        if isinstance(part, Thinking):
            text = "" if part.redacted is not None else write_item(part, "", status)["summary"][0]["text"]
            return self._delta(ThinkingDelta(text=text)) + self._close(part, status)
        assert isinstance(part, ToolCall)
        call = ToolCallDelta(id=part.id, name=part.name, arguments=part.arguments)
        return self._delta(call) + self._close(part, status)

    def _item_id(self) -> str:
        return f"{self._stem}_{len(self._output)}"

    def _event(self, name: str, **fields: Any) -> bytes:
        data = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse.event(msgspec.json.encode(data), name)

    def _item_event(self, name: str, item: Item) -> bytes:
        return self._event(name, output_index=len(self._output), item=item)

    def _piece(self, name: str, **fields: Any) -> bytes:
        """An event of the item that is open."""
        assert self._open is not None
        return self._event(name, item_id=self._open["id"], output_index=len(self._output), **fields)

    # --- the response object -----------------------------------------------------------------------------------

    def _finished(self, response: ChatResponse) -> Item:
        choice = response.choices[0]
        reason = _incomplete(choice)
        return self._response(
            "completed" if reason is None else "incomplete",
            extra={**response.extra, **choice.message.extra, **choice.extra},
            incomplete_details=None if reason is None else {"reason": reason},
            completed_at=None if reason else self._now(),
            usage=_usage(response.usage),
        )

    def _response(self, status: str, extra: Extra = EMPTY, **more: Any) -> Item:
        return {
            **self._echo,
            **extra,
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": self._output,
            "store": False,
            "usage": None,
            **more,
        }

    def _now(self) -> int:
        return int(time.time()) if self._fixed_time is None else self._fixed_time


def _echo(body: Mapping[str, Any]) -> Item:
    """The request's fields that the protocol says again in a response."""
    echo = {name: body.get(name) for name in _ECHOED}
    echo |= {name: default if body.get(name) is None else body[name] for name, default in _DEFAULTS.items()}
    text = {k: v for k, v in (body.get("text") or {}).items() if v is not None}
    return {**echo, "text": {"format": {"type": "text"}, **text}}


def _first_text(choice: Choice) -> int | None:
    """Which part the choice's logprobs are told with."""
    return next((i for i, part in enumerate(choice.message.content) if isinstance(part, Text)), None)


def _incomplete(choice: Choice) -> str | None:
    """Why the answer is not complete. A text that says itself that it is a refusal is."""
    if choice.finish_reason == "length":
        return "max_output_tokens"
    said = any(isinstance(p, Text) and p.extra.get("refusal") for p in choice.message.content)
    return "content_filter" if choice.finish_reason == "refusal" and not said else None


def _item_status(choice: Choice) -> str:
    """That of the last item."""
    return "completed" if _incomplete(choice) is None else "incomplete"


def _usage(usage: Usage) -> Item | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
