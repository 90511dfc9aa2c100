"""A request as OpenAI's Responses takes it: bodies compared whole, and held against the SDK's own types."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from trivet.errors import UnsupportedError
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    Citation,
    Document,
    Image,
    Message,
    Opaque,
    Output,
    Part,
    Reasoning,
    Sampling,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    assistant,
    replace,
    system,
    user,
)
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses
from trivet.wire.source import body

PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
TARGET = Target(model="gpt-5.5", provider="openai", family="openai")
FOREIGN = Source(protocol="anthropic", body=b"{}")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool(name="f", description="d", parameters=SCHEMA)
TOOL_OUT = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
USUAL = {"model": "gpt-5.5", "store": False, "include": ["reasoning.encrypted_content"]}
PNG = "data:image/png;base64," + base64.b64encode(b"png").decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF").decode()


def write(*messages: Message, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    """What is sent. The SDK's type must accept it, but for the items, whose ids only a store needs."""
    written = openai_responses.write(Chat(messages=messages or (user("Hi"),), **fields), target)
    sent: dict[str, Any] = json.loads(msgspec.json.encode(written))
    PARAMS.validate_python({k: v for k, v in sent.items() if k not in ("input", "stream")})
    return sent


def items(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = write(*messages, **fields)["input"]
    return written


def only(part: Part, **fields: Any) -> dict[str, Any]:
    """The item or content that a part becomes."""
    user_only = not isinstance(part, Thinking | ToolCall)
    (item,) = items(Message(role="user" if user_only else "assistant", content=(part,)), **fields)
    content = item.get("content")
    found: dict[str, Any] = content[0] if isinstance(content, list) else item
    return found


def refused(*messages: Message, **fields: Any) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        write(*messages, **fields)
    assert "openai" in caught.value.message
    return caught.value


def own(**fields: Any) -> Chat:
    """What a client of this protocol has written."""
    request = openai_responses.parse(json.dumps({"model": "m", "input": "Hi"} | fields).encode()).request
    assert isinstance(request, Chat)
    return request


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


# --- the input ---------------------------------------------------------------------------------------------


def test_a_question_is_sent_whole() -> None:
    assert write(system("Be brief."), user("Hi")) == {
        **USUAL,
        "instructions": "Be brief.",
        "input": [message("user", "Hi")],
    }


def test_only_a_plain_system_prompt_in_front_is_the_instructions() -> None:
    marked = Message(role="system", content=(Text(text="a", cache=CacheMark()),))
    two = Message(role="system", content=(Text(text="a"), Text(text="b")))
    developer = Message(role="developer", content=(Text(text="a"),))
    for first in (marked, two, developer):
        sent = write(first, user("Hi"))
        assert "instructions" not in sent
        assert sent["input"][0]["role"] == first.role
    assert items(system("alone")) == [message("system", "alone")]
    assert items(user("Hi"), system("later"))[1] == message("system", "later")


def test_a_turn_of_the_models_is_one_item_after_the_other() -> None:
    said = assistant(
        Thinking(text="hm", signature="s", provider="openai"),
        Thinking(redacted="r", provider="openai"),
        "Let me see.",
        ToolCall(id="c1", name="f", arguments='{"a": 1}'),
        ToolCall(id="c2", name="f"),
    )
    results = (ToolResult(call_id="c1", content=(Text(text="sunny"),)), ToolResult(call_id="c2"))
    assert items(user("Q"), said, Message(role="user", content=(*results, Text(text="go on")))) == [
        message("user", "Q"),
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "s"},
        {"type": "reasoning", "summary": [], "encrypted_content": "r"},
        message("assistant", "Let me see."),
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": []},
        message("user", "go on"),
    ]


def test_a_result_may_have_images_and_files() -> None:
    content = (Text(text="a"), Image(data=b"png", media_type="image/png"), Document(url="http://x"))
    assert only(ToolResult(call_id="c", content=content))["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": PNG},
        {"type": "input_file", "file_url": "http://x"},
    ]


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ((Text(text="no such city"),), "Error: no such city"),
        ((), "Error"),
        (
            (Image(url="http://x"),),
            [{"type": "input_text", "text": "Error"}, {"type": "input_image", "image_url": "http://x"}],
        ),
    ],
)
def test_a_result_that_is_an_error_says_so(content: Any, output: Any) -> None:
    assert only(ToolResult(call_id="c", content=content, is_error=True))["output"] == output


