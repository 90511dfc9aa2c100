"""Small CLIPs and SigLIPs in Hugging Face's layout, whose weights are numbers by chance (numpy, seeded).

What transformers makes of the same folders is in `references/clip.json`: `references/clip.py` writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Array = np.ndarray[Any, np.dtype[Any]]

WORDS = [
    *("a", "photo", "of", "the", "an", "image", "cat", "dog", "small", "red"),
    *("house", "at", "night", "on", "green", "grass", ".", ","),
]
TEXTS = (
    "a photo of a cat.",
    "a photo of a dog.",
    "cat",
    "the small red house at night on the green grass, a dog 's house",
    "an image of grass",
)
DIMENSIONS = 24


def config(kind: str) -> dict[str, Any]:
    """`kind` is clip, legacy (a clip as those of before July 2023 say their end of a text) or siglip."""
    text: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 20,
        "vocab_size": len(vocabulary(kind)),
    }
    vision: dict[str, Any] = {
        "hidden_size": 40,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    if kind == "siglip":
        # Its two vectors are what the towers end in: of one size.
        text |= {"pad_token_id": 1, "projection_size": vision["hidden_size"]}
        return {"model_type": "siglip", "text_config": text, "vision_config": vision}
    end = len(vocabulary(kind)) - 1
    text |= {"eos_token_id": 2 if kind == "legacy" else end, "bos_token_id": end - 1, "pad_token_id": end}
    if kind == "clip":
        text, vision = text | {"hidden_act": "gelu"}, vision | {"hidden_act": "gelu"}
    return {"model_type": "clip", "projection_dim": DIMENSIONS, "text_config": text, "vision_config": vision}


def vocabulary(kind: str) -> dict[str, int]:
    words = ["<unk>", "</s>", *WORDS] if kind == "siglip" else [*WORDS, "<unk>", "<start>", "<end>"]
    return {word: number for number, word in enumerate(words)}


def tokenizer(kind: str) -> Tokenizer:
    made = Tokenizer(models.WordLevel(vocabulary(kind), unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = ["</s>"] if kind == "siglip" else ["<start>", "<end>"]
    around = "$A </s>" if kind == "siglip" else "<start> $A <end>"
    made.add_special_tokens(ends)
    made.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[(end, made.token_to_id(end)) for end in ends]
    )
    return made


def preprocessing(kind: str) -> dict[str, Any]:
    if kind == "siglip":
        return {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    side = {"height": 32, "width": 32}
    return {
        "do_resize": True,
        "size": {"shortest_edge": 32},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": 32 if kind == "legacy" else side,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }


def tensors(kind: str) -> dict[str, Array]:
    """Every tensor of `CLIPModel` or `SiglipModel`, in the order of their names."""
    made, rng = {}, np.random.default_rng(["clip", "legacy", "siglip"].index(kind))
    for name, shape in sorted(shapes(kind).items()):
        spread = 1 / math.sqrt(shape[-1]) if len(shape) > 1 and "embedding" not in name else 0.3
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        made[name] = (centre + spread * rng.standard_normal(shape)).astype(np.float32)
    made["logit_scale"] = np.array([math.log(30.0)] if kind == "siglip" else math.log(30.0), np.float32)
    if kind == "siglip":
        made["logit_bias"] = np.array([-4.0], np.float32)
    return made


def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    told = config(kind)
    text, vision = told["text_config"], told["vision_config"]
    wide, seen, patch = text["hidden_size"], vision["hidden_size"], vision["patch_size"]
    siglip = kind == "siglip"
    found: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (text["vocab_size"], wide),
        "text_model.embeddings.position_embedding.weight": (text["max_position_embeddings"], wide),
        "vision_model.embeddings.patch_embedding.weight": (seen, 3, patch, patch),
        "vision_model.embeddings.position_embedding.weight": (
            (vision["image_size"] // patch) ** 2 + (not siglip),
            seen,
        ),
    }
    found |= norm("text_model.final_layer_norm", wide) | norm("vision_model.post_layernorm", seen)
    for at, tower in (("text_model", text), ("vision_model", vision)):
        for number in range(tower["num_hidden_layers"]):
            found |= layer(f"{at}.encoder.layers.{number}.", tower)
    if not siglip:
        found["vision_model.embeddings.class_embedding"] = (seen,)
        found["text_projection.weight"], found["visual_projection.weight"] = (DIMENSIONS, wide), (DIMENSIONS, seen)
        return found | norm("vision_model.pre_layrnorm", seen)
    head = "vision_model.head."
    found["vision_model.embeddings.patch_embedding.bias"] = (seen,)
    found[f"{head}probe"] = (1, 1, seen)
    found[f"{head}attention.in_proj_weight"], found[f"{head}attention.in_proj_bias"] = (3 * seen, seen), (3 * seen,)
    found |= linear(f"{head}attention.out_proj", seen, seen) | norm(f"{head}layernorm", seen)
    found |= perceptron(f"{head}mlp.", vision) | linear("text_model.head", wide, seen)
    return found


def layer(at: str, tower: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    wide = tower["hidden_size"]
    found = norm(f"{at}layer_norm1", wide) | norm(f"{at}layer_norm2", wide) | perceptron(f"{at}mlp.", tower)
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        found |= linear(f"{at}self_attn.{part}", wide, wide)
    return found


def perceptron(at: str, tower: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    wide, inner = tower["hidden_size"], tower["intermediate_size"]
    return linear(f"{at}fc1", wide, inner) | linear(f"{at}fc2", inner, wide)


def linear(name: str, into: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, wide: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (wide,), f"{name}.bias": (wide,)}


def pictures() -> list[Array]:
    """Three pictures by chance, height x width x 3 bytes: wide, high, and of the network's own size."""
    rng = np.random.default_rng(7)
    coarse = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((5, 9), (12, 7), (4, 4))]
    # Blocks, so that scaling has something to keep: noise alone becomes grey.
    return [np.repeat(np.repeat(array, 8, axis=0), 8, axis=1) for array in coarse]


def described(at: Path, kind: str) -> Path:
    """The folder without its weights."""
    at.mkdir(parents=True, exist_ok=True)
    (at / "config.json").write_text(json.dumps(config(kind)))
    (at / "preprocessor_config.json").write_text(json.dumps(preprocessing(kind)))
    pad = "</s>" if kind == "siglip" else "<end>"
    (at / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))
    tokenizer(kind).save(str(at / "tokenizer.json"))
    return at


def folder(at: Path, kind: str) -> Path:
    save(tensors(kind), described(at, kind) / "model.safetensors")
    return at


def save(arrays: Mapping[str, Array], path: Path) -> None:
    """A safetensors file (https://huggingface.co/docs/safetensors), without the library of that name."""
    kinds = {"float32": "F32", "float16": "F16"}
    header, data = {}, b""
    for name, array in arrays.items():
        begin, data = len(data), data + array.tobytes()
        header[name] = {
            "dtype": kinds[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(data)],
        }
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
