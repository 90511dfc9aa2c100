"""An OpenAI Responses request's JSON, read as a `Chat`: every field but the input's items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import FunctionToolParam, ResponseTextConfigParam
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming, StreamOptions

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Chat, Output, Reasoning, Sampling, Tool, ToolChoice, system, user
from trivet.wire import Incoming, openai_responses

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True}
SEARCH = {"type": "web_search", "search_context_size": "low"}
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}


def incoming(**fields: Any) -> Incoming:
    return openai_responses.parse(json.dumps({"model": "m", "input": "Hi"} | fields).encode())


def parse(**fields: Any) -> Chat:
    request = incoming(**fields).request
    assert isinstance(request, Chat)
    return request


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


def test_instructions_are_a_system_message_in_front() -> None:
    assert parse(instructions="Be brief.").messages == (system("Be brief."), user("Hi"))
    assert parse(instructions="").messages == (user("Hi"),)


def test_the_sampling_fields_are_read() -> None:
    chat = parse(max_output_tokens=5, temperature=0.5, top_p=0.9, top_logprobs=3)
    assert chat.sampling == Sampling(max_tokens=5, temperature=0.5, top_p=0.9, logprobs=3)
    assert chat.extra == {}


def test_logprobs_are_asked_for_by_including_them() -> None:
    include = ["message.output_text.logprobs"]
    assert parse(include=include).sampling.logprobs == 0
    assert parse(include=include, top_logprobs=2).sampling.logprobs == 2
    assert parse(top_logprobs=0).sampling.logprobs is None
    assert parse(include=include).extra == {}


def test_encrypted_reasoning_is_always_included_and_what_else_is_asked_for_goes_to_extra() -> None:
    assert parse(include=["reasoning.encrypted_content"]).extra == {}
    include = ["reasoning.encrypted_content", "file_search_call.results"]
    assert parse(include=include).extra == {"include": ["file_search_call.results"]}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"instructions": ["x"]}, "instructions"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"include": "x"}, "include"),
        ({"stream": "yes"}, "stream"),
        ({"store": "yes"}, "store"),
        ({"text": "x"}, "text"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": "some"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"name": "weather"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather", "x": 1}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ],
)
def test_a_wrong_field_is_refused_by_the_name_that_the_client_wrote(fields: dict[str, Any], field: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert field in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        openai_responses.parse(body)


def test_tools_are_read() -> None:
    chat = parse(tools=[TOOL | {"description": "d"}, {"type": "function", "name": "g", "parameters": None}])
    assert chat.tools == (
        Tool(name="weather", description="d", parameters={"type": "object", "properties": {}}, strict=True),
        Tool(name="g"),
    )


def test_a_custom_tool_says_in_extra_what_a_tool_has_no_field_for() -> None:
    (tool,) = parse(tools=[{"type": "custom", "name": "sql", "format": {"type": "text"}}]).tools
    assert tool == Tool(name="sql", extra={"type": "custom", "format": {"type": "text"}})


def test_a_tool_of_the_providers_own_goes_to_extra() -> None:
    chat = parse(tools=[SEARCH, TOOL])
    assert [t.name for t in chat.tools] == ["weather"]
    assert chat.extra == {"tools": [SEARCH]}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "weather"}, ToolChoice(mode="named", name="weather")),
    ],
)
def test_a_tool_choice_is_read(sent: Any, expected: ToolChoice) -> None:
    chat = parse(tools=[TOOL], tool_choice=sent)
    assert chat.tool_choice == expected
    assert chat.extra == {}


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
        {"type": "web_search_preview"},
        {"type": "mcp", "server_label": "x"},
        {"type": "custom", "name": "sql"},
    ],
)
def test_a_tool_choice_that_has_no_field_here_goes_to_extra(sent: Any) -> None:
    assert parse(tools=[TOOL], tool_choice=sent).extra == {"tool_choice": sent}


def test_a_call_may_be_required_where_the_only_tools_are_the_providers() -> None:
    assert parse(tools=[SEARCH], tool_choice="required").tool_choice == ToolChoice(mode="required")


def test_parallel_tool_calls_go_with_the_choice() -> None:
    assert parse(tools=[TOOL], parallel_tool_calls=False).tool_choice == ToolChoice(parallel=False)
    expected = ToolChoice(mode="required", parallel=True)
    assert parse(tools=[TOOL], tool_choice="required", parallel_tool_calls=True).tool_choice == expected


def test_structured_output_is_read() -> None:
    assert parse(text={"format": {"type": "text"}}).output is None
    assert parse(text={"format": {"type": "json_object"}}).output == Output()
    expected = Output(schema={"type": "object"}, name="n", description="d", strict=True)
    assert parse(text={"format": SCHEMA | {"description": "d", "strict": True}}).output == expected


def test_the_source_is_the_body_as_received() -> None:
    body = b'{ "model": "m", "input": "Hi", "metadata": {"a": "b"} }'
    parsed = openai_responses.parse(body)
    assert parsed.request.source is not None
    assert (parsed.request.source.protocol, parsed.request.source.body) == ("openai-responses", body)
    assert parsed.body == json.loads(body)


def test_fields_that_only_state_the_default_are_taken() -> None:
    chat = parse(
        background=False,
        truncation="disabled",
        metadata={},
        reasoning={},
        text={"verbosity": "medium"},
        stream=True,
        stream_options={"include_obfuscation": False},
        user=None,
        tools=[TOOL | {"defer_loading": False, "async": False, "allowed_callers": ["direct"]}],
    )
    assert chat.extra == {}
    assert chat.tools[0].extra == {}


def test_reasoning_is_read_and_what_is_not_known_of_it_stays_in_its_extra() -> None:
    assert parse(reasoning={"effort": "low", "summary": "auto"}).reasoning == Reasoning(effort="low", summary="auto")
    unknown = {"effort": "extreme", "summary": "poem", "mode": "pro"}
    assert parse(reasoning=unknown).reasoning == Reasoning(extra=unknown)
    assert parse(reasoning={"effort": None}).reasoning is None


def test_the_labels_are_read() -> None:
    chat = parse(safety_identifier="ann", prompt_cache_key="k", service_tier="auto")
    assert (chat.user, chat.cache_key, chat.service_tier, chat.extra) == ("ann", "k", "auto", {})


def test_the_older_name_of_who_asks_is_read_too_and_kept_where_it_says_something_else() -> None:
    assert parse(user="ann").user == "ann"
    assert parse(user="ann", safety_identifier="ann").extra == {}
    both = parse(user="ann", safety_identifier="x")
    assert (both.user, both.extra) == ("x", {"user": "ann"})


@pytest.mark.parametrize("store", [True, False, None])
def test_store_is_taken_whatever_it_says(store: bool | None) -> None:
    assert parse(store=store).extra == {}


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_builds_on_a_providers_store_goes_to_extra_and_needs_no_input(name: str) -> None:
    chat = parse(**{name: "x", "input": None})
    assert chat.messages == ()
    assert chat.extra == {name: "x"}


def test_a_field_that_nobody_knows_goes_to_extra_of_what_it_belongs_to() -> None:
    chat = parse(
        min_p=0.1,
        text={"verbosity": "low", "format": SCHEMA | {"mood": "good"}},
        stream=True,
        stream_options={"include_usage": True},
        tools=[TOOL | {"novelty": 1, "output_schema": {"type": "string"}}],
    )
    assert chat.extra == {
        "min_p": 0.1,
        "text": {"verbosity": "low", "format": {"mood": "good"}},
        "stream_options": {"include_usage": True},
    }
    assert (chat.tools[0].extra, chat.tools[0].result) == ({"novelty": 1}, {"type": "string"})


# --- every field that the SDK knows ------------------------------------------------------------------------

# A value that is no default, for each field of the SDK's parameters: with it, the request must become another
# one (mapped, or in `extra`) or be refused. A field that a new SDK adds has no value here, and fails.
FIELDS: dict[str, Any] = {
    "access_programs": {"cyber": "standard"},
    "background": True,
    "background_options": {"completion_window": "2h"},
    "context_management": [{"type": "compaction"}],
    "conversation": "c",
    "image": {"context_compression": "enabled"},
    "include": ["file_search_call.results"],
    "input": "Bye",
    "instructions": "Be brief.",
    "max_output_tokens": 5,
    "max_tool_calls": 5,
    "metadata": {"a": "b"},
    "model": "other",
    "moderation": {"model": "x"},
    "parallel_tool_calls": False,
    "previous_response_id": "r",
    "prompt": {"id": "p"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low"},
    "safety_identifier": "x",
    "service_tier": "flex",
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "temperature": 0.5,
    "text": {"verbosity": "low"},
    "tool_choice": "none",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "ann",
}
ANSWERED = {"store"}  # taken, and every answer says `store: false`
TOOL_FIELDS: dict[str, Any] = {
    "type": "custom",
    "name": "other",
    "parameters": {"type": "object"},
    "strict": False,
    "allowed_callers": ["programmatic"],
    "async": True,
    "defer_loading": True,
    "description": "d",
    "output_schema": {},
}


def vanishes(plain: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Whether a change to the client's fields changes nothing in what they are parsed to."""
    try:
        after = incoming(**changed)
    except RequestError:
        return False
    before = incoming(**plain)
    fields = [f for f in Chat.__struct_fields__ if f != "source"]
    same = all(getattr(before.request, f) == getattr(after.request, f) for f in fields)
    return same and before.stream == after.stream


def test_every_field_of_the_sdk_has_a_value_in_the_table() -> None:
    assert set(FIELDS) | ANSWERED == set(ResponseCreateParamsNonStreaming.__annotations__)
    assert set(TOOL_FIELDS) == set(FunctionToolParam.__annotations__)
    assert set(ResponseTextConfigParam.__annotations__) == {"format", "verbosity"}
    assert set(StreamOptions.__annotations__) == {"include_obfuscation"}


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    assert not vanishes({}, {name: FIELDS[name]})


@pytest.mark.parametrize("name", TOOL_FIELDS)
def test_no_field_of_a_tool_vanishes(name: str) -> None:
    assert not vanishes({"tools": [TOOL]}, {"tools": [TOOL | {name: TOOL_FIELDS[name]}]})


def test_a_response_in_the_background_could_not_be_fetched() -> None:
    with pytest.raises(UnsupportedError, match="leave it out, and wait") as refused:
        parse(background=True)
    assert refused.value.field == "background"