def test_images_and_files_are_bytes_or_addresses() -> None:
    image = Image(data=b"png", media_type="image/png", detail="low")
    assert only(image) == {"type": "input_image", "image_url": PNG, "detail": "low"}
    assert only(Image(url="http://x")) == {"type": "input_image", "image_url": "http://x"}
    pdf = Document(data=b"%PDF", media_type="application/pdf", name="a.pdf")
    assert only(pdf) == {"type": "input_file", "filename": "a.pdf", "file_data": PDF}
    assert only(Document(url="http://x")) == {"type": "input_file", "file_url": "http://x"}


def test_a_file_without_a_name_gets_one_as_the_protocol_wants_it() -> None:
    assert only(Document(data=b"%PDF"))["filename"] == "document.pdf"
    assert only(Document(data=b"x", media_type="text/plain"))["filename"] == "document.txt"


def test_a_cache_mark_is_a_breakpoint_that_keeps_at_least_as_long() -> None:
    for ttl, told in ((None, {}), ("5m", {}), ("1h", {"ttl": "12h"})):
        part = Text(text="x", cache=CacheMark(ttl=ttl))  # type: ignore[arg-type]
        assert only(part)["prompt_cache_breakpoint"] == {"mode": "explicit", **told}


def test_a_citation_goes_back_to_openai_as_it_came_and_another_with_its_address() -> None:
    raw = {"type": "file_citation", "file_id": "f", "filename": "a", "index": 0}
    cited = (Citation(provider="openai", raw=raw), Citation(url="http://x", provider="gemini"))
    (item,) = items(assistant(Text(text="ab", citations=cited)))
    assert item["content"][0]["annotations"] == [
        raw,
        {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "http://x", "url": "http://x"},
    ]


def test_a_refusal_and_the_phase_of_a_text_go_back() -> None:
    said = assistant(
        Text(text="a", extra={"phase": "commentary"}), Text(text="b"), Text(text="No.", extra={"refusal": True})
    )
    assert items(said) == [
        message("assistant", "a", phase="commentary"),
        message(
            "assistant",
            [{"type": "output_text", "text": "b", "annotations": []}, {"type": "refusal", "refusal": "No."}],
        ),
    ]


def test_an_item_of_openais_own_goes_back_unchanged() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert items(assistant(Opaque(provider="openai", raw=search), "x")) == [search, message("assistant", "x")]
    file = {"type": "input_file", "file_id": "f"}
    sent = items(user("x", Opaque(provider="openai", raw=file)))
    assert sent == [message("user", [{"type": "input_text", "text": "x"}, file])]


def test_an_empty_text_beside_calls_is_no_message_between_them_and_their_results() -> None:
    """As Google's streams end, and ours in its protocol: the pieces come back one by one."""
    call = ToolCall(id="c", name="f")
    assert [item["type"] for item in items(assistant(call, ""), user(ToolResult(call_id="c")))] == [
        "function_call",
        "function_call_output",
    ]
    assert [item["type"] for item in items(assistant("", call))] == ["function_call"]
    assert items(assistant("")) == [message("assistant", "")]


def test_a_call_id_that_is_too_long_is_another_for_the_call_and_its_result() -> None:
    call, result = items(assistant(ToolCall(id="x" * 65, name="f")), user(ToolResult(call_id="x" * 65)))
    assert call["call_id"] == result["call_id"] != "x" * 65
    assert len(call["call_id"]) <= 64
    assert only(ToolCall(id="x" * 64, name="f"))["call_id"] == "x" * 64


