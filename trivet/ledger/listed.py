"""The prices that genai-prices lists, as `Rates`: which of them hold at a moment, on a tier, and what else the host
charges by that the data has no form for. Each rule of ours names its source."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from trivet.ledger.rates import Rates, Unit

__all__ = ["Held", "held", "source", "units"]

Prices = dict[str, tuple[tuple[int, Decimal], ...]]

_STANDARD = frozenset({None, "", "auto", "default", "standard", "standard_only", "on_demand"})
_AUDIO = frozenset({"input_audio_tokens", "output_audio_tokens"})
_CACHED = frozenset({"cache_read_tokens", "cache_write_tokens"})
_ALWAYS, _NEVER = float("-inf"), float("inf")

# What has no prices in the data and costs nothing; without prices are also models of which none are known.
# ai.google.dev/gemini-api/docs/pricing: Gemma is free of charge, without a paid tier.
_FREE = {"openrouter.ai": r".*:free", "generativelanguage.googleapis.com": r"gemma-.*"}
# Whose usage tells what came from the cache wherever something did, and may leave the count out elsewhere:
# console.groq.com/docs/prompt-caching, docs.mistral.ai/studio-api/conversations/advanced/prompt-caching,
# docs.fireworks.ai/faq-new/models-inference/what-is-a-token ("the source of truth"); all looked at on 2026-11-29.
_TELLS_HITS = frozenset({"api.groq.com", "api.mistral.ai", "api.fireworks.ai"})
# docs.perplexity.ai: its models search without being told to.
_SEARCHES = frozenset({"api.perplexity.ai"})
# developers.openai.com/api/docs/pricing: OpenAI's models for search in chat completions search for each answer, at 10
# to 25 USD for a thousand calls, of which the data has nothing.
_SEARCH_MODELS = re.compile(r"gpt-.*-search-(preview|api)")
# ai.google.dev/gemini-api/docs/pricing: where audio has no price of its own, it has that of text. Elsewhere the data
# may lack it: of OpenRouter's gpt-audio it has the text's alone, and OpenAI's audio costs 12.8 times as much.
_HEARS = re.compile(r"audio|omni|voice")
_AUDIO_AS_TEXT = frozenset({"generativelanguage.googleapis.com"})
# docs.aws.amazon.com/claude-platform/latest/userguide/data-residency and platform.claude.com/docs/en/about-claude/
# pricing: inference in the US alone costs 1.1 times as much, for all tokens, from Opus 4.6 on; older models refuse it.
_GEO = {None: Decimal(1), "": Decimal(1), "global": Decimal(1), "not_available": Decimal(1), "us": Decimal("1.1")}
# platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing: writes for an hour cost twice the input, at
# resellers too, of which the data often has the price of five minutes alone.
_HOUR_TIMES_INPUT = 2
# api-docs.deepseek.com/quick_start/pricing: peak hours are since 2026-08-17, and not at weekends (UTC) since
# 2026-08-23, for which the data has no form (github.com/pydantic/genai-prices/issues/582). China's public holidays are
# off-peak too; nobody knows them far ahead, and on them a cost in peak hours here is up to twice the bill.
_PEAKS = re.compile(r"deepseek-(flash|v4-).*")
_PEAKS_SINCE, _WEEKENDS_OFF_SINCE = date(2026, 8, 17), date(2026, 8, 23)


class Held(NamedTuple):
    """The rates of a span of time, in seconds since 1970, or why there are none. `dated` is their first day."""

    rates: Rates | None
    since: float = _ALWAYS
    until: float = _NEVER
    dated: str | None = None
    unknown: str | None = None


@functools.cache
def source() -> str:
    """Where the prices come from. Loads the data, in some 0.2 s."""
    import genai_prices.data

    return f"genai-prices {genai_prices.__version__}"


@functools.cache
def units() -> Mapping[str, Unit]:
    """All units that anything can be charged by."""
    from genai_prices.data_units import unit_data

    return {name: Unit(name, unit["per"], unit["dimensions"]) for name, unit in unit_data.items()}


def held(model: Any, host: str, tier: str | None, geo: str | None, at: float) -> Held:
    """Of a `genai_prices.types.ModelInfo` at a host, `at` seconds since 1970."""
    moment = datetime.fromtimestamp(at, UTC)
    since, until = _span(model, moment)
    found, dated = _standard(model, moment)
    if tier not in _STANDARD:
        changed = list(_variants(model, moment, str(tier)))
        if not changed:
            return Held(None, since, until, unknown=f"{source()} has no price of the service tier {tier!r}")
        for prices, start in reversed(changed):  # the first that has a price goes before the others
            found, dated = found | prices, start or dated
    if strange := found.keys() - units().keys():
        return Held(None, since, until, unknown=f"{source()} has a price of {min(strange)!r}, and not what that is")
    if geo not in _GEO:
        return Held(None, since, until, unknown=f"no price is known of inference in {geo!r}")
    if not found and not re.fullmatch(_FREE.get(host, ""), model.id):
        return Held(None, since, until, unknown=f"{source()} has no price")
    return Held(_rates(model, host, found, _GEO[geo]), since, until, None if dated is None else dated.isoformat())


def _rates(model: Any, host: str, found: Prices, factor: Decimal) -> Rates:
    found = dict(found)
    request = sum((price for _, price in found.pop("requests", ())), Decimal()) / 1000
    _mend(model, host, found)
    no_audio = frozenset() if host in _AUDIO_AS_TEXT or not found else _AUDIO - found.keys()
    heard = bool(_HEARS.search(model.id))
    unpriced = no_audio if heard else frozenset()
    if _SEARCH_MODELS.search(model.id) and "web_searches" not in found:
        unpriced |= {"web_searches"}
    return Rates(
        found,
        units(),
        request=request,
        factor=factor,
        unpriced=unpriced,
        not_listed=frozenset() if heard else no_audio,
        always=frozenset({"web_searches"}) if host in _SEARCHES else frozenset(),
        left_out=_CACHED if host in _TELLS_HITS else frozenset(),
    )


def _mend(model: Any, host: str, found: Prices) -> None:
    """Prices that the data lacks or has in another sense."""
    written = found.get("cache_write_tokens")
    if written is None or "input_tokens" not in found:
        return
    if "claude" in model.id and "cache_write_1h_tokens" not in found:
        found["cache_write_1h_tokens"] = tuple((over, _HOUR_TIMES_INPUT * p) for over, p in found["input_tokens"])
    if host == "openrouter.ai" and "gemini" in model.id and written[0][1] < found["input_tokens"][0][1]:
        # openrouter.ai/docs/features/prompt-caching: a write to Gemini's cache costs the input and five minutes of
        # storage. Since 2026-10-19 the data has the storage alone (0.083), before that both (0.383).
        starts = sorted({over for over, _ in (*written, *found["input_tokens"])})
        found["cache_write_tokens"] = tuple((s, _at(found["input_tokens"], s) + _at(written, s)) for s in starts)


def _at(tiers: tuple[tuple[int, Decimal], ...], over: int) -> Decimal:
    return next(price for start, price in reversed(tiers) if start <= over)


def _standard(model: Any, moment: datetime) -> tuple[Prices, date | None]:
    """The last price that holds, else the first of all."""
    if not isinstance(model.prices, list):
        return _read(model.prices), None
    for entry in reversed(model.prices):
        if _active(model, entry.constraint, moment):
            return _read(entry.prices), getattr(entry.constraint, "start_date", None)
    return _read(model.prices[0].prices), None


def _variants(model: Any, moment: datetime, tier: str) -> Iterator[tuple[Prices, date | None]]:
    wanted = ({"processing": tier}, {"service_tier": tier}, {"speed": tier})
    for variant in model.price_variants or ():
        if dict(variant.when) in wanted and _active(model, variant.constraint, moment):
            yield _read(variant.prices), getattr(variant.constraint, "start_date", None)


def _active(model: Any, constraint: Any, moment: datetime) -> bool:
    if constraint is None:
        return True
    if hasattr(constraint, "start_time") and _PEAKS.fullmatch(model.id):
        day = moment.date()
        if day < _PEAKS_SINCE or (day >= _WEEKENDS_OFF_SINCE and day.weekday() >= 5):
            return False
    return bool(constraint.active(moment))


def _read(prices: Any) -> Prices:
    by_key = _units_by_key()
    found: Prices = {}
    for key, price in vars(prices).items():
        if price is not None:
            name = by_key.get(key, key)
            base = getattr(price, "base", price)
            found[name] = ((0, base), *((tier.start, tier.price) for tier in getattr(price, "tiers", ())))
    return found


@functools.cache
def _units_by_key() -> Mapping[str, str]:
    from genai_prices.data_units import unit_data

    return {unit.get("price_key", name): name for name, unit in unit_data.items()}


def _span(model: Any, moment: datetime) -> tuple[float, float]:
    """Around this moment, how long the same prices hold: until the next time of that day when one may change."""
    entries = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    constraints = [entry.constraint for entry in entries if entry.constraint is not None]
    if not constraints:
        return _ALWAYS, _NEVER
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    edges = {midnight, midnight + timedelta(days=1)}
    for constraint in constraints:
        for time in (getattr(constraint, "start_time", None), getattr(constraint, "end_time", None)):
            if time is not None:
                edge = datetime.combine(midnight, time, time.tzinfo or UTC).astimezone(UTC)
                edges |= {edge - timedelta(days=1), edge, edge + timedelta(days=1)}
    since, until = max(edge for edge in edges if edge <= moment), min(edge for edge in edges if edge > moment)
    return since.timestamp(), until.timestamp()
