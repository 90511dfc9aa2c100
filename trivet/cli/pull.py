"""`trivet pull`: the one command that downloads weights."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli import examples, takes_config

if TYPE_CHECKING:
    from trivet.local.staging import Progress


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "pull",
        help="get weights, or accept a file of your own",
        description="Get weights into the weights folder, each file checked against its digest. "
        "Can be interrupted at any time and run again.",
        epilog=examples(
            "trivet pull minilm whisper-tiny.en",
            "trivet pull hf:OWNER/REPO/FILE.gguf@REVISION",
            "trivet pull ./my.gguf",
        ),
    )
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="a name that `trivet models` lists, hf:OWNER/REPO[/FILE]@REVISION, or the path of a GGUF of your own, "
        "whose digest is recorded, or of a model's folder that you have changed; without a name: the defaults",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing, or one line where something was got")
    parser.add_argument(
        "--accept-license", action="store_true", help="accept the terms of weights that may not be used for everything"
    )
    takes_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from trivet import catalog

    home = folder(args.config)
    for name in args.names or [entry.name for entry in catalog.defaults()]:
        if name.startswith("hf:"):
            _from_hub(name, home, quiet=args.quiet)
        elif is_path(name):
            _own(name, home, quiet=args.quiet)
        else:
            _shipped(name, home, quiet=args.quiet, accept=args.accept_license)
    return 0


def folder(config: str | None) -> Path:
    """The weights folder: TRIVET_HOME, else what trivet.toml says, else the user's data folder."""
    from trivet.local.weights import home

    path = Path(config) if config else Path("trivet.toml")
    if not config and not path.is_file():  # as `config.find` has it
        return home()  # the usual case, without the cost of reading configuration
    from trivet.config import load

    return home(load(path).local.home)


def is_path(name: str) -> bool:
    """Whether a name means a file of the user's own."""
    if name.startswith("local/"):
        return False
    return name.endswith(".gguf") or name.startswith(("~", ".")) or "/" in name or os.sep in name


def _shipped(name: str, home: Path, *, quiet: bool, accept: bool) -> None:
    from trivet import catalog
    from trivet.local.pull import pull

    entry = catalog.named(name)
    with _shown(quiet) as progress:
        path, fresh = pull(name, home, progress, accept=accept, waiting=_waiting(name, quiet))
    if fresh:
        print(f"Pulled {entry.name} ({entry.size / 1e6:,.0f} MB, {entry.licence}): {path}")
    elif not quiet:
        print(f"{entry.name} is here: {path}")


def _from_hub(name: str, home: Path, *, quiet: bool) -> None:
    from trivet.local.hub import pull

    with _shown(quiet) as progress:
        pinned, paths, fresh = pull(name, home, progress, waiting=_waiting(name, quiet))
    if quiet and not fresh:
        return
    print(f"{'Pulled' if fresh else 'Here already:'} {pinned}{':' if fresh else ''} {_use(paths)}")
    if not quiet and len(paths) > 1:
        for path in paths:
            print(f"  {path}")


def _use(paths: tuple[Path, ...]) -> str:
    """What to type: the file that an engine opens (the first of a split one), else the folder."""
    ggufs = sorted(path for path in paths if path.suffix == ".gguf")
    if ggufs:
        return str(ggufs[0])
    return str(paths[0] if len(paths) == 1 else Path(os.path.commonpath(paths)))


def _own(name: str, home: Path, *, quiet: bool) -> None:
    """A file; or a folder, and then all of it that was in use before."""
    from trivet.local.digests import records
    from trivet.local.weights import accept

    path = Path(os.path.abspath(os.path.expanduser(name)))
    used = [Path(entry.path) for entry in records(home)] if path.is_dir() else []
    for file in [file for file in used if path in file.parents and file.is_file()] or [path]:
        entry = accept(file, home)
        if not quiet:
            print(f"Recorded {entry.path} ({entry.size / 1e6:,.0f} MB): SHA-256 {entry.sha256}")


def _waiting(name: str, quiet: bool) -> Any:
    if quiet:
        return None
    return lambda: print(f"Waiting for another trivet pull of {name}.", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[Progress | None]:
    """Shows progress on standard error: a bar on a terminal, else one line for each thing that is done."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        told: set[str] = set()

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in told:
                told.add(what)
                size = f" ({total / 1e6:,.0f} MB)" if total else ""
                print(f"{what}{size}", file=sys.stderr, flush=True)

        yield tell


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Bars(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
