"""The scripted model."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from trivet.errors import ConfigError, RateLimitError, TransportError, UnsupportedError
from trivet.fake import CUT, STALL, Fake
from trivet.model import About
from trivet.types import (
    Chat,
    ChatResponse,
    Context,
    Done,
    Embed,
    Event,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    Usage,
    replace,
    user,
)

HI = Chat(messages=(user("Hi"),))


async def texts(fake: Fake) -> list[str]:
    async with aclosing(fake.stream(HI)) as events:
        return [e.text async for e in events if isinstance(e, TextDelta)]


async def test_a_string_answers_every_request() -> None:
    fake = Fake("Hello")
    assert [(await fake.call(HI)).text for _ in range(2)] == ["Hello", "Hello"]  # type: ignore[attr-defined]
    assert fake.requests == [replace(HI, context=Context(whole=True))] * 2


async def test_a_list_has_one_reply_for_each_request_and_says_when_it_is_used_up() -> None:
    fake = Fake(["first", ["sec", "ond"]])
    assert await texts(fake) == ["first"]
    assert await texts(fake) == ["sec", "ond"]
    with pytest.raises(ConfigError, match="no reply left for request 3"):
        await fake.call(HI)


async def test_a_function_may_be_async_and_sees_the_request() -> None:
    async def reply(request: object) -> str:
        await asyncio.sleep(0)
        return f"You said {request.messages[-1].text}"  # type: ignore[attr-defined]

    assert await texts(Fake(reply)) == ["You said Hi"]
    assert await texts(Fake(lambda request: type(request).__name__)) == ["Chat"]


async def test_a_stream_starts_with_who_answers_and_ends_with_the_whole() -> None:
    async with aclosing(Fake([["a", "b"]]).stream(HI)) as stream:
        events: list[Event] = [e async for e in stream]
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Done)
    response = events[-1].response
    assert isinstance(response, ChatResponse)
    assert (response.text, response.finish_reason, response.usage.output_tokens) == ("ab", "stop", 1)


async def test_text_thinking_and_calls_are_parts_in_their_order() -> None:
    call = ToolCall(id="1", name="f", arguments='{"a":1}')
    response = await Fake([[ThinkingDelta(text="hm", part=0), call]]).call(HI)
    assert isinstance(response, ChatResponse)
    assert response.tool_calls == (call,)
    assert response.finish_reason == "tool_calls"


async def test_an_error_alone_comes_before_the_first_event() -> None:
    fake = Fake([RateLimitError("slow down")])
    with pytest.raises(RateLimitError):
        await anext(fake.stream(HI))
    assert fake.log == ["start", "failed"]


async def test_an_error_among_pieces_comes_after_content() -> None:
    fake = Fake([["Hel", TransportError("gone")]])
    events = fake.stream(HI)
    assert isinstance(await anext(events), Start)
    assert isinstance(await anext(events), TextDelta)
    with pytest.raises(TransportError, match="gone"):
        await anext(events)


async def test_a_cut_stream_ends_without_done() -> None:
    fake = Fake([["Hel", CUT]])
    async with aclosing(fake.stream(HI)) as events:
        assert not [e async for e in events if isinstance(e, Done)]
    assert fake.log == ["start", "failed"]


async def test_a_stall_lasts_until_the_client_leaves() -> None:
    fake = Fake([["Hel", STALL, "lo"]])
    events = fake.stream(HI)
    assert isinstance(await anext(events), Start)
    assert isinstance(await anext(events), TextDelta)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (fake.log, fake.open) == (["start", "closed"], 0)


async def test_a_response_of_ones_own_is_passed_on() -> None:
    mine = ChatResponse(model="mine", choices=(), usage=Usage())
    assert await Fake([mine]).call(HI) is mine


async def test_about_can_be_given_and_tasks_that_it_lacks_are_refused() -> None:
    fake = Fake(about=About(name="chatty", tasks=("chat",), where="test"))
    with pytest.raises(UnsupportedError, match="chatty has no task 'embed'"):
        await fake.call(Embed(texts=("a",)))
    assert fake.requests == []
