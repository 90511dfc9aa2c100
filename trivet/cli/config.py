"""`trivet config check`: whether trivet.toml is right, and what it amounts to; `trivet config reload`: has a running
server read it anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trivet.config import ModelSettings
    from trivet.errors import TrivetError
    from trivet.ledger.settings import OwnPrice
    from trivet.model import Provider
    from trivet.runtime import Runtime


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "config", help="check trivet.toml, or have it read anew", description="Look at trivet.toml."
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = inner.add_parser(
        "check",
        help="say whether it is right, and what it amounts to",
        description="Check a trivet.toml: every key, every value, and every name down to the model that answers. "
        "Exits with 1 where something is wrong.",
    )
    check.add_argument("file", metavar="FILE", nargs="?", help="default: ./trivet.toml if it is there")
    check.add_argument("--config", metavar="FILE", help="the same")
    check.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    check.set_defaults(run=run)
    again = inner.add_parser(
        "reload",
        help="have the server on this machine read it anew",
        description="Have a running `trivet serve` read its trivet.toml anew, without dropping a request. Where "
        "anything in the file is wrong it is refused whole, and the server goes on as it was. SIGHUP does the same.",
    )
    again.add_argument("--port", metavar="P", type=int, help="its port (default: that of ./trivet.toml, else 8484)")
    again.add_argument("--key", metavar="KEY", help="a key of its clients, where it has keys; or env:NAME")
    again.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    again.set_defaults(run=reload)


def reload(args: argparse.Namespace) -> int:
    import json
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, Request, build_opener

    from trivet.cli.serve import secret
    from trivet.config import ServerSettings, find, load
    from trivet.errors import ConfigError

    path = find()
    port = args.port or (load(path).server if path else ServerSettings()).port
    headers = {"content-type": "application/json"}
    if args.key:
        headers["authorization"] = "Bearer " + secret(args.key).reveal()
    request = Request(f"http://127.0.0.1:{port}/trivet/reload", b"{}", headers)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
            print("\n".join(json.load(answer)["lines"]))
    except HTTPError as error:
        message = json.load(error).get("error", {}).get("message", f"it answers {error.code}")
        raise ConfigError(f"not reloaded, the server goes on as it was: {message}") from None
    except URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise ConfigError(f"no server answers at port {port} of this machine ({why}): name its --port") from None
    return 0


def run(args: argparse.Namespace) -> int:
    from trivet.cli import line
    from trivet.runtime import Runtime

    runtime = Runtime.load(args.file or args.config)
    problems = runtime.problems()
    print("\n".join(_found(runtime, problems)))
    for error in problems.values():
        print(f"trivet: {line(error)}", file=sys.stderr)
    return 1 if problems else 0


def _found(runtime: Runtime, problems: dict[str, TrivetError]) -> Iterator[str]:
    """The lines to print."""
    config = runtime.config
    if config.path is None:
        yield "No trivet.toml here: everything is at its default."
    else:
        right = "is right" if not problems else f"has {len(problems)} error{'s' if len(problems) > 1 else ''}"
        yield f"{config.path} {right}."
    server, local = config.server, config.local
    keys = f"{len(server.keys)} key{'s' if len(server.keys) > 1 else ''}" if server.keys else "no keys of its own"
    yield f"  [server]     {server.host}:{server.port}, {keys}"
    changed = [f"{f} = {v}" for f in local.__struct_fields__ if (v := getattr(local, f)) is not None]
    yield f"  [local]      {', '.join(changed)}"
    for name in config.providers:
        yield f"  [providers]  {name}: {_state(problems, 'providers', name) or _provider(runtime, name)}"
    for name, model in config.models.items():
        yield f"  [models]     {name} -> {_state(problems, 'models', name) or _meaning(runtime, name, model)}"
    yield from _counting(runtime, problems)
    for name in runtime.names():
        if name not in config.models and not name.startswith("auto/"):
            yield f"  as it is     {name}"
    yield "  as it is     auto/SITUATION: `trivet choose` says what each is here"


def _counting(runtime: Runtime, problems: dict[str, TrivetError]) -> Iterator[str]:
    """What is counted, who may spend, at which prices, and what is kept of answers."""
    from trivet.counting import cache_path, keys_path
    from trivet.server import found

    config = runtime.config
    yield f"  [ledger]     {found.ledger(runtime)}"
    keys = found.stored_keys(runtime) or f"no keys of `trivet keys` yet: they will be in {keys_path(config)}"
    yield f"  [budgets]    {keys}"
    for name, price in config.prices.items():
        yield f"  [prices]     {name}: {_state(problems, 'prices', name) or _price(price)}"
    cached = [name for name, model in config.models.items() if model.cache]
    if cached:
        size, age = f"up to {config.cache.max_mb:g} MB", f"{config.cache.max_age_s:g} s"
        yield f"  [cache]      answers of {', '.join(cached)}: {cache_path(config)}, {size}, for {age}"
    if config.telemetry.content:
        yield "  [telemetry]  spans have what is asked and answered in them"


def _price(price: OwnPrice) -> str:
    """`input 1, output 2 USD for a million tokens, request 0.01 USD`."""
    fields = [field for field in price.__struct_fields__ if field != "request"]
    tokens = [f"{field} {value}" for field in fields if (value := getattr(price, field)) is not None]
    said = [f"{', '.join(tokens)} USD for a million tokens"] if tokens else []
    said += [f"{price.request} USD for each request"] if price.request else []
    return ", ".join(said) or "says nothing, so all of it is unknown"


def _provider(runtime: Runtime, name: str) -> str:
    """`anthropic at https://api.anthropic.com, its key is set`."""
    from trivet.providers import discover

    provider = runtime.provider(name)
    assert provider is not None  # it has a table
    key = {"set": "its key is set", "not needed": "needs no key"}.get(discover.key(provider)) or _no_key(provider)
    kind, base = runtime.config.providers[name].kind or name, discover.base(provider)
    return f"{kind} at {base}, {key}" if base else f"{kind}, {key}"


def _no_key(provider: Provider) -> str:
    from trivet.providers import discover

    variable = discover.key_variable(provider)
    return f"no key yet: set {variable}, or write api_key" if variable else "no key yet: write api_key"


def _state(problems: dict[str, TrivetError], table: str, name: str) -> str | None:
    return "wrong, see below" if f"{table}.{name}" in problems else None


def _meaning(runtime: Runtime, name: str, model: ModelSettings) -> str:
    """`local/smollm2 + a system prompt`, and what is still missing for it to answer."""
    from trivet.model import bottom
    from trivet.providers import discover

    meaning = f"{model.names[0]} + a system prompt" if model.system else ", ".join(model.names)
    if model.routes is not None:
        return f"{meaning} ({model.routes.policy})"
    provider = getattr(bottom(runtime.model(name)), "provider", None)
    if provider is not None and discover.key(provider) == "missing":
        return f"{meaning} ({provider.name} has {_no_key(provider)})"
    return meaning
