"""What `trivet serve` finds, and prints: the models and providers that are there, where it listens, two lines to
paste."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trivet
from trivet import catalog
from trivet.counting import keys_path, ledger_path
from trivet.errors import AuthError, ConfigError, TransportError, TrivetError, WeightsError
from trivet.model import Provider
from trivet.providers import discover
from trivet.types import Value

if TYPE_CHECKING:
    from trivet.config import ServerSettings
    from trivet.runtime import Runtime


PROBE_S = 1  # what a server on this machine may take to say what it has; nothing there is told at once
SHOWN = 8  # models by name


class Providers(Value, frozen=True, kw_only=True):
    """What there is of providers: those with their key (or that need none), the answers of servers on this machine,
    the variables of keys that are missing, the ports where nothing is, and what else was wrong, a line each."""

    ready: Mapping[str, str] = {}
    answers: Mapping[str, tuple[str, ...]] = {}
    missing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


async def look(runtime: Runtime, own: tuple[str, int] | None = None) -> Providers:
    """Those of trivet.toml; without a file, those whose keys are in the environment, and servers on this machine at
    their usual ports, which the runtime is told of. `own` is the address of our socket, where no other server is."""
    if runtime.config.path is not None:
        return _configured(runtime)
    ready, missing, wrong = {}, [], []
    local: dict[str, Provider] = {}
    for name, provider in runtime.hosted().items():
        if isinstance(provider, TrivetError):
            continue  # needs a table, such as one with its address
        variable = discover.key_variable(provider)
        if discover.here(provider):
            if own is None or not discover.at(provider, *own):
                local[name] = provider
        elif variable and discover.of_environment(provider):
            ready[name] = f"{variable} is set"
        elif variable and discover.key(provider) == "missing":
            missing.append(variable)
    answers, silent = {}, []
    for name, answer in (await discover.ask_all(local, PROBE_S)).items():
        base = discover.base(local[name])
        if isinstance(answer, tuple):
            answers[name], ready[name] = answer, f"at {base}, {discover.told(local[name], answer)}"
        elif isinstance(answer, TransportError):
            silent.append(f"{name} at {base}")
        else:
            wrong.append(f"{name}: {answer}")
    runtime.found(ready)
    return Providers(
        ready=ready, answers=answers, missing=tuple(dict.fromkeys(missing)), silent=tuple(silent), wrong=tuple(wrong)
    )


def _configured(runtime: Runtime) -> Providers:
    """What trivet.toml has; nobody is asked yet."""
    ready, wrong = {}, []
    for name in runtime.config.providers:
        try:
            provider = runtime.provider(name)
        except ConfigError as error:
            wrong.append(str(error))
            continue
        assert provider is not None  # it has a table
        kind = runtime.config.providers[name].kind or name
        if discover.key(provider) == "missing":
            variable = discover.key_variable(provider)
            wrong.append(f"{name} ({kind}) has no key: {f'set {variable}, or ' if variable else ''}write api_key")
        else:
            ready[name] = f"{kind} at {discover.base(provider)}"
    return Providers(ready=ready, wrong=tuple(wrong))


async def listings(runtime: Runtime, providers: Providers, timeout_s: float) -> AsyncGenerator[tuple[str, bool], None]:
    """Asks the providers that have not told their models yet. A line for each, and whether all is well."""

    async def one(name: str) -> tuple[str, bool]:
        provider = runtime.provider(name)
        assert provider is not None
        try:
            return f"{name} {discover.told(provider, await discover.ask(provider, timeout_s))}", True
        except TrivetError as error:
            told = str(error).removeprefix(f"{name}: ")
            told = told if told.endswith((".", "?")) else f"{told}."
            if not isinstance(error, AuthError):
                told += f" Its models can be asked for all the same, as {name}/MODEL."
            return f"{name} is not listed: {told}", False

    tasks = [asyncio.ensure_future(one(name)) for name in providers.ready if name not in providers.answers]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for task in tasks:
            task.cancel()


def before(runtime: Runtime, settings: ServerSettings, providers: Providers) -> list[str]:
    """The version and what is there."""
    path = runtime.config.path
    may = "ask, and spend what the providers charge" if providers.ready else "ask"
    lines = [
        f"trivet {trivet.__version__}",
        f"  configuration  {path or 'none (trivet.toml in this folder is read where there is one)'}",
        f"  models         {_some(tuple(dict.fromkeys((*runtime.config.models, *runtime.names()))))}",
        *(f"  weights        {line}" for line in weights(runtime.config.local.home)),
        *(f"  provider       {name}/MODEL: {what}" for name, what in providers.ready.items()),
        *(f"  not used       {line}" for line in providers.wrong),
    ]
    if providers.missing:
        lines.append(f"  no key         export one of these to serve its models: {', '.join(providers.missing)}")
    if providers.silent:
        lines.append(f"  not running    start one of these to serve its models: {', '.join(providers.silent)}")
    lines.append(f"  ledger         {ledger(runtime)}")
    return [*lines, f"  keys           {keys(runtime, settings) or f'none: whoever is on this machine may {may}'}"]


def ledger(runtime: Runtime) -> str:
    """Where requests are written down."""
    if not runtime.counting.enabled:
        return "none, [ledger] has enabled = false; keys with limits or models of their own are refused"
    days = runtime.config.ledger.retention_days
    kept = "" if days is None else f", rows are kept for {days:g} days"
    return f"{_short(ledger_path(runtime.config))}{kept}"


def keys(runtime: Runtime, settings: ServerSettings) -> str:
    """How many there are, and whose; nothing where nobody needs one."""
    own = [f"{len(settings.keys)} of the configuration"] if settings.keys else []
    return "; ".join(filter(None, [*own, stored_keys(runtime)]))


def stored_keys(runtime: Runtime) -> str:
    """Those of `trivet keys`; nothing where there never were any."""
    stored = runtime.counting.keys
    if stored.problem is not None:
        return f"those of `trivet keys` cannot be read: {stored.problem}"
    in_force = sum(key.revoked is None for key in stored.all())
    told = f"{in_force or 'none'} in force of `trivet keys`, in {_short(keys_path(runtime.config))}"
    return told if stored.closed else ""


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:SHOWN])} and {more} more, at /v1/models"


def weights(setting: str | None) -> list[str]:
    """One line for each entry of the catalogue that set-up gets, with the command that gets it where it is not here."""
    from trivet.local.weights import find, home

    lines = []
    for entry in catalog.defaults():
        try:
            lines.append(f"{entry.name} in {_short(find(entry.name, home(setting)))}")
        except WeightsError as error:
            lines.append(f"{entry.name}: {error.message}")
    return lines


def after(runtime: Runtime, settings: ServerSettings, port: int) -> list[str]:
    """Where it listens, and how to ask."""
    url = address(settings.host, port)
    here = address("127.0.0.1" if settings.host in ("0.0.0.0", "", "::") else settings.host, port)  # noqa: S104
    names = runtime.names()
    model = names[0] if names else "MODEL"
    header, imports, key = "", "openai", '"none"'
    if settings.keys or runtime.counting.keys.closed:
        header, imports, key = ' -H "authorization: Bearer $TRIVET_KEY"', "os, openai", 'os.environ["TRIVET_KEY"]'
    ask = f'model="{model}", messages=[{{"role": "user", "content": "Hi"}}]'
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}]}}'
    python = (
        f'import {imports}; print(openai.OpenAI(base_url="{here}/v1", api_key={key})'
        f".chat.completions.create({ask}).choices[0].message.content)"
    )
    return [
        f"listening on {url}",
        f"  curl {here}/v1/chat/completions{header} -H 'content-type: application/json' -d '{body}'",
        f"  python -c '{python}'",
    ]


def address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _short(path: Path) -> str:
    """With the user's own folder as ~."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
