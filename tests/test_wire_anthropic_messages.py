"""The messages and the system prompt of an Anthropic request, read as ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.anthropic_in_memory import InMemory
from trivet.errors import RequestError
from trivet.types import (
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
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
    system,
    user,
)
from trivet.wire import anthropic

HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
PDF = base64.b64encode(b"%PDF").decode()
MARK = {"type": "ephemeral"}


def parse(**fields: Any) -> Chat:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO} | fields).encode()
    request = anthropic.parse(body).request
    assert isinstance(request, Chat)
    return request


def block(sent: dict[str, Any], role: str = "user") -> Part:
    (part,) = parse(messages=[{"role": role, "content": [sent]}]).messages[0].content
    return part


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


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
    assert block(sent, "assistant") == Thinking(text="hm", signature="s", provider="anthropic")
    assert block(sent | {"signature": ""}, "assistant") == Thinking(text="hm")
    assert block({"type": "redacted_thinking", "data": "d"}, "assistant") == Thinking(
        redacted="d", provider="anthropic"
    )


def test_another_providers_signature_is_known_for_what_it_is() -> None:
    sent = {"type": "thinking", "thinking": "", "signature": "trivet:gemini:s"}
    assert block(sent, "assistant") == Thinking(signature="s", provider="gemini")
    redacted = {"type": "redacted_thinking", "data": "trivet:openai:d"}
    assert block(redacted, "assistant") == Thinking(redacted="d", provider="openai")


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


# --- any conversation ---------------------------------------------------------------------------------------

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
        part = Thinking(text=text, signature="s" + text, provider="anthropic")
        return {"type": kind, "thinking": text, "signature": "s" + text}, part
    if kind == "redacted_thinking":
        return {"type": kind, "data": text}, Thinking(redacted=text, provider="anthropic")
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
