"""Which models suit a situation (`quality`, `cheap`, `private`, …): an order of what there is, by `situations.toml`.

It is a prior. Whatever measures models better is another `Policy`, and takes its place.
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from trivet.catalog.known import Known, plain
from trivet.catalog.needs import NONE, Needs, parse
from trivet.types import Effort, Value, replace

__all__ = ["Candidate", "Choice", "Policy", "Situation", "ranked", "situations"]

DEPTH = 2  # of each family: the newest, and the one before it
OWN, EMBEDDED = "*", "embedded"  # families without patterns

_VERSION = r"v?(?P<v>\d{1,2}(?:[.-]\d{1,2}(?![\d.bt]))?)"
_TAIL = r"(?:-(?:latest|preview|exp|\d{2}-\d{2}|20\d{6}|20\d{2}-\d{2}-\d{2}|\d{4}))*"
_DATE = re.compile(r"-(20\d{6}|20\d{2}-\d{2}-\d{2}|\d{4}|\d{2}-\d{2})$")


class Candidate(Value, frozen=True, kw_only=True):
    """A model that can be asked: its whole `name`, the `model` in it, its tasks, where it runs and what is known of it.
    `here` is whether all that is sent to it stays on this machine; `maker` whether its host made it; `listed` whether
    the host has told that it has it."""

    name: str
    model: str
    tasks: tuple[str, ...]
    where: Literal["embedded", "self-served", "hosted"]
    here: bool = False
    maker: bool = False
    listed: bool = False
    known: Known = Known()


class Choice(Value, frozen=True, kw_only=True):
    """A candidate, why it has its place, and the effort that it is to be asked for."""

    candidate: Candidate
    reason: str
    effort: Effort | None = None


class Tier(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    families: tuple[str, ...]


class Situation(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `situations.toml`. `here` keeps to this machine, `most_b` to so many billions of parameters; `most`
    is how many models may stand in for each other."""

    name: str
    about: str
    tiers: tuple[Tier, ...]
    task: str = "chat"
    by: Literal["families", "price"] = "families"
    needs: tuple[str, ...] = ()
    here: bool = False
    most_b: float | None = None
    most: int = 4
    effort: Effort | None = None
    last_resort: bool = True

    def lacks(self, candidate: Candidate) -> bool:
        """Whether it is nothing for this situation, whatever is asked."""
        known = candidate.known
        if self.task not in candidate.tasks or (self.here and not candidate.here):
            return True
        if self.task == "chat" and (known.embeds or known.chats is False):
            return True
        too_large = self.most_b is not None and (known.total_b is None or known.total_b > self.most_b)
        return too_large and candidate.where != "embedded"


Policy = Callable[[Situation, Sequence[Candidate], Needs], Sequence[Choice]]


@functools.cache
def situations() -> Mapping[str, Situation]:
    """Every situation by name, in the order of the file."""
    tables = _tables()["situations"]
    return {name: msgspec.convert({"name": name, **table}, Situation) for name, table in tables.items()}


def ranked(situation: Situation, available: Sequence[Candidate], needs: Needs = NONE) -> tuple[Choice, ...]:
    """What is available and fits, the best first: the table's `Policy`. What no row of the table knows is left out."""
    able = [c for c in available if not situation.lacks(c) and not needs.unmet(c.known)]
    own = parse(situation.needs)
    fit = [c for c in able if not own.unmet(c.known)]
    choices: list[Choice] = []
    for n, tier in enumerate(situation.tiers):
        seen = {choice.candidate.name for choice in choices}
        effort = situation.effort if n == 0 else None
        choices += _tier(situation, tier, [c for c in fit if c.name not in seen], effort)
    if choices:
        return (_first(situation, choices[0]), *choices[1:])
    why = f"the last resort, since no {situation.tiers[0].title} and no other fit model is available"
    able = able if situation.last_resort else []
    return tuple(Choice(candidate=c, reason=f"{why}: {_why(EMBEDDED, 0, c)}") for c in able if c.where == EMBEDDED)


