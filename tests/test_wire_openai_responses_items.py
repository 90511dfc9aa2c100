"""The input of an OpenAI Responses request, read as messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseFunctionToolCallParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseOutputTextParam,
    ResponseReasoningItemParam,
)
from openai.types.responses.response_input_param import FunctionCallOutput

from tests.openai_in_memory import InMemory
from trivet.errors import RequestError
from trivet.types import (
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    check,
    replace,
    system,
    user,
)
from trivet.wire import openai_responses

PNG_URL = "data:image/png;base64," + base64.b64encode(b"png").decode()
PDF = base64.b64encode(b"%PDF").decode()
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


def parse(input: Any) -> tuple[Message, ...]:
    request = openai_responses.parse(json.dumps({"model": "m", "input": input}).encode()).request
    assert isinstance(request, Chat)
    assert request.extra == {}
    return request.messages


def item(sent: dict[str, Any]) -> Part:
    """The one part of the one message that an item is read as."""
    (message,) = parse([sent])
    (part,) = message.content
    return part


def part(sent: dict[str, Any], role: str = "user") -> Part:
    return item({"role": role, "content": [sent]})


def refused(input: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(input)
    return caught.value


def test_a_text_is_a_users_message() -> None:
    assert parse("Hi") == (user("Hi"),)


def test_messages_of_every_role_are_read_with_or_without_their_type() -> None:
    items = [
        {"role": "system", "content": "a"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "c"}, {"type": "input_text", "text": "d"}]},
        {"role": "assistant", "content": "e"},
    ]
    developer = Message(role="developer", content=(Text(text="b"),))
    assert parse(items) == (system("a"), developer, user("c", "d"), assistant("e"))


def test_the_items_of_one_turn_of_the_models_are_one_message() -> None:
    items = [
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        CALL,
        CALL | {"call_id": "c2"},
        OUTPUT,
        OUTPUT | {"call_id": "c2", "output": "rainy"},
        {"role": "assistant", "content": "Sunny and rainy."},
    ]
    first, second = (ToolCall(id=id, name="f", arguments='{"a": 1}') for id in ("c1", "c2"))
    assert parse(items) == (
        user("Weather?"),
        assistant(Thinking(text="hm"), "Let me see.", first, second),
        user(ToolResult(call_id="c1", content=(Text(text="sunny"),))),
        user(ToolResult(call_id="c2", content=(Text(text="rainy"),))),
        assistant("Sunny and rainy."),
    )


def test_what_only_says_how_an_answer_came_about_is_taken() -> None:
    text = {"type": "output_text", "text": "x", "annotations": [], "logprobs": [{"token": "x"}]}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    assert parse([message, CALL | {"id": "fc_1", "status": "completed"}]) == (
        assistant("x", ToolCall(id="c1", name="f", arguments='{"a": 1}')),
    )


def test_pictures_are_bytes_or_addresses() -> None:
    png = part({"type": "input_image", "image_url": PNG_URL, "detail": "low"})
    assert png == Image(data=b"png", media_type="image/png", detail="low")
    http = part({"type": "input_image", "image_url": "http://x", "detail": "original"})
    assert http == Image(url="http://x", extra={"detail": "original"})


def test_files_are_bytes_or_addresses_with_a_name() -> None:
    expected = Document(data=b"%PDF", media_type="application/pdf", name="a.pdf")
    url = "data:application/pdf;base64," + PDF
    assert part({"type": "input_file", "file_data": url, "filename": "a.pdf", "detail": "auto"}) == expected
    assert part({"type": "input_file", "file_data": PDF}) == Document(data=b"%PDF")
    assert part({"type": "input_file", "file_url": "http://x"}) == Document(url="http://x")


def test_reasoning_keeps_what_its_provider_needs_back() -> None:
    said = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    thought = [{"type": "reasoning_text", "text": "abc"}]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": said}
    assert item(reasoning) == Thinking(text="a\n\nb")
    assert item(reasoning | {"encrypted_content": "e"}) == Thinking(text="a\n\nb", signature="e", provider="openai")
    hidden = reasoning | {"summary": [], "encrypted_content": "e"}
    assert item(hidden) == Thinking(redacted="e", provider="openai")
    other = hidden | {"encrypted_content": "trivet:gemini:e"}
    assert item(other) == Thinking(redacted="e", provider="gemini")
    assert item(reasoning | {"summary": [], "content": thought}) == Thinking(text="abc")
    assert item(reasoning | {"content": thought}) == Thinking(text="abc", extra={"summary": said})


def test_a_refusal_is_a_text_with_a_label() -> None:
    assert part({"type": "refusal", "refusal": "No."}, "assistant") == Text(text="No.", extra={"refusal": True})


def test_the_annotations_of_a_text_are_citations() -> None:
    told = {"type": "url_citation", "url": "http://x", "title": "t", "start_index": 0, "end_index": 1}
    file = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 3}
    theirs = file | {"filename": "", "provider": "anthropic", "raw": {"type": "char_location"}}
    text = {"type": "output_text", "text": "x", "annotations": [told, file, theirs]}
    assert part(text, "assistant") == Text(
        text="x",
        citations=(
            Citation(url="http://x", title="t", start=0, end=1, provider="openai", raw=told),
            Citation(title="a.pdf", provider="openai", raw=file),
            Citation(provider="anthropic", raw={"type": "char_location"}),
        ),
    )


def test_the_phase_of_a_message_stays_with_its_texts() -> None:
    (message,) = parse(
        [{"type": "reasoning", "summary": []}, {"role": "assistant", "content": "x", "phase": "commentary"}]
    )
    assert message == assistant(Thinking(), Text(text="x", extra={"phase": "commentary"}))


def test_a_results_output_may_be_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PNG_URL}]
    content = (Text(text="a"), Image(data=b"png", media_type="image/png"))
    assert item(OUTPUT | {"output": parts}) == ToolResult(call_id="c1", content=content)


@pytest.mark.parametrize(
    ("raw", "role"),
    [
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "assistant"),
        ({"type": "item_reference", "id": "x"}, "assistant"),
        ({"id": "x"}, "assistant"),
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "user"),
        ({"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}, "user"),
        (OUTPUT | {"output": [{"type": "input_image", "file_id": "f"}]}, "user"),
    ],
)
def test_an_item_that_only_openai_understands_is_opaque_as_received(raw: dict[str, Any], role: str) -> None:
    (message,) = parse([raw])
    assert message == Message(role=role, content=(Opaque(provider="openai", raw=raw),))  # type: ignore[arg-type]


def test_a_file_of_openais_own_is_opaque_in_its_place() -> None:
    raw = {"type": "input_file", "file_id": "f", "filename": "a.pdf"}
    assert parse([{"role": "user", "content": [{"type": "input_text", "text": "x"}, raw]}]) == (
        user("x", Opaque(provider="openai", raw=raw)),
    )


def test_a_cache_breakpoint_is_a_cache_mark_and_one_with_a_lifetime_stays_in_extra() -> None:
    text = {"type": "input_text", "text": "x"}
    mark = {"mode": "explicit"}
    assert part(text | {"prompt_cache_breakpoint": mark}) == Text(text="x", cache=CacheMark())
    longer = {"prompt_cache_breakpoint": mark | {"ttl": "12h"}}
    assert part(text | longer) == Text(text="x", extra=longer)


def test_an_unknown_field_goes_to_extra_of_what_it_belongs_to() -> None:
    messages = parse(
        [
            {"role": "assistant", "content": "x"},
            {"role": "assistant", "content": "y", "mood": "good"},
            CALL | {"namespace": "n"},
            OUTPUT | {"namespace": "n"},
        ]
    )
    assert messages[0] == assistant("x")
    assert messages[1].extra == {"mood": "good"}
    assert messages[1].tool_calls[0].extra == {"namespace": "n"}
    assert messages[2].content[0].extra == {"namespace": "n"}


@pytest.mark.parametrize(
    ("input", "field"),
    [
        (None, "input"),
        ([], "input"),
        (5, "input"),
        (["x"], "input[0]"),
        ([{}], "input[0].id"),
        ([{"role": "tool", "content": "x"}], "input[0].role"),
        ([{"type": "message", "content": "x"}], "input[0].role"),
        ([{"role": "user"}], "input[0].content"),
        ([{"role": "user", "content": [{"text": "x"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "input[0].content[0].type"),
        ([{"role": "assistant", "content": [{"type": "input_image"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content[0].image_url"),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0]"),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_data": "?"}]}],
            "input[0].content[0].file_data",
        ),
        ([CALL | {"call_id": None}], "input[0].call_id"),
        ([CALL | {"arguments": {}}], "input[0].arguments"),
        ([OUTPUT | {"output": None}], "input[0].output"),
        ([OUTPUT | {"call_id": None}], "input[0].call_id"),
        ([{"type": "reasoning", "summary": [{"type": "x"}]}], "input[0].summary[0].type"),
        ([{"type": "reasoning", "summary": [{"text": "x", "z": 1}]}], "input[0].summary[0].z"),
    ],
)
def test_a_wrong_input_is_refused_with_its_path(input: Any, field: str) -> None:
    error = refused(input)
    assert error.field == field
    assert field in error.message


# --- every field that the SDK knows ------------------------------------------------------------------------

MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
TAKEN = {"id", "status", "logprobs"}  # they say how an answer came about
CALLER = {"caller": {"type": "program", "caller_id": "x"}}
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]}
# Params of the SDK, the smallest item (or part, in a message from a role), and a value for each field beside that.
INSIDE: list[tuple[Any, str, dict[str, Any], dict[str, Any]]] = [
    (EasyInputMessageParam, "", {"role": "assistant", "content": "x", "type": "message"}, {"phase": "commentary"}),
    (
        ResponseOutputMessageParam,
        "",
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"}], "type": "message"},
        {"phase": "commentary"},
    ),
    (ResponseFunctionToolCallParam, "", CALL, {**CALLER, "namespace": "n", "async": True}),
    (FunctionCallOutput, "", OUTPUT, {**CALLER, "name": "n", "namespace": "n"}),
    (
        ResponseReasoningItemParam,
        "",
        REASONING,
        {"content": [{"type": "reasoning_text", "text": "y"}], "encrypted_content": "e"},
    ),
    (ResponseInputTextParam, "user", {"type": "input_text", "text": "x"}, MARK),
    (ResponseOutputTextParam, "assistant", {"type": "output_text", "text": "x"}, {"annotations": [{"type": "a"}]}),
    (
        ResponseInputImageParam,
        "user",
        {"type": "input_image", "image_url": "http://x"},
        {**MARK, "detail": "low", "file_id": "f"},
    ),
    (
        ResponseInputFileParam,
        "user",
        {"type": "input_file", "file_url": "http://x"},
        {**MARK, "detail": "low", "file_data": PDF, "file_id": "f", "filename": "x"},
    ),
]
CASES = [(role, plain, name, value) for _, role, plain, more in INSIDE for name, value in more.items()]


def test_every_field_inside_an_input_has_a_value_in_the_table() -> None:
    for params, _, plain, more in INSIDE:
        assert (set(plain) | set(more)) - TAKEN == set(params.__annotations__) - TAKEN, params


@pytest.mark.parametrize(("role", "plain", "name", "value"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_no_field_inside_an_input_vanishes(role: str, plain: dict[str, Any], name: str, value: Any) -> None:
    def wrap(sent: dict[str, Any]) -> dict[str, Any]:
        return {"role": role, "content": [sent]} if role else sent

    try:
        after = parse([wrap(plain | {name: value})])
    except RequestError:
        return
    assert after != parse([wrap(plain)])


# --- any conversation --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
encoded = st.binary(max_size=12).map(lambda b: (b, base64.b64encode(b).decode()))
arguments = st.dictionaries(words, st.integers() | words, max_size=2).map(json.dumps)
Pair = tuple[dict[str, Any], Message]


@st.composite
def inputs(draw: st.DrawFn) -> tuple[dict[str, Any], Part]:
    kind, mark = draw(st.sampled_from(["input_text", "input_image", "input_file"])), draw(st.booleans())
    sent, cache = (MARK, CacheMark()) if mark else ({}, None)
    if kind == "input_text":
        text = draw(words)
        return {"type": kind, "text": text, **sent}, Text(text=text, cache=cache)
    data, text = draw(encoded)
    if kind == "input_image":
        image = Image(data=data, media_type="image/png", detail="high", cache=cache)
        return {"type": kind, "image_url": f"data:image/png;base64,{text}", "detail": "high", **sent}, image
    name = draw(words)
    document = Document(data=data, media_type="application/pdf", name=name, cache=cache)
    return {"type": kind, "file_data": f"data:application/pdf;base64,{text}", "filename": name, **sent}, document


def listed(kind: Any) -> Any:
    """A list of parts, or one text as a plain string: pairs of what is sent and what it is read as."""
    many = st.lists(kind, min_size=1, max_size=3).map(lambda ps: ([p[0] for p in ps], tuple(p[1] for p in ps)))
    return many | words.map(lambda t: (t, (Text(text=t),)))


outputs = words.map(lambda t: ({"type": "output_text", "text": t, "annotations": []}, Text(text=t)))


@st.composite
def items(draw: st.DrawFn) -> Pair:
    kind = draw(st.sampled_from(["user", "system", "assistant", "reasoning", "call", "result", "other"]))
    if kind in ("user", "system", "assistant"):
        sent, parts = draw(listed(outputs if kind == "assistant" else inputs()))
        return {"role": kind, "content": sent}, Message(role=kind, content=parts)  # type: ignore[arg-type]
    id, name, text = draw(names), draw(names), draw(words)
    if kind == "reasoning":
        said = draw(st.booleans())
        thought = Thinking(text=text, signature=name) if said else Thinking(redacted=name)
        thought = replace(thought, provider="openai")
        summary = [{"type": "summary_text", "text": text}] if said else []
        return {"type": kind, "id": id, "summary": summary, "encrypted_content": name}, assistant(thought)
    if kind == "call":
        args = draw(arguments)
        sent = {"type": "function_call", "call_id": id, "name": name, "arguments": args}
        return sent, assistant(ToolCall(id=id, name=name, arguments=args))
    if kind == "result":
        output, parts = draw(listed(inputs()))
        sent = {"type": "function_call_output", "call_id": id, "output": output}
        return sent, user(ToolResult(call_id=id, content=parts))
    sent = {"type": "web_search_call", "id": id, "status": "completed"}
    return sent, assistant(Opaque(provider="openai", raw=sent))


def turns(messages: list[Message]) -> list[Message]:
    """With what the model said in one turn as one message."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1].role == message.role == "assistant":
            out[-1] = assistant(*out[-1].content, *message.content)
        else:
            out.append(message)
    return out


LOOP = InMemory(
    openai_responses, ChatResponse(model="m", choices=(Choice(message=assistant("ok"), finish_reason="stop"),))
)


@given(st.lists(items(), min_size=1, max_size=6))
def test_any_conversation_that_the_sdk_sends_is_read_whole(pairs: list[Pair]) -> None:
    LOOP.client.responses.create(model="m", input=[sent for sent, _ in pairs])  # type: ignore[misc]
    assert LOOP.incoming is not None
    request = LOOP.incoming.request
    assert isinstance(request, Chat)
    assert list(request.messages) == turns([expected for _, expected in pairs])
    assert check(request) == request
