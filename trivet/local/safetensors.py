"""The tensors in a safetensors file, as numpy sees them (https://huggingface.co/docs/safetensors: eight bytes with the
length of a header, the header as JSON, the numbers)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trivet.errors import WeightsError
from trivet.types import Value

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["read"]

MOST_HEADER = 100 << 20  # bytes; the format's own limit

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # the upper half of a float32; numpy has no type for it
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "?",
}


class _Place(Value, frozen=True, kw_only=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read(path: Path) -> dict[str, Array]:
    """Tensors by name. They are read from the disk when they are used; bfloat16 comes as float32.

    Raises WeightsError where the file is cut short or is no such file.
    """
    import numpy as np

    try:
        data = np.memmap(path, np.uint8, mode="r")
        length = int.from_bytes(data[:8].tobytes(), "little")
        if len(data) < 8 or length > min(MOST_HEADER, len(data) - 8):
            raise ValueError("its header is longer than the file")
        header = msgspec.json.decode(data[8 : 8 + length].tobytes(), type=dict[str, Any])
        header.pop("__metadata__", None)
        places = msgspec.convert(header, dict[str, _Place])
        return {name: _array(data[8 + length :], name, place) for name, place in places.items()}
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}. Get it again.") from error


def _array(data: Array, name: str, place: _Place) -> Array:
    import numpy as np

    if place.dtype not in _TYPES:
        raise ValueError(f"{name} has numbers of the kind {place.dtype}, which is not known here")
    kind, (begin, end) = np.dtype(_TYPES[place.dtype]), place.data_offsets
    if min((begin, *place.shape)) < 0 or end > len(data) or end - begin != math.prod(place.shape) * kind.itemsize:
        raise ValueError(f"{name} goes beyond the file")
    array = data[begin:end].view(kind).reshape(place.shape)
    return (array.astype("<u4") << 16).view("<f4") if place.dtype == "BF16" else array
