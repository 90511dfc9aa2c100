"""What the commands over pictures, sound, texts and proteins share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trivet.cli import stdin, takes_config


def takes_model(parser: argparse.ArgumentParser, run: Any) -> None:
    """The options of each, and what it runs."""
    parser.add_argument(
        "-m", "--model", metavar="NAME", help="a model's name, or a path to weights (default: the catalogue's)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole response as JSON")
    takes_config(parser)
    parser.set_defaults(run=run, usage=parser.error)


def file(args: argparse.Namespace, what: str) -> Path | str | bytes:
    """What the argument `file` names: a path or a URL, or with `-`, or none, the bytes piped into standard input."""
    name: str | None = args.file
    if name is not None and name != "-":
        return name if "://" in name else Path(name)
    data = stdin.data()
    if not data:
        args.usage(f"there is no {what}: give a file as an argument, or pipe one into standard input")
    return data


def as_json(response: Any, *, without: str | None = None) -> None:
    """Prints it, but for a field."""
    import json

    from trivet.types import replace, to_json

    fields = json.loads(to_json(replace(response, raw=None)))
    fields.pop(without, None)
    print(json.dumps(fields, indent=2, ensure_ascii=False))


def notes(response: Any) -> None:
    """What was done differently from what was asked, on standard error."""
    import sys

    for note in response.notes:
        print(f"trivet: {note}", file=sys.stderr)
