"""What the commands over pictures, sound, texts and proteins share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
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


def count(text: str) -> int:
    """The `type` of an argument that is a number of things."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return int(text)


def writable(path: str) -> None:
    """Raises `RequestError` where no file of that name can be written: before anything is asked, and paid for."""
    from trivet.errors import RequestError

    file = Path(path).expanduser()
    if file.is_dir():
        raise RequestError(f"{path} is a folder: name a file in it")
    if not file.parent.is_dir():
        raise RequestError(f"There is no folder {file.parent} to write {file.name} into: make it, or name another")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise RequestError(f"{path} cannot be written: name another file, or change its permissions")


def as_json(response: Any, *, without: Collection[str] = (), **more: Any) -> None:
    """Prints it, but for some fields, and `more` beside it. `usage`, `cost` and `notes` are always there, and amounts
    of money are numbers: a shell's tools reckon with them."""
    import json

    from trivet.types import Cost, replace, to_json

    fields = json.loads(to_json(replace(response, raw=None)))
    cost = json.loads(to_json(response.cost or Cost()))
    for name in ("usd", "saved_usd"):
        cost[name] = None if cost.get(name) is None else float(cost[name])
    head = {name: fields.pop(name, None) for name in ("task", "model")}
    head |= {"usage": json.loads(to_json(response.usage)), "cost": cost}
    tail = {"notes": fields.pop("notes", [])}
    fields = {name: value for name, value in fields.items() if name not in (*head, *without)}
    print(json.dumps({**head, **fields, **more, **tail}, indent=2, ensure_ascii=False))


def notes(response: Any) -> None:
    """What was done differently from what was asked, on standard error."""
    import sys

    for note in response.notes:
        print(f"trivet: {note}", file=sys.stderr)
