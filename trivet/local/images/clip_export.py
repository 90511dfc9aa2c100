"""CLIP's and SigLIP's networks from ONNX exports: one file with both, as Hugging Face's Optimum writes it, or
text_model.onnx and vision_model.onnx, as transformers.js has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.errors import WeightsError
from trivet.local.images.clip_folder import Config
from trivet.local.loaded import needed
from trivet.local.onnx_session import session_options

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Exported"]

KNOWN = ("input_ids", "attention_mask", "pixel_values")
EXTRA = "images"


class Exported:
    """As `clip_graph.Network`. `scale` and `bias` are None where there are two files, which do not have them."""

    def __init__(self, files: Sequence[Path], config: Config, *, threads: int | None) -> None:
        self._np, self.config = needed("numpy", EXTRA), config
        self.scale: float | None = None
        self.bias: float | None = None
        text, vision = files[0], files[-1]
        self._text = _Session(text, config, threads)
        self._vision = self._text if vision == text else _Session(vision, config, threads)
        if vision == text:
            self.scale, self.bias = self._fit()

    def texts(self, ids: Array) -> Array:
        return self._text.run(self._named("text_embeds"), ids, None)

    def images(self, pixels: Array) -> Array:
        return self._vision.run(self._named("image_embeds"), None, pixels)

    def _named(self, vectors: str) -> tuple[str, ...]:
        """A SigLIP's towers end in its vectors. A CLIP's do not: two projections make them of what its towers pool."""
        return (vectors,) if self.config.family == "clip" else (vectors, "pooler_output")

    def _fit(self) -> tuple[float, float]:
        """The numbers that make logits of cosines, from some of both: a graph has them, but under no name of its own.
        Least squares over texts of one token each, with an image of one grey."""
        np, config = self._np, self.config
        rows = self._text.no_text.repeat(16, axis=0)
        rows[:, 0] = np.arange(16)
        image = np.full((1, 3, config.side, config.side), 0.5, np.float32)
        texts, images = self.texts(rows), self.images(image)
        logits = self._text.run(("logits_per_image",), rows, image).reshape(-1).astype(np.float64)
        texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        cosines = (texts @ (images[0] / np.linalg.norm(images[0]))).astype(np.float64)
        if config.family == "clip":
            return float(cosines @ logits / (cosines @ cosines)), 0.0
        ((scale, bias), *_) = np.linalg.lstsq(np.stack([cosines, np.ones(16)], axis=1), logits, rcond=None)
        return float(scale), float(bias)


class _Session:
    """One file. What it wants and is not asked about gets one text of nothing, or one black image."""

    def __init__(self, file: Path, config: Config, threads: int | None) -> None:
        self.file, self._np = file, needed("numpy", EXTRA)
        runtime = needed("onnxruntime", EXTRA)
        try:
            self._session = runtime.InferenceSession(
                str(file), session_options(runtime, threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # it has no class of its own for what it cannot read
            raise WeightsError(f"{file} is not loaded: {_said(error)}. Export the model again") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]
        if unknown := set(self._inputs) - set(KNOWN):
            raise WeightsError(
                f"{file} takes {', '.join(sorted(unknown))}, and a CLIP takes {', '.join(KNOWN)} at most"
            )
        self._options = runtime.RunOptions()
        # Without it the other network runs too, on nothing, and its answer is thrown away.
        self._options.only_execute_path_to_fetches = True
        length = config.most if config.family == "siglip" else 2
        self.no_text = self._np.full((1, length), config.eos if config.family == "clip" else config.pad, "i8")
        self._no_image = self._np.zeros((1, 3, config.side, config.side), "f4")

    def run(self, names: Sequence[str], ids: Array | None, pixels: Array | None) -> Array:
        """The first of the outputs `names` that it has."""
        output = next((name for name in names if name in self._outputs), None)
        if output is None:
            raise WeightsError(
                f"{self.file} gives {', '.join(self._outputs)}, and not {' or '.join(names)}: export the whole model, "
                "transformers' CLIPModel or SiglipModel"
            )
        ids = self.no_text if ids is None else ids
        feeds = {
            "input_ids": ids,
            "attention_mask": self._np.ones(ids.shape, "i8"),  # CLIP looks back only; SigLIP looks at what fills up too
            "pixel_values": self._no_image if pixels is None else pixels,
        }
        try:
            found: Array = self._session.run([output], {name: feeds[name] for name in self._inputs}, self._options)[0]
        except Exception as error:  # as above
            raise WeightsError(
                f"{self.file} does not run: {_said(error)}. Export it with any number of texts and images"
            ) from error
        return found


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
