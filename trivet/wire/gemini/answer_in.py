"""A provider's answer: whole, or a stream whose events are each an answer of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trivet.collect import Collector
from trivet.errors import ProviderError, RequestError, TransportError
from trivet.types import (
    Aside,
    ChatResponse,
    Choice,
    Conversation,
    Done,
    Event,
    FinishReason,
    Json,
    Message,
    Opaque,
    Part,
    Source,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    WholePart,
    replace,
)
from trivet.wire import Target, sse
from trivet.wire.gemini.citations import read_citations
from trivet.wire.gemini.contents_in import PROVIDER, made_id, read_part
from trivet.wire.gemini.errors import read_error
from trivet.wire.gemini.proto import ProtoFields
from trivet.wire.gemini.request_in import PROTOCOL
from trivet.wire.gemini.request_out import notes
from trivet.wire.gemini.signatures import BEFORE
from trivet.wire.gemini.usage import read_usage

# Every other reason is a refusal of some kind: by a filter, or of an answer that came out wrong.
_REASONS: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}
_PLAIN = {"STOP", "MAX_TOKENS"}  # what says no more than our own word for it
_CONTENT = {"content", "index", "finishReason", "logprobsResult"}
_ANSWER = {"candidates", "modelVersion", "responseId", "usageMetadata"}


class Reader:
    """One request's answer."""

    def __init__(self, request: Conversation, target: Target) -> None:
        self._target = target
        self._notes = notes(request)
        self._keeps = request.source is not None and request.source.protocol == PROTOCOL
        self._collector = Collector()
        self._candidates: dict[int, _Candidate] = {}
        self._turn = len(request.messages)
        self._begun = False
        self._model, self._id = target.model, None
        self._usage = Usage()
        self._extra: dict[str, Json] = {}

    def whole(self, body: bytes) -> ChatResponse:
        """Raises `ProviderError` for what is no answer of Gemini's."""
        answer = self._object(body)
        for event in self._read(answer, pieces=False):
            self._collector.add(event)
        response = self._response()
        return replace(response, raw=Source(protocol=PROTOCOL, body=body)) if self._keeps else response

    def event(self, event: sse.Event) -> Iterator[Event]:
        """The events of a piece of the answer. Raises the error that it may be instead."""
        told = list(self._read(self._object(event.data), pieces=True))
        for one in told:
            self._collector.add(one)
        if not self._keeps:
            yield from told
            return
        for i, one in enumerate(told or [Aside()]):
            yield replace(one, raw=Source(protocol=PROTOCOL, body=b"" if i else event.raw))

    def end(self) -> Iterator[Event]:
        """The sources of the texts, and `Done`. Raises `TransportError` where the answer is not complete."""
        response = self._response()
        raw = Source(protocol=PROTOCOL, body=b"") if self._keeps else None
        for i, candidate in self._candidates.items():
            for part, citations in candidate.citations(self._collector.content(i)).items():
                yield TextDelta(text="", citations=citations, choice=i, part=part, raw=raw)
        yield Done(response=response, raw=raw)

    def _object(self, body: bytes) -> dict[str, Any]:
        who = f"{self._target.provider}/{self._target.model}"
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = None
        if isinstance(value, dict) and isinstance(value.get("error"), dict):
            code = value["error"].get("code")
            raise read_error(code if isinstance(code, int) and code >= 400 else 500, {}, body, self._target)
        if not isinstance(value, dict):
            raise ProviderError(f"{who}: the answer is no JSON object of Gemini's", provider=self._target.provider)
        return value

    def _read(self, answer: dict[str, Any], *, pieces: bool) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            self._model = answer.get("modelVersion") or self._model
            self._id = answer.get("responseId")
            yield Start(model=self._model, id=self._id, notes=self._notes)
        self._extra |= {name: value for name, value in answer.items() if name not in _ANSWER}
        for n, raw in enumerate(answer.get("candidates") or []):
            index = raw.get("index", n)
            candidate = self._candidates.setdefault(index, _Candidate(index, self._id or self._turn))
            yield from candidate.read(raw, pieces=pieces)
        if "usageMetadata" in answer:
            usage, extra = read_usage(answer["usageMetadata"])
            self._extra.pop("usageMetadata", None)
            if extra:
                self._extra["usageMetadata"] = extra
            if usage != self._usage:
                self._usage = usage
                yield UsageUpdate(usage=usage)

    def _response(self) -> ChatResponse:
        choices = [self._choice(i, c) for i, c in sorted(self._candidates.items())]
        if not choices and "blockReason" in (self._extra.get("promptFeedback") or {}):
            choices = [Choice(message=Message(role="assistant"), finish_reason="refusal")]
        if not choices:
            self._cut()
        return ChatResponse(
            model=self._model,
            id=self._id,
            usage=self._usage,
            notes=self._notes,
            extra=self._extra,
            choices=tuple(choices),
        )

    def _choice(self, index: int, candidate: _Candidate) -> Choice:
        if candidate.reason is None:
            self._cut()
        content = self._collector.content(index)
        cited = candidate.citations(content)
        content = tuple(
            replace(part, citations=cited[n]) if isinstance(part, Text) and n in cited else part
            for n, part in enumerate(content)
        )
        return Choice(
            message=Message(role="assistant", content=content),
            finish_reason=candidate.finish_reason(content),
            logprobs=self._collector.logprobs(index),
            extra=candidate.extra,
        )

    def _cut(self) -> None:
        who = f"{self._target.provider}/{self._target.model}"
        raise TransportError(
            f"{who}: the stream ended before its answer was complete; ask again", provider=self._target.provider
        )


