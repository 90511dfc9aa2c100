"""Long prefixes that are sent again and again, and read from no cache."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import NamedTuple

from trivet.ledger.advice import Facts, Finding, ModelFacts, NameFacts, short, table
from trivet.ledger.advice import tokens as told
from trivet.ledger.rows import Row

__all__ = ["Prefixes"]

# Providers keep a prefix for five minutes after its last use, unless more is paid for: what comes later is no miss.
WARM_S = 300
LEAST_REQUESTS = 3  # of one prefix to one model, and of those that a cache could have answered
MOST_READ = 0.2  # the share of these that may have been read from it: beyond, it works
_CHARS_OF_A_TOKEN = 4


class _Seen(NamedTuple):
    at: float
    asked: str
    model: str
    session: str | None
    input: int | None
    read: int | None


class _Count:
    """Requests that could have been read from a cache: how many were, of how many nobody knows, and tokens and money
    of the rest, the misses. `usd` is what the cache would have spared."""

    def __init__(self) -> None:
        self.requests = self.read = self.untold = self.tokens = self.within_sessions = 0
        self.prefixes: set[str] = set()
        self.usd = Decimal()
        self.priced = True

    @property
    def misses(self) -> int:
        return self.requests - self.read - self.untold

    @property
    def wasted(self) -> bool:
        return self.misses >= LEAST_REQUESTS and self.read <= MOST_READ * (self.read + self.misses)

    def add(self, prefix: str, seen: _Seen, tokens: int, facts: Facts) -> None:
        self.requests += 1
        if seen.read is None:
            self.untold += 1
        elif seen.read >= tokens / 2:
            self.read += 1
        else:
            self.prefixes.add(prefix)
            self.tokens += tokens
            plain, cached = facts.price(seen.model, told(uncached=tokens)), facts.price(seen.model, told(read=tokens))
            if plain is None or cached is None:
                self.priced = False
            else:
                self.usd += plain - cached

    def begins(self, seen: _Seen, tokens: int, facts: Facts) -> None:
        """With this request the cache would have been written, which costs more than plain input at some."""
        plain, written = facts.price(seen.model, told(uncached=tokens)), facts.price(seen.model, told(written=tokens))
        if plain is not None and written is not None:
            self.usd -= max(written - plain, Decimal())


class Prefixes:
    """Looks at rows one by one, in any order; `findings` are those of all."""

    def __init__(self) -> None:
        self._seen: dict[str, list[_Seen]] = defaultdict(list)
        self._chars: dict[str, int] = {}

    def add(self, row: Row) -> None:
        if row.prefix is None or row.prefix_chars is None or row.model is None or row.cache == "hit":
            return
        answers = [attempt.usage for attempt in row.attempts if attempt.outcome == "answered"]
        usage = answers[-1] if answers else row.usage
        seen = _Seen(row.at, row.asked, row.model, row.session, usage.input_tokens, usage.cache_read_tokens)
        self._seen[row.prefix].append(seen)
        self._chars[row.prefix] = row.prefix_chars

    def findings(self, facts: Facts) -> tuple[list[Finding], list[str]]:
        """And what could not be looked at."""
        again: dict[tuple[str, str], _Count] = defaultdict(_Count)
        moved: dict[str, _Count] = defaultdict(_Count)
        for prefix, seen in self._seen.items():
            self._count(prefix, sorted(seen, key=lambda each: each.at), facts, again, moved)
        found = [
            _again(facts, name, facts.models[model], count)
            for (name, model), count in again.items()
            if name not in facts.names or model in facts.names[name].models  # still: names change
        ]
        found += [_moved(facts.names[name], count) for name, count in moved.items() if name in facts.names]
        untold: Counter[str] = Counter()
        for (_, model), count in again.items():
            untold[model] += count.untold
        notes = [
            f"{n:,} requests to {model} began with a long prefix that had just been sent there, and its host does not "
            "say how much of it came from a cache."
            for model, n in untold.items()
            if n >= LEAST_REQUESTS
        ]
        return [finding for finding in found if finding is not None], notes

    def _count(
        self,
        prefix: str,
        seen: list[_Seen],
        facts: Facts,
        again: dict[tuple[str, str], _Count],
        moved: dict[str, _Count],
    ) -> None:
        """Of one prefix, whose requests are in the order in which they came: each either could have been read from the
        cache of its model, or from that of the model that the same name was answered by before, or begins anew."""
        of_model = Counter(each.model for each in seen)
        last_at: dict[str, float] = {}
        last_of_name: dict[str, _Seen] = {}
        for each in seen:
            model, before = facts.models.get(each.model), last_of_name.get(each.asked)
            warm = each.model in last_at and each.at - last_at[each.model] <= WARM_S
            elsewhere = before is not None and before.model != each.model and each.at - before.at <= WARM_S
            last_at[each.model], last_of_name[each.asked] = each.at, each
            tokens = self._chars[prefix] // _CHARS_OF_A_TOKEN
            tokens = tokens if each.input is None else min(tokens, each.input)
            if model is None or model.where == "embedded" or tokens < model.cache_least_tokens:
                continue
            if elsewhere and not warm:
                moved[each.asked].add(prefix, each, tokens, facts)
                moved[each.asked].within_sessions += before is not None and each.session == before.session is not None
            elif of_model[each.model] >= LEAST_REQUESTS and warm:
                again[each.asked, each.model].add(prefix, each, tokens, facts)
            elif of_model[each.model] >= LEAST_REQUESTS:
                again[each.asked, each.model].begins(each, tokens, facts)


def _again(facts: Facts, name: str, model: ModelFacts, count: _Count) -> Finding | None:
    """The same prefix to the same model."""
    usd = count.usd if count.priced and model.caches else None
    if not count.wasted or (usd is not None and usd <= 0):
        return None
    off = facts.names[name].prompt_cache_off if name in facts.names else None
    toml = None
    if model.caches is False:
        mend = (
            f"The host of {model.name} has no price for cached input, and as far as is known no cache: the same model "
            "at a host that has one, or a shorter prompt, would mend it"
        )
    elif off is not None:
        mend = f"Let {off} use its prompt cache (take prompt_cache = false out)"
        toml = table(off, "prompt_cache = true")
    else:
        mend = (
            f"prompt_cache is on for {name}: its host kept nothing of what it may keep. See that the requests are "
            "alike in what stands before the prompt (model, tools, cache key), and what its host says of its cache"
        )
    return Finding(
        kind="prefix",
        name=name,
        title=f"{name} sends long prefixes again that no cache keeps",
        text=f"{_told(count)} {'a prefix' if len(count.prefixes) == 1 else f'{len(count.prefixes):,} prefixes'} that "
        f"{model.name} had got within the last five minutes, and {_share(count)} read from its cache.",
        mend=mend,
        toml=toml,
        requests=count.misses,
        tokens=count.tokens,
        usd=usd,
    )


def _moved(name: NameFacts, count: _Count) -> Finding | None:
    """The same prefix to one model after another."""
    if not count.wasted or len(name.models) < 2:
        return None
    sticky = 2 * count.within_sessions >= count.requests and not name.sticky
    line = "sticky = true" if sticky else 'policy = "ordered"'
    why = "a conversation stays with who answered it last" if sticky else "the first that can answers all"
    return Finding(
        kind="prefix",
        name=name.name,
        title=f"{name.name} spreads long prefixes over several models, and each caches alone",
        text=f"{_told(count)} {'a prefix' if len(count.prefixes) == 1 else f'{len(count.prefixes):,} prefixes'} that "
        f"another of its models had got within the last five minutes, and {_share(count)} read from a cache.",
        mend=f"Keep what belongs together at one model: {why}",
        toml=table(name.name, line, part=".route"),
        requests=count.misses,
        tokens=count.tokens,
        usd=count.usd if count.priced else None,
    )


def _told(count: _Count) -> str:
    return f"{count.misses:,} requests began, with about {short(count.tokens)} tokens in all, with"


def _share(count: _Count) -> str:
    known = count.read + count.misses
    return f"{count.read / known:.0%} of such requests were" if count.read else "none of them was"
