"""The items of a provider's output as parts: a message's texts one by one, what only the provider understands as it is.

Read leniently: what an item does not say is not there, and a kind that is not known is an `Opaque` part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trivet.types import Opaque, Part, Text, Thinking, TokenLogprob, ToolCall
from trivet.wire.openai_responses.citations import citation
from trivet.wire.thinking import untag

Json = dict[str, Any]
BETWEEN = "\n\n"  # the pieces of a summary


def read_item(item: Json, family: str) -> tuple[Part, ...]:
    """The parts of an item: none for a thought of which nothing is told."""
    kind = item.get("type")
    if kind == "message":
        return tuple(_content(c, item, family) for c in objects(item.get("content")))
    if kind == "reasoning":
        thought = _thought(item, family)
        return () if thought == Thinking() else (thought,)
    if kind == "function_call":
        return (_call(item),)
    return (Opaque(provider=family, raw=item),)


def read_logprobs(told: Any) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token=text(t.get("token")),
            logprob=float(t.get("logprob") or 0.0),
            bytes=tuple(t["bytes"]) if t.get("bytes") is not None else None,
            top=read_logprobs(t.get("top_logprobs")),
        )
        for t in objects(told)
        if isinstance(t.get("token"), str)
    )


def objects(value: Any) -> Iterable[Json]:
    """The objects of a list, as far as it is one."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _content(content: Json, item: Mapping[str, Any], family: str) -> Part:
    phase = {"phase": item["phase"]} if item.get("phase") is not None else {}
    if content.get("type") == "output_text":
        cited = tuple(citation(a, family) for a in objects(content.get("annotations")))
        return Text(text=text(content.get("text")), citations=cited, extra=phase)
    if content.get("type") == "refusal":
        return Text(text=text(content.get("refusal")), extra={"refusal": True, **phase})
    return Opaque(provider=family, raw={**item, "content": [content]})


def _thought(item: Json, family: str) -> Thinking:
    summary = [text(s.get("text")) for s in objects(item.get("summary"))]
    content = [text(c.get("text")) for c in objects(item.get("content"))]
    encrypted = item.get("encrypted_content")
    signature, provider = untag(encrypted, family) if isinstance(encrypted, str) and encrypted else (None, None)
    if signature is not None and not summary and not content:
        return Thinking(redacted=signature, provider=provider)
    extra = {"summary": item["summary"]} if summary and content else {}
    return Thinking(text=BETWEEN.join(content or summary), signature=signature, provider=provider, extra=extra)


def _call(item: Json) -> ToolCall:
    """What a call has beyond ours (`namespace`, `caller`) is wanted back."""
    extra = {k: v for k, v in item.items() if k not in _TAKEN and v is not None and v != _USUAL.get(k)}
    return ToolCall(
        id=text(item.get("call_id")) or text(item.get("id")),
        name=text(item.get("name")),
        arguments=text(item.get("arguments")) or "{}",
        extra=extra,
    )


_TAKEN = ("type", "id", "call_id", "name", "arguments", "status")
_USUAL: Mapping[str, Any] = {"caller": {"type": "direct"}, "async": False}
