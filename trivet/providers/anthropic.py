"""Anthropic, and whoever else speaks its messages under another base URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from trivet.providers.hosted import Hosted, Route
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Conversation, CountTokens, Request
from trivet.wire import anthropic
from trivet.wire.anthropic import citations, count

VERSION = "2023-06-01"
# Since 4.6 it decides itself how much to think, where it is asked to think at all; the effort alone does not ask.
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:[-.](\d{1,2})(?!\d))?")


class Anthropic(Hosted):
    """Nothing that the protocol says needs an `anthropic-beta` header; a client's own goes on."""

    family = "anthropic"
    base_url = "https://api.anthropic.com/v1"
    key_variable = "ANTHROPIC_API_KEY"
    routes: Mapping[type[Request], Route] = {
        Chat: Route(path="messages", wire=anthropic, streams=True),
        CountTokens: Route(path="messages/count_tokens", wire=count),
    }
    forwards = ("anthropic-beta", "anthropic-version")
    joins = ("anthropic-beta",)
    list_path = "models?limit=1000"

    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        super().__init__(settings, name=name)
        self._most_tokens: dict[str, int] = {}

    def headers(self, key: str | None) -> dict[str, str]:
        version = {"anthropic-version": VERSION}
        return version if key is None else {"x-api-key": key, **version}

    def thoughts(self, request: Conversation) -> tuple[Conversation, tuple[str, ...]]:
        request, notes = super().thoughts(request)
        request, more = citations.leave_out(request)
        return request, notes + more

    def listed(self, body: bytes) -> Iterable[str]:
        """The names, of which it keeps how many tokens each may answer with: the protocol must always be told some."""
        models = msgspec.json.decode(body)["data"]
        told = {model["id"]: model.get("max_tokens") for model in models}
        self._most_tokens = {name: most for name, most in told.items() if isinstance(most, int) and most > 0}
        return list(told)

    def quirks_of(self, model: str) -> Mapping[str, Any]:
        most = self._most_tokens.get(model)
        told = {} if most is None else {"most_tokens": most}
        version = _VERSION.match(model)
        adapts = version is not None and (int(version[1]), int(version[2] or 0)) >= (4, 6)
        return {**self.quirks, **told, "adaptive": adapts}
