"""Bytes inside JSON: base64, and the `data:` URLs of RFC 2397."""

from __future__ import annotations

import binascii
from urllib.parse import unquote_to_bytes

from trivet.errors import RequestError

PIECE = 1 << 20  # characters, of which 4 are 3 bytes: 2 ms
_IMAGES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def read_base64(text: str, path: str) -> bytes:
    """The bytes of standard base64, line breaks allowed; `path` is the field's, for the error."""
    try:
        return _decoded("".join(text.split()))
    except ValueError as e:  # binascii.Error is one, and so is what it says of characters beyond ASCII
        raise RequestError(f"{path}: not valid base64 ({e})", field=path) from None


def _decoded(text: str) -> bytes:
    """In pieces, between which other threads have a turn. A `=` before the end is wrong, which only the whole shows."""
    pieces = range(0, len(text), PIECE)
    if len(pieces) < 2 or text.find("=", 0, -2) >= 0:
        return binascii.a2b_base64(text, strict_mode=True)
    return b"".join(binascii.a2b_base64(text[at : at + PIECE], strict_mode=True) for at in pieces)


def write_base64(data: bytes) -> str:
    """In pieces, between which other threads have a turn."""
    step = PIECE // 4 * 3
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    return "".join(binascii.b2a_base64(piece, newline=False).decode() for piece in pieces)


def write_data_url(data: bytes, media_type: str | None) -> str:
    return f"data:{media_type or image_type(data) or ''};base64,{write_base64(data)}"


def image_type(data: bytes) -> str | None:
    """The media type of an image in a format that all hosts take. They want to be told, and a client need not have
    said."""
    return next((kind for beginning, kind in _IMAGES.items() if data.startswith(beginning)), None)


def read_data_url(url: str, path: str) -> tuple[bytes, str | None]:
    """The bytes and the media type (None where the URL does not say) of `data:[TYPE][;base64],DATA`."""
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise RequestError(f"{path}: a data URL is data:TYPE;base64,DATA, and this one has no comma", field=path)
    kind, *parameters = (piece.strip() for piece in head.split(";"))
    if parameters and parameters[-1].lower() == "base64":
        return read_base64(data, path), kind.lower() or None
    return unquote_to_bytes(data), kind.lower() or None
