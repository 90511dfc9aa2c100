"""Any conversation through any pair of protocols: in by the one, out by the other, and its answer back. Text, tool
calls, results, order, signatures and cache marks stay. In memory, over generated conversations."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Image,
    Message,
    Part,
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
)
from trivet.wire import Incoming, Target, gemini, sse
from trivet.wire.deltas import deltas
from trivet.wire.gemini.front import PathFront
from trivet.wire.thinking import leave_out

FAMILIES = {"anthropic": "anthropic", "openai_chat": "openai", "openai_responses": "openai", "gemini": "gemini"}
# Whose signatures it takes back; OpenAI's chat completions nobody's.
SIGNS = FAMILIES | {"openai_chat": "nobody at all"}
PAIRS = [(a, b) for a in WIRES for b in WIRES]
TOOL = Tool(
    name="weather", description="Looks.", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
)

# Each is run for many pairs.
FEW = settings(max_examples=25) if settings().derandomize else settings()

words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
marks = st.none() | st.builds(CacheMark, ttl=st.sampled_from([None, "5m", "1h"]))
texts = st.builds(lambda a, b: Text(text=f"{a} {b}"), words, words)
images = st.builds(lambda data: Image(data=data, media_type="image/png"), st.binary(min_size=1, max_size=9))
asked = st.builds(lambda part, mark: replace(part, cache=mark), texts | images, marks)
arguments = st.dictionaries(words, words | st.integers(-99, 99) | st.booleans(), max_size=2).map(
    lambda d: msgspec.json.encode(d).decode()
)
signatures = st.binary(min_size=3, max_size=9).map(lambda data: b64encode(data).decode())


def thoughts(family: str | None) -> st.SearchStrategy[Thinking]:
    """As one provider writes them in a turn. Gemini signs its texts and calls, others their thoughts."""
    plain = st.builds(Thinking, text=words)
    if family is None:
        return plain
    signed = st.builds(Thinking, text=st.just("") | words, signature=signatures, provider=st.just(family))
    if family == "gemini":
        return plain | st.builds(Thinking, signature=signatures, provider=st.just(family))
    return signed | st.builds(Thinking, redacted=signatures, provider=st.just(family))


@st.composite
def spoken(draw: st.DrawFn, calls: int, name: str = "call_") -> tuple[Part, ...]:
    """What a model says in a turn: texts, thoughts and so many calls, in any order; not thoughts alone."""
    said: list[Part] = [*draw(st.lists(texts, min_size=0 if calls else 1, max_size=3))]
    said += [ToolCall(id=f"{name}{i}", name="weather", arguments=draw(arguments)) for i in range(calls)]
    said += draw(st.lists(thoughts(draw(st.sampled_from([None, "anthropic", "openai", "gemini"]))), max_size=3))
    order = draw(st.permutations(range(len(said))))
    turn = [said[n] for n in order]
    before = zip(turn, [*turn[1:], None], strict=True)
    return tuple(part for part, following in before if not (_signs(part) and isinstance(following, Thinking)))


def _signs(part: Part) -> bool:
    """Whether it is Gemini's signature of the text or call after it, and no thought."""
    return isinstance(part, Thinking) and part.provider == "gemini" and not part.text and part.redacted is None


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """A user's turn, then rounds of calls and their results, then an answer and the next question."""
    messages = [Message(role="user", content=tuple(draw(st.lists(asked, min_size=1, max_size=3))))]
    for n in range(draw(st.integers(0, 2))):
        turn = draw(spoken(draw(st.integers(1, 3)), f"call_{n}"))
        messages.append(Message(role="assistant", content=turn))
        results = [draw(results_of(part.id)) for part in turn if isinstance(part, ToolCall)]
        messages.append(Message(role="user", content=(*results, *draw(st.lists(asked, max_size=1)))))
    messages.append(Message(role="assistant", content=draw(spoken(0))))
    messages.append(Message(role="user", content=(draw(texts),)))
    prompt = Message(role="system", content=(Text(text=draw(words), cache=draw(marks)),))
    return (prompt, *messages) if draw(st.booleans()) else tuple(messages)


def results_of(id: str) -> st.SearchStrategy[ToolResult]:
    content = st.lists(texts | images, min_size=1, max_size=3).map(tuple)
    return st.builds(ToolResult, call_id=st.just(id), content=content, is_error=st.booleans(), cache=marks)


@st.composite
def conversations(draw: st.DrawFn) -> Chat:
    tool = replace(TOOL, cache=draw(marks))
    return Chat(model="m", messages=draw(turns()), tools=(tool,), sampling=Sampling(max_tokens=2048))


chats = conversations()


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


# --- what docs/translation.md says of it ---------------------------------------------------------------------


def as_told(chat: Chat, front: str) -> Chat:
    """The conversation as far as a client of the protocol has words for it."""
    if front == "gemini":
        chat = _marked(chat, lambda mark: None, tool=False)
    if front == "openai_responses":
        chat = _marked(chat, _breakpoint, tool=False)
    chat = _results(chat, front)
    if front.startswith("openai"):
        chat = replace(chat, messages=tuple(_marks_in_results(m) for m in chat.messages))
    return chat


def _marks_in_results(message: Message) -> Message:
    """A mark stands on the last part of a result."""

    def part(value: Part) -> Part:
        if not isinstance(value, ToolResult) or value.cache is None:
            return value
        *before, last = value.content
        return replace(value, content=(*before, replace(last, cache=value.cache)), cache=None)

    return replace(message, content=tuple(part(p) for p in message.content))


