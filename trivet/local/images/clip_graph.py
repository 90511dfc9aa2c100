"""CLIP's and SigLIP's two networks as ONNX graphs, made from their tensors in memory and run by onnxruntime.

CLIP: https://arxiv.org/abs/2103.00020. SigLIP: https://arxiv.org/abs/2303.15343. The tensors' names are those of
Hugging Face's `CLIPModel` and `SiglipModel`. In both each network is a transformer that normalises before each part.
They differ in where a text and an image are read: CLIP at the token that ends the text and at one put before the
patches, SigLIP at the last place of a text filled up to 64 and by an attention of its own over the patches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trivet.errors import WeightsError
from trivet.local.images.clip_folder import Config, Tower
from trivet.local.loaded import needed
from trivet.local.onnx_session import FUSED, Graph

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Network"]

# Their names in a configuration, and onnxruntime's for them.
ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "quick_gelu": ("QuickGelu", {"alpha": 1.702}),
    "gelu": ("Gelu", {}),
    "gelu_pytorch_tanh": ("FastGelu", {}),
    "gelu_new": ("FastGelu", {}),
}


class Network:
    """A loaded CLIP or SigLIP. A text and an image fit by `scale` times the cosine of their vectors, plus `bias`."""

    def __init__(self, tensors: Mapping[str, Array], config: Config, *, threads: int | None) -> None:
        self._np, self.config = needed("numpy", "images"), config
        try:
            self._text = _Text(tensors, "text_model.", config.text).session(config, threads)
            self._vision = _Vision(tensors, "vision_model.", config.vision).session(config, threads)
            self.scale: float = math.exp(float(tensors["logit_scale"].reshape(())))
            self.bias = float(tensors["logit_bias"].reshape(())) if config.family == "siglip" else 0.0
        except KeyError as error:
            raise WeightsError(f"the weights have no tensor {error}: they are of another network") from error

    def texts(self, ids: Array) -> Array:
        """Vectors (B, D) of the tokens of each text (B, S), as CLIP and SigLIP fill them up."""
        found: Array = self._text.run(["vectors"], {"ids": ids, "at": self._read_at(ids)[:, None]})[0]
        return found

    def images(self, pixels: Array) -> Array:
        """Vectors (B, D) of images (B, 3, side, side)."""
        found: Array = self._vision.run(["vectors"], {"pixels": pixels})[0]
        return found

    def _read_at(self, ids: Array) -> Array:
        """The place at which each text is read, as transformers finds it (modeling_clip.py)."""
        if self.config.family == "siglip":
            found: Array = self._np.full(len(ids), ids.shape[1] - 1)
        elif self.config.eos == 2:  # published files say so by mistake; what ends a text has the highest number there
            found = ids.argmax(axis=1)
        else:
            found = (ids == self.config.eos).argmax(axis=1)
        return found


class _Transformer(Graph):
    """Shapes: B rows, S places, H hidden, D of a vector. `at` is where its tensors' names begin."""

    def __init__(self, tensors: Mapping[str, Array], at: str, config: Tower) -> None:
        super().__init__(tensors, "images")
        self.at, self.config = at, config
        if config.hidden_act not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise WeightsError(f"config.json has hidden_act {config.hidden_act!r}, and known are {known}")

    def encoded(self, states: str, *, causal: bool = False) -> str:
        for number in range(self.config.num_hidden_layers):
            states = self._layer(states, f"{self.at}encoder.layers.{number}.", causal)
        return states

    def _layer(self, states: str, at: str, causal: bool) -> str:
        """Attention, then a network over each place; what is normalised goes in, and what comes out is added."""
        qkv = self.side_by_side(f"{at}qkv", [f"{at}self_attn.{part}_proj" for part in "qkv"])
        into = [self.norm(states, f"{at}layer_norm1"), *qkv]
        heads, seen = self.config.num_attention_heads, f"{at}seen"
        self.node("Attention", into, seen, domain=FUSED, num_heads=heads, unidirectional=int(causal))
        states = self.node("Add", [states, self.linear(seen, f"{at}self_attn.out_proj")], f"{at}attended")
        made = self.perceptron(self.norm(states, f"{at}layer_norm2"), f"{at}mlp.")
        return self.node("Add", [states, made], f"{at}states")

    def norm(self, states: str, name: str) -> str:
        weights = [self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", [states, *weights], name, epsilon=self.config.layer_norm_eps)

    def linear(self, states: str, name: str, *, bias: bool = True) -> str:
        made = self.product(states, self.weight(f"{name}.weight"), f"{name}.product")
        return self.node("Add", [made, self.weight(f"{name}.bias")], name) if bias else made

    def product(self, states: str, weight: str, name: str) -> str:
        """By a weight as it lies, (out, in): turned here it would be another copy while the model loads."""
        return self.node("FusedMatMul", [states, weight], name, domain=FUSED, transB=1)

    def perceptron(self, states: str, at: str) -> str:
        op, attributes = ACTIVATIONS[self.config.hidden_act]
        wide = self.node(op, [self.linear(states, f"{at}fc1")], f"{at}active", domain=FUSED, **attributes)
        return self.linear(wide, f"{at}fc2")


class _Text(_Transformer):
    def session(self, config: Config, threads: int | None) -> Any:
        """`ids` (B, S) and the place `at` which each is read (B, 1) to `vectors` (B, D)."""
        clip, at = config.family == "clip", f"{self.at}embeddings."
        self.node("Gather", [self.weight(f"{at}token_embedding.weight"), "ids"], "words")
        states = self.placed("words", self.weight(f"{at}position_embedding.weight"))
        states = self.encoded(states, causal=clip)
        self.node("GatherND", [states, "at"], "read", batch_dims=1)
        pooled = self.norm("read", f"{self.at}final_layer_norm")
        found = self.linear(pooled, "text_projection", bias=False) if clip else self.linear(pooled, f"{self.at}head")
        self.node("Identity", [found], "vectors")
        inputs: dict[str, tuple[str, list[Any]]] = {"ids": ("INT64", ["B", "S"]), "at": ("INT64", ["B", 1])}
        return self.opened(f"{config.family} text", inputs, {"vectors": ["B", "D"]}, threads=threads)


class _Vision(_Transformer):
    def session(self, config: Config, threads: int | None) -> Any:
        """`pixels` (B, 3, side, side) to `vectors` (B, D)."""
        states = self._patches(config)
        if config.family == "clip":
            states = self.encoded(self.norm(states, f"{self.at}pre_layrnorm"))  # their spelling
            first = self.node("Gather", [states, self.constant("first", [0])], "read", axis=1)  # (B, 1, H)
            self.node("Squeeze", [first, self.constant("second", [1])], "class")
            pooled = self.norm("class", f"{self.at}post_layernorm")
            found = self.linear(pooled, "visual_projection", bias=False)
        else:
            found = self._attended(self.norm(self.encoded(states), f"{self.at}post_layernorm"), f"{self.at}head.")
        self.node("Identity", [found], "vectors")
        inputs = {"pixels": ("FLOAT", ["B", 3, config.side, config.side])}
        return self.opened(f"{config.family} vision", inputs, {"vectors": ["B", "D"]}, threads=threads)

    def _patches(self, config: Config) -> str:
        """Each patch as a vector, CLIP's own one before them, and where each stands: (B, S, H)."""
        at = f"{self.at}embeddings."
        patch = self.tensors[f"{at}patch_embedding.weight"]  # (H, 3, patch, patch)
        biases = [self.weight(f"{at}patch_embedding.bias")] if config.family == "siglip" else []
        into = ["pixels", self.weight(f"{at}patch_embedding.weight"), *biases]
        self.node("Conv", into, "grid", strides=list(patch.shape[2:]))
        self.node("Reshape", ["grid", self.constant("rows", [0, patch.shape[0], -1])], "channels")
        states = self.node("Transpose", ["channels"], "patches", perm=[0, 2, 1])
        places = self.np.array(self.tensors[f"{at}position_embedding.weight"], self.np.float32)
        if config.family == "clip":  # a place before the patches, which holds nothing but the class's vector
            places[0] += self.tensors[f"{at}class_embedding"]
            states = self.node("Pad", [states, self.constant("before", [0, 1, 0, 0, 0, 0])], "behind")
        there = (config.side // patch.shape[2]) ** 2 + (config.family == "clip")
        if len(places) != there:
            raise WeightsError(
                f"the weights are of images in {len(places)} places, and config.json's image_size {config.side} makes "
                f"{there} of them: get both files from the same model"
            )
        return self.node("Add", [states, self.keep("places", places)], "placed")

    def _attended(self, states: str, at: str) -> str:
        """SigLIP's head: one learned query attends to all patches, then a network; (B, H)."""
        np, (hidden, _) = self.np, self.tensors[f"{at}attention.out_proj.weight"].shape
        weight, bias = (self.tensors[f"{at}attention.in_proj_{kind}"] for kind in ("weight", "bias"))
        query = self.tensors[f"{at}probe"].reshape(1, 1, hidden) @ weight[:hidden].T + bias[:hidden]
        self.node("Shape", [states], "count", start=0, end=1)
        self.node("Concat", ["count", self.constant("one row", [1, hidden])], "as rows", axis=0)
        self.node("Expand", [self.keep("query", query), "as rows"], "queries")
        for part, name in enumerate(("keys", "values"), start=1):
            own = slice(part * hidden, (part + 1) * hidden)
            product = self.product(states, self.keep(f"{at}{name}", weight[own]), f"{name} alone")
            self.node("Add", [product, self.keep(f"{at}{name}.bias", np.array(bias[own]))], name)
        heads = self.config.num_attention_heads
        self.node("MultiHeadAttention", ["queries", "keys", "values"], "gathered", domain=FUSED, num_heads=heads)
        read = self.linear("gathered", f"{at}attention.out_proj")
        made = self.perceptron(self.norm(read, f"{at}layernorm"), f"{at}mlp.")
        whole = self.node("Add", [read, made], "whole")  # (B, 1, H)
        return self.node("Squeeze", [whole, self.constant("second", [1])], "pooled")
