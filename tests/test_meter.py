"""What is written down of each request: one row of it, and one of each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trivet.adapt.build import routed
from trivet.adapt.cache import Cache
from trivet.adapt.cache_store import CacheStore
from trivet.adapt.prompt import Prompt
from trivet.adapt.retry import Retry
from trivet.adapt.settings import RouteSettings
from trivet.errors import OverloadedError, RateLimitError, TransportError, TrivetError
from trivet.fake import CUT, STALL, Fake
from trivet.ledger.account import Book
from trivet.ledger.meter import Meter
from trivet.ledger.priced import Priced
from trivet.ledger.prices import Prices
from trivet.ledger.rows import Row
from trivet.ledger.settings import OwnPrice
from trivet.model import About, Model, Wrapper
from trivet.types import (
    Audio,
    Chat,
    Context,
    CountTokens,
    Done,
    Event,
    Request,
    TextDelta,
    Transcribe,
    TranscribeResponse,
    Usage,
    UsageUpdate,
    replace,
    tasks,
    user,
)

CHAT = Chat(messages=(user("Hello, how are you?"),))
# 1 USD a million tokens in, 10 out, so that a token of input is a millionth of a dollar.
PRICE = OwnPrice(input=Decimal(1), output=Decimal(10))
FAKE_USAGE = Usage(uncached_input_tokens=3, cache_read_tokens=0, cache_write_tokens=0, output_tokens=1)  # of "Hello"


class Ledger:
    """The rows of what has been asked."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.book = Book(observers=[lambda row, request, response: self.rows.append(row)])

    def priced(self, model: Model, own: OwnPrice | None = PRICE) -> Model:
        return Priced(model, self.book, Prices(model.about.name, None, own=own))

    def meter(self, model: Model, name: str = "smart") -> Model:
        return Meter(model, self.book, name)

    @property
    def row(self) -> Row:
        (row,) = self.rows
        assert not self.book.open
        return row


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def fake(script: Any, name: str = "acme/one") -> Fake:
    return Fake(script, about=About(name=name, tasks=tuple(tasks())))


def usd(text: str) -> Decimal:
    return Decimal(text)


async def until(model: Model, request: Request, enough: Callable[[Event], bool]) -> None:
    """Leaves the stream after the first event that is `enough`."""
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            if enough(event):
                return


async def test_an_answer_is_a_row_with_its_attempt(ledger: Ledger) -> None:
    model = ledger.meter(ledger.priced(fake("Hello")))
    response = await model.call(replace(CHAT, context=Context(id="req_1", key="ann", session="s")))
    row = ledger.row
    assert (row.id, row.task, row.asked, row.model, row.key, row.session) == (
        *("req_1", "chat", "smart", "acme/one", "ann", "s"),
    )
    assert (row.outcome, row.status, row.error, row.stream, row.cache) == ("answered", 200, None, False, "none")
    assert row.usage == FAKE_USAGE
    assert row.cost.usd == response.cost.usd == usd("0.000013")  # 3 x 1 and 1 x 10 millionths  # type: ignore[union-attr]
    assert row.first_content_s is not None
    assert 0 < row.first_content_s <= row.took_s
    (attempt,) = row.attempts
    assert (attempt.model, attempt.outcome, attempt.usage, attempt.cost) == (
        "acme/one",
        "answered",
        row.usage,
        row.cost,
    )
    assert (attempt.said_model, attempt.response_id) == ("acme/one", "fake-1")


async def test_it_is_written_down_before_done_goes_by(ledger: Ledger) -> None:
    async with aclosing(ledger.meter(ledger.priced(fake("Hello"))).stream(CHAT)) as events:
        async for event in events:
            assert bool(ledger.rows) == isinstance(event, Done)
    assert ledger.row.stream


async def test_a_request_without_an_id_gets_one(ledger: Ledger) -> None:
    model = ledger.meter(ledger.priced(fake("Hello")))
    await asyncio.gather(*(model.call(CHAT) for _ in range(5)))
    assert len({row.id for row in ledger.rows}) == 5