def as_sent(chat: Chat, back: str) -> Chat:
    """The conversation as far as its provider may be told of it."""
    chat = replace(chat, messages=tuple(_its_thoughts(m, SIGNS[back]) for m in chat.messages))
    if back == "gemini":
        chat = _marked(chat, lambda mark: None, tool=False)
    elif back != "anthropic":
        chat = _marked(chat, _breakpoint, tool=False)
    if back == "openai_chat":
        return replace(chat, messages=tuple(_chat_order(m) for m in chat.messages))
    return _results(chat, back)


def _breakpoint(mark: CacheMark) -> CacheMark:
    return CacheMark(ttl="1h" if mark.ttl == "1h" else None)


def _marked(chat: Chat, change: Callable[[CacheMark], CacheMark | None], *, tool: bool) -> Chat:
    def part(value: Any) -> Any:
        if isinstance(value, ToolResult):
            value = replace(value, content=tuple(part(p) for p in value.content))
        return value if value.cache is None else replace(value, cache=change(value.cache))

    messages = tuple(replace(m, content=tuple(part(p) for p in m.content)) for m in chat.messages)
    return replace(
        chat, messages=messages, tools=tuple(part(t) if tool else replace(t, cache=None) for t in chat.tools)
    )


def _its_thoughts(message: Message, family: str) -> Message:
    kept = (p for p in message.content if not isinstance(p, Thinking) or p.provider == family)
    return replace(message, content=tuple(kept))


def _results(chat: Chat, name: str) -> Chat:
    """OpenAI's protocols tell of an error in words; Gemini's results have their texts apart from their images."""

    def part(value: Part) -> Part:
        if not isinstance(value, ToolResult):
            return value
        content: tuple[Any, ...] = value.content
        if name == "gemini":
            return replace(value, content=tuple(sorted(content, key=lambda p: isinstance(p, Image))))
        failed = name != "anthropic" and value.is_error
        return replace(value, content=_failed(content), is_error=False) if failed else value

    return replace(chat, messages=tuple(replace(m, content=tuple(map(part, m.content))) for m in chat.messages))


def _failed(content: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(content[0], Text):
        return (replace(content[0], text=f"Error: {content[0].text}"), *content[1:])
    return (Text(text="Error"), *content)


def _chat_order(message: Message) -> Message:
    """A turn is text, then calls; images of results follow in a message."""
    if message.role == "assistant":
        return replace(message, content=tuple(sorted(message.content, key=lambda p: isinstance(p, ToolCall))))
    results: list[Part] = []
    late: list[Part] = []
    rest: list[Part] = []
    for part in message.content:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        said: tuple[Any, ...] = tuple(p for p in part.content if isinstance(p, Text))
        media = [p for p in part.content if isinstance(p, Image)]
        said = said or (Text(text="The result is in the next message."),)
        late += [Text(text=f"From the result of {part.call_id}:"), *media] if media else []
        results.append(replace(part, content=_failed(said) if part.is_error else said, is_error=False))
    return replace(message, content=(*results, *late, *rest))


def merged(messages: tuple[Message, ...]) -> list[tuple[str, list[Any]]]:
    """What was said by whom, however it is cut into messages. A model's texts side by side are one, and so are thoughts
    that nobody has signed; a mark at the end of a result is the result's."""
    out: list[tuple[str, list[Any]]] = []
    for message in messages:
        if not out or out[-1][0] != message.role:
            out.append((message.role, []))
        said = out[-1][1]
        for part in message.content:
            part = _plain(part)
            if message.role == "assistant" and isinstance(part, Text) and not part.text:
                continue  # at its end, Gemini's protocol has its signature on one
            if message.role == "assistant" and said and _one(said[-1], part):
                said[-1] = replace(part, text=said[-1].text + part.text)
            else:
                said.append(part)
    return out


def _one(a: Any, b: Any) -> bool:
    if isinstance(a, Text) and isinstance(b, Text):
        return True
    both = isinstance(a, Thinking) and isinstance(b, Thinking)
    return both and not any(t.signature or t.redacted for t in (a, b))


def _plain(part: Any) -> Any:
    cache = part.cache
    if part.extra.get("prompt_cache_breakpoint") == {"mode": "explicit", "ttl": "12h"}:
        cache = CacheMark(ttl="1h")
    if isinstance(part, ToolCall):
        part = replace(part, arguments=msgspec.json.encode(msgspec.json.decode(part.arguments)).decode())
    if isinstance(part, ToolResult):
        content = tuple(_plain(p) for p in part.content)
        cache = cache or content[-1].cache
        part = replace(part, content=(*content[:-1], replace(content[-1], cache=None)))
    return replace(part, cache=cache, extra={})


@pytest.mark.parametrize(("front", "back"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
@FEW
@given(chat=chats, stream=st.booleans())
def test_a_conversation_crosses_whole(front: str, back: str, chat: Chat, stream: bool) -> None:
    if front == "openai_responses":  # whose marks have lifetimes of their own, which no other protocol has
        chat = _marked(chat, lambda mark: CacheMark(), tool=False)
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


def lost(told: Chat, back: str) -> set[str]:
    """What a note has to tell of."""
    lost = set()
    thoughts = [p for m in told.messages for p in m.content if isinstance(p, Thinking)]
    if any(t.provider != SIGNS[back] for t in thoughts):
        lost.add("thinking")
    if back.startswith("openai") and told.tools[0].cache is not None:
        lost.add("marks")
    for message in told.messages if back == "openai_chat" else ():
        kinds = [isinstance(p, ToolCall) for p in message.content if not isinstance(p, Thinking)]
        if message.role == "assistant" and kinds != sorted(kinds):
            lost.add("order")
    return lost


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
