"""A whole response as the deltas that a stream of it would have had."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.types import (
    ChatResponse,
    CompleteResponse,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)


def phase_of(part: Text) -> str | None:
    """OpenAI's label of a text, which is kept in its `extra`."""
    phase = part.extra.get("phase")
    return phase if isinstance(phase, str) else None


def deltas(response: ChatResponse | CompleteResponse) -> Iterator[TextDelta | ThinkingDelta | ToolCallDelta]:
    """For a model that answers all at once (a cache, a script) to a client that asked for a stream: one delta
    for each part."""
    if isinstance(response, CompleteResponse):
        for i, answer in enumerate(response.choices):
            yield TextDelta(text=answer.text, choice=i, logprobs=answer.logprobs or ())
        return
    for i, choice in enumerate(response.choices):
        logprobs = choice.logprobs or ()
        for n, part in enumerate(choice.message.content):
            if isinstance(part, Text):
                yield TextDelta(
                    text=part.text,
                    citations=part.citations,
                    choice=i,
                    part=n,
                    logprobs=logprobs,
                    refusal=bool(part.extra.get("refusal")),
                    phase=phase_of(part),
                )
                logprobs = ()  # those of the whole choice, said once
            elif isinstance(part, Thinking):
                yield ThinkingDelta(
                    text=part.text,
                    signature=part.signature,
                    redacted=part.redacted,
                    provider=part.provider,
                    choice=i,
                    part=n,
                )
            elif isinstance(part, ToolCall):
                yield ToolCallDelta(id=part.id, name=part.name, arguments=part.arguments, choice=i, part=n)
