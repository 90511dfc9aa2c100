"""Annotations of a text, which is what citations are here.

A citation that another provider made, of something without an address, goes to a client as one of a file that OpenAI
does not have, so that clients can read it. Beside that stand `provider` and `raw`, that provider's own words: with the
next turn it comes back as what it was.
"""

from __future__ import annotations

from typing import Any

from trivet.types import Citation

Json = dict[str, Any]


def citation(told: Json, provider: str) -> Citation:
    """An annotation as it was received from `provider`, or from a client that had it from there."""
    if "provider" in told and "raw" in told:
        title = _of(told, "filename", str) or None
        return Citation(
            title=title, quote=_of(told, "quote", str), provider=_of(told, "provider", str), raw=told["raw"]
        )
    return Citation(
        url=_of(told, "url", str),
        title=_of(told, "title", str) or _of(told, "filename", str),
        start=_of(told, "start_index", int),
        end=_of(told, "end_index", int),
        provider=provider,
        raw=told,
    )


def annotation(cited: Citation, text: str, family: str) -> Json:
    """A citation of `text`, for `family`. One that does not say which characters stand on it is of the whole text."""
    if cited.provider == family and isinstance(cited.raw, dict):
        return cited.raw
    if cited.url is None:
        quote = {} if cited.quote is None else {"quote": cited.quote}
        file = {"type": "file_citation", "file_id": "", "filename": cited.title or "", "index": len(text), **quote}
        return {**file, "provider": cited.provider, "raw": cited.raw}
    return {
        "type": "url_citation",
        "start_index": 0 if cited.start is None else cited.start,
        "end_index": len(text) if cited.end is None else cited.end,
        "title": cited.title or cited.url,
        "url": cited.url,
    }


def _of(told: Json, name: str, kind: type) -> Any:
    return told[name] if isinstance(told.get(name), kind) else None
