"""Whose a well-known name is: `claude-opus-4-7` is Anthropic's, by the data of genai-prices and by no list of ours.

A host is found in that data by its URL. Its **maker** is the host whose names have this form there (`claude…`); a
reseller, whose entry falls back on the maker's, says nothing about what is deployed at it.

The data is a megabyte and a half: it is loaded when the first name needs it, in some 0.2 s.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from trivet.types import Value

__all__ = ["Host", "candidates", "entry", "known", "listed", "makes"]

# What the data has at a host that does not take it, or not by this name.
_NOT_TAKEN = {
    "google": re.compile(r"gemma-2.*|.*-maas"),
    "mistral": re.compile(r".*:free"),
    "openai": re.compile(r"gpt-oss.*"),
    "openrouter": re.compile(r"[^/]*"),
}
# Together answers at this address as well as at the one that the data knows it by.
_OTHER_ADDRESSES = {"https://api.together.ai": "https://api.together.xyz"}


class Host(Value, frozen=True, kw_only=True):
    """A provider as far as names are concerned. `usable` says whether it has the key that it needs, `lists` what it
    has told that it has."""

    name: str
    url: str
    usable: bool
    lists: tuple[str, ...] = ()


def candidates(name: str, hosts: Iterable[Host]) -> tuple[str, ...]:
    """The names of the hosts that a bare name may mean: one is the answer, several are an ambiguity, none is unknown.

    The maker goes before others that have it, and a host that can be asked before one that cannot."""
    listing = [host for host in hosts if _lists(host, name)]
    usable = [host for host in listing if host.usable]
    for group in ([h for h in usable if _makes(h, name)], usable, [h for h in listing if _makes(h, name)], listing):
        if group:
            return tuple(host.name for host in group)
    return ()


def known(hosts: Iterable[Host]) -> list[str]:
    """The names that the data has at these hosts, for telling which one may have been meant."""
    names = [model.id for host in hosts for entry in _entries(host.url) for model in entry.models]
    return [name for name in dict.fromkeys(names) if "/" not in name]


@functools.lru_cache(maxsize=256)
def listed(url: str) -> tuple[str, ...]:
    """The names that the data has for the host at this URL, and that it takes: without what is on its way out, and
    what another maker's models are called behind the same URL."""
    return tuple(model.id for found in _entries(url) for model in found.models if _takes(found, model))


@functools.lru_cache(maxsize=8192)
def entry(name: str, url: str) -> Any:
    """What the data has of this name at the host with this URL: a `genai_prices.types.ModelInfo`, or None."""
    return next((model for found in _entries(url) if (model := found.find_model(name)) is not None), None)


def makes(name: str, url: str) -> bool:
    """Whether names of this form are the own ones of the host at this URL."""
    return any(_forms(found, name) for found in _entries(url))


def _takes(entry: Any, model: Any) -> bool:
    """Whether the host takes the name that the data has for the model."""
    wrong = _NOT_TAKEN.get(entry.id)
    if model.deprecated or (wrong and wrong.fullmatch(model.id)):
        return False
    return entry.find_model(model.id) is model and not any(_forms(other, model.id) for other in _behind(entry))


def _lists(host: Host, name: str) -> bool:
    if name in host.lists:
        return True
    if ":" in name and not name.startswith("ft:"):
        return False  # a tag of Ollama's, `deepseek-r1:7b`, which the patterns of the data would take for the maker's
    return any(_has(entry, name) and not any(_owns(e, name) for e in _behind(entry)) for entry in _entries(host.url))


def _makes(host: Host, name: str) -> bool:
    return any(_forms(entry, name) for entry in _entries(host.url))


def _owns(entry: Any, name: str) -> bool:
    return _forms(entry, name) or _has(entry, name)


def _forms(entry: Any, name: str) -> bool:
    """Whether names of this form are the entry's own."""
    return entry.model_match is not None and bool(entry.model_match.is_match(name))


def _has(entry: Any, name: str) -> bool:
    """Whether the entry itself has the model, without those that it falls back on. A name with a slash has to be there
    as it is: some patterns look for `claude-opus-4-7` anywhere, behind any misspelt provider."""
    if "/" in name:
        return any(model.id == name for model in entry.models)
    return entry.find_model(name) is not None


@functools.lru_cache(maxsize=256)
def _entries(url: str) -> Sequence[Any]:
    """The entries of the data for the host at this URL: none as a rule where it is of the user's own."""
    for other, known_by in _OTHER_ADDRESSES.items():
        url = url.replace(other, known_by)
    return [entry for entry in _data() if url and re.match(entry.api_pattern, url)]


def _behind(entry: Any) -> list[Any]:
    """The entries that this one falls back on."""
    return [other for other in _data() if other.id in (entry.fallback_model_providers or ())]


def _data() -> Sequence[Any]:
    from genai_prices.data import providers

    return providers
