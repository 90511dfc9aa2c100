"""How long an MP3 is: its frames counted.

libsndfile believes the first frame where the file does not tell its length, and reads no further: of a variable bit
rate that can be a fraction. The table is ISO/IEC 11172-3 and 13818-3's."""

from __future__ import annotations

__all__ = ["samples"]

KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1; halved for 2, and again for 2.5
TAGS = (b"Xing", b"Info", b"VBRI")  # with the number of frames


def samples(data: bytes) -> int | None:
    """Of each channel. None where the file tells it itself, and where it is not layer III from end to end."""
    at = 0
    if data[:3] == b"ID3" and len(data) > 10:
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    if any(tag in data[at : at + 256] for tag in TAGS):
        return None
    count = 0
    while at + 4 <= len(data):
        one, two, three = data[at], data[at + 1], data[at + 2]
        version, layer, bits, rate = two >> 3 & 3, two >> 1 & 3, three >> 4, three >> 2 & 3
        if one != 0xFF or two < 0xE0 or version == 1 or layer != 1 or bits in (0, 15) or rate == 3:
            break
        kind, divisor = (1, 1) if version == 3 else (2, 2 if version == 2 else 4)
        each = 1152 if kind == 1 else 576
        at += each // 8 * KBITS[kind][bits] * 1000 // (RATES[rate] // divisor) + (three >> 1 & 1)
        count += each
    return count if count and len(data) - at < max(4096, len(data) // 100) else None
