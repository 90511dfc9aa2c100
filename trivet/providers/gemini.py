"""Google's Gemini, by its own protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from trivet.providers.hosted import Hosted, Route
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, CountTokens, Embed, Request
from trivet.wire import gemini
from trivet.wire.gemini import count, embed


class Gemini(Hosted):
    """The key is in `GEMINI_API_KEY`, or, as for Google's own client, in `GOOGLE_API_KEY`."""

    family = "gemini"
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    key_variable = "GEMINI_API_KEY"
    most_texts = 100  # of batchEmbedContents, whose error says so
    list_path = "models?pageSize=1000"  # the most that it gives on a page
    routes = {  # noqa: RUF012
        Chat: Route(
            path="models/{model}:generateContent",
            stream_path="models/{model}:streamGenerateContent?alt=sse",
            wire=gemini,
            streams=True,
        ),
        CountTokens: Route(path="models/{model}:countTokens", wire=count),
        Embed: Route(path="models/{model}:batchEmbedContents", wire=embed),
    }

    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        super().__init__(settings, name=name)
        if not os.environ.get("GEMINI_API_KEY", "").strip() and os.environ.get("GOOGLE_API_KEY", "").strip():
            self.key_variable = "GOOGLE_API_KEY"

    def headers(self, key: str | None) -> dict[str, str]:
        return {} if key is None else {"x-goog-api-key": key}

    def keeps_unsigned(self, request: Request) -> bool:
        """Of a client of its own it takes back the thoughts that it has told, which it does not sign."""
        return request.source is not None and request.source.protocol in (gemini.PROTOCOL, count.PROTOCOL)

    def refuses_key(self, status: int, body: bytes) -> bool:
        return super().refuses_key(status, body) or (status == 400 and b'"API_KEY_INVALID"' in body)

    def listed(self, body: bytes) -> Iterable[str]:
        return [model["name"].removeprefix("models/") for model in msgspec.json.decode(body)["models"]]

    def next_page(self, body: bytes) -> str | None:
        token = msgspec.json.decode(body).get("nextPageToken")
        return f"{self.list_path}&pageToken={quote(token, safe='')}" if token else None
