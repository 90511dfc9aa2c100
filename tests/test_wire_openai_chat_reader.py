"""A host's answer to a chat completion, read. Chunks are written as hosts document theirs: OpenAI's by its API
reference, the deviations by the host that a test names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

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
    Image,
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
    Usage,
    UsageUpdate,
    assistant,
    replace,
    user,
)
from trivet.wire import Incoming, Target, openai_chat, sse
from trivet.wire.deltas import deltas

ASKED = Chat(messages=(user("Hi"),))
TARGET = Target(model="theirs", provider="up", family="up")
USAGE = {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16}


def client(**fields: Any) -> Chat:
    """A request that came in this protocol."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True} | fields
    request = openai_chat.parse(json.dumps(body).encode()).request
    assert isinstance(request, Chat)
    return request


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {**head, "choices": [choice | more.pop("choice", {})], **more}


def told(data: Any) -> sse.Event:
    text = data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
    return sse.Event(data=text, raw=b"data: " + text + b"\n\n")


def read(*chunks: Any, request: Chat = ASKED, target: Target = TARGET, done: bool = True) -> list[Event]:
    reader = openai_chat.Reader(request, replace(target, stream=True))
    out: list[Event] = []
    for data in [*chunks, *([b"[DONE]"] if done else [])]:
        out += reader.event(told(data))
    return [*out, *reader.end()]


def _told(part: Part) -> Part:
    """What deltas tell of it: of its labels, that it is a refusal."""
    return replace(part, extra={name: value for name, value in part.extra.items() if name == "refusal"})


def response(*chunks: Any, **how: Any) -> ChatResponse:
    """The response at the end of a stream, having seen that its deltas amount to the same parts."""
    events = read(*chunks, **how)
    assert [type(e) for e in events].count(Done) == 1
    last = events[-1]
    assert isinstance(last, Done)
    assert isinstance(last.response, ChatResponse)
    collector = Collector()
    for event in events:
        collector.add(event)
    for i, choice in enumerate(last.response.choices):
        assert collector.content(i) == tuple(_told(p) for p in choice.message.content)
    return last.response


def whole(message: dict[str, Any], finish_reason: str = "stop", **more: Any) -> ChatResponse:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    data = {"id": "chatcmpl-1", "model": "gpt-x", "choices": [choice | more.pop("choice", {})], **more}
    found = openai_chat.Reader(ASKED, TARGET).whole(json.dumps(data).encode())
    assert isinstance(found, ChatResponse)
    return found


# --- a stream by the book ----------------------------------------------------------------------------------


def test_a_stream_is_start_then_deltas_then_usage_then_done() -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 5}}
    events = read(
        chunk({"role": "assistant", "content": ""}, system_fingerprint="fp"),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        chunk({}) | {"choices": [], "usage": usage},
    )
    counted = Usage(uncached_input_tokens=7, cache_read_tokens=5, cache_write_tokens=0, output_tokens=4)
    assert events == [
        Start(model="gpt-x", id="chatcmpl-1"),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        UsageUpdate(usage=counted),
        Done(
            response=ChatResponse(
                model="gpt-x",
                id="chatcmpl-1",
                usage=counted,
                choices=(Choice(message=assistant("Hello"), finish_reason="stop"),),
                extra={"system_fingerprint": "fp"},
            )
        ),
    ]


def piece(index: int | None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    name = {"name": more.pop("name")} if "name" in more else {}
    return {**place, **more, "function": {**name, **({} if arguments is None else {"arguments": arguments})}}


def test_parallel_calls_are_kept_apart_by_their_index() -> None:
    answer = response(
        chunk({"content": "Let me see."}),
        chunk({"tool_calls": [piece(0, "", id="a", type="function", name="f")]}),
        chunk({"tool_calls": [piece(1, "", id="b", type="function", name="g")]}),
        chunk({"tool_calls": [piece(0, '{"x"'), piece(1, "{")]}),
        chunk({"tool_calls": [piece(1, "}"), piece(0, ":1}")]}),
        chunk({}, "tool_calls"),
    )
    assert answer.message.content == (
        Text(text="Let me see."),
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments="{}"),
    )
    assert answer.finish_reason == "tool_calls"


def test_several_choices_are_kept_apart() -> None:
    answer = response(
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({"content": "c"}),
        chunk({}, "stop"),
        chunk({}, "length", index=1),
    )
    assert [(c.message.text, c.finish_reason) for c in answer.choices] == [("ac", "stop"), ("b", "length")]


