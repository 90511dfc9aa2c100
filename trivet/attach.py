"""Images, audio and documents from a path, a URL or bytes; images from arrays and Pillow's images, too.

What a file holds is told by its first bytes, and only then by its name. A URL is passed on as it is, for the provider
to fetch: nothing is downloaded here. A `data:` URL and a `file:` URL are what they contain.
"""

from __future__ import annotations

import os
import re
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from trivet import pixels
from trivet.errors import RequestError
from trivet.types import Audio, Document, Image
from trivet.wire.data_url import is_data_url, read_data_url

__all__ = ["Attachable", "attach", "audio", "document", "image", "recording"]

Attachable = str | os.PathLike[str] | bytes
Attachment = Image | Audio | Document
P = TypeVar("P", Image, Audio, Document)

_TYPES = {  # by the end of a name
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
}
_TAKES: dict[type[Any], tuple[str, ...]] = {
    Image: ("image/",),
    Audio: ("audio/",),
    Document: ("application/pdf", "text/"),
}
_KINDS = "png, jpeg, gif, webp, avif, bmp, tiff, wav, mp3, flac, ogg, m4a, aac, aiff, pdf and UTF-8 text"
_FILMS = {
    **dict.fromkeys((b"iso", b"mp4", b"avc", b"M4V"), "video/mp4"),  # by the first letters of the brand
    b"qt ": "video/quicktime",
}
_SOUNDING = ("audio/", "video/")  # a film is a recording too, for whoever takes its sound out


def image(source: Attachable | pixels.Pixels, *, media_type: str | None = None, detail: Any = None) -> Image:
    """A picture for `trivet.user(...)`: png, jpeg, gif, webp, avif, bmp, tiff, or whatever `media_type` names. `detail`
    is OpenAI's hint: auto, low or high. A numpy array or a PIL image is sent as png, see `trivet.pixels`. Raises
    RequestError where there is no such file, or no picture in it."""
    if pixels.are(source):
        source, media_type = pixels.png(source), "image/png"
    return _part(Image, source, media_type, detail=detail)


def audio(source: Attachable, *, media_type: str | None = None) -> Audio:
    """Sound, as `image` takes a picture: wav, mp3, flac, ogg, m4a, aac, aiff."""
    return _part(Audio, source, media_type)


def recording(source: Attachable) -> Audio:
    """Sound, or a film that has it: mp4, webm. Whether a model can take the sound out of that is for it to say."""
    return _part(Audio, source, None, takes=_SOUNDING)


def document(source: Attachable, *, media_type: str | None = None, name: str | None = None) -> Document:
    """A PDF or a UTF-8 text, as `image` takes a picture. `name` is what to call it, the file's own by default."""
    return _part(Document, source, media_type, name=name or _name(source))


def text(source: str | os.PathLike[str]) -> str:
    """The UTF-8 text of a file. Raises RequestError where there is none."""
    data, found = _read(source)
    if found is None or not found.startswith("text/"):
        raise RequestError(f"{_told(source)} is {found or 'no UTF-8 text'}, and text is wanted", field="attach")
    return data.decode("utf-8-sig")


def attach(source: Attachable | pixels.Pixels) -> Attachment:
    """Whichever of the three it is. A URL must tell it by its end."""
    if pixels.are(source):
        return image(source)
    url = _url(source)
    data, found = _read(source) if url is None else (None, _by_name(urlsplit(url).path))
    if found is None:
        what = _told(source)
        if url is not None:
            raise RequestError(f"{what} does not say what it is: use trivet.image, audio or document", field="attach")
        raise _unknown(what)
    for kind, starts in _TAKES.items():
        if found.startswith(starts):
            named = {"name": _name(source)} if kind is Document else {}
            part: Attachment = kind(data=data, url=url, media_type=found, **named)
            return part
    raise RequestError(f"{_told(source)} is {found}, which is no image, audio or document", field="attach")


