"""An English text as what is said: sentences, their words, and the marks that make pauses."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from trivet.local.speech.numbers import spoken

__all__ = ["Sentence", "sentences"]

SHORT = {
    "mr": "mister", "mrs": "missus", "ms": "miss", "dr": "doctor", "prof": "professor", "st": "saint", "vs": "versus",
    "etc": "et cetera", "jr": "junior", "sr": "senior", "approx": "approximately", "jan": "january",
    "feb": "february", "apr": "april", "aug": "august", "sept": "september", "sep": "september", "oct": "october",
    "nov": "november", "dec": "december", "fig": "figure", "lb": "pound", "lbs": "pounds", "tsp": "teaspoon",
    "tbsp": "tablespoon",
}  # fmt: skip
SIGNS = {
    "%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees", "×": "times",
    "$": "dollars", "€": "euros", "£": "pounds", "/": "slash", "<": "less than", ">": "greater than",
    "½": "one half", "¼": "one quarter", "¾": "three quarters",
}  # fmt: skip
# Marks that a voice knows, and what stands for others. Quotes and brackets are not heard.
MARKS = {
    "…": ".", "—": ",", "–": ",", "(": ",", ")": ",", "[": ",", "]": ",", "。": ".", "！": "!", "？": "?", "，": ",",
}  # fmt: skip
UNHEARD = set("\"'`´“”„«»‘’*_~|\\^{}<>•-‐‑\u00ad")
LONGEST = 40  # words: a longer sentence is cut, for what is heard first and for memory
MOST_LETTERS = 400  # … of any words

_SHORT = re.compile(r"\b(" + "|".join(SHORT) + r")\.", re.I)
_NUMERO = re.compile(r"\bno\.\s?(?=\d)", re.I)
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_EXAMPLE = re.compile(r"\be\.\s?g\.", re.I)
_THAT_IS = re.compile(r"\bi\.\s?e\.", re.I)
_DOT = re.compile(r"(?<=[A-Za-z])\.(?=[a-z0-9])|(?<=[0-9])\.(?=[a-z])")  # of an address or a file's name
_VERSION = re.compile(r"\d+(?:\.\d+){2,}")
_RUN_ON = re.compile(r"(?<=[a-z])(?=[A-Z]{2})")  # as in ChatGPT
_STREET = re.compile(r"(?<=[a-z] )St\.(?!\s+[A-Z])")
_PAGE = re.compile(r"\b(pp?)\.\s?(?=\d)")
# What is longer than the longest words that there are is cut: it would take memory without end.
_PIECE = re.compile(r"[A-Za-z]{1,60}(?:'[A-Za-z]{1,60})?|[.,!?;:]|\n\s*\n|\S")


class Sentence(NamedTuple):
    """Words as they are written, and `.,!?;:` by themselves."""

    pieces: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(piece for piece in self.pieces if piece[0].isalpha())


def sentences(text: str) -> tuple[tuple[Sentence, ...], str]:
    """The sentences, and the letters and signs that cannot be said, each once."""
    found: list[Sentence] = []
    unsaid: dict[str, None] = {}
    pieces: list[str] = []

    def end() -> None:
        if any(piece[0].isalpha() for piece in pieces):
            found.append(Sentence(tuple(pieces)))
        pieces.clear()

    for piece in _PIECE.findall(_plain(text)):
        if piece.isspace():
            end()
        elif piece[0].isascii() and piece[0].isalpha():
            pieces.append(piece)
            if len(pieces) >= 2 * LONGEST or sum(map(len, pieces)) >= MOST_LETTERS:
                end()
        elif piece in ".,!?;:":
            if pieces and pieces[-1][0].isalpha():
                pieces.append(piece)
            if piece in ".!?" or (piece in ",;:" and len(pieces) >= LONGEST):
                end()
        elif piece not in UNHEARD and unicodedata.category(piece) not in ("Mn", "Cf", "Cc"):
            unsaid[piece] = None
    end()
    return tuple(found), "".join(unsaid)


def _plain(text: str) -> str:
    """Letters without accents, signs, numbers and abbreviations as words."""
    text = "".join(_latin(char) for char in _protected(text))
    text = text.replace("’", "'").replace("‘", "'").replace("ß", "ss").replace("æ", "ae").replace("ø", "o")
    text = text.replace("ł", "l").replace("œ", "oe").replace("Æ", "Ae").replace("Ø", "O").replace("Ł", "L")
    text = _PAGE.sub(lambda m: "page " if m[1] == "p" else "pages ", _STREET.sub("street", text))
    text = _SHORT.sub(lambda m: SHORT[m[1].lower()], text)
    text = _NUMERO.sub("number ", text)
    text = _THAT_IS.sub("that is", _EXAMPLE.sub("for example", text))
    text = _INITIALS.sub(lambda m: m[0].upper().replace("A", "ay").replace(".", " "), text)
    text = _VERSION.sub(lambda m: m[0].replace(".", " point "), _DOT.sub(" dot ", _RUN_ON.sub(" ", text)))
    text = spoken(text)
    text = re.sub(r"\s[-‐‑]\s|--+", ", ", text)
    for sign, words in SIGNS.items():
        text = text.replace(sign, f" {words} ")
    return "".join(MARKS.get(char, char) for char in text)


def _latin(char: str) -> str:
    """A letter without its accents, where it is one of ours; others as they are, to be told as they are written."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    return plain if plain.isascii() or not char.isalpha() else char


def _protected(text: str) -> str:
    """NFKD would make `1⁄2` and three dots of these."""
    for char in "½¼¾":
        text = text.replace(char, f" {SIGNS[char]} ")
    return text.replace("…", ".").replace("º", "°")
