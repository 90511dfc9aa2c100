"""`trivet providers`: where models can come from, which have a key, and which answer."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from trivet.cli import takes_config

if TYPE_CHECKING:
    from trivet.runtime import Runtime

TIMEOUT_S = 10


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "providers",
        help="list providers: hosts, which have a key, which answer",
        description="List where models can come from, beside those that trivet runs itself: the hosts that it knows "
        "and your [providers.NAME], with their address and whether they have a key. A pipe gets tab-separated lines.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="ask each that has its key, or needs none, for its models; exits with 1 where one of trivet.toml fails",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    takes_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from trivet.cli import table
    from trivet.runtime import Runtime

    runtime = Runtime.load(args.config)
    rows = listed(runtime)
    if args.check:
        import asyncio

        asyncio.run(_check(runtime, rows))
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        columns = ("name", "kind", "base URL", "key", *(("answer",) if args.check else ()))
        cells = [_cells(row, check=args.check) for row in rows]
        table.show(columns, cells, [_colour(row, check=args.check) for row in rows])
    wrong = (row["problem"] or row.get("error") for row in rows if row["configured"])
    return 1 if args.check and any(wrong) else 0


def listed(runtime: Runtime) -> list[dict[str, Any]]:
    """One row for each: name, kind, base_url, key (`set`, `missing`, `not needed`), key_variable, whether it is
    `configured` in trivet.toml, and the problem where it cannot be used as it stands. What is not known is None."""
    from trivet.errors import ConfigError
    from trivet.providers import discover

    rows = []
    for name, provider in runtime.hosted().items():
        settings = runtime.config.providers.get(name)
        row: dict[str, Any] = {"name": name, "kind": (settings and settings.kind) or name}
        row |= dict.fromkeys(("base_url", "key", "key_variable")) | {"configured": settings is not None}
        if isinstance(provider, ConfigError):
            rows.append(row | {"problem": provider.message})
            continue
        row |= {"base_url": discover.base(provider) or None, "key": discover.key(provider)}
        rows.append(row | {"key_variable": discover.key_variable(provider), "problem": None})
    return rows


async def _check(runtime: Runtime, rows: list[dict[str, Any]]) -> None:
    """Adds to each row its `models` and the `answer` in words, or the `error`; neither where there is no key to ask
    with."""
    from trivet.errors import TrivetError
    from trivet.model import Provider
    from trivet.providers import discover

    async with runtime:
        hosted = runtime.hosted()
        asked = {}
        for row in rows:
            provider = hosted[row["name"]]
            if isinstance(provider, Provider) and row["key"] != "missing":
                asked[row["name"]] = provider
        answers = await discover.ask_all(asked, TIMEOUT_S)
    for row in rows:
        answer = answers.get(row["name"])
        row["models"] = list(answer) if isinstance(answer, tuple) else None
        row["answer"] = discover.told(asked[row["name"]], answer) if isinstance(answer, tuple) else None
        row["error"] = answer.message if isinstance(answer, TrivetError) else None
        if row["configured"] and row["key"] == "missing":
            row["error"] = f"has no key: {_mend(row)}"


def _mend(row: dict[str, Any]) -> str:
    variable = f"set {row['key_variable']}, or " if row["key_variable"] else ""
    return f"{variable}write api_key under [providers.{row['name']}]"


def _cells(row: dict[str, Any], *, check: bool) -> list[str]:
    key = row["key"] or "-"
    if row["key"] == "missing" and row["key_variable"]:
        key = f"missing: {row['key_variable']}"
    cells = [row["name"], row["kind"], row["base_url"] or row["problem"] or "-", key]
    if not check:
        return cells
    return [*cells, row["answer"] or row["error"] or "-"]


def _colour(row: dict[str, Any], *, check: bool) -> str:
    if check:
        return "green" if row["answer"] else "red" if row["error"] else "yellow"
    return "yellow" if row["key"] in ("missing", None) else "green"
