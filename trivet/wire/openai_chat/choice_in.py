"""One choice of an answer, as it grows: a chunk's delta, or a whole message, to the deltas of its parts.

Hosts differ. Thinking is `reasoning_content`, `reasoning`, `reasoning_details` or a part of the content; tool calls may
come without an index, without an id, in one piece, with their arguments as an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from trivet.collect import Collector
from trivet.types import (
    Choice,
    Event,
    FinishReason,
    Image,
    Message,
    Opaque,
    Source,
    Text,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    WholePart,
    replace,
)
from trivet.wire import Target
from trivet.wire.data_url import is_data_url, read_data_url
from trivet.wire.ids import fresh_id
from trivet.wire.openai_chat.citations import read_citations
from trivet.wire.openai_chat.order import FRONT, arrange, read_place
from trivet.wire.openai_chat.reasoning import KINDS, provider_of, read_call_signature
from trivet.wire.openai_chat.terms import PROVIDER

Json = dict[str, Any]
Delta = TextDelta | ThinkingDelta | ToolCallDelta | WholePart

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
}
_BROKEN = ("error", "insufficient_system_resource")  # Mistral's and OpenRouter's, DeepSeek's
_MESSAGE = ("role", "content", "refusal", "tool_calls", "annotations", "images", "audio", "reasoning_details")
_CHOICE = ("index", "delta", "message", "finish_reason", "logprobs", "stop_reason", "matched_stop")
_THINKING = ("reasoning_content", "reasoning")


class _Call:
    """A call under way. `part` is its place in the answer."""

    def __init__(self, part: int, id: str | None) -> None:
        self.part, self.id = part, id
        self.name: str | None = None
        self.arguments: list[str] = []
        self.custom: Json | None = None

    def whole(self) -> bool:
        """Whether its arguments are all there, as far as anybody can tell."""
        try:
            msgspec.json.decode("".join(self.arguments))
        except msgspec.DecodeError:
            return False
        return True


class ChoiceIn:
    """`reason` is why it ended, None until it has; `broken` the host's word for that where it failed."""

    def __init__(self, index: int, target: Target) -> None:
        self.index, self.target = index, target
        self.reason: FinishReason | None = None
        self.broken: str | None = None
        self._stop: str | None = None
        self._collector = Collector()
        self._parts = 0  # how many there are so far
        self._open: tuple[str, int] = ("", -1)  # the kind and the place of the part that grows
        self._thought: list[str] = []  # the text of that part, where it is a thought
        self._signed = False
        self._calls: list[_Call] = []
        self._newest: dict[int, _Call] = {}  # by the host's index
        self._refuses = False
        self._message: Json = {}
        self._extra: Json = {}
        name = target.quirks.get("reasoning_content")
        self._names = (name, *_THINKING) if name else _THINKING  # older servers have the other

    def add(self, told: Json, choice: Json) -> Iterator[Delta]:
        """The events for a delta, or a whole message, of this choice."""
        for delta in self._deltas(told, choice):
            self._collector.add(delta)
            yield delta
        self._keep(told, choice)

    def text(self, text: str, raw: Source | None) -> TextDelta:
        """The same as `add` for a piece of text that has nothing with it."""
        delta = TextDelta(text=text, choice=self.index, part=self._part("text"), raw=raw)
        self._collector.add(delta)
        return delta

    def finish(self) -> Iterator[Event]:
        """Calls of custom tools, which are told in one piece when they are over."""
        for call in self._calls:
            if call.custom is not None:
                whole = WholePart(value=Opaque(provider=PROVIDER, raw=call.custom), choice=self.index, part=call.part)
                call.custom = None
                self._collector.add(whole)
                yield whole

    def whole(self) -> Choice:
        for _ in self.finish():
            pass
        parts = self._collector.content(self.index)
        reason = self.reason or "stop"
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        if reason == "stop" and self._refuses:
            reason = "refusal"
        return Choice(
            message=Message(role="assistant", content=parts, extra=self._message),
            finish_reason=reason,
            stop_sequence=self._stop,
            logprobs=self._collector.logprobs(self.index),
            extra=self._extra,
        )

    # --- parts -------------------------------------------------------------------------------------------------

    def _deltas(self, told: Json, choice: Json) -> Iterator[Delta]:
        logprobs = choice.get("logprobs") or {}
        if "message" in choice and (steps := _steps(told)):
            yield from self._in_order(steps, logprobs.get("content"))
            return
        yield from self._thinking(told)
        content = told.get("content")
        if isinstance(content, str) and content:
            yield self._text(content, logprobs.get("content"))
        elif isinstance(content, list):
            for item in content:
                yield from self._item(item)
        elif logprobs.get("content"):
            yield self._text("", logprobs["content"])
        if told.get("refusal"):
            part = self._part("refusal")
            self._refuses = True
            tokens = _logprobs(logprobs.get("refusal"))
            yield TextDelta(text=told["refusal"], choice=self.index, part=part, logprobs=tokens, refusal=True)
        if told.get("annotations"):
            citations = read_citations(told["annotations"])
            yield TextDelta(text="", choice=self.index, part=self._part("text"), citations=citations)
        for image in told.get("images") or ():
            yield WholePart(value=self._image(image), choice=self.index, part=self._part("image", fresh=True))
        for n, call in enumerate(told.get("tool_calls") or ()):
            yield from self._call(call, n, "message" in choice)

    def _in_order(self, steps: Sequence[Json | Text], logprobs: Any) -> Iterator[Delta]:
        """A whole message of which it is known where everything stands: a detail, a text or a call each."""
        for n, step in enumerate(steps):
            if isinstance(step, Text):
                yield replace(self._text(step.text, logprobs), citations=step.citations)
                logprobs = None
            elif "type" in step and step["type"] in KINDS:
                yield from self._thinking({"reasoning_details": [step]}, whole=True)
                self._signed = True  # the next thought is another
            else:
                yield from self._call(step, n, True)

    def _part(self, kind: str, *, fresh: bool = False) -> int:
        """The place of the part that grows, where it is of this kind, else of a new one."""
        if fresh or self._open[0] != kind:
            self._open = (kind, self._parts)
            self._parts += 1
            self._thought, self._signed = [], False
        return self._open[1]

    def _text(self, text: str, logprobs: Any) -> TextDelta:
        return TextDelta(text=text, choice=self.index, part=self._part("text"), logprobs=_logprobs(logprobs))

    def _item(self, item: Any) -> Iterator[Delta]:
        """An item of content that is a list, as Mistral's thinking models write it."""
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text":
            yield self._text(item.get("text", ""), None)
        elif kind == "thinking":
            thought = item.get("thinking")
            pieces = [thought] if isinstance(thought, str) else [t.get("text", "") for t in thought or ()]
            yield self._thought_text("".join(pieces))
        elif kind == "image_url":
            yield WholePart(value=self._image(item), choice=self.index, part=self._part("image", fresh=True))
        else:
            opaque = Opaque(provider=self.target.family, raw=item)
            yield WholePart(value=opaque, choice=self.index, part=self._part("opaque", fresh=True))

    def _image(self, image: Any) -> Image | Opaque:
        address = (image.get("image_url") or {}).get("url") if isinstance(image, dict) else None
        if not isinstance(address, str):
            return Opaque(provider=self.target.family, raw=image)
        if not is_data_url(address):
            return Image(url=address)
        data, media_type = read_data_url(address, "image_url.url")
        return Image(data=data, media_type=media_type)

    # --- thinking ----------------------------------------------------------------------------------------------

    def _thinking(self, told: Json, *, whole: bool = False) -> Iterator[ThinkingDelta]:
        """The text once, however often it is told, and each signature with the thought that it is of."""
        plain = next((told[n] for n in self._names if isinstance(told.get(n), str) and told[n]), "")
        details = [d for d in told.get("reasoning_details") or () if isinstance(d, dict)]
        if not whole and any(_is_over(d) for d in details):
            self._signed = True  # what comes is another thought
            details = [d for d in details if not _is_over(d)]
        texts = [d.get("text") or d.get("summary") or "" for d in details]
        twice = bool(plain) and "".join(texts) == plain
        if plain and not twice:
            yield self._thought_text(plain)
        for item, text in zip(details, texts, strict=True):
            # A signature may come with the whole text once more.
            ends = bool(item.get("signature")) and not self._signed and text == "".join(self._thought)
            again = not twice and (bool(plain) or ends)
            if text and not again:
                yield self._thought_text(text)
            if item.get("data"):
                yield ThinkingDelta(
                    redacted=item["data"],
                    provider=provider_of(item.get("format")),
                    choice=self.index,
                    part=self._part("redacted", fresh=True),
                )
            elif item.get("signature"):
                part = self._part("thinking", fresh=self._signed)
                self._signed = True
                provider = provider_of(item.get("format"))
                yield ThinkingDelta(signature=item["signature"], provider=provider, choice=self.index, part=part)

    def _thought_text(self, text: str) -> ThinkingDelta:
        part = self._part("thinking", fresh=self._signed)
        self._thought.append(text)
        return ThinkingDelta(text=text, choice=self.index, part=part)

    # --- calls -------------------------------------------------------------------------------------------------

    def _call(self, told: Json, position: int, at_once: bool) -> Iterator[Delta]:
        function = told.get("function") or told.get("custom") or {}
        name, arguments = function.get("name"), function.get("arguments", function.get("input"))
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        key = position if at_once else told.get("index")
        call = self._known_call(key, told.get("id"), name, at_once)
        fresh = call is None
        if call is None:
            signature = read_call_signature(told)
            if signature is not None:
                part = self._part("signature", fresh=True)
                yield ThinkingDelta(signature=signature, provider="gemini", choice=self.index, part=part)
            call = _Call(self._part("call", fresh=True), told.get("id") or fresh_id("call_"))
            self._calls.append(call)
            if key is not None:
                self._newest[key] = call
            if told.get("type") == "custom" or "custom" in told:
                call.custom = {"id": call.id, "type": "custom", "custom": {"name": name or "", "input": ""}}
        call.arguments.append(arguments or "")
        if call.custom is not None:
            call.custom["custom"]["input"] += arguments or ""
            return
        named = name if call.name is None else None  # some hosts say it with every piece
        call.name = call.name or name
        if fresh or named or arguments:
            id = call.id if fresh else None
            yield ToolCallDelta(id=id, name=named, arguments=arguments or "", choice=self.index, part=call.part)

    def _known_call(self, key: int | None, id: str | None, name: str | None, at_once: bool) -> _Call | None:
        """The call that a piece belongs to; None where it begins one. Some hosts give every call the same index."""
        if at_once:
            return None
        if id:
            same = next((c for c in self._calls if c.id == id), None)
            if same is not None or name:
                return same
        last = self._calls[-1] if self._calls else None
        call = last if key is None else self._newest.get(key)
        if call is not None and not id and name and call.whole():
            return None
        return call

    # --- the rest ----------------------------------------------------------------------------------------------

    def _keep(self, told: Json, choice: Json) -> None:
        """What has no part: sound, fields beyond the protocol, why it ended."""
        for name, value in told.items():
            if value is not None and name not in _MESSAGE and name not in self._names and name not in _THINKING:
                self._message[name] = value
        if isinstance(told.get("audio"), dict):
            self._message["audio"] = _grown(self._message.get("audio") or {}, told["audio"])
        for name, value in choice.items():
            if value is not None and name not in _CHOICE:
                self._extra[name] = value
        stop = choice.get("stop_reason", choice.get("matched_stop"))
        self._stop = stop if isinstance(stop, str) else self._stop
        reason = choice.get("finish_reason")
        if reason is None:
            return
        self.reason = _REASONS.get(reason, "stop")
        if reason in _BROKEN:
            self.broken = reason
        if reason not in _REASONS:
            self._extra["finish_reason"] = reason


