"""BERT as an ONNX graph, made from its tensors in memory and run by onnxruntime.

The network: https://arxiv.org/abs/1810.04805, with the tensors' names as Hugging Face's `BertModel` has them. Attention
and normalisation are onnxruntime's own fused operators (domain com.microsoft, docs/ContribOperators.md), written down
here directly, so that nothing hangs on its optimizer finding them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trivet.errors import WeightsError
from trivet.local.loaded import needed
from trivet.local.onnx_session import FUSED, Graph
from trivet.types import Value

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Bert", "Config", "batches"]

TOKENS = 1_024  # of one run at most, padding included: with 8,192 the same texts take 1.6 times as long


class Config(Value, frozen=True, kw_only=True):
    """The fields of a BERT's config.json that its graph hangs on."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    vocab_size: int
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    position_embedding_type: str = "absolute"

    @staticmethod
    def read(path: Path) -> Config:
        """Raises `WeightsError` where the file is no such configuration, or one of another network."""
        try:
            # Values refuse fields that they do not know, and a config.json has many.
            told = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            config = msgspec.convert(
                {field: told[field] for field in Config.__struct_fields__ if field in told}, Config
            )
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise WeightsError(f"{path} is no configuration of a BERT: {error}. Get it again.") from error
        if config.hidden_act != "gelu" or config.position_embedding_type != "absolute":
            raise WeightsError(f"{path} is of another network than BERT as it was published, which is not known here")
        return config


class Bert:
    """A loaded network. `tensors` are its weights by name, each with `prefix` before what `BertModel` calls it. With
    `predicts` the head that predicts tokens is there too (`cls.predictions`)."""

    def __init__(
        self,
        tensors: Mapping[str, Array],
        config: Config,
        *,
        threads: int | None,
        prefix: str = "",
        predicts: bool = False,
    ) -> None:
        self._np, self.config = needed("numpy", "onnx"), config
        try:
            self._session = _Graph(tensors, config, prefix).session(threads, predicts)
        except KeyError as error:
            raise WeightsError(f"the weights have no tensor {error}: they are of another network") from error

    def summed(self, rows: Sequence[Sequence[int]], *, specials: bool = True) -> Array:
        """The sum of the last layer's states over the tokens of each row, as (rows, hidden); without `specials` the
        first and the last token of each do not count. One run: `batches` says how many rows at best."""
        ids, mask = self._padded(rows)
        weights = mask.astype(self._np.float32)
        if not specials:
            weights[:, 0] = 0
            weights[self._np.arange(len(rows)), [len(row) - 1 for row in rows]] = 0
        sums: Array = self._session.run(["sums"], {"ids": ids, "mask": mask, "weights": weights})[0]
        return sums

    def predicted(self, row: Sequence[int]) -> Array:
        """The logits of each token of the vocabulary at each place of `row`, as (places, vocabulary)."""
        ids, mask = self._padded([row])
        feeds = {"ids": ids, "mask": mask, "weights": self._np.ones(ids.shape, self._np.float32)}
        logits: Array = self._session.run(["logits"], feeds)[0][0]
        return logits

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        np = self._np
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros(ids.shape, np.int32)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return ids, mask


def batches(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """The places of `rows` in batches of rows alike in length: the fewest zeros to pad with."""
    batches: list[list[int]] = []
    room = 0
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place]), reverse=True):
        if room < 1:
            batches.append([])
            room = max(1, TOKENS // len(rows[place]))  # the first is the longest
        batches[-1].append(place)
        room -= 1
    return batches


class _Graph(Graph):
    """Shapes: B rows, S tokens, H hidden, V vocabulary."""

    def __init__(self, tensors: Mapping[str, Array], config: Config, prefix: str) -> None:
        super().__init__(tensors, "onnx")
        self.config, self.prefix = config, prefix

    def session(self, threads: int | None, predicts: bool) -> Any:
        states = self._embeddings()
        for layer in range(self.config.num_hidden_layers):
            states = self._layer(states, f"{self.prefix}encoder.layer.{layer}.")
        self.node("Unsqueeze", ["weights", self.constant("second", [1])], "row")  # (B, 1, S)
        self.node("MatMul", ["row", states], "sum")  # (B, 1, H)
        self.node("Squeeze", ["sum", "second"], "sums")  # (B, H)
        outputs = {"sums": ["B", "H"]}
        if predicts:
            self._predictions(states)
            outputs["logits"] = ["B", "S", "V"]
        inputs = {
            name: (kind, ["B", "S"]) for name, kind in (("ids", "INT64"), ("mask", "INT32"), ("weights", "FLOAT"))
        }
        return self.opened("bert", inputs, outputs, threads=threads)

    def _embeddings(self) -> str:
        """Of the token, its place, and the segment, which is always the first: (B, S, H)."""
        at = f"{self.prefix}embeddings."
        segment = self.tensors[f"{at}token_type_embeddings.weight"][0]
        self.keep("places", self.tensors[f"{at}position_embeddings.weight"] + segment)
        self.node("Gather", [self.weight(f"{at}word_embeddings.weight"), "ids"], "words")
        embedded = self.placed("words", "places")
        norm = [self.weight(f"{at}LayerNorm.weight"), self.weight(f"{at}LayerNorm.bias")]
        return self.node("LayerNormalization", [embedded, *norm], "states", epsilon=self.config.layer_norm_eps)

    def _layer(self, states: str, at: str) -> str:
        """Attention, then a network over each token, each added to what went in, and normalised."""
        qkv = self.side_by_side(f"{at}qkv", [f"{at}attention.self.{part}" for part in ("query", "key", "value")])
        into = [states, *qkv, "mask"]
        heads = self.config.num_attention_heads
        seen = self.node("Attention", into, f"{at}seen", domain=FUSED, num_heads=heads)
        states = self._added(states, seen, f"{at}attention.output.")
        wide = self.node("MatMul", [states, self.turned(f"{at}intermediate.dense.weight")], f"{at}wide")
        bias = self.weight(f"{at}intermediate.dense.bias")
        active = self.node("BiasGelu", [wide, bias], f"{at}active", domain=FUSED)
        return self._added(states, active, f"{at}output.")

    def _added(self, states: str, made: str, at: str) -> str:
        """LayerNorm(states + dense(made))."""
        dense = self.node("MatMul", [made, self.turned(f"{at}dense.weight")], f"{at}dense")
        norm = [self.weight(f"{at}{name}") for name in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")]
        epsilon = self.config.layer_norm_eps
        into = [dense, states, *norm]
        return self.node("SkipLayerNormalization", into, f"{at}states", domain=FUSED, epsilon=epsilon)

    def _predictions(self, states: str) -> None:
        at = "cls.predictions."
        dense = self.node("MatMul", [states, self.turned(f"{at}transform.dense.weight")], f"{at}dense")
        active = self.node("BiasGelu", [dense, self.weight(f"{at}transform.dense.bias")], f"{at}gelu", domain=FUSED)
        norm = [self.weight(f"{at}transform.LayerNorm.{name}") for name in ("weight", "bias")]
        epsilon = self.config.layer_norm_eps
        self.node("LayerNormalization", [active, *norm], f"{at}states", epsilon=epsilon)
        self.node("MatMul", [f"{at}states", self.turned(f"{at}decoder.weight")], f"{at}scores")
        self.node("Add", [f"{at}scores", self.weight(f"{at}decoder.bias")], "logits")
