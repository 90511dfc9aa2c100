"""Signatures. Gemini signs thoughts, texts and calls, in base64; a signature of another provider's stands there as the
base64 of its tag, so that Gemini's clients, which decode it, carry it like one of its own."""

from __future__ import annotations

from trivet.errors import RequestError
from trivet.types import Thinking
from trivet.wire.gemini.proto import read_bytes, write_bytes
from trivet.wire.thinking import tag, untag

FAMILY = "gemini"
_OURS = b"trivet:"
_REDACTED = b"redacted:"


def write_signature(part: Thinking) -> str | None:
    """`thoughtSignature` for a thought, None where nobody has signed it."""
    if part.redacted is not None:
        return write_bytes(_REDACTED + tag(part.redacted, part.provider or FAMILY, "").encode())
    if part.signature is None or part.provider in (None, FAMILY):
        return part.signature
    return write_bytes(tag(part.signature, part.provider, FAMILY).encode())


def read_signature(text: str) -> dict[str, str]:
    """The fields of the `Thinking` that stands for a `thoughtSignature`."""
    try:
        data = read_bytes(text, "")
        redacted = data.startswith(_REDACTED + _OURS)
        if redacted or data.startswith(_OURS):
            own, provider = untag(data.removeprefix(_REDACTED).decode(), FAMILY)
            return {"redacted" if redacted else "signature": own, "provider": provider}
    except (RequestError, UnicodeDecodeError):
        pass
    return {"signature": text, "provider": FAMILY}
