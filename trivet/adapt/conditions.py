"""What a request needs, against what is known of a model: a target that cannot answer is not asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from trivet.model import About
from trivet.types import (
    Audio,
    Complete,
    Conversation,
    Document,
    Embed,
    Image,
    Opaque,
    Part,
    Request,
    Text,
    ToolResult,
    task_name,
)

__all__ = ["Needs", "lacks", "least_tokens", "state"]

# What refers to something that a provider keeps, in the words of the protocols.
_STATE = ("previous_response_id", "conversation", "prompt", "background", "container", "cachedContent")
# … and inside what a user says, or a provider's own tools.
_KEPT = frozenset({"file_id", "file_ids", "vector_store_ids"})

_KINDS = {Image: "image", Audio: "audio", Document: "document"}
# No tokenizer has this many characters (of its vocabulary's own languages) to a token in the mean of a long text, so
# that what is too long by this count is too long by any.
_MOST_CHARACTERS = 8


class Needs:
    """What a request asks of a model, looked for once for all that may answer it."""

    def __init__(self, request: Request) -> None:
        self.task = task_name(request)
        self.tools = isinstance(request, Conversation) and bool(request.tools)
        self.kinds: set[str] = set()
        if isinstance(request, Conversation):
            self.kinds = {kind for part in _parts(request) if (kind := _KINDS.get(type(part))) is not None}
        self._request = request

    @cached_property
    def least_tokens(self) -> int:
        return least_tokens(self._request)


def lacks(about: About, needs: Needs) -> str | None:
    """Why the model cannot answer the request, None where it may be able to: what is not known does not count.

    A prompt counts as too long only where it surely is; where the model finds it so, the next target is asked."""
    if needs.task not in about.tasks:
        return f"has no task {needs.task!r}"
    missing = needs.kinds.difference(about.inputs) if needs.kinds else ()
    if missing:
        return f"takes no {' and no '.join(sorted(missing))} input"
    if needs.tools and about.tools is False:
        return "takes no tools"
    if about.context_tokens is not None and needs.least_tokens > about.context_tokens:
        return f"has room for {about.context_tokens:,} tokens, and the prompt has at least {needs.least_tokens:,}"
    return None


def state(request: Request) -> str | None:
    """The field, if any, that refers to what one provider keeps and no other knows."""
    if not isinstance(request, Conversation):
        return None
    for name in _STATE:
        if request.extra.get(name):
            return name
    for i, message in enumerate(request.messages):
        for n, part in enumerate(message.content):
            if type(part) is Opaque or part.extra or type(part) is ToolResult:  # as few are
                found = _kept_by_part(part, message.role, f"messages[{i}].content[{n}]")
                if found is not None:
                    return found
    return _kept(request.extra.get("tools"), "tools")


def _kept_by_part(part: Part, role: str, path: str) -> str | None:
    """The same of one part. What a server-side tool has said before may name files too, and asks for none."""
    if isinstance(part, Opaque):
        if isinstance(part.raw, Mapping) and part.raw.get("type") == "item_reference":
            return f"{path}.id"
        return _kept(part.raw, path) if role == "user" else None
    if isinstance(part, ToolResult):
        inner = (_kept_by_part(p, role, f"{path}.content[{i}]") for i, p in enumerate(part.content))
        return next(filter(None, inner), None) or _kept(part.extra, path)
    return _kept(part.extra, path)


def _kept(value: object, path: str) -> str | None:
    """The path in some JSON of what refers to a file, or a store of files, that a provider keeps."""
    left = [(path, value)]  # and not by calls of itself: a client decides how deep it is
    while left:
        path, value = left.pop()
        if isinstance(value, Mapping):
            for name, inner in value.items():
                if inner and (name in _KEPT or (name == "fileUri" and "/files/" in str(inner))):
                    return f"{path}.{name}"
            left += [(f"{path}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            left += [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    return None


def least_tokens(request: Request) -> int:
    """Tokens that the prompt's text has at the very least; images and the like are not counted."""
    if isinstance(request, Conversation):
        size = sum(len(part.text) for part in _parts(request) if isinstance(part, Text))
    elif isinstance(request, Complete):
        size = len(request.prompt) + len(request.suffix or "")
    elif isinstance(request, Embed):
        size = max(map(len, request.texts), default=0)
    else:
        size = 0
    return size // _MOST_CHARACTERS


def _parts(request: Conversation) -> Iterator[Part]:
    for message in request.messages:
        for part in message.content:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content