def test_a_signature_of_another_provider_says_whose_it_is() -> None:
    part = Thinking(text="", signature="s", provider="gemini")
    assert only(part)["encrypted_content"] == "trivet:gemini:s"


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (Audio(data=b"x", media_type="audio/wav"), "content[1]"),
        (Opaque(provider="anthropic", raw={"type": "x"}), "content[1]"),
        (Opaque(provider="openai", raw={"type": "file", "file": {"file_id": "f"}}), "content[1]"),
        (ToolResult(call_id="c", content=(Audio(url="http://x"),)), "content[1].content[0]"),
    ],
)
def test_a_part_that_has_no_counterpart_is_refused(part: Part, place: str) -> None:
    assert refused(user("q", part)).field == f"messages[0].{place}"


def test_what_else_a_message_cannot_say_is_refused() -> None:
    assert refused(Message(role="user", name="ann", content=(Text(text="x"),))).field == "messages[0].name"
    assert refused(assistant(Image(url="http://x"))).field == "messages[0].content[0]"
    assert refused(assistant(Text(text="x", cache=CacheMark()))).field == "messages[0].content[0]"
    assert refused(assistant(Text(text="x", citations=(Citation(provider="anthropic", raw={}),)))).field


# --- tools and output --------------------------------------------------------------------------------------


def test_tools_are_written_and_are_not_strict_unless_they_say_so() -> None:
    strict = replace(TOOL, name="g", strict=True, result=SCHEMA)
    assert write(tools=(TOOL, strict)) == {
        **USUAL,
        "input": [message("user", "Hi")],
        "tools": [TOOL_OUT, TOOL_OUT | {"name": "g", "output_schema": SCHEMA, "strict": True}],
    }


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice(), {"tool_choice": "auto"}),
        (ToolChoice(mode="none"), {"tool_choice": "none"}),
        (ToolChoice(mode="required"), {"tool_choice": "required"}),
        (ToolChoice(mode="named", name="f"), {"tool_choice": {"type": "function", "name": "f"}}),
        (ToolChoice(mode="required", parallel=False), {"tool_choice": "required", "parallel_tool_calls": False}),
    ],
)
def test_a_tool_choice_is_written(choice: ToolChoice, told: Any) -> None:
    sent = write(tools=(TOOL,), tool_choice=choice)
    assert {k: v for k, v in sent.items() if k in ("tool_choice", "parallel_tool_calls")} == told


def test_structured_output_is_written() -> None:
    assert write(output=Output())["text"] == {"format": {"type": "json_object"}}
    told = {"type": "json_schema", "name": "o", "description": "d", "schema": SCHEMA, "strict": True}
    output = Output(schema=SCHEMA, name="o", description="d", strict=True)
    assert write(output=output)["text"] == {"format": told}
    assert write(output=Output(schema=SCHEMA))["text"]["format"]["name"] == "answer"


def test_a_mark_on_a_tool_is_refused() -> None:
    assert refused(tools=(replace(TOOL, cache=CacheMark()),)).field == "tools[0]"


# --- how it answers ----------------------------------------------------------------------------------------


def test_sampling_is_written() -> None:
    sent = write(sampling=Sampling(max_tokens=5, temperature=0.5, top_p=0.9, logprobs=2))
    assert sent == {
        **USUAL,
        "input": [message("user", "Hi")],
        "max_output_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 2,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    }
    assert "top_logprobs" not in write(sampling=Sampling(logprobs=0))


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_k", 5), ("frequency_penalty", 1.0), ("presence_penalty", 1.0), ("seed", 1), ("stop", ("x",)), ("n", 2)],
)
def test_an_option_that_the_protocol_has_not_is_refused_by_its_name(name: str, value: Any) -> None:
    assert refused(sampling=Sampling(**{name: value})).field == name


@pytest.mark.parametrize(
    ("reasoning", "told"),
    [
        (Reasoning(effort="high", summary="auto"), {"effort": "high", "summary": "auto"}),
        (Reasoning(effort="low", summary="omitted"), {"effort": "low"}),
        (Reasoning(budget_tokens=0), {"effort": "none"}),
        (Reasoning(adaptive=True), None),
    ],
)
def test_reasoning_is_written(reasoning: Reasoning, told: Any) -> None:
    assert write(reasoning=reasoning).get("reasoning") == told


