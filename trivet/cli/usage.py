"""`trivet usage`: what was asked and what it cost, by day, model, key, task; and everything about one request."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from trivet.cli.period import takes_period

if TYPE_CHECKING:
    from pathlib import Path

    from trivet.ledger.totals import By, Total

HEIGHT = 8  # of the plot, in lines
_COUNTS = ("requests", "errors", "refused", "input", "cached", "output", "hits", "saved", "cost")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "usage",
        help="show what was asked and what it cost",
        description="Show requests, tokens and cost, from the ledger: by day, or by model, key, task, the name that "
        "was asked for, or what trivet's cache of answers had to say. Or everything about one request. A cost that is "
        "not known is counted as unknown, and never as 0; ~ marks one that is partly an estimate. A pipe gets "
        "tab-separated lines.",
    )
    parser.add_argument("id", nargs="?", metavar="REQUEST_ID", help="one request, by its x-request-id")
    parser.add_argument(
        "--by", metavar="LIST", help="day, model, key, task, asked, cache; several with commas (default: day)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON; money is exact, as strings")
    parser.add_argument("--csv", action="store_true", help="print CSV, with everything that is counted")
    parser.add_argument(
        "--plot",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="bars of each day's cost, of its tokens where nothing costs (default: in a terminal)",
    )
    takes_period(parser, since="30d")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from trivet.cli import period
    from trivet.config import Config, find, load
    from trivet.ledger.totals import totals

    by = _by(args)
    config = args.config or find()
    path = period.ledger(args, load(config) if config else Config())
    if args.id is not None:
        from trivet.cli import usage_request

        return usage_request.show(path, args.id, as_json=args.json)
    since, until = period.period(args)
    with period.readable(path):
        found = totals(path, by, since=since, until=until, local_days=True)
        whole = totals(path, (), since=since, until=until)
        days = found if by == ["day"] else totals(path, ["day"], since=since, until=until, local_days=True)
    if args.json:
        print(_json(path, since, until, by, found, whole))
    elif args.csv:
        _csv(by, found)
    elif not whole or not whole[0].requests:
        print(period.nothing(path, args))
    else:
        _show(by, found, whole[0], days, args, path)
    return 0


def _by(args: argparse.Namespace) -> list[By]:
    """Raises `RequestError` for a word that is none, with the nearest."""
    from trivet.config import nearest
    from trivet.errors import RequestError
    from trivet.ledger.totals import By

    known: tuple[By, ...] = get_args(By)
    found = []
    for word in (args.by or "day").split(","):
        name = word.strip().lower()
        if name not in known:
            meant = nearest(name, known)
            hint = f"Did you mean {meant}?" if meant else f"There are: {', '.join(known)}."
            raise RequestError(f"--by {word.strip()!r}: usage is not counted so. {hint}", field="by")
        found.append(name)
    return list(dict.fromkeys(found))


# --- totals ----------------------------------------------------------------------------------------------------


def _show(
    by: Sequence[By], found: Sequence[Total], whole: Total, days: Sequence[Total], args: argparse.Namespace, path: Path
) -> None:
    import sys

    from trivet.cli import table

    looked_at = sys.stdout.isatty()
    if "day" not in by:
        found = sorted(found, key=lambda total: (-(total.usd or 0), -total.requests))
    rows = [[*(value or "-" for value in total.group), *cells(total)] for total in found]
    last = ["total", *("" for _ in by[1:]), *cells(whole)]
    columns = [*by, *_COUNTS]
    shown = [n for n, column in enumerate(columns) if not looked_at or not _idle(column, whole)]
    table.show(
        [columns[n] for n in shown],
        [[row[n] for n in shown] for row in (*rows, last)],
        [*("none" for _ in rows), "bold"],
        right=_COUNTS,
        whole=("day", *_COUNTS[:-1]),
        tight=True,
    )
    if args.plot or (args.plot is None and looked_at and len(days) > 1):
        print("\n".join(["", *plot(days)]))
    if looked_at:
        print("\n".join(["", *_footnotes(by, whole, args, path)]))


def cells(total: Total) -> list[str]:
    """What the table shows of a sum, in the order of its columns."""
    return [
        f"{total.requests:,}",
        f"{total.errors:,}" if total.errors else "-",
        f"{total.refused:,}" if total.refused else "-",
        _tokens(total, "input_tokens"),
        _cached(total),
        _tokens(total, "output_tokens"),
        f"{total.hits:,}" if total.hits else "-",
        _saved(total),
        cost(total),
    ]


def cost(total: Total) -> str:
    """`$1.23`, `~$1.23 + 4 unknown`, `4 unknown`."""
    from trivet.ledger.advice import dollars

    unknown = f"{total.unknown_costs:,} unknown"
    if total.usd is None:
        return unknown
    known = f"{'~' if total.estimates else ''}{dollars(total.usd)}"
    return f"{known} + {unknown}" if total.unknown_costs else known


def _saved(total: Total) -> str:
    from trivet.ledger.advice import dollars

    return dollars(total.saved_usd) if total.saved_usd else "-"


def _tokens(total: Total, field: str) -> str:
    from trivet.ledger.advice import short

    count, unknown = getattr(total, field), total.unknown.get(field, 0)
    if count is None:
        return f"{unknown:,} unknown"
    return f"{short(count)} + {unknown:,} unknown" if unknown and count else short(count)


def _cached(total: Total) -> str:
    """What of the input came from a provider's cache, where that is told."""
    uncached, read, written = total.uncached_input_tokens, total.cache_read_tokens, total.cache_write_tokens
    if uncached is None or read is None or written is None or not (whole := uncached + read + written):
        return "-"
    return f"{read / whole:.0%}"


