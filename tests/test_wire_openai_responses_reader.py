"""An OpenAI Responses answer, read: whole, and as a stream. The events have the shapes of OpenAI's API reference, and
each is checked against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from trivet.collect import Collector
from trivet.errors import (
    AuthError,
    ContextLengthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    RequestError,
    TransportError,
    TrivetError,
    UnknownModelError,
)
from trivet.types import (
    Aside,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Done,
    Event,
    Opaque,
    Part,
    Source,
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
    user,
)
from trivet.wire import Incoming, Target, openai_responses, sse
from trivet.wire.deltas import deltas

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TARGET = Target(model="m", provider="openai", family="openai", stream=True)
ASKED = Chat(messages=(user("Hi"),))
OWN = Chat(messages=(user("Hi"),), source=Source(protocol="openai-responses", body=b"{}"))
HEAD = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5.5-2026-04-23",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "error": None,
    "incomplete_details": None,
}
USAGE = {
    "input_tokens": 123,
    "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 128,
}
OURS = Usage(uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100, output_tokens=5, reasoning_tokens=2)
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "http://x"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
TOKEN = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": [{"token": "y", "logprob": -1.0, "bytes": [1]}]}


def output_text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": [], **more}


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    return {**head, "content": list(content), **more}


def call(id: str, arguments: str, **more: Any) -> dict[str, Any]:
    head = {"id": f"fc_{id}", "type": "function_call", "status": "completed"}
    return {**head, "call_id": id, "name": "f", "arguments": arguments, **more}


def reasoning(*summary: str, encrypted: str | None = None) -> dict[str, Any]:
    told = [{"type": "summary_text", "text": s} for s in summary]
    return {"id": "rs_1", "type": "reasoning", "summary": told, "encrypted_content": encrypted}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**HEAD, "status": "completed", "output": list(output), "usage": USAGE, **more}


def whole(*output: dict[str, Any], request: Chat = ASKED, **more: Any) -> ChatResponse:
    body = json.dumps(response(*output, **more)).encode()
    SdkResponse.model_validate_json(body)
    return openai_responses.Reader(request, TARGET).whole(body)


def sent(kind: str, **fields: Any) -> sse.Event:
    """An event of the stream, which must be one of the SDK's."""
    data = {"type": kind, "sequence_number": 0, **fields}
    EVENTS.validate_python(data)
    body = json.dumps(data).encode()
    return sse.Event(name=kind, data=body, raw=b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n")


def created() -> sse.Event:
    return sent("response.created", response={**HEAD, "status": "in_progress", "output": []})


def completed(*output: dict[str, Any], **more: Any) -> sse.Event:
    return sent("response.completed", response=response(*output, **more))


def added(index: int, item: dict[str, Any]) -> sse.Event:
    return sent("response.output_item.added", output_index=index, item=item)


def done(index: int, item: dict[str, Any]) -> sse.Event:
    return sent("response.output_item.done", output_index=index, item=item)


def delta(kind: str, text: str, index: int = 0, **fields: Any) -> sse.Event:
    at = {"item_id": "i", "output_index": index, "delta": text}
    places = {
        "output_text": {"content_index": 0, "logprobs": []},
        "refusal": {"content_index": 0},
        "reasoning_summary_text": {"summary_index": 0},
        "reasoning_text": {"content_index": 0},
        "function_call_arguments": {},
    }
    return sent(f"response.{kind}.delta", **{**at, **places[kind], **fields})


def read(*events: sse.Event, request: Chat = ASKED) -> list[Event]:
    """What a stream amounts to. Its `Done` is the last event, and has what the deltas amount to."""
    reader = openai_responses.Reader(request, TARGET)
    told = [e for event in events for e in reader.event(event)] + list(reader.end())
    last = told[-1]
    assert isinstance(last, Done)
    assert isinstance(last.response, ChatResponse)
    collector = Collector()
    for event in told:
        collector.add(event)
    assert [plain(p) for p in collector.content()] == [plain(p) for p in last.response.message.content]
    return told


def plain(part: Part) -> Part:
    """Without what no delta can say."""
    return part if isinstance(part, Opaque) else part.__class__(**{**fields(part), "extra": {}})


def fields(part: Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__struct_fields__}


def inner(events: list[Event]) -> list[Event]:
    assert isinstance(events[0], Start)
    assert isinstance(events[-2], UsageUpdate)
    return events[1:-2]


# --- whole -------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_read() -> None:
    got = whole(message(output_text("Hello")))
    assert got == ChatResponse(
        model="gpt-5.5-2026-04-23",
        id="resp_1",
        usage=OURS,
        choices=(Choice(message=assistant("Hello"), finish_reason="stop"),),
    )


def test_each_item_is_a_part_in_its_place_and_a_message_has_one_for_each_text() -> None:
    got = whole(
        reasoning("a", "b", encrypted="e"),
        reasoning(encrypted="r"),
        SEARCH,
        message(output_text("x", annotations=[CITATION]), output_text("y"), phase="commentary"),
        call("c1", '{"a": 1}'),
        call("c2", ""),
    )
    cited = Citation(url="http://x", title="t", start=0, end=1, provider="openai", raw=CITATION)
    assert got.message.content == (
        Thinking(text="a\n\nb", signature="e", provider="openai"),
        Thinking(redacted="r", provider="openai"),
        Opaque(provider="openai", raw=SEARCH),
        Text(text="x", citations=(cited,), extra={"phase": "commentary"}),
        Text(text="y", extra={"phase": "commentary"}),
        ToolCall(id="c1", name="f", arguments='{"a": 1}'),
        ToolCall(id="c2", name="f"),
    )
    assert got.finish_reason == "tool_calls"


def test_a_thought_of_which_nothing_is_told_is_no_part() -> None:
    assert whole(reasoning(), message(output_text("x"))).message == assistant("x")


def test_a_signature_that_says_whose_it_is_is_theirs() -> None:
    got = whole(reasoning("a", encrypted="trivet:gemini:s"))
    assert got.message.content == (Thinking(text="a", signature="s", provider="gemini"),)


def test_an_open_thought_keeps_its_summary_beside_it() -> None:
    item = {**reasoning("s"), "content": [{"type": "reasoning_text", "text": "abc"}]}
    assert whole(item).message.content == (Thinking(text="abc", extra={"summary": item["summary"]}),)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
    ],
)
def test_why_it_ended_is_told(more: dict[str, Any], expected: str) -> None:
    assert whole(message(output_text("x")), **more).finish_reason == expected