@pytest.mark.parametrize("indices", [(None, None), (None, 1), (0, None)])
def test_a_choice_whose_index_is_null_is_known_by_its_place(indices: tuple[int | None, ...]) -> None:
    def choices(of: str) -> list[dict[str, Any]]:
        return [
            {"index": index, of: {"content": text}, "finish_reason": "stop"}
            for index, text in zip(indices, "ab", strict=True)
        ]

    streamed = response({"id": "c", "model": "m", "choices": choices("delta")})
    answered = openai_chat.Reader(ASKED, TARGET).whole(
        json.dumps({"id": "c", "model": "m", "choices": choices("message")}).encode()
    )
    assert isinstance(answered, ChatResponse)
    assert [c.message.text for c in streamed.choices] == [c.message.text for c in answered.choices] == ["a", "b"]


def test_logprobs_are_read() -> None:
    token = {"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [{"token": "e", "logprob": -2}]}
    expected = TokenLogprob(token="é", logprob=-0.5, bytes=(195, 169), top=(TokenLogprob(token="e", logprob=-2.0),))
    logprobs = {"logprobs": {"content": [token], "refusal": None}}
    assert response(chunk({"content": "é"}, choice=logprobs), chunk({}, "stop")).choices[0].logprobs == (expected,)
    assert whole({"content": "é"}, choice=logprobs).choices[0].logprobs == (expected,)


def test_a_refusal_is_a_text_with_a_label_and_a_finish_reason() -> None:
    for answer in (
        response(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), chunk({}, "stop")),
        whole({"content": None, "refusal": "I won't."}),
    ):
        assert answer.message.content == (Text(text="I won't.", extra={"refusal": True}),)
        assert answer.finish_reason == "refusal"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "refusal"),
        ("brand_new", "stop"),
    ],
)
def test_a_finish_reason_becomes_ours_and_an_unknown_one_is_kept(theirs: str, ours: str) -> None:
    choice = whole({"content": "x"}, theirs).choices[0]
    assert choice.finish_reason == ours
    assert choice.extra == ({"finish_reason": theirs} if theirs == "brand_new" else {})


def test_annotations_are_citations_of_the_text() -> None:
    annotation = {
        "type": "url_citation",
        "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2},
    }
    cited = Citation(url="https://a.example", title="A", start=0, end=2, provider="openai", raw=annotation)
    expected = (Text(text="so", citations=(cited,)),)
    assert whole({"content": "so", "annotations": [annotation]}).message.content == expected
    streamed = response(chunk({"content": "so"}), chunk({"annotations": [annotation]}), chunk({}, "stop"))
    assert streamed.message.content == expected


def test_sound_is_kept_with_the_message() -> None:
    first = {"audio": {"id": "a", "data": "AAAA", "transcript": "He"}}
    second = {"audio": {"data": "BBBB", "transcript": "llo", "expires_at": 9}}
    kept = {"id": "a", "data": "AAAABBBB", "transcript": "Hello", "expires_at": 9}
    assert response(chunk(first), chunk(second), chunk({}, "stop")).message.extra == {"audio": kept}
    back = Chat(messages=(whole({"content": None, "audio": kept}).message, user("Go on.")))
    assert openai_chat.write(back, TARGET)["messages"][0]["audio"] == {"id": "a"}


def test_a_call_of_a_custom_tool_is_an_opaque_part() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    expected = (Opaque(provider="openai", raw=call),)
    assert whole({"content": None, "tool_calls": [call]}).message.content == expected
    pieces = (
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": ""}},
        {"index": 0, "custom": {"input": "select 1"}},
    )
    assert response(*(chunk({"tool_calls": [p]}) for p in pieces), chunk({}, "tool_calls")).message.content == expected


def test_what_nobody_knows_is_kept_where_it_stood() -> None:
    answer = whole({"content": "x", "mood": "good"}, choice={"filtered": {"a": 1}}, citations=["https://a.example"])
    assert answer.extra == {"citations": ["https://a.example"]}
    assert answer.choices[0].extra == {"filtered": {"a": 1}}
    assert answer.message.extra == {"mood": "good"}


# --- as other hosts do it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])  # DeepSeek's, and that of Groq and newer vLLM
def test_thinking_is_read_under_either_name(name: str) -> None:
    expected = (Thinking(text="ha ha"), Text(text="so"))
    chunks = [chunk({name: t}) for t in ("ha ", "ha")]
    assert response(*chunks, chunk({"content": "so", name: None}), chunk({}, "stop")).message.content == expected
    assert whole({"content": "so", name: "ha ha"}).message.content == expected


