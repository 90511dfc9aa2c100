"""Server-sent events, as bytes (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re

from trivet.errors import TransportError
from trivet.types import Value

LARGEST = 64 * 1024 * 1024  # bytes of one event: an image in base64 fits

_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"\r\n|\r|\n")
_BLANK = re.compile(rb"(?>\r\n?|\n)(?>\r\n?|\n)")  # the end of a line, and an empty line; CR LF is never taken for two


def event(data: bytes, name: str | None = None) -> bytes:
    """One event of one line of data, which JSON always is."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"


class Event(Value, frozen=True, kw_only=True):
    """An event that was received: its name, its data, and the bytes that it came in, the empty line included."""

    data: bytes
    name: str | None = None
    raw: bytes = b""


class Parser:
    """Bytes as they come, cut anywhere, to events. Comments are passed over, and so is a cut event at the end.

    No byte goes astray: what stands before an event and is none itself is at the head of its `raw`. A carriage return
    ends a line at once, so that nothing waits for a byte that may never come; a line feed that follows it in the next
    chunk is at the head of the next event's `raw`. The work is linear in the bytes, however they are cut."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of the event that has begun
        self._returns = False  # are carriage returns in it?
        self._before = bytearray()  # what was no event, and goes to the `raw` of the next
        self._first = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are complete now. Raises `TransportError` for one larger than `LARGEST`."""
        rest = self._rest
        self._returns = self._returns or b"\r" in chunk
        if rest:
            begin = max(0, len(rest) - 2)  # all before is known to hold no empty line
            rest += chunk
            if not (_BLANK.search(rest, begin) if self._returns else rest.find(b"\n\n", begin) >= 0):
                self._check(len(rest))
                return []
            chunk = bytes(rest)
        *blocks, left = _blocks(chunk) if self._returns else _blocks_of_feeds(chunk)
        self._rest, self._returns = bytearray(left), b"\r" in left
        self._check(len(left))
        return [told for block in blocks if (told := self._event(block)) is not None]

    def _event(self, raw: bytes) -> Event | None:
        """What a block of lines, its empty line included, amounts to."""
        self._check(len(raw))
        text = raw
        if self._first:
            self._first, text = False, raw.removeprefix(_BOM)
        if self._before:
            raw = bytes(self._before) + raw
        if text.startswith(b"data: ") and text.find(b"\n") == len(text) - 2 and b"\r" not in text:  # as nearly all are
            self._before.clear()
            return Event(data=text[6:-2], raw=raw)
        name, data = None, []
        for line in _LINE.split(text):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ").decode("utf-8", "replace") or None
        if not data:
            self._before[:] = raw
            return None
        self._before.clear()
        return Event(data=b"\n".join(data), name=name, raw=raw)

    def _check(self, size: int) -> None:
        if len(self._before) + size > LARGEST:
            raise TransportError(
                f"an event of the stream is larger than {LARGEST // 2**20} MiB, which no answer needs: "
                "see what the provider sends"
            )


def _blocks_of_feeds(chunk: bytes) -> list[bytes]:
    """The blocks of lines in a chunk without carriage returns, and what is left over."""
    *whole, left = chunk.split(b"\n\n")
    return [*[block + b"\n\n" for block in whole], left]


def _blocks(chunk: bytes) -> list[bytes]:
    """The same where there are carriage returns."""
    blocks, begin = [], 0
    for blank in _BLANK.finditer(chunk):
        blocks.append(chunk[begin : blank.end()])
        begin = blank.end()
    return [*blocks, chunk[begin:]]
