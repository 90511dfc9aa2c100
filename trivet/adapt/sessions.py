"""Which requests belong together: the turns of one conversation, whose prefix a provider has in its cache."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import msgspec

from trivet.types import Conversation, Request

__all__ = ["Sessions", "session"]

_MOST_BYTES = 65_536  # of each part: a conversation is known by its beginning
_LONGEST = 128  # characters of a client's word that are kept as they are: thousands of sessions are remembered


def session(request: Request) -> str | None:
    """The client's own word for it (also that for prompts that share a prefix), else a hash of what all turns begin
    with: tools, system prompt, first user turn. None for tasks without turns."""
    word = request.context.session or getattr(request, "cache_key", None)
    if word is not None:
        return str(word) if len(word) <= _LONGEST else _digest(word)
    if not isinstance(request, Conversation):
        return None
    digest = blake2b(digest_size=16)
    for tool in request.tools:
        digest.update(tool.name.encode())
    for message in request.messages:
        for part in message.content:
            digest.update(_bytes(part)[:_MOST_BYTES])
        if message.role == "user":
            break
    return digest.hexdigest()


def _digest(word: str) -> str:
    return blake2b(word.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _bytes(part: object) -> bytes:
    text, data = getattr(part, "text", None), getattr(part, "data", None)
    if isinstance(text, str):
        return text[:_MOST_BYTES].encode("utf-8", "surrogatepass")
    return data if isinstance(data, bytes) else msgspec.json.encode(part)


class Sessions:
    """Who answered each session last: the `most` that were lately seen."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._last: OrderedDict[str, str] = OrderedDict()

    def get(self, session: str) -> str | None:
        return self._last.get(session)

    def put(self, session: str, name: str) -> None:
        self._last[session] = name
        self._last.move_to_end(session)
        if len(self._last) > self._most:
            self._last.popitem(last=False)
