"""A model that stands for several: it asks them in an order, and falls back from one to the next for as long as
nothing of an answer has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from trivet.adapt.attempts import Trail, tried
from trivet.adapt.conditions import Needs, lacks, state
from trivet.adapt.policies import Policy, ordered
from trivet.adapt.race import Race
from trivet.adapt.sessions import Sessions, session
from trivet.errors import ConfigError, RequestError, TrivetError, UnsupportedError
from trivet.model import About, Model, ended
from trivet.types import Done, Event, Request

__all__ = ["Route", "Target"]


class Target:
    """A model that a route may ask, and what the route knows of it: `about` (which may say more than the model knows of
    itself), `weight` for a spread, `price_usd` for a million tokens, three of four of them input; measured:
    `in_flight` requests, and `latency_s` until the first content, the last ones weighing most."""

    def __init__(
        self, model: Model, *, about: About | None = None, weight: float = 1, price_usd: float | None = None
    ) -> None:
        self.model, self.weight, self.price_usd = model, weight, price_usd
        self.about = about or model.about
        self.name = self.about.name
        self.in_flight = 0
        self.latency_s: float | None = None

    def took(self, seconds: float) -> None:
        self.latency_s = seconds if self.latency_s is None else 0.8 * self.latency_s + 0.2 * seconds


class Route(Model):
    """Asks `targets` in the order of `policy`, without those that cannot answer (`conditions.lacks`), and goes on to
    the next after errors whose class says that it may help (`error.fallback`).

    `sticky` asks first whoever answered the session last. `hedge_s` asks the next target as well where nothing of an
    answer has come after so many seconds; who has content first answers, and the other is cancelled."""

    trails = True

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        name: str,
        policy: Policy = ordered,
        sticky: bool = False,
        hedge_s: float | None = None,
    ) -> None:
        if not targets:
            raise ConfigError(f"{name}: a route needs a target: name a model")
        self.targets, self.name, self.policy, self.hedge_s = tuple(targets), name, policy, hedge_s
        self._sessions = Sessions() if sticky else None
        self._providers = {target.name.partition("/")[0] for target in self.targets}

    @property
    def inners(self) -> tuple[Model, ...]:
        return tuple(target.model for target in self.targets)

    @property
    def about(self) -> About:
        """What at least one of the targets can do."""
        abouts = [target.about for target in self.targets]
        if len(abouts) == 1:
            return abouts[0]
        known = [a.context_tokens for a in abouts if a.context_tokens is not None]
        tools = [a.tools for a in abouts]
        return About(
            name=self.name,
            tasks=tuple(dict.fromkeys(task for a in abouts for task in a.tasks)),
            inputs=tuple(dict.fromkeys(kind for a in abouts for kind in a.inputs)),
            context_tokens=max(known) if len(known) == len(abouts) else None,
            tools=True if True in tools else None if None in tools else False,
            where=abouts[0].where,
        )

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        trail = Trail()
        key = session(request) if self._sessions is not None else None
        order = self._order(request, key, trail)
        try:
            async with aclosing(Race(self.name, order, request, trail)) as race:
                run = await race.won(self.hedge_s)
                name = run.target.name
                if self._sessions is not None and key is not None:
                    self._sessions.put(key, name)
                try:
                    for event in run.head:
                        yield trail.told(event, name, run.began)
                    async for event in run.events:
                        yield trail.told(event, name, run.began) if isinstance(event, Done) else event
                    if not isinstance(event, Done):
                        raise ended(name)
                except TrivetError as error:
                    trail.failed(run.target.model, name, error, run.began)
                    raise trail.raised(error) from None
                except asyncio.CancelledError as stop:
                    trail.cancelled(name, run.began, tried(stop))
                    raise
        except asyncio.CancelledError as stop:  # when all that were asked are closed
            trail.stopped(stop)
            raise

    async def close(self) -> None:
        for target in self.targets:
            await target.model.close()

    def _order(self, request: Request, key: str | None, trail: Trail) -> Sequence[Target]:
        """The targets to ask, in their order; the others are on the trail. Raises where there is none to ask."""
        if len(self.targets) == 1:
            return self.targets  # which refuses in its own words
        if len(self._providers) > 1 and (field := state(request)) is not None:
            raise RequestError(
                f"{field} refers to what one provider keeps, and {self.name} stands for models of several "
                f"({', '.join(sorted(self._providers))}): name a model of the one that you mean",
                field=field,
            )
        able, needs = [], Needs(request)
        for target in self.targets:
            why = lacks(target.about, needs)
            if why is None:
                able.append(target)
            else:
                trail.skipped(target.name, why)
        if not able:
            reasons = "; ".join(f"{attempt.model} {attempt.reason}" for attempt in trail.made)
            message = f"{self.name}: no model of it can answer this: {reasons}"
            raise trail.raised(UnsupportedError(message, field="model"))
        order = self.policy(able, request)
        last = None if self._sessions is None or key is None else self._sessions.get(key)
        return order if last is None else sorted(order, key=lambda target: target.name != last)