def _is_over(detail: Json) -> bool:
    """Whether another trivet only says where a thought stands that it has told in full."""
    return read_place(detail.get("id")) is not None and not detail.get("signature") and not detail.get("data")


def _steps(told: Json) -> list[Json | Text]:
    """The details, the text and the calls of a message in which another trivet has said their order; else nothing."""
    details, content = told.get("reasoning_details"), told.get("content") or ""
    if not isinstance(details, list) or not all(isinstance(d, dict) and d.get("type") in KINDS for d in details):
        return []
    places = [read_place(d.get("id")) for d in details]
    if not any(places) or not isinstance(content, str) or told.get("refusal") or told.get("images"):
        return []
    text = Text(text=content, citations=read_citations(told.get("annotations") or ()))
    thoughts = [(place or FRONT, d) for place, d in zip(places, details, strict=True)]
    return arrange(thoughts, [text], told.get("tool_calls") or [])


def _grown(old: Json, new: Json) -> Json:
    """Sound in pieces: its bytes in base64 and its transcript are put together."""
    out = {**old, **{k: v for k, v in new.items() if v is not None}}
    for name in ("data", "transcript"):
        if isinstance(old.get(name), str) and isinstance(new.get(name), str):
            out[name] = old[name] + new[name]
    return out


def _logprobs(told: Sequence[Json] | None) -> tuple[TokenLogprob, ...]:
    return tuple(replace(_logprob(t), top=tuple(_logprob(a) for a in t.get("top_logprobs") or ())) for t in told or ())


def _logprob(told: Json) -> TokenLogprob:
    raw = told.get("bytes")
    return TokenLogprob(token=told["token"], logprob=told["logprob"], bytes=None if raw is None else tuple(raw))
