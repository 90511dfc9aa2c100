"""What the ledger advises: prompts that no cache keeps, names that nobody stands in for, models that are dearer than
others of the same abilities. A pure function of rows, and of what is known of names and models (`Facts`)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from trivet.ledger.advice import Facts, Finding
from trivet.ledger.audit_prefixes import Prefixes
from trivet.ledger.audit_traffic import Traffic
from trivet.ledger.rows import Row
from trivet.types import Value

__all__ = ["Audit", "Report"]


class Report(Value, frozen=True, kw_only=True):
    """The findings, those that could have spared most first; `notes` say what could not be looked at."""

    requests: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


class Audit:
    """Reads rows once, in any order, keeping little of each. `names` and `models` are those that it has seen, of which
    the report wants to know more."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.requests = 0
        self.names: set[str] = set()
        self.models: set[str] = set()
        self._prefixes, self._traffic = Prefixes(), Traffic()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        self.requests += 1
        self.names.add(row.asked)
        self.models.update(attempt.model for attempt in row.attempts)
        if row.model is not None:
            self.models.add(row.model)
        self._prefixes.add(row)
        self._traffic.add(row)

    def report(self, facts: Facts) -> Report:
        prefixes, notes = self._prefixes.findings(facts)
        found = [*prefixes, *self._traffic.alone(facts), *self._traffic.dearer(facts)]
        found.sort(key=lambda each: (-(each.usd or Decimal()), -(each.failures or 0), -each.requests))
        unpriced = self._traffic.unpriced
        if unpriced:
            worst = ", ".join(f"{model} ({n:,})" for model, n in unpriced.most_common(5))
            more = f" and {len(unpriced) - 5} more" if len(unpriced) > 5 else ""
            notes.append(
                f"The cost of {unpriced.total():,} request{'s' if unpriced.total() > 1 else ''} is not known, so that "
                f"nothing is said of what would be cheaper: {worst}{more}. "
                'Prices of your own are [prices."MODEL"] in trivet.toml.'
            )
        return Report(requests=self.requests, findings=tuple(found), notes=tuple(notes))
