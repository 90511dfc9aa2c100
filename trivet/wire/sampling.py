"""Sampling options, checked, with complaints in the client's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.errors import RequestError
from trivet.types import Sampling


def bounded(values: Mapping[str, Any], names: Mapping[str, str]) -> Sampling:
    """`Sampling(**values)`. `names` are the client's names for ours where they differ: an error must name what
    the client wrote."""
    try:
        return Sampling(**values)
    except ValueError as e:
        ours, _, what = str(e).partition(" ")
        theirs = names.get(ours, ours)
        raise RequestError(f"{theirs} {what}", field=theirs) from None
