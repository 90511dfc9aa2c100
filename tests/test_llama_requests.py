"""What the embedded engine is told of a request, and what it refuses by name; no weights are needed."""

from __future__ import annotations

import pytest

from trivet.errors import UnsupportedError
from trivet.local.llama import body
from trivet.types import Chat, Reasoning, Source, user

LIMITS = body.Limits("m", 4, {}, None)
HI = (user("Hi"),)


@pytest.mark.parametrize(
    ("protocol", "field"),
    [
        ("openai-chat", "reasoning_effort"),
        ("openai-responses", "reasoning"),
        ("anthropic", "thinking"),
        ("gemini", "generationConfig.thinkingConfig"),
        (None, "reasoning"),
    ],
)
def test_thinking_is_refused_in_the_clients_own_word(protocol: str | None, field: str) -> None:
    source = None if protocol is None else Source(protocol=protocol, body=b"{}")
    with pytest.raises(UnsupportedError, match=field) as refused:
        body.chat(Chat(messages=HI, reasoning=Reasoning(effort="high"), source=source), LIMITS)
    assert refused.value.field == field


@pytest.mark.parametrize("asked", [Reasoning(effort="none"), Reasoning(budget_tokens=0), Reasoning(summary="omitted")])
def test_that_it_should_not_think_it_can_be_told(asked: Reasoning) -> None:
    assert body.chat(Chat(messages=HI, reasoning=asked), LIMITS) == body.chat(Chat(messages=HI), LIMITS)


@pytest.mark.parametrize(
    "asked",
    [Reasoning(budget_tokens=1024), Reasoning(adaptive=True), Reasoning(summary="auto"), Reasoning(extra={"x": 1})],
)
def test_every_other_wish_for_thoughts_is_refused(asked: Reasoning) -> None:
    with pytest.raises(UnsupportedError):
        body.chat(Chat(messages=HI, reasoning=asked), LIMITS)


def test_labels_and_the_usual_service_tier_change_nothing() -> None:
    told = Chat(messages=HI, user="u", cache_key="k", service_tier="default")
    assert body.chat(told, LIMITS) == body.chat(Chat(messages=HI), LIMITS)


def test_another_service_tier_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="priority"):
        body.chat(Chat(messages=HI, service_tier="priority"), LIMITS)
