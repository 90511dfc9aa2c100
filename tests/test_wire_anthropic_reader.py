"""Anthropic's answer read: whole, streamed, and as an error. The bodies and streams have the shapes that Anthropic's
published API reference shows, and the SDK's own types accept those that it knows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import (
    AuthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    RequestError,
    TransportError,
    TrivetError,
)
from trivet.types import (
    Aside,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    CountTokens,
    Done,
    Event,
    Message,
    Opaque,
    Part,
    Sampling,
    Source,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    WholePart,
    replace,
    user,
)
from trivet.wire import Incoming, Target, anthropic, sse
from trivet.wire.anthropic import count
from trivet.wire.deltas import deltas

TARGET = Target(model="m", provider="up", family="anthropic", stream=True)
HI = Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=9))
OWN = replace(HI, source=Source(protocol="anthropic", body=b"{}"))
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
USED = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 20,
    "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60},
    "output_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 2},
}
USAGE = Usage(
    uncached_input_tokens=3,
    cache_read_tokens=20,
    cache_write_tokens=100,
    cache_write_1h_tokens=60,
    output_tokens=5,
    reasoning_tokens=2,
)
CITATION = {
    "type": "web_search_result_location",
    "url": "http://x",
    "title": "X",
    "cited_text": "q",
    "encrypted_index": "e",
}
CITED = Citation(url="http://x", title="X", quote="q", provider="anthropic", raw=CITATION)
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}


def answer(*blocks: Any, reason: str = "end_turn", usage: Any = USED, **more: Any) -> dict[str, Any]:
    return {**MESSAGE, "content": list(blocks), "stop_reason": reason, "usage": usage, **more}


def whole(body: dict[str, Any], request: Chat = HI) -> ChatResponse:
    SdkMessage.model_validate(body)
    return anthropic.Reader(request, TARGET).whole(json.dumps(body).encode())


def wired(*events: dict[str, Any]) -> list[sse.Event]:
    return [
        sse.Event(data=d, name=e["type"], raw=b"event: " + e["type"].encode() + b"\ndata: " + d + b"\n\n")
        for e in events
        for d in [json.dumps(e).encode()]
    ]


def read(events: Iterable[sse.Event], request: Chat = HI) -> list[Event]:
    reader = anthropic.Reader(request, TARGET)
    return [*(told for event in events for told in reader.event(event)), *reader.end()]


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


BEGIN = {
    "type": "message_start",
    "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {**USED, "output_tokens": 1}},
}
ENDING = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 5},
}
END = {"type": "message_stop"}


def stream(*events: dict[str, Any], ending: dict[str, Any] = ENDING, request: Chat = HI) -> list[Event]:
    return read(wired(BEGIN, *events, ending, END), request)


def response(events: list[Event]) -> ChatResponse:
    assert isinstance(events[-1], Done)
    assert isinstance(events[-1].response, ChatResponse)
    return events[-1].response


# --- whole -------------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_read() -> None:
    got = whole(answer({"type": "text", "text": "Hello"}))
    choice = Choice(message=Message(role="assistant", content=(Text(text="Hello"),)), finish_reason="stop")
    assert got == ChatResponse(model="claude", id="msg_1", choices=(choice,), usage=USAGE)


def test_every_block_is_a_part_in_its_place() -> None:
    got = whole(
        answer(
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            SEARCH,
            FOUND,
            {"type": "text", "text": "x", "citations": [CITATION]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1}, "caller": {"type": "direct"}},
            {"type": "tool_use", "id": "u", "name": "f", "input": {}, "toolset_name": "browser"},
            reason="tool_use",
        )
    )
    assert got.message.content == (
        Thinking(text="hm", signature="s", provider="anthropic"),
        Thinking(redacted="d", provider="anthropic"),
        Opaque(provider="anthropic", raw=SEARCH),
        Opaque(provider="anthropic", raw=FOUND),
        Text(text="x", citations=(CITED,)),
        ToolCall(id="t", name="f", arguments='{"b":1}'),
        ToolCall(id="u", name="f", extra={"toolset_name": "browser"}),
    )
    assert got.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "finish", "extra"),
    [
        ("end_turn", "stop", {}),
        ("stop_sequence", "stop", {}),
        ("max_tokens", "length", {}),
        ("tool_use", "tool_calls", {}),
        ("refusal", "refusal", {}),
        ("pause_turn", "stop", {"stop_reason": "pause_turn"}),
        ("model_context_window_exceeded", "length", {"stop_reason": "model_context_window_exceeded"}),
    ],
)
def test_each_stop_reason_is_a_finish_reason_and_what_we_have_no_word_for_is_kept(
    reason: str, finish: str, extra: dict[str, Any]
) -> None:
    for choice in (whole(answer(reason=reason)).choices[0], response(stream(ending=ended(reason))).choices[0]):
        assert (choice.finish_reason, choice.extra) == (finish, extra)


def ended(reason: str | None, **more: Any) -> dict[str, Any]:
    return {**ENDING, "delta": {"stop_reason": reason, "stop_sequence": None, **more}}


def test_a_stop_reason_of_the_future_is_kept() -> None:
    choice = response(stream(ending=ended("of the future"))).choices[0]
    assert (choice.finish_reason, choice.extra) == ("stop", {"stop_reason": "of the future"})


def test_a_stop_sequence_and_a_refusals_details_are_kept() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    got = whole(answer(reason="stop_sequence", stop_sequence="END", stop_details=details))
    assert (got.choices[0].stop_sequence, got.choices[0].extra) == ("END", {"stop_details": details})
    streamed = response(stream(ending=ended("stop_sequence", stop_sequence="END", stop_details=details)))
    assert (streamed.choices[0].stop_sequence, streamed.choices[0].extra) == ("END", {"stop_details": details})


def test_what_has_no_field_of_ours_stands_in_extra_and_goes_back() -> None:
    used = {**USED, "service_tier": "priority", "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}
    container = {"id": "c", "expires_at": "2026-01-01T00:00:00Z"}
    body = answer({"type": "text", "text": "x"}, usage=used, container=container)
    got = whole(body)
    beyond = {"service_tier": "priority", "server_tool_use": used["server_tool_use"]}
    assert got.extra == {"container": container, "anthropic_usage": beyond}
    asked = anthropic.parse(b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}')
    back = json.loads(anthropic.Renderer(asked).whole(got))
    assert {k: v for k, v in back["usage"].items() if v is not None} == used
    assert back["container"] == container


def test_a_count_that_is_null_is_unknown_and_a_cache_that_is_not_told_of_is_none() -> None:
    unknown = {"input_tokens": 3, "cache_read_input_tokens": None, "output_tokens": 1}
    assert whole(answer(usage=unknown)).usage == Usage(uncached_input_tokens=3, cache_write_tokens=0, output_tokens=1)
    assert whole(answer(usage={"input_tokens": 3, "output_tokens": 1})).usage.input_tokens == 3


def test_a_note_says_what_was_done_differently() -> None:
    request = Chat(messages=(user("Hi"),))
    assert "4096" in whole(answer(), request).notes[0]
    first = stream(request=request)[0]
    assert isinstance(first, Start)
    assert "4096" in first.notes[0]


def test_a_client_of_the_protocol_gets_the_bytes_of_the_answer() -> None:
    body = json.dumps(answer({"type": "text", "text": "x"})).encode()
    assert anthropic.Reader(OWN, TARGET).whole(body).raw == Source(protocol="anthropic", body=body)
    assert anthropic.Reader(HI, TARGET).whole(body).raw is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"content": [], "usage": 5}', b'{"content": [7], "usage": {}}'],
)
def test_what_is_no_answer_is_a_provider_error(body: bytes) -> None:
    with pytest.raises(ProviderError, match="base_url"):
        anthropic.Reader(HI, TARGET).whole(body)


# --- streamed ------------------------------------------------------------------------------------------------------


def test_a_stream_is_start_then_deltas_then_the_whole() -> None:
    events = stream(
        start(0, type="text", text=""),
        {"type": "ping"},
        delta(0, "text_delta", text="Hel"),
        delta(0, "text_delta", text="lo"),
        stop(0),
    )
    assert events[:-1] == [
        Start(model="claude", id="msg_1"),
        UsageUpdate(usage=replace(USAGE, output_tokens=1)),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        UsageUpdate(usage=USAGE),
    ]
    assert response(events) == whole(answer({"type": "text", "text": "Hello"}))


def test_thoughts_and_calls_are_deltas_of_their_parts() -> None:
    events = stream(
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="s"),
        stop(0),
        start(1, type="redacted_thinking", data="d"),
        stop(1),
        start(2, type="tool_use", id="t", name="f", input={}),
        delta(2, "input_json_delta", partial_json=""),
        delta(2, "input_json_delta", partial_json='{"b": '),
        delta(2, "input_json_delta", partial_json="1}"),
        stop(2),
        ending=ended("tool_use"),
    )
    assert events[2:-2] == [
        ThinkingDelta(part=0),
        ThinkingDelta(text="hm", part=0),
        ThinkingDelta(signature="s", provider="anthropic", part=0),
        ThinkingDelta(redacted="d", provider="anthropic", part=1),
        ToolCallDelta(id="t", name="f", part=2),
        ToolCallDelta(part=2),
        ToolCallDelta(arguments='{"b": ', part=2),
        ToolCallDelta(arguments="1}", part=2),
    ]
    assert response(events).message.content == (
        Thinking(text="hm", signature="s", provider="anthropic"),
        Thinking(redacted="d", provider="anthropic"),
        ToolCall(id="t", name="f", arguments='{"b": 1}'),
    )


def test_arguments_that_were_cut_short_are_as_the_model_wrote_them() -> None:
    events = stream(
        start(0, type="tool_use", id="t", name="f", input={}),
        delta(0, "input_json_delta", partial_json='{"b": '),
        stop(0),
        ending=ended("max_tokens"),
    )
    assert response(events).tool_calls == (ToolCall(id="t", name="f", arguments='{"b": '),)


def test_citations_are_of_the_text_that_they_stand_in() -> None:
    events = stream(
        start(0, type="text", text="", citations=[]),
        delta(0, "text_delta", text="x"),
        delta(0, "citations_delta", citation=CITATION),
        stop(0),
    )
    assert events[3] == TextDelta(text="", citations=(CITED,))
    assert response(events).message.content == (Text(text="x", citations=(CITED,)),)


def test_a_server_tools_block_is_told_in_one_piece_in_its_place() -> None:
    events = stream(
        start(0, type="text", text=""),
        delta(0, "text_delta", text="x"),
        stop(0),
        start(1, **{**SEARCH, "input": {}}),
        delta(1, "input_json_delta", partial_json='{"query"'),
        delta(1, "input_json_delta", partial_json=': "x"}'),
        stop(1),
        start(2, **FOUND),
        stop(2),
        start(3, type="text", text=""),
        delta(3, "text_delta", text="y"),
        stop(3),
    )
    search, found = Opaque(provider="anthropic", raw=SEARCH), Opaque(provider="anthropic", raw=FOUND)
    assert events[3:5] == [WholePart(value=search, part=1), WholePart(value=found, part=2)]
    assert response(events).message.content == (Text(text="x"), search, found, Text(text="y"))


def test_a_block_of_the_future_is_put_together_whatever_its_deltas() -> None:
    (_, _, told, _, done) = stream(
        start(0, type="compaction", content="", n=1),
        delta(0, "compaction_delta", content="a", n=2),
        delta(0, "compaction_delta", content="b"),
        stop(0),
    )
    raw = {"type": "compaction", "content": "ab", "n": 2}
    assert told == WholePart(value=Opaque(provider="anthropic", raw=raw))
    assert response([done]).message.content == (Opaque(provider="anthropic", raw=raw),)


def test_an_event_or_delta_of_the_future_does_no_harm() -> None:
    events = stream(
        {"type": "of the future"},
        start(0, type="text", text="x"),
        delta(0, "of the future", what={"a": 1}),
        stop(0),
    )
    assert response(events).text == "x"


def test_an_answer_of_nothing_is_whole() -> None:
    assert response(stream()).message.content == ()


def test_usage_adds_up_over_the_stream() -> None:
    late = {**ENDING, "usage": {"output_tokens": 9, "input_tokens": 7, "cache_read_input_tokens": None}}
    usage = response(stream(ending=late)).usage
    assert (usage.uncached_input_tokens, usage.cache_read_tokens, usage.output_tokens) == (7, 20, 9)
    assert usage.cache_write_1h_tokens == 60


@pytest.mark.parametrize("usage", [None, {"output_tokens": None}])
def test_output_that_only_a_streams_beginning_has_counted_is_unknown(usage: Any) -> None:
    assert response(stream(ending={**ENDING, "usage": usage})).usage.output_tokens is None


def test_a_client_of_the_protocol_gets_every_byte_once_and_in_order() -> None:
    sent = wired(
        BEGIN,
        start(0, type="text", text=""),
        {"type": "ping"},
        delta(0, "text_delta", text="x"),
        stop(0),
        start(1, **SEARCH),
        stop(1),
        {"type": "of the future"},
        ENDING,
        END,
    )
    events = read(sent, OWN)
    assert all(e.raw is not None and e.raw.protocol == "anthropic" for e in events)
    assert b"".join(e.raw.body for e in events if e.raw is not None) == b"".join(e.raw for e in sent)
    assert sum(isinstance(e, Aside) for e in events) == 5
    assert events[1].raw == Source(protocol="anthropic", body=b"")


@pytest.mark.parametrize("kept", range(5))
def test_a_cut_stream_is_an_error_and_never_an_end(kept: int) -> None:
    events = wired(BEGIN, start(0, type="text", text=""), delta(0, "text_delta", text="x"), stop(0), ENDING, END)
    with pytest.raises(TransportError):
        read(events[:kept])


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", OverloadedError),
        ("rate_limit_error", RateLimitError),
        ("api_error", ProviderError),
        ("authentication_error", AuthError),
        ("invalid_request_error", RequestError),
        ("timeout_error", ProviderError),
        ("of the future", ProviderError),
    ],
)
def test_an_error_in_mid_stream_is_raised_as_what_it_is(kind: str, error: type[TrivetError]) -> None:
    told = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    with pytest.raises(TrivetError) as caught:
        read(wired(BEGIN, told))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start"},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "message_delta", "delta": 5},
    ],
)
def test_an_event_of_another_shape_is_a_provider_error(event: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        read(wired(event))


def test_data_that_is_no_json_is_a_provider_error() -> None:
    for data in (b"", b"{", b"[]", b"\xff"):
        with pytest.raises(ProviderError):
            anthropic.Reader(HI, TARGET).event(sse.Event(data=data))


# --- counts --------------------------------------------------------------------------------------------------------


def test_a_count_is_read() -> None:
    asked = CountTokens(messages=HI.messages, source=Source(protocol="anthropic-count", body=b"{}"))
    got = count.Reader(asked, TARGET).whole(b'{"input_tokens": 7, "more": 1}')
    assert (got.model, got.input_tokens, got.extra) == ("m", 7, {"more": 1})
    assert got.raw == Source(protocol="anthropic-count", body=b'{"input_tokens": 7, "more": 1}')
    for body in (b"", b"[]", b"{}", b'{"input_tokens": "7"}'):
        with pytest.raises(ProviderError):
            count.Reader(asked, TARGET).whole(body)


# --- any answer ----------------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
objects = st.dictionaries(words, st.integers(-99, 99) | words, max_size=2).map(
    lambda d: msgspec.json.encode(d).decode()
)
foreign = st.builds(
    Citation, url=words, title=words, start=st.integers(0, 9), end=st.integers(0, 9), provider=st.just("openai")
)
parts = st.one_of(
    st.builds(Text, text=words, citations=st.lists(st.just(CITED) | foreign, max_size=2).map(tuple)),
    st.builds(Thinking, text=words, signature=words, provider=st.sampled_from(["anthropic", "gemini", "openai"])),
    st.builds(Thinking, redacted=words, provider=st.sampled_from(["anthropic", "openai"])),
    st.builds(ToolCall, id=words, name=words, arguments=objects),
)
reasons = st.sampled_from(["stop", "length", "tool_calls", "refusal"])


@given(st.lists(parts, max_size=5), reasons)
def test_what_our_own_server_answers_is_read_as_what_it_was(content: list[Part], reason: Any) -> None:
    """Whole and streamed."""
    asked = anthropic.parse(b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}')
    choice = Choice(message=Message(role="assistant", content=tuple(content)), finish_reason=reason)
    given = ChatResponse(model="m", id="msg_1", choices=(choice,), usage=USAGE)
    assert anthropic.Reader(HI, TARGET).whole(anthropic.Renderer(asked).whole(given)) == given
    events = [Start(model="m", id="msg_1"), UsageUpdate(usage=USAGE), *deltas(given), Done(response=given)]
    assert response(read(rendered(asked, events))) == given


def rendered(asked: Incoming, events: Iterable[Event]) -> list[sse.Event]:
    renderer = anthropic.Renderer(asked)
    found = []
    for raw in b"".join(renderer.event(e) for e in events).split(b"\n\n")[:-1]:
        name, data = raw.split(b"\n", 1)
        found.append(sse.Event(name=name[7:].decode(), data=data[6:], raw=raw + b"\n\n"))
    return found
