"""Server-sent events, as bytes (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from trivet.types import Value

LARGEST = 64 * 1024 * 1024  # bytes of one event: an image in base64 fits


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
    """Bytes as they come, cut anywhere, to events. Comments are passed over, and so is a cut event at the end."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are complete now. Raises `TransportError` for one larger than `LARGEST`."""
        raise NotImplementedError
