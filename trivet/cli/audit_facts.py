"""What an audit has to know of names and models here: from trivet.toml, the providers and the price list."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from trivet import situations
from trivet.adapt.break_points import least
from trivet.catalog.known import KINDS, Known, known, plain
from trivet.config import Config, is_path
from trivet.errors import TrivetError
from trivet.ledger.advice import Facts, ModelFacts, NameFacts, tokens
from trivet.model import Provider, bottom
from trivet.providers import discover
from trivet.providers.hosted import Hosted
from trivet.types import Usage, replace

if TYPE_CHECKING:
    from trivet.catalog.situations import Candidate
    from trivet.ledger.prices import Prices
    from trivet.runtime import Runtime

SHORTEST = 1024  # tokens that a prefix has to have to be cached, at hosts that do not say otherwise
Where = Literal["embedded", "self-served", "hosted"]
_PROBE = 1000  # tokens: too few for any price that rises with the prompt's length


def reading(config: str | None) -> Runtime:
    """The configuration's runtime, which writes nothing down."""
    from trivet.config import find, load
    from trivet.runtime import Runtime

    path = config or find()
    loaded = load(path) if path else Config()
    return Runtime(replace(loaded, ledger=replace(loaded.ledger, enabled=False)))


def facts(runtime: Runtime, names: Iterable[str], models: Iterable[str]) -> Facts:
    """Of the names and models that the ledger has, those of trivet.toml, and those that are available here."""
    candidates = {each.name: each for each in situations.available(runtime)}
    found = {name: told for name in {*runtime.config.models, *names} if (told := _name(runtime, name)) is not None}
    configured = {model for each in found.values() if each.stands_on for model in each.models}
    asked = {*models, *(model for each in found.values() for model in each.models)}
    price = Price(runtime)
    of_model = {name: _model(runtime, name, candidates.get(name)) for name in {*candidates, *asked}}
    for name, model in of_model.items():
        if model is not None and name in asked:
            of_model[name] = replace(model, caches=price.caches(name), configured=name in configured)
    for situation in ("quality", "cheap"):
        for place, choice in enumerate(situations.choices(runtime, situations.situation(situation))):
            if (model := of_model.get(choice.candidate.name)) is not None:
                of_model[choice.candidate.name] = replace(model, **{situation: place})
    models_known = {name: model for name, model in sorted(of_model.items()) if model is not None}
    return Facts(names=dict(sorted(found.items())), models=models_known, price=price)


def _name(runtime: Runtime, name: str) -> NameFacts | None:
    """None for what is no name any more, and for `auto/SITUATION`, which looks for itself who there is."""
    tables = runtime.config.models
    beneath, leaves = [name], []
    for each in beneath:  # which grows meanwhile
        inner = tables[each].names if each in tables else ()
        beneath += [n for n in inner if n not in beneath]
        leaves += [] if inner else [each]
    if any(leaf.startswith(situations.AUTO) for leaf in leaves):
        return None
    try:
        models = [bottom(runtime.inner(leaf)).about.name for leaf in leaves]
    except TrivetError:
        return None
    off = next((each for each in beneath if each in tables and not tables[each].prompt_cache), None)
    told = NameFacts(name=name, models=tuple(dict.fromkeys(models)), prompt_cache_off=off)
    if name not in tables:
        return told
    settings = tables[name]
    stands_on, adapts, route = settings.names, settings.base is not None, settings.routes
    told = replace(told, stands_on=stands_on, adapts=adapts)
    return told if route is None else replace(told, policy=route.policy, sticky=route.sticky)


def _model(runtime: Runtime, name: str, candidate: Candidate | None) -> ModelFacts | None:
    """None where its provider is not there any more."""
    if is_path(name):
        return ModelFacts(name=name, weights=name, host="", where="embedded")
    head, _, rest = name.partition("/")
    try:
        provider = runtime.provider(head)
    except TrivetError:
        return None
    if provider is None or not rest:
        return None
    url = discover.base(provider)
    info = known(rest, url) if candidate is None else candidate.known
    where = _where(provider) if candidate is None else candidate.where
    return ModelFacts(
        name=name,
        weights=plain(rest),
        host=urlsplit(url).netloc or head,
        where=where,
        tasks=_tasks(candidate, info),
        abilities=tuple(ability for ability in (*KINDS, "tools", "reasoning") if getattr(info, ability) is True),
        context_tokens=info.context_tokens,
        usd_3to1=info.usd_3to1,
        cache_least_tokens=least(rest) if "claude" in rest else SHORTEST,
        available=candidate is not None or discover.key(provider) != "missing",
    )


def _where(provider: Provider) -> Where:
    if not isinstance(provider, Hosted):
        return "embedded"
    return "self-served" if provider.self_served else "hosted"


def _tasks(candidate: Candidate | None, info: Known) -> tuple[str, ...]:
    """A host's models claim all that its protocol has."""
    if info.embeds:
        return ("embed",)
    tasks = ("chat",) if candidate is None else candidate.tasks
    return tuple(task for task in tasks if task != "chat" or info.chats is not False)


class Price:
    """What a usage costs in USD at a model, by its name here, today; None where that is not known."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._prices: dict[str, Prices | None] = {}

    def __call__(self, name: str, usage: Usage) -> Decimal | None:
        from trivet.ledger.prices import TEXT_ANSWER, TEXT_PROMPT

        if name not in self._prices:
            self._prices[name] = self._of(name)
        prices = self._prices[name]
        if prices is None:
            return None
        heard = usage.audio_input_tokens or usage.audio_output_tokens
        return prices.cost(usage, units={} if heard else {**TEXT_PROMPT, **TEXT_ANSWER}).usd

    def caches(self, name: str) -> bool | None:
        """Whether what comes from a cache costs less there; None where no price is known."""
        plain, cached = self(name, tokens(uncached=_PROBE)), self(name, tokens(read=_PROBE))
        return None if plain is None or not plain else cached is not None and cached < plain

    def _of(self, name: str) -> Prices | None:
        from trivet.ledger.prices import Prices

        head, _, rest = name.partition("/")
        try:
            provider = self._runtime.provider(head)
        except TrivetError:
            return None
        if provider is None or not rest:
            return None
        own, embedded = self._runtime.config.prices.get(name), not isinstance(provider, Hosted)
        return Prices(rest, discover.base(provider) or None, own=own, embedded=embedded and own is None, name=name)
