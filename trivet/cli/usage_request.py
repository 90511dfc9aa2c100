"""`trivet usage REQUEST_ID`: what the ledger has of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from trivet.ledger.rows import AttemptRow, Row
    from trivet.types import Cost, Usage

_ATTEMPTS = ("attempt", "model", "outcome", "began", "first content", "took", "input", "output", "cost")


def show(path: Path, id: str, *, as_json: bool) -> int:
    """Prints it. Raises `TrivetError` where the ledger has no such request."""
    from trivet.cli import period, table
    from trivet.errors import TrivetError
    from trivet.ledger.file import fetch
    from trivet.types import to_json

    with period.readable(path):
        row = fetch(path, id)
    if row is None:
        raise TrivetError(
            f"{path} has no request {id!r}. Its id is the x-request-id of its answer, and it is written down within a "
            "second of its end; another ledger is read with --ledger"
        )
    if as_json:
        import json

        print(json.dumps(json.loads(to_json(row)), indent=2, ensure_ascii=False))
        return 0
    fields = _fields(row)
    table.show(("field", "value"), fields, ["none"] * len(fields), tight=True)
    if row.attempts:
        print()
        cells = [_attempt(n, attempt) for n, attempt in enumerate(row.attempts, 1)]
        table.show(_ATTEMPTS, cells, ["none"] * len(cells), right=_ATTEMPTS[3:], tight=True)
    return 0


def _fields(row: Row) -> list[tuple[str, str]]:
    from datetime import datetime

    at = datetime.fromtimestamp(row.at).astimezone()
    answer = f"{row.outcome}, status {row.status}" + (f", {row.error}" if row.error else "")
    fields = [
        ("id", row.id),
        ("at", at.strftime("%Y-%m-%d %H:%M:%S %z")),
        ("asked for", f"{row.asked} ({row.task}{', streamed' if row.stream else ''})"),
        ("outcome", answer),
        ("answered by", row.model or "nobody"),
        ("key", row.key),
        ("session", row.session),
        ("answers' cache", None if row.cache == "none" else row.cache),
        ("took", f"{row.took_s:.3f} s" + _after(row.first_content_s)),
        ("input", _input(row.usage)),
        ("output", _output(row.usage)),
        ("audio", None if row.audio_s is None else f"{row.audio_s:g} s"),
        ("cost", _cost(row.cost)),
        ("prefix", None if row.prefix is None else f"{row.prefix_chars:,} characters, {row.prefix}"),
    ]
    fields += [("not asked", f"{each.model}: {each.reason}") for each in row.route if each.outcome == "skipped"]
    return [(name, value) for name, value in fields if value is not None]


def _after(first_content_s: float | None) -> str:
    return "" if first_content_s is None else f", its first content came after {first_content_s:.3f} s"


def _input(usage: Usage) -> str:
    if usage.input_tokens is None:
        return "unknown"
    told = f"{usage.input_tokens:,} tokens"
    if usage.uncached_input_tokens is None:
        return f"{told}; what of them came from a cache is unknown"
    read, written, hour = (
        count or 0 for count in (usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens)
    )
    parts = [f"{read:,} from the provider's cache" if read else "", f"{written:,} written to it" if written else ""]
    parts += [f"{hour:,} of these for an hour" if hour else ""]
    parts += [f"{usage.audio_input_tokens:,} audio" if usage.audio_input_tokens else ""]
    return ", ".join([told, *filter(None, parts)])


def _output(usage: Usage) -> str:
    if usage.output_tokens is None:
        return "unknown"
    parts = [f"{usage.reasoning_tokens:,} of them reasoning" if usage.reasoning_tokens else ""]
    parts += [f"{usage.audio_output_tokens:,} audio" if usage.audio_output_tokens else ""]
    return ", ".join([f"{usage.output_tokens:,} tokens", *filter(None, parts)])


def _cost(cost: Cost) -> str:
    told = str(cost)
    if cost.usd is not None and cost.estimate:
        told += "; an estimate: the provider did not say what it took"
    if cost.usd is not None and cost.saved_usd:
        told += f"; the provider's cache saved ${cost.saved_usd.normalize():f}"
    return told


def _attempt(n: int, attempt: AttemptRow) -> list[str]:
    from trivet.ledger.advice import dollars, short

    usage, cost = attempt.usage, attempt.cost
    first = "-" if attempt.first_content_s is None else f"{attempt.first_content_s:.3f} s"
    return [
        str(n),
        attempt.model,
        attempt.outcome + (f" ({attempt.error})" if attempt.error else ""),
        f"{attempt.began_s:.3f} s",
        first,
        f"{attempt.took_s:.3f} s",
        "unknown" if usage.input_tokens is None else short(usage.input_tokens),
        "unknown" if usage.output_tokens is None else short(usage.output_tokens),
        "unknown" if cost.usd is None else ("~" if cost.estimate else "") + dollars(cost.usd),
    ]
