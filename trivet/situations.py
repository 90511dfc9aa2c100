"""`auto/SITUATION`: what is available here, and a model that stands for the best of it.

What is available changes while a process runs: a server lists another model, a key is set. So `Auto` looks, at each
request, whether anything has, and chooses again only then. At its first request it asks servers on this machine, as
`trivet choose` does, so that both say the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from trivet.adapt.settings import RouteSettings
from trivet.catalog import names as well_known
from trivet.catalog.known import Known, about, known
from trivet.catalog.needs import NONE, Needs
from trivet.catalog.situations import Candidate, Choice, Policy, Situation, ranked, situations
from trivet.config import nearest
from trivet.errors import ConfigError, TrivetError, UnknownModelError
from trivet.model import About, Model, Provider, bottom
from trivet.types import Event, Request, replace, task_name

if TYPE_CHECKING:
    from trivet.runtime import Runtime

__all__ = ["AUTO", "Auto", "available", "choices", "informed", "look", "mend", "names", "situation"]

AUTO = "auto/"
PROBE_S = 1  # what a server on this machine may take to say what it has


def names() -> tuple[str, ...]:
    """`auto/quality` and the others: all of them, whatever is available."""
    return tuple(AUTO + name for name in situations())


def situation(name: str) -> Situation:
    """The situation called so, with or without `auto/` before it. Raises UnknownModelError with the nearest."""
    bare = name.removeprefix(AUTO)
    if bare in situations():
        return situations()[bare]
    meant = nearest(bare, situations())
    hint = f"Did you mean {AUTO + meant!r}?" if meant else f"There are: {', '.join(names())}."
    raise UnknownModelError(f"There is no situation {bare!r}. {hint}", nearest=AUTO + meant if meant else None)


def choices(runtime: Runtime, situation: Situation, needs: Needs = NONE, policy: Policy = ranked) -> Sequence[Choice]:
    """What the runtime has for the situation, the best first."""
    return policy(situation, available(runtime), needs)


async def look(runtime: Runtime) -> None:
    """Asks servers on this machine that have not told what they have. One that does not answer has nothing."""
    from trivet.providers import discover

    hosted = runtime.hosted().items()
    silent = {n: p for n, p in hosted if isinstance(p, Provider) and discover.here(p) and not p.names()}
    await discover.ask_all(silent, PROBE_S)


class _Nothing(UnknownModelError):
    fallback = True  # in a chain, the next may be there
    asked = False


class Auto(Model):
    """A route over the best of what is available. A request for which that is nothing raises `UnknownModelError`, which
    says what would change that."""

    trails = True

    def __init__(self, runtime: Runtime, situation: Situation, policy: Policy = ranked) -> None:
        self._runtime, self._situation, self._policy = runtime, situation, policy
        self._providers = [each for each in runtime.hosted().values() if isinstance(each, Provider)]
        self._looked = False
        self._seen: object = None
        self._route: Model | None = None

    @property
    def about(self) -> About:
        name, route = AUTO + self._situation.name, self.route()
        return About(name=name, tasks=(self._situation.task,)) if route is None else replace(route.about, name=name)

    @property
    def inners(self) -> tuple[Model, ...]:
        route = self.route()
        return () if route is None else (route,)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        if not self._looked:
            await look(self._runtime)
            self._looked = True
        route = self.route()
        if route is None:
            raise _Nothing(mend(self._runtime, self._situation))
        async with aclosing(route.stream(request)) as events:
            async for event in events:
                yield event

    def route(self) -> Model | None:
        """The one that was made last, for as long as the providers have the same keys and the same lists; None where
        nothing is available."""
        seen = [(getattr(each, "key", None), each.names()) for each in self._providers]
        if self._route is None or seen != self._seen:
            self._route, self._seen = self._made(), seen
        return self._route

    def _made(self) -> Model | None:
        from trivet.adapt.build import routed  # which brings asyncio
        from trivet.adapt.effort import DefaultEffort

        chosen = choices(self._runtime, self._situation, policy=self._policy)[: self._situation.most]
        if not chosen:
            return None
        models, abouts = [], []
        for choice in chosen:
            model = _model(self._runtime, choice.candidate.name)
            abouts.append(about(model.about, choice.candidate.known))
            models.append(model if choice.effort is None else DefaultEffort(model, choice.effort))
        prices = [choice.candidate.known.usd_3to1 for choice in chosen]
        return routed(AUTO + self._situation.name, models, RouteSettings(), abouts=abouts, prices_usd=prices)


def informed(models: Sequence[Model]) -> tuple[list[About], list[float | None]]:
    """What is known of each beside what it tells itself, and its price (`Known.usd_3to1`)."""
    found = [(model.about, _known(model)) for model in models]
    return [about(told, facts) for told, facts in found], [facts.usd_3to1 for _, facts in found]


def mend(runtime: Runtime, situation: Situation) -> str:
    """That nothing is available for the situation, and what would change that."""
    from trivet.providers import discover

    could = ranked(situation, list(_hosted(runtime, keys=False)))  # if no host's key was missing
    providers = dict.fromkeys(choice.candidate.name.partition("/")[0] for choice in could)
    hosted = runtime.hosted()
    found = [hosted[name] for name in providers if name in hosted]
    variables = [discover.key_variable(each) for each in found if isinstance(each, Provider)]
    keys = ", ".join(dict.fromkeys(filter(None, variables)))
    ways = []
    if keys:
        ways.append(f"set one of {keys}")
    if situation.last_resort:
        ways.append("get the embedded model with `trivet pull`")
    ways.append("start a server such as Ollama or vLLM that has one, and see that `trivet providers --check` lists it")
    return f"{AUTO}{situation.name}: no model for it is available ({situation.about}). Either {', or '.join(ways)}."


# --- what is available -----------------------------------------------------------------------------------------


def available(runtime: Runtime) -> list[Candidate]:
    """Embedded models whose weights are here, what one's own servers have listed, and of every host with a key what it
    has listed, or else what genai-prices knows there."""
    return [*_embedded(runtime), *_hosted(runtime, keys=True)]


def _embedded(runtime: Runtime) -> Iterator[Candidate]:
    try:
        local = runtime.provider("local")
    except ConfigError:
        return  # which `trivet config check` tells
    for name in local.names() if local else ():
        try:
            told = _model(runtime, f"local/{name}").about
        except TrivetError:
            continue  # its weights are not here
        facts = replace(known(name), context_tokens=told.context_tokens, usd_3to1=0.0, embeds=None, chats=None)
        facts = replace(
            facts, tools=told.tools, **{kind: kind in told.inputs for kind in ("image", "audio", "document")}
        )
        tasks = tuple(task for task in told.tasks if task != "embed" or "chat" not in told.tasks)
        yield Candidate(
            name=f"local/{name}", model=name, tasks=tasks, where="embedded", here=True, listed=True, known=facts
        )


def _model(runtime: Runtime, name: str) -> Model:
    """The provider's own: a `[models.NAME]` that is called like it may lead anywhere, off this machine too."""
    head, _, rest = name.partition("/")
    provider = runtime.provider(head)
    assert provider is not None  # it has listed the name
    return runtime.counting.asked(provider.model(rest))


