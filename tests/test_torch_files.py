"""Files that torch has saved, read without torch: the tensors, and nothing but tensors.

The files are written here as torch/serialization.py (2.13) writes them. What was read of the real pytorch_model.bin of
antiberty and efficientnet-lite0-57934424.pth was the same as what `torch.load` reads of them, number for number.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trivet.errors import WeightsError
from trivet.local import torch_files

NUMBERS = np.arange(12, dtype="<f4")


class Global:
    """Pickled as a module's name alone: what torch's classes look like from outside."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Storage:
    def __init__(self, kind: str = "FloatStorage", key: str = "0", count: int = 12) -> None:
        self.kind, self.key, self.count = kind, key, count


class Tensor:
    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())


class Torch(pickle._Pickler):  # the one in Python: the other does not let a global be written by name
    legacy = False

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Storage):
            view = (None,) if self.legacy else ()
            return ("storage", Global("torch", value.kind), value.key, "cpu", value.count, *view)
        return None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Global):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Tensor):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def zipped(path: Path, value: Any, storages: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Torch(file, protocol=2).dump(value)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")
    return path


def legacy(path: Path, value: Any, storages: dict[str, bytes], *, item: int = 4) -> Path:
    with path.open("wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, file, protocol=2)
        pickler = Torch(file, protocol=2)
        pickler.legacy = True
        pickler.dump(value)
        pickle.dump(sorted(storages), file, protocol=2)
        for _, data in sorted(storages.items()):
            file.write(struct.pack("<q", len(data) // item) + data)
    return path


both = pytest.mark.parametrize("write", [zipped, legacy])
Write = Callable[..., Path]


@both
def test_a_tensor_is_a_view_of_its_storage_by_offset_and_strides(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "w", {"w": Tensor(Storage(), 1, (2, 3), (1, 4))}, {"0": NUMBERS.tobytes()})
    array = torch_files.read(path)["w"]
    assert array.tolist() == [[1, 5, 9], [2, 6, 10]]
    assert array.flags.c_contiguous


@both
def test_tensors_may_share_a_storage(write: Write, tmp_path: Path) -> None:
    storage = Storage()
    state = OrderedDict(a=Tensor(storage, 0, (12,), (1,)), b=Tensor(storage, 6, (2, 3), (3, 1)))
    found = torch_files.read(write(tmp_path / "w", state, {"0": NUMBERS.tobytes()}))
    assert found["a"].tolist() == NUMBERS.tolist()
    assert found["b"].tolist() == [[6, 7, 8], [9, 10, 11]]


@both
def test_bfloat16_comes_as_float32(write: Write, tmp_path: Path) -> None:
    data = (np.array([1.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    state = {"w": Tensor(Storage("BFloat16Storage", count=2), 0, (2,), (1,))}
    kind = {} if write is zipped else {"item": 2}
    found = torch_files.read(write(tmp_path / "w", state, {"0": data}, **kind))["w"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.5, -2.0]


@both
def test_a_scalar_and_an_empty_tensor_are_read(write: Write, tmp_path: Path) -> None:
    state = {"scalar": Tensor(Storage(), 5, (), ()), "empty": Tensor(Storage(), 0, (0, 4), (4, 1))}
    found = torch_files.read(write(tmp_path / "w", state, {"0": NUMBERS.tobytes()}))
    assert found["scalar"].shape == ()
    assert found["scalar"] == 5
    assert found["empty"].shape == (0, 4)


@both
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")])
def test_whatever_is_no_tensor_is_refused_by_its_name(write: Write, module: str, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "w", {"w": Global(module, name)}, {})
    with pytest.raises(WeightsError, match=rf"asks for {module}\.{name}.*nothing of it was run"):
        torch_files.read(path)


@both
@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(Storage(), 0, (13,), (1,)),
        Tensor(Storage(), 11, (2,), (1,)),
        Tensor(Storage(), 0, (2, 2), (1, 11)),
        Tensor(Storage(), -1, (2,), (1,)),
        Tensor(Storage(), 11, (2,), (-1,)),
        Tensor(Storage(), 0, (10**12,), (0,)),
        Tensor(Storage(), 0, (2, 2), (1,)),
    ],
    ids=["longer", "offset", "stride", "negative offset", "negative stride", "repeated", "strides missing"],
)
def test_a_tensor_beyond_its_storage_is_refused(write: Write, tensor: Tensor, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="w is not loaded: a tensor"):
        torch_files.read(write(tmp_path / "w", {"w": tensor}, {"0": NUMBERS.tobytes()}))


@both
def test_a_file_that_is_cut_short_anywhere_says_so(write: Write, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", {"w": Tensor(Storage(), 0, (12,), (1,))}, {"0": NUMBERS.tobytes()}).read_bytes()
    cut = tmp_path / "cut"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="Get it again"):
            torch_files.read(cut)


@both
@pytest.mark.parametrize("byte", [0x09, 0xFF])
def test_a_file_that_is_damaged_anywhere_is_read_or_says_so(write: Write, byte: int, tmp_path: Path) -> None:
    whole = write(tmp_path / "x", {"a": Tensor(Storage(), 0, (3, 4), (4, 1))}, {"0": NUMBERS.tobytes()}).read_bytes()
    damaged = tmp_path / "damaged"
    for at in range(len(whole)):
        damaged.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        with contextlib.suppress(WeightsError):
            torch_files.read(damaged)


def test_a_storage_of_another_size_than_the_pickle_tells_is_refused(tmp_path: Path) -> None:
    state = {"w": Tensor(Storage(), 0, (2,), (1,))}
    with pytest.raises(WeightsError, match="storage 0 has 8 bytes"):
        torch_files.read(zipped(tmp_path / "w", state, {"0": bytes(8)}))


@both
def test_a_file_without_tensors_says_so(write: Write, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no tensors by name"):
        torch_files.read(write(tmp_path / "w", {"epoch": 3}, {}))


@both
def test_a_checkpoint_with_its_state_dict_below_the_usual_key_is_read(write: Write, tmp_path: Path) -> None:
    state = {"epoch": 3, "state_dict": {"w": Tensor(Storage(), 0, (12,), (1,))}}
    assert torch_files.read(write(tmp_path / "w", state, {"0": NUMBERS.tobytes()}))["w"].tolist() == NUMBERS.tolist()
