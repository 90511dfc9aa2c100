"""A cost that is not known is said to be unknown, with the reason and the setting that mends it: never 0, no guess."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice

from tests.exchange_files import exchange
from tests.test_ledger_prices import models
from trivet.ledger import listed
from trivet.ledger.prices import TEXT_PROMPT, Prices
from trivet.ledger.settings import OwnPrice
from trivet.types import Cost, Usage, replace
from trivet.wire import openai

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLAIN = Usage(uncached_input_tokens=100, cache_read_tokens=0, cache_write_tokens=0, output_tokens=10)
GPT = Prices("gpt-5.5", "https://api.openai.com/v1", name="openai/gpt-5.5")
OPUS = Prices("claude-opus-4-7", "https://api.anthropic.com", name="anthropic/claude-opus-4-7")
FLASH = Prices("gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta", name="gemini/gemini-2.5-flash")


def cost(prices: Prices, usage: Usage = PLAIN, **how: Any) -> Cost:
    return prices.cost(usage, **{"when": NOW, **how})


def assert_unknown(told: Cost, reason: str, name: str) -> None:
    assert (told.usd, told.saved_usd) == (None, None)
    assert reason in (told.unknown or "")
    assert (told.unknown or "").startswith(f"{name}: ")
    assert f'[prices."{name}"]' in (told.unknown or "")


def test_a_model_of_ones_own_server_has_no_price() -> None:
    vllm = Prices("qwen3-8b", "http://127.0.0.1:8000/v1", name="vllm/qwen3-8b")
    assert_unknown(cost(vllm), "has no price of it at http://127.0.0.1:8000/v1", "vllm/qwen3-8b")
    assert vllm.most(1, 1) is None


def test_a_model_that_its_host_does_not_list_has_no_price() -> None:
    assert_unknown(cost(Prices("gpt-99", "https://api.openai.com/v1")), "has no price of it", "gpt-99")


def test_a_model_without_prices_is_free_only_where_its_host_says_so() -> None:
    assert cost(Prices("gemma-4-31b-it", "https://generativelanguage.googleapis.com/v1beta")).usd == 0
    coder = Prices("qwen-3-coder-480b", "https://api.cerebras.ai/v1")
    assert_unknown(cost(coder), "has no price", "qwen-3-coder-480b")


def test_a_kind_of_price_that_nobody_knows_makes_the_cost_unknown() -> None:
    prices = ModelPrice(input_mtok=Decimal(1), rockets_mtok=Decimal(2))
    told = listed.held(ModelInfo(id="x", match=ClauseEquals("x"), prices=prices), "x.example", None, None, 0)
    assert (told.rates, "rockets_mtok" in (told.unknown or "")) == (None, True)


def test_a_service_tier_without_a_price_is_unknown() -> None:
    assert_unknown(cost(OPUS, service_tier="priority"), "the service tier 'priority'", "anthropic/claude-opus-4-7")
    assert_unknown(cost(GPT, service_tier="scale"), "the service tier 'scale'", "openai/gpt-5.5")
    assert GPT.most(1, 1, when=NOW, service_tier="scale") is None


def test_a_tiers_price_is_unknown_before_the_day_from_which_it_is_known() -> None:
    assert cost(GPT, service_tier="flex", when=datetime(2026, 10, 12, tzinfo=UTC)).usd is not None
    assert cost(GPT, service_tier="flex", when=datetime(2026, 10, 11, tzinfo=UTC)).usd is None


def test_inference_in_a_place_without_a_price_is_unknown() -> None:
    assert_unknown(cost(OPUS, inference_geo="eu"), "inference in 'eu'", "anthropic/claude-opus-4-7")


def test_a_usage_that_says_nothing_is_unknown_for_every_model_that_charges_for_tokens() -> None:
    checked = 0
    for provider, model in models():
        rates = listed.held(model, provider.id, None, None, NOW.timestamp()).rates
        if rates is not None and {"input_tokens", "output_tokens"} & {unit.name for unit in rates._priced}:
            bill = rates.bill(Usage(), {})
            assert (bill.usd, bool(bill.unknown)) == (None, True), model.id
            checked += 1
    assert checked > 1500


def test_a_prompt_of_which_nobody_says_what_was_cached_is_unknown_where_that_is_cheaper() -> None:
    usage = openai.read_usage({"prompt_tokens": 100, "completion_tokens": 10})
    assert_unknown(cost(GPT, usage), "how many tokens came from its cache", "openai/gpt-5.5")
    assert cost(GPT, usage, units={"cache_read_tokens": 0}).usd == Decimal("0.0008")  # 100 x 5 + 10 x 30
    plain = Prices("llama-3.1-8b-instant", "https://api.groq.com/openai/v1")
    assert cost(plain, usage).usd == Decimal("0.0000058")  # 100 x 0.05 + 10 x 0.08: it has one price of input


def test_writes_of_which_nobody_says_how_long_they_are_kept_are_unknown() -> None:
    told = (exchange("openrouter", "cache_marks").response or {})["usage"]
    claude = Prices("anthropic/claude-opus-4.7", "https://openrouter.ai/api/v1", name="openrouter/opus")
    assert_unknown(cost(claude, openai.read_usage(told)), "written to its cache for an hour", "openrouter/opus")


def test_an_answer_of_which_nobody_says_how_long_it_is_is_unknown() -> None:
    assert_unknown(cost(OPUS, replace(PLAIN, output_tokens=None)), "it has generated", "anthropic/claude-opus-4-7")


def test_audio_that_is_charged_apart_is_unknown_where_nobody_says_how_much_there_was() -> None:
    assert_unknown(cost(FLASH), "tokens of the prompt are audio", "gemini/gemini-2.5-flash")
    assert cost(FLASH, units={"audio_input_tokens": 0}).usd == Decimal("0.000055")  # 100 x 0.3 + 10 x 2.5
    assert cost(FLASH, units=TEXT_PROMPT).usd == Decimal("0.000055")


def test_cached_audio_is_unknown_where_nobody_says_how_much_of_the_cached_it_was() -> None:
    usage = replace(PLAIN, cache_read_tokens=50, audio_input_tokens=60)
    assert_unknown(cost(FLASH, usage), "of the tokens from its cache are audio", "gemini/gemini-2.5-flash")


def test_audio_at_a_model_whose_audio_has_no_price_is_unknown() -> None:
    """The list has its text alone; OpenAI's own gpt-audio has audio at 12.8 times that."""
    audio = Prices("openai/gpt-audio", "https://openrouter.ai/api/v1", name="openrouter/audio")
    assert_unknown(cost(audio), "which may have been used", "openrouter/audio")
    heard = replace(PLAIN, audio_input_tokens=50, audio_output_tokens=0)
    assert_unknown(cost(audio, heard), "no price is known of its input_audio_tokens", "openrouter/audio")
    assert cost(audio, replace(heard, audio_input_tokens=0)).usd == Decimal("0.00035")  # 100 x 2.5 + 10 x 10
    assert audio.most(1, 1, when=NOW) is None
    assert_unknown(cost(GPT, heard), "no price is known of its input_audio_tokens", "openai/gpt-5.5")


