"""The tensors in a file that torch has saved, without torch and without running what is in it.

Both of torch's formats are pickles: the newer one inside a zip with a file for each storage, the older ("legacy") one
followed by the storages. A pickle can name any function to be called; here it can name none but those that describe a
tensor. The formats: torch/serialization.py (`_save`, `_legacy_save`) and `torch._utils._rebuild_tensor_v2`.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from trivet.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["read"]

MOST_PICKLED = 64 << 20  # bytes of a zip's pickle, which has names and shapes and no numbers
MOST_DIMENSIONS = 32

# torch's storages as numpy's types; numpy has no bfloat16, which is the upper half of a float32.
_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py: MAGIC_NUMBER


class _Type(NamedTuple):
    name: str


class _Storage(NamedTuple):
    """Numbers in a row, known by their `key`; `length` of them."""

    type: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage: element (i, j) is at offset + i * strides[0] + j * strides[1]."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, Array]:
    """The tensors of a state dict by name, as contiguous arrays of numpy's; bfloat16 comes as float32.

    Raises WeightsError where the file is cut short, is no such file, or asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            tensors, storages = _zipped(file) if zipfile.is_zipfile(file) else _legacy(file)
        return {name: _array(tensor, storages) for name, tensor in tensors.items()}
    except WeightsError as error:
        raise WeightsError(f"{path} is not loaded: {error}") from None
    except (
        # What pickle raises on bytes that are none: https://docs.python.org/3/library/pickle.html#pickle.UnpicklingError
        *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, UnicodeDecodeError, OSError),
        *(AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError),
        *(RuntimeError, zlib.error),  # of zipfile, for what is in no file of torch's
    ) as error:
        raise WeightsError(
            f"{path} is no whole file of torch's ({type(error).__name__}: {error}). Get it again."
        ) from error


def _zipped(file: IO[bytes]) -> tuple[dict[str, _Tensor], Callable[[_Storage], bytes]]:
    archive = zipfile.ZipFile(file)
    (pickled,) = [info for info in archive.infolist() if info.filename.count("/") == 1 and _inside(info) == "data.pkl"]
    if pickled.file_size > MOST_PICKLED:
        raise WeightsError(f"its pickle has {pickled.file_size:,} bytes, more than any list of tensors")
    folder = pickled.filename.rpartition("/")[0]
    order = f"{folder}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise WeightsError("it was saved on a machine that is not little-endian")
    with archive.open(pickled) as data:
        tensors = _named(_Unpickler(data).load())
    data_of: dict[str, bytes] = {}
    for key, storage in {tensor.storage.key: tensor.storage for tensor in tensors.values()}.items():
        info = archive.getinfo(f"{folder}/data/{key}")
        if info.file_size != storage.length * _size(storage.type):
            raise WeightsError(
                f"its storage {key} has {info.file_size:,} bytes, not those of {storage.length:,} numbers"
            )
        data_of[key] = archive.read(info)
    return tensors, lambda storage: data_of[storage.key]


def _inside(info: zipfile.ZipInfo) -> str:
    return info.filename.rpartition("/")[2]


def _legacy(file: IO[bytes]) -> tuple[dict[str, _Tensor], Callable[[_Storage], bytes]]:
    """Magic number, protocol, the machine's sizes, the state dict, the keys of the storages, the storages."""
    file.seek(0)
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise WeightsError("it does not begin as torch's files do. Get it again")
    _Unpickler(file).load()  # the protocol: 1001 ever since
    if not _Unpickler(file).load().get("little_endian", False):
        raise WeightsError("it was saved on a machine that is not little-endian")
    tensors = _named(_Unpickler(file).load())
    types = {tensor.storage.key: tensor.storage.type for tensor in tensors.values()}
    data_of: dict[str, bytes] = {}
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        if key not in types:
            raise WeightsError(f"its storage {key} belongs to no tensor")
        wanted = count * _size(types[key])
        data_of[key] = file.read(wanted) if count >= 0 else b""
        if len(data_of[key]) != wanted:
            raise WeightsError("it is cut short. Get it again")
    return tensors, lambda storage: data_of[storage.key]


class _Unpickler(pickle.Unpickler):
    """Builds descriptions of tensors, and refuses whatever else a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _TYPES:
            return _Type(name)
        raise WeightsError(
            f"it is a pickle that asks for {module}.{name}, which is no part of a tensor, so nothing of it was run. "
            "Save the state dict alone, or as safetensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage, _Type) or any(view):
            raise WeightsError("a storage in it is of a kind that is not known here")
        return _Storage(storage.name, str(key), int(count))


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise WeightsError("a tensor in it has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _named(found: Any) -> dict[str, _Tensor]:
    """The state dict, whether it is the file's one value or is below the usual key."""
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise WeightsError("it has no tensors by name")
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, _Tensor)}
    if not tensors:
        raise WeightsError("it has no tensors by name")
    return tensors


def _size(kind: str) -> int:
    import numpy as np

    return np.dtype(_TYPES[kind]).itemsize


def _array(tensor: _Tensor, data: Callable[[_Storage], bytes]) -> Array:
    import numpy as np

    storage, offset, shape, strides = tensor
    numbers = np.frombuffer(data(storage), dtype=_TYPES[storage.type])
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS or min((offset, *shape, *strides)) < 0:
        raise WeightsError("a tensor in it has no possible shape")
    count = math.prod(shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # A stride of 0 repeats numbers: a small file must not become a huge array.
    if count > len(numbers) or (count and last >= len(numbers)):
        raise WeightsError(f"a tensor of the shape {shape} in it goes beyond its storage of {len(numbers):,} numbers")
    if count == 0:
        view = np.zeros(shape, numbers.dtype)
    else:
        steps = [stride * numbers.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
    if storage.type == "BFloat16Storage":
        view = (view.astype("<u4", order="C") << 16).view("<f4")
    return np.array(view, order="C")  # np.ascontiguousarray makes a row of a scalar
