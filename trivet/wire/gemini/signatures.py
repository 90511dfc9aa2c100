"""Signatures. Gemini signs thoughts, texts and calls, in base64; a signature of another provider's stands there as the
base64 of its tag, so that Gemini's clients, which decode it, carry it like one of its own."""

from __future__ import annotations

from typing import Any

from trivet.errors import RequestError
from trivet.types import Thinking
from trivet.wire.gemini.proto import read_bytes, write_bytes
from trivet.wire.thinking import tag, tagged, untag

FAMILY = "gemini"
_OURS = b"trivet:"
_REDACTED = b"redacted:"
_BEFORE = b"before:"
BEFORE = {"signs": "before"}  # a read thought's `extra`: what it signs are the unsigned thoughts before it


def write_signature(part: Thinking, *, before: bool = False) -> str | None:
    """`thoughtSignature` for a thought, None where nobody has signed it. `before` says that the thought's text has
    already gone out, in parts of its own."""
    if part.redacted is not None:
        return write_bytes(_REDACTED + tag(part.redacted, part.provider or FAMILY, "").encode())
    if part.signature is None or part.provider in (None, FAMILY):
        return part.signature
    return write_bytes((_BEFORE if before else b"") + tag(part.signature, part.provider, FAMILY).encode())


def read_signature(text: str) -> dict[str, Any]:
    """The fields of the `Thinking` that stands for a `thoughtSignature`."""
    try:
        data = read_bytes(text, "")
        redacted, before = data.startswith(_REDACTED + _OURS), data.startswith(_BEFORE + _OURS)
        told = data.removeprefix(_REDACTED).removeprefix(_BEFORE)
        if told.startswith(_OURS) and tagged(told.decode()):
            own, provider = untag(told.decode(), FAMILY)
            signed = {"redacted" if redacted else "signature": own, "provider": provider}
            return signed | ({"extra": BEFORE} if before else {})
    except (RequestError, UnicodeDecodeError):
        pass
    return {"signature": text, "provider": FAMILY}
