"""Answers given again: for which requests, what counts as the same, what is kept, and how it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clients import CLIENTS
from tests.every_field import changes, fields_of, filled
from tests.servers import Served, serving
from trivet import types
from trivet.adapt.cache import Cache
from trivet.adapt.cache_store import CacheStore
from trivet.adapt.prompt import Prompt
from trivet.adapt.route import Route, Target
from trivet.collect import Collector
from trivet.errors import RateLimitError, TransportError
from trivet.fake import CUT, Fake
from trivet.model import About, Model
from trivet.types import (
    Attempt,
    Audio,
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Complete,
    CompleteResponse,
    Context,
    Cost,
    CountTokens,
    Done,
    Embed,
    Event,
    Image,
    Message,
    Opaque,
    Request,
    Sampling,
    Source,
    Start,
    Text,
    TextChoice,
    TextDelta,
    Thinking,
    TokenLogprob,
    ToolCall,
    ToolResult,
    Usage,
    WholePart,
    assistant,
    replace,
    tasks,
    user,
)

GREEDY = Sampling(temperature=0)
CHAT = Chat(messages=(user("Hi"),), sampling=GREEDY)
DRAWN = replace(CHAT, sampling=Sampling())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    with_file = CacheStore(tmp_path / "cache.db")
    yield with_file
    with_file.close()


async def events_of(model: Model, request: Request) -> list[Event]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


def about(name: str) -> About:
    return About(name=name, tasks=tuple(tasks()), where="test")


async def asked(first: Cache, then: Cache | None = None, request: Request = CHAT, again: Request | None = None) -> int:
    """How often a model was asked, where a request is asked for and then another."""
    then = then or first
    fakes = {id(f): f for f in (_fake(first), _fake(then))}.values()
    await first.call(request)
    await then.call(again or request)
    return sum(len(fake.requests) for fake in fakes)


def _fake(model: Any) -> Fake:
    while not isinstance(model, Fake):
        model = getattr(model, "inner", None) or model.inners[0]
    return model


# --- which requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        CHAT,
        replace(CHAT, sampling=Sampling(top_k=1)),
        Complete(prompt="Once", sampling=GREEDY),
        CountTokens(messages=(user("Hi"),)),
        Embed(texts=("a", "b")),
        Embed(texts=("a",), extra={"input_type": "query"}),
    ],
)
async def test_what_should_have_the_same_answer_again_gets_it_without_asking(
    store: CacheStore, request_: Request
) -> None:
    fake = Fake("Hello you")
    model = Cache(fake, store)
    first, second = await model.call(request_), await model.call(request_)
    assert len(fake.requests) == 1
    assert (first.cache, second.cache) == ("stored", "hit")
    bare = {"id": None, "route": (), "cost": None, "cache": None}
    assert replace(first, **bare) == replace(second, **bare)


@pytest.mark.parametrize(
    "request_",
    [
        DRAWN,
        replace(CHAT, sampling=Sampling(temperature=0.1)),
        replace(CHAT, sampling=Sampling(seed=7)),
        replace(CHAT, extra={"tools": [{"type": "web_search"}]}),
        replace(CHAT, messages=(user(Image(url="https://example.com/now.jpg")),)),
        replace(CHAT, messages=(user(ToolResult(call_id="1", content=(Image(url="https://example.com/a"),))),)),
        Complete(prompt="Once"),
    ],
)
async def test_any_other_is_asked_each_time_and_passes_as_it_is_unless_opted_in(
    store: CacheStore, request_: Request
) -> None:
    model = Cache(Fake(), store)
    assert model.stream(request_).__qualname__ == "Fake.stream"  # not even a generator more
    assert (await model.call(request_)).cache is None
    assert await asked(Cache(Fake(), store), request=request_) == 2
    assert await asked(Cache(Fake(), store, mode="all"), request=request_) == 1
    on = replace(request_, context=Context(cache="on"), model="another")
    assert await asked(Cache(Fake(), store), request=on) == 1


async def test_whoever_refuses_is_asked_afresh_and_nothing_is_kept(store: CacheStore) -> None:
    off = replace(CHAT, context=Context(cache="off"))
    for mode in ("deterministic", "all"):
        model = Cache(Fake(), store, mode=mode)  # type: ignore[arg-type]
        assert await asked(model, request=off) == 2
        assert (await model.call(off)).cache is None
    assert await asked(Cache(Fake(), store)) == 1  # the first of the two: nothing was there
    assert await asked(Cache(Fake(), store), request=off) == 2


# --- what is the same ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", tasks().values(), ids=tasks())
@settings(max_examples=10)
@given(data=st.data())
def test_requests_that_differ_in_any_one_field_never_share_an_answer(kind: type[Request], data: st.DataObject) -> None:
    request = data.draw(filled(kind))
    cache = Cache(Fake(), None)  # type: ignore[arg-type]  # nothing is looked up
    keys, covered = [cache.key(request)], set()
    for where, changed in changes(request, kind):
        assert where is not None
        if where[0] is not Context:
            covered.add(where)
            keys.append(cache.key(changed))
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert covered == {where for where in fields_of(kind) if where[0] is not Context}


def test_of_the_context_the_key_and_the_headers_that_go_on_count_and_nothing_else(store: CacheStore) -> None:
    cache = Cache(Fake(), store)
    request = replace(
        CHAT, context=Context(id="1", key="k", session="s", deadline_s=1.0, headers={"anthropic-beta": "b"})
    )
    key, counting = cache.key(request), set()
    for where, changed in changes(request, Chat):
        assert where is not None
        if where[0] is Context and cache.key(changed) != key:
            counting.add(where[1])
    assert counting == {"key", "headers"}


async def test_keys_share_nothing_unless_they_are_allowed_to(store: CacheStore) -> None:
    one, two = (replace(CHAT, context=Context(key=key)) for key in ("one", "two"))
    assert await asked(Cache(Fake(), store), request=one, again=two) == 2
    assert await asked(Cache(Fake(), store), request=one, again=CHAT) == 1  # the one without a key, for the first time
    shared = Cache(Fake(), store, across_keys=True)
    assert await asked(shared, request=one, again=two) == 1


async def test_what_the_client_wrote_counts_but_for_whether_it_streams(store: CacheStore) -> None:
    def wrote(**fields: Any) -> Request:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, **fields}
        return replace(CHAT, model="m", source=Source(protocol="openai-chat", body=json.dumps(body).encode()))

    streamed = wrote(stream=True, stream_options={"include_usage": True})
    assert await asked(Cache(Fake(), store), request=wrote(), again=streamed) == 1
    # Fields that no value has, as the id of an item of OpenAI's responses, get to a provider of the protocol.
    assert await asked(Cache(Fake(), store), request=wrote(), again=wrote(item={"id": "rs_1"})) == 1
    assert await asked(Cache(Fake(), store), request=wrote(), again=replace(CHAT, model="m")) == 1  # of Python
    assert await asked(Cache(Fake(), store), request=wrote(a=11), again=wrote(a1=1)) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda store: Cache(Fake(about=about("another")), store),
        lambda store: Cache(Fake(), store, revision="sha256:1"),
        lambda store: Cache(Prompt(Fake(), "Be terse."), store),
        lambda store: Cache(Prompt(Fake(), "Be kind."), store),
        lambda store: Cache(Route([Target(Fake())], name="fake"), store),
        lambda store: Cache(Route([Target(Fake(about=about("another")))], name="fake"), store),
        lambda store: Cache(_revised(Fake(), "of these weights"), store),
    ],
)
async def test_another_pipeline_has_answers_of_its_own(store: CacheStore, other: Callable[[CacheStore], Cache]) -> None:
    every = [make(store) for make in test_another_pipeline_has_answers_of_its_own.pytestmark[0].args[1]]
    mine = other(store)
    for each in (Cache(Fake(), store), *every):
        await each.call(CHAT)
    assert await asked(mine) == 0  # its twin has asked
    keys = {each.key(CHAT) for each in (Cache(Fake(), store), *every)}
    assert len(keys) == len(every) + 1


def _revised(fake: Fake, revision: str) -> Fake:
    fake.revision = revision  # type: ignore[attr-defined]
    return fake


# --- what is kept ----------------------------------------------------------------------------------------------


def chat(*parts: Any, finish: Any = "stop", **fields: Any) -> ChatResponse:
    return ChatResponse(model="fake", choices=(Choice(message=assistant(*parts), finish_reason=finish),), **fields)


@pytest.mark.parametrize(
    "response",
    [
        chat("Hel", finish="length"),
        chat("", finish="refusal"),
        chat(Text(text="I cannot.", extra={"refusal": True})),
        CompleteResponse(model="fake", choices=(TextChoice(text="upon", finish_reason="length"),)),
    ],
)
async def test_an_answer_that_has_not_come_to_its_own_end_is_not_kept(store: CacheStore, response: Any) -> None:
    fake = Fake([response, response])
    request = CHAT if isinstance(response, ChatResponse) else Complete(prompt="Once", sampling=GREEDY)
    model = Cache(fake, store)
    assert [(await model.call(request)).cache for _ in range(2)] == ["miss", "miss"]


async def test_an_answer_that_has_as_many_tokens_as_its_request_asks_for_is_kept(store: CacheStore) -> None:
    request = replace(CHAT, sampling=Sampling(temperature=0, max_tokens=1))
    model = Cache(Fake([chat("Yes", finish="length")]), store)
    assert [(await model.call(request)).cache for _ in range(2)] == ["stored", "hit"]
    refused = Cache(Fake([chat("", finish="refusal")]), store, revision="2")
    assert (await refused.call(request)).cache == "miss"


@pytest.mark.parametrize("ending", [CUT, TransportError("gone"), RateLimitError("slow down")])
async def test_neither_errors_nor_what_came_before_them_is_kept(store: CacheStore, ending: Any) -> None:
    model = Cache(Fake([["Hel", ending], "Hello"]), store)
    with pytest.raises(TransportError if ending is CUT else type(ending)):
        await model.call(CHAT)
    assert (await model.call(CHAT)).text == "Hello"  # type: ignore[attr-defined]


async def test_nothing_is_kept_of_a_stream_that_its_client_left(store: CacheStore) -> None:
    model = Cache(Fake([["Hel", "lo"], "Hello"]), store)
    async with aclosing(model.stream(CHAT)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert (await model.call(CHAT)).cache == "stored"


async def test_a_fresh_answer_passes_with_the_bytes_that_the_provider_sent(store: CacheStore) -> None:
    raw = Source(protocol="openai-chat", body=b"data: x\n\n")
    pieces: list[Any] = [TextDelta(text="Hi", part=0, raw=raw)]
    bare, fresh = await events_of(Fake([pieces]), CHAT), await events_of(Cache(Fake([pieces]), store), CHAT)
    assert fresh[:-1] == bare[:-1]
    assert isinstance(fresh[-1], Done)
    assert replace(fresh[-1], response=replace(fresh[-1].response, cache=None)) == bare[-1]
    whole = chat("Hi", raw=raw)
    assert (await Cache(Fake([whole]), store).call(replace(CHAT, model="m"))).raw == raw


async def test_what_a_cache_below_has_is_not_kept_a_second_time(store: CacheStore, tmp_path: Path) -> None:
    outer = CacheStore(tmp_path / "outer.db")
    below = Cache(Fake(), store)
    await below.call(CHAT)
    model = Cache(below, outer)
    key = model.key(CHAT)
    assert (await model.call(CHAT)).cache == "hit"
    assert key is not None
    assert outer.get(key) is None
    outer.close()


async def test_values_that_cannot_be_written_down_fail_nothing(store: CacheStore) -> None:
    odd = replace(CHAT, extra={"what": object()}, context=Context(cache="on"))
    assert (await Cache(Fake(), store).call(odd)).cache is None
    strange = Cache(Fake([chat("Hi", extra={"what": object()})]), store)
    assert (await strange.call(CHAT)).cache == "miss"


async def test_a_store_that_cannot_be_used_is_a_miss(tmp_path: Path) -> None:
    broken = CacheStore(tmp_path)  # a folder
    model = Cache(Fake(), broken)
    assert [(await model.call(CHAT)).cache for _ in range(2)] == ["miss", "miss"]
    assert broken.problem is not None
    assert str(tmp_path) in broken.problem
    broken.close()


async def test_what_cannot_be_read_any_more_is_a_miss_and_gives_way_to_the_fresh_answer(store: CacheStore) -> None:
    model = Cache(Fake(), store)
    key = model.key(CHAT)
    assert key is not None
    store.put(key, b"\xc1 of another version")
    assert [(await model.call(CHAT)).cache for _ in range(2)] == ["stored", "hit"]


async def test_a_task_of_ones_own_is_kept_where_it_is_opted_in(store: CacheStore) -> None:
    class Echoed(types.Response, tag="echo", frozen=True, kw_only=True):
        said: str

    class Echo(types.Request, tag="echo", frozen=True, kw_only=True):
        response_type = Echoed
        say: str

    class Mountain(Model):
        about = About(name="mountain", tasks=("echo",))  # type: ignore[assignment]
        times = 0

        async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
            self.times += 1
            yield Done(response=request.response_type(model="mountain", said=request.say))  # type: ignore

    try:
        model = Cache(Mountain(), store, mode="all")
        first, second = [await model.call(Echo(say="hey")) for _ in range(2)]
        assert (first.said, second.said, second.cache) == ("hey", "hey", "hit")  # type: ignore[attr-defined]
        assert (await Cache(Mountain(), store).call(Echo(say="ho"))).cache is None  # who knows what it draws
    finally:
        del Echo, Echoed, first, second, model
        __import__("gc").collect()


# --- what is given ---------------------------------------------------------------------------------------------


async def test_a_hit_says_so_costs_nothing_and_has_the_first_ones_usage_and_notes_and_no_id(store: CacheStore) -> None:
    usage = Usage(uncached_input_tokens=3, cache_read_tokens=0, cache_write_tokens=0, output_tokens=2)
    route = (
        Attempt(model="one", outcome="failed", reason="down", took_s=1.0),
        Attempt(model="two", outcome="answered", took_s=2.0),
    )
    paid = Cost(usd=Decimal("0.01"), source="genai-prices")
    raw = Source(protocol="openai-chat", body=b"{}")
    first = chat("Hi", id="chatcmpl-1", usage=usage, notes=("a note",), route=route, cost=paid, raw=raw)
    model = Cache(Fake([first]), store)
    assert (await model.call(CHAT)) == replace(first, cache="stored")
    start, *_, done = await events_of(model, CHAT)
    free = Cost(usd=Decimal(0), source="response cache")
    given_before = (Attempt(model="two", outcome="answered", reason="given before, from the response cache"),)
    assert isinstance(done, Done)
    assert done.response == replace(first, id=None, raw=None, cost=free, route=given_before, cache="hit")
    assert start == Start(model="fake", notes=("a note",), route=given_before, cache="hit")


async def test_an_answer_is_given_whole_where_nobody_reads_it_before_its_end(store: CacheStore) -> None:
    model = Cache(Fake(), store)
    await events_of(model, CHAT)
    assert [type(e) for e in await events_of(model, replace(CHAT, context=Context(whole=True)))] == [Done]
    assert [type(e) for e in await events_of(model, CHAT)] == [Start, TextDelta, Done]


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
TEXTS = st.builds(
    Text,
    text=WORDS,
    citations=st.lists(st.builds(Citation, url=WORDS), max_size=2).map(tuple),
    extra=st.sampled_from([{}, {"phase": "commentary"}]),
)
PARTS = (
    TEXTS
    | st.builds(Thinking, text=WORDS, signature=st.none() | st.just("c2ln"), provider=st.just("anthropic"))
    | st.builds(ToolCall, id=st.just("call_1"), name=st.just("f"), arguments=st.just('{"a": 1}'))
    | st.builds(Opaque, provider=st.just("anthropic"), raw=st.just({"type": "server_tool_use"}))
    | st.builds(Image, data=st.binary(min_size=1, max_size=4))
    | st.builds(Audio, data=st.binary(min_size=1, max_size=4))
)
LOGPROBS = st.lists(st.builds(TokenLogprob, token=WORDS, logprob=st.floats(-9, 0)), min_size=1, max_size=2).map(tuple)


@st.composite
def choices(draw: st.DrawFn) -> tuple[Choice, ...]:
    made = []
    for parts in draw(st.lists(st.lists(PARTS, max_size=4), min_size=1, max_size=3)):
        has_text = any(isinstance(part, Text) for part in parts)
        logprobs = draw(st.none() | LOGPROBS) if has_text else None
        reason = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
        made.append(
            Choice(message=Message(role="assistant", content=tuple(parts)), finish_reason=reason, logprobs=logprobs)
        )  # type: ignore[arg-type]
    return tuple(made)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheStore]:
    store = CacheStore(tmp_path_factory.mktemp("cache") / "cache.db")
    yield store
    store.close()


@given(choices())
async def test_the_deltas_of_a_hit_amount_to_the_answer_part_after_part(
    shared: CacheStore, answered: tuple[Choice, ...]
) -> None:
    first = ChatResponse(model="fake", choices=answered)
    model = Cache(Fake([first]), shared, revision=str(id(first)))
    await model.call(replace(CHAT, user=str(answered)))
    start, *told, done = await events_of(model, replace(CHAT, user=str(answered)))
    assert isinstance(start, Start)
    assert isinstance(done, Done)
    assert done.response.choices == answered  # type: ignore[union-attr]
    collector = Collector()
    for event in told:
        collector.add(event)
    reasons: Any = {i: choice.finish_reason for i, choice in enumerate(answered)}
    assert collector.choices(reasons, {}) == answered
    places: list[Any] = [(e.choice, e.part) for e in told]  # type: ignore[attr-defined]
    assert places == sorted(places)
    assert all(isinstance(e, WholePart) or e.raw is None for e in told)


# --- before a client -------------------------------------------------------------------------------------------

ANSWER: list[Any] = [
    Thinking(text="hm"),
    Text(text="Let me look."),
    ToolCall(id="call_1", name="weather", arguments='{"city": "Paris"}'),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Fake]]:
    usage = Usage(uncached_input_tokens=9, cache_read_tokens=0, cache_write_tokens=0, output_tokens=4)
    answer = chat(*ANSWER, finish="tool_calls", usage=usage)
    fake = Fake(lambda request: answer)
    store = CacheStore(tmp_path_factory.mktemp("cache") / "cache.db")
    with serving({"m": Cache(fake, store, mode="all")}) as server:
        yield server, fake
    store.close()


@pytest.mark.parametrize("front", CLIENTS)
@pytest.mark.parametrize("first", [True, False], ids=["first streamed", "first whole"])
def test_the_official_clients_take_a_hit_streamed_and_whole_as_they_take_the_first_answer(
    served: tuple[Served, Fake], front: str, first: bool
) -> None:
    (server, fake), ask = served, CLIENTS[front]
    tools = True
    fresh = ask(server.url, first, tools)
    before = len(fake.requests)
    assert ask(server.url, True, tools) == ask(server.url, False, tools) == fresh
    assert fresh.calls == [("weather", {"city": "Paris"})]
    assert fresh.text == "Let me look."
    assert len(fake.requests) == before
    assert before > 0
