"""The result of a function: Gemini wants a JSON object, the vocabulary has texts.

`{"output": text}` is a text, `{"error": text}` one of a failure, either with a list of texts for several; any other
object is the text of its JSON. What is written reads back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


def read_response(response: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The texts, and whether they tell of a failure."""
    if not response:
        return (), False
    if len(response) == 1:
        ((name, value),) = response.items()
        if name in ("output", "error") and isinstance(value, str):
            return (value,), name == "error"
        if name in ("output", "error") and _several(value):
            return tuple(value), name == "error"
        if name == "error" and value is not None:
            return (_text(response),), True
    return (_text(response),), False


def write_response(texts: Sequence[str], failed: bool) -> dict[str, Any]:
    if len(texts) == 1:
        try:
            value = msgspec.json.decode(texts[0])
        except (msgspec.DecodeError, RecursionError):
            value = None
        if isinstance(value, dict) and read_response(value) == ((texts[0],), failed):
            return value
    if not texts and not failed:
        return {}
    return {"error" if failed else "output": texts[0] if len(texts) == 1 else list(texts)}


def _several(value: Any) -> bool:
    return isinstance(value, list) and len(value) != 1 and all(isinstance(text, str) for text in value)


def _text(response: dict[str, Any]) -> str:
    return msgspec.json.encode(response).decode()