def _hosted(runtime: Runtime, *, keys: bool) -> Iterator[Candidate]:
    from trivet.providers import discover

    for name, provider in runtime.hosted().items():
        if not isinstance(provider, Provider) or (keys and discover.key(provider) == "missing"):
            continue
        url, own = discover.base(provider), getattr(provider, "self_served", False)
        listed = provider.names()
        if own and not {*names()}.isdisjoint(listed):
            continue  # another trivet, or this one: what it would ask is its own affair, and may be us
        for model in listed or (() if own else well_known.listed(url)):
            yield Candidate(
                name=f"{name}/{model}",
                model=model,
                tasks=_tasks(provider, model),
                where="self-served" if own else "hosted",
                here=own and _stays_here(provider, model),
                maker=well_known.makes(model, url),
                listed=bool(listed),
                known=known(model, url),
            )


def _stays_here(provider: Provider, model: str) -> bool:
    """Whether what is sent to a server of one's own stays on this machine: no proxy stands between, and it runs the
    weights itself. Ollama's cloud models do not, and of a server of no known kind nobody can tell."""
    from trivet.providers import discover
    from trivet.providers.http import proxy_of

    kind = getattr(getattr(provider, "host", None), "name", None)
    return (
        discover.here(provider)
        and proxy_of(discover.base(provider)) is None
        and kind not in (None, "openai-compatible")
        and not model.endswith(("-cloud", ":cloud"))
    )


def _tasks(provider: Provider, model: str) -> tuple[str, ...]:
    """Those of its provider, where all its models have the same: a host may list hundreds."""
    routes = getattr(provider, "routes", None)
    return provider.model(model).about.tasks if routes is None else tuple(task_name(task) for task in routes)


def _known(model: Model) -> Known:
    """Of the model beneath all wrappers, by its name at its host."""
    from trivet.providers import discover

    model = bottom(model)
    provider, name = getattr(model, "provider", None), getattr(model, "name", None)
    if isinstance(provider, Provider) and isinstance(name, str):
        return known(name, discover.base(provider))
    return Known(usd_3to1=0.0) if model.about.where == "embedded" else Known()