def _part(
    kind: type[P], source: Attachable, media_type: str | None, takes: tuple[str, ...] | None = None, **fields: Any
) -> P:
    what, noun = _told(source), kind.__name__.lower()
    url = _url(source)
    data, found = _read(source) if url is None else (None, _by_name(urlsplit(url).path))
    if media_type is None and found is not None and not found.startswith(takes or _TAKES[kind]):
        raise RequestError(f"{what} is {found}, which is no {noun}", field=noun)
    if media_type is None and found is None and url is None:
        raise _unknown(what)
    return kind(data=data, url=url, media_type=media_type or found, **fields)


def _unknown(what: str) -> RequestError:
    return RequestError(
        f"{what} is of an unknown kind: there are {_KINDS}. Of another, give the media_type to trivet.image, audio or "
        "document",
        field="attach",
    )


def _told(source: Attachable) -> str:
    """What to call it in an error."""
    if not isinstance(source, str | os.PathLike | bytes):
        raise TypeError(f"what is attached is a path, a URL or bytes, and this is of type {type(source).__name__}")
    return "what is attached (bytes)" if isinstance(source, bytes) else repr(_short(os.fspath(source)))


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _url(source: Attachable) -> str | None:
    """The address, where it is one for the provider to look at."""
    if isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]+://", source, re.I):
        return None if source[:5].lower() == "file:" else source
    return None


def _name(source: Attachable) -> str | None:
    if isinstance(source, bytes) or (isinstance(source, str) and is_data_url(source)):
        return None
    path = os.fspath(source)
    if isinstance(source, str) and "://" in source:
        path = unquote(urlsplit(path).path)
    return os.path.basename(path) or None


def _read(source: Attachable) -> tuple[bytes, str | None]:
    """The bytes, and their media type where it is known."""
    what = _told(source)
    if isinstance(source, bytes):
        return _full(source, what), media_type_of(source)
    path = os.fspath(source)
    if is_data_url(path):
        data, told = read_data_url(path, "attach")
        return _full(data, "the data: URL"), media_type_of(data) or told
    if path[:7].lower() == "file://":
        path = unquote(urlsplit(path).path)
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        where = os.path.dirname(path) or os.getcwd()
        raise RequestError(f"There is no file {what} in {where}: check the path", field="attach") from None
    except IsADirectoryError:
        raise RequestError(f"{what} is a folder: attach the files in it one by one", field="attach") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{what} cannot be read: {reason}", field="attach") from None
    return _full(data, what), media_type_of(data, path)


def _full(data: bytes, what: str) -> bytes:
    if not data:
        raise RequestError(f"{what} is empty: there is nothing to attach", field="attach")
    return data


def _by_name(path: str) -> str | None:
    return _TYPES.get(os.path.splitext(path)[1].lower().removeprefix("."))


def media_type_of(data: bytes, path: str = "") -> str | None:
    """The media type by the first bytes; that of a text by the end of its name. None where neither says."""
    for start, media_type in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"ID3", "audio/mpeg"),
        (b".snd", "audio/basic"),
        (b"caff", "audio/x-caf"),
        (b"riff\x2e\x91\xcf\x11", "audio/x-w64"),
        (b"\x1a\x45\xdf\xa3", "video/webm"),
        (b"%PDF-", "application/pdf"),
    ):
        if data.startswith(start):
            return media_type
    if data.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12])
    if data.startswith(b"RF64") and data[8:12] == b"WAVE":  # of more than 4 GB
        return "audio/wav"
    if data.startswith(b"FORM") and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if data[4:12] == b"ftypavif":
        return "image/avif"
    if data[4:8] == b"ftyp":
        return "audio/mp4" if data[8:11] in (b"M4A", b"M4B") else _FILMS.get(data[8:11])
    if data.startswith(b"BM") and data[6:10] == bytes(4):  # two letters alone may begin a text
        return "image/bmp"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2:  # an MPEG frame of layer III, without ID3 in front
        return "audio/mpeg"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:  # an ADTS frame: ISO 13818-7
        return "audio/aac"
    return _text_type(path) if _is_text(data) else None


def _text_type(path: str) -> str:
    named = _by_name(path) or ""
    return named if named.startswith("text/") else "text/plain"


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
