"""An Anthropic request's JSON, read as a `Chat`: every field but the messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from anthropic.types import (
    AssistantMessageParam,
    CacheControlEphemeralParam,
    DocumentBlockParam,
    ImageBlockParam,
    OutputConfigParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolChoiceToolParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from trivet.errors import RequestError
from trivet.types import (
    Chat,
    Citation,
    Output,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolChoice,
)
from trivet.wire import Incoming, anthropic

HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
PDF = base64.b64encode(b"%PDF").decode()
MARK = {"type": "ephemeral"}


def incoming(**fields: Any) -> Incoming:
    return anthropic.parse(json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO} | fields).encode())


def parse(**fields: Any) -> Chat:
    request = incoming(**fields).request
    assert isinstance(request, Chat)
    return request


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


def test_the_sampling_fields_are_read() -> None:
    chat = parse(max_tokens=5, temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["a", "b"])
    expected = Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=40, stop=("a", "b"))
    assert chat.sampling == expected
    assert chat.extra == {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x", ""]}, "stop_sequences[1]"),
        ({"stream": 1}, "stream"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {}}, "output_format": {}}, "output_format"),
    ],
)
def test_a_wrong_field_is_refused_by_the_name_that_the_client_wrote(fields: dict[str, Any], field: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert field in error.message


def test_tools_are_read() -> None:
    sent = TOOL | {"description": "d", "strict": True, "type": "custom", "input_examples": [{"a": 1}]}
    parameters = {"type": "object", "properties": {}}
    expected = Tool(
        name="weather", description="d", parameters=parameters, strict=True, extra={"input_examples": [{"a": 1}]}
    )
    assert parse(tools=[sent]).tools == (expected,)


def test_a_tool_that_anthropic_defines_says_so_in_extra() -> None:
    chat = parse(tools=[TOOL, {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}])
    assert chat.tools[1] == Tool(name="web_search", extra={"type": "web_search_20250305", "max_uses": 2})
    assert chat.extra == {}


def test_a_set_of_tools_without_a_name_goes_to_extra() -> None:
    chat = parse(
        tools=[{"type": "mcp_toolset", "mcp_server_name": "x"}, TOOL], tool_choice={"type": "tool", "name": "y"}
    )
    assert [t.name for t in chat.tools] == ["weather"]
    assert chat.extra == {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "none"}, ToolChoice(mode="none")),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required", parallel=False)),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice(parallel=True)),
        ({"type": "tool", "name": "weather"}, ToolChoice(mode="named", name="weather")),
    ],
)
def test_a_tool_choice_is_read(sent: Any, expected: ToolChoice) -> None:
    assert parse(tools=[TOOL], tool_choice=sent).tool_choice == expected


@pytest.mark.parametrize("where", [lambda f: {"output_config": {"format": f}}, lambda f: {"output_format": f}])
def test_structured_output_is_read_under_both_of_its_names(where: Any) -> None:
    chat = parse(**where({"type": "json_schema", "schema": {"type": "object"}}))
    assert chat.output == Output(schema={"type": "object"}, strict=True)
    assert chat.extra == {}


def test_fields_that_only_state_the_default_are_taken() -> None:
    chat = parse(
        speed="standard",
        metadata={},
        output_config={"format": None, "effort": None},
        container=None,
        tools=[TOOL | {"allowed_callers": ["direct"], "defer_loading": False, "eager_input_streaming": False}],
    )
    assert chat.extra == {}
    assert chat.tools[0].extra == {}


def test_a_field_that_has_no_place_goes_to_extra_of_what_it_belongs_to() -> None:
    chat = parse(
        thinking={"type": "enabled", "budget_tokens": 1024, "mood": "deep"},
        output_config={"effort": "soon"},
        metadata={"user_id": "ann", "team": "t"},
        max_tokens=0,
        min_p=0.1,
        tools=[TOOL],
        tool_choice={"type": "auto", "mood": "good"},
        messages=[{"role": "user", "mood": "good", "content": [{"type": "text", "text": "x", "mood": "good"}]}],
    )
    assert chat.extra == {
        "output_config": {"effort": "soon"},
        "metadata": {"team": "t"},
        "max_tokens": 0,
        "min_p": 0.1,
        "tool_choice": {"mood": "good"},
    }
    assert chat.messages[0].extra == {"mood": "good"}
    assert chat.messages[0].content[0].extra == {"mood": "good"}
    assert chat.reasoning == Reasoning(budget_tokens=1024, extra={"mood": "deep"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Reasoning(budget_tokens=1024)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(adaptive=True)),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(adaptive=True, summary="omitted")),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Reasoning(adaptive=True, summary="auto")),
        ({"thinking": {"type": "disabled"}}, Reasoning(effort="none")),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            Reasoning(effort="low", adaptive=False),
        ),
        ({"output_config": {"effort": "max"}}, Reasoning(effort="max")),
        ({"thinking": {"type": "between_tools"}}, Reasoning(extra={"type": "between_tools"})),
        ({}, None),
    ],
)
def test_thinking_and_effort_are_read(fields: dict[str, Any], expected: Reasoning | None) -> None:
    chat = parse(**fields)
    assert chat.reasoning == expected
    assert chat.extra == {}


def test_labels_and_the_service_tier_are_read() -> None:
    chat = parse(metadata={"user_id": "ann"}, service_tier="standard_only")
    assert (chat.user, chat.service_tier, chat.extra) == ("ann", "standard_only", {})


def test_a_citation_is_read_and_kept_as_it_was() -> None:
    raw = {"type": "web_search_result_location", "url": "http://x", "title": "T", "cited_text": "q"}
    raw |= {"encrypted_index": "e"}
    chat = parse(messages=[{"role": "assistant", "content": [{"type": "text", "text": "x", "citations": [raw]}]}])
    cited = Citation(url="http://x", title="T", quote="q", provider="anthropic", raw=raw)
    assert chat.messages[0].content == (Text(text="x", citations=(cited,)),)


def test_the_source_is_the_body_as_received() -> None:
    body = b'{ "model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}] }'
    source = anthropic.parse(body).request.source
    assert source is not None
    assert (source.protocol, source.body) == ("anthropic", body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        anthropic.parse(body)


# --- every field that the SDK knows -------------------------------------------------------------------------

# A value that is no default, for each field of the SDK's parameters: with it, the request must become another
# one (mapped, or in `extra`) or be refused. A field that a new SDK adds has no value here, and fails.
FIELDS: dict[str, Any] = {
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "Bye"}],
    "model": "other",
    "cache_control": MARK,
    "container": "c",
    "diagnostics": {"previous_message_id": None},
    "inference_geo": "eu",
    "metadata": {"user_id": "ann"},
    "output_config": {"effort": "low"},
    "service_tier": "standard_only",
    "speed": "fast",
    "stop_sequences": ["x"],
    "stream": True,
    "system": "Be brief.",
    "thinking": {"type": "adaptive"},
    "tool_choice": {"type": "none"},
    "tools": [TOOL],
    "user_profile_id": "u",
    "workspace_id": "w",
}
# The same for the values inside: the smallest one, and a value for each field that it may have beside that.
CALLER = {"type": "code_execution_20250825", "tool_id": "t"}
SOURCE = {"type": "url", "url": "http://x"}
INSIDE: list[tuple[Any, str, dict[str, Any], dict[str, Any]]] = [
    (AssistantMessageParam, "message", {"role": "assistant", "content": "x"}, {}),
    (TextBlockParam, "user", {"type": "text", "text": "x"}, {"cache_control": MARK, "citations": [{"type": "c"}]}),
    (
        ImageBlockParam,
        "user",
        {"type": "image", "source": SOURCE},
        {"cache_control": MARK, "transformations": {"oversized_image": "error"}},
    ),
    (
        DocumentBlockParam,
        "user",
        {"type": "document", "source": SOURCE},
        {"cache_control": MARK, "citations": {"enabled": True}, "context": "c", "title": "t"},
    ),
    (ThinkingBlockParam, "assistant", {"type": "thinking", "thinking": "x"}, {"signature": "s"}),
    (
        ToolUseBlockParam,
        "assistant",
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        {"cache_control": MARK, "caller": CALLER, "toolset_name": "t"},
    ),
    (
        ToolResultBlockParam,
        "user",
        {"type": "tool_result", "tool_use_id": "1"},
        {"cache_control": MARK, "content": "x", "is_error": True, "toolset_name": "t"},
    ),
    (
        ToolParam,
        "tools",
        TOOL,
        {
            "allowed_callers": ["code_execution_20250825"],
            "cache_control": MARK,
            "defer_loading": True,
            "description": "d",
            "eager_input_streaming": True,
            "input_examples": [{}],
            "strict": True,
            "type": "bash_20250124",
        },
    ),
    (
        CacheControlEphemeralParam,
        "cache",
        MARK,
        {"ttl": "1h"},
    ),
    (
        ToolChoiceToolParam,
        "tool_choice",
        {"type": "tool", "name": "weather"},
        {"disable_parallel_tool_use": True},
    ),
    (OutputConfigParam, "output_config", {}, {"effort": "low", "format": {"type": "json_schema", "schema": {}}}),
]
CASES = [(kind, plain, name, value) for _, kind, plain, more in INSIDE for name, value in more.items()]


def request_with(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request in which `value` stands where things of its kind do."""
    if kind == "message":
        return {"messages": [value]}
    if kind in ("user", "assistant"):
        return {"messages": [{"role": kind, "content": [value]}]}
    if kind == "cache":
        return {"tools": [TOOL | {"cache_control": value}]}
    return {"tools": [value]} if kind == "tools" else {"tools": [TOOL], kind: value}


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
    assert set(FIELDS) == set(MessageCreateParamsNonStreaming.__annotations__)
    for params, _, plain, more in INSIDE:
        assert set(plain) | set(more) == set(params.__annotations__), params


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    assert not vanishes({}, {name: FIELDS[name]})


@pytest.mark.parametrize(("kind", "plain", "name", "value"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_no_field_inside_a_request_vanishes(kind: str, plain: dict[str, Any], name: str, value: Any) -> None:
    assert not vanishes(request_with(kind, plain), request_with(kind, plain | {name: value}))
