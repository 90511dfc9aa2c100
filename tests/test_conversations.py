"""Any conversation through any pair of protocols: in by the one, out by the other, and its answer back. Text, tool
calls, results, order, signatures and cache marks stay. In memory, over generated conversations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.types import (
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Done,
    Event,
    Image,
    Message,
    Sampling,
    Source,
    Start,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    UsageUpdate,
    assistant,
    replace,
    system,
)
from trivet.wire import Incoming, Target, anthropic, gemini, openai_chat, openai_responses, sse
from trivet.wire.deltas import deltas
from trivet.wire.gemini.front import PathFront

WIRES: dict[str, Any] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "gemini": gemini,
}
FAMILIES = {"anthropic": "anthropic", "openai_chat": "openai", "openai_responses": "openai", "gemini": "gemini"}
PAIRS = [(a, b) for a in WIRES for b in WIRES]
TOOL = Tool(
    name="weather", description="Looks.", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
)

QUESTION = Chat(model="m", messages=(Message(role="user", content=(Text(text="q"),)),))

words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
texts = st.builds(lambda a, b: Text(text=f"{a} {b}"), words, words)
images = st.builds(lambda data: Image(data=data, media_type="image/png"), st.binary(min_size=1, max_size=9))
arguments = st.dictionaries(words, words | st.integers(-99, 99) | st.booleans(), max_size=2).map(
    lambda d: msgspec.json.encode(d).decode()
)


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """A user's turn, then rounds of calls and their results, then an answer and the next question."""
    messages = [Message(role="user", content=tuple(draw(st.lists(texts | images, min_size=1, max_size=3))))]
    for n in range(draw(st.integers(0, 2))):
        calls = [
            ToolCall(id=f"call_{n}{i}", name="weather", arguments=draw(arguments))
            for i in range(draw(st.integers(1, 3)))
        ]
        said = draw(st.lists(texts, max_size=1))
        messages.append(Message(role="assistant", content=(*said, *calls)))
        results = [ToolResult(call_id=c.id, content=(draw(texts),)) for c in calls]
        messages.append(Message(role="user", content=tuple(results)))
    messages.append(Message(role="assistant", content=(draw(texts),)))
    messages.append(Message(role="user", content=(draw(texts),)))
    return (system(draw(words)), *messages) if draw(st.booleans()) else tuple(messages)


chats = turns().map(lambda m: Chat(model="m", messages=m, tools=(TOOL,), sampling=Sampling(max_tokens=2048)))


def target(name: str, stream: bool = False) -> Target:
    return Target(model="m", provider="p", family=FAMILIES[name], stream=stream)


def parsed(name: str, body: dict[str, Any]) -> Incoming:
    raw = msgspec.json.encode(body)
    if name == "gemini":
        return PathFront(gemini, "m").parse(raw)  # its model stands in the path
    incoming: Incoming = WIRES[name].parse(raw)
    return incoming


def through(name: str, request: Chat) -> Chat:
    """What a server of the protocol makes of what its provider's side has written."""
    back = parsed(name, WIRES[name].write(request, target(name))).request
    assert isinstance(back, Chat)
    return back


def merged(messages: tuple[Message, ...]) -> list[tuple[str, list[Any]]]:
    """What was said by whom, however it is cut into messages. Texts side by side are one."""
    out: list[tuple[str, list[Any]]] = []
    for message in messages:
        if not out or out[-1][0] != message.role:
            out.append((message.role, []))
        for part in message.content:
            said = replace(part, extra={})
            if isinstance(said, ToolCall):
                said = replace(said, arguments=msgspec.json.encode(msgspec.json.decode(said.arguments)).decode())
            out[-1][1].append(said)
    return out


