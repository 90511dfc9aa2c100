"""Prices as whole numbers, ready to be multiplied: a bill is a handful of products, exact whatever a user's decimal
context is.

A price list has a price for **units** that lie within each other: `cache_read_tokens` are `input_tokens`, and
`cache_audio_read_tokens` are both those and `input_audio_tokens`. The names of units are those of genai-prices, and so
is the rule: each token is paid for once, at the price of the narrowest unit that has one. As a sum over the counts as
they are told, each unit's **coefficient** is its price less the coefficients of all units that it lies in. A long
prompt is priced as a whole: from a tier's start on, every token has the tier's price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from trivet.types import Usage

__all__ = ["ALIASES", "Bill", "Rates", "Unit"]

Count = int | float | Decimal
Prices = Mapping[str, tuple[tuple[int, Decimal], ...]]  # of units: from which prompt length on, which price

_EXACT, _ROUNDED = Context(prec=60), Context(prec=28)
_TOOLS = "tool_calls"
_INPUT, _OUTPUT = "input_tokens", "output_tokens"
# What `Usage` calls differently.
ALIASES = {
    "audio_input_tokens": "input_audio_tokens",
    "audio_output_tokens": "output_audio_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}
_SPLIT = frozenset({_INPUT, _OUTPUT, "cache_read_tokens", "cache_write_tokens"})  # these cannot contradict each other
_WORDS = {
    _INPUT: "tokens its prompt has",
    _OUTPUT: "tokens it has generated",
    "cache_read_tokens": "tokens came from its cache",
    "cache_write_tokens": "tokens were written to its cache",
    "cache_write_1h_tokens": "tokens were written to its cache for an hour",
    "input_audio_tokens": "tokens of the prompt are audio",
    "output_audio_tokens": "tokens of the answer are audio",
    "output_reasoning_tokens": "tokens of the answer are reasoning",
    "cache_audio_read_tokens": "of the tokens from its cache are audio",
}


class Unit(NamedTuple):
    """`per` is how many the price is for; `dimensions` are what genai-prices tells units apart by."""

    name: str
    per: int
    dimensions: Mapping[str, str]

    def within(self, other: Unit) -> bool:
        return self is not other and other.dimensions.items() <= self.dimensions.items()

    def along(self, dimension: str) -> str | None:
        return self.dimensions.get(dimension)


class Bill(NamedTuple):
    """`usd` is None where it is not known, for the reason in `unknown`; `saved_usd` is None where no cache was used."""

    usd: Decimal | None = None
    saved_usd: Decimal | None = None
    unknown: str | None = None


class _Plain(NamedTuple):
    """Coefficients; None where nothing is charged apart."""

    input: int
    read: int | None
    written: int | None
    output: int


class _Term(NamedTuple):
    """A unit in a bill. `around` are the names of those that it lies in, the narrowest last."""

    unit: str
    coefficient: int
    cached: bool
    told_apart: bool
    around: tuple[str, ...]


class _Step(NamedTuple):
    """The prices of a prompt of more than `over` tokens; `input` and `output` are the dearest of each direction."""

    over: int
    terms: tuple[_Term, ...]
    input: int
    output: int


class Rates:
    """One price list of one model.

    `prices` are in USD for a unit's `per`; `request` is for each request; `factor` is for all tokens.

    Of units that `unpriced` names there have to be none for a bill to be known, and none may be told of those in
    `not_listed`. Tools whose units are in `always` run without being asked to. A usage that leaves out what `left_out`
    names had none of it."""

    def __init__(
        self,
        prices: Prices,
        units: Mapping[str, Unit],
        *,
        request: Decimal = Decimal(),
        factor: Decimal = Decimal(1),
        unpriced: frozenset[str] = frozenset(),
        not_listed: frozenset[str] = frozenset(),
        always: frozenset[str] = frozenset(),
        left_out: frozenset[str] = frozenset(),
    ) -> None:
        self._units = units
        self._priced = sorted((units[name] for name in prices), key=lambda unit: len(unit.dimensions))
        self._parts = tuple(
            (unit.name, tuple(part.name for part in self._priced if part.within(unit))) for unit in self._priced[::-1]
        )
        self._prices = prices
        self._factor = Fraction(factor)
        fractions = [self._price(unit, over) for unit in self._priced for over, _ in prices[unit.name]]
        self._per_usd = math.lcm(*(f.denominator for f in [*fractions, Fraction(request)]))
        self._divisor = Decimal(self._per_usd)
        self._context = _EXACT if _terminates(self._per_usd) else _ROUNDED
        self._request = self._whole(Fraction(request))
        starts = sorted({over for tiers in prices.values() for over, _ in tiers} | {0})
        self._steps = tuple(self._step(start) for start in starts)
        self._later = tuple(reversed(self._steps[1:]))
        self._unpriced, self._not_listed, self._always = unpriced, not_listed - prices.keys(), always & prices.keys()
        self._left_out = left_out
        self._beside = self._always | {u.name for u in self._priced if u.along("family") not in ("tokens", _TOOLS)}
        self._plain: tuple[Mapping[str, Count | None] | None, _Plain | None] = (None, None)

    def bill(self, usage: Usage, units: Mapping[str, Count | None]) -> Bill:
        """What this usage costs. `units` has what the usage has no place for, and fills in what it lacks."""
        plain = self._plain_for(units)
        if plain is not None and (bill := self._plain_bill(plain, usage)) is not None:
            return bill
        counts = self._counts(usage, units)
        if (self._unpriced or self._not_listed or units) and (reason := self._not_covered(counts, units)):
            return Bill(unknown=reason)
        total, step = counts[_INPUT], self._steps[0]
        if self._later:
            if total is None:
                return Bill(unknown=_lacking(_INPUT))
            step = next((later for later in self._later if total > later.over), step)
        cost: Any = self._request
        saved: Any = 0
        cached = told_apart = False
        for unit, coefficient, of_cache, apart, around in step.terms:
            count = counts.get(unit)
            if count is None:
                if not coefficient:
                    continue
                count = self._inferred(unit, around, counts)
                if count is None:
                    return Bill(unknown=_lacking(unit))
                counts[unit] = count
            if count:
                part = coefficient * (count if type(count) is int else Fraction(str(count)))
                cost += part
                told_apart |= apart
                if of_cache:
                    saved -= part
                    cached = True
        if told_apart and (wrong := self._contradiction(counts)):
            return Bill(unknown=wrong)
        return Bill(self._usd(cost), self._usd(saved) if cached else None)

    def most(self, input_tokens: int, output_tokens: int, units: Mapping[str, Count | None]) -> Decimal | None:
        """An upper bound of `bill` for any usage of as many tokens or fewer, None where there is none."""
        step = self._steps[0]
        cost: Any = step.input * input_tokens + step.output * output_tokens
        if self._plain_for(units) is not None:
            return self._usd(cost + self._request)
        if self._later:
            reached = [step for step in self._steps if step.over < input_tokens or not step.over]
            cost = max(step.input * input_tokens + step.output * output_tokens for step in reached)
        cost += self._request
        if units or self._beside or self._unpriced:
            counts: dict[str, Any] = {ALIASES.get(name, name): count for name, count in units.items()}
            if self._not_covered({**counts, _INPUT: input_tokens, _OUTPUT: output_tokens}, units):
                return None
            for unit, coefficient, _, _, _ in step.terms:
                if coefficient and (unit in self._beside or (unit in counts and self._of_tools(unit))):
                    if (count := counts.get(unit)) is None:
                        return None
                    cost += max(coefficient, 0) * Fraction(str(count))
        return self._usd(cost)

    def _plain_for(self, units: Mapping[str, Count | None]) -> _Plain | None:
        """The prices of the four counts that every usage has, where nothing else can be charged for beside these
        `units`, of which there are none; looked up once, as nearly all requests have the same."""
        if self._plain[0] is not units:
            self._plain = (units, self._made_plain(units))
        return self._plain[1]

    def _made_plain(self, units: Mapping[str, Count | None]) -> _Plain | None:
        none = {ALIASES.get(name, name) for name, count in units.items() if count == 0}
        by_unit = {term.unit: term.coefficient for term in self._steps[0].terms}
        beyond = [unit for unit, coefficient in by_unit.items() if coefficient and unit not in _SPLIT | none]
        counts = {**dict.fromkeys(none, 0), **dict.fromkeys(_SPLIT, 1)}
        if self._later or beyond or self._beside or len(none) < len(units) or self._not_covered(counts, units):
            return None
        read, written = (by_unit.get(unit) for unit in ("cache_read_tokens", "cache_write_tokens"))
        return _Plain(by_unit.get(_INPUT, 0), read, written, by_unit.get(_OUTPUT, 0))

    def _plain_bill(self, plain: _Plain, usage: Usage) -> Bill | None:
        uncached, read, written = usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens
        output = usage.output_tokens
        if uncached is None or read is None or written is None or output is None or usage.cache_write_1h_tokens:
            return None
        if usage.audio_input_tokens or usage.audio_output_tokens:
            return None
        cost = self._request + plain.input * (uncached + read + written) + plain.output * output
        if not (read or written):
            return Bill(self._usd(cost))
        of_cache = (plain.read or 0) * read + (plain.written or 0) * written
        told = (read and plain.read is not None) or (written and plain.written is not None)
        return Bill(self._usd(cost + of_cache), self._usd(-of_cache) if told else None)

    def _counts(self, usage: Usage, units: Mapping[str, Count | None]) -> dict[str, Any]:
        uncached, read, written = usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens
        split = uncached is not None and read is not None and written is not None
        counts: dict[str, Any] = {
            _INPUT: uncached + read + written if split else usage.prompt_tokens,  # type: ignore[operator]
            _OUTPUT: usage.output_tokens,
            "cache_read_tokens": read,
            "cache_write_tokens": written,
            "cache_write_1h_tokens": usage.cache_write_1h_tokens,
            "input_audio_tokens": usage.audio_input_tokens,
            "output_audio_tokens": usage.audio_output_tokens,
            "output_reasoning_tokens": usage.reasoning_tokens,
        }
        for name, count in units.items():
            name = ALIASES.get(name, name)
            if counts.get(name) is None:
                counts[name] = count
        return counts

    def _not_covered(self, counts: Mapping[str, Any], units: Mapping[str, Count | None]) -> str | None:
        """Why the price list does not have all that is charged for."""
        for name in self._unpriced:
            if counts.get(name) != 0:
                return f"no price is known of its {name}" + ("" if counts.get(name) else ", which may have been used")
        for name in self._not_listed:
            if counts.get(name):
                return f"no price is known of its {name}"
        for name, count in units.items():
            if count == 0 or (name := ALIASES.get(name, name)) in self._prices:
                continue
            if name not in self._units or self._of_tools(name):
                return f"no price is known of its {name}"
        return None

    def _of_tools(self, unit: str) -> bool:
        return self._units[unit].along("family") == _TOOLS

    def _inferred(self, unit: str, around: tuple[str, ...], counts: Mapping[str, Any]) -> int | None:
        """How many there must have been by the other counts, None where they leave it open."""
        if unit in self._left_out or any(counts.get(name) == 0 for name in around):
            return 0
        if self._of_tools(unit):
            return None if unit in counts or unit in self._always else 0
        if len(around) == 3 and around[0] in (_INPUT, _OUTPUT):  # two units overlap, as audio and what was cached
            whole, a, b = (counts.get(name) for name in around)
            if whole is not None and a is not None and b is not None and max(0, a + b - whole) == min(a, b):
                return int(min(a, b))
        return None

    def _contradiction(self, counts: Mapping[str, Any]) -> str | None:
        """Counts of parts that are more than their whole: what they cost is anybody's guess."""
        left: dict[str, Any] = {}
        for whole, parts in self._parts:
            left[whole] = counts.get(whole) or 0
            for part in parts:
                left[whole] -= left[part]
            if left[whole] < 0:
                return f"the usage contradicts itself: {whole} are {counts.get(whole)}, and their parts are more"
        return None

    def _step(self, over: int) -> _Step:
        coefficients: dict[str, Fraction] = {}
        terms, dearest = [], {"input": Fraction(), "output": Fraction()}
        for unit in self._priced:
            price = self._price(unit, over)
            around = [other for other in self._priced if unit.within(other)]
            coefficients[unit.name] = price - sum(coefficients[other.name] for other in around)
            terms.append(
                _Term(
                    unit.name,
                    self._whole(coefficients[unit.name]),
                    (unit.along("token_type") or "").startswith("cache"),
                    unit.name not in _SPLIT and unit.along("family") == "tokens",
                    tuple(other.name for other in around),
                )
            )
            way = unit.along("direction")
            if unit.along("family") == "tokens" and way in dearest:
                dearest[way] = max(dearest[way], price)
        return _Step(over, tuple(terms), self._whole(dearest["input"]), self._whole(dearest["output"]))

    def _price(self, unit: Unit, over: int) -> Fraction:
        """Of one, in USD, where the prompt is longer than `over`."""
        price = next(price for start, price in reversed(self._prices[unit.name]) if start <= over)
        factor = self._factor if unit.along("family") == "tokens" else 1
        return Fraction(price) / unit.per * factor

    def _whole(self, usd: Fraction) -> int:
        return int(usd * self._per_usd)

    def _usd(self, cost: Any) -> Decimal:
        if type(cost) is int:
            return self._context.divide(Decimal(cost), self._divisor)
        return self._context.divide(Decimal(cost.numerator), Decimal(cost.denominator * self._per_usd))


def _terminates(divisor: int) -> bool:
    """Whether a whole number divided by it is a finite decimal."""
    for factor in (2, 5):
        while divisor % factor == 0:
            divisor //= factor
    return divisor == 1


def _lacking(unit: str) -> str:
    what = _WORDS.get(unit, f"{unit} there were")
    return f"the usage does not say how many {what}, which is charged for apart"
