"""Whose thoughts are whose. A provider takes back only what it has signed itself.

A signature that goes out in another protocol than its provider's own carries the provider's name in front, so that it
is known for what it is when it comes back with the next turn.
"""

from __future__ import annotations

import re

from trivet.types import Conversation, Message, Thinking, replace

_MARK = "trivet:"
_TAG = re.compile(f"{_MARK}([^:]+):(.+)", re.DOTALL)


def tag(text: str, provider: str | None, native: str) -> str:
    """A signature (or redacted data) for a client whose protocol's own signatures are `native`'s."""
    return text if provider in (None, native) else f"{_MARK}{provider}:{text}"


def untag(text: str, native: str) -> tuple[str, str]:
    """The signature, and the provider whose it is."""
    found = _TAG.fullmatch(text)
    return (text, native) if found is None else (found[2], found[1])


def tagged(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def leave_out(request: Conversation, family: str, *, unsigned: bool) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation without the thoughts that `family` did not sign, and a note that says so. `unsigned` says
    whether those that nobody has signed may stay. The same object comes back where all may."""
    if not any(isinstance(part, Thinking) for message in request.messages for part in message.content):
        return request, ()
    gone: dict[str, int] = {}
    messages = [_without(message, family, unsigned, gone) for message in request.messages]
    if not gone:
        return request, ()
    notes = tuple(
        f"left out for {family}, which takes back only thinking that it has signed itself: "
        + (f"{count} of {who}" if who else f"{count} that nobody has signed")
        for who, count in gone.items()
    )
    return replace(request, messages=tuple(m for m in messages if m is not None)), notes


def _without(message: Message, family: str, unsigned: bool, gone: dict[str, int]) -> Message | None:
    """None where nothing is left of it."""
    foreign = [p for p in message.content if isinstance(p, Thinking) and not _welcome(p, family, unsigned)]
    if not foreign:
        return message
    for part in foreign:
        who = part.provider or ""
        gone[who] = gone.get(who, 0) + 1
    kept = tuple(p for p in message.content if not any(p is f for f in foreign))
    return replace(message, content=kept) if kept else None


def _welcome(part: Thinking, family: str, unsigned: bool) -> bool:
    if part.signature is None and part.redacted is None:
        return unsigned
    return part.provider in (None, family)