def test_a_reason_that_has_no_word_of_ours_stays_in_extra() -> None:
    got = whole(status="incomplete", incomplete_details={"reason": "steered"})
    assert got.choices[0].extra == {"incomplete_details": {"reason": "steered"}}


def test_a_refusal_is_a_text_with_a_label() -> None:
    got = whole(message({"type": "refusal", "refusal": "No."}))
    assert got.message == assistant(Text(text="No.", extra={"refusal": True}))
    assert got.finish_reason == "refusal"


def test_logprobs_are_those_of_all_texts() -> None:
    token = TokenLogprob(token="x", logprob=-0.5, bytes=(120,), top=(TokenLogprob(token="y", logprob=-1, bytes=(1,)),))
    got = whole(message(output_text("x", logprobs=[TOKEN]), output_text("x", logprobs=[TOKEN])))
    assert got.choices[0].logprobs == (token, token)


def test_what_only_the_provider_says_is_in_extra_and_what_the_request_said_is_not() -> None:
    got = whole(message(output_text("x")), service_tier="flex", temperature=1.0, novelty={"a": 1})
    assert got.extra == {"service_tier": "flex", "novelty": {"a": 1}}


def test_usage_that_is_not_told_is_unknown() -> None:
    assert whole(message(output_text("x")), usage=None).usage == Usage()


def test_content_of_an_unknown_kind_is_kept_as_it_is() -> None:
    body = json.dumps(response(message({"type": "novelty", "x": 1}))).encode()
    (part,) = openai_responses.Reader(ASKED, TARGET).whole(body).message.content
    assert part == Opaque(provider="openai", raw=message({"type": "novelty", "x": 1}))


def test_a_client_of_the_same_protocol_gets_the_body_as_it_came() -> None:
    body = json.dumps(response()).encode()
    assert openai_responses.Reader(OWN, TARGET).whole(body).raw == Source(protocol="openai-responses", body=body)
    assert openai_responses.Reader(ASKED, TARGET).whole(body).raw is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"x": 1}', b"\xff"])
