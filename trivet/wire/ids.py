"""Ids for answers whose model gave none."""

from __future__ import annotations

import os


def fresh_id(prefix: str) -> str:
    return prefix + os.urandom(12).hex()
