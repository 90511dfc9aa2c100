"""Ids for answers that have none, and for calls whose id a provider does not take."""

from __future__ import annotations

import hashlib
import os
import re

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def fresh_id(prefix: str) -> str:
    return prefix + os.urandom(12).hex()


def fitting(id: str, pattern: str, *, prefix: str = "", length: int = 24) -> str:
    """The id itself where all of it matches `pattern`; else one made of it, `prefix` and `length` letters and digits,
    always the same, so that a call and its result still belong together."""
    if re.fullmatch(pattern, id):
        return id
    number = int.from_bytes(hashlib.sha256(id.encode()).digest())
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return prefix + "".join(digits)