def test_openrouters_details_tell_the_same_text_and_its_signature() -> None:
    form = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    answer = response(
        chunk({"reasoning": "ha", "reasoning_details": [{**form, "text": "ha"}]}),
        chunk({"reasoning": "ha", "reasoning_details": [{**form, "text": "ha"}]}),
        chunk({"reasoning_details": [{**form, "text": "", "signature": "s"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "r", "format": "anthropic-claude-v1"}]}),
        chunk({"content": "so"}),
        chunk({}, "stop"),
    )
    assert answer.message.content == (
        Thinking(text="haha", signature="s", provider="anthropic"),
        Thinking(redacted="r", provider="anthropic"),
        Text(text="so"),
    )


def test_mistrals_content_in_parts_is_read() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]
    expected = (Thinking(text="hm"), Text(text="so"))
    assert whole({"content": content}).message.content == expected
    streamed = response(chunk({"content": content[:1]}), chunk({"content": content[1:]}), chunk({}, "stop"))
    assert streamed.message.content == expected


def test_geminis_signature_stands_before_its_call() -> None:
    call = piece(0, "{}", id="a", name="f") | {"extra_content": {"google": {"thought_signature": "g"}}}
    expected = (Thinking(signature="g", provider="gemini"), ToolCall(id="a", name="f"))
    assert response(chunk({"tool_calls": [call]}), chunk({}, "stop")).message.content == expected
    assert whole({"tool_calls": [call]}).message.content == expected


@pytest.mark.parametrize(
    "calls",
    [
        [piece(0, "{}", id="a", name="f"), piece(0, '{"x":1}', id="b", name="g")],  # every index 0: Gemini's
        [piece(None, "{}", id="a", name="f"), piece(None, '{"x":1}', id="b", name="g")],
        [piece(None, {}, id="a", name="f"), piece(None, {"x": 1}, id="b", name="g")],  # arguments that are no text
    ],
)
def test_whole_calls_are_kept_apart_however_they_are_counted(calls: list[dict[str, Any]]) -> None:
    expected = (ToolCall(id="a", name="f"), ToolCall(id="b", name="g", arguments='{"x":1}'))
    assert response(*(chunk({"tool_calls": [c]}) for c in calls), chunk({}, "stop")).message.content == expected
    assert response(chunk({"tool_calls": calls}, "stop")).message.content == expected
    assert whole({"tool_calls": calls}).message.content == expected


def test_calls_without_ids_get_one_each() -> None:
    answer = response(
        chunk({"tool_calls": [piece(None, "{}", name="f")]}),
        chunk({"tool_calls": [piece(None, "{}", name="g")]}, "stop"),
    )
    first, second = answer.tool_calls
    assert (first.name, second.name, answer.finish_reason) == ("f", "g", "tool_calls")
    assert first.id
    assert second.id not in ("", first.id)


@pytest.mark.parametrize("head", [{"id": "a", "name": "f"}, {"name": "f"}])
def test_a_call_whose_head_comes_with_every_piece_is_one_call(head: dict[str, str]) -> None:
    pieces = [piece(0, t, **head) for t in ('{"x"', ":1}")]
    (call,) = response(*(chunk({"tool_calls": [p]}) for p in pieces), chunk({}, "stop")).tool_calls
    assert (call.name, call.arguments) == ("f", '{"x":1}')


def test_azures_first_chunk_has_no_choices() -> None:
    first = {"id": "", "model": "", "choices": [], "prompt_filter_results": [1]}
    answer = response(first, chunk({"content": "x"}), chunk({}, "stop"))
    assert (answer.id, answer.model, answer.text) == ("chatcmpl-1", "gpt-x", "x")
    assert answer.extra == {"prompt_filter_results": [1]}


def test_images_are_parts_in_one_piece() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}  # OpenRouter's
    expected = (Text(text="Here:"), Image(data=b"\x89PN", media_type="image/png"))
    assert whole({"content": "Here:", "images": [image]}).message.content == expected
    streamed = response(chunk({"content": "Here:"}), chunk({"images": [image]}), chunk({}, "stop"))
    assert streamed.message.content == expected


def test_the_stop_sequence_of_vllm_is_told() -> None:
    assert whole({"content": "x"}, choice={"stop_reason": "END"}).choices[0].stop_sequence == "END"
    assert whole({"content": "x"}, choice={"stop_reason": 128009}).choices[0].stop_sequence is None