def test_a_body_that_is_no_response_is_a_provider_error(body: bytes) -> None:
    with pytest.raises(ProviderError):
        openai_responses.Reader(ASKED, TARGET).whole(body)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ProviderError),
        ("rate_limit_exceeded", RateLimitError),
        ("invalid_prompt", RequestError),
        ("image_too_large", RequestError),
        ("novelty", ProviderError),
    ],
)
def test_a_failed_response_is_an_error(code: str, kind: type[TrivetError]) -> None:
    error = {"code": code, "message": "it went wrong"}
    for make in (
        lambda: openai_responses.Reader(ASKED, TARGET).whole(
            json.dumps(response(status="failed", error=error)).encode()
        ),
        lambda: openai_responses.Reader(ASKED, TARGET).event(
            sse.Event(
                data=json.dumps(
                    {"type": "response.failed", "response": response(status="failed", error=error)}
                ).encode()
            )
        ),
    ):
        with pytest.raises(kind, match="it went wrong") as caught:
            make()
        assert type(caught.value) is kind
        assert json.loads(caught.value.raw.body)["error"]["code"] == code  # type: ignore[attr-defined]


# --- a stream ----------------------------------------------------------------------------------------------


def test_a_text_is_streamed() -> None:
    hello = message(output_text("Hello"))
    events = read(
        created(),
        sent("response.in_progress", response=response()),
        added(0, message(status="in_progress")),
        sent("response.content_part.added", item_id="i", output_index=0, content_index=0, part=output_text("")),
        delta("output_text", "Hel"),
        delta("output_text", "lo"),
        sent("response.output_text.done", item_id="i", output_index=0, content_index=0, text="Hello", logprobs=[]),
        sent("response.content_part.done", item_id="i", output_index=0, content_index=0, part=output_text("Hello")),
        done(0, hello),
        completed(hello),
    )
    assert events == [
        Start(model="gpt-5.5-2026-04-23", id="resp_1"),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        UsageUpdate(usage=OURS),
        Done(response=whole(hello)),
    ]


def test_calls_side_by_side_are_kept_apart() -> None:
    first, second = call("c1", '{"a":1}'), call("c2", '{"b":2}')
    events = read(
        created(),
        added(0, call("c1", "", status="in_progress")),
        added(1, call("c2", "", status="in_progress")),
        delta("function_call_arguments", '{"b":', 1),
        delta("function_call_arguments", '{"a":', 0),
        delta("function_call_arguments", "2}", 1),
        delta("function_call_arguments", "1}", 0),
        done(1, second),
        done(0, first),
        completed(first, second),
    )
    assert inner(events) == [
        ToolCallDelta(id="c1", name="f", part=0),
        ToolCallDelta(id="c2", name="f", part=1),
        ToolCallDelta(arguments='{"b":', part=1),
        ToolCallDelta(arguments='{"a":', part=0),
        ToolCallDelta(arguments="2}", part=1),
        ToolCallDelta(arguments="1}", part=0),
    ]


def test_a_summary_is_streamed_and_its_signature_comes_with_the_end_of_the_item() -> None:
    thought, hidden = reasoning("ab", "c", encrypted="e"), reasoning(encrypted="r")
    events = read(
        created(),
        added(0, reasoning()),
        delta("reasoning_summary_text", "a"),
        delta("reasoning_summary_text", "b"),
        delta("reasoning_summary_text", "c", summary_index=1),
        done(0, thought),
        added(1, reasoning()),
        done(1, hidden),
        completed(thought, hidden),
    )
    assert inner(events) == [
        ThinkingDelta(text="a"),
        ThinkingDelta(text="b"),
        ThinkingDelta(text="\n\nc"),
        ThinkingDelta(signature="e", provider="openai"),
        ThinkingDelta(redacted="r", provider="openai", part=1),
    ]


def test_an_open_thought_is_streamed_as_one() -> None:
    thought = {**reasoning(), "content": [{"type": "reasoning_text", "text": "abc"}]}
    events = read(created(), delta("reasoning_text", "ab"), delta("reasoning_text", "c"), completed(thought))
    assert inner(events) == [ThinkingDelta(text="ab"), ThinkingDelta(text="c")]


def test_a_refusal_is_streamed_and_the_response_says_that_it_is_one() -> None:
    refused = message({"type": "refusal", "refusal": "No."})
    events = read(created(), delta("refusal", "No"), delta("refusal", "."), done(0, refused), completed(refused))
    assert inner(events) == [TextDelta(text="No", refusal=True), TextDelta(text=".", refusal=True)]
    assert isinstance(events[-1], Done)
    assert isinstance(events[-1].response, ChatResponse)
    assert events[-1].response.finish_reason == "refusal"


