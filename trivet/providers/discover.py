"""Which providers can be asked, and what they have: keys that are set, and servers on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from trivet.errors import ProviderError, TransportError, TrivetError
from trivet.model import Provider
from trivet.providers.hosted import Hosted

Key = Literal["set", "missing", "not needed"]


def key(provider: Provider) -> Key:
    """Whether the provider has the key that it needs."""
    if not isinstance(provider, Hosted):
        return "not needed"
    if provider.key is not None:
        return "set"
    return "missing" if provider.needs_key else "not needed"


def key_variable(provider: Provider) -> str | None:
    return getattr(provider, "key_variable", None)


def base(provider: Provider) -> str:
    """Where it is asked; empty where it does not say."""
    return getattr(provider, "base", "")


def known_by(provider: Provider) -> str:
    """The usual address of its kind, by which names are its maker's, behind a proxy too; else its own."""
    return getattr(provider, "base_url", "") or base(provider)


def lists(provider: Provider) -> bool:
    """Whether it can say which models it has. Not every host has a list: what such a one answers is empty."""
    host = getattr(provider, "host", None)
    return host is None or bool(host.lists)


def here(provider: Provider) -> bool:
    """Whether it is a server on this machine that needs no key."""
    return not getattr(provider, "needs_key", True) and urlsplit(base(provider)).hostname in (
        "127.0.0.1",
        "localhost",
        "::1",
    )


def at(provider: Provider, host: str, port: int) -> bool:
    """Whether a server on this machine is asked at what a socket bound to `host` and `port` hears."""
    url = urlsplit(base(provider))
    if port != (url.port or (443 if url.scheme == "https" else 80)):
        return False
    asked = ("127.0.0.1", "::1") if url.hostname == "localhost" else (url.hostname,)
    return host in ("0.0.0.0", "::", *asked)  # noqa: S104


def of_environment(provider: Provider) -> bool:
    """Whether its key is there without any configuration."""
    variable = key_variable(provider)
    return bool(variable and os.environ.get(variable, "").strip()) and key(provider) == "set"


def told(provider: Provider, models: Sequence[str]) -> str:
    """What its answer to `ask` comes to, in words."""
    if not models and not lists(provider):
        return "answers, and has no list of models"
    return f"lists {len(models)} model{'' if len(models) == 1 else 's'}"


async def ask(provider: Provider, timeout_s: float) -> tuple[str, ...]:
    """The models that the provider says it has. Raises a `TrivetError`, whatever goes wrong: an answer may be of
    something else that listens at its port."""
    if not isinstance(provider, Hosted):
        return provider.names()
    try:
        async with asyncio.timeout(timeout_s):
            return await provider.refresh()
    except TrivetError:
        raise
    except TimeoutError:
        raise TransportError(
            f"{provider.name} did not list its models within {timeout_s:g} s", provider=provider.name
        ) from None
    except Exception as error:
        raise ProviderError(
            f"{provider.name} answers, but not with a list of models ({type(error).__name__}): is it what listens at "
            f"{provider.base}?",
            provider=provider.name,
        ) from error


async def ask_all(providers: Mapping[str, Provider], timeout_s: float) -> dict[str, tuple[str, ...] | TrivetError]:
    """The same of several at once; an error in the place of what does not answer."""

    async def one(provider: Provider) -> tuple[str, ...] | TrivetError:
        try:
            return await ask(provider, timeout_s)
        except TrivetError as error:
            return error

    answers = await asyncio.gather(*(one(provider) for provider in providers.values()))
    return dict(zip(providers, answers, strict=True))
