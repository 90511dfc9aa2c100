"""A provider's cache of prompts, made use of: its input costs a tenth where it has read it before.

What each needs for that, and nothing more than it needs:

- Anthropic, and Claude at OpenRouter, which takes the same marks: break points (`trivet.adapt.break_points`).
- OpenAI finds prefixes by itself. Before GPT-5.6, requests with one `prompt_cache_key` are sent to one machine, as far
  as that has room, about 15 a minute; from then on OpenAI needs none, and a key only keeps caches apart, so that
  conversations would no longer share what they have in common (developers.openai.com/api/docs/guides/prompt-caching,
  as of October 2026).
- Gemini, hosts that keep every prefix by themselves and the embedded engine: that the prompt begins as it began before,
  which is how all protocols are written here.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

from trivet.adapt import break_points
from trivet.model import Model, Wrapper
from trivet.types import Chat, Message, Part, Request, Text, replace

__all__ = ["NoPromptCache", "PromptCache"]

_SHORTEST = 1024  # OpenAI keeps no prefix that has fewer tokens
_KEYED = re.compile(r"(?:ft:)?(?:gpt-(?:[34](?!\d)|5(?!\.?\d)|5\.[0-5](?!\d))|chatgpt-4o|o[134](?!\d))")
_HEAD = 1000  # letters of a text by which it is known, with its length
_PROMPTS = ("system", "developer")


class PromptCache(Wrapper):
    """Stands directly around a provider's model, so that it sees the request as it goes out. `family` is the
    provider's, `model` the name that it has for the model. Other tasks than chats have no answer to save on."""

    def __init__(self, inner: Model, family: str, model: str) -> None:
        super().__init__(inner)
        self._keyed = family == "openai" and _KEYED.match(model) is not None
        marked = family == "anthropic" or (family == "openrouter" and "claude" in model.lower())
        self._least = break_points.least(model) if marked else None

    def edit(self, request: Request) -> Request:
        if not isinstance(request, Chat) or not request.context.prompt_cache:
            return request
        if self._least is not None:
            return break_points.placed(request, self._least)
        if self._keyed and request.cache_key is None:
            key = cache_key(request)
            return request if key is None else replace(request, cache_key=key)
        return request


class NoPromptCache(Wrapper):
    """Has requests go out as they are: no `PromptCache` below it places anything."""

    def edit(self, request: Request) -> Request:
        return replace(request, context=replace(request.context, prompt_cache=False))


def cache_key(request: Chat) -> str | None:
    """What requests with the same prefix have in common; None where the prompt is too short for any cache, or the
    client says itself how it is kept.

    Tools and system prompt, where they alone are long enough to be kept: they are shared by requests that have nothing
    else in common. Else those and the first question, which all turns of a conversation have. The client's own word for
    the conversation goes before both.
    """
    if break_points.asked(request):
        return None
    length, digest, messages = break_points.Length(_SHORTEST), blake2b(digest_size=16), request.messages
    for tool in request.tools:
        digest.update(tool.name.encode("utf-8", "surrogatepass"))
        if not length.enough:
            length.tool(tool)
    n = 0
    while n < len(messages) and messages[n].role in _PROMPTS:
        _add(messages[n], digest, length)
        n += 1
    if not length.enough:
        while n < len(messages):
            _add(messages[n], digest, length)
            n += 1
            if messages[n - 1].role == "user":
                break
        while n < len(messages) and not length.enough:
            for part in messages[n].content:
                length.part(part)
            n += 1
        if not length.enough:
            return None
    session = request.context.session
    if session is not None:
        digest = blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"trivet-{digest.hexdigest()}"


def _add(message: Message, digest: blake2b, length: break_points.Length) -> None:
    for part in message.content:
        length.part(part)
        digest.update(_head(part))


def _head(part: Part) -> bytes:
    """Enough of a part to know it by: a key need not tell apart what differs at its end, and hashing costs."""
    if isinstance(part, Text):
        return f"{len(part.text)} {part.text[:_HEAD]}".encode("utf-8", "surrogatepass")
    data = getattr(part, "data", None)
    if isinstance(data, bytes):
        return b"%d " % len(data) + data[:_HEAD]
    return msgspec.json.encode(part)
