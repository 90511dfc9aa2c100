"""Server-sent events, as bytes (WHATWG HTML, section 9.2)."""

from __future__ import annotations


def event(data: bytes, name: str | None = None) -> bytes:
    """One event of one line of data, which JSON always is."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"