def test_annotations_and_logprobs_are_streamed_once() -> None:
    text = message(output_text("x", annotations=[CITATION], logprobs=[TOKEN]))
    events = read(
        created(),
        delta("output_text", "x", logprobs=[TOKEN]),
        sent(
            "response.output_text.annotation.added",
            item_id="i",
            output_index=0,
            content_index=0,
            annotation_index=0,
            annotation=CITATION,
        ),
        done(0, text),
        completed(text),
    )
    first, second = inner(events)
    assert isinstance(first, TextDelta)
    assert isinstance(second, TextDelta)
    assert [t.token for t in first.logprobs] == ["x"]
    assert [c.url for c in second.citations] == ["http://x"]


def test_a_server_tools_item_comes_whole_in_its_place() -> None:
    text = message(output_text("x"))
    events = read(
        created(),
        added(0, SEARCH | {"status": "in_progress"}),
        sent("response.web_search_call.searching", item_id="ws_1", output_index=0),
        done(0, SEARCH),
        delta("output_text", "x", 1),
        done(1, text),
        completed(SEARCH, text),
    )
    assert inner(events) == [WholePart(value=Opaque(provider="openai", raw=SEARCH)), TextDelta(text="x", part=1)]


def test_what_the_pieces_left_out_is_told_with_the_item() -> None:
    output = (reasoning("a", encrypted="e"), message(output_text("x", annotations=[CITATION])), call("c1", '{"a":1}'))
    for events in (
        read(created(), *(done(i, o) for i, o in enumerate(output)), completed(*output)),
        read(created(), completed(*output)),
    ):
        assert len(inner(events)) == 3


def test_a_host_that_leaves_the_items_out_at_the_end_has_told_them() -> None:
    text = message(output_text("x"))
    events = read(created(), done(0, text), completed())
    assert isinstance(events[-1], Done)
    assert events[-1].response == whole(text)


def test_an_item_is_told_once_where_the_places_in_the_stream_have_gaps() -> None:
    said = message(output_text("Hello"))
    events = openai_responses.Reader(ASKED, TARGET)
    told = [
        *events.event(
            sent(
                "response.output_text.delta",
                output_index=2,
                content_index=0,
                item_id="msg_1",
                delta="Hello",
                logprobs=[],
            )
        ),
        *events.event(sent("response.output_item.done", output_index=2, item=said)),
        *events.event(sent("response.completed", response=response(said))),
    ]
    assert [e.text for e in told if isinstance(e, TextDelta)] == ["Hello"]


def test_an_answer_cut_short_is_a_length() -> None:
    cut = call("c1", '{"a', status="incomplete")
    events = read(
        created(),
        added(0, call("c1", "")),
        delta("function_call_arguments", '{"a'),
        sent(
            "response.incomplete",
            response=response(cut, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ),
    )
    assert isinstance(events[-1], Done)
    assert isinstance(events[-1].response, ChatResponse)
    assert events[-1].response.finish_reason == "length"
    assert events[-1].response.tool_calls[0].arguments == '{"a'


def test_an_error_in_mid_stream_is_raised_in_either_shape() -> None:
    flat = {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}
    nested = {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "no", "param": "p"}}
    reader = openai_responses.Reader(ASKED, TARGET)
    with pytest.raises(RateLimitError, match="slow"):
        reader.event(sse.Event(data=json.dumps(flat).encode()))
    with pytest.raises(RequestError, match="no") as caught:
        reader.event(sse.Event(data=json.dumps(nested).encode()))
    assert caught.value.field == "p"


def test_a_cut_stream_is_an_error_and_never_an_end() -> None:
    reader = openai_responses.Reader(ASKED, TARGET)
    for event in (created(), delta("output_text", "x"), done(0, message(output_text("x")))):
        reader.event(event)
    with pytest.raises(TransportError):
        reader.end()


def test_nothing_is_told_after_the_end() -> None:
    reader = openai_responses.Reader(ASKED, TARGET)
    reader.event(completed())
    assert reader.event(sse.Event(data=b"[DONE]")) == []
    assert reader.end() == []


def test_an_event_that_is_no_json_is_a_provider_error() -> None:
    with pytest.raises(ProviderError):
        openai_responses.Reader(ASKED, TARGET).event(sse.Event(data=b"{"))


@pytest.mark.parametrize("data", [{"type": "response.novelty"}, {"type": "keepalive"}, {}, {"type": 5}])
def test_an_event_of_an_unknown_kind_is_passed_over(data: Any) -> None:
    reader = openai_responses.Reader(ASKED, TARGET)
    reader.event(created())
    assert reader.event(sse.Event(data=json.dumps(data).encode())) == []


