"""Antibodies: masked residues, and vectors (AntiBERTy, https://arxiv.org/abs/2112.07782)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.errors import ContextLengthError, RequestError, UnsupportedError, WeightsError
from trivet.local import torch_files
from trivet.local.loaded import Loaded, needed
from trivet.local.texts.bert import Bert, Config, batches
from trivet.types import Embed, EmbedResponse, Mask, MaskResponse, Place, Request, Residue, Response, Usage

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Protein"]

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
MASKED = "_"
WRONG = re.compile(f"[^{AMINO_ACIDS}{AMINO_ACIDS.lower()}{MASKED}]")
NO_RESIDUES = {  # of alignments and translated genes
    "-": "which is a gap: take the gaps out",
    ".": "which is a gap: take the gaps out",
    "*": "which is a stop codon, where a protein ends: cut the sequence there",
}
SPECIALS = 2  # [CLS] before and [SEP] after
MOST = 512 - SPECIALS  # residues: the network knows 512 places


class Protein(Loaded[Bert]):
    """`mask` tells which of the 20 amino acids stand at each `_`, their probabilities being of these 20 together.
    `embed` gives the mean of the last layer's states over the residues (not at length 1, as the network has them).
    A sequence goes through whole: one of more than 510 residues is refused. Letters may be small."""

    tasks = ("mask", "embed")
    extra = "onnx"

    def check(self, request: Request) -> None:
        if isinstance(request, Mask):
            self._check_sequence(request.sequence, "sequence")
            if MASKED not in request.sequence:
                raise RequestError(
                    f"sequence has no masked place: put {MASKED} where a residue is to be found", field="sequence"
                )
        elif isinstance(request, Embed):
            self._check_embed(request)

    def _check_embed(self, request: Embed) -> None:
        for field in ("texts", "images"):
            if getattr(request, field):
                raise UnsupportedError(f"{self.name} embeds proteins, not {field}: name another model", field=field)
        if not request.proteins:
            raise RequestError("proteins is empty: send at least one sequence", field="proteins")
        if request.dimensions is not None:
            raise UnsupportedError(
                f"{self.name} cannot shorten its vectors: leave `dimensions` out", field="dimensions"
            )
        if request.truncate:
            raise UnsupportedError(
                f"{self.name} cuts no sequence short: leave `truncate` out, and send the variable domain alone",
                field="truncate",
            )
        for i, sequence in enumerate(request.proteins):
            self._check_sequence(sequence, f"proteins[{i}]")

    def _check_sequence(self, sequence: str, field: str) -> None:
        if not sequence:
            raise RequestError(f"{field} is empty: send a sequence of amino acids", field=field)
        if wrong := WRONG.search(sequence):
            unknown = f"which is no amino acid that {self.name} knows ({AMINO_ACIDS}): put {MASKED} in its place"
            raise RequestError(
                f"{field} has {wrong[0]!r} at position {wrong.start()} (counted from 0), "
                f"{NO_RESIDUES.get(wrong[0], unknown)}",
                field=field,
            )
        if len(sequence) > MOST:
            raise ContextLengthError(
                f"{field} has {len(sequence):,} residues, {self.name} takes {MOST}: send the variable domain alone",
                prompt_tokens=len(sequence) + SPECIALS,
                context_tokens=MOST + SPECIALS,
                field=field,
            )

    def load(self) -> Bert:
        needed("numpy", self.extra)
        _check_vocabulary(self.path / "vocab.txt")
        tensors = torch_files.read(self.path / "pytorch_model.bin")
        config = Config.read(self.path / "config.json")
        return Bert(tensors, config, threads=self.settings.threads, prefix="bert.", predicts=True)

    def answer(self, weights: Bert, request: Request) -> Response:
        return self._filled(weights, request) if isinstance(request, Mask) else self._embedded(weights, request)

    def _filled(self, weights: Bert, request: Mask) -> MaskResponse:
        ids, letters = _ids(request.sequence), list(request.sequence.upper())
        logits = weights.predicted(ids)
        places = []
        for position in (i for i, letter in enumerate(letters) if letter == MASKED):
            likely = _likely(logits[position + 1], request.top)  # [CLS] is the first
            places.append(Place(position=position, residues=likely))
            letters[position] = likely[0].letter
        return MaskResponse(model=self.name, sequence="".join(letters), places=tuple(places), usage=_usage([ids]))

    def _embedded(self, weights: Bert, request: Any) -> EmbedResponse:
        rows = [_ids(sequence) for sequence in request.proteins]
        vectors: list[tuple[float, ...]] = [()] * len(rows)
        for places in batches(rows):
            sums = weights.summed([rows[place] for place in places], specials=False)
            for place, row in zip(places, sums, strict=True):
                vectors[place] = tuple((row / (len(rows[place]) - SPECIALS)).tolist())
        return EmbedResponse(model=self.name, vectors=tuple(vectors), usage=_usage(rows))


# Tokens by their number, as the model's vocab.txt has them, a line each.
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *AMINO_ACIDS)
_IDS = {token: number for number, token in enumerate(VOCABULARY)} | {MASKED: VOCABULARY.index("[MASK]")}


def _check_vocabulary(path: Path) -> None:
    try:
        told = tuple(path.read_text("utf-8").split())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}. Get it again.") from error
    if told != VOCABULARY:
        raise WeightsError(f"{path} has other tokens than AntiBERTy's, whose numbers would mean something else here")


def _ids(sequence: str) -> list[int]:
    return [_IDS["[CLS]"], *(_IDS[letter] for letter in sequence.upper()), _IDS["[SEP]"]]


def _likely(logits: Array, top: int) -> tuple[Residue, ...]:
    """The most likely amino acids at one place, by the logits of all tokens there."""
    own = logits[_IDS[AMINO_ACIDS[0]] :].astype("float64")
    own -= own.max()
    scores = [math.exp(value) for value in own.tolist()]
    total = sum(scores)
    ranked = sorted(zip(AMINO_ACIDS, scores, strict=True), key=lambda pair: -pair[1])
    return tuple(Residue(letter=letter, probability=score / total) for letter, score in ranked[:top])


def _usage(rows: list[list[int]]) -> Usage:
    return Usage.of_input(sum(map(len, rows)))
