"""Vectors of texts, and an order of documents by them: sentence-transformers' all-MiniLM-L6-v2."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trivet.errors import RequestError, UnsupportedError, WeightsError
from trivet.local import safetensors
from trivet.local.loaded import Loaded, needed
from trivet.local.texts.bert import Bert, Config, batches
from trivet.types import Done, Embed, EmbedResponse, Event, Request, Rerank, RerankResponse, Usage

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Embedder", "tokenized"]


class Weights(NamedTuple):
    tokenizer: Any
    bert: Bert
    most: int  # tokens of one text, [CLS] and [SEP] included


class Parts(NamedTuple):
    """The tokens of each text in one row, or in several where it is longer than the network takes; `longer` is how many
    texts are."""

    of: list[list[list[int]]]
    longer: int


class Embedder(Loaded[Weights]):
    """The mean of the last layer's states over the tokens of a text, at length 1.

    Of a text that is longer than the network takes (256 tokens) each part goes through it by itself, and the vector is
    the mean over all tokens of all parts; the answer's notes say so. `truncate` leaves out what is beyond the first
    part, which is what sentence-transformers does, and the notes say that. A document's score is its cosine with the
    query; that of a long one is its best part's.
    """

    tasks = ("embed", "rerank")
    extra = "onnx"
    fields = frozenset({"user"})  # a client's own label

    def check(self, request: Request) -> None:
        if isinstance(request, Embed):
            self._check_embed(request)
        elif isinstance(request, Rerank) and not request.documents:
            raise RequestError("documents is empty: send at least one", field="documents")

    def _check_embed(self, request: Embed) -> None:
        for field in ("images", "proteins"):
            if getattr(request, field):
                raise UnsupportedError(f"{self.name} embeds texts, not {field}: name another model", field=field)
        if not request.texts:
            raise RequestError("texts is empty: send at least one text", field="texts")
        own = self._config.hidden_size
        if request.dimensions not in (None, own):
            raise UnsupportedError(
                f"{self.name} makes vectors of {own} dimensions and cannot shorten them: leave `dimensions` out",
                field="dimensions",
            )

    @functools.cached_property
    def _config(self) -> Config:
        return Config.read(self.path / "config.json")

    def load(self) -> Weights:
        tokenizer = needed("tokenizers", self.extra).Tokenizer.from_file(str(self.path / "tokenizer.json"))
        tokenizer.no_truncation()  # the file says 128, and nobody who embeds texts goes by it
        tokenizer.no_padding()
        needed("numpy", self.extra)
        tensors = safetensors.read(self.path / "model.safetensors")
        bert = Bert(tensors, self._config, threads=self.settings.threads)
        return Weights(tokenizer, bert, min(_most(self.path), self._config.max_position_embeddings))

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """A batch at a time, so that a request can be cancelled, and a short one need not wait for a long one's end."""
        self.require(request)
        self.check(request)
        assert isinstance(request, Embed | Rerank)
        turns = self._turns(request)
        while (response := await self.in_thread(lambda: next(turns))) is None:
            pass
        yield Done(response=response)

    def _turns(self, request: Embed | Rerank) -> Iterator[EmbedResponse | RerankResponse | None]:
        """The answer, in the model's thread, after None between two batches: what fits into one is one turn, as each
        costs a short text 0.1 ms of its 5."""
        if isinstance(request, Embed):
            parts = self._parts(request.texts, truncate=request.truncate is True)
        else:
            parts = self._parts((request.query, *request.documents), truncate=False)
        rows = [row for own in parts.of for row in own]
        sums: list[Any] = [None] * len(rows)
        for turn, places in enumerate(batches(rows)):
            if turn:
                yield None
            found = self.weights().bert.summed([rows[place] for place in places])
            for place, row in zip(places, found, strict=True):
                sums[place] = row
        yield self._answered(request, parts, sums)

    def _parts(self, texts: Sequence[str], *, truncate: bool) -> Parts:
        tokenizer, _, most = self.weights()
        of, longer, room = [], 0, most - 2
        for encoded in tokenized(tokenizer, texts):
            first, *ids, last = encoded.ids
            longer += len(ids) > room
            begins = range(0, 1 if truncate else max(len(ids), 1), room)
            of.append([[first, *ids[begin : begin + room], last] for begin in begins])
        return Parts(of, longer)

    def _answered(self, request: Embed | Rerank, parts: Parts, sums: Sequence[Array]) -> EmbedResponse | RerankResponse:
        tokens = sum(len(row) for own in parts.of for row in own)
        usage = Usage.of_input(tokens)
        in_turn = iter(sums)
        by_text = [[next(in_turn) for _ in own] for own in parts.of]
        notes = self._notes(request, parts)
        if isinstance(request, Embed):
            vectors = tuple(tuple(_unit(sum(own)).tolist()) for own in by_text)
            return EmbedResponse(model=self.name, vectors=vectors, usage=usage, notes=notes)
        query, *documents = by_text
        asked = _unit(sum(query))
        scores = [max(float(_unit(part) @ asked) for part in own) for own in documents]
        return RerankResponse(
            model=self.name,
            results=request.ranked(scores),
            method="embedding similarity",
            usage=usage,
            notes=notes,
        )

    def _notes(self, request: Embed | Rerank, parts: Parts) -> tuple[str, ...]:
        if not parts.longer:
            return ()
        if isinstance(request, Embed) and request.truncate:
            done = "what is beyond was left out, as `truncate` asks"
        elif isinstance(request, Embed):
            done = "a vector is the mean over all parts of its text"
        else:
            done = "a document's score is that of its best part"
        which = f"{parts.longer} of {len(parts.of)} texts" if len(parts.of) > 1 else "the text"
        verb = "are" if parts.longer > 1 else "is"
        return (f"{which} {verb} longer than the {self.weights().most} tokens that {self.name} takes at once: {done}",)


def tokenized(tokenizer: Any, texts: Sequence[str]) -> list[Any]:
    """The tokens of each text. Raises `RequestError` for what is no text."""
    try:
        found: list[Any] = tokenizer.encode_batch_fast(texts)
    except TypeError:  # half a pair of UTF-16, which no text in Unicode has
        raise RequestError(f"{_halves(texts)} is no whole Unicode text: it has half a character") from None
    return found


def _halves(texts: Sequence[str]) -> str:
    wrong = (i for i, text in enumerate(texts) if any("\ud800" <= letter <= "\udfff" for letter in text))
    return f"text {next(wrong, '?')} (counted from 0)" if len(texts) > 1 else "the text"


def _unit(vector: Any) -> Array:
    unit: Array = vector / max(float(vector @ vector) ** 0.5, 1e-12)  # as torch.nn.functional.normalize
    return unit


def _most(folder: Path) -> int:
    """Tokens of one text, as sentence-transformers' own file says."""
    path = folder / "sentence_bert_config.json"
    try:
        return int(msgspec.json.decode(path.read_bytes(), type=dict[str, Any])["max_seq_length"])
    except (OSError, KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise WeightsError(f"{path} does not say how long a text may be: {error}. Get it again.") from error
