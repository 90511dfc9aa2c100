"""Gemini's usage. Its prompt includes what was cached, but not the results of its own tools; its candidates do not
include the thoughts. A count that is nothing is left out of proto JSON, so that it is known to be 0 where its sum is
there."""

from __future__ import annotations

from typing import Any

from trivet.types import Extra, Usage

_READ = {
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
}


def read_usage(told: Any) -> tuple[Usage, dict[str, Any]]:
    """The usage, and what it says beside it."""
    if not isinstance(told, dict):
        return Usage(), {}
    extra = {name: value for name, value in told.items() if name not in _READ}
    prompt, tools = _count(told, "promptTokenCount"), _count(told, "toolUsePromptTokenCount") or 0
    if prompt is None:
        return Usage(), extra
    cached, thoughts = _count(told, "cachedContentTokenCount") or 0, _count(told, "thoughtsTokenCount") or 0
    said, total = _count(told, "candidatesTokenCount"), _count(told, "totalTokenCount")
    output = None if total is None else max(0, total - prompt - tools)
    if said is not None:
        output = said + thoughts
    usage = Usage(
        uncached_input_tokens=max(0, prompt - cached) + tools,
        cache_read_tokens=cached,
        cache_write_tokens=0,  # its caches are its own, or made by another request
        output_tokens=output,
        reasoning_tokens=None if output is None else thoughts,
        audio_input_tokens=_audio(told, "promptTokensDetails"),
        audio_output_tokens=_audio(told, "candidatesTokensDetails"),
    )
    return usage, extra


def write_usage(usage: Usage, extra: Extra) -> dict[str, Any] | None:
    """The same as Gemini tells it, with what it said beside it; None where nothing is known."""
    prompt = None if usage.input_tokens is None else usage.input_tokens - extra.get("toolUsePromptTokenCount", 0)
    output = usage.output_tokens
    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.cache_read_tokens or None,
        "candidatesTokenCount": None if output is None else output - (usage.reasoning_tokens or 0),
        "thoughtsTokenCount": usage.reasoning_tokens or None,
        "totalTokenCount": usage.total_tokens,
    }
    known = {name: count for name, count in counts.items() if count is not None} | dict(extra)
    for name, count in (
        ("promptTokensDetails", usage.audio_input_tokens),
        ("candidatesTokensDetails", usage.audio_output_tokens),
    ):
        if count and name not in known:
            known[name] = [{"modality": "AUDIO", "tokenCount": count}]
    return known or None


def _count(told: dict[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _audio(told: dict[str, Any], name: str) -> int | None:
    """The audio's share, None where the shares are not told."""
    details = told.get(name)
    if not isinstance(details, list):
        return None
    shares = [d for d in details if isinstance(d, dict) and d.get("modality") == "AUDIO"]
    return sum(_count(share, "tokenCount") or 0 for share in shares)
