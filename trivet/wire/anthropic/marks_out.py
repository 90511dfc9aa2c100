"""Cache marks put into what a client wrote in Anthropic's messages, where a wrapper has added these and nothing else:
only the blocks that have one are another, and the request need not be written twice to find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trivet.types import CacheMark, Conversation, Message, replace
from trivet.wire.anthropic.messages_out import cache_control
from trivet.wire.source import differing

Object = dict[str, msgspec.Raw]
_encode = msgspec.json.Encoder().encode


def hinted(own: Mapping[str, msgspec.Raw], after: Conversation, before: Conversation) -> Object | None:
    """The fields of the client's body with the marks that `after` has and `before`, which it was read as, has not; None
    where anything else is different."""
    if differing(after, before) - {"messages", "tools"}:
        return None
    fields: Object = {}
    if after.tools is not before.tools:
        marks = _marks(after.tools, before.tools)
        if marks is None or "tools" in after.extra:  # those stand among them, and the places are others
            return None
        fields["tools"] = _marked(own["tools"], marks)
    if after.messages is before.messages:
        return fields
    turns = _differing(after.messages, before.messages)
    if turns is None:
        return None
    items = msgspec.json.decode(own["messages"], type=list[msgspec.Raw])
    ahead = len(before.messages) - len(items)  # the system prompt, where there is one, is the first message
    for n, marks in turns.items():
        if n < ahead:
            fields["system"] = _marked(own["system"], marks)
        else:
            message = msgspec.json.decode(items[n - ahead], type=Object)
            items[n - ahead] = _raw({**message, "content": _marked(message["content"], marks)})
    if any(n >= ahead for n in turns):
        fields["messages"] = _raw(items)
    return fields


def _differing(after: Sequence[Message], before: Sequence[Message]) -> dict[int, dict[int, CacheMark]] | None:
    """The marks that each message has more, by its place."""
    if len(after) != len(before):
        return None
    found = {}
    for n, (new, old) in enumerate(zip(after, before, strict=True)):
        if new is old or new == old:
            continue
        marks = _marks(new.content, old.content)
        if not marks or replace(new, content=()) != replace(old, content=()):
            return None
        found[n] = marks
    return found


def _marks(after: Sequence[Any], before: Sequence[Any]) -> dict[int, CacheMark] | None:
    if len(after) != len(before):
        return None
    found: dict[int, CacheMark] = {}
    for n, (new, old) in enumerate(zip(after, before, strict=True)):
        if new is old or new == old:
            continue
        if type(new) is not type(old) or new.cache is None or old.cache is not None or replace(new, cache=None) != old:
            return None
        found[n] = new.cache
    return found


def _marked(own: msgspec.Raw, marks: Mapping[int, CacheMark]) -> msgspec.Raw:
    """The client's blocks, or its string, which is one, with the marks."""
    value = msgspec.json.decode(own, type=str | list[msgspec.Raw])
    if isinstance(value, str):
        return _raw([{"type": "text", "text": value, **cache_control(marks[0])}])
    for n, mark in marks.items():
        value[n] = _raw({**msgspec.json.decode(value[n], type=Object), **cache_control(mark)})
    return _raw(value)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
