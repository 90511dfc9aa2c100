"""What an audit is told of names and models, what it finds, and the lines of trivet.toml that mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

from trivet.types import Usage, Value

__all__ = [
    *("Facts", "Finding", "ModelFacts", "NameFacts"),
    *("dollars", "new_name", "rewritten", "short", "table", "tokens", "use"),
]


class ModelFacts(Value, frozen=True, kw_only=True):
    """A model at a provider, by its name here (`openai/gpt-5.5`). `weights` is its name without who hosts it; `host` is
    where it is asked: what fails together. `abilities` are those that it is known to have (`image`, `tools`, …);
    `usd_3to1` as in `trivet.catalog.known`. `caches` is whether a prompt cache is priced there, None where no price is
    known; it keeps nothing shorter than `cache_least_tokens`. `configured`: a name of trivet.toml leads to it.
    `quality` and `cheap` are its places in those situations, None where they do not have it."""

    name: str
    weights: str
    host: str
    where: Literal["embedded", "self-served", "hosted", "test"] = "hosted"
    tasks: tuple[str, ...] = ("chat",)
    abilities: tuple[str, ...] = ()
    context_tokens: int | None = None
    usd_3to1: float | None = None
    caches: bool | None = None
    cache_least_tokens: int = 1024
    available: bool = True
    configured: bool = False
    quality: int | None = None
    cheap: int | None = None


class NameFacts(Value, frozen=True, kw_only=True):
    """A name that is asked for. `stands_on` are the names that its table has, none where it has no table; `models` are
    those that it leads to in the end. `adapts`: it has a `base`. `policy` is that of its route, None where it has
    none. `prompt_cache_off` is the table, its own or one beneath, that has `prompt_cache = false`."""

    name: str
    models: tuple[str, ...]
    stands_on: tuple[str, ...] = ()
    adapts: bool = False
    policy: str | None = None
    sticky: bool = False
    prompt_cache_off: str | None = None


class Facts(Value, frozen=True, kw_only=True):
    """All of that. `price` is what a usage costs in USD at a model, None where that is not known."""

    names: Mapping[str, NameFacts]
    models: Mapping[str, ModelFacts]
    price: Callable[[str, Usage], Decimal | None]


class Finding(Value, frozen=True, kw_only=True):
    """`usd` is what could have been spared in the period, `tokens` those that were sent again; None where it is not
    known, or not the point. `mend` says what to do, and `toml` is to be pasted."""

    kind: Literal["prefix", "fallback", "price"]
    name: str
    title: str
    text: str
    mend: str
    toml: str | None = None
    requests: int = 0
    failures: int | None = None
    tokens: int | None = None
    usd: Decimal | None = None


def tokens(*, uncached: int = 0, read: int = 0, written: int = 0, output: int = 0) -> Usage:
    """A usage of text of which all is told."""
    return Usage(
        uncached_input_tokens=uncached,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=0,
        cache_write_1h_tokens=0,
        audio_input_tokens=0,
        audio_output_tokens=0,
    )


def dollars(usd: Decimal) -> str:
    """`$12.30`, a third digit of what is less than a dollar (`$0.046`), and a fourth of what is less than a cent."""
    if not usd:
        return "$0"
    sign, usd = "-" if usd < 0 else "", abs(usd)
    if usd < Decimal("0.0001"):
        return f"{sign}<$0.0001"
    if usd < Decimal("0.01"):
        return f"{sign}${usd:.4f}"
    told = f"{usd:,.2f}" if usd >= 1 else f"{usd:.3f}"
    return f"{sign}${told.removesuffix('0') if usd < 1 else told}"


def short(count: float) -> str:
    """`12.3k`: the exact number is in the JSON."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


# --- lines of trivet.toml --------------------------------------------------------------------------------------


def table(name: str, *lines: str, part: str = "") -> str:
    """`[models.NAME]` and its lines."""
    quoted = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
    return "\n".join([f"[models.{quoted}{part}]", *lines])


def use(names: Sequence[str]) -> str:
    return f"use = {json.dumps(list(dict.fromkeys(names)), ensure_ascii=False)}"


def new_name(name: str, facts: Facts) -> str:
    """A name for a table that may stand for `openai/gpt-5.5`, which cannot be called so: it would stand on itself."""
    new = name.rpartition("/")[2]
    while new in facts.names and facts.names[new].stands_on:
        new += "-route"
    return new


def rewritten(name: NameFacts, names: Sequence[str], facts: Facts) -> tuple[str, str]:
    """What to do so that `name` stands on `names`, in words, and the lines."""
    if name.adapts:  # its `system` stays: the route gets a name of its own
        new = new_name(f"{name.name}-models", facts)
        both = f"{table(new, use(names))}\n\n{table(name.name, f'base = {json.dumps(new)}')}"
        return f"Give {name.name} a route as its base (its other lines stay)", both
    if name.stands_on:
        weights = ", and its weights" if name.policy == "weighted" else ""
        return f"Change the line of {name.name}{weights}", table(name.name, use(names))
    if name.name not in name.models:  # a bare well-known name, which a table may have
        return "Give the name a table", table(name.name, use(names))
    new = new_name(name.name, facts)
    return f"Add a name, and ask for {json.dumps(new)} in place of {name.name}", table(new, use(names))
