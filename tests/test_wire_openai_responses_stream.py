"""The stream of an answer to an OpenAI Responses request, event by event, held against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.openai_in_memory import InMemory
from trivet.errors import RateLimitError, RequestError, TransportError, TrivetError, UnsupportedError
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
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    WholePart,
    assistant,
    replace,
)
from trivet.wire import openai_responses
from trivet.wire.deltas import deltas

USAGE = Usage(
    uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100, output_tokens=5, reasoning_tokens=2
)
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "http://x"}
CITED = Citation(url="http://x", title="t", start=0, end=1, provider="openai", raw=CITATION)
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def response(*content: str | Part, finish: Any = "stop", **more: Any) -> ChatResponse:
    choice = Choice(message=assistant(*content), finish_reason=finish, **more)
    return ChatResponse(model="m", id="resp_1", choices=(choice,), usage=USAGE)


def renderer() -> openai_responses.Renderer:
    incoming = openai_responses.parse(b'{"model": "asked", "input": "Hi", "temperature": 0.5}')
    return openai_responses.Renderer(incoming, id="resp_0", created=1700000000)


def stream(*steps: Event | TrivetError) -> list[dict[str, Any]]:
    """The data of a stream's events. Each has its type as its name, is one of the SDK's, and is counted."""
    wire = renderer()
    body = b"".join(wire.failure(e) if isinstance(e, TrivetError) else wire.event(e) for e in steps).decode()
    found = []
    for event in body.split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == "event: " + found[-1]["type"]
        EVENTS.validate_python(found[-1])
    assert [e["sequence_number"] for e in found] == list(range(len(found)))
    return found


def types(events: list[dict[str, Any]]) -> list[str]:
    return [e["type"].removeprefix("response.") for e in events]


def inner(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the three events about the response as a whole, and the count."""
    assert types(events)[:2] == ["created", "in_progress"]
    return [{k: v for k, v in e.items() if k != "sequence_number"} for e in events[2:-1]]


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": [], **more}


def message(index: int, status: str, *content: dict[str, Any]) -> dict[str, Any]:
    head = {"id": f"msg_0_{index}", "type": "message", "status": status, "role": "assistant"}
    return {**head, "content": list(content)}


def call(index: int, status: str, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    head = {"id": f"fc_0_{index}", "type": "function_call", "status": status}
    return {**head, "call_id": call_id, "name": name, "arguments": arguments}


def test_a_text_is_told_from_its_item_down_to_its_pieces_and_back() -> None:
    events = stream(
        Start(model="m", id="resp_1"), TextDelta(text="Hel"), TextDelta(text="lo"), Done(response=response("Hello"))
    )
    at = {"item_id": "msg_0_0", "output_index": 0, "content_index": 0}
    assert inner(events) == [
        {"type": "response.output_item.added", "output_index": 0, "item": message(0, "in_progress")},
        {"type": "response.content_part.added", **at, "part": text("")},
        {"type": "response.output_text.delta", **at, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **at, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": text("Hello")},
        {"type": "response.output_item.done", "output_index": 0, "item": message(0, "completed", text("Hello"))},
    ]


def test_the_response_is_told_as_it_begins_and_as_it_ends() -> None:
    events = stream(Start(model="m", id="resp_1"), TextDelta(text="x"), Done(response=response("x")))
    first, second, last = events[0]["response"], events[1]["response"], events[-1]["response"]
    assert first == second
    assert (first["status"], first["output"], first["usage"], first["completed_at"]) == ("in_progress", [], None, None)
    assert events[-1]["type"] == "response.completed"
    assert last == json.loads(renderer().whole(response("x")))
    assert (last["id"], last["model"], last["temperature"]) == ("resp_1", "m", 0.5)


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("refusal", "content_filter")])
def test_an_answer_that_was_cut_short_ends_as_incomplete_with_its_last_item(finish: Any, reason: str) -> None:
    events = stream(
        TextDelta(text="a"),
        ToolCallDelta(id="c", name="f", arguments='{"a', part=1),
        Done(response=response("a", ToolCall(id="c", name="f", arguments='{"a'), finish=finish)),
    )
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": reason}
    assert [i["status"] for i in events[-1]["response"]["output"]] == ["completed", "incomplete"]
    assert events[-2]["item"]["status"] == "incomplete"


def test_nothing_is_sent_before_the_first_content() -> None:
    assert stream(Start(model="m"), UsageUpdate(usage=USAGE)) == []


def test_an_id_once_sent_does_not_change() -> None:
    events = stream(TextDelta(text="x"), Start(model="m", id="other"), Done(response=response("x")))
    assert {e["response"]["id"] for e in events if "response" in e} == {"resp_0"}


