"""The stream of an answer to an Anthropic request, event by event, held against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import anthropic as sdk
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.anthropic_in_memory import InMemory
from trivet.errors import (
    TransportError,
    UnsupportedError,
)
from trivet.types import (
    ChatResponse,
    Choice,
    Citation,
    Done,
    Event,
    Image,
    Opaque,
    Part,
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
    assistant,
    replace,
)
from trivet.wire import anthropic
from trivet.wire.deltas import deltas

INCOMING = anthropic.parse(b'{"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}')
USAGE = Usage(
    uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100, output_tokens=5, reasoning_tokens=2
)
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def response(*content: str | Part, finish: Any = "stop", usage: Usage = USAGE, **more: Any) -> ChatResponse:
    choice = Choice(message=assistant(*content), finish_reason=finish, **more)
    return ChatResponse(model="m", id="msg_1", choices=(choice,), usage=usage)


def whole(answer: ChatResponse) -> dict[str, Any]:
    """The body of a whole answer, which the SDK's type must accept."""
    body = anthropic.Renderer(INCOMING, id="msg_0").whole(answer)
    SdkMessage.model_validate_json(body, strict=True)
    found: dict[str, Any] = json.loads(body)
    return found


def stream(*events: Event, valid: bool = True) -> list[dict[str, Any]]:
    """The data of a stream's events, each of which has its type as its name. Where the input's tokens are known at
    its start, each is one of the SDK's."""
    renderer = anthropic.Renderer(INCOMING, id="msg_0")
    known = [UsageUpdate(usage=USAGE)] if valid else []
    body = b"".join(renderer.event(e) for e in (*known, *events)).decode()
    found = []
    for event in body.split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == "event: " + found[-1]["type"]
        if valid and name != "event: error":  # which the SDK makes an exception of
            EVENTS.validate_python(found[-1])
    return found


def summary(events: list[dict[str, Any]]) -> list[Any]:
    """Events as `(type, index, what they say)`, in short."""
    short = {"content_block_start": "content_block", "content_block_delta": "delta"}
    return [(e["type"][14:], e["index"], e.get(short.get(e["type"], ""))) for e in events if "index" in e]


