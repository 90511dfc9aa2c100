"""`[models.NAME.route]`: how the models that a name stands for are asked."""

from __future__ import annotations

from typing import Literal

from trivet.types import Value

__all__ = ["RouteSettings"]


class RouteSettings(Value, frozen=True, kw_only=True):
    """`policy` is the order in which the names of `use` are asked, `weights` their shares under "weighted" (equal ones
    where none are given). `sticky` asks first who answered a conversation's last turn, whose prompt cache is warm.
    `retries` more times each name is asked after an error that may pass; `breaker` leaves it alone for a while where
    most requests fail. In seconds: `hedge_s` until the next name is asked beside a slow one; and what may pass until
    the first content (`first_content_s`), between two events (`gap_s`), until an answer that comes in one piece
    (`whole_s`), and in all, retries included (`total_s`). A name that is a route itself has its own retries and
    breakers."""

    policy: Literal["ordered", "weighted", "least-busy", "fastest", "cheapest"] = "ordered"
    weights: tuple[float, ...] = ()
    sticky: bool = False
    retries: int = 2
    breaker: bool = True
    hedge_s: float | None = None
    first_content_s: float | None = None
    gap_s: float | None = None
    whole_s: float | None = None
    total_s: float | None = None

    def __post_init__(self) -> None:
        if self.weights and self.policy != "weighted":
            raise ValueError(f'weights are for policy = "weighted", and it is {self.policy!r}')
        if any(not weight >= 0 for weight in self.weights) or (self.weights and not sum(self.weights)):
            raise ValueError("weights are shares: none less than 0, and not all of them 0")
        if not 0 <= self.retries <= 10:
            raise ValueError(f"retries is {self.retries}, must be between 0 and 10")
        for name in ("hedge_s", "first_content_s", "gap_s", "whole_s", "total_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}, must be more than 0; leave it out for no limit")