def test_a_client_of_the_same_protocol_gets_every_byte_once_and_in_order() -> None:
    text = message(output_text("x"))
    stream = [
        created(),
        sent("response.in_progress", response=response()),
        delta("output_text", "x"),
        sse.Event(name="novelty", data=b'{"type": "novelty"}', raw=b'event: novelty\ndata: {"type": "novelty"}\n\n'),
        done(0, text),
        completed(text),
    ]
    events = read(*stream, request=OWN)
    raws = [e.raw for e in events]
    assert b"".join(r.body for r in raws if r is not None) == b"".join(e.raw for e in stream)
    assert None not in raws
    assert sum(isinstance(e, Aside) for e in events) == 3


def test_every_event_of_the_sdk_may_come_even_with_nothing_in_it() -> None:
    kinds = {get_args(e.model_fields["type"].annotation)[0] for e in get_args(get_args(ResponseStreamEvent)[0])}
    assert len(kinds) > 50
    reader = openai_responses.Reader(ASKED, TARGET)
    for kind in kinds - {"error", "response.completed", "response.failed", "response.incomplete"}:
        told = reader.event(sse.Event(data=json.dumps({"type": kind}).encode()))
        assert not any(isinstance(e, Done) for e in told)


# --- errors with a status ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "no", "param": "input", "code": None}, RequestError),
        (400, {"message": "too long", "code": "context_length_exceeded"}, ContextLengthError),
        (401, {"message": "wrong key", "code": "invalid_api_key"}, AuthError),
        (404, {"message": "The model `m` does not exist", "code": "model_not_found"}, UnknownModelError),
        (429, {"message": "slow"}, RateLimitError),
        (500, {"message": "oops"}, ProviderError),
        (503, {"message": "busy"}, OverloadedError),
    ],
)
def test_an_error_with_a_status_is_one_of_ours_with_its_body(status: int, error: Any, kind: type[TrivetError]) -> None:
    body = json.dumps({"error": error}).encode()
    got = openai_responses.read_error(status, {}, body, TARGET)
    assert type(got) is kind
    assert got.raw == (None if kind is AuthError else Source(protocol="openai-responses", body=body))


# --- any answer --------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
parts = st.one_of(
    words.map(lambda t: Text(text=t)),
    st.tuples(st.text(max_size=8), words).map(lambda t: Thinking(text=t[0], signature=t[1], provider="openai")),
    words.map(lambda t: Thinking(redacted=t, provider="gemini")),
    st.tuples(words, words, st.dictionaries(words, st.integers()).map(json.dumps)).map(
        lambda t: ToolCall(id=t[0], name=t[1], arguments=t[2])
    ),
    words.map(lambda t: Opaque(provider="openai", raw={"type": "web_search_call", "id": t})),
)


@given(st.lists(parts, max_size=5), st.booleans())
def test_an_answer_that_we_have_written_is_read_as_it_was(content: list[Part], stream: bool) -> None:
    answer = ChatResponse(
        model="m",
        id="resp_1",
        usage=OURS,
        choices=(
            Choice(
                message=assistant(*content),
                finish_reason="tool_calls" if any(isinstance(p, ToolCall) for p in content) else "stop",
            ),
        ),
    )
    renderer = openai_responses.Renderer(Incoming(request=ASKED, stream=stream))
    if not stream:
        assert openai_responses.Reader(ASKED, TARGET).whole(renderer.whole(answer)) == answer
        return
    told = [Start(model="m", id="resp_1"), *deltas_of(answer), Done(response=answer)]
    blocks = b"".join(renderer.event(e) for e in told).split(b"\n\n")[:-1]
    events = read(*(sse.Event(data=b.partition(b"\ndata: ")[2]) for b in blocks))
    assert isinstance(events[-1], Done)
    assert events[-1].response == answer


def deltas_of(answer: ChatResponse) -> list[Event]:
    """With the opaque parts, each in its place."""
    whole = [WholePart(value=p, part=n) for n, p in enumerate(answer.message.content) if isinstance(p, Opaque)]
    return sorted([*deltas(answer), *whole], key=lambda e: e.part)


def test_the_phase_of_a_message_is_streamed_with_its_texts() -> None:
    hello = message(output_text("Hello"), phase="commentary")
    events = read(
        added(0, message(status="in_progress", phase="commentary")),
        delta("output_text", "Hel"),
        done(0, hello),
        completed(hello),
    )
    assert inner(events) == [TextDelta(text="Hel", phase="commentary"), TextDelta(text="lo", phase="commentary")]
    collector = Collector()
    for event in events:
        collector.add(event)
    assert collector.content() == whole(hello).message.content == (Text(text="Hello", extra={"phase": "commentary"}),)
