"""What each name was asked, and by whom it was answered: names that nobody stands in for, and models that are dearer
than another one of the same abilities."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

from trivet import errors
from trivet.ledger.advice import Facts, Finding, ModelFacts, NameFacts, dollars, rewritten, table, tokens
from trivet.ledger.rows import AttemptRow, Row
from trivet.types import Usage

__all__ = ["Traffic"]

CHEAPER = 0.8  # of the price: less of a difference is none to change a model for
KEEPS_VECTORS = "embed"  # vectors of two models do not compare: nobody stands in for an embedder


class _Asked:
    """Of one name."""

    def __init__(self) -> None:
        self.requests = self.failures = self.longest = 0
        self.embeds = False


class _Spent:
    """Of one name at one model. `usage` is the sum of all fields that were told."""

    def __init__(self) -> None:
        self.requests = self.longest = 0
        self.usd = Decimal()
        self.estimate = False
        self.usage: Counter[str] = Counter()
        self.no_reasoning = self.no_audio = True
        self.embeds = False


class Traffic:
    """Looks at rows one by one; `alone` and `dearer` are the findings of all. `unpriced` are the requests to each model
    whose cost is not known."""

    def __init__(self) -> None:
        self.asked: dict[str, _Asked] = defaultdict(_Asked)
        self.spent: dict[tuple[str, str], _Spent] = defaultdict(_Spent)
        self.unpriced: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        if row.cache == "hit" or row.outcome == "refused":
            return
        asked = self.asked[row.asked]
        asked.requests += 1
        asked.longest = max(asked.longest, row.usage.input_tokens or 0)
        asked.embeds |= row.task == KEEPS_VECTORS
        asked.failures += row.outcome == "failed" and _falls_back(row)
        for attempt in row.attempts or _alone(row):
            self._spent(row, attempt)

    def _spent(self, row: Row, attempt: AttemptRow) -> None:
        usage, usd = attempt.usage, attempt.cost.usd
        if usd is None or usage.input_tokens is None or usage.output_tokens is None:
            if attempt.outcome != "failed":
                self.unpriced[attempt.model] += 1
            return
        if not usd:
            return
        spent = self.spent[row.asked, attempt.model]
        spent.requests += 1
        spent.usd += usd
        spent.estimate |= attempt.cost.estimate
        spent.longest = max(spent.longest, usage.input_tokens)
        spent.embeds |= row.task == KEEPS_VECTORS
        spent.no_reasoning &= usage.reasoning_tokens == 0
        spent.no_audio &= usage.audio_input_tokens == 0
        split = usage.uncached_input_tokens is not None
        told = usage if split else Usage(uncached_input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        spent.usage.update({field: getattr(told, field) or 0 for field in _SUMMED})

    # --- names that nobody stands in for -----------------------------------------------------------------------

    def alone(self, facts: Facts) -> list[Finding]:
        """Names all of whose models are at one host: each that was asked, and those of trivet.toml that were not as
        one finding."""
        found: list[Finding] = []
        roots: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys([*self.asked, *(n for n, each in facts.names.items() if each.stands_on)]):
            if name in facts.names and not self.asked[name].embeds:
                roots[_root(facts, name)].append(name)
        idle: list[tuple[str, str]] = []
        for root, names in roots.items():
            finding = self._alone(facts, facts.names[root], names)
            if finding is not None and finding.requests:
                found.append(finding)
            elif finding is not None:
                idle.append((root, finding.toml or ""))
        if idle:
            found.append(_idle(idle))
        return found

    def _alone(self, facts: Facts, name: NameFacts, names: list[str]) -> Finding | None:
        models = [facts.models[model] for model in name.models if model in facts.models]
        hosts = {model.host for model in models}
        if len(hosts) != 1 or len(models) < len(name.models) or any(model.where == "embedded" for model in models):
            return None
        if any("chat" not in model.tasks for model in models):
            return None
        counts = [self.asked[each] for each in names]
        requests, failures = sum(c.requests for c in counts), sum(c.failures for c in counts)
        other = stand_in(facts, models[0], max(c.longest for c in counts))
        if other is None:
            mend = "No other provider is available here that can do the same: set the key of one, and ask again"
            toml = None
        else:
            mend, toml = rewritten(name, [*(name.stands_on or name.models), other.name], facts)
        also = [each for each in names if each != name.name]
        return Finding(
            kind="fallback",
            name=name.name,
            title=f"{name.name} has a single provider and no fallback",
            text=f"All of it is answered at {_host(models[0])}. Of {_n(requests, 'request')} in the period "
            f"{failures:,} failed with an error after which another provider would have been asked."
            + (f" {', '.join(also)} {'stands' if len(also) == 1 else 'stand'} on it." if also else ""),
            mend=mend,
            toml=toml,
            requests=requests,
            failures=failures,
        )

    # --- models that are dearer than another one ---------------------------------------------------------------

    def dearer(self, facts: Facts) -> list[Finding]:
        """Of each model for which trivet.toml names a cheaper one of the same abilities; and of the one that has cost
        most, where one is available."""
        of_model: dict[str, Decimal] = defaultdict(Decimal)
        for (_, model), spent in self.spent.items():
            of_model[model] += spent.usd
        most = max(of_model, key=lambda model: of_model[model], default=None)
        found: list[Finding] = []
        for (name, model), spent in self.spent.items():
            leads_there = name in facts.names and model in facts.names[name].models  # still: names change
            if leads_there and model in facts.models and not spent.embeds:
                finding = _dearer(facts, facts.names[name], facts.models[model], spent, model == most)
                found += [finding] if finding else []
        return found


_SUMMED = tuple(field for field in Usage.__struct_fields__ if field != "prompt_tokens")


def _alone(row: Row) -> tuple[AttemptRow, ...]:
    """The row as its only attempt, where attempts were not kept."""
    if row.model is None:
        return ()
    return (
        AttemptRow(model=row.model, outcome=row.outcome, began_s=0, took_s=row.took_s, usage=row.usage, cost=row.cost),
    )


def _falls_back(row: Row) -> bool:
    """Whether another model would have been asked after this error."""
    return bool(getattr(getattr(errors, row.error or "", None), "fallback", False))


def _root(facts: Facts, name: str) -> str:
    """The name at which a chain of aliases and adapters begins to name models: mended there, all are."""
    inner = facts.names[name].stands_on
    while len(inner) == 1 and inner[0] in facts.names and facts.names[inner[0]].stands_on:
        name, inner = inner[0], facts.names[inner[0]].stands_on
    return name


def _idle(names: list[tuple[str, str]]) -> Finding:
    told = ", ".join(name for name, _ in names)
    one = len(names) == 1
    return Finding(
        kind="fallback",
        name=names[0][0] if one else "",
        title=f"{told} {'has' if one else 'have'} a single provider and no fallback",
        text=f"{'It was' if one else 'They were'} not asked in the period.",
        mend="Give each a second provider",
        toml="\n\n".join(filter(None, (toml for _, toml in names))) or None,
        failures=0,
    )


def stand_in(facts: Facts, model: ModelFacts, longest: int) -> ModelFacts | None:
    """Who could answer at another host: the same weights, else one of `auto/quality` whose price is nearest."""
    needed = set(model.abilities)
    able = [
        other
        for other in facts.models.values()
        if other.available
        and other.host != model.host
        and other.where != "embedded"
        and _can(other, needed, longest)
        and (other.weights == model.weights or other.quality is not None or other.configured)
    ]

    def order(other: ModelFacts) -> tuple[bool, float, int]:
        far = math.inf
        if other.usd_3to1 and model.usd_3to1:
            far = abs(math.log(other.usd_3to1 / model.usd_3to1))
        return other.weights != model.weights, far, 0 if other.quality is None else other.quality

    return min(able, key=order, default=None)


def cheaper(facts: Facts, model: ModelFacts, needed: Iterable[str], longest: int, *, any_: bool) -> ModelFacts | None:
    """The cheapest that trivet.toml names; else, where `any_` will do, the first of `auto/cheap`."""
    if not model.usd_3to1:
        return None
    able = [
        other
        for other in facts.models.values()
        if other.available
        and other.where != "embedded"  # what is embedded is a last resort
        and other.usd_3to1 is not None
        and other.usd_3to1 <= CHEAPER * model.usd_3to1
        and _can(other, set(needed), longest)
    ]
    configured = min((o for o in able if o.configured), key=lambda o: o.usd_3to1 or 0, default=None)
    if configured is not None or not any_:
        return configured
    return min((o for o in able if o.cheap is not None), key=lambda o: o.cheap or 0, default=None)


def _can(other: ModelFacts, needed: set[str], longest: int) -> bool:
    """What is not known counts as missing."""
    return "chat" in other.tasks and needed <= set(other.abilities) and (other.context_tokens or 0) >= longest


def _dearer(facts: Facts, name: NameFacts, model: ModelFacts, spent: _Spent, most: bool) -> Finding | None:
    needed = set(model.abilities)
    needed -= {"reasoning"} if spent.no_reasoning else set()
    needed -= {"audio"} if spent.no_audio else set()
    other = cheaper(facts, model, needed, spent.longest, any_=most)
    if other is None:
        return None
    would = _would_cost(facts, other.name, spent)
    if would is None or would >= spent.usd:
        return None
    if other.name in name.models and not name.adapts:
        mend, toml = "Ask the cheapest first", table(name.name, 'policy = "cheapest"', part=".route")
    else:
        names = [other.name, *(name.stands_on or name.models)]
        mend, toml = rewritten(name, names, facts)
    about = "about " if spent.estimate else ""
    where = "which your trivet.toml names" if other.configured else "which is available here"
    same = f"has the same abilities ({', '.join(sorted(needed)) or 'text'}; room for {spent.longest:,} tokens)"
    return Finding(
        kind="price",
        name=name.name,
        title=f"{other.name} costs less than {model.name}" + (f", which answers {name.name}" if name.stands_on else ""),
        text=f"{_n(spent.requests, 'request')} cost {about}{dollars(spent.usd)}; at the prices of {other.name}, {where}"
        f" and {same}, the same tokens would have cost about {dollars(would)}. How good its answers are is not "
        "compared.",
        mend=mend,
        toml=toml,
        requests=spent.requests,
        usd=spent.usd - would,
    )


def _would_cost(facts: Facts, other: str, spent: _Spent) -> Decimal | None:
    """At the mean request, since prices may rise with its length."""
    mean = {field: round(count / spent.requests) for field, count in spent.usage.items()}
    usd = facts.price(other, Usage(**mean))
    if usd is None:  # it has no price for cached tokens, or none for audio: as plain ones
        whole = sum(mean[f] for f in ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens"))
        plain = tokens(uncached=whole, output=mean["output_tokens"])
        usd = facts.price(other, plain)
    return None if usd is None else usd * spent.requests


def _n(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _host(model: ModelFacts) -> str:
    return model.name.partition("/")[0]
