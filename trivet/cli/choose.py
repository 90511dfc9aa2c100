"""`trivet choose`: which model `auto/SITUATION` stands for here, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trivet.cli import takes_config

if TYPE_CHECKING:
    from trivet.catalog.needs import Needs
    from trivet.catalog.situations import Choice, Situation
    from trivet.runtime import Runtime

SHOWN = 8


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "choose",
        help="say which model suits a situation, and why",
        description="Say which model auto/SITUATION stands for, why, what it costs, and what comes next; without a "
        "situation, all of them. It looks at what is available: embedded models, servers on this machine, and hosts "
        "whose key is set. It asks no host and spends nothing. A pipe gets tab-separated lines.",
    )
    parser.add_argument("situation", nargs="?", metavar="SITUATION", help="quality, cheap, open, code, private, ...")
    parser.add_argument(
        "--needs",
        metavar="LIST",
        default="",
        help="what it has to be able to do, with commas: vision, audio, documents, tools, reasoning, and a context in "
        "tokens such as 200k",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    takes_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import asyncio

    from trivet import situations
    from trivet.catalog.needs import parse
    from trivet.runtime import Runtime

    needs = parse(word for word in args.needs.split(",") if word.strip())
    situation = None if args.situation is None else situations.situation(args.situation)

    async def show() -> None:
        async with Runtime.load(args.config) as runtime:
            await situations.look(runtime)
            if situation is None:
                _all(runtime, needs, as_json=args.json)
            else:
                _one(runtime, situation, needs, as_json=args.json)

    asyncio.run(show())
    return 0


def _one(runtime: Runtime, situation: Situation, needs: Needs, *, as_json: bool) -> None:
    from trivet import situations
    from trivet.cli import table
    from trivet.errors import UnknownModelError

    choices = situations.choices(runtime, situation, needs)
    if not choices:
        others = situations.choices(runtime, situation)
        if not others:
            raise UnknownModelError(situations.mend(runtime, situation))
        raise UnknownModelError(
            f"auto/{situation.name}: no model for it that is available is known to do all of that. Ask for less, or do "
            f"without --needs: then it is {others[0].candidate.name}."
        )
    if as_json:
        shown = [row(choice) for choice in choices]
        print(json.dumps({"situation": situation.name, "choice": shown[0], "runners_up": shown[1:]}, indent=2))
        return
    columns = ("place", "model", "price", "context", "size", "why")
    rows = [[_place(n, situation), *_cells(choice)] for n, choice in enumerate(choices[:SHOWN])]
    colours = ["green", *(["cyan"] * (situation.most - 1)), *(["none"] * SHOWN)]
    table.show(columns, rows, colours[: len(rows)], right=("price", "context", "size"))
    _footnotes(choices)


def _all(runtime: Runtime, needs: Needs, *, as_json: bool) -> None:
    from trivet import situations
    from trivet.cli import table

    found = {s.name: situations.choices(runtime, s, needs) for s in map(situations.situation, situations.names())}
    if as_json:
        told = {name: row(choices[0]) if choices else None for name, choices in found.items()}
        print(json.dumps(told, indent=2))
        return
    rows = []
    for name, choices in found.items():
        model, price = _cells(choices[0])[:2] if choices else ("nothing available", "-")
        rows.append([f"auto/{name}", situations.situation(name).about, price, model])
    colours = ["green" if choices else "yellow" for choices in found.values()]
    table.show(("name", "for", "price", "now"), rows, colours, right=("price",))
    _footnotes([choices[0] for choices in found.values() if choices])


def row(choice: Choice) -> dict[str, Any]:
    """What is known of a choice; what is not is None."""
    candidate, known = choice.candidate, choice.candidate.known
    return {
        "model": candidate.name,
        "reason": choice.reason,
        "effort": choice.effort,
        "where": candidate.where,
        "listed": candidate.listed,
        "usd_per_million_tokens_3_in_1_out": known.usd_3to1,
        "context_tokens": known.context_tokens,
        "image": known.image,
        "audio": known.audio,
        "document": known.document,
        "tools": known.tools,
        "reasoning": known.reasoning,
        "total_parameters_b": known.total_b,
        "active_parameters_b": known.active_b,
    }


def _place(n: int, situation: Situation) -> str:
    """The first is asked; those up to the `most` of the route stand in for it where it fails."""
    return "choice" if n == 0 else "fallback" if n < situation.most else "runner-up"


def _cells(choice: Choice) -> list[str]:
    known = choice.candidate.known
    price = "-" if known.usd_3to1 is None else "free" if not known.usd_3to1 else f"${known.usd_3to1:,.2f}"
    context = "-" if known.context_tokens is None else _thousands(known.context_tokens)
    size = "-" if known.total_b is None else f"{known.total_b:g}B"
    if known.active_b is not None:
        size += f", {known.active_b:g}B active"
    why = choice.reason + (f"; asked for effort {choice.effort}" if choice.effort else "")
    return [choice.candidate.name, price, context, size, why]


def _thousands(tokens: int) -> str:
    """`200k`: the exact number is in the JSON."""
    return f"{tokens / 1e6:.3g}M" if tokens >= 999_500 else f"{tokens / 1e3:.0f}k" if tokens >= 1000 else str(tokens)


def _footnotes(choices: Sequence[Choice]) -> None:
    """For people alone: what the columns do not say."""
    import sys

    if not sys.stdout.isatty():
        return
    print("price: USD for a million tokens, three of four of them input; context: the longest prompt; -: not known")
    if any(not choice.candidate.listed for choice in choices):
        print(
            "Hosts were not asked: names and prices are those of genai-prices. `trivet serve` asks what each key has."
        )