async def test_a_name_that_stands_on_another_is_one_request(ledger: Ledger) -> None:
    inner = ledger.meter(ledger.priced(fake("Hello")), "inner")
    await ledger.meter(Prompt(inner, "Be kind."), "outer").call(CHAT)
    assert ledger.row.asked == "outer"


async def test_an_error_in_place_of_an_answer_is_not_charged_for(ledger: Ledger) -> None:
    busy = OverloadedError("busy", provider_status=529)
    model = ledger.meter(Retry(ledger.priced(fake([busy, "Hello"])), base_s=0))
    response = await model.call(CHAT)
    failed, answered = ledger.row.attempts
    assert (failed.outcome, failed.error, failed.cost.usd) == ("failed", "OverloadedError", 0)
    assert ledger.row.cost == answered.cost == response.cost
    assert ledger.row.usage == answered.usage


async def test_where_no_connection_was_made_nothing_is_charged_for(ledger: Ledger) -> None:
    error = TransportError("no connection")
    error.sent = False
    with pytest.raises(TransportError):
        await ledger.meter(ledger.priced(fake([error]))).call(CHAT)
    assert (ledger.row.outcome, ledger.row.status, ledger.row.cost.usd, ledger.row.cost.estimate) == (
        *("failed", 502, 0, False),
    )


async def test_an_answer_that_never_came_is_an_estimate_of_its_prompt(ledger: Ledger) -> None:
    with pytest.raises(TransportError):
        await ledger.meter(ledger.priced(fake([TransportError("no answer after 60 s")]))).call(CHAT)
    cost = ledger.row.cost
    assert cost.estimate
    assert cost.usd is not None
    assert usd("0.000005") < cost.usd < usd("0.00005")


@pytest.mark.parametrize("end", [CUT, TransportError("cut")], ids=["ends early", "error"])
async def test_a_cut_stream_settles_at_what_was_generated(ledger: Ledger, end: Any) -> None:
    with pytest.raises(TransportError):
        await ledger.meter(ledger.priced(fake([["x" * 400, end]]))).call(CHAT)
    row = ledger.row
    assert (row.outcome, row.cost.estimate, row.usage.output_tokens) == ("failed", True, 100)  # four letters a token
    assert row.cost.usd is not None
    assert row.cost.usd > usd("0.001")


async def test_what_the_provider_has_told_by_then_is_not_estimated(ledger: Ledger) -> None:
    told = Usage(uncached_input_tokens=70, cache_read_tokens=0, cache_write_tokens=0, output_tokens=1)
    script = [[UsageUpdate(usage=told), "x" * 40, TransportError("cut")]]
    with pytest.raises(TransportError):
        await ledger.meter(ledger.priced(fake(script))).call(CHAT)
    usage = ledger.row.usage
    assert (usage.uncached_input_tokens, usage.output_tokens) == (70, 10)
    assert ledger.row.cost.usd == usd("0.000170")


async def test_a_client_that_leaves_has_spent_what_was_generated(ledger: Ledger) -> None:
    model = ledger.meter(ledger.priced(fake([["x" * 80, STALL]])))
    await until(model, CHAT, lambda event: isinstance(event, TextDelta))
    row = ledger.row
    assert (row.outcome, row.attempts[0].outcome, row.cost.estimate) == ("cancelled", "cancelled", True)
    assert row.usage.output_tokens == 20


async def test_a_cancelled_task_is_written_down(ledger: Ledger) -> None:
    under_way = asyncio.Event()

    class Telling(Wrapper):
        async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    yield event
                    under_way.set()

    model = ledger.meter(ledger.priced(Telling(fake([["one", STALL]]))))
    task = asyncio.create_task(model.call(CHAT))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.row.outcome == "cancelled"


async def test_a_fallback_is_two_attempts_and_the_second_has_answered(ledger: Ledger) -> None:
    one = ledger.priced(fake([RateLimitError("slow down", provider_status=429)]))
    two = ledger.priced(fake("Hello", "acme/two"))
    route = routed("smart", [one, two], RouteSettings(retries=0))
    response = await ledger.meter(route).call(CHAT)
    row = ledger.row
    assert [(a.model, a.outcome) for a in row.attempts] == [("acme/one", "failed"), ("acme/two", "answered")]
    assert (row.model, row.route) == ("acme/two", response.route)


