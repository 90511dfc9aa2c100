"""What an answer of one model costs, and the most that a request to it can cost.

A price is one's own (`[prices."provider/model"]`), else that of genai-prices at the model's host. A cost is known only
where all that is charged for is known: a count that the usage lacks, and that has a price of its own, makes it unknown,
never 0. What the usage has no place for comes as `units`, by genai-prices' names (`web_searches`, `audio_seconds`,
`input_image_tokens`, `cache_audio_read_tokens`, …) or `Usage`'s: where the request is text alone, `TEXT_PROMPT`, and
where only text can be answered, `TEXT_ANSWER`. A tool of the provider's that `units` does not name was not used; None
says that it was, nobody knows how often.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

from trivet.catalog.known import known
from trivet.catalog.names import entry
from trivet.ledger.listed import Held, held, source, units
from trivet.ledger.rates import Count, Rates
from trivet.ledger.settings import OwnPrice
from trivet.types import Cost, Usage

__all__ = ["TEXT_ANSWER", "TEXT_PROMPT", "Prices", "warm"]

TEXT_PROMPT: Mapping[str, int] = dict.fromkeys(
    (
        *("input_audio_tokens", "input_image_tokens", "input_video_tokens", "input_audio_seconds", "audio_seconds"),
        *("input_document_pages", "input_annotated_document_pages", "input_pixels"),
    ),
    0,
)
TEXT_ANSWER: Mapping[str, int] = dict.fromkeys(
    ("output_audio_tokens", "output_image_tokens", "output_video_tokens", "output_audio_seconds"), 0
)

_NOTHING: Mapping[str, int] = {}


class Prices:
    """The prices of one model. `model` is its name at its host, `url` the provider's base URL, `name` what it is called
    here (`openai/gpt-5.5`), for telling which setting mends an unknown price. `own` goes before what is listed, on
    every service tier. `embedded`: it costs nothing."""

    def __init__(
        self,
        model: str,
        url: str | None,
        *,
        own: OwnPrice | None = None,
        embedded: bool = False,
        name: str | None = None,
    ) -> None:
        self._model, self._url, self._name = model, url, name or model
        self._own, self._embedded = own, embedded
        self._source: str | None = None
        self._held: dict[tuple[str | None, str | None], Held] = {}
        self._embeds: bool | None = None

    def cost(
        self,
        usage: Usage,
        *,
        when: datetime | float | None = None,
        service_tier: str | None = None,
        inference_geo: str | None = None,
        estimate: bool = False,
        units: Mapping[str, Count | None] = _NOTHING,
    ) -> Cost:
        """What this usage costs, asked for at `when` (None is now; naive is UTC; a float is seconds
        since 1970) and answered on `service_tier`,
        at Anthropic in `inference_geo`."""
        if self._embedded:
            return Cost(usd=Decimal(0), source="embedded", estimate=estimate)
        held = self._at(when, service_tier, inference_geo)
        if held.rates is None:
            return Cost(unknown=self._unknown(held.unknown), estimate=estimate)
        if self._embeds and usage.output_tokens is None:
            units = {"output_tokens": 0, **units}  # an embedder's usage does not count what it never has
        bill = held.rates.bill(usage, units)
        return Cost(
            usd=bill.usd,
            source=self._source,
            dated=held.dated,
            unknown=None if bill.unknown is None else self._unknown(bill.unknown),
            estimate=estimate,
            saved_usd=bill.saved_usd,
        )

    def most(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        when: datetime | float | None = None,
        service_tier: str | None = None,
        inference_geo: str | None = None,
        units: Mapping[str, Count | None] = _NOTHING,
    ) -> Decimal | None:
        """An upper bound, in USD, of the cost of a request of at most so many tokens, whatever of them is cached,
        written, audio or reasoning. A host may answer on its standard tier instead of the one that was asked for, so
        that it covers both. A provider's own tools are not in it unless `units` bounds them. None where no bound is
        known."""
        if self._embedded:
            return Decimal(0)
        held = self._at(when, service_tier, inference_geo)
        bound = None if held.rates is None else held.rates.most(input_tokens, output_tokens, units)
        if service_tier is None or self._own is not None or bound is None:
            return bound
        standard = self._at(when, None, inference_geo).rates
        other = None if standard is None else standard.most(input_tokens, output_tokens, units)
        return None if other is None else max(bound, other)

    def _at(self, when: datetime | float | None, tier: str | None, geo: str | None) -> Held:
        if type(when) is float:
            at = when
        elif not isinstance(when, datetime):
            at = time.time() if when is None else float(when)
        else:
            at = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
        held = self._held.get((tier, geo))
        if held is None or not held.since <= at < held.until:
            held = self._held[tier, geo] = self._look_up(tier, geo, at)
        return held

    def _look_up(self, tier: str | None, geo: str | None, at: float) -> Held:
        if self._embeds is None:
            self._embeds = known(self._model, self._url or "").embeds is True
        if self._own is not None:
            self._source = "trivet.toml"
            return Held(_own_rates(self._own))
        self._source = source()
        info = entry(self._model, self._url) if self._url else None
        if info is None:
            return Held(None, unknown=f"{self._source} has no price of it" + (f" at {self._url}" if self._url else ""))
        return held(info, urlsplit(self._url or "").hostname or "", tier, geo, at)

    def _unknown(self, why: str | None) -> str:
        setting = f'[prices."{self._name}"] in trivet.toml'
        mend = f"state it in {setting}" if self._own is not None else f"prices of your own, in {setting}, go before it"
        return f"{self._name}: {why}; {mend}"


def warm() -> None:
    """Load the data of genai-prices, which takes some 0.2 s, before the first cost needs it."""
    source()
    units()


@functools.lru_cache(maxsize=256)
def _own_rates(own: OwnPrice) -> Rates:
    """What is cached costs what `input` does unless it is priced apart, and writes for an hour what writes do. Cached
    audio costs what is cached does, where that is priced."""
    stated = {
        "input_tokens": own.input,
        "output_tokens": own.output,
        "cache_read_tokens": own.cache_read,
        "cache_write_tokens": own.input
        if own.cache_write is None and own.cache_write_1h is not None
        else own.cache_write,
        "cache_write_1h_tokens": own.cache_write_1h,
        "input_audio_tokens": own.input_audio,
        "output_audio_tokens": own.output_audio,
    }
    if own.input_audio is not None:  # units that overlap need a price of what they share
        stated |= {
            "cache_audio_read_tokens": own.cache_read,
            "cache_audio_write_tokens": stated["cache_write_tokens"],
            "cache_audio_write_1h_tokens": own.cache_write_1h,
        }
    prices = {name: ((0, price),) for name, price in stated.items() if price is not None}
    unpriced = frozenset({"input_tokens", "output_tokens"} - prices.keys())
    return Rates(prices, units(), request=own.request, unpriced=unpriced)