def test_reasoning_that_is_charged_apart_is_unknown_where_nobody_says_how_much_there_was() -> None:
    deep = Prices("perplexity/sonar-deep-research", "https://openrouter.ai/api/v1", name="deep")
    assert_unknown(cost(deep), "tokens of the answer are reasoning", "deep")
    assert cost(deep, replace(PLAIN, reasoning_tokens=4)).usd == Decimal("0.00026")  # 100 x 2 + 6 x 8 + 4 x 3


def test_a_tool_that_was_used_nobody_knows_how_often_is_unknown() -> None:
    assert_unknown(cost(OPUS, units={"web_searches": None}), "web_searches", "anthropic/claude-opus-4-7")


def test_a_tool_without_a_price_is_unknown_where_it_was_used() -> None:
    assert_unknown(cost(OPUS, units={"code_executions": 2}), "code_executions", "anthropic/claude-opus-4-7")
    assert_unknown(cost(OPUS, units={"rockets": 1}), "rockets", "anthropic/claude-opus-4-7")
    assert cost(OPUS, units={"code_executions": 0}).usd is not None
    assert OPUS.most(1, 1, when=NOW, units={"code_executions": 2}) is None


def test_a_model_that_searches_by_itself_is_unknown_without_the_number_of_its_searches() -> None:
    deep = Prices("sonar-deep-research", "https://api.perplexity.ai", name="perplexity/deep")
    usage, units = replace(PLAIN, reasoning_tokens=0), {"output_citation_tokens": 0}
    assert_unknown(cost(deep, usage, units=units), "web_searches", "perplexity/deep")
    assert cost(deep, usage, units={**units, "web_searches": 2}).usd == Decimal("0.01028")  # 200 + 80 + 2 x 5000
    assert deep.most(100, 10, when=NOW) is None


def test_a_model_that_searches_for_each_answer_at_a_fee_that_is_not_listed_is_unknown() -> None:
    openai_ = [Prices(m, "https://api.openai.com/v1", name=m) for m in ("gpt-4o-search-preview", "gpt-5-search-api")]
    router = Prices("openai/gpt-4o-mini-search-preview", "https://openrouter.ai/api/v1", name="router")
    for prices in (*openai_, router):
        assert_unknown(cost(prices, units=TEXT_PROMPT), "no price is known of its web_searches", prices._name)
        assert prices.most(100, 10, when=NOW, units=TEXT_PROMPT) is None


def test_what_is_charged_by_the_second_is_unknown_without_the_seconds() -> None:
    voxtral = Prices("voxtral-small-24b-2507", "https://api.mistral.ai/v1", name="mistral/voxtral")
    assert_unknown(cost(voxtral), "audio_seconds", "mistral/voxtral")
    assert cost(voxtral, units=TEXT_PROMPT).usd == Decimal("0.000014")  # 100 x 0.1 + 10 x 0.4
    assert cost(voxtral, units={**TEXT_PROMPT, "audio_seconds": 7.5, "input_audio_seconds": 7.5}).usd == Decimal(
        "0.000514"  # … and 7.5 s at 0.24 an hour
    )
    assert voxtral.most(100, 10, when=NOW) is None
    assert voxtral.most(100, 10, when=NOW, units=TEXT_PROMPT) == Decimal("0.000014")


def test_counts_that_contradict_each_other_are_unknown() -> None:
    usage = replace(PLAIN, cache_write_tokens=10, cache_write_1h_tokens=11)
    assert_unknown(cost(OPUS, usage), "contradicts itself", "anthropic/claude-opus-4-7")


def test_what_a_price_of_ones_own_does_not_say_is_unknown() -> None:
    half = Prices("x", None, own=OwnPrice(input=Decimal(1)), name="vllm/x")
    told = cost(half)
    assert_unknown(told, "no price is known of its output_tokens", "vllm/x")
    assert (told.unknown or "").endswith('state it in [prices."vllm/x"] in trivet.toml')
    assert cost(half, replace(PLAIN, output_tokens=0)).usd == Decimal("0.0001")


def test_an_unknown_cost_of_a_cut_stream_says_that_it_was_cut() -> None:
    assert cost(OPUS, replace(PLAIN, output_tokens=None), estimate=True).estimate
