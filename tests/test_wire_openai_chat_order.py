"""The order of a model's turn: it goes out to a chat client, and comes back with its next turn. The protocol has no
word for it; the ids of `reasoning_details` have."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.histories import QUESTION, kept
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Done,
    Message,
    Opaque,
    Part,
    Start,
    Text,
    Thinking,
    ToolCall,
    assistant,
    replace,
    user,
)
from trivet.wire import Incoming, Target, openai_chat, source, sse
from trivet.wire.deltas import deltas

ONE, TWO, THREE = (Thinking(text=f"t{n}", signature=f"S{n}", provider="anthropic") for n in (1, 2, 3))
PLAIN = Thinking(text="plain")
A, B = ToolCall(id="a", name="f"), ToolCall(id="b", name="f", arguments='{"x":1}')
SIGNS = Thinking(signature="G", provider="gemini")
CUSTOM = Opaque(provider="openai", raw={"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}})
TURNS: dict[str, tuple[Part, ...]] = {
    "as the protocol has it": (ONE, Text(text="so"), A, B),
    "a thought before each": (ONE, Text(text="so"), TWO, A, replace(THREE, text=""), B),
    "text between thoughts": (ONE, Text(text="one"), TWO, Text(text="two"), A),
    "text after a call": (Text(text="first"), A, Text(text="then"), B),
    "text after all calls": (A, B, Text(text="so")),
    "a thought and text after a call": (A, ONE, Text(text="so")),
    "a redacted thought after a call": (A, Thinking(redacted="r", provider="anthropic"), B),
    "a thought at the end": (Text(text="so"), ONE),
    "nobody's thought between texts": (Text(text="one"), PLAIN, Text(text="two")),
    "nobody's thought, then a signed one": (PLAIN, Text(text="so"), ONE, A),
    "nobody's thought right before a signed one": (PLAIN, ONE, Text(text="so")),
    "thoughts of nobody's around a call": (PLAIN, A, PLAIN, B),
    "a signed thought, then nobody's": (ONE, PLAIN, Text(text="so")),
    "Gemini's signatures of calls": (SIGNS, A, SIGNS, B, Text(text="so")),
    "Gemini's signature of a text": (A, SIGNS, Text(text="so")),
    "thoughts around a custom tool's call": (ONE, CUSTOM, TWO, A),
}
turns = pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def told(turn: tuple[Part, ...], stream: bool) -> dict[str, Any]:
    """The message that a client has of an answer."""
    response = ChatResponse(model="m", choices=(Choice(message=assistant(*turn), finish_reason="stop"),))
    (message,) = kept("openai_chat", response, stream)
    return message


def sent_back(message: dict[str, Any]) -> Message:
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, message]}
    request = openai_chat.parse(msgspec.json.encode(body)).request
    assert isinstance(request, Chat)
    return request.messages[1]


@ways
@turns
def test_a_turn_comes_back_in_its_order(turn: tuple[Part, ...], stream: bool) -> None:
    assert sent_back(told(turn, stream)).content == turn


@turns
def test_another_trivet_reads_it_in_its_order(turn: tuple[Part, ...]) -> None:
    message = told(turn, False)
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    target = Target(model="m", provider="p", family="openai")
    response = openai_chat.Reader(QUESTION, target).whole(msgspec.json.encode(body))
    assert isinstance(response, ChatResponse)
    assert response.message.content == turn


def test_two_thoughts_of_nobodys_in_a_stream_are_both_read() -> None:
    """Found by `test_an_answer_comes_back_whole`: the end of the one comes in the chunk with the other's text."""
    response = ChatResponse(model="m", choices=(Choice(message=assistant(A, PLAIN, PLAIN), finish_reason="stop"),))
    renderer, parser = openai_chat.Renderer(Incoming(request=QUESTION, stream=True)), sse.Parser()
    sent = b"".join(renderer.event(e) for e in [Start(model="m"), *deltas(response), Done(response=response)])
    reader = openai_chat.Reader(QUESTION, Target(model="m", provider="p", family="openai", stream=True))
    *_, done = [*(event for one in parser.feed(sent) for event in reader.event(one)), *reader.end()]
    assert isinstance(done, Done)
    assert isinstance(done.response, ChatResponse)
    assert done.response.message.content == (A, PLAIN, PLAIN)


def test_where_the_order_is_the_protocols_nothing_is_said_of_it() -> None:
    (detail,) = told(TURNS["as the protocol has it"], False)["reasoning_details"]
    assert "id" not in detail
    assert "reasoning_details" not in told((PLAIN, Text(text="so"), A), True)


@ways
def test_a_client_that_drops_the_details_loses_the_order_alone(stream: bool) -> None:
    message = told((Text(text="first"), A, Text(text="then"), ONE, B), stream)
    left = {k: v for k, v in message.items() if not k.startswith("reasoning")}
    assert sent_back(left).content == (Text(text="firstthen"), A, B)


def test_a_client_may_count_the_details_anew_and_reorder_them() -> None:
    message = told(TURNS["a thought before each"], False)
    details = [{**d, "index": n} for n, d in enumerate(reversed(message["reasoning_details"]))]
    assert (
        sent_back({**message, "reasoning_details": details, "reasoning_content": None}).content
        == TURNS["a thought before each"]
    )


def test_places_beyond_what_a_client_sends_back_are_its_end() -> None:
    message = told((Text(text="a long text"), ONE, A, TWO, B, THREE), False)
    edited = {**message, "content": "short", "tool_calls": message["tool_calls"][:1]}
    assert sent_back(edited).content == (Text(text="short"), ONE, A, TWO, THREE)


def test_citations_stay_with_the_text_that_they_are_of() -> None:
    cited = Citation(url="https://a.example", title="A", start=1, end=3)
    turn = (Text(text="one"), A, Text(text="two", citations=(cited,)))
    *_, last = sent_back(told(turn, False)).content
    assert isinstance(last, Text)
    assert [(c.url, c.start, c.end) for c in last.citations] == [("https://a.example", 1, 3)]


def test_a_place_alone_is_not_sent_to_a_host() -> None:
    message = told((A, Text(text="so")), False)
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "q"}, message]})
    request = openai_chat.parse(body).request
    target = Target(model="m", provider="openai", family="openai")
    sent = msgspec.json.decode(source.body(request, target, openai_chat))["messages"][1]
    assert "reasoning_details" not in sent
    assert (sent["content"], sent["tool_calls"]) == ("so", message["tool_calls"])


def test_a_host_that_is_told_another_order_is_told_of_in_a_note() -> None:
    target = Target(model="m", provider="acme", family="acme")
    mixed = Chat(messages=(user("q"), assistant(A, "so"), assistant("so", B)))
    assert openai_chat.reordered(mixed, target) == (
        "told to acme in another order, as thinking, then text, then tool calls: 1 of its turns",
    )
    assert openai_chat.reordered(Chat(messages=mixed.messages[2:]), target) == ()
