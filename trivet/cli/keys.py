"""`trivet keys`: who may ask the server, for which models, and for how much."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli import takes_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trivet.ledger.keys import Key, Keys
    from trivet.ledger.limits import Limit


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "keys",
        help="add, list, change and revoke keys of the server",
        description="Keys that clients of `trivet serve` send, each with its own budgets, limits and models. What is "
        "changed here is in force in a running server within a second. Windows follow the calendar in UTC.",
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    made = inner.add_parser("add", help="make a key, and print it once", description="Make a key, and print it once.")
    _named(made, new)
    _limited(made)
    changed = inner.add_parser(
        "change",
        help="give a key other limits or models",
        description="Give a key other limits or models; it stays the same key. What is given takes the place of all "
        "that it had of that kind (USD, requests, tokens, models), and the rest stays.",
    )
    _named(changed, change)
    _limited(changed)
    changed.add_argument("--unlimited", action="store_true", help="take all its budgets and limits away first")
    shown = inner.add_parser(
        "list",
        help="list keys, and what they have spent",
        description="List keys, with what each has spent of its budgets and limits in the present window, and what is "
        "left. What requests under way have reserved is neither. A pipe gets tab-separated lines.",
    )
    shown.add_argument("--json", action="store_true", help="print JSON; amounts are exact, as strings")
    shown.set_defaults(run=show)
    _named(inner.add_parser("revoke", help="end a key", description="End a key. Its name may get a new one."), revoke)
    for command in inner.choices.values():
        takes_config(command)
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _named(parser: Any, run: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the key's name, which the ledger counts by")
    parser.set_defaults(run=run)


def _limited(parser: Any) -> None:
    parser.add_argument(
        "--budget",
        metavar="LIMIT",
        action="append",
        default=[],
        help="5usd/day, 100usd/month, '1m tokens/day', '500 requests/hour'; the time is minute, hour, day, week, month "
        "or ever; may be given several times",
    )
    parser.add_argument("--rpm", metavar="N", help="requests in a minute: 60")
    parser.add_argument("--tpm", metavar="N", help="tokens in a minute, in and out: 100k")
    parser.add_argument("--models", metavar="NAMES", help="the names it may ask for: 'openai/*,smart' (default: all)")


def new(args: argparse.Namespace) -> int:
    keys = _keys(args)
    limits, models = _limits(args), _models(args) or ()
    secret = keys.add(args.name, limits, models)
    print(secret)
    said = ", ".join(map(str, limits)) or "no limits"
    print(
        f"This is the key {args.name!r} ({said}; models: {', '.join(models) or 'all'}). It is shown this once: "
        f"{keys.path} has only its digest.\n"
        "Clients send it as they send any provider's: OPENAI_API_KEY or ANTHROPIC_API_KEY beside the server's "
        "address,\nor `Authorization: Bearer KEY`. A running server takes it at once, and from now on nobody "
        "without a key.",
        file=sys.stderr,
    )
    return 0


def change(args: argparse.Namespace) -> int:
    keys = _keys(args)
    key = _known(keys, args.name)
    given, models = _limits(args), _models(args)
    if not given and models is None and not args.unlimited:
        from trivet.errors import ConfigError

        raise ConfigError("Nothing to change: give --budget, --rpm, --tpm, --models or --unlimited.")
    replaced = {limit.unit for limit in given}
    kept = [limit for limit in key.limits if limit.unit not in replaced and not args.unlimited]
    limits = [*kept, *given]
    models = key.models if models is None else models
    keys.change(args.name, limits, models)
    print(f"{args.name}: {', '.join(map(str, limits)) or 'no limits'}; models: {', '.join(models) or 'all'}")
    return 0


def revoke(args: argparse.Namespace) -> int:
    keys = _keys(args)
    _known(keys, args.name)
    keys.revoke(args.name)
    print(f"{args.name} is revoked: a running server refuses it within a second, and finishes what it is answering.")
    return 0


COLUMNS = ("name", "models", "limit", "spent", "left", "until (UTC)", "state")


def show(args: argparse.Namespace) -> int:
    keys = _keys(args)
    found = listed(keys)
    if args.json:
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    from trivet.cli import table

    rows = [(key, cells) for key in found for cells in _cells(key)]
    table.show(
        COLUMNS,
        [cells for _, cells in rows],
        ["red" if key["revoked"] else "green" for key, _ in rows],
        right=("spent", "left"),
        whole=("name", *COLUMNS[2:-1]),
        tight=True,
    )
    return 0


def listed(keys: Keys) -> list[dict[str, Any]]:
    """One row for each key: name, created, revoked, models, and its limits, each with what is spent, reserved and left
    in the present window, and when that ends. Times are ISO 8601 in UTC."""
    import time

    from trivet.errors import TrivetError

    every = keys.all()
    if keys.problem is not None:
        raise TrivetError(f"{keys.problem}.")
    now = time.time()
    return [
        {
            "name": key.name,
            "created": _time(key.created),
            "revoked": _time(key.revoked),
            "models": list(key.models),
            "limits": _standing(keys.path, key, now),
        }
        for key in every
    ]


def _standing(path: Path, key: Key, now: float) -> list[dict[str, Any]]:
    import sqlite3

    from trivet.ledger.keys import trouble, unavailable
    from trivet.ledger.leases import standing
    from trivet.ledger.limits import amount, plain

    try:
        found = standing(path, key.name, key.limits, now)
    except (sqlite3.Error, OSError) as error:
        raise unavailable(f"{trouble(path, error)}.") from None
    rows = []
    for limit, (spent, taken) in zip(key.limits, found, strict=True):
        counts = {"spent": spent, "reserved": max(0, taken - spent), "left": max(0, limit.most - taken)}
        row: dict[str, Any] = {"limit": str(limit), "unit": limit.unit, "per": limit.per, "amount": plain(limit.amount)}
        row |= {name: plain(amount(limit.unit, count)) for name, count in counts.items()}
        rows.append(row | {"ends": _time(limit.window(now)[1] if limit.per != "ever" else None)})
    return rows


def _cells(key: dict[str, Any]) -> list[list[str]]:
    state = f"revoked {key['revoked'][:10]}" if key["revoked"] else "in force"
    models = ",".join(key["models"]) or "all"
    if key["revoked"] or not key["limits"]:
        return [[key["name"], models, "-", "-", "-", "-", state]]
    return [
        [key["name"], models, limit["limit"], limit["spent"], limit["left"], _short(limit["ends"]), state]
        for limit in key["limits"]
    ]


def _short(ends: str | None) -> str:
    """Without the year: no window is longer than a month."""
    return ends[5:16].replace("T", " ") if ends else "never"


def _time(seconds: float | None) -> str | None:
    from datetime import UTC, datetime

    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _keys(args: argparse.Namespace) -> Keys:
    from trivet.config import Config, find, load
    from trivet.database import folder
    from trivet.ledger.keys import Keys

    file = args.config or find()
    chosen = (load(file) if file else Config()).budgets.path
    return Keys(Path(chosen) if chosen else folder() / "keys.db")


def _known(keys: Keys, name: str) -> Key:
    """Raises ConfigError, with the nearest name, and TrivetError where the file cannot be read."""
    from trivet.errors import TrivetError
    from trivet.ledger.keys import unknown

    if keys.problem is not None:
        raise TrivetError(f"{keys.problem}.")
    key = keys.get(name)
    if key is None:
        raise unknown(name, [key.name for key in keys.all()])
    return key


def _limits(args: argparse.Namespace) -> Sequence[Limit]:
    from trivet.ledger.limits import Limit

    texts = list(args.budget)
    texts += [f"{args.rpm} requests/minute"] if args.rpm is not None else []
    texts += [f"{args.tpm} tokens/minute"] if args.tpm is not None else []
    return [Limit.of(text) for text in texts]


def _models(args: argparse.Namespace) -> Sequence[str] | None:
    if args.models is None:
        return None
    return [name.strip() for name in args.models.split(",")]
