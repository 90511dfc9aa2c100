"""Bills worked out by hand: what a provider says it used, and what its price page makes of that.

Prices are USD for a million tokens, as the page named had them on the day named; the sums are written out in millionths
of a dollar (µ$). `told` is the usage in the provider's own JSON, which the reader of its protocol turns into ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from tests.exchange_files import exchange

Protocol = Literal["anthropic", "openai", "gemini", "embeddings"]


class Bill(NamedTuple):
    """`saved` is None where no cache took part; `how` are further arguments of `Prices.cost`."""

    what: str
    model: str
    url: str
    protocol: Protocol
    told: Mapping[str, Any]
    usd: Decimal
    saved: Decimal | None = None
    how: Mapping[str, Any] = {}


def _usd(micro: str) -> Decimal:
    return Decimal(micro) / 1_000_000


def _at(day: str, hour: str) -> dict[str, Any]:
    return {"when": datetime.fromisoformat(f"{day}T{hour}").replace(tzinfo=UTC)}


_ANTHROPIC = "https://api.anthropic.com"
_OPENAI = "https://api.openai.com/v1"
_GEMINI = "https://generativelanguage.googleapis.com/v1beta"
_OPENROUTER = "https://openrouter.ai/api/v1"


def _claude(input: int, output: int, read: int = 0, minutes: int = 0, hour: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": input,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": minutes + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour},
        "output_tokens": output,
        **more,
    }


def _chat(prompt: int, output: int, details: Mapping[str, int] | None = None, made: Any = None) -> dict[str, Any]:
    told: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    if details is not None:
        told["prompt_tokens_details"] = details
    if made is not None:
        told["completion_tokens_details"] = made
    return told


def _responses(input: int, output: int, cached: int = 0, written: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    }


def _gemini(prompt: int, output: int, cached: int = 0, thoughts: int = 0, audio: int = 0) -> dict[str, Any]:
    shares = [{"modality": "TEXT", "tokenCount": prompt - audio}, {"modality": "AUDIO", "tokenCount": audio}]
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "totalTokenCount": prompt + output + thoughts,
        "promptTokensDetails": [share for share in shares if share["tokenCount"]],
        **({"cachedContentTokenCount": cached} if cached else {}),
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
    }


# platform.claude.com/docs/en/about-claude/pricing, 2026-10-14.
# Opus 4.7: input 5, write for 5 minutes 6.25, for an hour 10, read 0.5, output 25; batch half; search 10 for 1,000.
_BILLS_ANTHROPIC = (
    Bill(
        "plain: 1200 x 5 + 350 x 25 = 6000 + 8750",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(1200, 350)),
        _usd("14750"),
    ),
    Bill(
        "read from the cache: 200 x 5 + 10000 x 0.5 + 100 x 25 = 1000 + 5000 + 2500; saved 10000 x (5 - 0.5)",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(200, 100, read=10_000)),
        *(_usd("8500"), _usd("45000")),
    ),
    Bill(
        "written for 5 minutes: 50 x 5 + 4000 x 6.25 + 10 x 25 = 250 + 25000 + 250; saved -4000 x (6.25 - 5)",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(50, 10, minutes=4000)),
        *(_usd("25500"), _usd("-5000")),
    ),
    Bill(
        "read, and written for both: 12 x 5 + 2000 x 0.5 + 300 x 6.25 + 500 x 10 + 6 x 25 "
        "= 60 + 1000 + 1875 + 5000 + 150; saved 2000 x 4.5 - 300 x 1.25 - 500 x 5 = 9000 - 375 - 2500",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", (exchange("anthropic", "cache_marks").response or {})["usage"]),
        *(_usd("8085"), _usd("6125")),
    ),
    Bill(
        "thinking is output: 40 x 5 + 30 x 25 = 200 + 750",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", (exchange("anthropic", "thinking").response or {})["usage"]),
        _usd("950"),
    ),
    Bill(
        "batch: 1000 x 2.5 + 1000 x 0.25 + 1000 x 12.5 = 2500 + 250 + 12500; saved 1000 x 2.25",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(1000, 1000, read=1000)),
        *(_usd("15250"), _usd("2250"), {"service_tier": "batch"}),
    ),
    Bill(
        "three searches at 0.01 each: 1000 x 5 + 100 x 25 + 30000 = 5000 + 2500 + 30000",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(1000, 100)),
        *(_usd("37500"), None, {"units": {"web_searches": 3}}),
    ),
    Bill(
        "in the US alone, 1.1 times: (1000 x 5 + 100 x 25) x 1.1, and a search at 10000 as anywhere",
        *("claude-opus-4-7", _ANTHROPIC, "anthropic", _claude(1000, 100)),
        *(_usd("18250"), None, {"inference_geo": "us", "units": {"web_searches": 1}}),
    ),
    Bill(
        "Opus 4.8 in fast mode, 10 and 50: 1000 x 10 + 100 x 50 = 10000 + 5000",
        *("claude-opus-4-8", _ANTHROPIC, "anthropic", _claude(1000, 100)),
        *(_usd("15000"), None, {"service_tier": "fast"}),
    ),
    # Sonnet 4.5: 3, 0.3, 15; of prompts over 200,000 tokens 6, 0.6, 22.5, for all of it.
    Bill(
        "a prompt of 200,000: 150000 x 3 + 50000 x 0.3 + 1000 x 15 = 450000 + 15000 + 15000; saved 50000 x 2.7",
        *("claude-sonnet-4-5", _ANTHROPIC, "anthropic", _claude(150_000, 1000, read=50_000)),
        *(_usd("480000"), _usd("135000")),
    ),
    Bill(
        "a prompt of 200,001: 150001 x 6 + 50000 x 0.6 + 1000 x 22.5 = 900006 + 30000 + 22500; saved 50000 x 5.4",
        *("claude-sonnet-4-5", _ANTHROPIC, "anthropic", _claude(150_001, 1000, read=50_000)),
        *(_usd("952506"), _usd("270000")),
    ),
    # Haiku 5.5: 0.1 and 0.5; of prompts over 100,000 tokens 0.5 and 2.5.
    Bill(
        "Haiku 5.5 over 100,000: 100001 x 0.5 + 10 x 2.5 = 50000.5 + 25",
        *("claude-haiku-5-5", _ANTHROPIC, "anthropic", _claude(100_001, 10)),
        _usd("50025.5"),
    ),
)

# developers.openai.com/api/docs/pricing, 2026-10-14.
# GPT-5.5: input 5, cached 0.5, output 30; over 272,000 tokens 10, 1, 45; flex and batch half; priority 12.5, 1.25, 75.
_CACHED = _chat(1000, 100, {"cached_tokens": 400, "audio_tokens": 0})
_BILLS_OPENAI = (
    Bill(
        "writes cost what input does: (12 + 800) x 5 + 2000 x 0.5 + 6 x 30 = 4060 + 1000 + 180; saved 2000 x 4.5",
        *("gpt-5.5", _OPENAI, "openai", (exchange("openai-chat", "cache_marks").response or {})["usage"]),
        *(_usd("5240"), _usd("9000"), {"service_tier": "default"}),
    ),
    Bill(
        "the same in responses",
        *("gpt-5.5-2026-04-23", _OPENAI, "openai", (exchange("openai", "cache_marks").response or {})["usage"]),
        *(_usd("5240"), _usd("9000")),
    ),
    Bill(
        "reasoning is output: 40 x 5 + 30 x 30 = 200 + 900",
        *("gpt-5.5", _OPENAI, "openai", (exchange("openai", "thinking").response or {})["usage"]),
        _usd("1100"),
    ),
    Bill(
        "flex: 600 x 2.5 + 400 x 0.25 + 100 x 15 = 1500 + 100 + 1500; saved 400 x 2.25",
        *("gpt-5.5", _OPENAI, "openai", _CACHED, _usd("3100"), _usd("900"), {"service_tier": "flex"}),
    ),
    Bill(
        "priority: 600 x 12.5 + 400 x 1.25 + 100 x 75 = 7500 + 500 + 7500; saved 400 x 11.25",
        *("gpt-5.5", _OPENAI, "openai", _CACHED, _usd("15500"), _usd("4500"), {"service_tier": "priority"}),
    ),
    Bill(
        "batch, as flex",
        *("gpt-5.5", _OPENAI, "openai", _CACHED, _usd("3100"), _usd("900"), {"service_tier": "batch"}),
    ),
    Bill(
        "a prompt of 272,000: 272000 x 5 + 100 x 30 = 1360000 + 3000",
        *("gpt-5.5", _OPENAI, "openai", _responses(272_000, 100), _usd("1363000")),
    ),
    Bill(
        "a prompt of 272,001: 272001 x 10 + 100 x 45 = 2720010 + 4500",
        *("gpt-5.5", _OPENAI, "openai", _responses(272_001, 100), _usd("2724510")),
    ),
    # GPT-4.1: 2, 0.5, 8; its batch has 1 and 4, and no price of cached input, which stays at 0.5.
    Bill(
        "batch without a cached price: 800 x 1 + 200 x 0.5 + 100 x 4 = 800 + 100 + 400; saved 200 x (1 - 0.5)",
        *("gpt-4.1", _OPENAI, "openai", _chat(1000, 100, {"cached_tokens": 200})),
        *(_usd("1300"), _usd("100"), {"service_tier": "batch"}),
    ),
    # GPT-5.6 Luna, which charges for writes: 1, 1.25, 0.1, 6; since 2026-07-30 a fifth of that.
    Bill(
        "writes priced apart: 1500 x 0.2 + 1000 x 0.02 + 500 x 0.25 + 200 x 1.2 = 300 + 20 + 125 + 240; "
        "saved 1000 x 0.18 - 500 x 0.05",
        *("gpt-5.6-luna", _OPENAI, "openai", _responses(3000, 200, cached=1000, written=500)),
        *(_usd("685"), _usd("155"), _at("2026-07-30", "00:00")),
    ),
    Bill(
        "before its price fell: 1500 x 1 + 1000 x 0.1 + 500 x 1.25 + 200 x 6 = 1500 + 100 + 625 + 1200; "
        "saved 1000 x 0.9 - 500 x 0.25",
        *("gpt-5.6-luna", _OPENAI, "openai", _responses(3000, 200, cached=1000, written=500)),
        *(_usd("3425"), _usd("775"), _at("2026-07-29", "23:59:59")),
    ),
    # gpt-realtime: text 4 and 16, audio 32 and 64, images 5 (developers.openai.com/api/docs/models/gpt-realtime).
    Bill(
        "audio both ways: 200 x 4 + 300 x 32 + 50 x 16 + 150 x 64 = 800 + 9600 + 800 + 9600",
        *("gpt-realtime", _OPENAI, "openai"),
        _chat(500, 200, {"cached_tokens": 0, "audio_tokens": 300}, {"audio_tokens": 150}),
        *(_usd("20800"), None, {"units": {"input_image_tokens": 0}}),
    ),
    Bill(
        "embeddings at 0.02: 1000 x 0.02",
        *("text-embedding-3-small", _OPENAI, "embeddings", {"prompt_tokens": 1000, "total_tokens": 1000}, _usd("20")),
    ),
)

# ai.google.dev/gemini-api/docs/pricing, 2026-10-14.
# 2.5 Pro: 1.25, cached 0.125, output 10 with its thoughts; over 200,000 tokens 2.5, 0.25, 15.
# 2.5 Flash: text, image, video 0.3, audio 1; cached 0.03 and 0.1; output 2.5; grounding with search 35 for 1,000.
_BILLS_GEMINI = (
    Bill(
        "cached, and thoughts: 600 x 1.25 + 400 x 0.125 + (100 + 50) x 10 = 750 + 50 + 1500; saved 400 x 1.125",
        *("gemini-2.5-pro", _GEMINI, "gemini", _gemini(1000, 100, cached=400, thoughts=50)),
        *(_usd("2300"), _usd("450")),
    ),
    Bill(
        "over 200,000: 250000 x 2.5 + 100 x 15 = 625000 + 1500",
        *("gemini-2.5-pro", _GEMINI, "gemini", _gemini(250_000, 100), _usd("626500")),
    ),
    Bill(
        "audio: 200 x 0.3 + 800 x 1 + 50 x 2.5 = 60 + 800 + 125",
        *("gemini-2.5-flash", _GEMINI, "gemini", _gemini(1000, 50, audio=800), _usd("985")),
    ),
    Bill(
        "a prompt of audio alone, so that what is cached is audio: 400 x 1 + 600 x 0.1 + 50 x 2.5 = 400 + 60 + 125; "
        "saved 600 x 0.9",
        *("gemini-2.5-flash", _GEMINI, "gemini", _gemini(1000, 50, cached=600, audio=1000)),
        *(_usd("585"), _usd("540")),
    ),
    Bill(
        "300 of 500 cached are audio: 200 x 0.3 + 200 x 0.03 + 300 x 1 + 300 x 0.1 + 10 x 2.5 "
        "= 60 + 6 + 300 + 30 + 25; saved 200 x 0.27 + 300 x 0.9",
        *("gemini-2.5-flash", _GEMINI, "gemini", _gemini(1000, 10, cached=500, audio=600)),
        *(_usd("421"), _usd("324"), {"units": {"cache_audio_read_tokens": 300}}),
    ),
    Bill(
        "a search: 100 x 0.3 + 10 x 2.5 + 35000 = 30 + 25 + 35000",
        *("gemini-2.5-flash", _GEMINI, "gemini", _gemini(100, 10)),
        *(_usd("35055"), None, {"units": {"web_searches": 1}}),
    ),
    Bill(
        "batch: 1000 x 0.15 + 100 x 1.25 = 150 + 125",
        *("gemini-2.5-flash", _GEMINI, "gemini", _gemini(1000, 100)),
        *(_usd("275"), None, {"service_tier": "batch"}),
    ),
    Bill(
        "embeddings at 0.15: 1000 x 0.15",
        *("gemini-embedding-001", _GEMINI, "embeddings", {"prompt_tokens": 1000}, _usd("150")),
    ),
)

# api-docs.deepseek.com/quick_start/pricing, 2026-10-27. deepseek-flash: hit 0.003, miss 0.15, output 0.6; twice that in
# peak hours, 01:00 to 04:00 and 06:00 to 10:00 UTC from Monday to Friday.
_HITS = {**_chat(1000, 200), "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}
_BILLS_DEEPSEEK = (
    Bill(
        "Friday 02:30: 100 x 0.3 + 900 x 0.006 + 200 x 1.2 = 30 + 5.4 + 240; saved 900 x 0.294",
        *("deepseek-flash", "https://api.deepseek.com", "openai", _HITS),
        *(_usd("275.4"), _usd("264.6"), _at("2026-11-27", "02:30")),
    ),
    Bill(
        "Friday 04:00: 100 x 0.15 + 900 x 0.003 + 200 x 0.6 = 15 + 2.7 + 120; saved 900 x 0.147",
        *("deepseek-flash", "https://api.deepseek.com", "openai", _HITS),
        *(_usd("137.7"), _usd("132.3"), _at("2026-11-27", "04:00")),
    ),
    Bill(
        "Saturday 02:30, as off-peak",
        *("deepseek-flash", "https://api.deepseek.com", "openai", _HITS),
        *(_usd("137.7"), _usd("132.3"), _at("2026-11-28", "02:30")),
    ),
)

_BILLS_OTHERS = (
    # groq.com/pricing, 2026-10-14: Llama 3.3 70B 0.59 and 0.79; GPT-OSS 120B 0.15, cached 0.075, 0.6.
    Bill(
        "no cache, none told: 100 x 0.59 + 50 x 0.79 = 59 + 39.5",
        *("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", "openai", _chat(100, 50), _usd("98.5")),
    ),
    Bill(
        "a hit would be told: 100 x 0.15 + 50 x 0.6 = 15 + 30",
        *("openai/gpt-oss-120b", "https://api.groq.com/openai/v1", "openai", _chat(100, 50), _usd("45")),
    ),
    # docs.mistral.ai/inference/pricing, 2026-10-14: Medium 1.5, cached 0.15, 7.5 since 2026-06-16.
    Bill(
        "Mistral: 200 x 1.5 + 40 x 7.5 = 300 + 300",
        *("mistral-medium-latest", "https://api.mistral.ai/v1", "openai", _chat(200, 40), _usd("600")),
    ),
    # docs.x.ai/developers/models, 2026-10-14: grok-4.3 1.25, cached 0.2, 2.5. Its reasoning is beside its completion.
    Bill(
        "xAI: 400 x 1.25 + 600 x 0.2 + (50 + 30) x 2.5 = 500 + 120 + 200; saved 600 x 1.05",
        *("grok-4.3", "https://api.x.ai/v1", "openai"),
        {**_chat(1000, 50, {"cached_tokens": 600}, {"reasoning_tokens": 30}), "total_tokens": 1080},
        *(_usd("820"), _usd("630")),
    ),
    # together.ai/pricing: Llama 3.3 70B 0.88 both ways.
    Bill(
        "Together: (100 + 50) x 0.88",
        *("meta-llama/Llama-3.3-70B-Instruct-Turbo", "https://api.together.ai/v1", "openai", _chat(100, 50)),
        _usd("132"),
    ),
    # fireworks.ai/pricing: DeepSeek V3.2 0.56, cached 0.28, 1.68.
    Bill(
        "Fireworks: 50 x 0.56 + 50 x 0.28 + 10 x 1.68 = 28 + 14 + 16.8; saved 50 x 0.28",
        *("accounts/fireworks/models/deepseek-v3p2", "https://api.fireworks.ai/inference/v1", "openai"),
        *(_chat(100, 10, {"cached_tokens": 50}), _usd("58.8"), _usd("14")),
    ),
    # cohere.com/pricing: Embed 4 0.12.
    Bill(
        "Cohere's embeddings: 500 x 0.12",
        *("embed-v4.0", "https://api.cohere.ai/compatibility/v1", "embeddings", {"prompt_tokens": 500}, _usd("60")),
    ),
    # docs.perplexity.ai, as last published: sonar 1 both ways, and up to 12 for 1,000 requests.
    Bill(
        "a price for each request: (100 + 50) x 1 + 12000",
        *("sonar", "https://api.perplexity.ai/v1", "openai", _chat(100, 50), _usd("12150")),
    ),
    # openrouter.ai/anthropic/claude-opus-4.7: 5, 6.25, 0.5, 25; writes for an hour 10 (prompt-caching#pricing).
    Bill(
        "OpenRouter's Claude, nothing kept for an hour: 12 x 5 + 2000 x 0.5 + 800 x 6.25 + 6 x 25 "
        "= 60 + 1000 + 5000 + 150; saved 2000 x 4.5 - 800 x 1.25",
        *("anthropic/claude-opus-4.7", _OPENROUTER, "openai"),
        (exchange("openrouter", "cache_marks").response or {})["usage"],
        *(_usd("6210"), _usd("8000"), {"units": {"cache_write_1h_tokens": 0}}),
    ),
    Bill(
        "… all kept for an hour: 60 + 1000 + 800 x 10 + 150; saved 9000 - 800 x 5",
        *("anthropic/claude-opus-4.7", _OPENROUTER, "openai"),
        (exchange("openrouter", "cache_marks").response or {})["usage"],
        *(_usd("9210"), _usd("5000"), {"units": {"cache_write_1h_tokens": 800}}),
    ),
    # openrouter.ai/google/gemini-2.5-flash: 0.3, 2.5; a write is the input and 0.0833333333333333 for its storage.
    Bill(
        "OpenRouter's Gemini: 100 x 0.3 + 1000 x 0.3833333333333333 + 10 x 2.5; saved -1000 x 0.0833333333333333",
        *("google/gemini-2.5-flash", _OPENROUTER, "openai"),
        _chat(1100, 10, {"cached_tokens": 0, "cache_write_tokens": 1000}),
        *(_usd("438.3333333333333"), _usd("-83.3333333333333")),
    ),
    # openrouter.ai/docs: names that end in `:free` cost nothing.
    Bill(
        "a free model",
        *("meta-llama/llama-3.3-70b-instruct:free", _OPENROUTER, "openai", _chat(100, 50), Decimal(0)),
    ),
)

BILLS = (*_BILLS_ANTHROPIC, *_BILLS_OPENAI, *_BILLS_GEMINI, *_BILLS_DEEPSEEK, *_BILLS_OTHERS)
