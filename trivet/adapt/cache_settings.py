"""The `[cache]` table of trivet.toml: trivet's own cache of answers."""

from __future__ import annotations

from trivet.types import Value

__all__ = ["CacheSettings"]


class CacheSettings(Value, frozen=True, kw_only=True):
    """`path` is the SQLite file, None being cache.db in trivet's own folder; `max_mb` bounds its size, `max_age_s` how
    old an answer may be. `across_keys` says whether what one client's key was answered may be given to another's."""

    path: str | None = None
    max_mb: float = 256
    max_age_s: float = 86_400
    across_keys: bool = False

    def __post_init__(self) -> None:
        if not self.max_mb > 0:
            raise ValueError(f"max_mb is {self.max_mb}, must be more than 0")
        if not self.max_age_s > 0:
            raise ValueError(f"max_age_s is {self.max_age_s}, must be more than 0")
