"""What a model has to be able to do, as words: `vision`, `tools`, `200k`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from trivet.catalog.known import Known
from trivet.errors import RequestError
from trivet.types import Value

__all__ = ["NONE", "WORDS", "Needs", "parse"]

WORDS = {
    "vision": "image",
    "image": "image",
    "images": "image",
    "audio": "audio",
    "document": "document",
    "documents": "document",
    "tools": "tools",
    "reasoning": "reasoning",
}
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)([km]?)")


class Needs(Value, frozen=True, kw_only=True):
    """`abilities` are fields of `Known` that have to be true, `context_tokens` the room that a prompt has to have. What
    is not known of a model counts as missing: who asks for something wants to rely on it."""

    abilities: tuple[str, ...] = ()
    context_tokens: int = 0

    def unmet(self, known: Known) -> bool:
        if self.context_tokens and (known.context_tokens or 0) < self.context_tokens:
            return True
        return any(getattr(known, ability) is not True for ability in self.abilities)


NONE = Needs()


def parse(words: Iterable[str]) -> Needs:
    """Raises `RequestError` for a word that is none, with the nearest."""
    abilities: list[str] = []
    tokens = 0
    for word in (word.strip().lower() for word in words):
        if found := _TOKENS.fullmatch(word):
            tokens = max(tokens, round(float(found[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[found[2]]))
        elif word in WORDS:
            abilities.append(WORDS[word])
        else:
            raise RequestError(f"No need is called {word!r}. {_nearest(word)}", field="needs")
    return Needs(abilities=tuple(dict.fromkeys(abilities)), context_tokens=tokens)


def _nearest(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, WORDS, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return "There are vision, audio, documents, tools, reasoning, and a context in tokens such as 200k or 1m."