def test_a_budget_of_tokens_for_reasoning_is_refused() -> None:
    assert refused(reasoning=Reasoning(budget_tokens=1024)).field == "budget_tokens"


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "chatgpt-4o-latest", "ft:gpt-4o:x"])
def test_a_model_that_does_not_reason_is_not_asked_for_reasoning(model: str) -> None:
    assert "include" not in write(target=replace(TARGET, model=model))
    assert "include" in write(target=replace(TARGET, model="o4-mini"))


def test_the_labels_are_written() -> None:
    sent = write(user="ann", cache_key="k", service_tier="flex")
    assert (sent["safety_identifier"], sent["prompt_cache_key"], sent["service_tier"]) == ("ann", "k", "flex")
    long = write(user="ann" * 40)["safety_identifier"]
    assert len(long) <= 64
    assert long == write(user="ann" * 40)["safety_identifier"]


def test_a_service_tier_that_only_another_protocol_has_is_refused() -> None:
    assert refused(service_tier="standard_only", source=FOREIGN).field == "service_tier"


def test_a_stream_is_asked_for() -> None:
    assert write(target=replace(TARGET, stream=True))["stream"] is True
    assert "stream" not in write()


# --- fields of other protocols -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"extra": {"their_field": 1}}, "their_field"),
        ({"extra": {"tools": [{"type": "x"}]}}, "tools"),
        ({"extra": {"include": ["x"]}}, "include"),
        ({"reasoning": Reasoning(extra={"their_field": 1})}, "reasoning.their_field"),
        ({"tools": (replace(TOOL, extra={"their_field": 1}),)}, "tools[0].their_field"),
        ({"tools": (replace(TOOL, extra={"type": "custom"}),)}, "tools[0].type"),
    ],
)
def test_a_field_of_another_protocol_is_refused_by_its_name(fields: dict[str, Any], field: str) -> None:
    assert refused(source=FOREIGN, **fields).field == field


def test_a_field_inside_a_message_of_another_protocol_is_refused_by_its_name() -> None:
    second = user("q", Text(text="x", extra={"their_field": 1}))
    assert refused(second, source=FOREIGN).field == "messages[0].content[1].their_field"
    assert refused(Message(role="user", extra={"their_field": 1}), source=FOREIGN).field == "messages[0].their_field"
    failed = ToolResult(call_id="c", is_error=True, content=(Image(url="u", extra={"their_field": 1}),))
    inside = refused(Message(role="user", content=(failed,)), source=FOREIGN).field
    assert inside == "messages[0].content[0].content[0].their_field"


@pytest.mark.parametrize(
    ("wire", "family"),
    [(anthropic, "anthropic"), (gemini, "gemini"), (openai_chat, "openai")],
    ids=lambda v: str(v)[-9:],
)
@pytest.mark.parametrize("source", [None, Source(protocol="openai-responses", body=b"{}")])
def test_a_text_of_openais_goes_to_others_without_what_only_labels_it(wire: Any, family: str, source: Any) -> None:
    said = Text(text="x", extra={"phase": "commentary", "refusal": True})
    chat = Chat(messages=(user("Q"), assistant(said), user("R")), source=source, sampling=Sampling(max_tokens=9))
    bare = replace(chat, messages=(user("Q"), assistant("x"), user("R")))
    target = Target(model="m", provider="p", family=family)
    labelled, plain = (msgspec.json.encode(wire.write(c, target)) for c in (chat, bare))
    assert b"phase" not in labelled
    assert labelled == plain or wire is openai_chat  # which has a place for a refusal


def test_what_chat_completions_share_crosses() -> None:
    chat = Source(protocol="openai-chat", body=b"{}")
    extra = {
        "metadata": {"a": "b"},
        "verbosity": "low",
        "store": True,
        "prompt_cache_retention": "24h",
    }
    sent = write(source=chat, extra=extra, tools=(TOOL,), output=Output())
    assert sent == {
        **USUAL,
        "input": [message("user", "Hi")],
        "tools": [TOOL_OUT],
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "metadata": {"a": "b"},
        "store": True,
        "prompt_cache_retention": "24h",
    }


