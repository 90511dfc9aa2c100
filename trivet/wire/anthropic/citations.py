"""Citations, both ways. Anthropic's own stay as they were said.

One of another provider's is told as that of a web search: it is the shape with an address. `encrypted_index` is what
comes back of it with the next turn, so it carries, tagged, all that the shape has no field for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.types import Citation
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
    if citation.provider == _PROVIDER and citation.raw is not None:
        return citation.raw
    rest = msgspec.json.encode([citation.start, citation.end, citation.raw]).decode()
    return {
        "type": "web_search_result_location",
        "url": citation.url or "",
        "title": citation.title,
        "cited_text": citation.quote or "",
        "encrypted_index": tag(rest, citation.provider or _NOBODY, _PROVIDER),
    }


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
