"""The `[providers.NAME]` tables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from trivet.types import Value


class ProviderSettings(Value, frozen=True, kw_only=True):
    """`kind` is what speaks to it, None being the kind that is called like the provider; `base_url` where it is;
    `headers` go with every request. The times bound, in seconds, connecting, the wait for the head of an answer, and
    that between two pieces of it; None is trivet's default."""

    kind: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    headers: Mapping[str, str] = {}
    connect_s: float | None = None
    first_byte_s: float | None = None
    between_bytes_s: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "":
            raise ValueError("kind is empty")
        if self.base_url is not None and not re.match(r"https?://[^\s/?#]+[^\s]*$", self.base_url):
            raise ValueError(f"base_url is {self.base_url!r}, must begin with http:// or https:// and name a host")
        if self.base_url is not None and "@" in self.base_url.split("/")[2]:
            raise ValueError("base_url has a password in it, which would be shown: write api_key, or headers")
        if self.base_url is not None and ("?" in self.base_url or "#" in self.base_url):
            raise ValueError("base_url goes on after its path, where trivet adds its own: take out what follows ? or #")
        if self.api_key is not None and not "".join(self.api_key).strip():
            raise ValueError("api_key is empty")
        if self.api_key is not None and not self.api_key.isprintable():
            raise ValueError("api_key has a character in it that no key has, such as a line break")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise ValueError(f"headers has {name!r}, which is no header's name")
            if not value.isprintable():
                raise ValueError(f"headers {name} has a character in it that no header has, such as a line break")
        for key in ("connect_s", "first_byte_s", "between_bytes_s"):
            seconds = getattr(self, key)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{key} is {seconds}, must be more than 0")
