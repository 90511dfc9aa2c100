"""The `[ledger]`, `[budgets]`, `[prices]` and `[telemetry]` tables of trivet.toml."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from trivet.types import Value

__all__ = ["BudgetSettings", "LedgerSettings", "OwnPrice", "TelemetrySettings"]


class LedgerSettings(Value, frozen=True, kw_only=True):
    """`path` is the SQLite file, None being ledger.db in trivet's own folder. Rows older than `retention_days` are
    deleted, None being never. `flush_s` is how long a row may wait to be written: what a crash can lose."""

    enabled: bool = True
    path: str | None = None
    retention_days: float | None = None
    flush_s: float = 0.5

    def __post_init__(self) -> None:
        if self.retention_days is not None and not self.retention_days > 0:
            raise ValueError(f"retention_days is {self.retention_days}, must be more than 0; leave it out to keep all")
        if not 0.01 <= self.flush_s <= 60:
            raise ValueError(f"flush_s is {self.flush_s}, must be between 0.01 and 60")


class BudgetSettings(Value, frozen=True, kw_only=True):
    """What holds for keys that have a budget or limits. `path` is the SQLite file of keys and of what they have spent,
    None being keys.db in trivet's own folder.

    `max_tokens` is sent where a request bounds its output by nothing, and `media_tokens` are reserved for each image,
    audio and document of a prompt, whose tokens nobody knows beforehand. `allow_unbounded` lets charges pass that have
    no bound (a provider's own tools). `on_store_failure` says what happens while the file cannot be used: `deny`
    refuses (503), `allow` lets known keys ask without counting."""

    path: str | None = None
    max_tokens: int = 4096
    media_tokens: int = 20_000
    allow_unbounded: bool = False
    on_store_failure: Literal["deny", "allow"] = "deny"

    def __post_init__(self) -> None:
        for name in ("max_tokens", "media_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")


class OwnPrice(Value, frozen=True, kw_only=True):
    """Prices of one's own for a model, in USD for a million tokens; `request` is for each request. What is not said is
    unknown, but for these: cached tokens that are not priced apart cost what `input` does, and reasoning and audio what
    the tokens do that they are part of."""

    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    request: Decimal = Decimal()


class TelemetrySettings(Value, frozen=True, kw_only=True):
    """`content` puts prompts and answers into OpenTelemetry's spans too."""

    content: bool = False
