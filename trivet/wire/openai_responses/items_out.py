"""Parts of an answer as the items of an OpenAI response: one item for each part.

Reasoning that can be read is an item's summary, which is what clients show, and its signature the item's
`encrypted_content`: what comes back with the next request is what went out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.types import Opaque, Part, Text, Thinking, TokenLogprob, ToolCall
from trivet.wire.openai import LOWEST_LOGPROB
from trivet.wire.openai_responses.citations import annotation
from trivet.wire.openai_responses.items_in import PROVIDER, SAID
from trivet.wire.thinking import tag

Item = dict[str, Any]


def write_item(part: Part, id: str, status: str, logprobs: Sequence[TokenLogprob] = ()) -> Item:
    """A finished part as an item. `id` is without the prefix that says the item's type."""
    if isinstance(part, Opaque):
        raw: Item = part.raw
        return raw
    if isinstance(part, Text):
        return {**empty_item(part, id), "status": status, "content": [_content(part, logprobs)]}
    if isinstance(part, Thinking):
        return {**empty_item(part, id), **_extra(part), **thought(part, PROVIDER)}
    assert isinstance(part, ToolCall)
    call = {"status": status, "call_id": part.id, "name": part.name, "arguments": part.arguments}
    return {**empty_item(part, id), **_extra(part), **call}


def empty_item(part: Part, id: str) -> Item:
    """The item as it is when a stream has come to it."""
    if isinstance(part, Text):
        phase = {"phase": part.extra["phase"]} if "phase" in part.extra else {}
        head = {"id": "msg_" + id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        return {**head, **phase}
    if isinstance(part, Thinking):
        return {"id": "rs_" + id, "type": "reasoning", "summary": []}
    assert isinstance(part, ToolCall)
    call = {"call_id": part.id, "name": part.name, "arguments": ""}
    return {"id": "fc_" + id, "type": "function_call", "status": "in_progress", **call}


def empty_content(kind: str) -> Item:
    """The content of a message as it is then; `kind` is `output_text` or `refusal`."""
    if kind == "refusal":
        return {"type": kind, "refusal": ""}
    return {"type": kind, "text": "", "annotations": [], "logprobs": []}


def summary_part(text: str) -> Item:
    return {"type": "summary_text", "text": text}


def write_logprobs(tokens: Sequence[TokenLogprob]) -> list[Item]:
    return [{**_logprob(t), "top_logprobs": [_logprob(a) for a in t.top]} for t in tokens]


def _extra(part: Part) -> Item:
    return {k: v for k, v in part.extra.items() if k not in SAID}


def _content(part: Text, logprobs: Sequence[TokenLogprob]) -> Item:
    if part.extra.get("refusal"):
        return {**_extra(part), "type": "refusal", "refusal": part.text}
    told = [annotation(c, part.text, PROVIDER) for c in part.citations]
    text = {"type": "output_text", "text": part.text, "annotations": told, "logprobs": write_logprobs(logprobs)}
    return {**_extra(part), **text}


def thought(part: Thinking, family: str) -> Item:
    """A reasoning item's summary, content and signature, for `family`. Even an empty thought has a summary, of an empty
    text: without any, the item is one that nobody can read."""
    if part.redacted is not None:
        return {"summary": [], "encrypted_content": tag(part.redacted, part.provider, family)}
    signed = {} if part.signature is None else {"encrypted_content": tag(part.signature, part.provider, family)}
    if "summary" in part.extra:
        content = [{"type": "reasoning_text", "text": part.text}]
        return {"summary": part.extra["summary"], "content": content, **signed}
    return {"summary": [summary_part(part.text)], **signed}


def _logprob(token: TokenLogprob) -> Item:
    """The protocol wants the bytes: those of the text, where the model told no others."""
    raw = token.token.encode() if token.bytes is None else token.bytes
    return {"token": token.token, "logprob": max(token.logprob, LOWEST_LOGPROB), "bytes": list(raw)}
