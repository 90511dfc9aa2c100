"""Ids for answers that have none, and for calls whose id a provider does not take."""

from __future__ import annotations

import hashlib
import os
import random
import re

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# Not `random`'s own, which a program may seed, and then would have the same ids each time. No secret hangs on an id.
_random = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def fresh_id(prefix: str) -> str:
    return f"{prefix}{_random.getrandbits(96):024x}"


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
