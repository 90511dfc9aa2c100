"""Chunks that hold a piece of text and nothing more are read at once: as they would be read field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.types import Chat, Source, user
from trivet.wire import Target, openai_chat, sse
from trivet.wire.openai_chat import answer_in

TARGET = Target(model="m", provider="up", family="up", stream=True)
FIRST = {"id": "a", "model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
LAST = {"id": "a", "choices": [{"index": i, "delta": {}, "finish_reason": "stop"} for i in (0, 1)]}

fields = st.fixed_dictionaries(
    {"content": st.sampled_from(["", "x", "grüße 🙂", None, ["list"]])},
    optional={
        "role": st.sampled_from(["assistant", None]),
        "reasoning_content": st.sampled_from([None, "thought"]),
        "tool_calls": st.none(),
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


def read(told: list[dict[str, Any]], own: bool) -> list[Any]:
    source = Source(protocol=openai_chat.PROTOCOL, body=b'{"model": "m", "messages": []}') if own else None
    reader = openai_chat.Reader(Chat(model="m", messages=(user("Hi"),), source=source), TARGET)
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


def test_a_usual_chunk_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": None, "finish_reason": None}]}
    seen: list[bytes] = []
    whole = answer_in.Reader._object
    monkeypatch.setattr(answer_in.Reader, "_object", lambda reader, body: (seen.append(body), whole(reader, body))[1])
    read([FIRST, {**usual, "usage": None, "obfuscation": "abc"}, usual], own=True)
    assert len(seen) == 2, "the first and the last"
