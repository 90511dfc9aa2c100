"""Any conversation through any pair of protocols: in by the one, out by the other, and its answer back. Text, tool
calls, results, order, signatures and cache marks stay. In memory, over generated conversations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversations import TOOL, chats, spoken
from tests.crossing import FAMILIES, SIGNS, as_sent, as_told, lost, marked, merged
from tests.histories import QUESTION, WIRES, kept
from trivet.errors import UnsupportedError
from trivet.providers.hosted import reordered, suited
from trivet.types import (
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Conversation,
    Done,
    Event,
    Message,
    Part,
    Sampling,
    Source,
    Start,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UsageUpdate,
    assistant,
    replace,
)
from trivet.wire import Incoming, Target, gemini, sse
from trivet.wire.deltas import deltas
from trivet.wire.gemini.front import PathFront
from trivet.wire.thinking import leave_out

PAIRS = [(a, b) for a in WIRES for b in WIRES]
# Each is run for many pairs.
FEW = settings(max_examples=25) if settings().derandomize else settings()


def target(name: str, stream: bool = False) -> Target:
    return Target(model="m", provider="p", family=FAMILIES[name], stream=stream)


def parsed(name: str, body: dict[str, Any]) -> Chat:
    raw = msgspec.json.encode(body)
    incoming = PathFront(gemini, "m").parse(raw) if name == "gemini" else WIRES[name].parse(raw)  # a path has its model
    assert isinstance(incoming.request, Chat)
    return incoming.request


def through(name: str, request: Chat) -> Chat:
    """What a server of the protocol makes of what its provider's side has written."""
    return parsed(name, WIRES[name].write(request, target(name)))


def fit(chat: Conversation, name: str, asked: Target) -> Chat:
    """Without the marks that the protocol has no place for."""
    kept, _ = suited(chat, asked, WIRES[name])
    assert isinstance(kept, Chat)
    return kept


# --- what a client says --------------------------------------------------------------------------------------

# A chat client that has the extensions: marks as OpenRouter's, images in results.
CLIENTS = {name: target(name) for name in WIRES} | {
    "openai_chat": replace(target("openai_chat"), quirks={"cache": "cache_control", "tool_images": True})
}
TURNS = {"anthropic": "messages", "openai_chat": "messages", "openai_responses": "input", "gemini": "contents"}


def asks(front: str, chat: Chat, stream: bool) -> dict[str, Any]:
    """A client's request: its own words, and the model's turns as it got them, whole or in streams."""
    written = fit(_without_thoughts(chat), front, CLIENTS[front])
    body: dict[str, Any] = WIRES[front].write(written, CLIENTS[front])
    answers = iter([m for m in chat.messages if m.role == "assistant"])
    items: list[Any] = []
    before = False
    for item in body[TURNS[front]]:
        models = item.get("role") in ("assistant", "model") or item.get("type") == "function_call"
        if not models:
            items.append(item)
        elif not before:
            choice = Choice(message=next(answers), finish_reason="stop")
            items += kept(front, ChatResponse(model="m", choices=(choice,)), stream)
        before = models
    return body | {TURNS[front]: items}


def _without_thoughts(chat: Chat) -> Chat:
    return replace(
        chat,
        messages=tuple(
            replace(m, content=tuple(p for p in m.content if not isinstance(p, Thinking))) for m in chat.messages
        ),
    )


