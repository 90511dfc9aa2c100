"""Conversations as they are held: generated, for property tests."""

from __future__ import annotations

from base64 import b64encode

import msgspec
from hypothesis import strategies as st

from trivet.types import (
    CacheMark,
    Chat,
    Image,
    Message,
    Part,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    replace,
)

TOOL = Tool(
    name="weather", description="Looks.", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
)

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