def test_a_stream_without_done_is_whole_when_its_choices_have_ended() -> None:
    assert response(chunk({"content": "x"}, "stop"), done=False).text == "x"
    for chunks in ([], [chunk({"content": "x"})], [chunk({}, "stop"), chunk({"content": "x"}, index=1)]):
        with pytest.raises(TransportError, match="cut"):
            read(*chunks, done=False)


# --- usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3}}, (4, 5, 3)),
        ({"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 7}, (7, 5, 0)),  # DeepSeek's
        ({"cached_tokens": 2}, (10, 2, 0)),  # Moonshot's
        ({"prompt_tokens_details": {"cached_tokens": 0}}, (12, 0, 0)),  # OpenAI's, where nothing was cached
    ],
)
def test_the_prompt_has_three_disjoint_counts(more: dict[str, Any], expected: tuple[int, int, int]) -> None:
    usage = whole({"content": "x"}, usage=USAGE | more).usage
    assert (usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == expected
    assert usage.input_tokens == 12


@pytest.mark.parametrize("more", [{}, {"prompt_tokens_details": None}, {"prompt_tokens_details": {"audio_tokens": 1}}])
def test_what_came_from_a_cache_is_unknown_where_a_host_does_not_say(more: dict[str, Any]) -> None:
    """vLLM keeps prefixes, and tells how much of them it took only with --enable-prompt-tokens-details."""
    usage = whole({"content": "x"}, usage=USAGE | more).usage
    assert (usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (None, None, None)
    assert (usage.input_tokens, usage.total_tokens) == (12, 16)


def test_reasoning_and_sound_are_counted_and_what_is_not_told_is_unknown() -> None:
    details = {
        "prompt_tokens_details": {"audio_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
    }
    usage = whole({"content": "x"}, usage=USAGE | details).usage
    assert (usage.reasoning_tokens, usage.audio_input_tokens, usage.audio_output_tokens) == (3, 2, 1)
    assert whole({"content": "x"}, usage=USAGE).usage.reasoning_tokens is None
    assert whole({"content": "x"}).usage == Usage()
    assert response(chunk({"content": "x"}, "stop")).usage == Usage()


def test_xai_counts_reasoning_beside_the_output() -> None:
    beside = {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 116}
    usage = whole({"content": "x"}, usage={**beside, "completion_tokens_details": {"reasoning_tokens": 100}}).usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (104, 100)


def test_groqs_usage_stands_in_an_object_of_its_own() -> None:
    answer = response(chunk({"content": "x"}), chunk({}, "stop", x_groq={"id": "r", "usage": USAGE}))
    assert answer.usage.total_tokens == 16


# --- the client's own protocol -----------------------------------------------------------------------------


def raws(events: list[Event]) -> list[bytes]:
    found = [e.raw for e in events]
    assert all(isinstance(raw, Source) and raw.protocol == "openai-chat" for raw in found)
    return [raw.body for raw in found if raw is not None]


def test_events_keep_the_bytes_that_they_came_of() -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "x", "reasoning": "hm"}),
        {"ping": 1},
        chunk({}, "stop"),
        chunk({}) | {"choices": [], "usage": USAGE},
    ]
    events = read(*chunks, request=client(stream_options={"include_usage": True}))
    assert b"".join(raws(events)) == b"".join(told(c).raw for c in [*chunks, b"[DONE]"])
    assert [type(e) for e in events] == [Start, ThinkingDelta, TextDelta, Aside, Aside, UsageUpdate, Done]
    assert all(e.raw is None for e in read(*chunks))


def test_usage_that_only_we_have_asked_for_is_taken_out_again() -> None:
    text = 'so,"usage":null'
    chunks = [
        chunk({"content": text}) | {"usage": None},
        chunk({}, "stop") | {"usage": None},
        chunk({}) | {"choices": [], "usage": USAGE},
    ]
    events = read(*chunks, request=client())
    plain = [chunk({"content": text}), chunk({}, "stop")]
    assert b"".join(raws(events)) == b"".join(told(c).raw for c in [*plain, b"[DONE]"])
    last = events[-1]
    assert isinstance(last, Done)
    assert last.response.usage.total_tokens == 16


def test_usage_that_a_host_sends_by_itself_stays() -> None:
    chunks = [chunk({"content": "x"}, "stop") | {"usage": USAGE}]
    assert b"".join(raws(read(*chunks, request=client()))) == told(chunks[0]).raw + told(b"[DONE]").raw
    alone = chunk({}) | {"choices": [], "usage": USAGE}
    target = replace(TARGET, quirks={"stream_options": False})
    assert told(alone).raw in raws(read(chunk({}, "stop"), alone, request=client(), target=target))


