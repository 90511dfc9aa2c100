"""Any conversation that Anthropic can say, written for it, is read as what it was."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trivet.types import (
    CacheMark,
    Chat,
    Citation,
    Conversation,
    CountTokens,
    Document,
    Image,
    Message,
    Opaque,
    Output,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trivet.wire import Target, anthropic
from trivet.wire.anthropic import count

TARGET = Target(model="m", provider="up", family="anthropic")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

words = st.text(min_size=1, max_size=8)
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
marks = st.sampled_from([None, CacheMark(), CacheMark(ttl="5m"), CacheMark(ttl="1h")])
inputs = st.dictionaries(words, words | st.integers(-9, 9) | st.none(), max_size=2).map(
    lambda d: msgspec.json.encode(d).decode()
)
locations = st.builds(lambda t: {"type": "char_location", "cited_text": t, "document_index": 0}, words)
citations = st.builds(lambda raw: Citation(quote=raw["cited_text"], provider="anthropic", raw=raw), locations)
said = st.builds(Text, text=words, cache=marks, citations=st.lists(citations, max_size=2).map(tuple))
seen = st.one_of(
    st.builds(Text, text=words, cache=marks),
    st.builds(Image, data=st.binary(max_size=9), media_type=st.just("image/png"), cache=marks),
    st.builds(Image, url=words, cache=marks),
    st.builds(Document, data=st.binary(max_size=9), media_type=st.just("application/pdf"), name=words, cache=marks),
    st.builds(Document, data=words.map(str.encode), media_type=st.just("text/plain"), cache=marks),
)
results = st.builds(
    ToolResult, call_id=ids, content=st.lists(seen, max_size=2).map(tuple), is_error=st.booleans(), cache=marks
)
told = st.one_of(
    said,
    st.builds(Thinking, text=words, signature=ids, provider=st.just("anthropic")),
    st.builds(Thinking, redacted=ids, provider=st.just("anthropic")),
    st.builds(ToolCall, id=ids, name=ids, arguments=inputs, cache=marks),
    st.builds(lambda i: Opaque(provider="anthropic", raw={"type": "server_tool_use", "id": i}), ids),
)
questions = st.builds(
    lambda r, s: Message(role="user", content=(*r, *s)), st.lists(results), st.lists(seen, min_size=1)
)
answers = st.lists(told, min_size=1, max_size=4).map(lambda parts: Message(role="assistant", content=tuple(parts)))
prompts = st.lists(st.builds(Text, text=words, cache=marks), min_size=1, max_size=2).map(
    lambda parts: Message(role="system", content=tuple(parts))
)
turns = st.lists(st.tuples(questions, answers, st.lists(prompts, max_size=1)), min_size=1, max_size=3)
tools = st.lists(
    st.builds(Tool, name=ids, description=st.none() | words, strict=st.none() | st.booleans(), cache=marks), max_size=2
)
thinking = st.one_of(
    st.none(),
    st.builds(Reasoning, effort=st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"])),
    st.builds(Reasoning, budget_tokens=st.integers(1024, 2000), summary=st.sampled_from([None, "auto", "omitted"])),
    st.builds(Reasoning, effort=st.sampled_from([None, "low"]), adaptive=st.just(True)),
)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    first, has = draw(st.lists(prompts, max_size=1)), draw(tools)
    choices = [None, ToolChoice(), ToolChoice(mode="required", parallel=False), ToolChoice(mode="none")]
    return Chat(
        model="m",
        messages=(*first, *(m for question, answer, later in draw(turns) for m in (question, answer, *later))),
        tools=tuple(has),
        tool_choice=draw(st.sampled_from(choices)) if has else None,
        output=draw(st.sampled_from([None, Output(schema=SCHEMA, strict=True)])),
        reasoning=draw(thinking),
        sampling=Sampling(max_tokens=4000, stop=tuple(draw(st.lists(words, max_size=2)))),
        user=draw(st.none() | words),
        service_tier=draw(st.sampled_from([None, "auto", "standard_only"])),
    )


@given(chats())
def test_what_is_written_is_read_as_what_it_was(chat: Chat) -> None:
    back = anthropic.parse(msgspec.json.encode(anthropic.write(chat, TARGET))).request
    assert isinstance(back, Chat)
    assert msgspec.structs.replace(back, source=None) == chat


@given(chats())
def test_a_count_of_what_is_written_reads_the_same_conversation(chat: Chat) -> None:
    fields: dict[str, Any] = {name: getattr(chat, name) for name in Conversation.__struct_fields__}
    sent = msgspec.json.encode(count.write(CountTokens(**fields), TARGET))
    back = count.parse(sent).request
    assert all(getattr(back, name) == value for name, value in fields.items() if name != "source")
