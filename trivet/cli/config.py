"""`trivet config check`: whether trivet.toml is right, and what it amounts to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trivet.config import ModelSettings
    from trivet.errors import TrivetError
    from trivet.model import Provider
    from trivet.runtime import Runtime


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("config", help="check trivet.toml", description="Look at trivet.toml.")
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
    keys = f"{len(server.keys)} key{'s' if len(server.keys) > 1 else ''}" if server.keys else "no keys"
    yield f"  [server]     {server.host}:{server.port}, {keys}"
    changed = [f"{f} = {v}" for f in local.__struct_fields__ if (v := getattr(local, f)) is not None]
    yield f"  [local]      {', '.join(changed)}"
    for name in config.providers:
        yield f"  [providers]  {name}: {_state(problems, 'providers', name) or _provider(runtime, name)}"
    for name, model in config.models.items():
        yield f"  [models]     {name} -> {_state(problems, 'models', name) or _meaning(runtime, name, model)}"
    for name in runtime.names():
        if name not in config.models:
            yield f"  as it is     {name}"


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
    from trivet.providers import discover
    from trivet.server.listings import bottom

    meaning = f"{model.names[0]} + a system prompt" if model.system else model.names[0]
    provider = getattr(bottom(runtime.model(name)), "provider", None)
    if provider is not None and discover.key(provider) == "missing":
        return f"{meaning} ({provider.name} has {_no_key(provider)})"
    return meaning
