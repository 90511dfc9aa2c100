"""What is held of a key's budget for each attempt, and what is given back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults import FAULTS, Faults, listen
from trivet.adapt.build import routed
from trivet.adapt.cache import Cache
from trivet.adapt.cache_store import CacheStore
from trivet.adapt.reading import Reading
from trivet.adapt.settings import RouteSettings
from trivet.adapt.several import Several
from trivet.errors import BudgetError, OverloadedError, TrivetError
from trivet.fake import CUT, Fake
from trivet.ledger.account import Book
from trivet.ledger.budgets import Budgets
from trivet.ledger.estimate import size
from trivet.ledger.keys import Keys
from trivet.ledger.limits import Limit
from trivet.ledger.meter import Meter
from trivet.ledger.priced import Priced
from trivet.ledger.prices import Prices
from trivet.ledger.rows import Row
from trivet.ledger.settings import BudgetSettings, OwnPrice
from trivet.model import About, Model, Wrapper
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Chat,
    Complete,
    Context,
    CountTokens,
    Document,
    Done,
    Embed,
    Event,
    Image,
    Message,
    Opaque,
    Read,
    Reasoning,
    Request,
    Rerank,
    Sampling,
    Speak,
    Start,
    Text,
    Tool,
    ToolResult,
    replace,
    tasks,
    user,
)
from trivet.wire import Target, openai_chat, openai_completions, openai_responses, source

PRICE = OwnPrice(input=Decimal(1), output=Decimal(10))
ANN = Context(key="ann")
CHAT = Chat(messages=(user("Hi"),), context=ANN)


class Bank:
    """A key with limits, and models that it pays for."""

    def __init__(self, folder: Path, *limits: str, settings: BudgetSettings | None = None) -> None:
        keys = Keys(folder / "keys.db")
        keys.add("ann", [Limit.of(text) for text in limits])
        self.settings = settings or BudgetSettings()
        self.budgets = Budgets(keys, self.settings)
        self.rows: list[Row] = []
        self.book = Book(self.budgets, [lambda row, request, response: self.rows.append(row)])

    def priced(self, model: Model, own: OwnPrice | None = PRICE) -> Model:
        return Priced(model, self.book, Prices(model.about.name, None, own=own), self.settings)

    def meter(self, model: Model) -> Model:
        return Meter(model, self.book, "smart")

    @property
    def spent(self) -> Decimal:
        """In USD."""
        return sum((n for limit, n in self.budgets.spent("ann").items() if limit.unit == "usd"), Decimal())

    @property
    def reserved(self) -> Decimal:
        return sum(self.budgets.reserved("ann").values(), Decimal())


@pytest.fixture
async def banks(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Bank] = []

    def bank(*limits: str, **options: Any) -> Bank:
        made.append(Bank(tmp_path, *limits, **options))
        return made[-1]

    yield bank
    for each in made:
        await each.budgets.close()


def fake(script: Any = "Hello", name: str = "acme/one") -> Fake:
    return Fake(script, about=About(name=name, tasks=tuple(tasks())))


async def test_what_was_reserved_is_settled_at_what_it_cost(banks: Any) -> None:
    bank = banks("1usd/day")
    await bank.meter(bank.priced(fake())).call(CHAT)
    assert (bank.spent, bank.reserved) == (Decimal("0.000013"), 0)
    assert bank.rows[0].cost.usd == bank.spent


async def test_a_request_without_a_bound_is_sent_the_one_of_the_settings(banks: Any) -> None:
    bank, model = banks("1usd/day", settings=BudgetSettings(max_tokens=77)), fake()
    await bank.meter(bank.priced(model)).call(CHAT)
    await bank.meter(bank.priced(model)).call(replace(CHAT, sampling=Sampling(max_tokens=5)))
    await bank.meter(bank.priced(model)).call(replace(CHAT, reasoning=Reasoning(budget_tokens=1000)))
    assert [request.sampling.max_tokens for request in model.requests] == [77, 5, 1077]  # type: ignore[attr-defined]


TURNS = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("wire", "said", "quirks", "sent"),
    [
        (openai_chat, {"messages": TURNS}, {}, {"max_completion_tokens": 77}),
        (openai_chat, {"messages": TURNS}, {"max_tokens": "max_tokens"}, {"max_tokens": 77}),
        (
            openai_chat,
            {"messages": TURNS, "max_completion_tokens": None},
            {"max_tokens": "max_tokens"},
            {"max_tokens": 77},
        ),
        (openai_responses, {"input": "Hi", "max_output_tokens": None}, {}, {"max_output_tokens": 77}),
        (openai_completions, {"prompt": "Hi"}, {}, {"max_tokens": 16}),  # as its protocol has it
        (openai_completions, {"prompt": "Hi", "max_tokens": None}, {}, {"max_tokens": 16}),
        (openai_completions, {"prompt": "Hi", "max_tokens": 9}, {}, {"max_tokens": 9}),
    ],
)
async def test_the_bound_stands_in_what_a_client_of_the_same_protocol_has_written(
    banks: Any, wire: Any, said: Any, quirks: Any, sent: Any
) -> None:
    bank, model = banks("1usd/day", settings=BudgetSettings(max_tokens=77)), fake()
    asked = wire.parse(json.dumps({"model": "m", "new": 1, **said}).encode()).request
    await bank.meter(bank.priced(model)).call(replace(asked, context=ANN))
    target = Target(model="m", provider="up", family="up", stream=False, quirks=quirks)
    body = json.loads(source.body(model.requests[0], target, wire))
    assert {name: value for name, value in body.items() if "max_" in name and value is not None} == sent
    assert body["new"] == 1


async def test_a_bound_that_nobody_has_asked_for_is_said(banks: Any) -> None:
    bank = banks("1usd/day", settings=BudgetSettings(max_tokens=77))
    model = bank.meter(bank.priced(fake()))
    async with aclosing(model.stream(CHAT)) as events:
        told = [event async for event in events]
    assert isinstance(told[0], Start)
    assert isinstance(told[-1], Done)
    assert told[0].notes == told[-1].response.notes
    assert "max_tokens is 77" in told[0].notes[0]
    assert (await model.call(replace(CHAT, sampling=Sampling(max_tokens=5)))).notes == ()


async def test_a_task_whose_cost_has_no_bound_yet_is_refused_under_a_budget(banks: Any) -> None:
    bank, model = banks("1usd/day"), fake()
    with pytest.raises(BudgetError, match=r"'speak' .* allow_unbounded = true"):
        await bank.meter(bank.priced(model)).call(Speak(text="Hi", context=ANN))
    assert model.requests == []


async def test_an_image_that_is_read_by_a_chat_is_bounded_and_paid_as_that(banks: Any) -> None:
    bank = banks("1usd/day", settings=BudgetSettings(max_tokens=77))
    model = Fake("TOTAL 3", about=About(name="acme/one", tasks=("chat",), inputs=("text", "image")))
    answer = await bank.meter(Reading(bank.priced(model))).call(Read(image=Image(data=b"x"), context=ANN))
    assert answer.text == "TOTAL 3"
    assert model.requests[0].sampling.max_tokens == 77  # type: ignore[attr-defined]
    assert bank.spent == bank.rows[0].cost.usd == answer.cost.usd > 0
    assert bank.rows[0].task == "read"


async def test_a_limit_on_requests_alone_bounds_no_answer(banks: Any) -> None:
    bank, model = banks("60 requests/minute"), fake()
    await bank.meter(bank.priced(model)).call(CHAT)
    assert model.requests[0].sampling.max_tokens is None  # type: ignore[attr-defined]


async def test_a_key_without_limits_sends_what_it_sends(banks: Any) -> None:
    bank, model = banks(), fake()
    await bank.meter(bank.priced(model)).call(CHAT)
    assert model.requests[0].sampling.max_tokens is None  # type: ignore[attr-defined]


async def test_more_than_is_left_is_refused_and_asks_nobody(banks: Any) -> None:
    bank, model = banks("0.0001usd/day"), fake()
    with pytest.raises(BudgetError, match="ann"):
        await bank.meter(bank.priced(model)).call(CHAT)  # 4,096 tokens out may cost 0.04
    assert model.requests == []
    assert (bank.rows[0].outcome, bank.rows[0].status, bank.reserved) == ("refused", 429, 0)


async def test_an_unknown_price_is_refused_and_names_the_setting(banks: Any) -> None:
    bank = banks("1usd/day")
    with pytest.raises(BudgetError, match=r'\[prices\."acme/one"\]'):
        await bank.meter(bank.priced(fake(), own=None)).call(CHAT)


async def test_an_unknown_price_matters_to_no_limit_but_one_of_money(banks: Any) -> None:
    bank = banks("100k tokens/minute", "60 requests/minute")
    await bank.meter(bank.priced(fake(), own=None)).call(CHAT)
    spent = {limit.unit: n for limit, n in bank.budgets.spent("ann").items()}
    assert spent == {"tokens": 4, "requests": 1}


async def test_a_providers_own_tools_are_refused_unless_they_are_allowed(banks: Any) -> None:
    asked = replace(CHAT, extra={"tools": [{"type": "web_search"}]})
    bank = banks("1usd/day")
    with pytest.raises(BudgetError, match="allow_unbounded = true"):
        await bank.meter(bank.priced(fake())).call(asked)


@pytest.mark.parametrize(
    "extra",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"cachedContent": "cachedContents/1"},
        {"models": ["anthropic/claude-opus-4.1"]},
    ],
)
async def test_what_stands_for_a_prompt_or_a_model_that_is_not_here_is_refused_under_a_budget(
    banks: Any, extra: Any
) -> None:
    bank, model = banks("1usd/day"), fake()
    with pytest.raises(BudgetError, match=f"{next(iter(extra))} .* allow_unbounded = true"):
        await bank.meter(bank.priced(model)).call(replace(CHAT, extra=extra))
    kept = Opaque(provider="openai", raw={"type": "item_reference", "id": "msg_1"})
    with pytest.raises(BudgetError, match=r"item_reference .* allow_unbounded = true"):
        await bank.meter(bank.priced(model)).call(replace(CHAT, messages=(user(kept),)))
    assert model.requests == []


async def test_which_of_several_models_has_answered_is_not_priced_as_the_one_that_was_asked(banks: Any) -> None:
    bank = banks()
    response = await bank.meter(bank.priced(fake())).call(replace(CHAT, extra={"models": ["acme/dear"]}))
    assert response.cost is not None
    assert response.cost.usd is None
    assert "models" in (response.cost.unknown or "")


async def test_the_best_of_several_completions_is_charged_for_all_of_them(banks: Any) -> None:
    bank = banks("0.05usd/day")
    asked = Complete(prompt="a", sampling=Sampling(max_tokens=1000), extra={"best_of": 5}, context=ANN)
    with pytest.raises(BudgetError):  # 5 x 1,000 tokens may cost 0.05, and the prompt something
        await bank.meter(bank.priced(fake())).call(asked)
    await bank.meter(bank.priced(fake())).call(replace(asked, extra={"best_of": 4}))


async def test_a_second_attempt_uses_what_the_first_has_left_over(banks: Any) -> None:
    """Two attempts at a time would not fit into the budget; one after the other do."""
    bank = banks("0.05usd/day")  # one may cost 0.041
    failing = bank.priced(fake([TrivetError("no", status=500)]))
    TrivetErrorFalls = type("Falls", (TrivetError,), {"fallback": True})
    failing = bank.priced(fake([TrivetErrorFalls("no", status=500)]))
    route = routed("smart", [failing, bank.priced(fake(name="acme/two"))], RouteSettings(retries=0))
    response = await bank.meter(route).call(CHAT)
    assert response.model == "acme/two"
    assert bank.reserved == 0


async def test_two_attempts_beside_each_other_hold_what_both_may_cost(banks: Any) -> None:
    bank = banks("0.05usd/day")
    slow = fake(lambda request: asyncio.get_running_loop().create_future())
    route = routed(
        "smart", [bank.priced(slow), bank.priced(fake(name="acme/two"))], RouteSettings(retries=0, hedge_s=0.001)
    )
    with pytest.raises(BudgetError):
        await bank.meter(route).call(CHAT)
    assert bank.reserved == 0


@pytest.mark.parametrize(
    ("request_", "least"),
    [
        (Chat(messages=(user("Grüße 안녕 🌍"),)), len("Grüße 안녕 🌍".encode())),
        (Chat(messages=(user("a" * 5000),)), 5000),
        (Chat(messages=(user(ToolResult(call_id="1", content=(user("b" * 300).content[0],))),)), 300),
        (Chat(messages=(user("Hi"),), tools=(Tool(name="f", description="d" * 500),)), 500 + 346),
        (Chat(messages=(user(Image(data=b"x"), "what?"),)), 20_000),
        (Chat(messages=(user(Document(data=b"t" * 40_000, media_type="text/plain")),)), 40_000),
        (Chat(messages=(user(Document(data=b"t", media_type="text/plain", extra={"context": "c" * 900})),)), 900),
        (Chat(messages=(user(Opaque(provider="openai", raw={"type": "input_file", "file_id": "f"})),)), 20_000),
        (Chat(messages=(Message(role="user", content=(Text(text="Hi"),), name="n" * 700),)), 700),
        (Chat(messages=(Message(role="user", extra={"reasoning_content": "r" * 800}),)), 800),
        (Chat(messages=(user("Hi"),), extra={"documents": ["d" * 600]}), 600),
        (Embed(texts=("ab", "cd")), 4),
        (Embed(images=(Image(data=b"x"), Image(data=b"y"))), 40_000),
        (Rerank(query="q" * 3000, documents=("d" * 3000, "e" * 3000)), 9000),
        (Read(image=Image(data=b"x")), 20_000),
        (Speak(text="s" * 4000), 4000),
    ],
)
def test_a_prompt_has_at_most_a_token_for_each_byte(request_: Request, least: int) -> None:
    assert least <= size(request_).most_tokens(20_000) < least + 2500


async def test_counting_tokens_reserves_no_money(banks: Any) -> None:
    bank = banks("0.000001usd/day")
    await bank.meter(bank.priced(fake())).call(CountTokens(messages=CHAT.messages, context=ANN))
    assert bank.spent == 0


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_fails_what_is_settled_is_what_the_ledger_has_and_nothing_stays_reserved(
    banks: Any, seed: int
) -> None:
    """Random faults of a provider, over a route, with clients that leave: forty requests at once."""
    bank, dice = banks("1000usd/day"), random.Random(seed)
    names = [name for name in FAULTS if "hangs" not in name and name != "429-retry-after"]
    upstream = Faults()
    server = await listen(upstream)
    settings = ProviderSettings(kind="openai-compatible", base_url=f"{upstream.url}/v1")
    provider = Compatible(settings, name="up")

    async def one() -> None:
        targets = [bank.priced(provider.model(dice.choice(names))) for _ in range(2)]
        route = routed("smart", targets, RouteSettings(retries=0))
        request = replace(CHAT, context=replace(ANN, whole=dice.random() < 0.5))
        leaves = dice.choice((None, None, 1, 2, 4))
        try:
            stream = bank.meter(route).stream(request)
            n = 0
            async for _ in stream:
                n += 1
                if n == leaves:
                    break
            await stream.aclose()
        except TrivetError:
            pass

    await asyncio.gather(*(one() for _ in range(40)))
    await provider.close()
    server.close()
    upstream.drop()
    assert len(bank.rows) == 40
    assert not bank.book.open
    assert bank.reserved == 0
    costs = [row.cost.usd for row in bank.rows]
    assert bank.spent == sum(usd for usd in costs if usd is not None)
    assert None not in costs


async def test_attempts_that_begin_together_leave_nothing_reserved(banks: Any) -> None:
    """Both ask the file at once, as nothing is held yet."""
    bank = banks("1usd/day", "10 requests/day")
    both = [bank.priced(fake(name=f"acme/{n}")) for n in range(2)]

    class AtOnce(Wrapper):
        async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
            done = await asyncio.gather(*(model.call(request) for model in both))
            yield Done(response=done[0])

    await bank.meter(AtOnce(both[0])).call(CHAT)
    assert bank.reserved == 0
    assert bank.spent == 2 * Decimal("0.000013")
    assert {limit.unit: n for limit, n in bank.budgets.spent("ann").items()}["requests"] == 1


async def test_an_answer_of_before_is_a_request_and_costs_nothing(banks: Any, tmp_path: Path) -> None:
    bank = banks("1usd/day", "2 requests/day")
    store = CacheStore(tmp_path / "cache.db")
    model = bank.meter(Cache(bank.priced(fake(["Hello"])), store))
    asked = replace(CHAT, sampling=Sampling(temperature=0))
    try:
        answers = [await model.call(asked) for _ in range(2)]
        assert [answer.cache for answer in answers] == ["stored", "hit"]
        assert bank.spent == Decimal("0.000013")
        with pytest.raises(BudgetError):
            await model.call(asked)
    finally:
        store.close()
    assert (bank.rows[1].cache, bank.rows[1].cost.usd, bank.rows[1].usage.output_tokens) == ("hit", 0, 0)


async def test_whoever_leaves_while_its_money_is_at_the_file_has_asked_nobody(banks: Any) -> None:
    """Cancelled after each number of turns of the loop: while the file is asked, while the model is, and after."""
    bank, model = banks("1usd/day"), fake()
    for turns in range(1, 40):
        task = asyncio.ensure_future(bank.meter(bank.priced(model)).call(CHAT))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await bank.budgets.flush()
    assert bank.reserved == 0
    assert bank.spent == sum(row.cost.usd for row in bank.rows)
    unasked = [row for row in bank.rows if row.cost.source == "not asked"]
    assert len(unasked) == len(bank.rows) - len(model.requests) > 0
    assert {(row.outcome, row.cost.usd, row.usage.output_tokens) for row in unasked} == {("cancelled", 0, 0)}


async def test_attempts_beside_each_other_do_not_count_on_the_same_money(banks: Any) -> None:
    """One that failed has left over the 0.041 that it held. Of two that may cost 0.082 each, one alone fits."""
    bank = banks("0.15usd/day")
    failing = bank.priced(fake([OverloadedError("busy", provider_status=529)]))
    dear = [bank.priced(fake(name=f"acme/{n}"), OwnPrice(input=Decimal(2), output=Decimal(20))) for n in range(2)]
    came: list[Any] = []

    class FirstOneThenTwo(Wrapper):
        async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
            await asyncio.gather(failing.call(request), return_exceptions=True)
            came.extend(await asyncio.gather(*(model.call(request) for model in dear), return_exceptions=True))
            yield Done(response=next(one for one in came if not isinstance(one, BaseException)))

    await bank.meter(FirstOneThenTwo(failing)).call(CHAT)
    assert [type(one) for one in came if isinstance(one, BaseException)] == [BudgetError]
    assert bank.reserved == 0
    assert bank.spent == Decimal("0.000026")


async def test_prompts_of_which_a_cache_has_some_cost_what_the_others_do(banks: Any, tmp_path: Path) -> None:
    bank = banks("1usd/day")
    store = CacheStore(tmp_path / "cache.db")
    model = bank.meter(Several(Cache(bank.priced(fake()), store)))
    one = Complete(prompt="a", sampling=Sampling(temperature=0, max_tokens=5), context=ANN)
    try:
        await model.call(one)
        some = await model.call(replace(one, prompt="", extra={"prompt": ["a", "b", "c"]}))
        all_ = await model.call(replace(one, prompt="", extra={"prompt": ["a", "b", "c"]}))
    finally:
        store.close()
    each = bank.rows[0].cost.usd
    assert each
    assert [(row.cost.usd, row.cache, row.usage.output_tokens) for row in bank.rows[1:]] == [
        (2 * each, "stored", 2),
        (0, "hit", 0),
    ]
    assert (some.cost.usd, all_.cost.usd) == (2 * each, 0)
    assert bank.spent == 3 * each


async def test_an_answer_from_a_cache_costs_what_was_asked_before_it_was_found(banks: Any, tmp_path: Path) -> None:
    """The first target is cut before it has said anything, and a second has the answer in its cache."""
    bank = banks("1usd/day")
    store = CacheStore(tmp_path / "cache.db")
    asked = replace(CHAT, sampling=Sampling(temperature=0))
    cached = Cache(bank.priced(fake(name="acme/two")), store)
    route = routed("smart", [bank.priced(fake([[CUT]])), cached], RouteSettings(retries=0))
    try:
        await bank.meter(cached).call(asked)
        answer = await bank.meter(route).call(asked)
    finally:
        store.close()
    row = bank.rows[1]
    assert (row.cache, answer.cache) == ("hit", "hit")
    assert row.cost == answer.cost
    assert row.cost.usd == row.attempts[0].cost.usd > 0
    assert bank.spent == sum(row.cost.usd for row in bank.rows)


async def test_an_estimate_is_never_more_than_the_answer_could_have(banks: Any) -> None:
    bank = banks("1usd/day")
    model = bank.meter(bank.priced(fake([["x" * 4000, CUT]])))
    with pytest.raises(TrivetError):
        await model.call(replace(CHAT, sampling=Sampling(max_tokens=10), context=ANN))
    assert (bank.rows[0].usage.output_tokens, bank.rows[0].cost.estimate) == (10, True)


async def test_requests_side_by_side_that_somebody_has_given_the_same_id_are_counted_each(banks: Any) -> None:
    bank = banks("1usd/day", "10 requests/day")
    model = bank.meter(bank.priced(fake()))
    await asyncio.gather(*(model.call(replace(CHAT, context=replace(ANN, id="mine"))) for _ in range(3)))
    assert len({row.id for row in bank.rows}) == len(bank.rows) == 3
    assert [(row.outcome, len(row.attempts)) for row in bank.rows] == [("answered", 1)] * 3
    assert bank.spent == sum(row.cost.usd for row in bank.rows) == 3 * Decimal("0.000013")
    assert bank.reserved == 0


async def test_a_whole_answer_that_its_client_leaves_may_have_cost_all_that_was_held(banks: Any) -> None:
    bank = banks("1usd/day")
    asked = asyncio.Event()

    async def never(request: Request) -> str:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return ""

    task = asyncio.create_task(bank.meter(bank.priced(fake(never))).call(CHAT))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bank.spent > Decimal("0.04")  # 4,096 tokens at 10 a million, and the prompt
    assert bank.reserved == 0
    assert (bank.rows[0].outcome, bank.rows[0].cost.usd) == ("cancelled", None)
    assert "left before the answer came" in (bank.rows[0].cost.unknown or "")
