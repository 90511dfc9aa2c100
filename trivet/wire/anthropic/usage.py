"""Usage, both ways: three disjoint counts of input, as ours are.

A count that is null is unknown: where both of a cache's are, the input is the whole prompt. A provider that leaves the
counts of a cache out altogether has none, as Anthropic had none once: there they are 0. What a usage says beyond tokens
(searches made, the tier it ran on) stands under `EXTRA` in the response's `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.types import Extra, Usage

EXTRA = "anthropic_usage"
_TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
)


def read_usage(told: Mapping[str, Any]) -> Usage:
    absent = 0 if "input_tokens" in told else None
    input, read = _count(told, "input_tokens"), _count(told, "cache_read_input_tokens", absent)
    written = _count(told, "cache_creation_input_tokens", absent)
    split = not (read is None and written is None)
    return Usage(
        uncached_input_tokens=input if split else None,
        prompt_tokens=None if split else input,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=_count(told.get("cache_creation"), "ephemeral_1h_input_tokens"),
        output_tokens=_count(told, "output_tokens"),
        reasoning_tokens=_count(told.get("output_tokens_details"), "thinking_tokens"),
    )


def read_extra(told: Mapping[str, Any]) -> dict[str, Any]:
    """What it says beyond tokens."""
    return {k: v for k, v in told.items() if k not in _TOKENS and v is not None}


def write_usage(usage: Usage, extra: Extra, *, stream: bool = False) -> dict[str, Any]:
    """A message's usage, or that of a stream's end, which has fewer fields. `extra` is the response's."""
    thinking, beyond = usage.reasoning_tokens, extra.get(EXTRA, {})
    told = {
        "input_tokens": usage.input_tokens if usage.uncached_input_tokens is None else usage.uncached_input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": None if thinking is None else {"thinking_tokens": thinking},
        "server_tool_use": beyond.get("server_tool_use"),
    }
    if stream:
        return told
    return {"inference_geo": None, "service_tier": None, **beyond, **told, "cache_creation": _by_ttl(usage)}


def _by_ttl(usage: Usage) -> dict[str, int] | None:
    written, hour = usage.cache_write_tokens, usage.cache_write_1h_tokens
    if written is None or hour is None:
        return None
    return {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": written - hour}


def _count(told: Any, name: str, absent: int | None = None) -> int | None:
    value = told.get(name, absent) if isinstance(told, Mapping) else None
    return value if isinstance(value, int) and value >= 0 else None
