"""The command line: one module per command, each with `add(subparsers)`, which declares its arguments, and
`run(args)`, which returns the exit status and imports what it needs.

Exit status: 0 all is well, 1 an error (one line on standard error), 2 wrong usage, 130 Ctrl-C, 141 the reader of
the output has gone.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = (
    *("chat", "serve", "pull", "models", "providers", "choose"),
    *("embed", "forecast", "rerank", "classify", "read", "transcribe", "speak", "complete", "mask", "demo"),
    *("usage", "audit", "keys", "config", "version"),
)
LEFT_S = 2.0  # for threads, when models have closed after a Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, and returns its exit status."""
    _open_closed()
    _say_all()
    args = _parsed(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()  # here, where a reader who has gone is no surprise
        return status
    except KeyboardInterrupt:
        _end_at_the_next_one()
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 141
    except Exception as error:
        if args.debug:
            raise
        print(f"trivet: {line(error)}", file=sys.stderr)
        return 1


def _open_closed() -> None:
    """Standard output and error that were closed (`>&-`) go nowhere. As None, `print` would send errors to standard
    output, and an engine's socket could get their number."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _say_all() -> None:
    """What the output has no letters for is written as `\\u20ac`, and ends nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")


def _end_at_the_next_one() -> None:
    """A second Ctrl-C, while models are closing, ends the process at once, and without a traceback too."""
    import contextlib
    import signal
    import threading

    with contextlib.suppress(ValueError):  # not in the main thread, which alone gets signals
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    # Python waits for threads at its end, and an engine may be in the middle of half a minute of sound.
    closed = threading.Event()
    threading.Thread(target=_end_soon_after, args=(closed,), daemon=True).start()
    getattr(threading, "_register_atexit", lambda call, *args: None)(_close, closed)


def _end_soon_after(closed: Any) -> None:
    import time

    closed.wait()
    time.sleep(LEFT_S)
    os._exit(130)


def _close(closed: Any) -> None:
    """What has been counted, and printed, is written down first."""
    import contextlib

    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    if (sync := sys.modules.get("trivet.sync")) is not None:
        sync.close()
    closed.set()


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. What is too much is told by the command that has them, and not by `trivet`."""
    parser = _parser()
    args, more = parser.parse_known_args(argv)
    if more:
        complain = getattr(args, "usage", parser.error)
        options = any(each.startswith("-") for each in more)
        hint = "see --help for the options" if options else "quote what has spaces; of files, one at a time"
        complain(f"not understood: {' '.join(more)} ({hint})")
    return args


def _parser() -> argparse.ArgumentParser:
    from trivet import __version__

    parser = argparse.ArgumentParser(
        prog="trivet", description="One interface to every foundation model: hosted, self-served and embedded."
    )
    parser.add_argument("--version", action="version", version=f"trivet {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"trivet.cli.{name}").add(subparsers)
    for command in subparsers.choices.values():  # `trivet chat --debug` is what people type
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        command.formatter_class = _Help
    return parser


class _Help(argparse.HelpFormatter):
    """Keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:\n") else super()._fill_text(text, width, indent)


def examples(*lines: str) -> str:
    """A parser's `epilog`."""
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def takes_config(parser: argparse.ArgumentParser) -> None:
    """The option of every command that reads a configuration."""
    parser.add_argument("--config", metavar="FILE", help="trivet.toml to read (default: ./trivet.toml if it is there)")


def line(error: Exception) -> str:
    """An error as one line. What trivet did not raise on purpose is named, and is likely to be a defect."""
    from trivet.errors import TrivetError

    text = " ".join(str(error).split("\n"))
    if isinstance(error, TrivetError):
        return text
    if isinstance(error, OSError):
        if error.filename is not None and error.strerror:
            return f"{error.filename}: {error.strerror}"
        return text or type(error).__name__
    return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"
