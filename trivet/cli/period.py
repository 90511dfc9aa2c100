"""Of which time a command tells, and from which ledger."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trivet.cli import takes_config

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_AGO = re.compile(r"(\d{1,5})([hdw])")


def takes_period(parser: argparse.ArgumentParser, *, since: str) -> None:
    """The options of the commands that read the ledger; `since` is the default."""
    parser.add_argument(
        "--since",
        metavar="WHEN",
        default=since,
        help="from when on: 7d, 12h, 2w, a day (2026-11-01), a time (2026-11-01T12:00) " + f"or all (default: {since})",
    )
    parser.add_argument("--until", metavar="WHEN", help="until when, that day included (default: now)")
    parser.add_argument("--ledger", metavar="FILE", help="ledger to read (default: what [ledger] of trivet.toml names)")
    takes_config(parser)


def period(args: argparse.Namespace) -> tuple[float | None, float | None]:
    """From when on, and before when, in seconds since 1970. Raises `RequestError` for words that are no time."""
    since = None if args.since == "all" else _moment("--since", args.since)
    until = None if args.until is None else _moment("--until", args.until)
    end = None if until is None else _end(until, args.until)
    return None if since is None else since.timestamp(), None if end is None else end.timestamp()


def ledger(args: argparse.Namespace, config: Any) -> Path:
    """The file: that of `--ledger`, which has to be there, else of the configuration."""
    from pathlib import Path

    from trivet.counting import ledger_path
    from trivet.errors import TrivetError

    if not args.ledger:
        return ledger_path(config)
    path = Path(args.ledger).expanduser()
    if not path.is_file():
        raise TrivetError(f"there is no {path}: name a ledger that is there, or leave --ledger out")
    return path


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong with the file while it is read becomes a `TrivetError` that says what to do."""
    import sqlite3

    from trivet.errors import TrivetError

    try:
        yield
    except sqlite3.Error as error:
        raise TrivetError(
            f"{path} cannot be read as a ledger ({error}): name another with --ledger, or move it away; the next "
            "request begins a new one"
        ) from error


def told(args: argparse.Namespace) -> str:
    """`, since 2026-10-30`; empty for all there is."""
    since, until = period(args)
    found = "" if since is None else f", since {_day(since)}"
    return found if until is None else f"{found} until {args.until}"


def _day(at: float) -> str:
    """Here."""
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d")


def nothing(path: Path, args: argparse.Namespace) -> str:
    """That the ledger has no request of that time: where it was looked for, and what writes it."""
    if not path.exists():
        return (
            f"No request has been written down yet: there is no {path}. `trivet serve`, `trivet chat` and Python's "
            "trivet.chat write it, with each request; another ledger is read with --ledger, or with the --config that "
            "names it."
        )
    hint = "" if args.since == "all" else "; --since all shows all there is"
    return f"{path} has no request{told(args)}{hint}."


def _moment(option: str, text: str) -> datetime:
    """In local time. Days ago, and weeks, begin with their day: the first row of a table is a whole day."""
    from datetime import datetime, timedelta

    from trivet.errors import RequestError

    now = datetime.now().astimezone()
    if found := _AGO.fullmatch(text.strip().lower()):
        count, unit = int(found[1]), found[2]
        if unit == "h":
            return now - timedelta(hours=count)
        then = (now.replace(tzinfo=None) - timedelta(days=count * (7 if unit == "w" else 1))).date()
        return datetime(then.year, then.month, then.day).astimezone()
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError:
        raise RequestError(
            f"{option} {text!r} is no time: write how long ago (7d, 12h, 2w), a day (2026-11-01) or a time "
            "(2026-11-01T12:00)",
            field=option.strip("-"),
        ) from None


def _end(until: datetime, text: str) -> datetime:
    """The end of the day, where it is a day that was named."""
    from datetime import timedelta

    if re.fullmatch(r"\d{4}-?\d\d-?\d\d|\d+[dw]", text.strip().lower()):
        return (until.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return until
