"""An effort for whoever does not say how much to think."""

from __future__ import annotations

from trivet.model import Model, Wrapper
from trivet.types import Conversation, Effort, Reasoning, Request, replace

__all__ = ["DefaultEffort"]


class DefaultEffort(Wrapper):
    """Asks for `effort` in every conversation that asks for no reasoning of its own; other tasks pass."""

    def __init__(self, inner: Model, effort: Effort) -> None:
        super().__init__(inner)
        self.reasoning = Reasoning(effort=effort)

    def edit(self, request: Request) -> Request:
        if isinstance(request, Conversation) and request.reasoning is None:
            return replace(request, reasoning=self.reasoning)
        return request