def test_calls_are_told_one_after_the_other_however_a_model_writes_them() -> None:
    events = stream(
        ToolCallDelta(id="c1", name="f", part=0),
        ToolCallDelta(id="c2", name="g", part=1),
        ToolCallDelta(arguments='{"a":', part=0),
        ToolCallDelta(arguments='{"b":2}', part=1),
        ToolCallDelta(arguments="1}", part=0),
        Done(response=response("", finish="tool_calls")),
    )
    first, second = {"item_id": "fc_0_0", "output_index": 0}, {"item_id": "fc_0_1", "output_index": 1}
    arguments = "response.function_call_arguments"
    assert inner(events) == [
        {"type": "response.output_item.added", "output_index": 0, "item": call(0, "in_progress", "c1", "f", "")},
        {"type": f"{arguments}.delta", **first, "delta": '{"a":'},
        {"type": f"{arguments}.delta", **first, "delta": "1}"},
        {"type": f"{arguments}.done", **first, "arguments": '{"a":1}'},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": call(0, "completed", "c1", "f", '{"a":1}'),
        },
        {"type": "response.output_item.added", "output_index": 1, "item": call(1, "in_progress", "c2", "g", "")},
        {"type": f"{arguments}.delta", **second, "delta": '{"b":2}'},
        {"type": f"{arguments}.done", **second, "arguments": '{"b":2}'},
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": call(1, "completed", "c2", "g", '{"b":2}'),
        },
    ]


def test_a_call_to_which_nothing_is_passed_has_an_empty_object() -> None:
    events = stream(ToolCallDelta(id="c1", name="f"), Done(response=response(ToolCall(id="c1", name="f"))))
    assert [e.get("delta", e.get("arguments")) for e in inner(events)[1:3]] == ["{}", "{}"]


def test_reasoning_is_told_as_a_summary_and_its_signature_with_the_whole_item() -> None:
    events = stream(
        ThinkingDelta(text="h"),
        ThinkingDelta(text="m"),
        ThinkingDelta(signature="s"),
        ThinkingDelta(redacted="d", part=1),
        Done(response=response(Thinking(text="hm", signature="s"), Thinking(redacted="d"))),
    )
    at = {"item_id": "rs_0_0", "output_index": 0, "summary_index": 0}
    summary, done = "response.reasoning_summary", {"type": "summary_text", "text": "hm"}
    thought = {"id": "rs_0_0", "type": "reasoning", "summary": [done], "encrypted_content": "s"}
    hidden = {"id": "rs_0_1", "type": "reasoning", "summary": []}
    assert inner(events) == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"id": "rs_0_0", "type": "reasoning", "summary": []},
        },
        {"type": f"{summary}_part.added", **at, "part": {"type": "summary_text", "text": ""}},
        {"type": f"{summary}_text.delta", **at, "delta": "h"},
        {"type": f"{summary}_text.delta", **at, "delta": "m"},
        {"type": f"{summary}_text.done", **at, "text": "hm"},
        {"type": f"{summary}_part.done", **at, "part": done},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": hidden},
        {"type": "response.output_item.done", "output_index": 1, "item": hidden | {"encrypted_content": "d"}},
    ]


def test_logprobs_go_with_the_text_of_their_tokens_and_all_of_them_with_the_item() -> None:
    one, two = (TokenLogprob(token=t, logprob=-0.5, top=(TokenLogprob(token="z", logprob=-1.0),)) for t in "xy")
    events = stream(
        TextDelta(text="x", logprobs=(one,)),
        TextDelta(text="y", logprobs=(two,)),
        Done(response=response("xy", logprobs=(one, two))),
    )
    told = [[t["token"] for t in e["logprobs"]] for e in events if "logprobs" in e]
    assert told == [["x"], ["y"], ["x", "y"]]
    assert [t["token"] for t in events[-1]["response"]["output"][0]["content"][0]["logprobs"]] == ["x", "y"]


def test_a_model_that_answers_all_at_once_is_streamed_too() -> None:
    token = TokenLogprob(token="x", logprob=-0.5)
    answer = response(
        Thinking(text="hm", signature="s"),
        Opaque(provider="openai", raw=SEARCH),
        Text(text="x", citations=(CITED,)),
        Text(text="No.", extra={"refusal": True}),
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        logprobs=(token,),
    )
    events = stream(Done(response=answer))
    assert events[-1]["response"] == json.loads(renderer().whole(answer)) | {"id": "resp_1"}
    assert types(events)[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]


def test_an_answer_of_nothing_is_a_whole_stream() -> None:
    assert types(stream(Done(response=response()))) == ["created", "in_progress", "completed"]


def test_a_server_tools_item_is_told_at_the_end_or_is_an_error() -> None:
    opaque = Opaque(provider="openai", raw=SEARCH)
    after = stream(TextDelta(text="x"), Done(response=response("x", opaque)))
    assert [i["type"] for i in after[-1]["response"]["output"]] == ["message", "web_search_call"]
    before = stream(TextDelta(text="x"), Done(response=response(opaque, "x")))
    assert types(before)[-2:] == ["error", "failed"]


def test_a_server_tools_item_is_told_where_it_comes() -> None:
    opaque = Opaque(provider="openai", raw=SEARCH)
    events = stream(
        ThinkingDelta(text="hm"),
        WholePart(value=opaque, part=1),
        TextDelta(text="x", part=2),
        Done(response=response(Thinking(text="hm"), opaque, "x")),
    )
    assert [e["item"]["type"] for e in events if "item" in e] == [
        *("reasoning", "reasoning", "web_search_call", "web_search_call", "message", "message"),
    ]
    assert [i["type"] for i in events[-1]["response"]["output"]] == ["reasoning", "web_search_call", "message"]


