"""What holds for every model that wraps a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from tests.wrappers import REQUESTS, WRAPPERS
from trivet.errors import RateLimitError, TransportError, UnsupportedError
from trivet.fake import CUT, STALL, Fake
from trivet.model import About, Model, Wrapper
from trivet.types import Chat, Context, Conversation, Done, Event, Request, Start, TextDelta, replace, tasks, user

CHAT = REQUESTS["chat"]
Wrap = Callable[[Model], Model]


@pytest.fixture(params=WRAPPERS)
def wrap(request: pytest.FixtureRequest) -> Wrap:
    return WRAPPERS[request.param]


@pytest.fixture(params=sorted(tasks()))
def request_(request: pytest.FixtureRequest) -> Request:
    """One request of each task that there is, so that a task without one fails."""
    return REQUESTS[request.param]


async def events_of(model: Model, request: Request) -> list[Event]:
    """Without what is told by wrappers alone: attempts, and what a cache of answers has to say."""
    async with aclosing(model.stream(request)) as events:
        return [_bare(event) async for event in events]


def _bare(event: Event) -> Event:
    if isinstance(event, Start):
        return replace(event, route=())
    return replace(event, response=_answer(event.response)) if isinstance(event, Done) else event


def _answer(response: Any) -> Any:
    return replace(response, route=(), cache=None)


async def test_every_task_gets_the_answer_of_the_model_inside(wrap: Wrap, request_: Request) -> None:
    bare, wrapped = await events_of(Fake(), request_), await events_of(wrap(Fake()), request_)
    assert wrapped == bare
    assert [type(e) for e in wrapped].index(Done) == len(wrapped) - 1


async def test_call_is_the_response_of_the_stream(wrap: Wrap, request_: Request) -> None:
    response = _answer(await wrap(Fake()).call(request_))
    assert type(response) is request_.response_type
    assert response == (await events_of(Fake(), request_))[-1].response


async def test_a_request_keeps_what_does_not_concern_the_wrapper(wrap: Wrap, request_: Request) -> None:
    fake = Fake()
    asked = replace(request_, model="some/name", extra={"field": 1}, context=Context(id="1", whole=True))
    await wrap(fake).call(asked)
    (inside,) = fake.requests
    inside = replace(inside, context=replace(inside.context, deadline_s=None))  # which a timeout sets
    if isinstance(inside, Conversation):  # what a prompt and an effort are for
        inside, asked = (replace(each, messages=(), reasoning=None) for each in (inside, asked))
    assert inside == asked


async def test_about_is_that_of_the_model_inside(wrap: Wrap) -> None:
    about = About(name="inside", tasks=("chat",), context_tokens=17, tools=True, where="embedded", license="MIT")
    assert wrap(Fake(about=about)).about == about


async def test_a_task_that_the_model_inside_lacks_is_refused_before_the_first_event(wrap: Wrap) -> None:
    fake = Fake(about=About(name="inside", tasks=("embed",)))
    with pytest.raises(UnsupportedError, match="inside has no task 'chat'"):
        await anext(wrap(fake).stream(CHAT))
    assert fake.requests == []


async def test_an_error_before_the_first_event_passes_as_it_is(wrap: Wrap) -> None:
    error = RateLimitError("slow down", retry_after_s=3)
    with pytest.raises(RateLimitError) as caught:
        await events_of(wrap(Fake([error])), CHAT)
    assert caught.value is error


async def test_an_error_after_content_passes_after_that_content(wrap: Wrap) -> None:
    error = TransportError("gone")
    events = wrap(Fake([["Hel", error]])).stream(CHAT)
    while not isinstance(event := await anext(events), TextDelta):
        pass
    assert event.text == "Hel"
    with pytest.raises(TransportError) as caught:
        await anext(events)
    assert caught.value is error


async def test_a_cut_stream_is_an_error_of_call(wrap: Wrap) -> None:
    with pytest.raises(TransportError, match="before its answer was complete"):
        await wrap(Fake([["Hel", CUT]])).call(CHAT)


async def test_leaving_early_closes_the_model_inside_before_the_wrapper_is_closed(wrap: Wrap) -> None:
    fake = Fake([["one", STALL]])
    events = wrap(fake).stream(CHAT)
    while not isinstance(await anext(events), TextDelta):
        pass
    assert fake.open == 1
    await events.aclose()
    assert (fake.open, fake.log) == (0, ["start", "closed"])


async def test_cancelling_the_task_closes_the_model_inside(wrap: Wrap) -> None:
    fake, under_way = Fake([["one", STALL]]), asyncio.Event()

    async def consume() -> None:
        async with aclosing(wrap(fake).stream(CHAT)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    under_way.set()

    task = asyncio.create_task(consume())
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (fake.open, fake.log) == (0, ["start", "closed"])


async def test_layers_close_from_the_bottom_up(wrap: Wrap) -> None:
    closed: list[str] = []

    class Noting(Wrapper):
        def __init__(self, inner: Model, name: str) -> None:
            super().__init__(inner)
            self.name = name

        async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
            try:
                async with aclosing(super().stream(request)) as events:
                    async for event in events:
                        yield event
            finally:
                closed.append(self.name)

    fake = Fake([["one", STALL]])
    events = Noting(wrap(Noting(fake, "below")), "above").stream(CHAT)
    await anext(events)
    await events.aclose()
    assert closed == ["below", "above"]
    assert fake.log == ["start", "closed"]


async def test_requests_side_by_side_do_not_mix(wrap: Wrap) -> None:
    model = wrap(Fake(lambda request: request.messages[-1].text, delay_s=0.001))  # type: ignore[attr-defined]
    asked = [Chat(messages=(user(f"number {i}"),)) for i in range(16)]
    answers = await asyncio.gather(*(model.call(r) for r in asked))
    assert [a.text for a in answers] == [f"number {i}" for i in range(16)]  # type: ignore[attr-defined]


async def test_close_closes_the_model_inside_and_twice_is_fine(wrap: Wrap) -> None:
    fake = Fake()
    model = wrap(fake)
    await model.close()
    await model.close()
    assert fake.closed
