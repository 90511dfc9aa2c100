"""An OpenAI chat request's JSON, read as a `Chat`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from trivet.errors import RequestError
from trivet.types import (
    Chat,
    Output,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from trivet.wire import Incoming, openai_chat

HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def incoming(**fields: Any) -> Incoming:
    return openai_chat.parse(json.dumps({"model": "m", "messages": HELLO} | fields).encode())


def parse(**fields: Any) -> Chat:
    request = incoming(**fields).request
    assert isinstance(request, Chat)
    return request


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


# --- the request's other fields ----------------------------------------------------------------------------


def test_the_sampling_fields_are_read() -> None:
    chat = parse(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        n=2,
        seed=7,
        stop=["a", "b"],
        max_completion_tokens=5,
        logprobs=True,
        top_logprobs=3,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
    )
    assert chat.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        n=2,
        seed=7,
        stop=("a", "b"),
        max_tokens=5,
        logprobs=3,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
    )
    assert chat.extra == {}


def test_one_stop_sequence_may_be_a_plain_string() -> None:
    assert parse(stop="END").sampling.stop == ("END",)


def test_logprobs_alone_ask_for_no_alternatives() -> None:
    assert parse(logprobs=True).sampling.logprobs == 0
    assert parse(logprobs=False).sampling.logprobs is None


@pytest.mark.parametrize("fields", [{"max_tokens": 9}, {"max_completion_tokens": 9}])
def test_both_names_of_the_token_bound_are_read(fields: dict[str, int]) -> None:
    assert parse(**fields).sampling.max_tokens == 9
    assert parse(max_tokens=9, max_completion_tokens=9).sampling.max_tokens == 9


def test_minus_one_as_top_k_means_all_tokens() -> None:
    assert parse(top_k=-1).sampling.top_k == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"n": 0}, "n"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 1}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web", "web": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": 5}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.type"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
def test_a_wrong_field_is_refused_by_the_name_that_the_client_wrote(fields: dict[str, Any], field: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert field.partition(".")[0] in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        openai_chat.parse(body)


def test_the_older_functions_are_refused_with_what_to_use() -> None:
    assert "use tools" in refused(functions=[]).message
    assert "use tool_choice" in refused(function_call="auto").message


def test_tools_are_read() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    assert parse(tools=[{"type": "function", "function": function}]).tools == (
        Tool(name="f", description="d", parameters=schema, strict=True),
    )
    assert parse(tools=[{"type": "function", "function": {"name": "f"}}]).tools == (Tool(name="f"),)


def test_a_custom_tool_says_in_extra_what_a_tool_has_no_field_for() -> None:
    form = {"type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}}
    (tool,) = parse(tools=[{"type": "custom", "custom": {"name": "f", "format": form}}]).tools
    assert tool == Tool(name="f", extra={"type": "custom", "custom": {"format": form}})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice(mode="named", name="weather")),
    ],
)
def test_a_tool_choice_is_read(sent: Any, expected: ToolChoice) -> None:
    chat = parse(tools=[TOOL], tool_choice=sent)
    assert (chat.tool_choice, chat.extra) == (expected, {})


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
        {"type": "custom", "custom": {"name": "sql"}},
    ],
)
def test_a_tool_choice_that_has_no_field_here_goes_to_extra(sent: Any) -> None:
    assert parse(tools=[TOOL], tool_choice=sent).extra == {"tool_choice": sent}


def test_parallel_tool_calls_go_with_the_choice() -> None:
    assert parse(tools=[TOOL], parallel_tool_calls=False).tool_choice == ToolChoice(parallel=False)
    named = parse(tools=[TOOL], tool_choice="required", parallel_tool_calls=True).tool_choice
    assert named == ToolChoice(mode="required", parallel=True)


def test_structured_output_is_read() -> None:
    schema = {"type": "object"}
    form = {"name": "n", "description": "d", "schema": schema, "strict": True}
    assert parse(response_format={"type": "json_schema", "json_schema": form}).output == Output(
        schema=schema, name="n", description="d", strict=True
    )
    assert parse(response_format={"type": "json_object"}).output == Output()
    assert parse(response_format={"type": "text"}).output is None


def test_the_source_is_the_body_as_received() -> None:
    body = b'{ "messages": [{"role": "user", "content": "Hi"}], "model": "m" }'
    request = openai_chat.parse(body).request
    assert request.source is not None
    assert (request.source.protocol, request.source.body) == ("openai-chat", body)


def test_stream_options_are_read_and_unknown_ones_kept() -> None:
    assert not incoming(stream=True).stream_usage
    given = incoming(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert (given.stream, given.stream_usage, given.request.extra) == (True, True, {})
    assert incoming(stream=True, stream_options={"new": 1}).request.extra == {"stream_options": {"new": 1}}


def test_fields_that_only_state_the_default_are_taken() -> None:
    fields = {"store": False, "logit_bias": {}, "modalities": ["text"], "user": None}
    assert parse(**fields).extra == {}


def test_effort_and_labels_are_read() -> None:
    chat = parse(reasoning_effort="xhigh", user="ann", prompt_cache_key="k", service_tier="auto")
    assert chat.reasoning == Reasoning(effort="xhigh")
    assert (chat.user, chat.cache_key, chat.service_tier, chat.extra) == ("ann", "k", "auto", {})
    assert parse(reasoning_effort="utmost").extra == {"reasoning_effort": "utmost"}


def test_who_asks_is_read_under_either_name() -> None:
    assert parse(safety_identifier="ann").user == "ann"
    both = parse(user="ann", safety_identifier="a1")
    assert (both.user, both.extra) == ("ann", {"safety_identifier": "a1"})


def test_a_field_that_nobody_knows_goes_to_extra_of_what_it_belongs_to() -> None:
    chat = parse(
        min_p=0.1,
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "x", "annotations": [1]}], "mood": "good"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "http://x", "detail": "original"}}],
            },
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "", "x": 1}}]},
        ],
        tools=[TOOL | {"defer": True}],
        response_format={"type": "json_object", "schema": {}},
    )
    assert chat.extra == {"min_p": 0.1, "response_format": {"schema": {}}}
    first, second, third = chat.messages
    assert first.extra == {"mood": "good"}
    assert first.content[0].extra == {"annotations": [1]}
    assert second.content[0].extra == {"image_url": {"detail": "original"}}
    assert third.tool_calls[0].extra == {"function": {"x": 1}}
    assert chat.tools[0].extra == {"defer": True}


# --- every field that the SDK knows ------------------------------------------------------------------------

# A value that is no default, for each field of the SDK's parameters: with it, the request must become another
# one (mapped, or in `extra`) or be refused. A field that a new SDK adds has no value here, and fails.
FIELDS: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Bye"}],
    "model": "other",
    "audio": {"format": "wav", "voice": "alloy"},
    "frequency_penalty": 0.5,
    "function_call": "none",
    "functions": [{"name": "f"}],
    "logit_bias": {"5": 1},
    "logprobs": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "metadata": {"a": "b"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "x"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "safety_identifier": "x",
    "seed": 1,
    "service_tier": "flex",
    "stop": "x",
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": "none",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "ann",
    "verbosity": "low",
    "web_search_options": {},
}
MESSAGE: dict[str, Any] = {
    "role": "user",
    "audio": {"id": "audio-1"},
    "content": "Bye",
    "function_call": {"name": "f", "arguments": "{}"},
    "name": "bob",
    "refusal": "no",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def without_source(incoming: Incoming) -> Any:
    request = incoming.request
    return (type(request), [getattr(request, f) for f in request.__struct_fields__ if f != "source"], incoming.stream)


def vanishes(plain: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Whether a change to the client's fields changes nothing in what they are parsed to."""
    try:
        after = incoming(**changed)
    except RequestError:
        return False
    before = incoming(**plain)
    return without_source(before) == without_source(after) and before.stream_usage == after.stream_usage


def test_every_field_of_the_sdk_has_a_value_in_the_table() -> None:
    assert set(FIELDS) == set(CompletionCreateParamsNonStreaming.__annotations__)
    assert set(MESSAGE) == set(ChatCompletionAssistantMessageParam.__annotations__)
    assert set(ChatCompletionUserMessageParam.__annotations__) <= set(MESSAGE)
    assert set(ChatCompletionToolMessageParam.__annotations__) == {"role", "content", "tool_call_id"}
    assert set(ChatCompletionFunctionToolParam.__annotations__) == {"type", "function"}
    assert set(ChatCompletionStreamOptionsParam.__annotations__) == {"include_usage", "include_obfuscation"}


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    assert not vanishes({}, {name: FIELDS[name]})


@pytest.mark.parametrize("name", MESSAGE)
def test_no_field_of_a_message_vanishes(name: str) -> None:
    plain = {"role": "assistant", "content": "Hi"}
    assert not vanishes({"messages": [plain]}, {"messages": [plain | {name: MESSAGE[name]}]})
