"""Pictures that are no file yet: arrays of numpy's and images of Pillow's as PNG, the simplest file that holds each of
their values. Neither library is imported here.

An array is height x width x 3, or x 4 with alpha, or without the third for grey: of numbers from 0 to 255, of floats
from 0 to 1, or of truths; 255, 1 and True are white.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from trivet.errors import RequestError

__all__ = ["Pixels", "are", "png"]

Pixels = Any  # a numpy array or a PIL image


def are(given: object) -> bool:
    """Whether it is one of the two."""
    return _is_array(given) or (hasattr(given, "getexif") and hasattr(given, "save"))  # PIL's, of any format's class


def png(given: Pixels) -> bytes:
    """Raises RequestError for what is no picture: empty, damaged, or of numbers that no picture has."""
    return _png(given) if _is_array(given) else _saved(given)


def _is_array(given: object) -> bool:
    numpys = type(given).__module__.partition(".")[0] == "numpy"
    return numpys and not isinstance(given, str | bytes)  # numpy has strings of its own


def _saved(given: Any) -> bytes:
    if 0 in given.size:
        raise RequestError(f"The image is of {given.size[0]} x {given.size[1]} pixels: it is empty.", field="image")
    wide = given.mode == "I" and given.format in ("PNG", "PPM", "JPEG2000")  # which have 16 bits of the 32
    if given.mode == "F" or (given.mode == "I" and not wide):
        kind = "floats" if given.mode == "F" else "32 bits"
        raise RequestError(
            f"The image has pixels of {kind} (PIL's mode {given.mode}): say what is black and what white, and make it "
            'bytes, such as Image.fromarray((a * 255).astype("uint8"))',
            field="image",
        )
    out = io.BytesIO()
    try:
        exif = given.getexif()  # which has the way up of a photograph
        _writable(given).save(out, "PNG", exif=exif, compress_level=1)
    except Exception as error:  # on damaged files Pillow's readers raise whatever they trip over
        raise RequestError(f"The PIL image cannot be read: {error}. Open the whole file", field="image") from error
    return out.getvalue()


def _writable(image: Any) -> Any:
    """In a mode that PNG has, and with all that it has: of 16 bits, and with what is transparent."""
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        return image
    if image.mode.startswith("I"):  # PIL's conversions to anything but these cut off what is above 255
        return image.convert("I").convert("I;16")
    return image.convert({"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


_COLOURS = {1: 0, 3: 2, 4: 6}  # channels, and PNG's number for them


def _png(array: Any) -> bytes:
    shape = tuple(array.shape)
    told = f"The array is {' x '.join(map(str, shape)) or 'one number'} of {array.dtype}"
    if 0 in shape:
        raise RequestError(f"{told}: it is an empty image.", field="image")
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in _COLOURS:
        first = len(shape) == 3 and shape[0] in _COLOURS
        cure = ": put the colours last, a.transpose(1, 2, 0)" if first else ""
        raise RequestError(f"{told}, and an image is height x width x 3 of uint8{cure}.", field="image")
    height, width = shape[:2]
    row, pixels = width * channels, _of_bytes(array, told).tobytes()
    lines = b"".join(b"\0" + pixels[at : at + row] for at in range(0, len(pixels), row))  # 0: not filtered
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 1)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _of_bytes(array: Any, told: str) -> Any:
    """As uint8. 255 is white, and 1 where all are floats from 0 to 1, as scikit-image and matplotlib have them."""
    kind = array.dtype.kind
    if kind not in "buif":
        raise RequestError(f"{told}, and an image is of uint8.", field="image")
    least, most = float(array.min()), float(array.max())
    if not (least >= 0 and most <= 255):  # NaN is neither
        raise RequestError(
            f"{told} and goes from {least:g} to {most:g}: an image goes from 0 to 255, or from 0 to 1 in floats. Scale "
            "it, such as (a - a.min()) / (a.max() - a.min())",
            field="image",
        )
    scaled = array * 255.0 if kind == "b" or (kind == "f" and most <= 1) else array
    return scaled.round().astype("uint8") if scaled.dtype.kind == "f" else scaled.astype("uint8")


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG: https://www.w3.org/TR/png-3/#5Chunk-layout"""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
