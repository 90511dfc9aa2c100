"""EfficientNet-Lite0: which of ImageNet's 1,000 classes an image is of."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.errors import UnsupportedError, WeightsError
from trivet.local import torch_files
from trivet.local.images.picture import Picture, Sighted
from trivet.local.loaded import needed
from trivet.local.onnx_session import Graph
from trivet.types import Classify, ClassifyResponse, Label, Request

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["EfficientNetLite", "classes", "network"]

FILE = "efficientnet-lite0-57934424.pth"
SIDE = 224
# MEAN_RGB, STDDEV_RGB and batch_norm_epsilon of tensorflow/tpu, models/official/efficientnet/lite.
MEAN, DEVIATION = 127.0, 128.0
EPSILON = 1e-3
# _DEFAULT_BLOCKS_ARGS there: how often, and the first one's stride. Kernels and channels are the weights' shapes.
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))


class EfficientNetLite(Sighted[Any]):
    """An image's short side is scaled to 224 pixels, and the square in its middle is what is seen."""

    tasks = ("classify",)

    def check(self, request: Request) -> None:
        assert isinstance(request, Classify)
        for field in ("labels", "template"):
            if getattr(request, field):
                raise UnsupportedError(
                    f"{self.name} knows only its own {len(classes()):,} labels (ImageNet's): zero-shot needs a CLIP, a "
                    f"model that knows words and images. Leave `{field}` out, or name the folder of such a model",
                    field=field,
                )

    def load(self) -> Any:
        needed("numpy", self.extra)
        try:
            return network(torch_files.read(self.path / FILE), threads=self.settings.threads)
        except KeyError as error:
            raise WeightsError(
                f"{self.path / FILE} is no EfficientNet-Lite0: it has no {error}. Get it again."
            ) from error

    def see(self, weights: Any, picture: Picture, request: Classify) -> ClassifyResponse:
        (scores,) = weights.run(None, {"image": pixels(picture.rgb)[None]})
        best = scores[0].argsort()[::-1][: request.top]
        labels = tuple(Label(label=classes()[i], score=float(scores[0][i])) for i in best)
        return ClassifyResponse(model=self.name, labels=labels, notes=picture.notes)


@functools.cache
def classes() -> tuple[str, ...]:
    """ImageNet's classes in the order of the network's outputs. Origin and licence are in the file."""
    lines = Path(__file__).with_name("imagenet.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def pixels(rgb: Array) -> Array:
    """The middle square of height x width x 3 bytes as the network takes it, 3 x 224 x 224."""
    np: Any = needed("numpy", "images")
    reader = needed("PIL.Image", "images")
    height, width, _ = rgb.shape
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    square = reader.fromarray(rgb).resize(
        (SIDE, SIDE), reader.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return ((np.asarray(square, np.float32) - MEAN) / DEVIATION).transpose(2, 0, 1)  # type: ignore[no-any-return]


def network(tensors: Mapping[str, Array], *, threads: int | None = None) -> Any:
    """The network as a session of onnxruntime's, from the tensors of `efficientnet_lite_pytorch`: n x 3 x 224 x 224
    numbers called `image` to n x 1,000 probabilities. Raises `KeyError` for a tensor that is not there."""
    building = _Graph(tensors)
    at = building.convolution("image", "_conv_stem", "_bn0", stride=2)
    number = 0
    for repeats, first_stride in STAGES:
        for repeat in range(repeats):
            at = building.block(at, f"_blocks.{number}.", stride=1 if repeat else first_stride, residual=repeat > 0)
            number += 1
    at = building.convolution(at, "_conv_head", "_bn1")
    building.head(at)
    inputs = {"image": ("FLOAT", ["n", 3, SIDE, SIDE])}
    outputs = {"scores": ["n", len(tensors["_fc.bias"])]}
    return building.opened("efficientnet-lite0", inputs, outputs, threads=threads)


class _Graph(Graph):
    def __init__(self, tensors: Mapping[str, Array]) -> None:
        super().__init__(tensors, "images")
        self.zero, self.six = self.keep("zero", 0), self.keep("six", 6)

    def convolution(
        self, at: str, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, relu6: bool = True
    ) -> str:
        """A convolution with its batch normalisation folded in, padded as TensorFlow does it."""
        weight, tensors = self.tensors[f"{name}.weight"], self.tensors
        scale = tensors[f"{norm}.weight"] / self.np.sqrt(tensors[f"{norm}.running_var"] + EPSILON)
        bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
        inputs = [
            at,
            self.keep(f"{name}.weight", weight * scale[:, None, None, None]),
            self.keep(f"{name}.bias", bias),
        ]
        groups = weight.shape[0] if depthwise else 1
        found = self.node("Conv", inputs, name, strides=[stride, stride], group=groups, auto_pad="SAME_UPPER")
        return self.node("Clip", [found, self.zero, self.six], f"{name}.relu6") if relu6 else found

    def block(self, at: str, name: str, *, stride: int, residual: bool) -> str:
        """MBConv: wider, by channel, narrower again (https://arxiv.org/abs/1801.04381); the very first is not wider."""
        found = at
        if f"{name}_expand_conv.weight" in self.tensors:
            found = self.convolution(found, f"{name}_expand_conv", f"{name}_bn0")
        found = self.convolution(found, f"{name}_depthwise_conv", f"{name}_bn1", stride=stride, depthwise=True)
        found = self.convolution(found, f"{name}_project_conv", f"{name}_bn2", relu6=False)
        return self.node("Add", [found, at], f"{name}sum") if residual else found

    def head(self, at: str) -> None:
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [at], "pool")], "flat")
        last = [self.weight(f"_fc.{kind}") for kind in ("weight", "bias")]
        self.node("Softmax", [self.node("Gemm", [pooled, *last], "logits", transB=1)], "scores", axis=1)
