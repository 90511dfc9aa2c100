"""What an answer cost."""

from __future__ import annotations

from decimal import Decimal

from trivet.types.value import Value


class Cost(Value, frozen=True, kw_only=True):
    """`usd` is exact, None where it is not known, for the reason in `unknown`; 0 is said only of what costs nothing.

    `source` is where the price comes from (a price list and its version, trivet.toml, "embedded"), and `dated` the day
    (YYYY-MM-DD) from which it holds, where that is known. `estimate` says that the provider did not tell what the
    answer took, as of a stream that was cut. `saved_usd` is what the provider's prompt cache has spared, less than 0
    where its writes have cost more than its reads have spared; None where no prices are known."""

    usd: Decimal | None = None
    source: str | None = None
    dated: str | None = None
    unknown: str | None = None
    estimate: bool = False
    saved_usd: Decimal | None = None

    def __str__(self) -> str:
        """`$0.002 (genai-prices 0.1.9 of 2026-01-02)`, with every digit; ~ marks an estimate."""
        if self.usd is None:
            return f"unknown: {self.unknown or 'nobody has said why'}"
        of = f" of {self.dated}" if self.dated else ""
        about = "~" if self.estimate else ""
        amount = f"{self.usd.normalize():f}" if self.usd else "0"
        return f"{about}${amount} ({self.source or 'no source'}{of})"

    def __add__(self, other: Cost) -> Cost:
        """The sum, in which unknown plus anything stays unknown."""
        both = self.usd is not None and other.usd is not None
        saved = [cost.saved_usd for cost in (self, other) if cost.saved_usd is not None]
        return Cost(
            usd=self.usd + other.usd if both else None,  # type: ignore[operator]
            source=_joined(self.source, other.source),
            dated=_joined(self.dated, other.dated),
            unknown=_joined(self.unknown, other.unknown),
            estimate=self.estimate or other.estimate,
            saved_usd=sum(saved, Decimal()) if saved else None,
        )


def _joined(*told: str | None) -> str | None:
    """What both say, once."""
    return "; ".join(dict.fromkeys(filter(None, told))) or None