def _idle(column: str, whole: Total) -> bool:
    """Whether it would say nothing to whoever looks at it."""
    told = {"refused": whole.refused, "hits": whole.hits, "saved": whole.saved_usd}
    return column in told and not told[column]


def plot(days: Sequence[Total]) -> list[str]:
    """Cost by day, tokens where nothing costs; a day of which nothing is known has a question mark."""
    import shutil

    from trivet.cli import plot
    from trivet.ledger.advice import dollars, short

    width = shutil.get_terminal_size().columns - 1
    of_day = {total.group[0]: total for total in days if total.group[0] is not None}
    labels = _every_day(min(of_day), max(of_day))
    paid = any(total.usd for total in days)

    def value(day: str) -> float | None:
        if (total := of_day.get(day)) is None:
            return 0.0
        if paid:
            return None if total.usd is None else float(total.usd)
        counts = [count for count in (total.input_tokens, total.output_tokens) if count is not None]
        return float(sum(counts)) if counts else None

    def unit(amount: float) -> str:
        from decimal import Decimal

        return dollars(Decimal(f"{amount:g}")) if paid else short(amount)

    values = [value(day) for day in labels]
    title = "USD by day" if paid else "tokens by day: nothing has cost anything that is known"
    return [f" {title}", *plot.bars([day[5:] for day in labels], values, width=width, height=HEIGHT, unit=unit)]


def _every_day(first: str, last: str) -> list[str]:
    from datetime import date, timedelta

    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


def _footnotes(by: Sequence[By], whole: Total, args: argparse.Namespace, path: Path) -> list[str]:
    """For people alone: what the columns do not say."""
    from trivet.cli import period

    notes = [f"{path}{period.told(args)}."]
    notes += ["cached: what of the input came from a provider's cache."]
    if whole.refused:
        notes.append("refused: nobody was asked, because of a budget, a limit or a wrong request.")
    if whole.saved_usd:
        notes.append("saved: what those caches have spared, already taken off the cost.")
    if whole.hits:
        notes.append("hits: answers from trivet's own cache, which cost nothing.")
    if whole.estimates:
        notes.append(f"~: of {whole.estimates:,} requests the provider did not say what they took, as of cut streams.")
    if whole.unknown_costs:
        notes.append(
            'unknown: `trivet usage REQUEST_ID` says why; prices of your own are [prices."MODEL"] in trivet.toml.'
        )
    if "model" in by:
        notes.append("A request that fell back counts with each model that was asked.")
    return notes


def _plain(by: Sequence[By], total: Total) -> dict[str, Any]:
    """All of a sum; money as text, so that it stays exact."""
    import msgspec

    told = msgspec.structs.asdict(total)
    group, unknown = told.pop("group"), told.pop("unknown")
    told |= {name: None if told[name] is None else str(told[name]) for name in ("usd", "saved_usd")}
    return {**dict(zip(by, group, strict=True)), **told, "unknown": dict(unknown)}


def _json(
    path: Path,
    since: float | None,
    until: float | None,
    by: Sequence[By],
    found: Sequence[Total],
    whole: Sequence[Total],
) -> str:
    import json

    told = {
        "ledger": str(path),
        "since": since,
        "until": until,
        "by": list(by),
        "totals": [_plain(by, total) for total in found],
        "total": _plain((), whole[0]) if whole else None,
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _csv(by: Sequence[By], found: Sequence[Total]) -> None:
    import csv
    import sys

    from trivet.ledger.totals import Total

    fields = list(_plain((), Total()))
    fields.remove("unknown")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*by, *fields, "unknown_input", "unknown_output"])
    for total in found:
        told = _plain(by, total)
        unknown = (total.unknown.get(name, 0) for name in ("input_tokens", "output_tokens"))
        writer.writerow([*(told[name] for name in (*by, *fields)), *unknown])
