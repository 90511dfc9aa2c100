"""Rows for the ledger's tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trivet.ledger.rows import AttemptRow, Row
from trivet.types import Cost, Usage

NOON = 1_790_942_400.0  # 2026-10-02T12:00:00Z


def usage(input: int | None = 10, output: int | None = 5, **more: Any) -> Usage:
    return Usage(
        **{"uncached_input_tokens": input, "cache_read_tokens": 0, "cache_write_tokens": 0, "output_tokens": output}
        | more
    )


def cost(usd: str | None, **more: Any) -> Cost:
    return Cost(usd=None if usd is None else Decimal(usd), **more)


def attempt(model: str = "openai/a", usd: str | None = "0.5", **more: Any) -> AttemptRow:
    given = {"outcome": "answered", "began_s": 0.01, "took_s": 1.0, "usage": usage(), "cost": cost(usd)} | more
    return AttemptRow(model=model, **given)


def row(id: str, *attempts: AttemptRow, **more: Any) -> Row:
    """An answered request; without attempts, of one."""
    attempts = attempts or (attempt(),)
    given: dict[str, Any] = {
        "at": NOON,
        "task": "chat",
        "asked": "smart",
        "outcome": "answered",
        "took_s": 1.5,
        "model": attempts[-1].model,
        "attempts": attempts,
        "usage": attempts[0].usage,
        "cost": attempts[0].cost,
    } | more
    for other in attempts[1:]:
        if "usage" not in more:
            given["usage"] += other.usage
        if "cost" not in more:
            given["cost"] += other.cost
    return Row(id=id, **given)
