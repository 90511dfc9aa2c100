"""A projector small enough to be worked out by hand, for SmolLM2: it sees colours, and tells them as words.

The image, 32 × 32 pixels, is four patches, from left to right and from the top down. A patch's mean red, green and blue
decide which of the `WORDS` it is, and what comes out is that word's own row of SmolLM2's token embeddings. So a model
that is shown red, blue, green and white must answer, number for number, as if it read " red blue green white".

Keys and tensors are those of the kind "mlp", LLaVA's: tools/mtmd/clip.cpp in llama.cpp. With one block of its
transformer none is run, as LLaVA takes the states before the last.
"""

from __future__ import annotations

import io
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from tests.engines import smollm2
from tests.small_weights import pair, text
from trivet.local import gguf
from trivet.types import Image

MODEL = smollm2()  # before a test moves TRIVET_HOME
WIDTH = 576  # SmolLM2-135M's embedding length
SIZE, PATCH = 32, 16
# Colours, whose channels are 1 where full and -1 where empty, and SmolLM2's tokens for their words.
WORDS = {" red": (1, -1, -1), " green": (-1, 1, -1), " blue": (-1, -1, 1), " white": (1, 1, 1)}
TOKENS = {" red": 2382, " green": 2654, " blue": 4461, " white": 2537}
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}

Floats = np.ndarray[Any, np.dtype[np.float32]]


