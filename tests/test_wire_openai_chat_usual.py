"""Requests, answers and chunks of text and little more are read at once: as they would be read field by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError
from trivet.types import Chat, Source, user
from trivet.wire import Incoming, Target, openai_chat, sse
from trivet.wire.openai_chat import answer_in, request_in
from trivet.wire.openai_received import Received

TARGET = Target(model="m", provider="up", family="up", stream=True)
FIRST = {"id": "a", "model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
LAST = {"id": "a", "choices": [{"index": i, "delta": {}, "finish_reason": "stop"} for i in (0, 1)]}

fields = st.fixed_dictionaries(
    {"content": st.sampled_from(["", "x", "grüße 🙂", None, ["list"]])},
    optional={
        "role": st.sampled_from(["assistant", None]),
        "reasoning_content": st.sampled_from([None, "thought"]),
        "refusal": st.sampled_from([None, "no"]),
        "annotations": st.sampled_from([None, []]),
        "tool_calls": st.sampled_from([None, []]),
        "beyond": st.just(1),
    },
)
choices = st.fixed_dictionaries(
    {"delta": fields},
    optional={
        "index": st.sampled_from([0, 1]),
        "logprobs": st.none(),
        "finish_reason": st.sampled_from([None, "stop"]),
        "beyond": st.just({}),
    },
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(choices, max_size=2)},
    optional={
        "id": st.sampled_from(["a", "b", None, ""]),
        "model": st.sampled_from(["m-1", "m-2", None]),
        "object": st.just("chat.completion.chunk"),
        "created": st.sampled_from([1, 1.5]),
        "usage": st.sampled_from([None, {"prompt_tokens": 1, "completion_tokens": 2}]),
        "service_tier": st.sampled_from(["default", None]),
        "system_fingerprint": st.sampled_from(["fp", None]),
        "obfuscation": st.sampled_from(["x", "yy"]),
        "beyond": st.just([1]),
    },
)
whole_choices = st.fixed_dictionaries(
    {"message": fields},
    optional={
        "index": st.sampled_from([0, 1]),
        "logprobs": st.sampled_from([None, {"content": [{"token": "x", "logprob": -1.0}]}]),
        "finish_reason": st.sampled_from([None, "stop", "length", "tool_calls", "content_filter", "beyond"]),
        "stop_reason": st.sampled_from([None, "END", 7]),
        "beyond": st.just({}),
    },
)
answers = st.fixed_dictionaries(
    {"choices": st.lists(whole_choices, min_size=1, max_size=2)},
    optional={
        "id": st.sampled_from(["a", None, ""]),
        "model": st.sampled_from(["m-1", None]),
        "created": st.sampled_from([1, 1.5]),
        "usage": st.sampled_from([None, [], {"prompt_tokens": 1, "completion_tokens": 2}]),
        "x_groq": st.just({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        "service_tier": st.sampled_from(["default", None]),
        "system_fingerprint": st.sampled_from(["fp", None]),
        "kv_transfer_params": st.sampled_from([None, {}]),
        "beyond": st.just([1]),
    },
)
said = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        "content": st.sampled_from(["", "x", None, [{"type": "text", "text": "x"}]]),
    },
    optional={"name": st.sampled_from(["n", None]), "beyond": st.just(1)},
)
tokens = st.sampled_from([None, 5, 6, 0, 10**30, 1.5])
requests = st.fixed_dictionaries(
    {"messages": st.lists(said, max_size=3)},
    optional={
        "model": st.sampled_from(["m", "", None, 3]),
        "stream": st.sampled_from([True, False, None, 1]),
        "temperature": st.sampled_from([None, 0, 1, 0.5, -1, "hot"]),
        "top_p": st.sampled_from([None, 1, 0.5, 2]),
        "max_tokens": tokens,
        "max_completion_tokens": tokens,
        "stream_options": st.just({"include_usage": True}),
        "beyond": st.just([1]),
    },
)


def parsed(read: Callable[[bytes], Incoming], body: bytes) -> str:
    """What was read, or what was said against it. `1` and `1.0` are not the same here."""
    try:
        return repr(read(body))
    except RequestError as error:
        return f"{error!r} {error.message} {error.field}"


def chat(own: bool) -> Chat:
    source = Source(protocol=openai_chat.PROTOCOL, body=b'{"model": "m", "messages": []}') if own else None
    return Chat(model="m", messages=(user("Hi"),), source=source)


def read_whole(told: dict[str, Any], own: bool) -> Any:
    return openai_chat.Reader(chat(own), TARGET).whole(json.dumps(told).encode())


def read(told: list[dict[str, Any]], own: bool) -> list[Any]:
    reader = openai_chat.Reader(chat(own), TARGET)
    found: list[Any] = []
    for chunk in [*told, LAST]:
        (event,) = sse.Parser().feed(sse.event(json.dumps(chunk).encode()))
        found += reader.event(event)
    return [*found, *reader.end()]


@given(st.lists(chunks, max_size=6), st.booleans())
def test_any_chunks_are_the_same_events_in_both_ways(told: list[dict[str, Any]], own: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_once = read([FIRST, *told], own)
        patch.setattr(answer_in.Reader, "_text", lambda reader, event: None)
        assert read([FIRST, *told], own) == at_once


@given(requests)
def test_any_request_is_the_same_in_both_ways(told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    assert parsed(request_in.parse, body) == parsed(request_in._any, body)


def test_a_usual_request_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_in, "_any", None)
    told = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 5}
    assert request_in.parse(json.dumps(told).encode()).stream


@given(answers, st.booleans())
def test_any_answer_is_the_same_in_both_ways(told: dict[str, Any], own: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_once = read_whole(told, own)
        patch.setattr(answer_in.Reader, "_whole_text", lambda reader, body: None)
        assert read_whole(told, own) == at_once


def test_a_usual_answer_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Received, "object", None)  # whatever is read field by field is read with this first
    message = {"role": "assistant", "content": "x", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    assert read_whole({"id": "a", "choices": [choice], "usage": {"prompt_tokens": 1}}, own=True).text == "x"


def test_a_usual_chunk_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": None, "finish_reason": None}]}
    seen: list[bytes] = []
    whole = Received.object

    def noted(received: Received, body: bytes, **more: Any) -> Any:
        seen.append(body)
        return whole(received, body, **more)

    monkeypatch.setattr(Received, "object", noted)
    read([FIRST, {**usual, "usage": None, "obfuscation": "abc"}, usual], own=True)
    assert len(seen) == 2, "the first and the last"
