"""Documents in their order by a cross-encoder of the user's own: a network that reads query and document together.

A folder as Hugging Face's Optimum exports it: `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`. The network
takes `input_ids` and, where it wants them, `attention_mask` and `token_type_ids`, and gives one number for each pair.
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from trivet.errors import ContextLengthError, RequestError, WeightsError
from trivet.local.loaded import Loaded, needed
from trivet.local.onnx_session import session_options
from trivet.local.texts.bert import batches
from trivet.types import Done, Event, Request, Rerank, RerankResponse, Usage

__all__ = ["CrossEncoder", "files"]

MOST = 512  # tokens of a pair, where neither tokenizer.json nor config.json says
KNOWN = ("input_ids", "attention_mask", "token_type_ids")


def files(folder: Path) -> tuple[Path, ...]:
    """The files that make a folder one of these, the network first; none where it is none."""
    network = next((path for path in (folder / "model.onnx", folder / "onnx" / "model.onnx") if path.is_file()), None)
    tokenizer = folder / "tokenizer.json"
    return (network, tokenizer) if network is not None and tokenizer.is_file() else ()


class Weights(NamedTuple):
    tokenizer: Any
    session: Any
    inputs: tuple[str, ...]
    most: int  # tokens of a pair


class CrossEncoder(Loaded[Weights]):
    """A score is the sigmoid of the network's number, as sentence-transformers gives it. A document that is too long
    for the network is read in parts, each with the query, and is as good as its best; the answer's notes say so."""

    tasks = ("rerank",)
    extra = "onnx"

    def check(self, request: Request) -> None:
        if isinstance(request, Rerank) and not request.documents:
            raise RequestError("documents is empty: send at least one", field="documents")

    def load(self) -> Weights:
        tokenizers, runtime = needed("tokenizers", self.extra), needed("onnxruntime", self.extra)
        network, described = files(self.path)
        options = session_options(runtime, self.settings.threads)
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(described))
            session = runtime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # neither library has a class of its own for what it cannot read
            raise WeightsError(f"{self.path} is not loaded: {error}. Export the model again") from error
        inputs = tuple(value.name for value in session.get_inputs())
        if unknown := set(inputs) - set(KNOWN):
            raise WeightsError(
                f"{network} takes {', '.join(sorted(unknown))}, and a cross-encoder takes {', '.join(KNOWN)} at most"
            )
        most = _most(self.path, tokenizer)
        tokenizer.no_padding()
        return Weights(tokenizer, session, inputs, most)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """A batch at a time, between which a request can be cancelled."""
        self.require(request)
        self.check(request)
        assert isinstance(request, Rerank)
        pairs = await self.in_thread(lambda: self._pairs(request))
        rows = [part for parts in pairs for part in parts]
        scores = [0.0] * len(rows)
        for places in batches([row.ids for row in rows]):
            some = [rows[place] for place in places]
            found = await self.in_thread(functools.partial(self._scores, some))
            for place, score in zip(places, found, strict=True):
                scores[place] = score
        yield Done(response=await self.in_thread(lambda: self._ranked(request, pairs, scores)))

    def _pairs(self, request: Rerank) -> list[list[Any]]:
        """Query and document as tokens, each document in as many parts as it needs."""
        tokenizer, _, _, most = self.weights()
        tokenizer.no_truncation()
        alone = len(tokenizer.encode(request.query, "").ids)
        if alone >= most:
            raise ContextLengthError(
                f"query leaves no room for a document: with what stands between it has {alone} tokens or more, "
                f"{self.name} takes {most} of both together",
                prompt_tokens=alone,
                context_tokens=most,
                field="query",
            )
        tokenizer.enable_truncation(most, strategy="only_second")  # the rest comes as `overflowing`
        encoded = tokenizer.encode_batch([(request.query, document) for document in request.documents])
        return [[first, *first.overflowing] for first in encoded]

    def _scores(self, rows: list[Any]) -> list[float]:
        np = needed("numpy", self.extra)
        _, session, inputs, _ = self.weights()
        fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        longest = max(len(row.ids) for row in rows)
        feeds = {name: np.zeros((len(rows), longest), np.int64) for name in inputs}
        for name, table in feeds.items():
            for i, row in enumerate(rows):
                table[i, : len(row.ids)] = getattr(row, fields[name])
        found = session.run(None, feeds)[0]
        if found.size != len(rows):
            raise WeightsError(
                f"{self.path} gives {found.size // len(rows)} numbers for a pair, a cross-encoder gives one: "
                "name the folder of a model that was made for reranking"
            )
        return [1 / (1 + math.exp(-min(max(float(x), -700.0), 700.0))) for x in found.reshape(-1)]

    def _ranked(self, request: Rerank, pairs: list[list[Any]], scores: list[float]) -> RerankResponse:
        in_turn = iter(scores)
        by_document = [max(next(in_turn) for _ in parts) for parts in pairs]
        tokens = sum(len(part.ids) for parts in pairs for part in parts)
        longer = sum(len(parts) > 1 for parts in pairs)
        note = (
            f"{longer} of {len(pairs)} documents do not fit into the {self.weights().most} tokens that {self.name} "
            "takes at once: the score of one is that of its best part"
        )
        return RerankResponse(
            model=self.name,
            results=request.ranked(by_document),
            method="cross-encoder",
            usage=Usage.of_input(tokens),
            notes=(note,) if longer else (),
        )


def _most(folder: Path, tokenizer: Any) -> int:
    """Tokens of a pair: what the network has places for, and no more than its tokenizer cuts at."""
    told = [(tokenizer.truncation or {}).get("max_length")]
    path = folder / "config.json"
    if path.is_file():
        try:
            told.append(msgspec.json.decode(path.read_bytes()).get("max_position_embeddings"))
        except (AttributeError, msgspec.MsgspecError) as error:
            raise WeightsError(f"{path} cannot be read: {error}. Export the model again") from error
    return min((most for most in told if isinstance(most, int) and most > 0), default=MOST)
