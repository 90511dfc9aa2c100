"""A refusal names what its client wrote: whoever refuses counts as `Chat` does, and clients as their protocols do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Chat, Source, replace
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses
from trivet.wire.fields import Fields
from trivet.wire.openai_responses.items_in import places, read_input
from trivet.wire.words import client_words, retell

FRONTS: dict[str, Any] = {
    "chat": openai_chat,
    "responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
}
SAID: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
    },
    "responses": {
        "model": "m",
        "instructions": "s",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"type": "reasoning", "summary": []},
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x"}, {"type": "output_text", "text": "y"}],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ],
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}],
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "x"},
        ],
        "tools": [
            {"type": "mcp_toolset", "mcp_server_name": "s"},
            {"name": "f", "input_schema": {"type": "object"}},
        ],
    },
    "gemini": {
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "x", "thoughtSignature": "c2ln"}]},
        ],
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
    },
}


def asked(front: str, **more: Any) -> Chat:
    request = FRONTS[front].parse(json.dumps(SAID[front] | more).encode()).request
    assert isinstance(request, Chat)
    return request


def told(front: str, field: str, message: str = "{} is not taken", **more: Any) -> RequestError:
    error = UnsupportedError(message.format(field), field=field)
    retell(error, asked(front, **more))
    return error


PLACES = [
    ("chat", "messages[1].content[1].x", "messages[1].content[1].x"),
    ("chat", "messages[0].content[0]", "messages[0].content"),
    ("chat", "messages[2].content[0].x", "messages[2]"),
    ("chat", "messages[3].content[0].content", "messages[3].content"),
    ("responses", "messages[0].content[0]", "instructions"),
    ("responses", "messages[1].content[1].detail", "input[0].content[1].detail"),
    ("responses", "messages[1].content", "input[0].content"),
    ("responses", "messages[2].content[0]", "input[1]"),
    ("responses", "messages[2].content[2]", "input[2].content[1]"),
    ("responses", "messages[2].content[3].x", "input[3].x"),
    ("responses", "messages[3].content[0].x", "input[4].x"),
    ("responses", "tools[0].x", "tools[1].x"),
    ("anthropic", "messages[0].content[0].x", "system[0].x"),
    ("anthropic", "messages[1].content[1].context", "messages[0].content[1].context"),
    ("anthropic", "messages[2].content[0]", "messages[1].content"),
    ("anthropic", "tools[0].x", "tools[1].x"),
    ("gemini", "messages[0].content[0]", "systemInstruction.parts[0]"),
    ("gemini", "messages[1].content[1].x", "contents[0].parts[1].x"),
    ("gemini", "messages[1].content", "contents[0].parts"),
    ("gemini", "messages[2].content[1]", "contents[1]"),
    ("gemini", "tools[1].x", "tools[1].functionDeclarations[1].x"),
]


@pytest.mark.parametrize(("front", "ours", "theirs"), PLACES)
def test_messages_parts_and_tools_are_counted_as_the_client_does(front: str, ours: str, theirs: str) -> None:
    error = told(front, ours)
    assert (error.field, error.message) == (theirs, f"{theirs} is not taken")


NAMES = [
    ("chat", "reasoning.effort", "reasoning_effort"),
    ("chat", "output.schema", "response_format.json_schema.schema"),
    ("chat", "tool_choice.names", "tool_choice.allowed_tools.tools"),
    ("chat", "top_k", "top_k"),
    ("responses", "max_tokens", "max_output_tokens"),
    ("responses", "tool_choice.parallel", "parallel_tool_calls"),
    ("anthropic", "budget_tokens", "thinking.budget_tokens"),
    ("anthropic", "reasoning.effort", "output_config.effort"),
    ("gemini", "max_tokens", "generationConfig.maxOutputTokens"),
    ("gemini", "budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
    ("gemini", "tool_choice.names", "toolConfig.functionCallingConfig.allowedFunctionNames"),
    ("gemini", "messages", "contents"),
]


@pytest.mark.parametrize(("front", "ours", "theirs"), NAMES)
def test_fields_are_called_what_the_client_calls_them(front: str, ours: str, theirs: str) -> None:
    error = told(front, ours)
    assert (error.field, error.message) == (theirs, f"{theirs} is not taken")


def test_the_bound_is_called_what_a_client_of_chat_has_called_it() -> None:
    assert told("chat", "max_tokens", max_tokens=5).field == "max_tokens"
    assert told("chat", "max_tokens", max_completion_tokens=5).field == "max_completion_tokens"


def test_a_usual_word_in_a_message_is_no_name() -> None:
    error = told("responses", "output", "no room for structured output (output): ask for one")
    assert error.message == "no room for structured output (text.format): ask for one"


def test_in_python_and_from_a_provider_it_stays_as_it_is() -> None:
    for request, raw in (
        (replace(asked("gemini"), source=None), None),
        (asked("gemini"), Source(protocol="x", body=b"")),
    ):
        error = RequestError("max_tokens is 5", field="max_tokens")
        error.raw = raw
        retell(error, request)
        assert (error.field, error.message) == ("max_tokens", "max_tokens is 5")


@pytest.mark.parametrize("front", FRONTS)
def test_a_message_that_the_client_has_not_written_keeps_its_number(front: str) -> None:
    error = told(front, "messages[9].content[9].x")
    assert error.field in ("messages[9].content[9].x", "input")


def test_a_real_refusal_on_its_way_to_the_client() -> None:
    block = {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}, "context": "c"}
    request = asked("anthropic", messages=[{"role": "user", "content": [{"type": "text", "text": "q"}, block]}])
    target = Target(model="m", provider="google", family="gemini")
    kept = replace(request, tools=(), extra={})
    with pytest.raises(UnsupportedError) as refused, client_words(kept):
        gemini.write(kept, target)
    assert refused.value.field == "messages[0].content[1].context"
    assert refused.value.message.startswith("messages[0].content[1].context has no counterpart")


@given(
    st.lists(
        st.sampled_from(
            [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "x"}] * 2},
                {"role": "assistant", "content": "x", "novelty": 1},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "r"},
            ]
        )
    )
)
def test_items_are_found_where_they_are_read_to(items: list[dict[str, Any]]) -> None:
    messages = read_input(Fields({"input": items}))
    found = places([Fields(item) for item in items])
    counts = [len(messages[number].content[first:]) for number, first in found]
    assert all(count > 0 for count in counts)
    assert {number for number, _ in found} == set(range(len(messages)))
    for item, (number, first) in zip(items, found, strict=True):
        (alone,) = read_input(Fields({"input": [item]}))
        assert messages[number].content[first : first + len(alone.content)] == alone.content
