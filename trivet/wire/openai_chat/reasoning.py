"""Thinking in the words of this protocol's extensions: `reasoning_details`, and Gemini's signatures of calls.

A detail says by its `format` whose signature it has. Formats that are not known here are their provider's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trivet.types import Part, Thinking, ToolCall

KINDS = ("reasoning.text", "reasoning.encrypted")
_FORMATS = {"anthropic": "anthropic-claude-v1", "openai": "openai-responses-v1", "gemini": "google-gemini-v1"}
_PROVIDERS = {form: provider for provider, form in _FORMATS.items()}


def provider_of(form: str | None) -> str:
    """Whose signature it is; OpenAI's, whose protocol this is, where nothing says so."""
    return "openai" if form is None else _PROVIDERS.get(form, form)


def detail(thought: Thinking, index: int, id: str | None = None) -> dict[str, Any]:
    """A thought, or the end of one, as an item of `reasoning_details`. `id` says where it stands (`order`)."""
    written = _detail(thought, index)
    return written if id is None else {**written, "id": id}


def _detail(thought: Thinking, index: int) -> dict[str, Any]:
    form = {} if thought.provider is None else {"format": _FORMATS.get(thought.provider, thought.provider)}
    if thought.redacted is not None:
        return {"type": "reasoning.encrypted", "data": thought.redacted, **form, "index": index}
    signed = {} if thought.signature is None else {"signature": thought.signature}
    return {"type": "reasoning.text", "text": thought.text, **signed, **form, "index": index}


def signs_call(thought: object) -> bool:
    """Whether it is no thought, but Gemini's signature of the call that follows."""
    return isinstance(thought, Thinking) and thought.provider == "gemini" and not thought.text and not thought.redacted


def claimed(parts: Sequence[Part], n: int) -> bool:
    """Whether part `n` is the signature of the call that follows."""
    return signs_call(parts[n]) and n + 1 < len(parts) and isinstance(parts[n + 1], ToolCall)


def call_signature(signature: str | None) -> dict[str, Any]:
    """The field of a call that holds it."""
    return {"extra_content": {"google": {"thought_signature": signature}}}


def read_call_signature(call: Mapping[str, Any]) -> str | None:
    google = (call.get("extra_content") or {}).get("google") or {}
    signature = google.get("thought_signature")
    return signature if isinstance(signature, str) else None
