"""The wrappers of a route, put together in the order that makes sense: for each target Retry(Breaker(Timeouts(model))),
around all of them the Route, around that the time for everything."""

from __future__ import annotations

from collections.abc import Sequence

from trivet.adapt.attempts import beneath
from trivet.adapt.breaker import Breaker
from trivet.adapt.policies import POLICIES
from trivet.adapt.retry import Retry
from trivet.adapt.route import Route, Target
from trivet.adapt.settings import RouteSettings
from trivet.adapt.timeouts import Timeouts
from trivet.model import About, Model

__all__ = ["routed"]

# Where others may answer, nobody waits long for the one that asks for patience (`retry-after`).
PATIENCE_S, ALONE_S = 1.0, 30.0


def routed(
    name: str,
    models: Sequence[Model],
    settings: RouteSettings,
    *,
    abouts: Sequence[About] | None = None,
    prices_usd: Sequence[float | None] | None = None,
) -> Model:
    """The model called `name` that stands for `models`. Raises `ConfigError` for what cannot stand on each other."""
    alone = len(models) == 1
    targets = [
        Target(
            _guarded(model, settings, alone or i == len(models) - 1),
            about=abouts[i] if abouts else None,
            weight=settings.weights[i] if settings.weights else 1,
            price_usd=prices_usd[i] if prices_usd else None,
        )
        for i, model in enumerate(models)
    ]
    policy = POLICIES[settings.policy]
    route = Route(targets, name=name, policy=policy, sticky=settings.sticky, hedge_s=settings.hedge_s)
    return route if settings.total_s is None else Timeouts(route, total_s=settings.total_s)


def _guarded(model: Model, settings: RouteSettings, last: bool) -> Model:
    """A name that is a route itself has its own retries and breakers."""
    times = {name: getattr(settings, name) for name in ("first_content_s", "gap_s", "whole_s")}
    if any(seconds is not None for seconds in times.values()):
        model = Timeouts(model, **times)
    routes = any(isinstance(below, Route | Retry) for below in beneath(model))
    if settings.breaker and not routes:
        model = Breaker(model)
    if settings.retries and not routes:
        model = Retry(model, retries=settings.retries, patience_s=ALONE_S if last else PATIENCE_S)
    return model
