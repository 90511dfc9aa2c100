"""In which order a route asks its targets. A policy is a function from the candidates and the request to an order; the
candidates are those that may be able to answer, in the order in which they were named."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from trivet.adapt.sessions import session
from trivet.types import Request

if TYPE_CHECKING:
    from trivet.adapt.route import Target

__all__ = ["POLICIES", "Policy", "cheapest", "fastest", "least_busy", "ordered", "weighted"]

Policy = Callable[[Sequence["Target"], Request], Sequence["Target"]]
_random = random.Random()  # noqa: S311 - not a secret; and not `random`'s own, which a program may seed


def ordered(targets: Sequence[Target], request: Request) -> Sequence[Target]:
    """As they were named: the others are what to fall back on."""
    return targets


def weighted(targets: Sequence[Target], request: Request) -> Sequence[Target]:
    """At random, each as often as its weight says. The requests of one session go to the same one, here and in every
    other process, and move only where targets come or go (weighted rendezvous hashing: Schindelhauer and Schomaker,
    Weighted Distributed Hash Tables, 2005)."""
    key = session(request)

    def score(target: Target) -> float:
        drawn = _random.random() if key is None else _share(key, target.name)
        return -math.log(drawn or 1e-300) / target.weight if target.weight else math.inf

    return sorted(targets, key=score)


def least_busy(targets: Sequence[Target], request: Request) -> Sequence[Target]:
    """The one with the fewest requests of this route under way first."""
    return sorted(targets, key=lambda target: target.in_flight)


def fastest(targets: Sequence[Target], request: Request) -> Sequence[Target]:
    """The one whose first content has lately come soonest first; those that were never measured before all, so that
    they are."""
    return sorted(targets, key=lambda target: target.latency_s or 0)


def cheapest(targets: Sequence[Target], request: Request) -> Sequence[Target]:
    """The one with the lowest price first, those without a known price last."""
    return sorted(targets, key=lambda target: math.inf if target.price_usd is None else target.price_usd)


POLICIES: dict[str, Policy] = {
    "ordered": ordered,
    "weighted": weighted,
    "least-busy": least_busy,
    "fastest": fastest,
    "cheapest": cheapest,
}


def _share(key: str, name: str) -> float:
    """A number between 0 and 1 that hangs on both alone."""
    digest = blake2b(f"{key}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
