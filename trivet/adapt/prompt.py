"""The prompt adapter: a model with a system prompt of its own (`base` + `system` in trivet.toml)."""

from __future__ import annotations

from trivet.model import Model, Wrapper
from trivet.types import Conversation, Request, replace, system


class Prompt(Wrapper):
    """Puts `text` in front of every conversation; a client's own system prompt follows it. Other tasks pass."""

    def __init__(self, inner: Model, text: str) -> None:
        super().__init__(inner)
        self.message = system(text)

    def edit(self, request: Request) -> Request:
        if isinstance(request, Conversation):
            return replace(request, messages=(self.message, *request.messages))
        return request
