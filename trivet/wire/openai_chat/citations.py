"""Citations as this protocol's annotations, which count in the whole text of a message.

The protocol has those of addresses. In an answer, one of another kind goes out as `{"type": "citation", "citation":
…}`, so that it is there when the turn comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from trivet.errors import RequestError
from trivet.types import Citation, Text, to_json
from trivet.wire.openai_chat.terms import PROVIDER, REFUSAL

Json = dict[str, Any]


def read_citations(annotations: Iterable[Any]) -> tuple[Citation, ...]:
    return tuple(_read(a) for a in annotations)


def _read(annotation: Any) -> Citation:
    kind = annotation.get("type") if isinstance(annotation, dict) else None
    if kind == "citation":
        try:
            return msgspec.convert(annotation.get("citation"), Citation)
        except msgspec.ValidationError as e:
            raise RequestError(f"an annotation of type 'citation' is not as trivet wrote it: {e}") from None
    told = annotation.get("url_citation") if kind == "url_citation" else None
    told = told if isinstance(told, dict) else {}

    def text(name: str) -> str | None:
        return told[name] if isinstance(told.get(name), str) else None

    def place(name: str) -> int | None:
        return told[name] if isinstance(told.get(name), int) else None

    return Citation(
        url=text("url"),
        title=text("title"),
        start=place("start_index"),
        end=place("end_index"),
        provider=PROVIDER,
        raw=annotation,
    )


def write_citations(texts: Sequence[Text]) -> list[Json]:
    out: list[Json] = []
    before = 0
    for text in texts:
        out += [write_citation(c, before) for c in text.citations]
        before += 0 if text.extra.get(REFUSAL) else len(text.text)
    return out


def write_citation(citation: Citation, before: int = 0) -> Json:
    """`before` is the number of characters before the citation's own text."""
    if (
        citation.provider == PROVIDER
        and isinstance(citation.raw, dict)
        and (before == 0 or "url_citation" not in citation.raw)
    ):
        return citation.raw
    if citation.url is None:
        return {"type": "citation", "citation": msgspec.json.decode(to_json(citation))}
    told: Json = {"url": citation.url, "title": citation.title or citation.url}
    for name, value in (("start_index", citation.start), ("end_index", citation.end)):
        if value is not None:
            told[name] = value + before
    return {"type": "url_citation", "url_citation": told}