@pytest.mark.parametrize(("front", "back"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
@settings(max_examples=25)
@given(chat=chats)
def test_a_conversation_crosses_whole(front: str, back: str, chat: Chat) -> None:
    received = through(front, chat)
    assert merged(received.messages) == merged(chat.messages)
    sent = through(back, received)
    assert merged(sent.messages) == merged(chat.messages)
    assert sent.tools[0].name == "weather"
    assert sent.tools[0].parameters["properties"] == TOOL.parameters["properties"]
    assert sent.sampling.max_tokens == 2048


@pytest.mark.parametrize("name", WIRES)
@settings(max_examples=25)
@given(chat=chats)
def test_writing_is_the_same_bytes_each_time(name: str, chat: Chat) -> None:
    one, two = (
        WIRES[name].write(chat, target(name)),
        WIRES[name].write(msgspec.json.decode(msgspec.json.encode(chat), type=Chat), target(name)),
    )
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


@pytest.mark.parametrize("front", WIRES)
@pytest.mark.parametrize("family", ["anthropic", "openai", "gemini"])
@given(thought=words, signature=st.binary(min_size=3, max_size=9), said=words)
def test_a_signature_comes_back_through_every_client_protocol(
    front: str, family: str, thought: str, signature: bytes, said: str
) -> None:
    """An answer with a signed thought goes out to a client, and comes back with the client's next turn."""
    signed = Thinking(text=thought, signature=signature.hex(), provider=family)
    answer = Message(role="assistant", content=(signed, Text(text=said)))
    response = ChatResponse(model="m", choices=(Choice(message=answer, finish_reason="stop"),))
    body = msgspec.json.decode(WIRES[front].Renderer(Incoming(request=QUESTION)).whole(response))
    back = parsed(front, next_turn(front, body)).request
    assert isinstance(back, Chat)
    (kept,) = [p for m in back.messages for p in m.content if isinstance(p, Thinking)]
    assert (kept.text, kept.signature, kept.provider) == (thought, signature.hex(), family)


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
    back = parsed("gemini", {"contents": [asked[0], *told, asked[1]]}).request
    assert isinstance(back, Chat)
    kept = [replace(p, extra={}) for m in back.messages for p in m.content if isinstance(p, Thinking)]
    assert kept == thoughts


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


def next_turn(front: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What a client sends that has put the answer it got into its history, as each protocol's guide says to."""
    if front == "anthropic":
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer["content"]}]
        return {"model": "m", "max_tokens": 9, "messages": [*turns, {"role": "user", "content": "r"}]}
    if front == "openai_chat":
        turns = [{"role": "user", "content": "q"}, answer["choices"][0]["message"], {"role": "user", "content": "r"}]
        return {"model": "m", "messages": turns}
    if front == "openai_responses":
        ask = {"role": "user", "content": "r"}
        return {"model": "m", "input": [{"role": "user", "content": "q"}, *answer["output"], ask]}
    asked = [{"role": "user", "parts": [{"text": text}]} for text in "qr"]
    return {"contents": [asked[0], answer["candidates"][0]["content"], asked[1]]}


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
    calls = [
        ToolCall(id=f"call_{i}", name="weather", arguments=draw(arguments)) for i in range(draw(st.integers(0, 3)))
    ]
    content = (*draw(st.lists(texts, max_size=1)), *calls) or (draw(texts),)
    counts = st.integers(1, 99)
    usage = Usage(
        uncached_input_tokens=draw(counts),
        cache_read_tokens=draw(counts),
        cache_write_tokens=0,
        output_tokens=draw(counts),
    )
    message = Message(role="assistant", content=content)
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


@pytest.mark.parametrize("ttl", [None, "5m", "1h"])
def test_a_cache_mark_crosses_where_it_has_a_counterpart(ttl: Any) -> None:
    marked = Message(role="user", content=(Text(text="long", cache=CacheMark(ttl=ttl)), Text(text="q")))
    chat = Chat(model="m", messages=(marked,), sampling=Sampling(max_tokens=9), source=Source(protocol="x", body=b"{}"))
    assert through("anthropic", chat).messages[0].content[0].cache == CacheMark(ttl=ttl)