def test_a_stream_is_start_then_blocks_then_reason_then_stop() -> None:
    known = Usage(uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100)
    events = stream(
        Start(model="m", id="msg_1"),
        UsageUpdate(usage=known),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        Done(response=response("Hello", finish="length")),
    )
    assert [e["type"] for e in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0]["message"]
    assert (message["id"], message["model"], message["content"]) == ("msg_1", "m", [])
    assert (message["stop_reason"], message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (None, 3, 0)
    assert message["usage"]["cache_read_input_tokens"] == 20
    assert set(message) == set(whole(response("x")))
    assert summary(events) == [
        ("start", 0, {"type": "text", "text": "", "citations": None}),
        ("delta", 0, {"type": "text_delta", "text": "Hel"}),
        ("delta", 0, {"type": "text_delta", "text": "lo"}),
        ("stop", 0, None),
    ]
    assert events[-2]["delta"] == {
        "container": None,
        "stop_details": None,
        "stop_reason": "max_tokens",
        "stop_sequence": None,
    }
    assert events[-2]["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 20,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
        "server_tool_use": None,
    }


def test_nothing_is_sent_before_the_first_content() -> None:
    assert stream(Start(model="m"), UsageUpdate(usage=USAGE), TextDelta(text="")) == []


def test_input_that_is_unknown_when_a_stream_starts_is_null_until_it_ends() -> None:
    events = stream(TextDelta(text="x"), Done(response=response("x")), valid=False)
    assert events[0]["message"]["usage"]["input_tokens"] is None
    assert events[-2]["usage"]["input_tokens"] == 3


def test_thoughts_text_and_calls_are_blocks_with_indices_that_count_up() -> None:
    events = stream(
        ThinkingDelta(text="h", part=0),
        ThinkingDelta(text="m", part=0),
        ThinkingDelta(signature="s", part=0),
        ThinkingDelta(redacted="d", part=1),
        TextDelta(text="x", part=4),
        ToolCallDelta(id="t1", name="f", part=5),
        ToolCallDelta(arguments='{"a":', part=5),
        ToolCallDelta(arguments="1}", part=5),
        ToolCallDelta(id="t2", name="g", arguments="{}", part=6),
        Done(response=response("", finish="tool_calls")),
    )
    json_delta = "input_json_delta"
    assert summary(events) == [
        ("start", 0, {"type": "thinking", "thinking": "", "signature": ""}),
        ("delta", 0, {"type": "thinking_delta", "thinking": "h"}),
        ("delta", 0, {"type": "thinking_delta", "thinking": "m"}),
        ("delta", 0, {"type": "signature_delta", "signature": "s"}),
        ("stop", 0, None),
        ("start", 1, {"type": "redacted_thinking", "data": "d"}),
        ("stop", 1, None),
        ("start", 2, {"type": "text", "text": "", "citations": None}),
        ("delta", 2, {"type": "text_delta", "text": "x"}),
        ("stop", 2, None),
        ("start", 3, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
        ("delta", 3, {"type": json_delta, "partial_json": ""}),
        ("delta", 3, {"type": json_delta, "partial_json": '{"a":'}),
        ("delta", 3, {"type": json_delta, "partial_json": "1}"}),
        ("stop", 3, None),
        ("start", 4, {"type": "tool_use", "id": "t2", "name": "g", "input": {}}),
        ("delta", 4, {"type": json_delta, "partial_json": "{}"}),
        ("stop", 4, None),
    ]


def test_calls_that_a_model_writes_side_by_side_are_told_one_after_the_other() -> None:
    events = stream(
        ToolCallDelta(id="t1", name="f", part=0),
        ToolCallDelta(id="t2", name="g", part=1),
        ToolCallDelta(arguments='{"a":', part=0),
        ToolCallDelta(arguments='{"b":', part=1),
        ToolCallDelta(arguments="1}", part=0),
        ToolCallDelta(arguments="2}", part=1),
        Done(response=response("", finish="tool_calls")),
    )
    told = [
        (kind, index, (what or {}).get("id") or (what or {}).get("partial_json"))
        for kind, index, what in summary(events)
    ]
    assert told == [
        ("start", 0, "t1"),
        ("delta", 0, ""),
        ("delta", 0, '{"a":'),
        ("delta", 0, "1}"),
        ("stop", 0, None),
        ("start", 1, "t2"),
        ("delta", 1, ""),
        ("delta", 1, '{"b":'),
        ("delta", 1, "2}"),
        ("stop", 1, None),
    ]


def test_a_model_that_answers_all_at_once_is_streamed_too() -> None:
    answer = response(
        Thinking(text="hm", signature="s"),
        Opaque(provider="anthropic", raw=SEARCH),
        Text(text="x", citations=(Citation(quote="x", provider="anthropic", raw=CITATION),)),
        ToolCall(id="t1", name="f", arguments='{"a":1}'),
    )
    events = stream(Done(response=answer), valid=False)
    assert events[0]["message"]["usage"]["input_tokens"] == 3
    assert summary(events) == [
        ("start", 0, {"type": "thinking", "thinking": "", "signature": ""}),
        ("delta", 0, {"type": "thinking_delta", "thinking": "hm"}),
        ("delta", 0, {"type": "signature_delta", "signature": "s"}),
        ("stop", 0, None),
        ("start", 1, SEARCH),
        ("stop", 1, None),
        ("start", 2, {"type": "text", "text": "", "citations": None}),
        ("delta", 2, {"type": "text_delta", "text": "x"}),
        ("delta", 2, {"type": "citations_delta", "citation": CITATION}),
        ("stop", 2, None),
        ("start", 3, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
        ("delta", 3, {"type": "input_json_delta", "partial_json": '{"a":1}'}),
        ("stop", 3, None),
    ]


def test_an_answer_of_nothing_is_a_whole_stream() -> None:
    events = stream(Done(response=response("")))
    assert [e["type"] for e in events] == ["message_start", "message_delta", "message_stop"]


def test_a_server_tools_block_is_told_at_the_end_or_is_an_error() -> None:
    opaque = Opaque(provider="anthropic", raw=SEARCH)
    after = stream(TextDelta(text="x"), Done(response=response("x", opaque)))
    assert summary(after)[-2:] == [("start", 1, SEARCH), ("stop", 1, None)]
    before = stream(TextDelta(text="x"), Done(response=response(opaque, "x")), valid=False)
    assert before[-1]["type"] == "error"


def test_a_block_in_one_piece_is_told_in_its_place() -> None:
    opaque = Opaque(provider="anthropic", raw=SEARCH)
    events = stream(
        TextDelta(text="x", part=0),
        WholePart(value=opaque, part=1),
        TextDelta(text="y", part=2),
        Done(response=response("x", opaque, "y")),
    )
    assert [(kind, index) for kind, index, _ in summary(events) if kind != "delta"] == [
        ("start", 0),
        ("stop", 0),
        ("start", 1),
        ("stop", 1),
        ("start", 2),
        ("stop", 2),
    ]
    assert summary(events)[3] == ("start", 1, SEARCH)


def test_a_block_in_one_piece_that_the_protocol_cannot_carry_is_an_error() -> None:
    with pytest.raises(UnsupportedError):
        stream(WholePart(value=Opaque(provider="openai", raw={})))


def test_citations_that_come_after_their_text_are_told_in_its_block() -> None:
    cited = Citation(quote="x", provider="anthropic", raw=CITATION)
    told = summary(stream(TextDelta(text="x"), TextDelta(text="", citations=(cited,)), Done(response=response("x"))))
    assert told[2] == ("delta", 0, {"type": "citations_delta", "citation": CITATION})


def test_the_same_events_give_the_same_bytes() -> None:
    events = [TextDelta(text="x"), Done(response=response("x", ToolCall(id="1", name="f", arguments='{"b":1,"a":2}')))]
    one, two = (anthropic.Renderer(INCOMING, id="msg_0") for _ in range(2))
    assert [one.event(e) for e in events] == [two.event(e) for e in events]


def test_a_part_that_the_protocol_cannot_carry_is_an_error_and_does_not_vanish() -> None:
    answer = response("x", Image(url="http://x"))
    assert stream(TextDelta(text="x"), Done(response=answer))[-1]["type"] == "error"


def test_a_failure_in_mid_stream_is_an_error_of_the_sdk() -> None:
    client = InMemory(anthropic, [TextDelta(text="x"), TransportError("the line was cut")])
    messages: Any = [{"role": "user", "content": "x"}]
    with pytest.raises(sdk.APIError, match="the line was cut"):
        list(client.client.messages.create(model="m", max_tokens=9, messages=messages, stream=True))


# --- any answer --------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
objects = st.dictionaries(words, st.integers() | words, max_size=2).map(json.dumps)
parts = st.one_of(
    words.map(lambda t: Text(text=t)),
    st.tuples(st.text(max_size=8), words).map(lambda t: Thinking(text=t[0], signature=t[1])),
    words.map(lambda t: Thinking(redacted=t)),
    st.tuples(words, words, objects).map(lambda t: ToolCall(id=t[0], name=t[1], arguments=t[2])),
)


def split(delta: Any, at: int) -> list[Any]:
    """A delta in two, as a model may send it."""
    if isinstance(delta, ToolCallDelta):
        head = replace(delta, arguments=delta.arguments[:at])
        return [head, ToolCallDelta(arguments=delta.arguments[at:], part=delta.part)]
    if delta.text[:at] and delta.text[at:]:
        tail = replace(delta, text=delta.text[at:])
        head = TextDelta(text=delta.text[:at], part=delta.part)
        return [head if isinstance(delta, TextDelta) else ThinkingDelta(text=head.text, part=delta.part), tail]
    return [delta]


@given(st.lists(parts, max_size=5), st.integers(0, 5))
def test_the_sdk_puts_any_stream_together_to_what_the_whole_answer_is(content: list[Part], at: int) -> None:
    answer = response(*content)
    events = [piece for delta in deltas(answer) for piece in split(delta, at)]
    client = InMemory(
        anthropic, [Start(model="m", id="msg_1"), UsageUpdate(usage=USAGE), *events, Done(response=answer)]
    )
    with client.client.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ) as streamed:
        final = streamed.get_final_message().to_dict()
    for block in final["content"]:  # type: ignore[attr-defined]
        block.pop("parsed_output", None)
    expected = SdkMessage.model_validate(whole(answer)).to_dict()
    for usage in (final["usage"], expected["usage"]):
        del usage["output_tokens_details"]  # type: ignore[attr-defined]  # the SDK's own models differ there
    assert final == expected
