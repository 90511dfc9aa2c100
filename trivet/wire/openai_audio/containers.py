"""What sound is by its first bytes: which format a file has, and how many samples a second."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

__all__ = ["extension", "sample_rate"]

_EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/webm": "webm",
    "video/webm": "webm",
    "video/mp4": "mp4",
}
_OPENAIS_RATE = 24_000  # Hz: developers.openai.com/api/docs/guides/text-to-speech, of pcm; others are made of the same
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


def extension(data: bytes, media_type: str | None) -> str | None:
    """What a file's name ends in, by its bytes, else by its type; None where neither says."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] in (b"fLaC", b"OggS"):
        return "flac" if data[:4] == b"fLaC" else "ogg"
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] and data[1] & 0xE6 in (0xE2, 0xE4, 0xE6)):
        return "mp3"
    if data[4:8] == b"ftyp":
        return "m4a"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "webm"
    return _EXTENSIONS.get(media_type or "")


def sample_rate(data: bytes, form: str) -> int:
    """In Hz, by the head of the first frame; OpenAI's, where there is none."""
    try:
        return _RATES[form](data) if form in _RATES else _OPENAIS_RATE
    except (IndexError, ValueError, struct.error):
        return _OPENAIS_RATE


def _of_wav(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, data.index(b"fmt ") + 12)[0])


def _of_flac(data: bytes) -> int:
    """The first 20 bits after the sizes of blocks and frames (RFC 9639, section 8.2)."""
    return int.from_bytes(data[data.index(b"fLaC") + 18 :][:3], "big") >> 4


def _of_mp3(data: bytes) -> int:
    """Of the first frame after a tag (ISO 11172-3, section 2.4.1.3)."""
    at = 0
    if data[:3] == b"ID3":
        a, b, c, d = data[6:10]
        at = 10 + (a << 21 | b << 14 | c << 7 | d)
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        raise ValueError
    return _MPEG_RATES.get(data[at + 1] >> 3 & 3, ())[data[at + 2] >> 2 & 3]


def _of_aac(data: bytes) -> int:
    """Of an ADTS frame (ISO 13818-7, section 6.2)."""
    if data[0] != 0xFF or data[1] & 0xF0 != 0xF0:
        raise ValueError
    return _AAC_RATES[data[2] >> 2 & 15]


_RATES: Mapping[str, Callable[[bytes], int]] = {
    "wav": _of_wav,
    "flac": _of_flac,
    "mp3": _of_mp3,
    "aac": _of_aac,
    "opus": lambda data: 48_000,  # what all Opus is decoded to (RFC 7845, section 5.1)
}
