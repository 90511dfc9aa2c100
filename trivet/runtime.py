"""The one object that users, server and command line hold: configuration in, named models out.

::

    async with Runtime.load() as runtime:
        response = await runtime.call(Chat(messages=(user("Hi"),)))
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from trivet import registry
from trivet.adapt.prompt import Prompt
from trivet.config import Config, ProviderSettings, find, is_path, load, nearest
from trivet.errors import ConfigError, RequestError, TrivetError, UnknownModelError
from trivet.model import Model, Provider
from trivet.types import Event, Request, Response, task_name

__all__ = ["Runtime"]

DEFAULT = "local/smollm2"


class Runtime:
    """Gives each name its model: a pipeline that is built once. Belongs to one event loop."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self._models: dict[str, Model] = {}
        self._providers: dict[str, Provider] = {}
        self._closed = False

    @classmethod
    def load(cls, path: str | Path | None = None) -> Runtime:
        """From a file; where `path` is None, from ./trivet.toml if it is there. Raises ConfigError."""
        path = path or find()
        return cls(load(path) if path else None)

    def names(self) -> tuple[str, ...]:
        """What can be asked for by name: every `[models.NAME]`, and what each provider lists."""
        listed = [f"{p}/{n}" for p in ("local", *self.config.providers) for n in self._names_of(p)]
        return tuple(dict.fromkeys([*listed, *self.config.models]))

    def model(self, name: str | None = None, *, paths: bool = True, task: str = "chat") -> Model:
        """The model of this name, the same object each time.

        Without a name: `[models.default]`, else local/smollm2; there is no default for embeddings. `paths` says
        whether a path to weights is a name; over HTTP it is not. Raises UnknownModelError, which names the
        nearest, ConfigError where the name's table is wrong, and RequestError where a name is needed.
        """
        if self._closed:
            raise TrivetError("The runtime is closed. Make another one.", status=503)
        if name is None:
            name = self._default(task)
        if is_path(name) and name not in self.config.models:
            if not paths:
                raise self._unknown(name)
            name = os.path.abspath(os.path.expanduser(name))
        if name not in self._models:
            self._models[name] = self._build(name)
        return self._models[name]

    @property
    def built(self) -> Mapping[str, Model]:
        """The models that have been asked for so far, by name."""
        return self._models

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """The events of the model that `request.model` names. Iterate inside `contextlib.aclosing`."""
        return self.model(request.model, task=task_name(request)).stream(request)

    async def call(self, request: Request) -> Response:
        """The whole answer of the model that `request.model` names."""
        return await self.model(request.model, task=task_name(request)).call(request)

    def problems(self) -> dict[str, TrivetError]:
        """What is wrong with each `[models.NAME]` and `[providers.NAME]`, by table; empty when all is well."""
        found: dict[str, TrivetError] = {}
        for name in self.config.models:
            try:
                self.model(name)
            except TrivetError as error:
                found[f"models.{name}"] = error
        for name in self.config.providers:
            try:
                self._provider(name)
            except TrivetError as error:
                found[f"providers.{name}"] = error
        return found

    async def close(self) -> None:
        """Closes every model. Closing twice is fine."""
        self._closed = True
        self._models.clear()
        async with AsyncExitStack() as stack:
            while self._providers:
                stack.push_async_callback(self._providers.popitem()[1].close)

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- from a name to a model ---------------------------------------------------------------------------

    def _default(self, task: str) -> str:
        if task == "embed":
            raise RequestError(
                "Embeddings have no default model yet. Name one: an embedder's GGUF by its path, "
                'or model="local/smollm2", which answers but poorly.',
                field="model",
            )
        return "default" if "default" in self.config.models else DEFAULT

    def _build(self, name: str) -> Model:
        if name in self.config.models:
            return self._configured(name)
        if is_path(name):
            local: Any = self._provider("local")  # the one provider whose models have paths
            model: Model = local.at(name)
            return model
        head, slash, rest = name.partition("/")
        if slash and head == "auto":
            raise UnknownModelError(
                f"{name!r}: auto/SITUATION is not there yet. Name a model, such as {DEFAULT}.", nearest=DEFAULT
            )
        provider = self._provider(head) if slash and rest else None
        if provider is None:
            raise self._unknown(name)
        try:
            return provider.model(rest)
        except UnknownModelError:
            raise self._unknown(name) from None

    def _configured(self, name: str) -> Model:
        settings = self.config.models[name]
        try:
            inner = self.model(settings.names[0])
        except UnknownModelError as error:
            key = "base" if settings.base else "use"
            raise ConfigError(f"{self.config.where(f'models.{name}')} {key}: {error}") from None
        return Prompt(inner, settings.system) if settings.system else inner

    def _provider(self, name: str) -> Provider | None:
        """The provider of this name, made once. None where nothing has this name; ConfigError where it is
        configured and no such kind exists."""
        if name in self._providers:
            return self._providers[name]
        settings = self.config.providers.get(name)
        kind = (settings and settings.kind) or name
        if kind == "local" and name != "local":
            raise ConfigError(f"{self.config.where(f'providers.{name}')}: embedded models are configured in [local].")
        found = registry.load(kind)
        if found is None:
            if settings is None:
                return None
            raise ConfigError(
                f"{self.config.where(f'providers.{name}')}: there is no provider of kind {kind!r} yet in this version "
                f"of trivet, which runs embedded models. Name one of those, such as {DEFAULT}."
            )
        make: Any = found  # each class says itself what settings it takes
        provider: Provider = make(self.config.local if name == "local" else settings or ProviderSettings())
        self._providers[name] = provider
        return provider

    def _names_of(self, provider: str) -> tuple[str, ...]:
        """What a provider lists; nothing where it is configured wrongly, which `problems` tells."""
        try:
            found = self._provider(provider)
        except ConfigError:
            return ()
        return found.names() if found else ()

    def _unknown(self, name: str) -> UnknownModelError:
        names = self.names()
        meant = nearest(name, names)
        hint = f"Did you mean {meant!r}?" if meant else f"There are: {', '.join(names) or 'none'}."
        return UnknownModelError(f"No model is named {name!r}. {hint}", nearest=meant)
