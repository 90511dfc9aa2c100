"""Words as phonemes: CMUdict's ARPAbet, in the IPA that Piper's American voices were trained on (espeak-ng's en-us)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from trivet.local.speech.english import Sentence
from trivet.local.speech.letters import Letters

__all__ = ["Lexicon", "ipa"]

IPA = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɜː", "EY": "eɪ", "IH": "ɪ",
    "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f",
    "G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
UNSTRESSED = {"AH": "ə", "ER": "ɚ", "IY": "i"}
STRESS = {"1": "ˈ", "2": "ˌ"}
# Words that have no stress in a sentence, and those that are said otherwise than alone.
WEAK = frozenset(
    (
        *("a", "an", "the", "and", "but", "or", "than", "that", "as", "at", "by", "for", "from", "in", "of", "on"),
        *("to", "with", "i", "me", "my", "you", "your", "he", "him", "his", "she", "her", "it", "its", "we", "us"),
        *("our", "they", "them", "their", "is", "are", "am", "was", "were", "be", "been", "has", "have", "had"),
        *("will", "would", "can", "could", "so"),
    )
)
SPOKEN = {"a": "ɐ", "the": "ðə", "to": "tə", "for": "fɚ", "and": "ænd", "of": "ʌv"}
BEFORE_VOWEL = {"the": "ðɪ", "to": "tʊ"}
SPELLED = ("AI",)  # though there is a word like it
LETTER_A = ("EY1",)
VOWELS = frozenset("aeiouæɐɑɔəɛɜɪʊʌɚ")


class Lexicon:
    """CMUdict (`cmudict.dict`), and a network for what is not in it. Read at once, in some 0.1 s: 126,000 words."""

    def __init__(self, dictionary: Path, letters: Path) -> None:
        self._lines: dict[str, str] = {}
        # Line by line, as all others wait while a text is split, here 10 ms; and not from the file: a thread that gives
        # the GIL up for each short read is never asked to let others have it.
        for line in io.StringIO(dictionary.read_text("utf-8")):
            word, _, said = line.partition(" ")
            if not word.endswith(")"):  # `a(2)`: another way to say it
                self._lines[word] = said.partition(" #")[0]
        self._letters = Letters(letters)

    def ipa(self, sentence: Sentence) -> str:
        """The sentence in IPA, with a space between words and the marks behind them."""
        out: list[str] = []
        said = [self._word(piece.lower(), piece) if piece[0].isalpha() else piece for piece in sentence.pieces]
        for i, (piece, sound) in enumerate(zip(sentence.pieces, said, strict=True)):
            following = said[i + 1].lstrip("ˈˌ") if i + 1 < len(said) else ""
            if following[:1] in VOWELS:
                sound = BEFORE_VOWEL.get(piece.lower(), sound)
            out.append(f" {sound}" if out and piece[0].isalpha() else sound)
        return "".join(out)

    def _word(self, word: str, written: str) -> str:
        if word in SPOKEN:
            return SPOKEN[word]
        phonemes = self.arpabet(written)
        return ipa(p.replace("1", "3") for p in phonemes) if word in WEAK else ipa(phonemes)

    def arpabet(self, written: str) -> list[str]:
        """Known words as they stand there; capitals that are no known word, and what has no vowel, letter by letter;
        a known word with an ending by both; the rest by the network."""
        word = written.lower()
        if word in self._lines and written not in SPELLED:
            return self._lines[word].split()
        if (written.isupper() and len(written) <= 5) or not set(word) & set("aeiouy"):
            return [p for letter in word if letter.isalpha() for p in self._letter(letter)]
        stem, apostrophe, ending = word.partition("'")
        if apostrophe and ending == "s":
            known = self.arpabet(stem)
            return [*known, *_plural(known[-1])]
        halves = self._halves(word)
        return halves or self._letters.said(word)

    def _letter(self, letter: str) -> Iterable[str]:
        return LETTER_A if letter == "a" else self._lines[letter].split()

    def _halves(self, word: str) -> list[str]:
        """Of two known words of four letters and more, as in `voicemail`."""
        for cut in range(4, len(word) - 3):
            left, right = word[:cut], word[cut:]
            if left in self._lines and right in self._lines:
                return [*self._lines[left].split(), *(p.replace("1", "2") for p in self._lines[right].split())]
        return []


def _plural(last: str) -> tuple[str, ...]:
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH0", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)


def ipa(phonemes: Iterable[str]) -> str:
    """ARPAbet with digits for stress (0 none, 1, 2; 3: a stress that the sentence takes away) as IPA."""
    out = []
    sequence = list(phonemes)
    for i, phoneme in enumerate(sequence):
        name, stress = (phoneme[:-1], phoneme[-1]) if phoneme[-1].isdigit() else (phoneme, "")
        sound = UNSTRESSED.get(name, IPA[name]) if stress == "0" else IPA[name]
        before = sequence[i - 1] if i else ""
        after = sequence[i + 1] if i + 1 < len(sequence) else ""
        if name == "T" and (before[-1:].isdigit() or before == "R") and after[-1:] == "0":
            sound = "ɾ"  # as in water, party
        out.append(STRESS.get(stress, "") + sound)
    return "".join(out)
