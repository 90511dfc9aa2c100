"""The header of a GGUF file: what it says of the model, and how long the file must be.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). Nothing here
loads weights; a header is read in a few hundredths of a second, because arrays such as the vocabulary are stepped
over and not built. Every count and length in the file is a claim of a stranger: it is held against a limit before it
is believed, and against the end of the file.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trivet.errors import WeightsError
from trivet.types import Value

__all__ = ["MAGIC", "PROJECTOR", "Header", "read"]

MAGIC = b"GGUF"
PROJECTOR = "clip"  # the architecture of all of them, whatever they are made of

# Far above what any published model has, far below what would hurt.
MAX_KEYS = 65_536
MAX_TENSORS = 1_000_000
MAX_ITEMS = 16_000_000
MAX_STRING = 16 << 20
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
SHORT_ARRAY = 64  # arrays up to this long are kept
RANK = 4  # llama.cpp's pooling type of rerankers
CLASSIFIER = "cls.output.weight"

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]

# ggml type -> (weights per block, bytes per block): the sizes of the structs in ggml-common.h, and gguf-py's
# GGML_QUANT_SIZES. Types that are never stored in files (Q8_1) and later ones are unknown, and so is the size then.
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
}


class Header(Value, frozen=True, kw_only=True):
    """What a GGUF says of itself.

    `metadata` has every key except long arrays; `lengths` has the number of items of each array. `size` is how many
    bytes the file must have at least, `padded_size` at most (writers may pad the last tensor); both are None where
    a tensor has a type that is not known here. `classifier` is whether it has weights that make numbers of a
    whole text. The properties are None where the file does not say.
    """

    version: int
    tensors: int
    size: int | None
    padded_size: int | None
    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]
    classifier: bool = False

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def _count(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _of_model(self, key: str) -> int | None:
        return self._count(f"{self.architecture}.{key}")

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def name(self) -> str | None:
        return self._text("general.name")

    @property
    def licence(self) -> str | None:
        return self._text("general.license")

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained for."""
        return self._of_model("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self._of_model("embedding_length")

    @property
    def pooling(self) -> int | None:
        """llama.cpp's pooling type, which models made for embeddings have (0 none, 1 mean, 2 first, 3 last, 4 rank)."""
        return self._of_model("pooling_type")

    @property
    def ranks(self) -> bool:
        """Whether it reads a query and a document together, and says how well they fit. Older files say nothing of
        pooling, and have the weights."""
        return self.pooling == RANK or (self.pooling is None and self.classifier)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What the numbers of a classifier are of."""
        found = self.metadata.get(f"{self.architecture}.classifier.output_labels")
        return found if isinstance(found, tuple) else None

    @property
    def vocabulary(self) -> int | None:
        """The number of tokens."""
        return self.lengths.get("tokenizer.ggml.tokens")

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of conversations."""
        return self._text("tokenizer.chat_template")

    @property
    def bos_token_id(self) -> int | None:
        return self._count("tokenizer.ggml.bos_token_id")

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """Tokens that end a text or a turn (eos, eot, eom), each once."""
        ids = (self._count(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom"))
        return tuple(dict.fromkeys(i for i in ids if i is not None))

    @property
    def fim_token_ids(self) -> Mapping[str, int]:
        """Fill-in-the-middle tokens that are named, by kind: `prefix`, `suffix`, `middle`, `pad`, `rep`, `sep`."""
        old = {"pre": "prefix", "suf": "suffix", "mid": "middle"}
        found = {}
        for kind in ("pre", "suf", "mid", "pad", "rep", "sep"):
            name = old.get(kind, kind)
            # Older files say `prefix_token_id`, newer ones `fim_pre_token_id`.
            keys = (
                f"tokenizer.ggml.fim_{kind}_token_id",
                *((f"tokenizer.ggml.{name}_token_id",) if kind in old else ()),
            )
            value = next((i for key in keys if (i := self._count(key)) is not None), None)
            if value is not None:
                found[name] = value
        return found


class _Bad(Exception):
    """What is wrong with the header."""


def read(path: str | os.PathLike[str]) -> Header:
    """Reads the header of the file at `path`.

    Raises WeightsError where the file is missing, is no GGUF, ends inside its header, or has a header that cannot be.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start[:4] != MAGIC:
                raise WeightsError(f"{path} is not a GGUF file: it starts with {start[:4]!r}, a GGUF with {MAGIC!r}.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data).header()
    except _Bad as bad:
        raise WeightsError(f"{path} has a damaged GGUF header: {bad}. Get the file again.") from None
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist.") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from None


class _Reader:
    """A position in the bytes of a header. Reading past the end is `_Bad`."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.end = len(data)
        self.at = 4
        self.classifier = False

    def header(self) -> Header:
        version = self.scalar(_U32)
        if version not in (2, 3):
            # A big-endian file has its version's bytes the other way round.
            what = "a big-endian file" if version in (2 << 24, 3 << 24) else f"version {version}"
            raise _Bad(f"it is {what}, and only little-endian versions 2 and 3 are read")
        tensors = self.count("tensors", MAX_TENSORS)
        keys = self.count("keys", MAX_KEYS)
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(keys):
            key = self.string()
            kind = self.scalar(_U32)
            if kind == _ARRAY:
                lengths[key], items = self.array()
                if items is not None:
                    metadata[key] = items
            else:
                metadata[key] = self.value(kind)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 8 or alignment & (alignment - 1):
            raise _Bad(f"its alignment is {alignment!r}, not a power of two of at least 8")
        ends = [self.tensor_end() for _ in range(tensors)]
        start = _padded(self.at, alignment)
        known = [end for end in ends if end is not None]
        size = start + max(known, default=0) if len(known) == len(ends) else None
        if not tensors:
            size = self.at  # a vocabulary alone
        return Header(
            version=version,
            tensors=tensors,
            size=size,
            padded_size=None if size is None else _padded(size, alignment),
            metadata=metadata,
            lengths=lengths,
            classifier=self.classifier,
        )

    def scalar(self, kind: struct.Struct) -> Any:
        try:
            (value,) = kind.unpack_from(self.data, self.at)
        except struct.error:
            raise _Bad(f"the file ends inside it, after {self.end:,} bytes") from None
        self.at += kind.size
        return value

    def count(self, what: str, limit: int) -> int:
        number: int = self.scalar(_U64)
        if number > limit:
            raise _Bad(f"it claims {number:,} {what}, more than the {limit:,} that are believed")
        return number

    def string(self) -> str:
        length = self.count("bytes of text", MAX_STRING)
        text = self.data[self.at : self.at + length]
        if len(text) < length:
            raise _Bad(f"the file ends inside it, after {self.end:,} bytes")
        self.at += length
        return text.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind not in _SCALARS:
            raise _Bad(f"it has a value of type {kind}, which does not exist")
        return self.scalar(_SCALARS[kind])

    def array(self) -> tuple[int, tuple[Any, ...] | None]:
        """The number of items, and the items where they are few."""
        kind = self.scalar(_U32)
        length = self.count("items in a list", MAX_ITEMS)
        if length <= SHORT_ARRAY:
            return length, tuple(self.value(kind) for _ in range(length))
        if kind == _STRING:
            self.skip_strings(length)
        elif kind in _SCALARS:
            self.at += length * _SCALARS[kind].size
        else:
            raise _Bad(f"it has a list of type {kind}, which the engine does not read either")
        if self.at > self.end:
            raise _Bad(f"the file ends inside it, after {self.end:,} bytes")
        return length, None

    def skip_strings(self, number: int) -> None:
        # A plain loop over local names: a vocabulary has a quarter of a million of them.
        data, at, unpack = self.data, self.at, _U64.unpack_from
        try:
            for _ in range(number):
                at += 8 + unpack(data, at)[0]
        except (struct.error, OverflowError):
            raise _Bad(f"the file ends inside it, after {self.end:,} bytes") from None
        self.at = at

    def tensor_end(self) -> int | None:
        """Where a tensor's bytes end, counted from the start of the tensors; None where its type is unknown."""
        self.classifier |= self.string() == CLASSIFIER
        dimensions = self.scalar(_U32)
        if dimensions > MAX_DIMENSIONS:
            raise _Bad(f"a tensor has {dimensions} dimensions, more than {MAX_DIMENSIONS}")
        shape = [self.scalar(_U64) for _ in range(dimensions)]
        kind = self.scalar(_U32)
        offset: int = self.scalar(_U64)
        if kind not in _BLOCKS:
            return None
        per_block, block_bytes = _BLOCKS[kind]
        row = shape[0] if shape else 1
        if row % per_block:
            raise _Bad(f"a tensor has rows of {row:,}, which blocks of {per_block} do not fill")
        weights = 1
        for length in shape:
            weights *= length
        return offset + weights // per_block * block_bytes


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