class _Candidate:
    """One of the answers. `extra` is what it says that a `Choice` has no field for. `id` is the whole answer's, or
    which turn of the conversation it is: two turns may have the same call."""

    def __init__(self, index: int, id: str | int) -> None:
        self.index = index
        self.reason: str | None = None
        self.extra: dict[str, Json] = {}
        self._id = id
        self._part = -1  # the part that grows, or came last
        self._grows: type | None = None

    def read(self, raw: dict[str, Any], *, pieces: bool) -> Iterator[Event]:
        """The events of its parts. With `pieces`, texts and thoughts go on from where the event before left off."""
        content = raw.get("content") or {}
        logprobs = _logprobs(raw.get("logprobsResult"))
        for part in (content.get("parts") if isinstance(content, dict) else None) or []:
            if not pieces:
                self._grows = None
            for one in self._parts(part):
                event = self._event(one)
                if event is not None and logprobs and isinstance(event, TextDelta):
                    event, logprobs = replace(event, logprobs=logprobs), ()
                if event is not None:
                    yield event
        if logprobs:  # of a piece without text, or of a call
            yield self._text(TextDelta(text="", logprobs=logprobs))
        self.reason = raw.get("finishReason") or self.reason
        self.extra |= {name: value for name, value in raw.items() if name not in _CONTENT}
        if self.reason is not None and self.reason not in _PLAIN:
            self.extra["finishReason"] = self.reason

    def finish_reason(self, content: tuple[Part, ...]) -> FinishReason:
        reason = _REASONS.get(self.reason or "", "refusal")
        return "tool_calls" if reason == "stop" and any(isinstance(p, ToolCall) for p in content) else reason

    def citations(self, content: tuple[Part, ...]) -> dict[int, tuple[Any, ...]]:
        """Those of each text, by the index of its part."""
        texts = [(n, part.text) for n, part in enumerate(content) if isinstance(part, Text)]
        found: dict[int, tuple[Any, ...]] = {}
        for at, citation in read_citations(self.extra, [text for _, text in texts]):
            n = texts[at][0]
            found[n] = (*found.get(n, ()), citation)
        return found

    def _parts(self, raw: Any) -> list[Part]:
        """What nobody can read stays as it is."""
        try:
            fields = ProtoFields(raw)
            return read_part(fields, lambda name, args: made_id(self._id, self.index, self._part, name, args))
        except RequestError:
            return [Opaque(provider=PROVIDER, raw=raw)]

    def _event(self, part: Part) -> Event | None:
        if isinstance(part, Text) and not part.extra:
            return self._text(TextDelta(text=part.text)) if part.text else None
        if isinstance(part, Thinking) and (part.extra.keys() <= {"thought"} or part.extra == BEFORE):
            bare = not part.text and part.extra != BEFORE
            self._on(None if bare and part.signature else Thinking)
            event = ThinkingDelta(
                text=part.text,
                signature=part.signature,
                redacted=part.redacted,
                provider=part.provider,
                choice=self.index,
                part=self._part,
            )
            if part.signature is not None or part.redacted is not None:
                self._grows = None
            return event
        self._on(None)
        if isinstance(part, ToolCall) and not part.extra:
            return ToolCallDelta(
                id=part.id, name=part.name, arguments=part.arguments, choice=self.index, part=self._part
            )
        return WholePart(value=part, choice=self.index, part=self._part)

    def _text(self, delta: TextDelta) -> TextDelta:
        self._on(Text)
        return replace(delta, choice=self.index, part=self._part)

    def _on(self, kind: type | None) -> None:
        """Goes on with a part of this kind, or begins one; None begins one that does not grow."""
        if kind is None or kind is not self._grows:
            self._part += 1
        self._grows = kind


def _logprobs(result: Any) -> tuple[TokenLogprob, ...]:
    if not isinstance(result, dict):
        return ()
    top = [t.get("candidates") or [] for t in result.get("topCandidates") or []]
    chosen = result.get("chosenCandidates") or []
    return tuple(
        TokenLogprob(
            token=c.get("token", ""),
            logprob=c.get("logProbability", 0.0),
            top=tuple(
                TokenLogprob(token=t.get("token", ""), logprob=t.get("logProbability", 0.0))
                for t in (top[i] if i < len(top) else [])
            ),
        )
        for i, c in enumerate(chosen)
    )
