"""`trivet demo`: every task that has embedded weights, on small samples, in one table."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli import examples, takes_config

if TYPE_CHECKING:
    from trivet.catalog import Weights
    from trivet.cli.demo_samples import Sample

Row = dict[str, Any]
COLUMNS = ("task", "model", "input", "output", "time", "tokens", "cost")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="run every task that has embedded weights, on small samples",
        description="Run every task that has embedded weights, on small samples, and print a table. Pulls the weights "
        "that are missing; the time has a model's loading in it. The models are tiny: they show that it works, not how "
        "good models are. Exit status 1 where a task fails.",
        epilog=examples(
            "trivet demo",
            "trivet demo --only embed,rerank --json",
        ),
    )
    parser.add_argument("--only", metavar="TASK,…", help="these tasks, such as embed,rerank")
    parser.add_argument("--json", action="store_true", help="print a list of rows as JSON")
    parser.add_argument(
        "--accept-license",
        action="store_true",
        help="pull those weights too that have terms: a voice that is not for commercial use",
    )
    takes_config(parser)
    parser.set_defaults(run=run, usage=parser.error)


def run(args: argparse.Namespace) -> int:
    import json

    from trivet.cli.demo_samples import SAMPLES
    from trivet.cli.pull import folder

    home = folder(args.config)
    todo = [sample for sample in SAMPLES if _known(sample)]
    if args.only is not None:
        todo = _chosen(todo, args)
    todo = [sample for sample in todo if _accepted(sample, home, args)]
    rows = [_row(sample, home, args) for sample in todo]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _show(rows)
    failed = [row["task"] for row in rows if row["error"]]
    if failed:
        print(f"trivet: failed: {', '.join(failed)} (of {len(rows)} tasks).", file=sys.stderr)
    return 1 if failed or not rows else 0


def _entries(sample: Sample) -> list[Weights | None]:
    from trivet import catalog

    return [catalog.for_task(task) for task in sample.needs]


def _known(sample: Sample) -> bool:
    """Whether the catalogue has weights for it."""
    return None not in _entries(sample)


def _chosen(samples: Sequence[Sample], args: argparse.Namespace) -> list[Sample]:
    from trivet.config import nearest

    tasks = list(dict.fromkeys(sample.task.split()[0] for sample in samples))
    wanted = [task.strip() for task in args.only.split(",")]
    for task in wanted:
        if task not in tasks:
            near = nearest(task, tasks)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(tasks)}"
            args.usage(f"--only {task!r}: {hint}")
    return [sample for sample in samples if sample.task.split()[0] in wanted]


def _accepted(sample: Sample, home: Path, args: argparse.Namespace) -> bool:
    """Whether its weights may be pulled, or are here. Says so where not."""
    for entry in _entries(sample):
        if entry is not None and entry.terms and not args.accept_license and not _here(entry, home):
            told = f"trivet: {sample.task} is left out, {entry.name} has terms: {entry.terms}"
            print(f"{told} If you accept them: trivet demo --accept-license", file=sys.stderr)
            return False
    return True


def _here(entry: Weights, home: Path) -> bool:
    from trivet.errors import WeightsError
    from trivet.local import weights

    try:
        weights.find(entry.name, home, digests=False)
    except WeightsError:
        return False
    return True


def _row(sample: Sample, home: Path, args: argparse.Namespace) -> Row:
    """What came of it. Whatever goes wrong with one task does not keep the others from being tried."""
    import time

    from trivet.cli import line

    entries = [entry for entry in _entries(sample) if entry is not None]
    row: Row = {"task": sample.task, "model": f"local/{entries[0].name} (tiny)"}
    row |= dict.fromkeys(("input", "output", "time_s", "tokens", "cost_usd", "error"))
    try:
        for entry in entries:
            if not _here(entry, home):
                _pull(entry, args)
        models = {need: f"local/{entry.name}" for need, entry in zip(sample.needs, entries, strict=True)}
        if sample.first is not None:
            sample.first(models, args.config)
        with _working(sample.task):
            began = time.perf_counter()
            answered = sample.ask(models, args.config)
            row["time_s"] = round(time.perf_counter() - began, 3)
    except Exception as error:
        if args.debug:
            raise
        return {**row, "error": line(error)}
    response = answered.response
    cost = response.cost and response.cost.usd
    row |= {"input": answered.input, "output": answered.output, "tokens": response.usage.total_tokens}
    return {**row, "cost_usd": None if cost is None else float(cost)}


def _pull(entry: Weights, args: argparse.Namespace) -> None:
    """As `trivet pull` does, whose lines go where progress goes: standard output is the table's."""
    from trivet.cli import pull

    asked = argparse.Namespace(names=[entry.name], quiet=False, accept_license=args.accept_license, config=args.config)
    with contextlib.redirect_stdout(sys.stderr):
        pull.run(asked)


@contextlib.contextmanager
def _working(task: str) -> Iterator[None]:
    """Says on a terminal what is being done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{task} …"):
        yield


def _show(rows: Sequence[Row]) -> None:
    from trivet.cli import table

    cells = [
        [
            row["task"],
            row["model"],
            row["input"] or "",
            " ".join((row["error"] or row["output"]).split()),
            "" if row["time_s"] is None else f"{row['time_s']:.2f} s",
            "" if row["error"] else "?" if row["tokens"] is None else str(row["tokens"]),
            "failed" if row["error"] else "?" if row["cost_usd"] is None else f"${row['cost_usd']:g}",
        ]
        for row in rows
    ]
    colours = ["red" if row["error"] else "green" for row in rows]
    table.show(COLUMNS, cells, colours, right=("time", "tokens", "cost"), whole=("time", "tokens", "cost"))
