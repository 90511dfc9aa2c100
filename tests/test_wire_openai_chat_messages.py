"""The messages of an OpenAI chat request, read as ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.openai_in_memory import InMemory
from trivet.errors import RequestError
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Document,
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    check,
    system,
    user,
)
from trivet.wire import openai_chat

PNG = b"\x89PNG\r\n"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


def parse(messages: Any) -> tuple[Message, ...]:
    request = openai_chat.parse(json.dumps({"model": "m", "messages": messages}).encode()).request
    assert isinstance(request, Chat)
    return request.messages


def parse_message(**message: Any) -> Message:
    return parse([message])[0]


def refused(messages: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(messages)
    return caught.value


# --- messages ----------------------------------------------------------------------------------------------


def test_every_role_is_read() -> None:
    messages = parse(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": "Weather?", "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ]
    )
    assert messages == (
        system("Be brief."),
        Message(role="developer", content=(Text(text="In French."),)),
        Message(role="user", content=(Text(text="Weather?"),), name="ann"),
        assistant(ToolCall(id="c1", name="weather", arguments="{}")),
        user(ToolResult(call_id="c1", content=(Text(text="sunny"),))),
    )


def test_a_picture_in_a_data_url_becomes_bytes_and_any_other_stays_an_address() -> None:
    message = parse_message(
        role="user",
        content=[
            {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ],
    )
    assert message.content == (
        Image(data=PNG, media_type="image/png", detail="low"),
        Image(url="https://example.org/a.png"),
    )


def test_sound_and_files_become_bytes_with_their_media_type() -> None:
    encoded = base64.b64encode(b"RIFF").decode()
    message = parse_message(
        role="user",
        content=[
            {"type": "input_audio", "input_audio": {"data": encoded, "format": "mp3"}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded}", "filename": "a.pdf"}},
        ],
    )
    assert message.content == (
        Audio(data=b"RIFF", media_type="audio/mpeg"),
        Document(data=b"RIFF", media_type="application/pdf", name="a.pdf"),
    )


def test_what_only_openai_can_resolve_is_an_opaque_part_of_its() -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    assert parse_message(role="user", content=[part]).content == (Opaque(provider="openai", raw=part),)
    assert parse_message(role="assistant", tool_calls=[call]).content == (Opaque(provider="openai", raw=call),)


def test_content_of_a_kind_that_some_host_has_added_is_an_opaque_part() -> None:
    video = {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}
    assert parse_message(role="user", content=[video]).content == (Opaque(provider="openai", raw=video),)


def test_a_refusal_of_an_earlier_turn_is_text_with_a_label() -> None:
    labelled = (Text(text="I can't.", extra={"refusal": True}),)
    assert parse_message(role="assistant", content=None, refusal="I can't.").content == labelled
    as_part = [{"type": "refusal", "refusal": "I can't."}]
    assert parse_message(role="assistant", content=as_part).content == labelled


def test_reasoning_of_an_earlier_turn_comes_before_its_text() -> None:
    message = parse_message(role="assistant", content="4", reasoning_content="2 and 2")
    assert message.content == (Thinking(text="2 and 2"), Text(text="4"))


def test_reasoning_that_is_said_twice_and_differently_is_refused() -> None:
    details = [{"type": "reasoning.text", "text": "one"}]
    sent = {"role": "assistant", "content": "4", "reasoning_details": details}
    assert parse_message(**sent, reasoning_content="one").content == (Thinking(text="one"), Text(text="4"))
    assert refused([sent | {"reasoning_content": "two"}]).field == "messages[0].reasoning_content"


def test_no_text_beside_calls_may_be_written_as_an_empty_string() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert parse_message(role="assistant", content="", tool_calls=[call]).content == (ToolCall(id="c", name="f"),)
    assert parse_message(role="user", content="").content == (Text(text=""),)


def test_calls_may_keep_the_index_that_they_had_in_a_stream() -> None:
    calls = [{"index": i, "id": f"c{i}", "function": {"name": "f", "arguments": "{}"}} for i in range(2)]
    expected = tuple(ToolCall(id=f"c{i}", name="f") for i in range(2))
    assert parse_message(role="assistant", tool_calls=calls).content == expected


def test_signed_reasoning_says_by_its_format_whose_it_is() -> None:
    text = {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1"}
    data = {"type": "reasoning.encrypted", "data": "r", "format": "xai-responses-v1"}
    plain = {"type": "reasoning.text", "text": "so", "signature": "t"}
    assert parse_message(role="assistant", content="4", reasoning_details=[text, data, plain]).content == (
        Thinking(text="hm", signature="s", provider="anthropic"),
        Thinking(redacted="r", provider="xai-responses-v1"),
        Thinking(text="so", signature="t", provider="openai"),
        Text(text="4"),
    )


def test_geminis_signature_of_a_call_is_an_empty_thought_before_it() -> None:
    function = {"name": "f", "arguments": "{}"}
    signed = {"id": "a", "function": function, "extra_content": {"google": {"thought_signature": "g", "new": 1}}}
    content = parse_message(role="assistant", tool_calls=[{"id": "b", "function": function}, signed]).content
    assert content == (
        ToolCall(id="b", name="f"),
        Thinking(signature="g", provider="gemini"),
        ToolCall(id="a", name="f", extra={"extra_content": {"google": {"new": 1}}}),
    )


def test_annotations_are_citations_of_the_turns_text() -> None:
    annotation = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}
    cited = Citation(url="https://a.example", title="A", provider="openai", raw=annotation)
    message = parse_message(role="assistant", content="so", annotations=[annotation])
    assert (message.content, message.extra) == ((Text(text="so", citations=(cited,)),), {})


def test_cache_control_is_a_cache_mark_with_its_lifetime() -> None:
    text = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert parse_message(role="user", content=[text]).content == (Text(text="long", cache=CacheMark(ttl="1h")),)


def test_reasoning_details_of_kinds_unknown_here_stay_in_extra() -> None:
    details = [{"type": "reasoning.summary", "summary": "short"}]
    assert parse_message(role="assistant", content="4", reasoning_details=details).extra == {
        "reasoning_details": details
    }


def test_a_cache_breakpoint_is_a_cache_mark_and_one_with_a_lifetime_stays_in_extra() -> None:
    text = {"type": "text", "text": "long"}
    plain, timed = {"mode": "explicit"}, {"mode": "explicit", "ttl": "12h"}
    parts = [text | {"prompt_cache_breakpoint": plain}, text | {"prompt_cache_breakpoint": timed}]
    assert parse_message(role="user", content=parts).content == (
        Text(text="long", cache=CacheMark()),
        Text(text="long", extra={"prompt_cache_breakpoint": timed}),
    )


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        (None, "messages"),
        ("Hi", "messages"),
        (["Hi"], "messages[0]"),
        ([{"content": "Hi"}], "messages[0].role"),
        ([{"role": "robot", "content": "Hi"}], "messages[0].role"),
        ([{"role": "function", "name": "f", "content": "Hi"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "assistant"}], "messages[0].content"),
        ([{"role": "assistant", "content": "x", "function_call": {"name": "f"}}], "messages[0].function_call"),
        ([{"role": "user", "content": [{"text": "Hi"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "assistant", "content": [{"type": "picture"}]}], "messages[0].content[0].type"),
        ([{"role": "system", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            "messages[0].content[0].image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "é", "format": "wav"}}]}],
            "messages[0].content[0].input_audio.data",
        ),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1", "type": "x", "function": {}}]}],
            "messages[0].tool_calls[0].type",
        ),
    ],
)
def test_a_wrong_message_is_refused_with_its_path(messages: Any, field: str) -> None:
    error = refused(messages)
    assert error.field == field
    assert field.rpartition(".")[0] in error.message


# --- any conversation --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
encoded = st.binary(max_size=12).map(lambda b: (b, base64.b64encode(b).decode()))
texts = words.map(lambda t: ({"type": "text", "text": t}, Text(text=t)))
pictures = st.tuples(encoded, st.sampled_from(["auto", "low", "high"])).map(
    lambda p: (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{p[0][1]}", "detail": p[1]}},
        Image(data=p[0][0], media_type="image/png", detail=p[1]),
    )
)
addresses = words.map(
    lambda w: ({"type": "image_url", "image_url": {"url": f"https://{w}"}}, Image(url=f"https://{w}"))
)
sounds = encoded.map(
    lambda e: (
        {"type": "input_audio", "input_audio": {"data": e[1], "format": "wav"}},
        Audio(data=e[0], media_type="audio/wav"),
    )
)
files = st.tuples(encoded, words).map(
    lambda p: (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{p[0][1]}", "filename": p[1]}},
        Document(data=p[0][0], media_type="application/pdf", name=p[1]),
    )
)
arguments = st.dictionaries(words, st.integers() | words, max_size=2).map(json.dumps)
calls = st.tuples(names, names, arguments).map(
    lambda c: (
        {"id": c[0], "type": "function", "function": {"name": c[1], "arguments": c[2]}},
        ToolCall(id=c[0], name=c[1], arguments=c[2]),
    )
)


def content(kind: Any) -> Any:
    """A list of parts, or one text as a plain string: pairs of what is sent and what it is read as."""
    listed = st.lists(kind, min_size=1, max_size=4).map(lambda ps: ([p[0] for p in ps], tuple(p[1] for p in ps)))
    return listed | words.map(lambda t: (t, (Text(text=t),)))


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, Any], Message]:
    role = draw(st.sampled_from(["system", "developer", "user", "assistant", "tool"]))
    sent: dict[str, Any] = {"role": role}
    kinds = texts | pictures | addresses | sounds | files if role == "user" else texts
    sent["content"], parts = draw(content(kinds))
    if role == "tool":
        sent["tool_call_id"] = draw(names)
        return sent, user(ToolResult(call_id=sent["tool_call_id"], content=parts))
    name = draw(st.none() | names)
    if name is not None:
        sent["name"] = name
    if role == "assistant":
        made = draw(st.lists(calls, max_size=3))
        if made:
            sent["tool_calls"] = [c[0] for c in made]
        thought = draw(st.none() | words)
        if thought is not None:
            sent["reasoning_content"] = thought
            parts = (Thinking(text=thought), *parts)
        parts = (*parts, *(c[1] for c in made))
    return sent, Message(role=role, content=parts, name=name)  # type: ignore[arg-type]


OK = Choice(message=assistant("ok"), finish_reason="stop")
LOOP = InMemory(openai_chat, ChatResponse(model="m", choices=(OK,)))


@given(st.lists(messages(), min_size=1, max_size=5))
def test_any_conversation_that_the_sdk_sends_is_read_whole(pairs: list[tuple[dict[str, Any], Message]]) -> None:
    LOOP.client.chat.completions.create(model="m", messages=[sent for sent, _ in pairs])  # type: ignore[misc]
    assert LOOP.incoming is not None
    assert LOOP.incoming.request.messages == tuple(expected for _, expected in pairs)
    assert check(LOOP.incoming.request) == LOOP.incoming.request