async def test_the_loser_of_a_race_is_paid_for_too(ledger: Ledger) -> None:
    slow = ledger.priced(fake([[UsageUpdate(usage=replace(FAKE_USAGE, output_tokens=0)), STALL]]))
    quick = ledger.priced(fake("Hello", "acme/two"))
    response = await ledger.meter(routed("smart", [slow, quick], RouteSettings(retries=0, hedge_s=0.001))).call(CHAT)
    row = ledger.row
    assert [(a.model, a.outcome) for a in row.attempts] == [("acme/one", "cancelled"), ("acme/two", "answered")]
    assert row.cost.estimate
    assert row.cost.usd == usd("0.000016")  # 3 of the loser's prompt, and 13
    assert response.cost == row.cost
    assert response.usage == FAKE_USAGE  # of the answer
    assert row.usage == FAKE_USAGE + replace(FAKE_USAGE, output_tokens=0)


async def test_an_unknown_price_makes_the_cost_unknown_and_says_what_is_missing(ledger: Ledger) -> None:
    response = await ledger.meter(ledger.priced(fake("Hello"), own=None)).call(CHAT)
    cost = response.cost
    assert cost is not None
    assert cost.usd is None
    assert cost.unknown is not None
    assert 'prices."acme/one"' in cost.unknown


async def test_counting_tokens_is_free(ledger: Ledger) -> None:
    await ledger.meter(ledger.priced(fake("Hello"), own=None)).call(CountTokens(messages=CHAT.messages))
    assert ledger.row.cost.usd == 0


async def test_a_request_that_is_refused_before_it_is_asked_has_cost_nothing(ledger: Ledger) -> None:
    error = TrivetError("no", status=400)
    error.asked = False
    with pytest.raises(TrivetError):
        await ledger.meter(ledger.priced(fake([error]))).call(CHAT)
    assert (ledger.row.outcome, ledger.row.status, ledger.row.cost.usd) == ("refused", 400, 0)


async def test_a_model_that_is_asked_without_a_meter_still_has_its_price(ledger: Ledger) -> None:
    response = await ledger.priced(fake("Hello")).call(CHAT)
    assert response.cost is not None
    assert response.cost.usd == usd("0.000013")
    assert ledger.rows == []


async def test_a_prefix_is_that_of_the_prompt_as_it_goes_out(ledger: Ledger) -> None:
    await ledger.meter(Prompt(ledger.priced(fake("Hello")), "Be kind. " * 1000)).call(CHAT)
    assert ledger.row.prefix_chars == 9000


async def test_the_length_of_a_cut_answer_counts_in_bytes(ledger: Ledger) -> None:
    """A letter of Korean is about a token, and has three bytes."""
    with pytest.raises(TransportError):
        await ledger.meter(ledger.priced(fake([["안녕하세요" * 80, CUT]]))).call(CHAT)
    assert ledger.row.usage.output_tokens == 300


async def test_the_seconds_of_sound_are_written_down(ledger: Ledger) -> None:
    heard = TranscribeResponse(model="acme/one", text="Hello", duration_s=2.5)
    await ledger.meter(ledger.priced(fake([heard]))).call(Transcribe(audio=Audio(data=b"sound")))
    assert ledger.row.audio_s == 2.5


async def test_an_answer_of_before_is_that_of_the_same_model_by_its_name_here(ledger: Ledger, tmp_path: Path) -> None:
    said = await fake("Hello", "one-2026-01-02").call(CHAT)  # as hosts call a model by its revision
    store = CacheStore(tmp_path / "cache.db")
    model = ledger.meter(Cache(ledger.priced(fake([said])), store, mode="all"))
    for _ in range(2):
        await model.call(CHAT)
    store.close()
    assert [(row.model, row.cache) for row in ledger.rows] == [("acme/one", "stored"), ("acme/one", "hit")]
