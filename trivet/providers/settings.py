"""The `[providers.NAME]` tables."""

from __future__ import annotations

from collections.abc import Mapping

from trivet.types import Value


class ProviderSettings(Value, frozen=True, kw_only=True):
    """`kind` is what speaks to it, None being the kind that is called like the provider; `base_url` where it is;
    `headers` go with every request."""

    kind: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    headers: Mapping[str, str] = {}
