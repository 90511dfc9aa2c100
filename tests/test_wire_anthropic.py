"""An Anthropic request's JSON, read as a `Chat` or a `CountTokens`."""

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
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic_in_memory import InMemory
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError
from trivet.types import (
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Conversation,
    CountTokens,
    CountTokensResponse,
    Document,
    Image,
    Message,
    Opaque,
    Output,
    Part,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    assistant,
    check,
    system,
    user,
)
from trivet.wire import Incoming, anthropic, anthropic_count

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


def block(sent: dict[str, Any], role: str = "user") -> Part:
    (part,) = parse(messages=[{"role": role, "content": [sent]}]).messages[0].content
    return part


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


# --- messages ----------------------------------------------------------------------------------------------


def test_a_system_prompt_is_the_first_message() -> None:
    assert parse(system="Be brief.").messages == (system("Be brief."), user("Hi"))
    blocks = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief.", "cache_control": MARK}]
    expected = Message(role="system", content=(Text(text="Be"), Text(text="brief.", cache=CacheMark())))
    assert parse(system=blocks).messages[0] == expected


@pytest.mark.parametrize("nothing", ["", [], None])
def test_an_empty_system_prompt_is_none(nothing: Any) -> None:
    assert parse(system=nothing).messages == (user("Hi"),)


def test_content_is_a_string_or_blocks_in_order() -> None:
    messages = parse(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c"},
            {"role": "system", "content": "d"},
        ]
    ).messages
    assert messages == (user("a", "b"), assistant("c"), system("d"))


@pytest.mark.parametrize(
    ("cache_control", "mark"),
    [
        ({"type": "ephemeral"}, CacheMark()),
        ({"type": "ephemeral", "ttl": "5m"}, CacheMark(ttl="5m")),
        ({"type": "ephemeral", "ttl": "1h"}, CacheMark(ttl="1h")),
        (None, None),
    ],
)
def test_a_cache_mark_is_read_with_its_lifetime(cache_control: Any, mark: CacheMark | None) -> None:
    assert block({"type": "text", "text": "x", "cache_control": cache_control}) == Text(text="x", cache=mark)
    assert parse(tools=[TOOL | {"cache_control": cache_control}]).tools[0].cache == mark


def test_what_a_cache_mark_has_no_field_for_is_extra_of_its_block() -> None:
    part = block({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}})
    assert part == Text(text="x", cache=CacheMark(), extra={"cache_control": {"scope": "global"}})


def test_pictures_and_documents_are_bytes_or_addresses() -> None:
    png = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"png").decode()}
    assert block({"type": "image", "source": png}) == Image(data=b"png", media_type="image/png")
    assert block({"type": "image", "source": {"type": "url", "url": "http://x"}}) == Image(url="http://x")
    pdf = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert block({"type": "document", "source": pdf, "title": "T", "context": "C"}) == Document(
        data=b"%PDF", media_type="application/pdf", name="T", extra={"context": "C"}
    )
    text = {"type": "text", "media_type": "text/plain", "data": "hé"}
    assert block({"type": "document", "source": text, "citations": {"enabled": False}}) == Document(
        data="hé".encode(), media_type="text/plain"
    )
    assert block(
        {"type": "document", "source": {"type": "url", "url": "http://x"}, "citations": {"enabled": True}}
    ) == (Document(url="http://x", extra={"citations": {"enabled": True}}))


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "T"},
        {"type": "document", "source": {"type": "content", "content": "x"}, "cache_control": MARK},
        {"type": "search_result", "content": [], "source": "s", "title": "t"},
        {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
        {"type": "of the future"},
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_reference", "tool_name": "x"}]},
    ],
)
def test_a_block_that_only_anthropic_understands_is_opaque_as_received(raw: dict[str, Any]) -> None:
    assert block(raw) == Opaque(provider="anthropic", raw=raw)