def projector(path: Path, *, width: int = WIDTH, **changes: Any) -> Path:
    """Writes it to `path`. `width` is for one that does not fit, `changes` are other metadata."""
    hidden = len(WORDS)
    patch = np.zeros((3, 3, PATCH, PATCH), np.float32)  # state, channel, y, x: each state is the mean of a channel
    for channel in range(3):
        patch[channel, channel] = 1 / PATCH**2
    signs = np.array(list(WORDS.values()), np.float32)
    # 20 for the colour itself, whose product with its signs is 3, and -12 for the others, of which GELU leaves nothing.
    first, first_bias = 8 * signs, np.full(hidden, -4, np.float32)
    rows = np.zeros((hidden, width), np.float32)
    rows[:, : min(width, WIDTH)] = token_rows([TOKENS[word] for word in WORDS])[:, : min(width, WIDTH)]
    eye = np.eye(3, dtype=np.float32)
    tensors: dict[str, Floats] = {
        "v.patch_embd.weight": patch,
        "v.position_embd.weight": np.zeros((SIZE**2 // PATCH**2, 3), np.float32),
        "v.blk.0.attn_q.weight": eye,
        "v.blk.0.attn_k.weight": eye,
        "v.blk.0.attn_v.weight": eye,
        "v.blk.0.attn_out.weight": eye,
        "v.blk.0.ffn_up.weight": eye,
        "v.blk.0.ffn_down.weight": eye,
        "mm.0.weight": first,
        "mm.0.bias": first_bias,
        "mm.2.weight": (rows / np.float32(20)).T,
        "mm.2.bias": np.zeros(width, np.float32),
    }
    return write(path, {**METADATA, "clip.vision.projection_dim": width, **changes}, tensors)


def looks_both_ways(path: Path) -> Path:
    """A projector of Gemma 3's kind, whose 100 tokens an image look at each other in both directions. Its weights are
    random."""
    draw = np.random.default_rng(0)
    tensors: dict[str, Floats] = {
        "v.patch_embd.weight": draw.normal(size=(4, 3, 4, 4)).astype(np.float32),
        "v.position_embd.weight": draw.normal(size=(100, 4)).astype(np.float32),
        "mm.soft_emb_norm.weight": np.ones(4, np.float32),
        "mm.input_projection.weight": draw.normal(scale=0.1, size=(4, WIDTH)).astype(np.float32),
    }
    kind = {
        "clip.projector_type": "gemma3",
        "clip.vision.image_size": 40,
        "clip.vision.patch_size": 4,
        "clip.vision.embedding_length": 4,
        "clip.vision.block_count": 0,
        "clip.vision.projector.scale_factor": 1,
        "clip.vision.projection_dim": WIDTH,
    }
    return write(path, {**METADATA, **kind}, tensors)


def puts_marks_around(path: Path) -> Path:
    """A projector of SmolVLM's kind, as wide as SmolLM2, which puts tokens of its own around an image."""
    draw = np.random.default_rng(0)
    tensors: dict[str, Floats] = {
        "v.patch_embd.weight": draw.normal(size=(8, 3, 8, 8)).astype(np.float32),
        "v.position_embd.weight": draw.normal(size=(16, 8)).astype(np.float32),
        "v.post_ln.weight": np.ones(8, np.float32),
        "v.post_ln.bias": np.zeros(8, np.float32),
        "mm.model.fc.weight": draw.normal(scale=0.1, size=(WIDTH, 32)).astype(np.float32),
    }
    kind = {
        "clip.projector_type": "idefics3",
        "clip.vision.image_size": 32,
        "clip.vision.patch_size": 8,
        "clip.vision.embedding_length": 8,
        "clip.vision.block_count": 0,
        "clip.vision.projector.scale_factor": 2,
        "clip.vision.projection_dim": WIDTH,
    }
    return write(path, {**METADATA, **kind}, tensors)


METADATA: dict[str, Any] = {
    "general.architecture": "clip",
    "general.type": "mmproj",
    "clip.has_vision_encoder": True,
    "clip.projector_type": "mlp",
    "clip.use_gelu": True,
    "clip.vision.image_size": SIZE,
    "clip.vision.patch_size": PATCH,
    "clip.vision.embedding_length": 3,
    "clip.vision.feed_forward_length": 3,
    "clip.vision.block_count": 1,
    "clip.vision.attention.head_count": 1,
    "clip.vision.attention.layer_norm_epsilon": 1e-5,
    "clip.vision.image_mean": struct.pack("<IIQ3f", 9, 6, 3, 0.5, 0.5, 0.5),
    "clip.vision.image_std": struct.pack("<IIQ3f", 9, 6, 3, 0.5, 0.5, 0.5),
}


def write(path: Path, metadata: dict[str, Any], tensors: dict[str, Floats]) -> Path:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(pair(key, value) for key, value in metadata.items())
    data = b""
    for name, values in tensors.items():
        shape = values.shape[::-1]  # the fastest first
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += np.ascontiguousarray(values, np.float32).tobytes()
        data += bytes(-len(data) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


class _Places(gguf._Reader):
    """Notes where the tensors begin, counted from the end of the header."""

    def __init__(self, data: mmap.mmap) -> None:
        super().__init__(data)
        self.places: dict[str, int] = {}

    def tensor_end(self) -> int | None:
        length = struct.unpack_from("<Q", self.data, self.at)[0]
        name = self.data[self.at + 8 : self.at + 8 + length].decode()
        end = super().tensor_end()
        self.places[name] = struct.unpack_from("<Q", self.data, self.at - 8)[0]
        return end


def token_rows(tokens: list[int]) -> Floats:
    """The rows of SmolLM2's token embeddings, which are Q8_0: a float16 and 32 int8 a block, whose product is meant."""
    with MODEL.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Places(data)
        reader.header()
        start = reader.at + -reader.at % 32 + reader.places["token_embd.weight"]
        blocks = WIDTH // 32
        rows = []
        for token in tokens:
            at = start + token * blocks * 34
            row = np.frombuffer(data[at : at + blocks * 34], np.dtype([("d", "<f2"), ("q", "i1", 32)]))
            rows.append((row["d"].astype(np.float32)[:, None] * row["q"]).reshape(-1))
    return np.array(rows, np.float32)


def pixels(*words: str) -> Picture.Image:
    """Four colours, from left to right and from the top down."""
    picture = Picture.new("RGB", (SIZE, SIZE))
    for i, word in enumerate(words):
        picture.paste(COLOURS[word], (i % 2 * PATCH, i // 2 * PATCH, (i % 2 + 1) * PATCH, (i // 2 + 1) * PATCH))
    return picture


def file(picture: Picture.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def seen(*words: str) -> Image:
    return Image(data=file(pixels(*words)))
