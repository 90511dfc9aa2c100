"""How a word is said that no dictionary has: g2p_en's network from letters to phonemes, in numpy.

Two GRU cells (Cho et al. 2014, arXiv:1406.1078) of 256 units, the first over the letters, the second over the phonemes
so far; the most likely one each time. Weights: https://github.com/Kyubyong/g2p, Apache-2.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trivet.local.loaded import needed

__all__ = ["Letters"]

GRAPHEMES = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = ("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH")
STRESSED = tuple(f"{vowel}{stress}" for vowel in VOWELS for stress in "012")
# The network's are in alphabetical order, and it has UW without a stress as well.
PHONEMES = ("<pad>", "<unk>", "<s>", "</s>", *sorted((*STRESSED, *CONSONANTS, "UW", "V", "W", "Y", "Z", "ZH")))
UNITS = 256
START, END = PHONEMES.index("<s>"), PHONEMES.index("</s>")


class Letters:
    """`said("trivet")` is its phonemes in ARPAbet, as in CMUdict."""

    def __init__(self, path: Path) -> None:
        self._numpy = needed("numpy", "speech")
        with self._numpy.load(path, allow_pickle=False) as file:
            self._w = {name: file[name] for name in file.files}

    def said(self, word: str) -> list[str]:
        """Words of more than 30 letters are cut into several: the network has seen none of that length."""
        letters = [letter for letter in word.lower() if letter in GRAPHEMES]
        out: list[str] = []
        for start in range(0, len(letters), 30):
            out += self._one(letters[start : start + 30])
        return out

    def _one(self, letters: list[str]) -> list[str]:
        state = self._numpy.zeros(UNITS, self._numpy.float32)
        for letter in (*letters, "</s>"):
            state = self._step("enc", GRAPHEMES.index(letter), state)
        last, out = START, list[str]()
        for _ in range(2 * len(letters) + 4):
            state = self._step("dec", last, state)
            last = int((self._w["fc_w"] @ state + self._w["fc_b"]).argmax())
            if last == END:
                break
            if last > END:
                out.append(PHONEMES[last])
        return out

    def _step(self, cell: str, index: int, state: Any) -> Any:
        w, numpy = self._w, self._numpy
        of_input = w[f"{cell}_w_ih"] @ w[f"{cell}_emb"][index] + w[f"{cell}_b_ih"]
        of_state = w[f"{cell}_w_hh"] @ state + w[f"{cell}_b_hh"]
        reset, update = (1 / (1 + numpy.exp(-(of_input + of_state)[: 2 * UNITS]))).reshape(2, UNITS)
        new = numpy.tanh(of_input[2 * UNITS :] + reset * of_state[2 * UNITS :])
        return (1 - update) * new + update * state
