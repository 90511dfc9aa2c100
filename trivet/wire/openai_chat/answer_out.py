"""The answer to an OpenAI chat request: whole, or as a stream of chunks.

What the protocol has no word for goes out in the words of its extensions: reasoning as `reasoning_content`, and
with its signatures as `reasoning_details`, which also say where in the turn the thoughts stand (`order`); Gemini's
signature of a call as `extra_content` of the call; images as `images`; the stop sequence that ended a choice as
`stop_reason`. An answer that was cut off by a refusal keeps its text in `content`, where a stream has put it by then,
and finishes with `content_filter`; where the provider said that the text itself is the refusal, it stands in `refusal`
and the choice finishes with `stop`, as OpenAI's own do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from trivet.errors import TrivetError, UnsupportedError
from trivet.types import (
    ChatResponse,
    Choice,
    Done,
    Event,
    Extra,
    Image,
    Message,
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
    WholePart,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.data_url import write_data_url
from trivet.wire.deltas import deltas
from trivet.wire.ids import fresh_id
from trivet.wire.openai import FINISH_REASONS, LOWEST_LOGPROB, write_usage
from trivet.wire.openai_chat.citations import write_citation, write_citations
from trivet.wire.openai_chat.order import FRONT, Place, place_id, placed
from trivet.wire.openai_chat.reasoning import call_signature, detail, signs_call
from trivet.wire.openai_chat.terms import PROVIDER

EMPTY: Extra = {}
PROTOCOL_NAME = "OpenAI's chat completions"


class Renderer:
    """One request's answer. `id` and `created` (seconds since 1970) stand in for fresh ones, in tests."""

    def __init__(self, incoming: Incoming, *, id: str | None = None, created: int | None = None) -> None:
        self._id = id or fresh_id("chatcmpl-")
        self._created = int(time.time()) if created is None else created
        self._model = incoming.request.model or ""
        self._with_usage = incoming.stream_usage
        self._begun = False
        self._choices: dict[int, _Progress] = {}

    def whole(self, response: Response) -> bytes:
        """The JSON body. Raises `UnsupportedError` for a part that the protocol cannot carry."""
        assert isinstance(response, ChatResponse)
        body = {
            "system_fingerprint": None,
            "service_tier": None,
            **response.extra,
            "id": response.id or self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": response.model,
            "choices": [_choice(c, i) for i, c in enumerate(response.choices)],
        }
        usage = write_usage(response.usage)
        return msgspec.json.encode(body if usage is None else {**body, "usage": usage})

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream."""
        if isinstance(event, Start):
            self._begin(event.model, event.id)
        elif isinstance(event, TextDelta):
            logprobs = _logprobs(event.logprobs, event.refusal)
            return self._delta(event.choice, self._progress(event.choice).text(event), logprobs)
        elif isinstance(event, ThinkingDelta):
            delta = self._progress(event.choice).thinking(event)
            return self._delta(event.choice, delta) if delta else b""
        elif isinstance(event, ToolCallDelta):
            progress = self._progress(event.choice)
            return self._delta(event.choice, {**progress.waiting(event.part), "tool_calls": [progress.call(event)]})
        elif isinstance(event, WholePart):
            return self._delta(event.choice, self._progress(event.choice).whole(event))
        elif isinstance(event, Done):
            return self._end(event.response)
        return b""

    def failure(self, error: TrivetError) -> bytes:
        """An error event, which clients raise, and no `[DONE]`."""
        return sse.event(openai_errors.error(error))

    def _begin(self, model: str, id: str | None) -> None:
        """Fixes id and model: all chunks of a stream have the same."""
        if not self._begun:
            self._begun, self._model, self._id = True, model, id or self._id

    def _progress(self, choice: int) -> _Progress:
        return self._choices.setdefault(choice, _Progress())

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None) -> bytes:
        """A piece of a choice, and before its first the chunk that says whose turn it is."""
        self._begun = True
        progress = self._progress(choice)
        first = b""
        if not progress.open:
            progress.open = True
            text = "" if "content" in delta else None  # a turn of calls alone has no text, not even an empty one
            first = self._piece(choice, {"role": "assistant", "content": text, "refusal": None})
        return first + self._piece(choice, delta, logprobs) if delta else first

    def _end(self, response: Response) -> bytes:
        """What is left to say: choices that no delta has told, why each one finished, usage, and `[DONE]`."""
        assert isinstance(response, ChatResponse)
        try:
            for choice in response.choices:
                _check(choice.message)
        except UnsupportedError as e:
            return self.failure(e)
        self._begin(response.model, response.id)
        told = {i for i, progress in self._choices.items() if progress.open}
        out = [self.event(d) for d in deltas(response) if d.choice not in told]
        out += [self.event(p) for p in _whole_parts(response) if p.choice not in told]
        out += [self._finish(choice, i, response.extra) for i, choice in enumerate(response.choices)]
        if self._with_usage:
            out.append(self._chunk([], usage=write_usage(response.usage)))
        return b"".join(out) + sse.event(b"[DONE]")

    def _finish(self, choice: Choice, i: int, extra: Extra) -> bytes:
        progress = self._progress(i)
        waiting = progress.waiting()
        out = b"" if progress.open and not waiting else self._delta(i, waiting or {"content": ""})
        for index in progress.without_arguments():
            out += self._delta(i, {"tool_calls": [{"index": index, "function": {"arguments": "{}"}}]})
        ending = {"index": i, "delta": choice.message.extra, "logprobs": None, **_ending(choice)}
        if progress.refuses and choice.finish_reason == "refusal":
            ending["finish_reason"] = "stop"  # as in a whole answer
        return out + self._chunk([ending], extra=extra)

    def _piece(self, i: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None) -> bytes:
        return self._chunk([{"index": i, "delta": delta, "logprobs": logprobs, "finish_reason": None}])

    def _chunk(
        self, choices: list[dict[str, Any]], *, usage: dict[str, Any] | None = None, extra: Extra = EMPTY
    ) -> bytes:
        body = {
            "system_fingerprint": None,
            "service_tier": None,
            **extra,
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if self._with_usage:  # null on every chunk but the last
            body["usage"] = usage
        return sse.event(msgspec.json.encode(body))


class _Progress:
    """How far one choice of a stream has come."""

    def __init__(self) -> None:
        self.open = False
        self.refuses = False  # whether a text has said that it is a refusal
        self._calls: dict[int, int] = {}  # part -> which of the tool calls it is
        self._text_begins: dict[int, int] = {}  # part -> how much text was told before it
        self._begun: set[int] = set()  # calls that have some of their arguments
        self._thoughts: dict[int, list[str]] = {}  # the texts of those that no detail has told
        self._places: dict[int, Place] = {}  # of the thoughts
        self._details = 0
        self._signatures: dict[int, ThinkingDelta] = {}  # Gemini's, which wait for the call that they belong to
        self._told = 0  # characters of text
        self._refused = 0  # … and of a refusal
        self._known_calls = 0  # how many calls the details have said to stand before what comes

    def text(self, event: TextDelta) -> dict[str, Any]:
        """A piece of text. Its citations count from the beginning of all of it."""
        late = self.waiting(text=bool(event.text))
        delta: dict[str, Any] = {**late, "refusal" if event.refusal else "content": event.text}
        self.refuses = self.refuses or event.refusal
        if event.refusal:
            self._refused += len(event.text)
            return delta
        if event.citations:
            before = self._text_begins.setdefault(event.part, self._told)
            delta["annotations"] = [write_citation(c, before) for c in event.citations]
        self._text_begins.setdefault(event.part, self._told)
        self._told += len(event.text)
        return delta

    def whole(self, event: WholePart) -> dict[str, Any]:
        """An image, or a call of a custom tool."""
        part = event.value
        if isinstance(part, Image):
            return {"images": [_image(part)]}
        if isinstance(part, Opaque) and _is_custom(part):
            late = self.waiting()
            index = self._calls.setdefault(event.part, len(self._calls))
            self._begun.add(index)
            return {**late, "tool_calls": [{"index": index, **part.raw}]}
        return {}  # the end of the stream will say that it cannot be carried

    def waiting(self, part: int | None = None, *, text: bool = False) -> dict[str, Any]:
        """Details that are due when something else than a thought begins: a call as `part`, or a `text`."""
        # A signature of Gemini's right before a call goes with the call.
        details = self._late([n for n in self._signatures if part is None or n != part - 1])
        if text and self._here()[1] > self._known_calls:
            details.append(self._detail(Thinking(), self._here(), named=True))
        return {"reasoning_details": details} if details else {}

    def _late(self, signatures: list[int], *, told: bool = False) -> list[dict[str, Any]]:
        """Those of Gemini's signatures that no call has followed, and of thoughts that nobody has signed: these only
        where details are told, or where it takes one to say their place."""
        plain = [n for n, pieces in self._thoughts.items() if n not in self._signatures and any(pieces)]
        due = told or self._details or signatures or any(self._places[n] != FRONT for n in plain)
        details = []
        for n in sorted([*signatures, *(plain if due else ())]):
            event = self._signatures.pop(n, None) or ThinkingDelta(part=n)
            details.append(self._thought(event, named=event.signature is None))
        return details

    def _thought(self, event: ThinkingDelta, *, named: bool = False) -> dict[str, Any]:
        text = "".join(self._thoughts.pop(event.part, ()))
        whole = Thinking(text=text, signature=event.signature, redacted=event.redacted, provider=event.provider)
        return self._detail(whole, self._places[event.part], named=named)

    def _detail(self, thought: Thinking, place: Place, *, named: bool) -> dict[str, Any]:
        self._details += 1
        self._known_calls = max(self._known_calls, place[1])
        return detail(thought, self._details - 1, place_id(place) if named or place != FRONT else None)

    def _here(self) -> Place:
        return self._told + self._refused, len(self._calls)

    def call(self, event: ToolCallDelta) -> dict[str, Any]:
        """A piece of a tool call. Calls are counted among themselves, whatever stands between them."""
        fresh = event.part not in self._calls
        index = self._calls.setdefault(event.part, len(self._calls))
        if event.arguments:
            self._begun.add(index)
        head = {} if event.id is None else {"id": event.id}
        kind = {"type": "function"} if fresh else {}
        name = {} if event.name is None else {"name": event.name}
        before = self._signatures.pop(event.part - 1, None) if fresh else None
        signed = {} if before is None else call_signature(before.signature)
        return {"index": index, **head, **kind, "function": {**name, "arguments": event.arguments}, **signed}

    def without_arguments(self) -> list[int]:
        """Calls to which nothing was passed: their arguments are `{}`, which some models leave out."""
        return [index for index in self._calls.values() if index not in self._begun]

    def thinking(self, event: ThinkingDelta) -> dict[str, Any]:
        """A piece of reasoning. Its text is told again, whole, with the signature that belongs to it."""
        details: list[dict[str, Any]] = []
        if event.part not in self._places:
            details = self._late(list(self._signatures), told=True)
            self._places[event.part] = self._here()
        pieces = self._thoughts.setdefault(event.part, [])
        pieces.append(event.text)
        if event.signature is not None and event.provider == "gemini" and not any(pieces):
            self._signatures[event.part] = event
        elif event.signature is not None or event.redacted is not None:
            details.append(self._thought(event))
        delta: dict[str, Any] = {"reasoning_content": event.text} if event.text else {}
        return {**delta, "reasoning_details": details} if details else delta


def _choice(choice: Choice, i: int) -> dict[str, Any]:
    _check(choice.message)
    message = _message(choice.message)
    written = {"index": i, "message": message, "logprobs": _logprobs(choice.logprobs), **_ending(choice)}
    return {**written, "finish_reason": "stop"} if message["refusal"] else written


def _ending(choice: Choice) -> dict[str, Any]:
    """Why a choice finished, for the last of its chunks or beside its message."""
    ending = {**choice.extra, "finish_reason": FINISH_REASONS[choice.finish_reason]}
    return ending if choice.stop_sequence is None else {**ending, "stop_reason": choice.stop_sequence}


def _message(message: Message) -> dict[str, Any]:
    text, refusal = _texts(message, refusal=False), _texts(message, refusal=True)
    parts = message.content
    calls = [_call(p, parts[n - 1] if n else None) for n, p in enumerate(parts) if isinstance(p, ToolCall | Opaque)]
    written: dict[str, Any] = {
        "annotations": write_citations([p for p in parts if isinstance(p, Text)]),
        **message.extra,
        "role": "assistant",
        "content": None if not text and (calls or refusal) else text,
        "refusal": refusal or None,
    }
    if images := [_image(p) for p in parts if isinstance(p, Image)]:
        written["images"] = images
    thoughts = [(t or Thinking(), place) for t, place in placed(parts)]
    if reasoning := "".join(t.text for t, _ in thoughts):
        written["reasoning_content"] = reasoning
    signed = {t.signature is not None or t.redacted is not None for t, _ in thoughts}
    named = len(signed) > 1 or any(place != FRONT for _, place in thoughts)  # else it is clear where they stand
    if named or True in signed:
        written["reasoning_details"] = [
            detail(t, i, place_id(place) if named else None) for i, (t, place) in enumerate(thoughts)
        ]
    return {**written, "tool_calls": calls} if calls else written


def _texts(message: Message, *, refusal: bool) -> str:
    texts = [p for p in message.content if isinstance(p, Text)]
    return "".join(t.text for t in texts if bool(t.extra.get("refusal")) == refusal)


def _call(call: ToolCall | Opaque, before: Part | None) -> dict[str, Any]:
    if isinstance(call, Opaque):
        return dict(call.raw)
    return {
        **call.extra,
        **(call_signature(before.signature) if isinstance(before, Thinking) and signs_call(before) else {}),
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _image(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.url or write_data_url(image.data or b"", image.media_type)}}


def _whole_parts(response: ChatResponse) -> list[WholePart]:
    """Of an answer that is there at once, the parts that have no deltas."""
    return [
        WholePart(value=part, choice=i, part=n)
        for i, choice in enumerate(response.choices)
        for n, part in enumerate(choice.message.content)
        if isinstance(part, Image | Opaque)
    ]


def _is_custom(part: Opaque) -> bool:
    return part.provider == PROVIDER and isinstance(part.raw, dict) and part.raw.get("type") == "custom"


def _check(message: Message) -> None:
    """Raises `UnsupportedError` for a part that is neither text, thinking, an image nor a call."""
    for part in message.content:
        if not isinstance(part, Text | Thinking | ToolCall | Image) and not (
            isinstance(part, Opaque) and _is_custom(part)
        ):
            kind = part.__struct_config__.tag
            raise UnsupportedError(
                f"the answer has a part of type {kind!r}, which {PROTOCOL_NAME} cannot carry: "
                "ask over the protocol of the model's own provider"
            )


def _logprobs(tokens: Sequence[TokenLogprob] | None, refusal: bool = False) -> dict[str, Any] | None:
    if not tokens:
        return None
    content = [{**_logprob(t), "top_logprobs": [_logprob(a) for a in t.top]} for t in tokens]
    return {"content": None, "refusal": content} if refusal else {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": max(token.logprob, LOWEST_LOGPROB), "bytes": token.bytes}
