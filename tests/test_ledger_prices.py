"""What answers cost, against bills worked out by hand, and against genai-prices' own sums over all of its models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider
from genai_prices.types import Usage as TheirUsage
from hypothesis import given
from hypothesis import strategies as st

from tests.bills import BILLS, Bill
from tests.exchange_files import exchange
from trivet.ledger import listed
from trivet.ledger.prices import TEXT_ANSWER, TEXT_PROMPT, Prices
from trivet.ledger.settings import OwnPrice
from trivet.types import Cost, Usage, replace
from trivet.wire import openai
from trivet.wire.anthropic import usage as anthropic
from trivet.wire.gemini import usage as gemini

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OPUS = ("claude-opus-4-7", "https://api.anthropic.com")


def read(bill: Bill) -> Usage:
    if bill.protocol == "anthropic":
        return anthropic.read_usage(bill.told)
    if bill.protocol == "gemini":
        return gemini.read_usage(bill.told)[0]
    usage = openai.read_usage(bill.told)
    if bill.protocol == "embeddings":  # as the reader of embeddings has it
        return Usage(uncached_input_tokens=usage.prompt_tokens, cache_read_tokens=0, cache_write_tokens=0)
    return usage


def costs(prices: Prices, usage: Usage, **how: Any) -> Cost:
    return prices.cost(usage, **{"when": NOW, **how})


@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: f"{bill.model}: {bill.what}")
def test_a_bill_is_what_the_price_page_makes_of_it(bill: Bill) -> None:
    cost = costs(Prices(bill.model, bill.url), read(bill), **bill.how)
    assert (cost.usd, cost.saved_usd, cost.unknown) == (bill.usd, bill.saved, None)
    assert cost.source == f"genai-prices {genai_prices.__version__}"


@pytest.mark.parametrize(
    ("provider", "model", "url"),
    [
        ("anthropic", *OPUS),
        ("openai", "gpt-5.5", "https://api.openai.com/v1"),
        ("openai-chat", "gpt-5.5", "https://api.openai.com/v1"),
        ("gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta"),
    ],
)
@pytest.mark.parametrize(
    "situation", ["text", "system", "images", "tools", "parallel_tools", "thinking", "cache_marks"]
)
def test_each_providers_ordinary_answers_have_a_known_cost(provider: str, model: str, url: str, situation: str) -> None:
    response = exchange(provider, situation).response or {}
    if provider == "gemini":
        usage, _ = gemini.read_usage(response["usageMetadata"])
    else:
        usage = (anthropic if provider == "anthropic" else openai).read_usage(response["usage"])
    cost = costs(Prices(model, url), usage)
    assert (cost.usd or 0) > 0
    assert cost.unknown is None


def test_a_cut_stream_costs_what_was_generated_and_says_that_it_is_an_estimate() -> None:
    told = exchange("anthropic", "stream").events[0]["message"]["usage"]
    usage = replace(anthropic.read_usage(told), output_tokens=40)
    # platform.claude.com/docs/en/about-claude/pricing: 40 x 25 beside the prompt's input x 5.
    cost = costs(Prices(*OPUS), usage, estimate=True)
    assert cost.usd == Decimal(told["input_tokens"] * 5 + 40 * 25) / 1_000_000
    assert cost.estimate


def test_an_embedded_model_costs_nothing() -> None:
    assert Prices("smollm2", None, embedded=True).cost(Usage()) == Cost(usd=Decimal(0), source="embedded")
    assert Prices("smollm2", None, embedded=True).most(1000, 1000) == 0


def test_a_price_of_ones_own_goes_before_the_list() -> None:
    own = OwnPrice(input=Decimal("0.1"), cache_read=Decimal("0.05"), output=Decimal(1), request=Decimal("0.001"))
    usage = Usage(uncached_input_tokens=100, cache_read_tokens=40, cache_write_tokens=10, output_tokens=7)
    # (100 + 10) x 0.1 + 40 x 0.05 + 7 x 1 = 11 + 2 + 7, in millionths, and a thousandth for the request
    cost = costs(Prices(*OPUS, own=own), usage, service_tier="priority")
    assert cost == Cost(usd=Decimal("0.00102"), source="trivet.toml", saved_usd=Decimal("0.000002"))


def test_audio_at_a_price_of_ones_own_that_has_none_costs_what_text_does() -> None:
    usage = Usage(uncached_input_tokens=100, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
    usage = replace(usage, audio_input_tokens=60)
    assert costs(Prices("x", None, own=OwnPrice(input=Decimal(1))), usage).usd == Decimal("0.0001")
    own = OwnPrice(input=Decimal(1), input_audio=Decimal(10))
    assert costs(Prices("x", None, own=own), usage).usd == Decimal("0.00064")  # 40 x 1 + 60 x 10


def test_writes_for_an_hour_cost_what_writes_do_where_ones_own_price_has_one_for_all() -> None:
    own = OwnPrice(input=Decimal(1), cache_write=Decimal(2), output=Decimal(1))
    usage = Usage(uncached_input_tokens=0, cache_read_tokens=0, cache_write_tokens=100, output_tokens=0)
    assert costs(Prices("x", None, own=own), replace(usage, cache_write_1h_tokens=50)).usd == Decimal("0.0002")


def test_a_cost_tells_the_day_from_which_its_price_holds() -> None:
    usage = Usage(uncached_input_tokens=1, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
    luna = Prices("gpt-5.6-luna", "https://api.openai.com/v1")
    assert costs(luna, usage).dated == "2026-07-30"
    assert costs(luna, usage, service_tier="flex").dated == "2026-10-12"
    assert costs(Prices(*OPUS), usage).dated is None  # it has had one price


def test_a_time_without_a_zone_is_utc() -> None:
    usage = Usage(uncached_input_tokens=1000, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
    flash = Prices("deepseek-flash", "https://api.deepseek.com")
    assert flash.cost(usage, when=datetime(2026, 11, 27, 3, 59)).usd == Decimal("0.0003")
    assert flash.cost(usage, when=datetime(2026, 11, 27, 4)).usd == Decimal("0.00015")


def test_a_cost_is_exact_whatever_the_users_decimal_context_is() -> None:
    usage = Usage(uncached_input_tokens=123_457, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
    with localcontext(prec=2):
        assert Prices(*OPUS).cost(usage, when=NOW).usd == Decimal("0.617285")


def test_the_price_list_is_loaded_with_the_first_cost() -> None:
    script = (
        "import sys; from trivet.ledger.prices import Prices; p = Prices('gpt-5.5', 'https://api.openai.com/v1')\n"
        "assert 'pydantic' not in sys.modules; p.most(1, 1); assert 'genai_prices.data' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- against genai-prices itself, over every model of its data

HOSTS = {"google": "generativelanguage.googleapis.com", "openrouter": "openrouter.ai", "deepseek": "api.deepseek.com"}
MOMENTS = (datetime(2026, 11, 27, 2, 30, tzinfo=UTC), datetime(2026, 11, 28, 7, tzinfo=UTC))
CONTEXTS: Mapping[str | None, dict[str, str] | None] = {
    None: None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
BESIDE = {
    **{"input_audio_tokens": 40, "output_audio_tokens": 5},
    **{"web_searches": 2, "storage_searches": 1, "audio_seconds": 100, "input_audio_seconds": 100},
    **{"input_characters": 300, "input_text_messages": 2, "input_document_pages": 3, "output_citation_tokens": 7},
    **{"input_annotated_document_pages": 1, "input_image_tokens": 30, "cache_image_read_tokens": 20},
    **{"input_video_tokens": 11, "output_image_tokens": 9, "output_video_tokens": 6, "cache_audio_read_tokens": 13},
}


def cases() -> Iterator[tuple[Provider, ModelInfo, str | None, datetime]]:
    """Every model, on each tier of which anything is known and at each moment that can matter."""
    for provider, model in models():
        for tier in CONTEXTS if model.price_variants else (None,):
            for moment in MOMENTS if provider.id == "deepseek" else MOMENTS[:1]:
                yield provider, model, tier, moment


def models() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in providers:
        for model in provider.models:
            yield provider, model


def held(provider: Provider, model: ModelInfo, tier: str | None, moment: datetime) -> listed.Held:
    return listed.held(model, HOSTS.get(provider.id, provider.id), tier, None, moment.timestamp())


def priced(model: ModelInfo, tier: str | None, moment: datetime) -> set[str]:
    prices = model.get_prices(moment, CONTEXTS[tier])
    return {listed._units_by_key()[key] for key, price in vars(prices).items() if price is not None}


def charged_in_another_way(provider: Provider, model: ModelInfo, units: set[str], moment: datetime) -> bool:
    """Where we know better, for the reasons that trivet/ledger/listed.py names."""
    hour = "claude" in model.id and "cache_write_tokens" in units and "cache_write_1h_tokens" not in units
    storage = provider.id == "openrouter" and "gemini" in model.id and "cache_write_tokens" in units
    weekend = provider.id == "deepseek" and moment.weekday() >= 5
    searches = listed._SEARCH_MODELS.search(model.id) is not None
    return hour or storage or weekend or searches


@pytest.mark.parametrize("total", [1000, 180_000, 600_000])
def test_every_model_costs_what_genai_prices_makes_of_the_same_usage(total: int) -> None:
    read, written, output = total // 5, total // 10, total // 20
    usage = Usage(
        uncached_input_tokens=total - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=written // 2,
        output_tokens=output,
        reasoning_tokens=output // 3,
    )
    theirs = {
        **{"input_tokens": total, "cache_read_tokens": read, "cache_write_tokens": written, "output_tokens": output},
        **{"cache_write_1h_tokens": written // 2, "output_reasoning_tokens": output // 3},
    }
    compared, apart = 0, []
    for provider, model, tier, moment in cases():
        rates = held(provider, model, tier, moment).rates
        units = priced(model, tier, moment)
        if rates is None or charged_in_another_way(provider, model, units, moment):
            continue
        beside = {name: count for name, count in BESIDE.items() if name in units}
        if listed._HEARS.search(model.id):
            beside |= {"input_audio_tokens": 0, "output_audio_tokens": 0, "cache_audio_read_tokens": 0}
        bill = rates.bill(usage, beside)
        sum_ = model.calc_price(
            TheirUsage(**theirs, **beside),
            provider,
            genai_request_timestamp=moment,
            price_context=CONTEXTS[tier],
        ).total_price
        compared += 1
        if bill.usd is None or abs(bill.usd - sum_) > sum_ * Decimal("1e-25"):  # theirs is rounded to 28 digits
            apart.append((provider.id, model.id, tier, bill, sum_))
    assert apart == []
    assert compared > 2000


# --- the most that it can cost

counts = st.integers(0, 700_000) | st.sampled_from([0, 1, 200_000, 200_001, 272_001])


@cache
def with_tokens() -> list[tuple[str, listed.Held]]:
    """Whatever has a price for tokens."""
    found = []
    for provider, model, tier, moment in cases():
        one = held(provider, model, tier, moment)
        if one.rates is not None and {"input_tokens", "output_tokens"} & priced(model, tier, moment):
            found.append((f"{provider.id}/{model.id}", one))
    return found


@st.composite
def usages(draw: st.DrawFn) -> tuple[Usage, dict[str, int]]:
    """Any usage that does not contradict itself, with what of it is image and video."""
    uncached, read, written = draw(counts), draw(counts), draw(counts)
    output, total = draw(counts), uncached + read + written
    audio = draw(st.just(0) | st.integers(0, total))
    audio_read = draw(st.integers(max(0, audio + read - total), min(audio, read)))
    made = draw(st.just(0) | st.integers(0, output))
    usage = Usage(
        uncached_input_tokens=uncached,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        output_tokens=output,
        reasoning_tokens=draw(st.integers(0, output - made)),
        audio_input_tokens=audio,
        audio_output_tokens=made,
    )
    nothing = {**TEXT_PROMPT, "output_image_tokens": 0, "output_video_tokens": 0, "cache_image_read_tokens": 0}
    citations = draw(st.integers(0, output - made - (usage.reasoning_tokens or 0)))
    return usage, {**nothing, "output_citation_tokens": citations, "cache_audio_read_tokens": audio_read}


@given(usages())
def test_no_usage_costs_more_than_the_most_of_its_tokens(case: tuple[Usage, dict[str, int]]) -> None:
    usage, units = case
    bounded = 0
    for name, one in with_tokens():
        assert one.rates is not None
        bill, most = one.rates.bill(usage, units), one.rates.most(usage.input_tokens or 0, usage.output_tokens or 0, {})
        if bill.usd is not None and most is not None:
            bounded += 1
            assert bill.usd <= most, name
    heard = bool(usage.audio_input_tokens or usage.audio_output_tokens)
    assert bounded > (90 if heard else 2000)


@given(st.integers(0, 600_000), st.integers(0, 600_000), st.integers(0, 5000))
def test_the_most_of_fewer_tokens_is_no_more(input: int, output: int, fewer: int) -> None:
    for _, one in with_tokens()[::40]:
        assert one.rates is not None
        most = one.rates.most(input, output, {})
        less = one.rates.most(max(0, input - fewer), max(0, output - fewer), {})
        assert most is None or (less is not None and less <= most)


def test_the_most_takes_the_dearest_that_tokens_can_be() -> None:
    # Written for an hour, 1000 x 10, and 100 x 25 for the answer.
    assert Prices(*OPUS).most(1000, 100, when=NOW) == Decimal("0.0125")
    # Audio, 1000 x 32 and 100 x 64.
    assert Prices("gpt-realtime", "https://api.openai.com/v1").most(1000, 100, when=NOW) == Decimal("0.0384")
    # A request's own price: 0.012, and 100 x 1.
    assert Prices("sonar", "https://api.perplexity.ai").most(100, 0, when=NOW) == Decimal("0.0121")


def test_the_most_has_the_higher_price_of_long_prompts_where_the_prompt_can_be_long() -> None:
    gpt = Prices("gpt-5.5", "https://api.openai.com/v1")
    assert gpt.most(272_000, 100, when=NOW) == Decimal("1.363")
    assert gpt.most(272_001, 100, when=NOW) == Decimal("2.72451")


def test_the_most_on_a_tier_covers_an_answer_on_the_standard_tier() -> None:
    gpt = Prices("gpt-5.5", "https://api.openai.com/v1")
    assert gpt.most(1000, 100, when=NOW, service_tier="priority") == Decimal("0.02")  # 1000 x 12.5 + 100 x 75
    assert gpt.most(1000, 100, when=NOW, service_tier="flex") == gpt.most(1000, 100, when=NOW) == Decimal("0.008")


def test_the_most_counts_the_uses_of_tools_that_it_is_told_of() -> None:
    assert Prices(*OPUS).most(0, 0, when=NOW, units={"web_searches": 5}) == Decimal("0.05")
    assert Prices(*OPUS).most(0, 0, when=NOW, units={"web_searches": None}) is None
    assert Prices(*OPUS).most(0, 0, when=NOW, units={**TEXT_PROMPT, **TEXT_ANSWER}) == 0


def test_the_most_of_ones_own_price() -> None:
    own = OwnPrice(input=Decimal(1), output=Decimal(2), input_audio=Decimal(5), request=Decimal("0.5"))
    assert Prices("x", None, own=own).most(1000, 100, service_tier="flex") == Decimal("0.5052")
    only_input = Prices("x", None, own=OwnPrice(input=Decimal(1)))
    assert only_input.most(1000, 0) == Decimal("0.001")
    assert only_input.most(1000, 1) is None