@pytest.mark.parametrize(("front", "back"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
@FEW
@given(chat=chats, stream=st.booleans())
def test_a_conversation_crosses_whole(front: str, back: str, chat: Chat, stream: bool) -> None:
    if front == "openai_responses":  # whose marks have lifetimes of their own, which no other protocol has
        chat = marked(chat, lambda mark: CacheMark(), tool=False)
    received = parsed(front, asks(front, chat, stream))
    told = as_told(chat, front)
    assert merged(received.messages) == merged(told.messages)
    assert [t.cache for t in received.tools] == [t.cache for t in told.tools]
    if front == back:
        return  # then the client's own bytes go on
    sent, notes = crossed(received, back)
    expected = as_sent(told, back)
    assert merged(sent.messages) == merged(expected.messages)
    assert [(t.name, t.cache) for t in sent.tools] == [("weather", t.cache) for t in expected.tools]
    assert sent.tools[0].parameters["properties"] == TOOL.parameters["properties"]
    assert sent.sampling.max_tokens == 2048
    assert noted(notes) == lost(told, back)


def crossed(received: Chat, back: str) -> tuple[Chat, tuple[str, ...]]:
    """What the provider reads, and the notes of what it was not told, as `providers.hosted` does it."""
    request, notes = leave_out(replace(received, source=Source(protocol="x", body=b"{}")), SIGNS[back], unsigned=False)
    request, more = suited(request, target(back), WIRES[back])
    notes += more + reordered(request, target(back), WIRES[back])
    assert isinstance(request, Chat)
    return through(back, request), notes


def noted(notes: tuple[str, ...]) -> set[str]:
    kinds = {"thinking": "thinking that it has signed", "marks": "cache marks", "order": "another order"}
    found = {kind for kind, words in kinds.items() if any(words in note for note in notes)}
    assert len(found) == len({note.partition(":")[0] for note in notes})
    return found


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(chat=chats)
def test_writing_is_the_same_bytes_each_time(name: str, chat: Chat) -> None:
    own, _ = leave_out(chat, SIGNS[name], unsigned=False)
    chat = fit(own, name, target(name))
    one, two = (
        WIRES[name].write(chat, target(name)),
        WIRES[name].write(msgspec.json.decode(msgspec.json.encode(chat), type=Chat), target(name)),
    )
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("front", WIRES)
@given(turn=st.integers(0, 3).flatmap(spoken))
def test_a_turn_comes_back_through_every_client_protocol(front: str, stream: bool, turn: tuple[Part, ...]) -> None:
    """An answer goes out to a client, and comes back with the client's next turn."""
    answer = Message(role="assistant", content=turn)
    chat = replace(QUESTION, messages=(*QUESTION.messages, answer), sampling=Sampling(max_tokens=9))
    assert merged(parsed(front, asks(front, chat, stream)).messages) == merged(chat.messages)


@pytest.mark.parametrize("apart", [False, True], ids=["one content", "a content each"])
@pytest.mark.parametrize("family", ["anthropic", "openai"])
def test_a_streamed_thought_comes_back_whole_from_a_gemini_client(family: str, apart: bool) -> None:
    """Google's client keeps the pieces of a stream in its history as they came."""
    thoughts = [Thinking(text=f"Thought {n}.", signature=f"sig{n}", provider=family) for n in range(2)]
    answer = Message(role="assistant", content=(*thoughts, Text(text="Said.")))
    response = ChatResponse(model="m", choices=(Choice(message=answer, finish_reason="stop"),))
    renderer, parser = gemini.Renderer(Incoming(request=QUESTION, stream=True)), sse.Parser()
    sent = [renderer.event(e) for e in [Start(model="m", id="1"), *deltas(response), Done(response=response)]]
    chunks = [msgspec.json.decode(one.data) for piece in sent for one in parser.feed(piece)]
    told = [c["candidates"][0]["content"] for c in chunks]
    if not apart:
        told = [{"role": "model", "parts": [p for c in told for p in c["parts"]]}]
    asked = [{"role": "user", "parts": [{"text": text}]} for text in "qr"]
    back = parsed("gemini", {"contents": [asked[0], *told, asked[1]]})
    found = [replace(p, extra={}) for m in back.messages for p in m.content if isinstance(p, Thinking)]
    assert found == thoughts


@pytest.mark.parametrize("family", ["anthropic", "openai"])
def test_a_streamed_thought_is_one_for_a_trivet_that_asks_a_trivet(family: str) -> None:
    thoughts = (Thinking(text="Hm.", signature="s", provider=family), Thinking(signature="t", provider=family))
    response = ChatResponse(
        model="m", choices=(Choice(message=assistant(*thoughts, Text(text="Said.")), finish_reason="stop"),)
    )
    renderer, parser = gemini.Renderer(Incoming(request=QUESTION, stream=True)), sse.Parser()
    sent = b"".join(renderer.event(e) for e in [Start(model="m"), *deltas(response), Done(response=response)])
    reader = gemini.Reader(QUESTION, target("gemini", stream=True))
    *_, done = [*(event for one in parser.feed(sent) for event in reader.event(one)), *reader.end()]
    assert isinstance(done, Done)
    assert isinstance(done.response, ChatResponse)
    assert done.response.message.content[:2] == thoughts


@pytest.mark.parametrize("back", ["anthropic", "gemini"])
def test_a_call_for_which_a_model_wrote_no_arguments_has_none(back: str) -> None:
    """Chat clients keep the empty text that some models wrote."""
    called = Message(role="assistant", content=(ToolCall(id="c", name="weather", arguments=""),))
    said = Message(role="user", content=(ToolResult(call_id="c", content=(Text(text="r"),)),))
    sent = through(back, replace(QUESTION, messages=(*QUESTION.messages, called, said)))
    (call,) = [p for m in sent.messages for p in m.content if isinstance(p, ToolCall)]
    assert call.arguments == "{}"


def answer_through(name: str, response: ChatResponse, stream: bool = False) -> ChatResponse:
    """What our reader makes of what our renderer has written."""
    wire = WIRES[name]
    renderer = wire.Renderer(Incoming(request=QUESTION, stream=stream, stream_usage=True))
    reader = wire.Reader(QUESTION, target(name, stream))
    if not stream:
        whole = reader.whole(renderer.whole(response))
        assert isinstance(whole, ChatResponse)
        return whole
    events: list[Event] = [
        Start(model="m", id="1"),
        *deltas(response),
        UsageUpdate(usage=response.usage),
        Done(response=response),
    ]
    parser, told = sse.Parser(), []
    for event in events:
        for one in parser.feed(renderer.event(event)):
            told += reader.event(one)
    told += reader.end()
    (done,) = [e for e in told if isinstance(e, Done)]
    assert told[-1] is done
    assert isinstance(done.response, ChatResponse)
    return done.response


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    calls = draw(st.integers(0, 3))
    counts = st.integers(1, 99)
    usage = Usage(
        uncached_input_tokens=draw(counts),
        cache_read_tokens=draw(counts),
        cache_write_tokens=0,
        output_tokens=draw(counts),
    )
    message = Message(role="assistant", content=draw(spoken(calls)))
    return ChatResponse(
        model="m", usage=usage, choices=(Choice(message=message, finish_reason="tool_calls" if calls else "stop"),)
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", WIRES)
@given(response=answers())
def test_an_answer_comes_back_whole(name: str, stream: bool, response: ChatResponse) -> None:
    back = answer_through(name, response, stream)
    assert merged((back.message,)) == merged((response.message,))
    assert back.finish_reason == response.finish_reason
    assert back.usage.input_tokens == response.usage.input_tokens
    assert back.usage.output_tokens == response.usage.output_tokens
    assert back.usage.cache_read_tokens == response.usage.cache_read_tokens


@pytest.mark.parametrize("back", ["anthropic", "gemini"])
def test_a_lifetime_that_only_openai_has_is_refused_by_its_name(back: str) -> None:
    marked = Message(role="user", content=(Text(text="long", cache=CacheMark(ttl="1h")), Text(text="q")))
    received = through("openai_responses", replace(QUESTION, messages=(marked,)))
    with pytest.raises(UnsupportedError) as caught:
        crossed(received, back)
    assert caught.value.field == "messages[0].content[0].prompt_cache_breakpoint"


@pytest.mark.parametrize("signature", ["dHJpdmV0Og==", "dHJpdmV0OmE="], ids=["trivet:", "trivet:a"])
def test_a_signature_that_only_begins_like_a_tag_of_ours_is_geminis(signature: str) -> None:
    """Found by `test_a_conversation_crosses_whole`: the base64 of these words."""
    turn = assistant(Thinking(signature=signature, provider="gemini"), Text(text="so"))
    chat = replace(QUESTION, messages=(*QUESTION.messages, turn))
    assert parsed("gemini", asks("gemini", chat, False)).messages == chat.messages