# --- the same protocol on both sides -----------------------------------------------------------------------


def test_a_clients_own_body_differs_by_its_model_and_by_whether_it_streams() -> None:
    own_body = {"model": msgspec.Raw(b'"m"'), "stream": msgspec.Raw(b"true"), "stream_options": msgspec.Raw(b"{}")}
    assert openai_responses.told(own_body, replace(TARGET, stream=True)) == {"model": "gpt-5.5", "stream": True}
    whole = {"model": "gpt-5.5", "stream": False, "stream_options": msgspec.UNSET}
    assert openai_responses.told(own_body, TARGET) == whole


SEARCH = {"type": "web_search", "search_context_size": "low"}
BODIES: list[dict[str, Any]] = [
    {},
    {"instructions": "Be brief.", "input": [{"role": "user", "content": "Q"}, {"type": "reasoning", "summary": []}]},
    {"input": [{"role": "system", "content": "s"}, {"role": "user", "content": []}], "user": "ann", "store": True},
    {"tools": [SEARCH, {"type": "function", "name": "f", "parameters": SCHEMA}, {"type": "custom", "name": "c"}]},
    {"text": {"verbosity": "low", "format": {"type": "json_object"}}, "include": ["file_search_call.results"]},
    {"reasoning": {"effort": "extreme", "mode": "pro"}, "safety_identifier": "a", "user": "b", "novelty": 1},
    {"previous_response_id": "r", "input": None, "truncation": "auto", "metadata": {"a": "b"}},
    {"tools": [SEARCH], "tool_choice": {"type": "web_search_preview"}, "parallel_tool_calls": False},
]


@pytest.mark.parametrize("fields", BODIES)
def test_what_a_client_of_this_protocol_wrote_is_written_as_it_said_it(fields: dict[str, Any]) -> None:
    request = own(**fields)
    written = openai_responses.write(request, TARGET)
    again = openai_responses.parse(msgspec.json.encode(written)).request
    plain = {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("model", "source")}
    assert {name: getattr(again, name) for name in plain} == plain
    for name in ("tools", "include", "tool_choice", "reasoning", "text", "user", "safety_identifier", "instructions"):
        assert (name in written) == (name in fields), name


def test_an_edit_keeps_the_rest_of_what_the_client_wrote() -> None:
    tools = [SEARCH, {"type": "function", "name": "f", "parameters": SCHEMA, "novelty": 1}]
    inputs = [
        {"role": "system", "content": "s"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"role": "user", "content": "Q", "id": "kept"},
    ]
    request = own(input=inputs, tools=tools, include=["reasoning.encrypted_content"], store=True)
    edited = replace(
        request,
        messages=(system("first"), *request.messages),
        tools=(TOOL, *request.tools),
        sampling=Sampling(logprobs=1),
    )
    sent = json.loads(body(edited, TARGET, openai_responses))
    first = {"type": "message", "role": "system", "content": "first"}
    assert sent == {
        "model": "gpt-5.5",
        "input": [first, *inputs],
        "tools": [SEARCH, {k: v for k, v in TOOL_OUT.items() if k != "strict"}, tools[1]],
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "top_logprobs": 1,
        "store": True,
    }


def test_a_tool_that_a_wrapper_takes_away_is_the_one_that_goes() -> None:
    request = own(tools=[SEARCH, {"type": "function", "name": "f", "parameters": SCHEMA}])
    assert json.loads(body(replace(request, tools=()), TARGET, openai_responses))["tools"] == [SEARCH]


def test_a_changed_label_goes_under_the_clients_own_name() -> None:
    for name in ("user", "safety_identifier"):
        sent = json.loads(body(replace(own(**{name: "ann"}), user="bob"), TARGET, openai_responses))
        assert {k: v for k, v in sent.items() if k in ("user", "safety_identifier")} == {name: "bob"}


