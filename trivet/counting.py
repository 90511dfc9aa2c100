"""What the configuration says of counting, as the things that count: ledger, keys and budgets, prices, caches,
telemetry; and the wrappers that tell them of each request."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.errors import ConfigError
from trivet.model import Model

if TYPE_CHECKING:
    from trivet.adapt.cache_store import CacheStore
    from trivet.config import Config, ModelSettings
    from trivet.ledger.account import Book
    from trivet.ledger.budgets import Budgets
    from trivet.ledger.keys import Keys
    from trivet.ledger.metrics import Metrics
    from trivet.ledger.spans import Spans
    from trivet.ledger.store import Store

__all__ = ["Counting"]

log = logging.getLogger("trivet.ledger")
TABLES = ("ledger", "budgets", "prices", "cache", "telemetry")


class Counting:
    """Made once for a configuration; each part is made when it is first needed. `enabled` says whether anything is
    counted at all, `serving` that this is a server's, which has metrics and heeds OpenTelemetry's variables."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.enabled = config.ledger.enabled
        self.serving = False
        self.knows(config)

    @functools.cached_property
    def book(self) -> Book:
        from trivet.ledger.account import Book

        add = self.store.add
        observers: list[Any] = [lambda row, request, response: add(row)]
        if self.serving:
            observers.append(self.metrics.observe)
        if self.spans is not None:
            observers.append(self.spans.observe)
        return Book(self.budgets, observers)

    @functools.cached_property
    def store(self) -> Store:
        from trivet.ledger.store import Store

        settings = self.config.ledger
        return Store(
            ledger_path(self.config),
            retention_days=settings.retention_days,
            flush_s=settings.flush_s,
            log=log.warning,
        )

    @functools.cached_property
    def keys(self) -> Keys:
        from trivet.ledger.keys import Keys

        return Keys(keys_path(self.config), log=log.warning)

    @functools.cached_property
    def budgets(self) -> Budgets:
        from trivet.ledger.budgets import Budgets

        return Budgets(self.keys, self.config.budgets, log=log.warning)

    @functools.cached_property
    def metrics(self) -> Metrics:
        from trivet.ledger.metrics import Metrics

        metrics, store = Metrics(known=self._known), self.store
        metrics.watch("trivet_ledger_waiting_rows", "Rows that are not written yet.", lambda: store.waiting)
        metrics.watch("trivet_ledger_dropped_rows", "Rows that were lost.", lambda: store.dropped, "counter")
        for part in ("ledger", "keys", "budgets", "cache"):
            what = f"Whether the file of the {part} cannot be used."
            metrics.watch(f"trivet_{part}_problem", what, functools.partial(self._has_problem, part))
        return metrics

    @functools.cached_property
    def spans(self) -> Spans | None:
        from trivet.ledger.exporters import spans

        return spans(self.config.telemetry, known=self._known, serving=self.serving)

    @functools.cached_property
    def cache(self) -> CacheStore:
        from trivet.adapt.cache_store import CacheStore

        settings = self.config.cache
        return CacheStore(cache_path(self.config), max_mb=settings.max_mb, max_age_s=settings.max_age_s)

    def knows(self, config: Config) -> None:
        """The names that metrics and spans tell apart are those of this configuration, which is another one where it
        goes on with what is open here."""
        names = (settings.names for settings in config.models.values())
        self._configured = frozenset(config.models).union(*names)

    def _known(self, name: str) -> bool:
        return name in self._configured

    def _has_problem(self, part: str) -> bool:
        return part in self.problems()

    def named(self, model: Model, name: str) -> Model:
        """The model as it is asked by its name, from outside."""
        if not self.enabled:
            return model
        from trivet.ledger.meter import Meter

        return Meter(model, self.book, name)

    def asked(self, model: Model) -> Model:
        """A provider's own model, as everything that stands on it asks it."""
        from trivet.adapt.prompt_cache import PromptCache

        provider = getattr(model, "provider", None)
        family, at_host = getattr(provider, "family", None), getattr(model, "name", "")
        if family is not None:
            model = PromptCache(model, family, at_host)
        if not self.enabled:
            return model
        from trivet.ledger.priced import Priced
        from trivet.ledger.prices import Prices

        about = model.about
        free = about.where == "embedded"
        own = self.config.prices.get(about.name)
        url = getattr(provider, "base", None)
        prices = Prices(at_host or about.name, url, own=own, embedded=free, name=about.name)
        return Priced(model, self.book, prices, self.config.budgets, free=free and own is None)

    def configured(self, model: Model, name: str, settings: ModelSettings) -> Model:
        """What `[models.NAME]` says of caches."""
        if not settings.prompt_cache:
            from trivet.adapt.prompt_cache import NoPromptCache

            model = NoPromptCache(model)
        if settings.cache:
            from trivet.adapt.cache import Cache

            mode = "deterministic" if settings.cache is True else settings.cache
            model = Cache(model, self.cache, mode=mode, across_keys=self.config.cache.across_keys, revision=name)
        return model

    def refuse_uncounted(self, key: str | None) -> None:
        """Raises where a key has limits that nobody would hold it to."""
        found = None if self.enabled or key is None else self.keys.get(key)
        if found is not None and (found.limits or found.models):
            raise ConfigError(
                f"the key {key!r} has limits, and nothing is counted here: take enabled = false out of [ledger] in "
                "trivet.toml, or give the client a key without limits",
                status=503,
            )

    def same(self, other: Counting) -> bool:
        """Whether what is open in one goes on in the other."""
        return all(getattr(self.config, table) == getattr(other.config, table) for table in TABLES)

    async def close(self) -> None:
        """Writes what waits to be written, and closes. Twice is fine."""
        import asyncio

        made = vars(self)
        if "budgets" in made:
            await self.budgets.close()
        if "store" in made:
            await asyncio.to_thread(self.store.close)
        if "cache" in made:
            await asyncio.to_thread(self.cache.close)
        if "keys" in made:
            self.keys.close()
        if made.get("spans") is not None:
            await asyncio.to_thread(made["spans"].close)  # which waits for what it exports to

    def problems(self) -> dict[str, str]:
        """What is wrong with each file, for /health."""
        made = vars(self)
        found = {part: made[part].problem for part in ("store", "keys", "budgets", "cache") if part in made}
        return {"ledger" if part == "store" else part: problem for part, problem in found.items() if problem}


def ledger_path(config: Config) -> Path:
    return _path(config.ledger.path, "ledger.db")


def keys_path(config: Config) -> Path:
    return _path(config.budgets.path, "keys.db")


def cache_path(config: Config) -> Path:
    return _path(config.cache.path, "cache.db")


def _path(setting: str | None, name: str) -> Path:
    from trivet.database import folder

    return Path(setting) if setting is not None else folder() / name
