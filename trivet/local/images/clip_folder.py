"""The folder of a CLIP or a SigLIP as Hugging Face lays it out: its files, configuration, and how it wants pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trivet.errors import RequestError, WeightsError
from trivet.local import safetensors
from trivet.local.loaded import needed
from trivet.types import Value

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Config", "Pictures", "Tower", "files", "networks", "pad_token", "tensors"]

# What transformers' CLIPConfig and SiglipConfig have where a file leaves a field out.
DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "clip": {
        "text_config": {
            "num_attention_heads": 8,
            "num_hidden_layers": 12,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 77,
            "eos_token_id": 49407,
        },
        "vision_config": {
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "image_size": 224,
        },
    },
    "siglip": {
        "text_config": {
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
            "max_position_embeddings": 64,
            "pad_token_id": 1,
        },
        "vision_config": {
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
            "image_size": 224,
            "hidden_size": 768,
        },
    },
}
PREPROCESSING: dict[str, dict[str, Any]] = {
    "clip": {
        "size": {"shortest_edge": 224},
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "image_mean": (0.48145466, 0.4578275, 0.40821073),
        "image_std": (0.26862954, 0.26130258, 0.27577711),
    },
    "siglip": {
        "size": {"height": 224, "width": 224},
        "do_center_crop": False,
        "image_mean": (0.5, 0.5, 0.5),
        "image_std": (0.5, 0.5, 0.5),
    },
}
INDEX = "model.safetensors.index.json"
MOST_RATIO = 100  # of a picture's sides, where its middle is cut out
# How pictures are wanted: a file of its own or, as transformers writes it from version 5 on, a part of another.
PICTURES = ("preprocessor_config.json", "processor_config.json")


def files(folder: Path) -> tuple[Path, ...]:
    """The files that make a folder one of these, none where its config.json is of something else or missing.

    Raises `WeightsError` where it is one and not whole."""
    if _family(folder) is None:
        return ()
    described = []
    for names in (("tokenizer.json",), PICTURES):
        there = [folder / name for name in names if (folder / name).is_file()]
        if not there:
            raise WeightsError(f"{folder} has the config.json of a CLIP and no {names[0]}: get the whole folder.")
        described.append(there[0])
    found = networks(folder)
    if not found:
        raise WeightsError(
            f"{folder} has the config.json of a CLIP and no network: it takes model.safetensors, model.onnx, or "
            "text_model.onnx and vision_model.onnx, the ONNX files beside it or in onnx/."
        )
    index = (folder / INDEX,) if found[0].suffix == ".safetensors" and found[0].name != "model.safetensors" else ()
    own = (folder / "tokenizer_config.json",) if (folder / "tokenizer_config.json").is_file() else ()
    return (folder / "config.json", *described, *own, *index, *found)


def networks(folder: Path) -> tuple[Path, ...]:
    """The files with the weights: safetensors (one or several), else ONNX (one, or texts' and images')."""
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    if (folder / INDEX).is_file():
        places = _json(folder / INDEX).get("weight_map")
        names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
        for name in names:
            if name != Path(name).name or not (folder / name).is_file():
                raise WeightsError(f"{folder / INDEX} names {name}, which is not in the folder. Get it again.")
        return tuple(folder / name for name in names)
    for at in (folder, folder / "onnx"):
        for names in (["model.onnx"], ["text_model.onnx", "vision_model.onnx"]):
            if all((at / name).is_file() for name in names):
                return tuple(at / name for name in names)
    return ()


def tensors(folder: Path) -> dict[str, Array]:
    """Those of all its safetensors files, by name."""
    found: dict[str, Array] = {}
    for file in networks(folder):
        found |= safetensors.read(file)
    return found


class Tower(Value, frozen=True, kw_only=True):
    """What the text's or the image's transformer hangs on, beside its tensors."""

    num_attention_heads: int
    num_hidden_layers: int
    hidden_act: str
    layer_norm_eps: float


class Config(NamedTuple):
    """`most` is how many tokens a text may have, `eos` the token at whose place it is read (CLIP), `pad` what fills it
    up (SigLIP; see `pad_token`), `dimensions` those of a vector, `side` that of an image in pixels."""

    family: str  # clip or siglip
    text: Tower
    vision: Tower
    most: int
    eos: int
    pad: int
    dimensions: int
    side: int

    @staticmethod
    def read(folder: Path) -> Config:
        """Raises `WeightsError` where config.json is none of a CLIP or a SigLIP."""
        family = _family(folder)
        if family is None:
            raise WeightsError(f"{folder / 'config.json'} is of no CLIP and no SigLIP: name another folder.")
        told = _json(folder / "config.json")
        # Files of 2022 have each part twice; transformers goes by `*_dict` where both are there.
        text, vision = (
            DEFAULTS[family][part] | (told.get(part) or {}) | (told.get(f"{part}_dict") or {})
            for part in ("text_config", "vision_config")
        )
        try:
            return Config(
                family=family,
                text=_tower(text),
                vision=_tower(vision),
                most=int(text["max_position_embeddings"]),
                eos=int(text.get("eos_token_id") or 0),
                pad=int(text.get("pad_token_id") or 0),
                dimensions=int(told.get("projection_dim", 512) if family == "clip" else vision["hidden_size"]),
                side=int(vision["image_size"]),
            )
        except (TypeError, ValueError, msgspec.ValidationError) as error:
            raise WeightsError(f"{folder / 'config.json'} cannot be used: {error}. Get it again.") from error


def _tower(told: Mapping[str, Any]) -> Tower:
    return msgspec.convert({field: told[field] for field in Tower.__struct_fields__}, Tower)


def pad_token(folder: Path) -> str | None:
    """What fills a text up, by the tokenizer's own file: config.json often has only its class's default."""
    path = folder / "tokenizer_config.json"
    name = _json(path).get("pad_token") if path.is_file() else None
    name = name.get("content") if isinstance(name, dict) else name
    return name if isinstance(name, str) else None


class Pictures(NamedTuple):
    """How a folder's preprocessing wants pictures: scaled so that the short side has `short` pixels, or to `scaled`
    (height, width), or not at all; their middle cut out by `crop`; each channel's bytes times `factor`, less `mean`, by
    `deviation`."""

    short: int | None
    scaled: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int  # Pillow's number of it
    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @staticmethod
    def read(folder: Path, config: Config) -> Pictures:
        """Raises `WeightsError` where what it describes is no image that the network takes."""
        path = next((folder / name for name in PICTURES if (folder / name).is_file()), folder / PICTURES[0])
        said = _json(path) if path.name == PICTURES[0] else _json(path).get("image_processor") or {}
        try:
            told = PREPROCESSING[config.family] | {name: value for name, value in said.items() if value is not None}
            short, scaled = _size(told["size"]) if told.get("do_resize", True) else (None, None)
            if isinstance(told["size"], int) and config.family == "siglip":
                short, scaled = None, (told["size"], told["size"])
            crop = _size(told["crop_size"], square=True)[1] if told["do_center_crop"] else None
            normal = told.get("do_normalize", True)
            pictures = Pictures(
                short=short,
                scaled=scaled,
                crop=crop,
                resample=int(told.get("resample", 3)),
                factor=float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0,
                mean=tuple(map(float, told["image_mean"])) if normal else (0.0, 0.0, 0.0),
                deviation=tuple(map(float, told["image_std"])) if normal else (1.0, 1.0, 1.0),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{path} cannot be used: {error!r}. Get it again.") from error
        if (made := crop or scaled) != (config.side, config.side):
            size = "the size that they have" if made is None else f"{made[0]} x {made[1]} pixels"
            raise WeightsError(
                f"{path} makes images of {size}, and the network of config.json takes {config.side} x {config.side}: "
                "get both files from the same model."
            )
        return pictures

    def pixels(self, rgb: Array, field: str) -> Array:
        """Height x width x 3 bytes as the network takes them, 3 x side x side, scaled to the byte as transformers does
        it with Pillow. Black stands around a picture that is smaller than what is cut out of it.

        Raises `RequestError` for a strip, of which next to nothing would be seen."""
        np: Any = needed("numpy", "images")
        reader = needed("PIL.Image", "images")
        height, width, _ = rgb.shape
        if self.short is not None and max(height, width) > MOST_RATIO * min(height, width):
            raise RequestError(
                f"The image is a strip of {width} x {height} pixels, of which only the middle would be seen: cut "
                "out what is to be looked at",
                field=field,
            )
        to_height, to_width = self._scaled(height, width)
        if (to_height, to_width) != (height, width):
            rgb = np.asarray(reader.fromarray(rgb).resize((to_width, to_height), self.resample))
        crop_height, crop_width = self.crop or (to_height, to_width)
        top, left = (to_height - crop_height) // 2, (to_width - crop_width) // 2  # negative where black is needed
        seen = rgb[max(top, 0) : top + crop_height, max(left, 0) : left + crop_width]
        whole = np.zeros((crop_height, crop_width, 3), np.float32)
        upper, first = max(-top, 0), max(-left, 0)
        whole[upper : upper + seen.shape[0], first : first + seen.shape[1]] = seen
        whole = (whole * self.factor - self.mean) / self.deviation
        return whole.transpose(2, 0, 1).astype(np.float32)  # type: ignore[no-any-return]

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        if self.scaled is not None:
            return self.scaled
        if self.short is None:
            return height, width
        long = int(self.short * max(height, width) / min(height, width))
        return (self.short, long) if height <= width else (long, self.short)


def _size(told: Any, *, square: bool = False) -> tuple[int | None, tuple[int, int] | None]:
    """A short side, or height and width: what `size` says; a bare number is the former, unless it is `square`."""
    if isinstance(told, int):
        return (None, (told, told)) if square else (told, None)
    if told.get("longest_edge") is not None:
        raise ValueError(f"a longest_edge ({told['longest_edge']}) is not known here, only a shortest_edge")
    if "shortest_edge" in told:
        return int(told["shortest_edge"]), None
    return None, (int(told["height"]), int(told["width"]))


def _family(folder: Path) -> str | None:
    path = folder / "config.json"
    try:
        told = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None  # what is wrong with it is for the engine to say that the folder turns out to be of
    family = told.get("model_type") if isinstance(told, dict) else None
    return family if isinstance(family, str) and family in DEFAULTS else None


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise WeightsError(f"{path} cannot be read: {error}. Get it again.") from error
