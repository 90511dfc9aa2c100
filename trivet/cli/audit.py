"""`trivet audit`: what the ledger advises, each with figures and the lines of trivet.toml that mend it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from trivet.cli.period import takes_period

if TYPE_CHECKING:
    from pathlib import Path

    from trivet.ledger.advice import Finding
    from trivet.ledger.audit import Report

WIDTH = 100  # of lines, at most


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "audit",
        help="say what could be cheaper or safer, and the lines that mend it",
        description="Read the ledger and trivet.toml, and name what costs more than it has to or hangs on a single "
        "provider: long prefixes that no cache keeps, names without a fallback, models that are dearer than another of "
        "the same abilities. Each with figures, and with lines for trivet.toml. It asks nobody and changes nothing; it "
        "exits with 0, whatever it finds.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON; money is exact, as strings")
    takes_period(parser, since="30d")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from trivet.cli import period
    from trivet.cli.audit_facts import facts, reading
    from trivet.ledger.audit import Audit
    from trivet.ledger.store import export

    since, until = period.period(args)
    runtime = reading(args.config)
    path = period.ledger(args, runtime.config)
    with period.readable(path):
        audit = Audit(export(path, since=since, until=until))
    report = audit.report(facts(runtime, audit.names, audit.models))
    if args.json:
        print(_json(report, path, since, until))
    else:
        _show(report, path, args)
    return 0


def _json(report: Report, path: Path, since: float | None, until: float | None) -> str:
    import json

    import msgspec

    told = {"ledger": str(path), "since": since, "until": until, **msgspec.to_builtins(report)}
    for finding, whole in zip(told["findings"], report.findings, strict=True):
        finding |= {name: getattr(whole, name) for name in ("toml", "requests", "failures", "tokens")}
        finding["usd"] = None if whole.usd is None else str(whole.usd)
    return json.dumps(told, indent=2, ensure_ascii=False)


def _show(report: Report, path: Path, args: argparse.Namespace) -> None:
    from trivet.cli import period

    empty = None if report.requests else period.nothing(path, args)
    n = len(report.findings)
    found = "nothing to mend" if not n else "1 finding" if n == 1 else f"{n} findings, the dearest first"
    requests = f"{report.requests:,} request{'' if report.requests == 1 else 's'}"
    _print(empty or f"{requests} in {path}{period.told(args)}: {found}.")
    if empty and n:
        _print("Of trivet.toml alone:")
    for number, finding in enumerate(report.findings, 1):
        _finding(number, finding)
    if sum(finding.toml is not None for finding in report.findings) > 1:
        print()
        _print("Each is for trivet.toml as it is now: where two change one table, put them together or audit again.")
    if report.notes:
        print()
        _print("What could not be looked at:")
        for note in report.notes:
            _print(note, first="- ", indent="  ")


def _finding(number: int, finding: Finding) -> None:
    from trivet.ledger.advice import dollars

    first = f"{number}. "
    indent = " " * len(first)
    money = "" if not finding.usd else f": about {dollars(finding.usd)}"
    print()
    _print(f"{finding.title}{money}", first=first, indent=indent, bold=True)
    _print(finding.text, first=indent, indent=indent)
    _print(finding.mend + (":" if finding.toml else "."), first=indent, indent=indent)
    if finding.toml:
        print()
        for line in finding.toml.splitlines():
            print(f"{indent}    {line}" if line else "")


def _print(text: str, *, first: str = "", indent: str = "", bold: bool = False) -> None:
    """A paragraph, folded where somebody looks at it."""
    import shutil
    import sys
    import textwrap

    from trivet.cli.table import plain

    text = plain(text)
    if not sys.stdout.isatty():
        print(f"{first}{text}")
        return
    width = min(shutil.get_terminal_size().columns, WIDTH)
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    for line in lines:
        print(f"\x1b[1m{line}\x1b[0m" if bold else line)