def test_thinking_keeps_its_signature() -> None:
    sent = {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert block(sent, "assistant") == Thinking(text="hm", signature="s")
    assert block(sent | {"signature": ""}, "assistant") == Thinking(text="hm")
    assert block({"type": "redacted_thinking", "data": "d"}, "assistant") == Thinking(redacted="d")


def test_calls_and_results_are_read_with_their_ids() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": [2.5, None]}, "caller": None}
    assert block(call, "assistant") == ToolCall(id="t1", name="f", arguments='{"b":1,"a":[2.5,null]}')
    assert block(call | {"caller": {"type": "direct"}}, "assistant").extra == {}
    assert block(call | {"caller": {"type": "x", "tool_id": "y"}}, "assistant").extra["caller"]["tool_id"] == "y"
    assert block({"type": "tool_result", "tool_use_id": "t1"}) == ToolResult(call_id="t1")
    failed = {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True, "cache_control": MARK}
    assert block(failed) == ToolResult(call_id="t1", content=(Text(text="no"),), is_error=True, cache=CacheMark())
    url = {"type": "image", "source": {"type": "url", "url": "http://x"}}
    many = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a"}, url]}
    assert block(many) == ToolResult(call_id="t1", content=(Text(text="a"), Image(url="http://x")))


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (None, "messages"),
        ([], "messages"),
        ("Hi", "messages"),
        (["Hi"], "messages[0]"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "tool", "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "assistant", "content": [{"type": "tool_result"}]}], "messages[0].content[0].type"),
        ([{"role": "system", "content": [{"type": "image"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "image"}]}], "messages[0].content[0].source"),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "ftp"}}]}],
            "messages[0].content[0].source.type",
        ),
        (
            [{"role": "user", "content": [{"type": "document", "source": {"type": "ftp"}}]}],
            "messages[0].content[0].source.type",
        ),
        (
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": "{}"}]}],
            "messages[0].content[0].input",
        ),
        ([{"role": "user", "content": [{"type": "tool_result"}]}], "messages[0].content[0].tool_use_id"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "", "cache_control": {"type": "x"}}]}],
            "messages[0].content[0].cache_control.type",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "", "cache_control": MARK | {"ttl": "1d"}}]}],
            "messages[0].content[0].cache_control.ttl",
        ),
    ],
)
def test_a_wrong_message_is_refused_with_its_path(messages: Any, field: str) -> None:
    error = refused(messages=messages)
    assert error.field == field
    assert field in error.message


# --- the request's other fields ----------------------------------------------------------------------------


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
        ({"max_tokens": 0}, "max_tokens"),
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
        thinking={"type": "disabled"},
        service_tier="auto",
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
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"effort": "low"},
        min_p=0.1,
        tools=[TOOL],
        tool_choice={"type": "auto", "mood": "good"},
        messages=[
            {"role": "user", "mood": "good", "content": [{"type": "text", "text": "x", "citations": [{"type": "c"}]}]}
        ],
    )
    assert chat.extra == {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low"},
        "min_p": 0.1,
        "tool_choice": {"mood": "good"},
    }
    assert chat.messages[0].extra == {"mood": "good"}
    assert chat.messages[0].content[0].extra == {"citations": [{"type": "c"}]}