def test_a_whole_answer_keeps_its_bytes() -> None:
    body = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "new": 1}).encode()
    assert openai_chat.Reader(client(), TARGET).whole(body).raw == Source(protocol="openai-chat", body=body)
    assert openai_chat.Reader(ASKED, TARGET).whole(body).raw is None


# --- errors ------------------------------------------------------------------------------------------------


def failure(status: int, body: Any, **headers: str) -> TrivetError:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai_chat.read_error(status, names, text, TARGET)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "param": None, "code": None} | more}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error("bad key"), AuthError),
        (403, error("no"), AuthError),
        (402, error("Insufficient Balance"), AuthError),  # DeepSeek's
        (404, error("The model `x` does not exist", code="model_not_found"), UnknownModelError),
        (404, error("No such response"), RequestError),
        (404, b"<html>", ProviderError),
        (400, error("bad", param="n"), RequestError),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "no"}]}, RequestError),  # FastAPI's, Mistral's
        (429, error("slow down"), RateLimitError),
        (500, error("oops"), ProviderError),
        (502, b"", ProviderError),
        (503, error("busy"), OverloadedError),
        (529, error("busy"), OverloadedError),
        (400, error("x", code="context_length_exceeded"), ContextLengthError),
    ],
)
def test_a_status_is_an_error_of_its_kind(status: int, body: Any, kind: type[TrivetError]) -> None:
    found = failure(status, body)
    assert type(found) is kind
    assert "up" in found.message


def test_a_refusal_names_field_status_and_what_the_provider_said() -> None:
    found = failure(422, error("n must be 1", param="n"))
    assert isinstance(found, RequestError)
    assert (found.field, found.status) == ("n", 422)
    assert "n must be 1" in found.message
    assert isinstance(found.raw, Source)


@pytest.mark.parametrize("body", [{"error": "no such thing"}, {"message": "no such thing"}, [error("no such thing")]])
def test_other_shapes_of_errors_are_read(body: Any) -> None:
    assert "no such thing" in failure(400, body).message


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"\xff"])
def test_a_proxys_page_is_told_in_the_protocols_shape_and_no_json_is_lost(body: bytes) -> None:
    assert failure(404, body).raw is None  # so that a client of the protocol is told to check base_url, in JSON
    assert failure(404, b'{"detail":"Not Found"}').raw == Source(protocol="openai-chat", body=b'{"detail":"Not Found"}')


def test_a_refused_key_is_not_echoed() -> None:
    found = failure(401, error("Incorrect API key provided: sk-secret"))
    assert "sk-secret" not in found.message
    assert found.raw is None
    assert found.status == 502


@pytest.mark.parametrize(
    ("message", "prompt", "limit"),
    [
        ("maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens", 9000, 8192),
        ("maximum context length is 100 tokens. However, you requested 120 tokens (90 in the messages, 30 in", 90, 100),
        ("the context length is exceeded", None, None),
    ],
)
def test_the_numbers_of_a_prompt_that_is_too_long_are_read_where_told(
    message: str, prompt: int | None, limit: int | None
) -> None:
    found = failure(400, error(message))
    assert isinstance(found, ContextLengthError)
    assert (found.prompt_tokens, found.context_tokens) == (prompt, limit)


def test_llama_servers_numbers_stand_in_fields() -> None:
    found = failure(400, error("too big", type="exceed_context_size_error", n_prompt_tokens=50, n_ctx=40))
    assert isinstance(found, ContextLengthError)
    assert (found.prompt_tokens, found.context_tokens) == (50, 40)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    found = failure(429, error("slow down"), x_request_id="req-1", **headers)
    assert isinstance(found, RateLimitError)
    assert (found.retry_after_s, found.request_id) == (seconds, "req-1")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"object": "error", "message": "boom", "type": "x", "code": 500}, None),
        ({"message": "boom"}, "error"),
        ({"detail": "boom"}, None),
    ],
)
def test_an_error_in_mid_stream_that_is_not_wrapped_is_raised_too(data: dict[str, Any], name: str | None) -> None:
    reader = openai_chat.Reader(ASKED, replace(TARGET, stream=True))
    list(reader.event(told(chunk({"content": "x"}))))
    with pytest.raises(ProviderError, match="boom"):
        reader.event(replace(told(data), name=name) if name else told(data))


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
def test_an_answer_that_its_host_broke_off_is_an_error(reason: str) -> None:
    with pytest.raises(ProviderError, match=reason):
        read(chunk({"content": "x"}), chunk({}, reason))
    with pytest.raises(ProviderError, match=reason):
        whole({"content": "x"}, reason)
    events = read(chunk({"content": "x"}), chunk({}, reason), request=client())
    assert isinstance(events[-1], Done)  # whose bytes say it


