"""The one object that users, server and command line hold: configuration in, named models out.

::

    async with Runtime.load() as runtime:
        response = await runtime.call(Chat(messages=(user("Hi"),)))
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from trivet import catalog, registry, situations
from trivet.adapt.prompt import Prompt
from trivet.adapt.reading import Reading
from trivet.catalog import names as well_known
from trivet.config import Config, ProviderSettings, checked, find, is_path, load, nearest
from trivet.counting import Counting
from trivet.errors import ConfigError, RequestError, TrivetError, UnknownModelError
from trivet.model import Model, Provider, bottom
from trivet.types import Embed, Event, Request, Response, task_name

__all__ = ["Runtime"]

DEFAULT = "local/smollm2"
MOST = 4096  # names that are remembered: a client can ask for any name at a host
LONGEST = 4096  # characters of a name, which may be a path: what is longer costs memory, and time to look for it


class Runtime:
    """Gives each name its model: a pipeline that is built once. Belongs to one event loop."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = checked(config)
        self._models: dict[str, Model] = {}  # as they stand on each other
        self._named: dict[str, Model] = {}  # … and as they are asked from outside, which is counted
        self.counting = Counting(self.config)
        self._providers: dict[str, Provider] = {}
        self._found: tuple[str, ...] = ()
        self._inherited: list[str] = []
        self._closed = False

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of provider."""
        return tuple(registry.kinds())

    @classmethod
    def load(cls, path: str | Path | None = None) -> Runtime:
        """From a file; where `path` is None, from ./trivet.toml if it is there. Raises ConfigError."""
        path = path or find()
        return cls(load(path) if path else None)

    def names(self) -> tuple[str, ...]:
        """What can be asked for by name: what each provider lists, every `[models.NAME]`, every `auto/SITUATION`."""
        listed = [f"{p}/{n}" for p in ("local", *self.config.providers, *self._found) for n in self._names_of(p)]
        return tuple(dict.fromkeys([*listed, *self.config.models, *situations.names()]))

    def found(self, names: Iterable[str]) -> None:
        """Tells it of providers that are there without a table, whose models are to be listed as well."""
        self._found = tuple(names)

    def model(self, name: str | None = None, *, paths: bool = True, request: Request | None = None) -> Model:
        """The model of this name, the same object each time.

        Without a name: for chats `[models.default]`, else local/smollm2; else the catalogue's for `request`. `paths`
        says whether a path to weights is a name; over HTTP it is not. Raises UnknownModelError, which names the
        nearest, ConfigError where the name's table is wrong, and RequestError where a name is needed.
        """
        if self._closed:
            raise TrivetError("The runtime is closed. Make another one.", status=503)
        name = self._full(self._default(request) if name is None else name, paths)
        named = self._named.get(name)
        if named is None:
            from trivet.adapt.several import Several  # which brings asyncio

            inner = self.inner(name, paths=paths)
            prompts = inner if getattr(bottom(inner), "takes_prompts", False) else Several(inner)
            if len(self._named) >= MOST:
                self._named.clear()
            named = self._named[name] = self.counting.named(prompts, name)
        return named

    def inner(self, name: str, *, paths: bool = True) -> Model:
        """The model of this name as others stand on it, the same object each time. Raises as `model` does."""
        name = self._full(name, paths)
        if name not in self._models:
            try:
                model = self._build(name)
            except UnknownModelError as error:
                if not paths or not os.path.exists(name):
                    raise
                found = f"There is a {'folder' if os.path.isdir(name) else 'file'} of that name: call it ./{name}"
                raise UnknownModelError(f"{error} {found}", nearest=error.nearest) from None
            if len(self._models) >= MOST:  # those of trivet.toml stay: their breakers know who is down
                self._models.pop(next((each for each in self._models if each not in self.config.models), name), None)
            self._models[name] = model
        return self._models[name]

    def provider(self, name: str) -> Provider | None:
        """The provider of this name, made once: that of its table, else of the kind that is called so. None where
        nothing has this name; ConfigError where it is configured wrongly."""
        if name not in self._providers:
            provider = self._made(name)
            if provider is None:
                return None
            self._providers[name] = provider
        return self._providers[name]

    def hosted(self) -> dict[str, Provider | ConfigError]:
        """Every provider but the embedded one: each table, then each kind that no table is called like."""
        found: dict[str, Provider | ConfigError] = {}
        for name in dict.fromkeys((*self.config.providers, *self.kinds)):
            if name != "local":
                try:
                    provider = self.provider(name)
                except ConfigError as error:
                    found[name] = error
                else:
                    assert provider is not None  # it has a table or is a kind
                    found[name] = provider
        return found

    @property
    def built(self) -> Mapping[str, Model]:
        """The models that have been asked for so far, by name."""
        return self._models

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """The events of the model that `request.model` names. Iterate inside `contextlib.aclosing`."""
        return self.model(request.model, request=request).stream(request)

    async def call(self, request: Request) -> Response:
        """The whole answer of the model that `request.model` names."""
        return await self.model(request.model, request=request).call(request)

    def problems(self) -> dict[str, TrivetError]:
        """What is wrong with each `[models.NAME]`, `[providers.NAME]` and `[prices.NAME]`, by table; empty when all is
        well."""
        found: dict[str, TrivetError] = {}
        for name in self.config.models:
            try:
                self.model(name)
            except TrivetError as error:
                found[f"models.{name}"] = error
        for name in self.config.providers:
            try:
                self.provider(name)
            except TrivetError as error:
                found[f"providers.{name}"] = error
        for name in self.config.prices:
            head, slash, rest = name.partition("/")
            if not is_path(name) and not (slash and rest and (head in self.config.providers or head in self.kinds)):
                where = self.config.where(f'prices."{name}"')
                found[f"prices.{name}"] = ConfigError(f"{where} is of no model: name it as PROVIDER/MODEL.")
        return found

    def prepare(self) -> None:
        """Makes the models of trivet.toml and those whose weights are here, before a server listens: so that no
        request waits because another is the first to ask for one. What is wrong with any is told when it is asked."""
        self.problems()
        local: Any = self.provider("local")
        local.prepare()

    @property
    def needs_no_default(self) -> bool:
        """Whether there are models of others to ask, and nobody has said which to ask without a name."""
        return "default" not in self.config.models and bool(self.config.providers or self._found)

    def inherit(self, old: Runtime) -> None:
        """Takes the providers of `old` whose settings are the same here, which goes on answering with them what it was
        asked and no longer closes them."""
        for name in list(old._providers):
            mine, its = (r.config.local if name == "local" else r.config.providers.get(name) for r in (self, old))
            if mine == its:
                self._providers[name] = old._providers.pop(name)
                self._inherited.append(name)
        if self.counting.same(old.counting):
            self.counting, old.counting = old.counting, self.counting
            self.counting.knows(self.config)

    def give_back(self, old: Runtime) -> None:
        """What was inherited goes back: nothing has become of this runtime."""
        if self.counting.config is not self.config:
            self.counting, old.counting = old.counting, self.counting
            old.counting.knows(old.config)
        old._providers.update({name: self._providers.pop(name) for name in self._inherited})

    async def close(self) -> None:
        """Closes every model. Closing twice is fine."""
        self._closed = True
        self._models.clear()
        self._named.clear()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.counting.close)  # last: what is closed may still have something to count
            while self._providers:
                stack.push_async_callback(self._providers.popitem()[1].close)

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- from a name to a model ---------------------------------------------------------------------------

    def _default(self, request: Request | None) -> str:
        task = "chat" if request is None else task_name(request)
        if task in ("chat", "complete", "count_tokens"):
            return "default" if "default" in self.config.models else DEFAULT
        embeds = request.given if isinstance(request, Embed) else None
        entry = catalog.for_task(task, embeds)
        if entry is None:
            what = f"{task!r} of {embeds}" if embeds else repr(task)
            raise RequestError(
                f"There is no default model for {what}: trivet knows no weights for it. Name one, such as "
                '"provider/model", or a path to weights.',
                field="model",
            )
        return f"local/{entry.name}"

    def _full(self, name: str, paths: bool) -> str:
        """The name, absolute where it is a path."""
        if len(name) > LONGEST:
            raise UnknownModelError(f"No model has a name of {len(name):,} characters: {name[:40]!r}…")
        if not is_path(name) or name in self.config.models:
            return name
        if not paths:
            raise self._unknown(name)
        return os.path.abspath(os.path.expanduser(name))

    def _build(self, name: str) -> Model:
        if name in self.config.models:
            return self._configured(name)
        if is_path(name):
            local: Any = self.provider("local")  # the one provider whose models have paths
            model: Model = local.at(name)
            return Reading(self.counting.asked(model))
        head, slash, rest = name.partition("/")
        if slash and head == "auto":
            return situations.Auto(self, situations.situation(rest))
        provider = self.provider(head) if slash and rest else None
        if provider is None:
            return self._well_known(name)
        try:
            return Reading(self.counting.asked(provider.model(rest)))
        except UnknownModelError:
            raise self._unknown(name) from None

    def _well_known(self, name: str) -> Model:
        """The model of a bare name: its maker's, else that of a provider that has it. Several are an ambiguity."""
        if not name.strip("/ "):
            raise self._unknown(name)
        hosts = self._hosts()
        at = [f"{provider}/{name}" for provider in well_known.candidates(name, hosts)]
        if len(at) == 1:
            return self.inner(at[0], paths=False)
        if at:
            raise RequestError(
                f"{name!r} is the name of a model at several providers. Say which: {', '.join(at)}; "
                f'or choose for good, with use = ["{at[0]}"] under [models."{name}"].',
                field="model",
            )
        raise self._unknown(name, hosts)

    def _hosts(self) -> list[well_known.Host]:
        """The providers, as far as names are concerned."""
        from trivet.providers import discover

        hosts = []
        for name, provider in self.hosted().items():
            if isinstance(provider, Provider):
                url, usable = discover.known_by(provider), discover.key(provider) != "missing"
                hosts.append(well_known.Host(name=name, url=url, usable=usable, lists=provider.names()))
        return hosts

    def _configured(self, name: str) -> Model:
        settings = self.config.models[name]
        where = self.config.where(f"models.{name}")
        try:
            inners = [self.inner(each) for each in settings.names]
        except RequestError as error:
            raise ConfigError(f"{where} {'base' if settings.base else 'use'}: {error}") from None
        if settings.routes is not None:
            from trivet.adapt.build import routed  # which brings asyncio

            try:
                abouts, prices = situations.informed(inners)
                made = routed(name, inners, settings.routes, abouts=abouts, prices_usd=prices)
            except ConfigError as error:
                raise ConfigError(f"{where} use: {error}") from None
        else:
            made = Prompt(inners[0], settings.system) if settings.system else inners[0]
        return self.counting.configured(made, name, settings)

    def _made(self, name: str) -> Provider | None:
        settings = self.config.providers.get(name)
        kind = (settings and settings.kind) or name
        where = self.config.where(f"providers.{name}")
        if settings is None and kind not in self.kinds:
            return None
        if kind == "local" and name != "local":
            raise ConfigError(f"{where}: embedded models are configured in [local].")
        make: Any = registry.load(kind)  # each class says itself what settings it takes
        if make is None:
            raise ConfigError(f"{where} {self._no_kind(settings.kind if settings else None)}")
        if name == "local":
            local: Provider = make(self.config.local)
            return local
        provider: Provider = make(settings or ProviderSettings(), name=name)
        return provider

    def _no_kind(self, kind: str | None) -> str:
        hosts = [name for name in self.kinds if name != "local"]
        there = f"There are: {', '.join(hosts) or 'none'}."
        if kind is None:
            return f"has no kind, and is not called like one. {there}"
        meant = nearest(kind, hosts)
        return f"kind: there is no kind of provider {kind!r}. {f'Did you mean {meant!r}?' if meant else there}"

    def _names_of(self, provider: str) -> tuple[str, ...]:
        """What a provider lists; nothing where it is configured wrongly, which `problems` tells."""
        try:
            found = self.provider(provider)
        except ConfigError:
            return ()
        return found.names() if found else ()

    def _unknown(self, name: str, hosts: Sequence[well_known.Host] = ()) -> UnknownModelError:
        """`hosts` are those among whose well-known names it might be."""
        head = name.partition("/")[0]
        if name.rstrip("/") == head and head != "local" and head in (*self.config.providers, *self.kinds):
            return UnknownModelError(f"No model is named {name!r}, which is a provider: ask for {head}/MODEL.")
        ours = self.names()
        meant = (
            nearest(name, ours)
            or self._other_provider(name)
            or (nearest(name, well_known.known(hosts)) if hosts else None)
        )
        hint = f"Did you mean {meant!r}?" if meant else f"There are: {', '.join(ours) or 'none'}."
        return UnknownModelError(f"No model is named {name!r}. {hint}", nearest=meant)

    def _other_provider(self, name: str) -> str | None:
        """The name with the provider's spelling mended, where that is what is wrong with it."""
        head, slash, rest = name.partition("/")
        there = [*self.config.providers, *self.kinds]
        meant = nearest(head, there) if slash and rest and head not in there else None
        return f"{meant}/{rest}" if meant else None