# --- any conversation --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
marks = st.sampled_from([None, CacheMark()])
texts = st.builds(lambda t, c: Text(text=t, cache=c), words, marks)
images = st.builds(
    lambda data, detail, cache: Image(data=data, media_type="image/png", detail=detail, cache=cache),
    st.binary(max_size=9),
    st.sampled_from([None, "auto", "low", "high"]),
    marks,
)
files = st.builds(
    lambda data, name: Document(data=data, media_type="application/pdf", name=name), st.binary(max_size=9), words
)
inputs = texts | images | files
results = st.builds(
    lambda id, content: ToolResult(call_id=id, content=tuple(content)), words, st.lists(inputs, max_size=2)
)
said = st.one_of(
    words.map(lambda t: Text(text=t)),
    words.map(lambda t: Text(text=t, extra={"refusal": True})),
    st.builds(
        lambda t, s, p: Thinking(text=t, signature=s, provider=p), words, words, st.sampled_from(["openai", "gemini"])
    ),
    words.map(lambda t: Thinking(text=t)),
    words.map(lambda t: Thinking(redacted=t, provider="anthropic")),
    st.builds(lambda i, a: ToolCall(id=i, name="f", arguments=a), words, words),
    words.map(lambda t: Opaque(provider="openai", raw={"type": "web_search_call", "id": t})),
)
messages = st.one_of(
    st.lists(inputs, min_size=1, max_size=3).map(lambda c: Message(role="user", content=tuple(c))),
    st.lists(inputs, min_size=1, max_size=2).map(lambda c: Message(role="developer", content=tuple(c))),
    st.lists(texts, min_size=1, max_size=2).map(lambda c: Message(role="system", content=tuple(c))),
    st.lists(results | inputs, min_size=1, max_size=3).map(lambda c: Message(role="user", content=tuple(c))),
    st.lists(said, min_size=1, max_size=5).map(lambda c: Message(role="assistant", content=tuple(c))),
)
tools = st.builds(
    lambda name, description, strict: Tool(name=name, description=description, parameters=SCHEMA, strict=strict),
    words,
    st.none() | words,
    st.booleans(),
)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    offered = tuple(draw(st.lists(tools, min_size=1, max_size=2, unique_by=lambda t: t.name)))
    parallel = draw(st.none() | st.booleans())
    choices = [
        None,
        ToolChoice(parallel=parallel),
        ToolChoice(mode="required", parallel=parallel),
        ToolChoice(mode="named", name=offered[0].name),
    ]
    schema = Output(schema=SCHEMA, name=draw(words), strict=draw(st.none() | st.booleans()))
    return Chat(
        model="gpt-5.5",
        messages=tuple(draw(st.lists(messages, min_size=1, max_size=5))),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        output=draw(st.sampled_from([None, Output(), schema])),
        reasoning=draw(st.sampled_from([None, Reasoning(effort="low"), Reasoning(effort="high", summary="auto")])),
        sampling=Sampling(
            max_tokens=draw(st.none() | st.integers(1, 9)),
            temperature=draw(st.none() | st.floats(0, 2)),
            logprobs=draw(st.none() | st.integers(0, 9)),
        ),
        user=draw(st.none() | words),
        cache_key=draw(st.none() | words),
        service_tier=draw(st.sampled_from([None, "auto", "flex"])),
    )


def merged(said: Sequence[Message]) -> list[tuple[str, list[Part]]]:
    """Who said what: a turn is as many messages as a protocol makes of it."""
    out: list[tuple[str, list[Part]]] = []
    for m in said:
        if not out or out[-1][0] != m.role:
            out.append((m.role, []))
        out[-1][1].extend(m.content)
    return out


@given(chats())
def test_any_request_is_read_back_as_it_was(chat: Chat) -> None:
    written = openai_responses.write(chat, TARGET)
    back = openai_responses.parse(msgspec.json.encode(written)).request
    assert isinstance(back, Chat)
    assert merged(back.messages) == merged(chat.messages)
    for name in Chat.__struct_fields__:
        if name not in ("messages", "source"):
            assert getattr(back, name) == getattr(chat, name), name
    assert msgspec.json.encode(openai_responses.write(chat, TARGET)) == msgspec.json.encode(written)
