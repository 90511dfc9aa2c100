"""The bytes of an image as numbers, or a refusal that says what is wrong with them."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from trivet.errors import RequestError, UnsupportedError
from trivet.local.loaded import Loaded, needed
from trivet.types import Done, Event, Image, Request, Response

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.uint8]]

__all__ = ["MOST_PIXELS", "PIECE", "Picture", "Sighted", "picture"]

W = TypeVar("W")

MOST_PIXELS = 100_000_000  # 300 MB of RGB; a file of a few kilobytes may claim any size
PIECE = 1_000_000  # pixels that become bytes at once
# Not all that Pillow knows: it gives EPS to Ghostscript, a program of its own, and readers of rare formats are old.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
# Pillow's names of grey with 16 bits, which its own conversion cuts off at 255. "I" has 32, of which three use 16.
WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I")
WIDE_AS_I = ("PNG", "PPM", "JPEG2000")


class Picture(NamedTuple):
    """`rgb` is height x width x 3 bytes. `notes` say what of the file is not in it."""

    rgb: Array
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def picture(image: Image, *, field: str = "image") -> Picture:
    """`image` upright, in RGB, transparency on white; the first frame of an animation.

    Raises `RequestError` for bytes that are no image, of no pixels or of more than 100 million (told by the header,
    before anything is decoded), and for files that are cut short; `UnsupportedError` for an address.
    """
    if image.data is None:
        raise UnsupportedError(
            f"{_shown(image.url)} is an address, and embedded models fetch nothing: download the image, send its bytes",
            field=field,
        )
    reader = needed("PIL.Image", "images")
    opened = _opened(reader, image.data, field)
    with opened:
        _check_size(opened.width, opened.height, field)
        frames = getattr(opened, "n_frames", 1) if opened.format != "MPO" else 1  # a phone's MPO: one photo and its map
        notes = (f"Only the first of the image's {frames} frames or pages was looked at.",) if frames > 1 else ()
        try:
            return Picture(_rgb(opened, field), notes)
        except (RequestError, UnsupportedError):
            raise
        except Exception as error:  # on damaged bytes Pillow's readers raise whatever they trip over
            raise RequestError(
                f"The image is damaged or cut short: {opened.format} of {opened.width} x {opened.height} pixels, "
                f"and {_told(error)}. Send the whole file",
                field=field,
            ) from error


def _opened(reader: Any, data: bytes, field: str) -> Any:
    """The image with its header read, and nothing decoded."""
    reader.init()  # loads Pillow's readers, once
    known = [name for name in FORMATS if name in reader.OPEN]  # Pillow before 11.3 has no AVIF
    try:
        return reader.open(io.BytesIO(data), formats=known)
    except (reader.DecompressionBombError, reader.DecompressionBombWarning) as error:
        raise _too_large(_told(error), field) from None
    except reader.UnidentifiedImageError:
        if (size := _stated_size(data)) is not None:
            _check_size(size[0], size[1], field)
        what = f"{len(data):,} bytes that begin with {data[:8]!r}" if data else "no bytes at all"
        kinds = ", ".join(known)
        raise RequestError(f"This is not an image: {what}. Known are {kinds}: convert it to one", field=field) from None
    except Exception as error:  # as above
        raise RequestError(f"The image's header cannot be read: {_told(error)}. Send the file", field=field) from error


def _stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header of a PNG (https://www.w3.org/TR/png-3/#11IHDR) or a GIF, which Pillow takes for no
    image where they are 0."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return None


def _check_size(width: int, height: int, field: str) -> None:
    if width < 1 or height < 1:
        raise RequestError(f"The image has {width} x {height} pixels, so there is nothing to see in it", field=field)
    if width * height > MOST_PIXELS:
        raise _too_large(f"it has {width:,} x {height:,}", field)


def _too_large(why: str, field: str) -> RequestError:
    return RequestError(f"The image has more than {MOST_PIXELS:,} pixels ({why}): scale it down", field=field)


def _rgb(opened: Any, field: str) -> Array:
    np: Any = needed("numpy", "images")
    needed("PIL.ImageOps", "images").exif_transpose(opened, in_place=True)  # of 100 million pixels a copy has 400 MB
    upright = opened
    if upright.mode in WIDE and (upright.mode != "I" or opened.format in WIDE_AS_I):
        grey = (np.asarray(upright).astype(np.float32) / 257).round().astype(np.uint8)  # 65,535 is white
        return np.repeat(grey[:, :, None], 3, axis=2)  # type: ignore[no-any-return]
    if upright.mode in ("I", "F"):
        raise UnsupportedError(
            "The image's pixels are numbers of 32 bits, which do not say what white is: save it with 8 or 16 bits",
            field=field,
        )
    if upright.has_transparency_data:
        reader = needed("PIL.Image", "images")
        upright = upright.convert("RGBA")
        upright = reader.alpha_composite(reader.new("RGBA", upright.size, "white"), upright)
    return _in_pieces(upright if upright.mode == "RGB" else upright.convert("RGB"))


def _in_pieces(image: Any) -> Array:
    """An RGB image's bytes. Pillow would put those of all of it together in one step, for which there must be room
    twice, and every other thread waits: 200 ms for 100 million pixels."""
    np: Any = needed("numpy", "images")
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, PIECE // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        rgb[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return rgb  # type: ignore[no-any-return]


def _shown(url: str | None) -> str:
    url = url or ""
    return url if len(url) <= 80 else url[:77] + "…"


def _told(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class Sighted(Loaded[W]):
    """A model that is asked about one image, which is decoded before the weights load, in the model's thread.
    Subclasses have `see` for `answer`."""

    inputs = ("image",)
    extra: ClassVar[str] = "images"

    def see(self, weights: W, picture: Picture, request: Any) -> Response:
        """The answer. In the model's thread."""
        raise NotImplementedError

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        self.check(request)
        seen = await self.in_thread(lambda: picture(request.image))  # type: ignore[attr-defined]
        response: Any = await self.in_thread(lambda: self.see(self.weights(), seen, request))
        yield Done(response=response)
