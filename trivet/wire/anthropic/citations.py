"""Citations, both ways. Anthropic's own stay as they were said.

One of another provider's is told to a client as that of a web search: it is the shape with an address.
`encrypted_index` is what comes back of it with the next turn, so it carries, tagged, all that the shape has no field
for. Anthropic itself is not sent such a one (`leave_out`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.types import Citation, Conversation, Message, Part, Text, replace
from trivet.wire.thinking import tag, untag

_PROVIDER = "anthropic"
_NOBODY = "nobody"  # in place of a provider that is not known


def read_citation(raw: Mapping[str, Any]) -> Citation:
    index = raw.get("encrypted_index")
    if isinstance(index, str):
        rest, provider = untag(index, _PROVIDER)
        if provider != _PROVIDER:
            return _foreign(raw, rest, provider)
    source = raw.get("url") or raw.get("source")
    return Citation(
        url=source if isinstance(source, str) and source.startswith(("http:", "https:")) else None,
        title=_text(raw.get("title")) or _text(raw.get("document_title")),
        quote=_text(raw.get("cited_text")),
        provider=_PROVIDER,
        raw=dict(raw),
    )


def write_citation(citation: Citation) -> Any:
    if _is_own(citation):
        return citation.raw
    rest = msgspec.json.encode([citation.start, citation.end, citation.raw]).decode()
    return {
        "type": "web_search_result_location",
        "url": citation.url or "",
        "title": citation.title,
        "cited_text": citation.quote or "",
        "encrypted_index": tag(rest, citation.provider or _NOBODY, _PROVIDER),
    }


def leave_out(request: Conversation) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation without the citations that are not Anthropic's, and a note that says so. The same object comes
    back where all are."""
    gone = sum(not _is_own(c) for m in request.messages for p in m.content if isinstance(p, Text) for c in p.citations)
    if not gone:
        return request, ()
    messages = tuple(_without(m) for m in request.messages)
    note = f"left out for {_PROVIDER}, which takes back only citations of its own: {gone}"
    return replace(request, messages=messages), (note,)


def _without(message: Message) -> Message:
    return replace(message, content=tuple(_own_alone(p) for p in message.content))


def _own_alone(part: Part) -> Part:
    if not isinstance(part, Text) or all(_is_own(c) for c in part.citations):
        return part
    return replace(part, citations=tuple(c for c in part.citations if _is_own(c)))


def _is_own(citation: Citation) -> bool:
    return citation.provider == _PROVIDER and citation.raw is not None


def _foreign(raw: Mapping[str, Any], rest: str, provider: str) -> Citation:
    """One that `write_citation` has written."""
    try:
        start, end, own = msgspec.json.decode(rest, type=tuple[int | None, int | None, Any])
    except msgspec.DecodeError:
        start, end, own = None, None, None
    return Citation(
        url=_text(raw.get("url")),
        title=_text(raw.get("title")),
        quote=_text(raw.get("cited_text")),
        start=start,
        end=end,
        provider=None if provider == _NOBODY else provider,
        raw=own,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
