"""The images of a conversation as the engine reads them.

All are decoded here first: the engine's own reader takes files that are cut short, knows no WebP and AVIF, turns no
photo upright, and shows what is under transparent pixels. A JPEG or PNG that it reads rightly goes in as it is, which
saves 2 s for a photo of 12 megapixels; anything else as a PNG that is packed fast.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from trivet.errors import RequestError, UnsupportedError
from trivet.local.images.picture import MOST_PIXELS, Picture, picture
from trivet.local.llama.projector import Projector
from trivet.local.loaded import needed
from trivet.types import Image, Message, ToolResult
from trivet.wire.data_url import write_data_url

__all__ = ["Shown", "shown"]

ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
MOST_TOGETHER = 4 * MOST_PIXELS  # of one request: the engine has all of them decoded at once, 1.2 GB


class Shown(NamedTuple):
    """Data URLs by the `id` of their part; `notes` say what of the files is not in them."""

    urls: Mapping[int, str] = {}
    notes: tuple[str, ...] = ()


async def shown(messages: Sequence[Message], projector: Projector, name: str) -> Shown:
    """The images of `messages`, on a thread. Raises `UnsupportedError` where there is no projector, and as `picture`,
    with the part's path in the request."""
    found = list(_images(messages))
    if not found:
        return Shown()
    if projector.file is None:
        where = found[0][0].partition(".")[0]
        raise UnsupportedError(
            f"{name} reads text alone, and {where} has a part of kind image: {projector.why}; "
            "or name a model that takes it",
            field=f"{where}.content",
        )
    return await asyncio.to_thread(_read, found, name)


def _images(messages: Sequence[Message]) -> Iterator[tuple[str, Image]]:
    for i, message in enumerate(messages):
        for j, part in enumerate(message.content):
            inside = part.content if isinstance(part, ToolResult) else (part,)
            yield from ((f"messages[{i}].content[{j}]", p) for p in inside if isinstance(p, Image))


def _read(found: Sequence[tuple[str, Image]], name: str) -> Shown:
    urls: dict[int, str] = {}
    notes: list[str] = []
    pixels = 0
    for where, image in found:
        if image.detail not in (None, "auto"):
            raise UnsupportedError(f"{name} does not know {where}.detail: leave it out", field=f"{where}.detail")
        seen = picture(image, field=where)
        pixels += seen.size[0] * seen.size[1]
        if pixels > MOST_TOGETHER:
            raise RequestError(
                f"The images have more than {MOST_TOGETHER:,} pixels together: send fewer, or scale them down",
                field=where,
            )
        data = image.data if image.data is not None and _plain(image.data) else _png(seen)
        # The engine tells a JPEG by its bytes, whatever is said.
        urls[id(image)] = write_data_url(data, "image/png")
        notes += [f"{where}: {note}" for note in seen.notes]
    return Shown(urls, tuple(notes))


def _plain(data: bytes) -> bool:
    """Whether the engine's reader (stb_image) sees in it what `picture` does."""
    reader = needed("PIL.Image", "images")
    try:
        opened = reader.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except reader.UnidentifiedImageError:
        return False
    with opened:
        upright = opened.getexif().get(ORIENTATION, 1) == 1
        return upright and opened.mode in ("RGB", "L") and not opened.has_transparency_data


def _png(seen: Picture) -> bytes:
    out = io.BytesIO()
    needed("PIL.Image", "images").fromarray(seen.rgb).save(out, "PNG", compress_level=1)
    return out.getvalue()