@pytest.mark.parametrize(
    ("told_", "kind"),
    [
        ({"message": "busy", "code": 503}, OverloadedError),  # OpenRouter's
        ({"message": "slow", "type": "rate_limit_exceeded", "code": None}, RateLimitError),
        ({"message": "oops", "type": "server_error", "code": None}, ProviderError),
    ],
)
def test_an_error_in_mid_stream_is_raised(told_: dict[str, Any], kind: type[TrivetError]) -> None:
    with pytest.raises(kind) as caught:
        read(chunk({"content": "x"}), {"error": told_})
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"choices": []}'])
def test_what_is_no_answer_is_an_error_of_the_provider(body: bytes) -> None:
    with pytest.raises(ProviderError, match="is it a host of chat completions"):
        openai_chat.Reader(ASKED, TARGET).whole(body)


# --- any answer --------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=6)
names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
signed = st.builds(
    Thinking, text=st.text(max_size=3), signature=words, provider=st.sampled_from(["anthropic", "openai"])
)
redacted = st.builds(Thinking, redacted=words, provider=st.just("anthropic"))
cited = st.builds(Citation, url=words, title=words, start=st.just(0), end=st.just(1), provider=st.just("anthropic"))
quoted = st.builds(Citation, quote=words, provider=st.just("anthropic"), raw=st.just({"type": "page"}))


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    """Of one text: several are one in this protocol."""
    thoughts = draw(st.lists(signed | redacted, max_size=2) | st.builds(Thinking, text=words).map(lambda t: [t]))
    texts = draw(st.lists(st.builds(Text, text=words), max_size=1))
    ids = draw(st.lists(names, max_size=3, unique=True))
    calls: list[Any] = [
        ToolCall(id=i, name=draw(names), arguments=draw(st.sampled_from(["{}", '{"a":1}']))) for i in ids
    ]
    if calls and draw(st.booleans()):
        calls.insert(draw(st.integers(0, len(calls) - 1)), Thinking(signature=draw(words), provider="gemini"))
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "refusal"]))
    choice = Choice(message=assistant(*thoughts, *texts, *calls), finish_reason=reason)
    usage = Usage(uncached_input_tokens=3, cache_read_tokens=2, cache_write_tokens=1, output_tokens=4)
    return ChatResponse(model="m", id="r", choices=(choice,), usage=draw(st.just(usage) | st.just(Usage())))


def rendered(answer: ChatResponse) -> openai_chat.Renderer:
    return openai_chat.Renderer(Incoming(request=ASKED, stream_usage=True))


@given(answers())
def test_whatever_is_answered_is_read_as_it_was(answer: ChatResponse) -> None:
    body = rendered(answer).whole(answer)
    ChatCompletion.model_validate_json(body)
    assert openai_chat.Reader(ASKED, TARGET).whole(body) == answer


@given(answers())
def test_whatever_is_streamed_is_read_as_it_was(answer: ChatResponse) -> None:
    renderer = rendered(answer)
    out = b"".join(renderer.event(e) for e in [Start(model="m", id="r"), *deltas(answer), Done(response=answer)])
    data = [line.removeprefix(b"data: ") for line in out.split(b"\n\n") if line]
    for text in data[:-1]:
        ChatCompletionChunk.model_validate_json(text)
    assert response(*data, done=False) == answer


@given(st.lists(cited | quoted, min_size=1, max_size=3))
def test_citations_come_back_as_they_were(citations: list[Citation]) -> None:
    answer = ChatResponse(
        model="m",
        choices=(Choice(message=assistant(Text(text="so", citations=tuple(citations))), finish_reason="stop"),),
    )
    read_ = openai_chat.Reader(ASKED, TARGET).whole(rendered(answer).whole(answer))
    assert isinstance(read_, ChatResponse)
    (text,) = read_.message.content
    assert isinstance(text, Text)
    pairs = zip(text.citations, citations, strict=True)
    assert all((a.url, a.title, a.start, a.end, a.quote) == (b.url, b.title, b.start, b.end, b.quote) for a, b in pairs)
