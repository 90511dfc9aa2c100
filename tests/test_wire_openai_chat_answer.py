"""Answers to OpenAI chat requests: whole, in chunks, and through the official client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
)

from tests.openai_in_memory import InMemory
from trivet.errors import ContextLengthError, OverloadedError, UnknownModelError, UnsupportedError
from trivet.types import (
    ChatResponse,
    Choice,
    Citation,
    Done,
    Event,
    Message,
    Opaque,
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
    assistant,
)
from trivet.wire import Incoming, openai_chat

HELLO = [{"role": "user", "content": "Hi"}]
USAGE = Usage(uncached_input_tokens=5, cache_read_tokens=7, cache_write_tokens=0, output_tokens=4, reasoning_tokens=1)


def incoming(**fields: Any) -> Incoming:
    return openai_chat.parse(json.dumps({"model": "m", "messages": HELLO} | fields).encode())


def answer(*parts: Any, finish_reason: Any = "stop", usage: Usage = USAGE, **choice: Any) -> ChatResponse:
    chosen = Choice(message=assistant(*parts), finish_reason=finish_reason, **choice)
    return ChatResponse(model="local/m", choices=(chosen,), usage=usage)


def whole(response: ChatResponse) -> dict[str, Any]:
    return json.loads(openai_chat.Renderer(incoming(), id="chatcmpl-1", created=1700000000).whole(response))


def chunks(*events: Event, **fields: Any) -> list[Any]:
    """The data of every server-sent event, parsed; `[DONE]` as a string."""
    renderer = openai_chat.Renderer(incoming(stream=True, **fields), id="chatcmpl-1", created=1700000000)
    out = b"".join(renderer.event(e) for e in events).decode()
    assert out.endswith("\n\n")
    data = [block.removeprefix("data: ") for block in out.split("\n\n")[:-1]]
    return [d if d == "[DONE]" else json.loads(d) for d in data]


# --- whole answers -----------------------------------------------------------------------------------------


def test_a_whole_answer_has_every_field_that_the_protocol_requires() -> None:
    body = whole(answer("Hello"))
    assert body == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "local/m",
        "system_fingerprint": None,
        "service_tier": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,  # 5 uncached and 7 cached
            "completion_tokens": 4,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }
    ChatCompletion.model_validate(body, strict=True)


def test_unknown_usage_is_left_out_and_never_0() -> None:
    assert "usage" not in whole(answer("x", usage=Usage(output_tokens=3)))
    known = Usage(uncached_input_tokens=1, cache_read_tokens=0, cache_write_tokens=0, output_tokens=1)
    assert "completion_tokens_details" not in whole(answer("x", usage=known))["usage"]
    told = whole(answer("x", usage=Usage(prompt_tokens=12, output_tokens=4)))["usage"]
    assert told == {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16, "prompt_tokens_details": {}}


def test_the_models_own_id_is_used_where_it_has_one_and_else_a_fresh_one() -> None:
    response = ChatResponse(model="m", id="resp-7", choices=answer("x").choices)
    assert whole(response)["id"] == "resp-7"
    fresh = [json.loads(openai_chat.Renderer(incoming()).whole(answer("x")))["id"] for _ in range(2)]
    assert all(id.startswith("chatcmpl-") for id in fresh)
    assert fresh[0] != fresh[1]


def test_tool_calls_have_no_content_beside_them_unless_the_model_wrote_some() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a":')
    (choice,) = whole(answer(call, finish_reason="tool_calls"))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
    ]
    assert whole(answer("Let me see.", call))["choices"][0]["message"]["content"] == "Let me see."


def test_an_answer_without_text_is_an_empty_string() -> None:
    assert whole(answer(finish_reason="length"))["choices"][0]["message"]["content"] == ""


def test_reasoning_goes_out_with_its_signatures() -> None:
    message = whole(answer(Thinking(text="hm", signature="s"), Thinking(redacted="r"), "so"))["choices"][0]["message"]
    assert message["content"] == "so"
    assert message["reasoning_content"] == "hm"
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "r", "index": 1},
    ]
    assert "reasoning_details" not in whole(answer(Thinking(text="hm"), "so"))["choices"][0]["message"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("refusal", "content_filter")],
)
def test_a_finish_reason_is_the_protocols(ours: Any, theirs: str) -> None:
    assert whole(answer("x", finish_reason=ours))["choices"][0]["finish_reason"] == theirs


def test_a_text_that_is_itself_the_refusal_stands_under_refusal() -> None:
    (choice,) = whole(answer(Text(text="No.", extra={"refusal": True}), finish_reason="refusal"))["choices"]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "No.")
    assert choice["finish_reason"] == "stop"


def test_logprobs_have_bytes_and_alternatives_and_no_infinity() -> None:
    token = TokenLogprob(
        token="é", logprob=-0.5, bytes=(195, 169), top=(TokenLogprob(token="e", logprob=float("-inf")),)
    )
    body = whole(answer("é", logprobs=(token,)))
    assert body["choices"][0]["logprobs"] == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [{"token": "e", "logprob": -9999.0, "bytes": None}],
            }
        ],
        "refusal": None,
    }
    ChatCompletion.model_validate(body, strict=True)


def test_what_a_provider_said_beyond_the_protocol_goes_out_beside_it() -> None:
    message = Message(role="assistant", content=(Text(text="x"),), extra={"annotations": [1]})
    choice = Choice(message=message, finish_reason="stop", stop_sequence="END", extra={"seen": True})
    body = whole(ChatResponse(model="m", choices=(choice,), extra={"service_tier": "flex", "id": "not this"}))
    assert (body["service_tier"], body["id"]) == ("flex", "chatcmpl-1")
    assert body["choices"][0]["seen"] is True
    assert body["choices"][0]["stop_reason"] == "END"
    assert body["choices"][0]["message"]["annotations"] == [1]


def test_a_part_that_the_protocol_cannot_carry_is_an_error_and_does_not_vanish() -> None:
    response = answer("x", Opaque(provider="p", raw={}))
    with pytest.raises(UnsupportedError, match="opaque"):
        whole(response)
    (error,) = chunks(Done(response=response))
    assert "opaque" in error["error"]["message"]


# --- streams -----------------------------------------------------------------------------------------------


def test_a_stream_is_role_then_text_then_reason_then_done() -> None:
    out = chunks(
        Start(model="local/m", id="x-1"),
        TextDelta(text="Hel"),
        UsageUpdate(usage=Usage()),
        TextDelta(text="lo"),
        Done(response=answer("Hello")),
    )
    assert out[-1] == "[DONE]"
    assert [(c["choices"][0]["delta"], c["choices"][0]["finish_reason"]) for c in out[:-1]] == [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        ({"content": "Hel"}, None),
        ({"content": "lo"}, None),
        ({}, "stop"),
    ]
    for chunk in out[:-1]:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert {k: chunk[k] for k in ("id", "object", "created", "model", "system_fingerprint")} == {
            "id": "x-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "local/m",
            "system_fingerprint": None,
        }
        assert "usage" not in chunk
        assert set(chunk["choices"][0]) == {"index", "delta", "logprobs", "finish_reason"}


def test_usage_in_a_stream_is_null_until_a_last_chunk_without_choices() -> None:
    asked = {"stream_options": {"include_usage": True}}
    *before, last, done = chunks(TextDelta(text="Hi"), Done(response=answer("Hi")), **asked)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 16
    *_, last, _ = chunks(Done(response=answer("Hi", usage=Usage())), **asked)
    assert (last["choices"], last["usage"]) == ([], None)


def test_an_id_once_sent_does_not_change() -> None:
    response = ChatResponse(model="local/m", id="late", choices=answer("x").choices)
    out = chunks(TextDelta(text="x"), Done(response=response))
    assert {c["id"] for c in out[:-1]} == {"chatcmpl-1"}


def test_the_choices_of_a_stream_each_open_and_finish() -> None:
    both = ChatResponse(model="m", choices=(*answer("a").choices, *answer("b", finish_reason="length").choices))
    out = chunks(TextDelta(text="b", choice=1), TextDelta(text="a", choice=0), Done(response=both))
    steps = [(c["choices"][0]["index"], c["choices"][0]["delta"]) for c in out[:-1]]
    opening = {"role": "assistant", "content": "", "refusal": None}
    assert steps[:4] == [(1, opening), (1, {"content": "b"}), (0, opening), (0, {"content": "a"})]
    assert [c["choices"][0]["finish_reason"] for c in out[4:-1]] == ["stop", "length"]


def test_parallel_calls_are_counted_among_themselves() -> None:
    calls = (ToolCall(id="c1", name="f", arguments='{"a":1}'), ToolCall(id="c2", name="g", arguments="{}"))
    out = chunks(
        TextDelta(text="Let me see.", part=0),
        ToolCallDelta(id="c1", name="f", part=1),
        ToolCallDelta(id="c2", name="g", part=2),
        ToolCallDelta(arguments='{"a"', part=1),
        ToolCallDelta(arguments=":1}", part=1),
        Done(response=answer("Let me see.", *calls, finish_reason="tool_calls")),
    )
    pieces = [c["choices"][0]["delta"]["tool_calls"][0] for c in out[:-1] if "tool_calls" in c["choices"][0]["delta"]]
    assert pieces == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 1, "function": {"arguments": "{}"}},  # nothing was passed, which is an object too
    ]
    assert out[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_logprobs_go_with_the_text_of_their_tokens() -> None:
    token = TokenLogprob(token="x", logprob=-1.0, bytes=(120,))
    out = chunks(TextDelta(text="x", logprobs=(token,)), Done(response=answer("x", logprobs=(token,))))
    assert [c["choices"][0]["logprobs"] is None for c in out[:-1]] == [True, False, True]
    assert out[1]["choices"][0]["logprobs"]["content"][0]["token"] == "x"


def test_a_model_that_answers_all_at_once_is_streamed_too() -> None:
    parts = (Thinking(text="hm"), Text(text="so"), ToolCall(id="c", name="f"))
    out = chunks(Start(model="local/m"), Done(response=answer(*parts)))
    assert [c["choices"][0]["delta"] for c in out[:-1]] == [
        {"role": "assistant", "content": None, "refusal": None},
        {"reasoning_content": "hm"},
        {"content": "so"},
        {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {},
    ]


def test_only_the_choices_that_no_delta_has_told_are_told_at_the_end() -> None:
    tokens = (TokenLogprob(token="b", logprob=-1.0),)
    late = answer(Text(text="b"), Thinking(text="hm"), Text(text="c"), logprobs=tokens).choices
    both = ChatResponse(model="m", choices=(*answer("a").choices, *late))
    pieces = [c["choices"][0] for c in chunks(TextDelta(text="a"), Done(response=both))[:-1]]
    told = [(p["index"], p["delta"]["content"], p["logprobs"] is not None) for p in pieces if p["delta"].get("content")]
    assert told == [(0, "a", False), (1, "b", True), (1, "c", False)]


def test_a_stream_that_was_refused_midway_finishes_as_filtered() -> None:
    out = chunks(TextDelta(text="So"), Done(response=answer("So", finish_reason="refusal")))
    assert out[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_the_same_events_give_the_same_bytes() -> None:
    def once() -> bytes:
        renderer = openai_chat.Renderer(incoming(stream=True), id="chatcmpl-1", created=1)
        return b"".join(renderer.event(e) for e in (TextDelta(text="x"), Done(response=answer("x"))))

    assert once() == once()


# --- through the official client ---------------------------------------------------------------------------


def test_the_sdk_puts_a_stream_together_again() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a":1}')
    events = [
        Start(model="local/m"),
        ThinkingDelta(text="h"),
        ThinkingDelta(text="m"),
        ThinkingDelta(signature="s"),
        TextDelta(text="so", part=1),
        ToolCallDelta(id="c1", name="f", part=2),
        ToolCallDelta(arguments='{"a":1}', part=2),
        Done(response=answer(Thinking(text="hm", signature="s"), "so", call, finish_reason="tool_calls")),
    ]
    client = InMemory(openai_chat, events).client
    asked = {"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**asked) as stream:  # type: ignore[arg-type]
        final = stream.get_final_completion()
    (choice,) = final.choices
    assert (choice.message.content, choice.finish_reason) == ("so", "tool_calls")
    assert choice.message.model_dump()["reasoning_content"] == "hm"
    (detail,) = choice.message.model_dump()["reasoning_details"]
    assert (detail["text"], detail["signature"]) == ("hm", "s")
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == '{"a":1}'
    assert final.usage is not None
    assert final.usage.prompt_tokens == 12


def test_a_failure_in_mid_stream_is_an_api_error_of_the_sdk() -> None:
    loop = InMemory(openai_chat, [TextDelta(text="Hel"), OverloadedError("the engine is gone: ask again")])
    stream = loop.client.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Hel"]
    with pytest.raises(openai.APIError, match="the engine is gone"):
        next(stream)


def test_a_refused_request_is_a_bad_request_of_the_sdk_that_names_the_field() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        InMemory(openai_chat, answer("x")).client.chat.completions.create(model="m", messages=HELLO, n=0)
    assert (caught.value.param, caught.value.type) == ("n", "invalid_request_error")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownModelError("no model m"), "model_not_found"),
        (ContextLengthError("too long", prompt_tokens=9, context_tokens=8), "context_length_exceeded"),
    ],
)
def test_errors_have_openais_codes(error: Any, code: str) -> None:
    body = json.loads(openai_chat.error(error))["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert body["code"] == code


def test_an_answer_sent_back_as_the_client_got_it_is_read_as_it_was() -> None:
    other = Citation(title="B", quote="b", provider="anthropic", raw={"type": "char_location"})
    parts = (
        Thinking(text="hm", signature="s", provider="anthropic"),
        Text(text="so", citations=(other,)),
        Thinking(signature="g", provider="gemini"),
        ToolCall(id="c", name="f", arguments='{"a":1}'),
    )
    loop = InMemory(openai_chat, answer(*parts, finish_reason="tool_calls"))
    message = loop.client.chat.completions.create(model="m", messages=HELLO).choices[0].message
    loop.client.chat.completions.create(model="m", messages=[*HELLO, message])
    assert loop.incoming is not None
    assert loop.incoming.request.messages[1] == assistant(*parts)