def test_a_piece_that_the_protocol_cannot_carry_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        renderer().event(WholePart(value=Image(url="http://x")))


def test_citations_are_told_at_the_end_of_their_text() -> None:
    events = stream(
        TextDelta(text="x"), TextDelta(text="", citations=(CITED,)), Done(response=response(Text(text="x")))
    )
    assert types(events)[4:8] == [
        *("output_text.delta", "output_text.annotation.added", "output_text.done", "content_part.done"),
    ]
    assert events[5]["annotation"] == CITATION


def test_a_part_that_the_protocol_cannot_carry_is_an_error_and_does_not_vanish() -> None:
    events = stream(TextDelta(text="x"), Done(response=response("x", Image(url="http://x"))))
    assert types(events)[-2:] == ["error", "failed"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("no", field="input"), "invalid_prompt"),
        (RateLimitError("slow"), "rate_limit_exceeded"),
        (TransportError("cut"), "server_error"),
    ],
)
def test_a_failure_is_an_error_and_a_failed_response(error: TrivetError, code: str) -> None:
    events = stream(TextDelta(text="x"), error)
    assert types(events)[-2:] == ["error", "failed"]
    told, failed = events[-2], events[-1]["response"]
    assert (told["message"], told["param"]) == (error.message, getattr(error, "field", None))
    assert (failed["status"], failed["error"]) == ("failed", {"code": code, "message": error.message})


def test_a_failure_before_any_content_is_a_stream_that_began() -> None:
    assert types(stream(TransportError("cut"))) == ["created", "in_progress", "error", "failed"]


def test_a_failure_in_mid_stream_is_an_api_error_of_the_sdk() -> None:
    sdk = InMemory(openai_responses, [TextDelta(text="x"), TransportError("the line was cut")])
    with pytest.raises(openai.APIError, match="the line was cut"):
        list(sdk.client.responses.create(model="m", input="Hi", stream=True))


def test_the_same_events_give_the_same_bytes() -> None:
    events = [TextDelta(text="x"), Done(response=response("x"))]
    one, two = renderer(), renderer()
    assert [one.event(e) for e in events] == [two.event(e) for e in events]


# --- any answer --------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
arguments = st.dictionaries(words, st.integers() | words, max_size=2).map(json.dumps)
parts = st.one_of(
    words.map(lambda t: Text(text=t)),
    st.tuples(st.text(max_size=8), words).map(lambda t: Thinking(text=t[0], signature=t[1])),
    words.map(lambda t: Thinking(redacted=t)),
    st.tuples(words, words, arguments).map(lambda t: ToolCall(id=t[0], name=t[1], arguments=t[2])),
)


def split(delta: Any, at: int) -> list[Any]:
    """A delta in two, as a model may send it."""
    if isinstance(delta, ToolCallDelta):
        head = replace(delta, arguments=delta.arguments[:at])
        return [head, ToolCallDelta(arguments=delta.arguments[at:], part=delta.part)]
    if delta.text[:at] and delta.text[at:]:
        return [type(delta)(text=delta.text[:at], part=delta.part), replace(delta, text=delta.text[at:])]
    return [delta]


@given(st.lists(parts, max_size=5, unique_by=lambda p: getattr(p, "id", object())), st.integers(0, 5))
def test_the_sdk_puts_any_stream_together_to_what_the_whole_answer_is(content: list[Part], at: int) -> None:
    answer = response(*content)
    events = [piece for delta in deltas(answer) for piece in split(delta, at)]
    told = stream(Start(model="m", id="resp_1"), *events, Done(response=answer))
    assert told[-1]["response"] == json.loads(renderer().whole(answer))
    sdk = InMemory(openai_responses, [Start(model="m", id="resp_1"), *events, Done(response=answer)])
    with sdk.client.responses.stream(model="m", input="Hi") as streamed:
        final = streamed.get_final_response()
    expected = SdkResponse.model_validate(told[-1]["response"])
    assert final.output_text == expected.output_text
    assert [i.type for i in final.output] == [i.type for i in expected.output]
    assert [i.arguments for i in final.output if i.type == "function_call"] == [
        p.arguments for p in content if isinstance(p, ToolCall)
    ]


@pytest.mark.parametrize("all_at_once", [False, True])
def test_the_phase_of_a_text_is_told_from_its_items_beginning(all_at_once: bool) -> None:
    said = response(Text(text="x", extra={"phase": "commentary"}))
    steps: list[Event] = [] if all_at_once else list(deltas(said))
    events = stream(Start(model="m"), *steps, Done(response=said))
    items = [e["item"] for e in events if "item" in e]
    assert [(i["status"], i["phase"]) for i in items] == [("in_progress", "commentary"), ("completed", "commentary")]
    assert events[-1]["response"]["output"] == items[1:]
