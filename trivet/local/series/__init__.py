"""How a series of numbers goes on, by Fracast, in numpy."""

from __future__ import annotations

from trivet.local.series.model import Fracast

__all__ = ["Fracast"]
