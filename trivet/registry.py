"""Which providers there are, as strings: importing this loads none of them.

A package of its own adds one by an entry point in the group `trivet.providers`::

    [project.entry-points."trivet.providers"]
    acme = "trivet_acme:Acme"

The class is a `trivet.model.Provider` that is made as `Acme(settings, name="work")`, with the `ProviderSettings` of the
table and its name. (`local`, of which there is one, takes only its `LocalSettings`.)
"""

from __future__ import annotations

import importlib

from trivet.errors import ConfigError
from trivet.model import Provider
from trivet.providers.hosts import HOSTS  # only data

__all__ = ["PROVIDERS", "kinds", "load"]

PROVIDERS = {
    "gemini": "trivet.providers.gemini:Gemini",
    "local": "trivet.local.provider:Local",
    "openai": "trivet.providers.openai:OpenAI",
    "anthropic": "trivet.providers.anthropic:Anthropic",
    **dict.fromkeys(HOSTS, "trivet.providers.compatible:Compatible"),
}


def kinds() -> dict[str, str]:
    """Every kind of provider, as `module:Class`. Ours go before a package's of the same name."""
    from importlib.metadata import entry_points  # 20 ms that most runs can do without

    return {e.name: e.value for e in entry_points(group="trivet.providers")} | PROVIDERS


def load(kind: str) -> type[Provider] | None:
    """The provider's class, None where there is no such kind. Raises ConfigError where it cannot be imported."""
    where = PROVIDERS.get(kind) or kinds().get(kind)
    if where is None:
        return None
    module, _, name = where.partition(":")
    try:
        found: type[Provider] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"The provider {kind!r} cannot be loaded from {where}: {error}. Is its package installed whole?"
        ) from error
    return found
