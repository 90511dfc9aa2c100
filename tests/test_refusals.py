"""A text that is itself a refusal (OpenAI's `refusal`) says so from its first piece on, whatever protocol it came in,
and in front of whatever protocol it is told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from tests.test_wire_openai_responses_reader import completed, created, delta, done, message
from trivet.collect import Collector
from trivet.types import Chat, ChatResponse, Choice, Done, Event, Message, Text, TextDelta, TokenLogprob, user
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses, sse
from trivet.wire.deltas import deltas

ASKED = Chat(messages=(user("Hi"),))
TARGET = Target(model="m", provider="up", family="up", stream=True)
REFUSAL = message({"type": "refusal", "refusal": "I won't."})
CHUNK: dict[str, Any] = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
LABELLED = Text(text="I won't.", extra={"refusal": True})
ANSWER = ChatResponse(
    model="m",
    choices=(Choice(message=Message(role="assistant", content=(LABELLED,)), finish_reason="refusal"),),
)


def of_responses() -> list[Event]:
    reader = openai_responses.Reader(ASKED, TARGET)
    told = [created(), delta("refusal", "I "), delta("refusal", "won't."), done(0, REFUSAL), completed(REFUSAL)]
    return [event for each in told for event in reader.event(each)]


def of_chat() -> list[Event]:
    reader = openai_chat.Reader(ASKED, TARGET)
    choices = [({"refusal": "I "}, None), ({"refusal": "won't."}, None), ({}, "stop")]
    bodies = [{**CHUNK, "choices": [{"index": 0, "delta": d, "finish_reason": r}]} for d, r in choices]
    events = [e for body in bodies for e in reader.event(sse.Event(data=json.dumps(body).encode()))]
    return [*events, *reader.end()]


def of_a_whole_answer() -> list[Event]:
    return [Done(response=ANSWER)]


def shown(wire: ModuleType, events: Iterable[Event]) -> list[Any]:
    """The JSON of a stream that a client of this protocol gets."""
    bodies = {
        "openai-chat": {"messages": [{"role": "user", "content": "Hi"}]},
        "openai-responses": {"input": "Hi"},
        "anthropic": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    }
    renderer = wire.Renderer(wire.parse(json.dumps({"model": "m", "stream": True} | bodies[wire.PROTOCOL]).encode()))
    parser = sse.Parser()
    found = [told for event in events for told in parser.feed(renderer.event(event))]
    return [json.loads(told.data) for told in found if told.data != b"[DONE]"]


SOURCES = pytest.mark.parametrize("source", [of_responses, of_chat, of_a_whole_answer])


@pytest.mark.parametrize("source", [of_responses, of_chat])
def test_each_piece_says_that_it_is_one_and_they_come_to_the_labelled_text(source: Any) -> None:
    events, collector = source(), Collector()
    pieces = [e for e in events if isinstance(e, TextDelta)]
    assert [(p.text, p.refusal) for p in pieces] == [("I ", True), ("won't.", True)]
    for piece in pieces:
        collector.add(piece)
    assert collector.content() == (LABELLED,)
    assert events[-1].response.message.content == (LABELLED,)
    assert events[-1].response.finish_reason == "refusal"


def test_a_whole_answers_deltas_say_it_too() -> None:
    assert [d.refusal for d in deltas(ANSWER) if isinstance(d, TextDelta)] == [True]


@SOURCES
def test_a_responses_client_gets_refusal_deltas(source: Any) -> None:
    told = shown(openai_responses, source())
    assert "".join(e["delta"] for e in told if e["type"] == "response.refusal.delta") == "I won't."
    assert not [e for e in told if e["type"].startswith("response.output_text")]
    (added,) = [e for e in told if e["type"] == "response.content_part.added"]
    assert added["part"] == {"type": "refusal", "refusal": ""}
    (over,) = [e for e in told if e["type"] == "response.refusal.done"]
    assert over["refusal"] == "I won't."
    assert told[-1]["type"] == "response.completed"
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I won't."}]


@SOURCES
def test_a_chat_client_gets_it_under_refusal(source: Any) -> None:
    told = shown(openai_chat, source())
    choices = [ChatCompletionChunk.model_validate(chunk).choices[0] for chunk in told]
    assert "".join(c.delta.refusal or "" for c in choices) == "I won't."
    assert not any(c.delta.content for c in choices)
    assert choices[-1].finish_reason == "stop"


@SOURCES
def test_a_client_of_anthropic_gets_a_text_and_the_reason(source: Any) -> None:
    told = shown(anthropic, source())
    assert "".join(e["delta"]["text"] for e in told if e["type"] == "content_block_delta") == "I won't."
    assert [e["delta"]["stop_reason"] for e in told if e["type"] == "message_delta"] == ["refusal"]


@SOURCES
def test_a_client_of_gemini_gets_a_text_and_the_reason(source: Any) -> None:
    told = shown(gemini, source())
    candidates = [answer["candidates"][0] for answer in told]
    assert "".join(p["text"] for c in candidates for p in c["content"]["parts"]) == "I won't."
    assert candidates[-1]["finishReason"] == "SAFETY"


def test_logprobs_of_a_refusal_stand_under_refusal() -> None:
    piece = TextDelta(text="No", logprobs=(TokenLogprob(token="No", logprob=-0.5),), refusal=True)
    told = shown(openai_chat, [piece, Done(response=ANSWER)])
    (logprobs,) = [c["choices"][0]["logprobs"] for c in told if c["choices"][0]["logprobs"]]
    assert logprobs["content"] is None
    assert logprobs["refusal"][0]["token"] == "No"
