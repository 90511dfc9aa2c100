"""What is piped into standard input."""

from __future__ import annotations

import sys


def is_terminal() -> bool:
    """Whether somebody sits in front of it."""
    return sys.stdin is not None and sys.stdin.isatty()


def text() -> str:
    """All of it, without blank lines around; empty where nothing is piped. Raises RequestError unless it is UTF-8."""
    return whole().strip("\n")


def whole() -> str:
    """The same with the blank lines."""
    from trivet.errors import RequestError

    try:
        return data().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise RequestError(f"Standard input is not UTF-8 text: byte {error.start} is wrong.") from None


def data() -> bytes:
    """All of it as bytes; empty where nothing is piped."""
    return b"" if sys.stdin is None or is_terminal() else sys.stdin.buffer.read()
