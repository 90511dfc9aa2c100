"""The sources that Gemini names: quoted ones, and those of a search. Their places are bytes; ours are characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.types import Citation
from trivet.wire.gemini.signatures import FAMILY

Told = tuple[int, Citation]  # the text that it is of, counted among the texts


def read_citations(candidate: dict[str, Any], texts: Sequence[str]) -> list[Told]:
    """The sources of a candidate whose texts are these, in the order of its parts."""
    return [*_quoted(candidate, texts), *_grounded(candidate, texts)] if texts else []


def _quoted(candidate: dict[str, Any], texts: Sequence[str]) -> list[Told]:
    """`citationMetadata`, whose places count through all texts together."""
    told = _object(candidate.get("citationMetadata"))
    found: list[Told] = []
    for raw in told.get("citationSources") or told.get("citations") or []:
        if not isinstance(raw, dict):
            continue
        start, end = raw.get("startIndex", 0), raw.get("endIndex")
        at, base = 0, 0
        for n, text in enumerate(texts):
            at = n
            if start < base + len(text.encode()) or n == len(texts) - 1:
                break
            base += len(text.encode())
        place = _place(texts[at], start - base, None if end is None else end - base)
        found.append((at, Citation(url=raw.get("uri"), title=raw.get("title"), **place, provider=FAMILY, raw=raw)))
    return found


def _grounded(candidate: dict[str, Any], texts: Sequence[str]) -> list[Told]:
    """`groundingMetadata`: each piece of text that stands on something, once for each of its sources."""
    told = _object(candidate.get("groundingMetadata"))
    chunks = [_object(c) for c in told.get("groundingChunks") or []]
    found: list[Told] = []
    for support in told.get("groundingSupports") or []:
        segment = _object(_object(support).get("segment"))
        start, end = segment.get("startIndex", 0), segment.get("endIndex")
        at = next((n for n, text in enumerate(texts) if _says(text, start, end, segment.get("text"))), 0)
        place = _place(texts[at], start, end)
        for index in _object(support).get("groundingChunkIndices") or []:
            if isinstance(index, int) and 0 <= index < len(chunks):
                source = next((_object(s) for s in chunks[index].values()), {})
                raw = {"segment": segment, "chunk": chunks[index]}
                where = {"url": source.get("uri"), "title": source.get("title"), "quote": source.get("text")}
                found.append((at, Citation(**where, **place, provider=FAMILY, raw=raw)))
    return found


def _says(text: str, start: Any, end: Any, segment: Any) -> bool:
    """Whether this text has the segment at its place: its index counts thoughts too, and the pieces of a stream."""
    place = _place(text, start, end)
    return bool(place) and text[place["start"] : place["end"]] == segment


def _place(text: str, start: Any, end: Any) -> dict[str, Any]:
    data = text.encode()
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start <= end:
        return {}
    return {name: len(data[:at].decode(errors="ignore")) for name, at in (("start", start), ("end", end))}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
