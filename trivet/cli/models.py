"""`trivet models`: the weights that are here, and those that could be."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from trivet.cli import examples, table, takes_config
from trivet.cli.pull import folder


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "models",
        help="list weights: what is here, and what to pull",
        description="List the weights that trivet knows, those from a hub and your own: task, size, licence, where "
        "they run, and whether they are here. A pipe gets tab-separated lines.",
        epilog=examples(
            "trivet models",
            "trivet models --json | jq -r '.[] | select(.here) | .name'",
        ),
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    takes_config(parser)
    parser.set_defaults(run=run)


COLUMNS = ("name", "task", "size", "licence", "runs", "state")


def run(args: argparse.Namespace) -> int:
    rows = listed(folder(args.config))
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        columns = _shown()
        cells = [[_cell(row, column) for column in columns] for row in rows]
        colours = ["green" if row["here"] else "red" if row["problem"] else "yellow" for row in rows]
        table.show(columns, cells, colours, right=("size",), whole=("size",), tight=True)
    return 0


def _shown() -> tuple[str, ...]:
    """All in a pipe; what runs them only in a terminal that has room."""
    narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < 100
    return tuple(column for column in COLUMNS if not (narrow and column == "runs"))


def listed(home: Path) -> list[dict[str, Any]]:
    """One row for each: name, task, size in bytes, licence, what runs it, `here`, path, problem, and the command that
    mends it. What is not known is None."""
    from trivet import catalog
    from trivet.local.digests import records

    rows = [_shipped(entry, home) for entry in catalog.weights().values()]
    rows += [_recorded(entry, home) for entry in records(home) if entry.path.endswith((".gguf", ".safetensors"))]
    return rows


def _row(**known: Any) -> dict[str, Any]:
    names = ("name", "task", "size", "licence", "runs", "here", "path", "source", "problem", "mend")
    return {name: known.get(name) for name in names}


def _shipped(entry: Any, home: Path) -> dict[str, Any]:
    from trivet.errors import WeightsError
    from trivet.local.weights import find

    row = _row(
        name=f"local/{entry.name}",
        task=entry.task,
        size=entry.size,
        licence=entry.licence,
        runs=f"here, {entry.engine}",
        here=False,
        path=str(home / entry.name / entry.files[0].name),
        source=entry.package,
    )
    try:
        find(entry.name, home)
    except WeightsError as error:
        damaged = all((home / entry.name / file.name).exists() for file in entry.every_file)
        return row | {"problem": str(error) if damaged else None, "mend": entry.command}
    return row | {"here": True}


def _recorded(entry: Any, home: Path) -> dict[str, Any]:
    from trivet.errors import WeightsError
    from trivet.local.digests import digest
    from trivet.local.weights import quoted, verify_path

    path = Path(entry.path)
    row = _row(
        name=entry.path, size=entry.size, licence=entry.licence, here=False, path=entry.path, source=entry.source
    )
    mend = f"trivet pull {entry.source or quoted(path)}"
    try:
        if not path.exists():
            return row | {"mend": mend if entry.source else None, "problem": f"{path} does not exist."}
        if path.suffix == ".gguf":
            verify_path(path, home)
            return row | _of_header(path) | {"here": True}
        if digest(path, home) != entry.sha256:
            return row | {"problem": f"{path} is not the file that was pulled.", "mend": mend}
    except (OSError, WeightsError) as error:
        return row | {"problem": str(error), "mend": mend}
    return row | {"here": True}


def _of_header(path: Path) -> dict[str, Any]:
    from trivet.local import gguf

    header = gguf.read(path)
    if header.architecture == gguf.PROJECTOR:
        return {"runs": "with its model"}
    task = "embed" if header.pooling else "chat" if header.chat_template else "complete"
    return {"task": "rerank" if header.ranks else task, "runs": "here, llama.cpp"}


def _state(row: dict[str, Any]) -> str:
    if row["here"]:
        return "here"
    if row["problem"]:
        return str(row["problem"])
    return f"not here: {row['mend']}"


def _cell(row: dict[str, Any], column: str) -> str:
    if column == "state":
        return _state(row)
    value = row[column]
    if value is None:
        return "-"
    return f"{value / 1e6:,.1f} MB" if column == "size" else str(value)
