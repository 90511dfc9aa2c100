"""Sums over the ledger's rows: by day, model, key, task, name asked for, and state of the cache of answers."""

from __future__ import annotations

import contextlib
import decimal
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from trivet.database import opened
from trivet.ledger.schema import MIGRATIONS, text
from trivet.types import Value

__all__ = ["By", "Total", "totals"]

By = Literal["day", "model", "key", "task", "asked", "cache"]


class Total(Value, frozen=True, kw_only=True):
    """The sums of one group, whose values are in `group`, in the order in which they were asked for.

    A sum is of what is known, and None where nothing is; how often it was not is in `unknown`, by the field's name, and
    `unknown_costs`. What was asked of nobody (refused, or answered from trivet's own cache, which are the `hits`)
    leaves nothing unknown. `input_tokens` are whole prompts, also those of which nobody has told what came from a
    cache. `errors` are failures, `estimates` costs of which the provider did not say what was taken.

    By model, what was asked of each is counted with it, and not with the one that answered in the end: tokens, money
    and errors are those of its attempts, `requests` those in which it was asked. So a request that fell back counts
    with both."""

    group: tuple[str | None, ...] = ()
    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    refused: int = 0
    hits: int = 0
    input_tokens: int | None = 0
    uncached_input_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    cache_write_1h_tokens: int | None = 0
    output_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    audio_input_tokens: int | None = 0
    audio_output_tokens: int | None = 0
    audio_s: float = 0.0
    unknown: Mapping[str, int] = {}
    usd: Decimal | None = Decimal()
    unknown_costs: int = 0
    estimates: int = 0
    saved_usd: Decimal | None = Decimal()


_TOKENS = {
    "input_tokens": "coalesce(uncached_input_tokens + cache_read_tokens + cache_write_tokens, prompt_tokens)",
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "CASE WHEN cache_write_tokens = 0 THEN 0 ELSE cache_write_1h_tokens END",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "audio_output_tokens": "audio_output_tokens",
}
_GROUPS = {"model": "model", "key": '"key"', "task": "task", "asked": "asked", "cache": "cache"}
_TOOK = """uncached_input_tokens, {0}.cache_read_tokens, {0}.cache_write_tokens, {0}.cache_write_1h_tokens,
{0}.output_tokens, {0}.reasoning_tokens, {0}.audio_input_tokens, {0}.audio_output_tokens, {0}.prompt_tokens,
{0}.audio_s, {0}.usd, {0}.estimate, {0}.saved_usd"""
_BY_MODEL = f"""(
SELECT r.number, r.at, r.task, r.asked, r."key", r.cache, a.model, a.outcome, a.{_TOOK.format("a")}
FROM requests r JOIN attempts a ON a.request = r.number WHERE r.at >= :since AND r.at < :until
UNION ALL
SELECT r.number, r.at, r.task, r.asked, r."key", r.cache, r.model, r.outcome, r.{_TOOK.format("r")}
FROM requests r WHERE r.at >= :since AND r.at < :until
AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.request = r.number))"""  # noqa: S608
_ASKED = "outcome <> 'refused' AND (cache <> 'hit' OR usd IS NULL OR usd <> '0')"


def totals(
    path: Path,
    by: Sequence[By],
    *,
    since: float | None = None,
    until: float | None = None,
    local_days: bool = False,
    busy_s: float = 1.0,
) -> list[Total]:
    """The groups that there are, in their order; of the requests that came from `since` on and before `until`, in
    seconds since 1970. Days are UTC's, or with `local_days` those of this machine. A file that is not there has none.
    Money is summed exactly. Raises what `trivet.database.opened` does."""
    if not path.exists():
        return []
    range_ = {
        "since": float("-inf") if since is None else since,
        "until": float("inf") if until is None else until,
    }
    with contextlib.closing(opened(path, MIGRATIONS, busy_s=busy_s)) as connection:
        connection.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]
        found = connection.execute(_query(by, local_days), range_).fetchall()
    return [_total(values, len(by)) for values in found if values[len(by)]]


def _query(by: Sequence[By], local_days: bool) -> str:
    day = f"date(at, 'unixepoch'{', ' + repr('localtime') if local_days else ''})"
    groups = [day if name == "day" else _GROUPS[name] for name in by]
    by_model = "model" in by
    sums = [
        "count(DISTINCT number)" if by_model else "count(*)",
        *(f"count(*) FILTER (WHERE outcome = '{outcome}')" for outcome in ("failed", "cancelled", "refused")),
        "count(*) FILTER (WHERE cache = 'hit')",
        "total(audio_s)",
        "exact_sum(usd)",
        f"count(*) FILTER (WHERE usd IS NULL AND {_ASKED})",
        "coalesce(sum(estimate), 0)",
        "exact_sum(saved_usd)",
        f"count(*) FILTER (WHERE saved_usd IS NULL AND {_ASKED})",
        *(f"sum({tokens})" for tokens in _TOKENS.values()),
        *(f"count(*) FILTER (WHERE {tokens} IS NULL AND {_ASKED})" for tokens in _TOKENS.values()),
    ]
    table = _BY_MODEL if by_model else "requests WHERE at >= :since AND at < :until"
    query = f"SELECT {', '.join(groups + sums)} FROM {table}"  # noqa: S608
    if groups:
        numbers = ", ".join(map(str, range(1, len(groups) + 1)))
        query += f" GROUP BY {numbers} ORDER BY {numbers}"
    return query


def _total(values: Sequence[Any], groups: int) -> Total:
    requests, errors, cancelled, refused, hits, audio_s, usd, no_usd, estimates, saved, no_saved = values[
        groups : groups + 11
    ]
    tokens = values[groups + 11 :]
    sums, unknown = tokens[: len(_TOKENS)], tokens[len(_TOKENS) :]
    return Total(
        group=tuple(text(value) for value in values[:groups]),
        requests=requests,
        errors=errors,
        cancelled=cancelled,
        refused=refused,
        hits=hits,
        audio_s=audio_s,
        usd=_known(usd and Decimal(usd), no_usd, Decimal()),
        unknown_costs=no_usd,
        estimates=estimates,
        saved_usd=_known(saved and Decimal(saved), no_saved, Decimal()),
        unknown={name: count for name, count in zip(_TOKENS, unknown, strict=True) if count},
        **{name: _known(sum_, no, 0) for name, sum_, no in zip(_TOKENS, sums, unknown, strict=True)},
    )


def _known(sum_: Any, unknown: int, nothing: Any) -> Any:
    """None only where something was taken, and nobody knows how much."""
    return sum_ if sum_ is not None or unknown else nothing


class _ExactSum:
    """SQL's sum, of decimals written as text."""

    _add = decimal.Context(prec=1000).add

    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, written: str | None) -> None:
        if written is not None:
            self._sum = Decimal(written) if self._sum is None else self._add(self._sum, Decimal(written))

    def finalize(self) -> str | None:
        return None if self._sum is None else str(self._sum)