def test_the_source_is_the_body_as_received() -> None:
    body = b'{ "model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}] }'
    source = anthropic.parse(body).request.source
    assert source is not None
    assert (source.protocol, source.body) == ("anthropic", body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        anthropic.parse(body)


# --- counting ----------------------------------------------------------------------------------------------


def test_a_count_reads_the_same_conversation() -> None:
    fields = {"system": "Be brief.", "tools": [TOOL], "tool_choice": {"type": "any"}}
    fields |= {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    counted = anthropic_count.parse(json.dumps({"model": "m", "messages": HELLO} | fields).encode()).request
    chat = parse(**fields)
    assert isinstance(counted, CountTokens)
    for name in Conversation.__struct_fields__:
        if name != "source":
            assert getattr(counted, name) == getattr(chat, name)
    assert counted.source is not None
    assert counted.source.protocol == "anthropic-count"


def test_a_count_does_not_need_max_tokens_and_says_that_it_has_no_use_for_it() -> None:
    body = json.dumps({"model": "m", "messages": HELLO, "max_tokens": 5}).encode()
    assert anthropic_count.parse(body).request.extra == {"max_tokens": 5}


def test_the_sdk_gets_its_count() -> None:
    sdk = InMemory(anthropic_count, CountTokensResponse(model="m", input_tokens=7))
    assert sdk.client.messages.count_tokens(model="m", messages=HELLO).input_tokens == 7  # type: ignore[arg-type]


# --- every field that the SDK knows ------------------------------------------------------------------------

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
    assert set(MessageCountTokensParams.__annotations__) <= set(FIELDS)
    for params, _, plain, more in INSIDE:
        assert set(plain) | set(more) == set(params.__annotations__), params


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    assert not vanishes({}, {name: FIELDS[name]})


@pytest.mark.parametrize("name", sorted(MessageCountTokensParams.__annotations__))
def test_no_field_of_a_count_vanishes(name: str) -> None:
    plain = {"model": "m", "messages": HELLO}
    before = anthropic_count.parse(json.dumps(plain).encode()).request
    after = anthropic_count.parse(json.dumps(plain | {name: FIELDS[name]}).encode()).request
    fields = [f for f in CountTokens.__struct_fields__ if f != "source"]
    assert any(getattr(before, f) != getattr(after, f) for f in fields)


@pytest.mark.parametrize(("kind", "plain", "name", "value"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_no_field_inside_a_request_vanishes(kind: str, plain: dict[str, Any], name: str, value: Any) -> None:
    assert not vanishes(request_with(kind, plain), request_with(kind, plain | {name: value}))


# --- any conversation --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
marks = st.sampled_from([None, "none", "5m", "1h"])
encoded = st.binary(max_size=12).map(lambda b: (b, base64.b64encode(b).decode()))
inputs = st.dictionaries(words, st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words, max_size=2)
Pair = tuple[dict[str, Any], Part]


def marked(kind: str, fields: dict[str, Any], mark: str | None) -> dict[str, Any]:
    if mark is None:
        return {"type": kind, **fields}
    return {"type": kind, **fields, "cache_control": MARK if mark == "none" else MARK | {"ttl": mark}}


def cache(mark: Any) -> CacheMark | None:
    return None if mark is None else CacheMark(ttl=None if mark == "none" else mark)


@st.composite
def plain_blocks(draw: st.DrawFn) -> Pair:
    """A text, a picture or a document: what a tool's result may have."""
    kind, mark = draw(st.sampled_from(["text", "image", "document"])), draw(marks)
    if kind == "text":
        text = draw(words)
        return marked(kind, {"text": text}, mark), Text(text=text, cache=cache(mark))
    data, sent = draw(encoded)
    if kind == "image":
        source = {"type": "base64", "media_type": "image/png", "data": sent}
        return marked(kind, {"source": source}, mark), Image(data=data, media_type="image/png", cache=cache(mark))
    source, title = {"type": "base64", "media_type": "application/pdf", "data": sent}, draw(words)
    part = Document(data=data, media_type="application/pdf", name=title, cache=cache(mark))
    return marked(kind, {"source": source, "title": title}, mark), part


@st.composite
def results(draw: st.DrawFn) -> Pair:
    id, failed, mark = draw(names), draw(st.booleans()), draw(marks)
    inner = draw(st.lists(plain_blocks(), max_size=2))
    sent = marked("tool_result", {"tool_use_id": id, "content": [i[0] for i in inner], "is_error": failed}, mark)
    content: Any = tuple(i[1] for i in inner)
    return sent, ToolResult(call_id=id, content=content, is_error=failed, cache=cache(mark))


@st.composite
def model_blocks(draw: st.DrawFn) -> Pair:
    kind = draw(st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]))
    text, mark = draw(words), draw(marks)
    if kind == "text":
        return marked(kind, {"text": text}, mark), Text(text=text, cache=cache(mark))
    if kind == "thinking":
        return {"type": kind, "thinking": text, "signature": "s" + text}, Thinking(text=text, signature="s" + text)
    if kind == "redacted_thinking":
        return {"type": kind, "data": text}, Thinking(redacted=text)
    id, name, input = draw(names), draw(names), draw(inputs)
    sent = marked(kind, {"id": id, "name": name, "input": input}, mark)
    if kind == "server_tool_use":
        return sent, Opaque(provider="anthropic", raw=sent)
    arguments = json.dumps(input)
    return sent, ToolCall(id=id, name=name, arguments=arguments, cache=cache(mark))


def as_data(message: Message) -> Message:
    """Arguments are JSON text: what counts is what it says, as the client sent it as data."""
    parts = [
        ToolCall(id=p.id, name=p.name, arguments=json.dumps(json.loads(p.arguments)), cache=p.cache)
        if isinstance(p, ToolCall)
        else p
        for p in message.content
    ]
    return Message(role=message.role, content=tuple(parts))


@st.composite
def turns(draw: st.DrawFn) -> tuple[dict[str, Any], Message]:
    role: Any = draw(st.sampled_from(["user", "assistant"]))
    if draw(st.booleans()):
        text = draw(words)
        return {"role": role, "content": text}, Message(role=role, content=(Text(text=text),))
    kinds = plain_blocks() | results() if role == "user" else model_blocks()
    pairs = draw(st.lists(kinds, min_size=1, max_size=4))
    return {"role": role, "content": [p[0] for p in pairs]}, Message(role=role, content=tuple(p[1] for p in pairs))


OK = Choice(message=assistant("ok"), finish_reason="stop")
LOOP = InMemory(anthropic, ChatResponse(model="m", choices=(OK,)))


@given(st.lists(turns(), min_size=1, max_size=5))
def test_any_conversation_that_the_sdk_sends_is_read_whole(pairs: list[tuple[dict[str, Any], Message]]) -> None:
    LOOP.client.messages.create(model="m", max_tokens=9, messages=[sent for sent, _ in pairs])  # type: ignore[misc]
    assert LOOP.incoming is not None
    request = LOOP.incoming.request
    assert isinstance(request, Chat)
    assert [as_data(m) for m in request.messages] == [as_data(expected) for _, expected in pairs]
    assert check(request) == request
