"""Deltas put together again: the response that a stream of events amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trivet.types import (
    Choice,
    Citation,
    EmbedResponse,
    Event,
    FinishReason,
    Json,
    Message,
    Part,
    Text,
    TextChoice,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    WholePart,
    replace,
)


class Collector:
    """Takes events as they pass, and gives the choices so far at any time."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[int, _Growing | WholePart]] = {}
        self._logprobs: dict[int, list[TokenLogprob]] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, WholePart):
            self._parts.setdefault(event.choice, {})[event.part] = event
        elif isinstance(event, TextDelta | ThinkingDelta | ToolCallDelta):
            parts = self._parts.setdefault(event.choice, {})
            growing = parts.get(event.part)
            if growing is None:
                growing = parts[event.part] = _Growing(event)
            assert isinstance(growing, _Growing)
            growing.add(event)
            if isinstance(event, TextDelta) and event.logprobs:
                self._logprobs.setdefault(event.choice, []).extend(event.logprobs)

    def content(self, choice: int = 0) -> tuple[Part, ...]:
        parts = [part for _, part in sorted(self._parts.get(choice, {}).items())]
        return tuple(part.value if isinstance(part, WholePart) else part.whole() for part in parts)

    def text(self, choice: int = 0) -> str:
        return "".join(p.text for p in self.content(choice) if isinstance(p, Text))

    def logprobs(self, choice: int = 0) -> tuple[TokenLogprob, ...] | None:
        return tuple(self._logprobs[choice]) if choice in self._logprobs else None

    def choices(self, reasons: Mapping[int, FinishReason], stops: Mapping[int, str | None]) -> tuple[Choice, ...]:
        """Chat choices, one per entry of `reasons`, in order."""
        return tuple(
            Choice(
                message=Message(role="assistant", content=self.content(i)),
                finish_reason=reason,
                stop_sequence=stops.get(i),
                logprobs=self.logprobs(i),
            )
            for i, reason in sorted(reasons.items())
        )

    def text_choices(
        self, reasons: Mapping[int, FinishReason], stops: Mapping[int, str | None]
    ) -> tuple[TextChoice, ...]:
        """The same for plain completions."""
        return tuple(
            TextChoice(text=self.text(i), finish_reason=reason, stop_sequence=stops.get(i), logprobs=self.logprobs(i))
            for i, reason in sorted(reasons.items())
        )


class _Growing:
    """One part that grows with each of its deltas. Pieces are joined once, at the end."""

    def __init__(self, first: TextDelta | ThinkingDelta | ToolCallDelta) -> None:
        self.kind = type(first)
        self.pieces: list[str] = []
        self.id: str | None = None
        self.name: str | None = None
        self.signature: str | None = None
        self.redacted: str | None = None
        self.provider: str | None = None
        self.citations: tuple[Citation, ...] = ()
        self.refusal = False
        self.phase: str | None = None

    def add(self, event: TextDelta | ThinkingDelta | ToolCallDelta) -> None:
        if isinstance(event, TextDelta):
            self.pieces.append(event.text)
            self.citations += event.citations
            self.refusal = self.refusal or event.refusal
            self.phase = event.phase or self.phase
        elif isinstance(event, ThinkingDelta):
            self.pieces.append(event.text)
            self.signature = event.signature or self.signature
            self.redacted = event.redacted or self.redacted
            self.provider = event.provider or self.provider
        else:
            self.pieces.append(event.arguments)
            self.id = event.id or self.id
            self.name = event.name or self.name

    def whole(self) -> Part:
        joined = "".join(self.pieces)
        if self.kind is TextDelta:
            labels: dict[str, Json] = {"refusal": True} if self.refusal else {}
            if self.phase is not None:
                labels["phase"] = self.phase
            return Text(text=joined, citations=self.citations, extra=labels)
        if self.kind is ThinkingDelta:
            return Thinking(text=joined, signature=self.signature, redacted=self.redacted, provider=self.provider)
        return ToolCall(id=self.id or "", name=self.name or "", arguments=joined or "{}")


def vectors_together(answers: Sequence[EmbedResponse]) -> EmbedResponse:
    """Those of several requests as one answer. What is unknown of one is unknown of all."""
    whole = replace(answers[0], id=None, raw=None, vectors=tuple(v for one in answers for v in one.vectors))
    usage, cost = answers[0].usage, answers[0].cost
    for one in answers[1:]:
        usage += one.usage
        cost = None if cost is None or one.cost is None else cost + one.cost
    notes = dict.fromkeys(note for one in answers for note in one.notes)
    return replace(whole, usage=usage, cost=cost, notes=tuple(notes))