def _first(situation: Situation, choice: Choice) -> Choice:
    """With a word on what it stands in for."""
    best = situation.tiers[0].title
    if choice.reason.startswith(f"{best}: "):
        return choice
    return replace(choice, reason=f"no {best} is available; {choice.reason}")


def _tier(situation: Situation, tier: Tier, candidates: Sequence[Candidate], effort: Effort | None) -> list[Choice]:
    """The newest of each family, then the one before it of each."""
    placed: dict[str, tuple[tuple[Any, ...], Choice]] = {}
    for order, family in enumerate(tier.families):
        for depth, generation in enumerate(_generations(family, candidates)[:DEPTH]):
            for n, candidate in enumerate(generation):
                price = math.inf if candidate.known.usd_3to1 is None else candidate.known.usd_3to1
                key = (depth, price, order, n) if situation.by == "price" else (depth, order, n)
                reason = f"{tier.title}: {_why(family, depth, candidate)}"
                if candidate.name not in placed or key < placed[candidate.name][0]:
                    placed[candidate.name] = key, Choice(candidate=candidate, reason=reason, effort=effort)
    return [choice for _, choice in sorted(placed.values(), key=lambda each: each[0])]


def _why(family: str, depth: int, candidate: Candidate) -> str:
    if family in (OWN, EMBEDDED):
        size = candidate.known.total_b
        return (
            "what trivet runs itself" if family == EMBEDDED else f"{size:g}B parameters" if size else "of unknown size"
        )
    age = ("the newest", "the second newest")[depth]
    whose = {"self-served": ", on your own server"}.get(candidate.where, ", from its maker" if candidate.maker else "")
    return f"{age} {_tables()['families'][family]['title']}{whose}"


# --- families ------------------------------------------------------------------------------------------------


def _generations(family: str, candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Those of the family, by version, the newest first. In each, one of every provider: one's own server goes before
    the maker, and that before other hosts, the cheaper first; of two accounts the one that came first."""
    if family == EMBEDDED:
        return [[c for c in candidates if c.where == EMBEDDED]]
    if family == OWN:
        own = [c for c in candidates if c.where == "self-served"]
        return [sorted(own, key=lambda c: (-(c.known.total_b or 0), c.name))]
    versions: dict[float, dict[str, tuple[Any, Candidate]]] = {}
    for candidate in candidates:
        found = _match(family, candidate.model)
        if found is not None:
            version, key = found
            providers = versions.setdefault(version, {})
            provider, best = candidate.name.partition("/")[0], (key[0], -(candidate.known.total_b or 0), *key[1:])
            if provider not in providers or best < providers[provider][0]:
                providers[provider] = best, candidate
    newest_first = sorted(versions, reverse=True)
    return [sorted((c for _, c in versions[version].values()), key=_host) for version in newest_first]


def _host(candidate: Candidate) -> tuple[bool, bool, float]:
    price = candidate.known.usd_3to1
    return candidate.where != "self-served", not candidate.maker, math.inf if price is None else price


@functools.lru_cache(maxsize=65536)
def _match(family: str, model: str) -> tuple[float, tuple[int, float, int]] | None:
    """The version of a model of this family, and what decides between two of one version: the pattern, the date (a
    name without one stands for the latest), the shorter name. None where it is of another family."""
    if ":" in model.rpartition("/")[2] and "/" in model:
        return None  # OpenRouter's `:batch` and `:free`, which are other terms for the same model
    name = plain(model)
    for order, pattern in enumerate(_patterns(family)):
        if found := pattern.fullmatch(name):
            said = found.groupdict().get("v")
            date = _DATE.search(name)
            age = -float(date[1].replace("-", "")) if date else -math.inf
            version = float(said.replace("-", ".")) if said else -1.0 if name.endswith("-latest") else 0.0
            return version, (order, age, len(name))
    return None


@functools.cache
def _patterns(family: str) -> Sequence[re.Pattern[str]]:
    return [re.compile(name.replace("{v}", _VERSION) + _TAIL) for name in _tables()["families"][family]["names"]]


@functools.cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("situations.toml").read_text("utf-8"))
