"""Sound files: bytes to samples and back, by libsndfile, and from one sample rate to another.

Samples are float32 from -1 to 1, of one channel. numpy and soundfile are imported by the first that needs them.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trivet.errors import RequestError, UnsupportedError
from trivet.local.loaded import needed
from trivet.local.speech import mp3
from trivet.types import Audio

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, numpy.dtype[numpy.float32]]

__all__ = ["Encoder", "Sound", "check_format", "refuse_address", "resample"]

EXTRA = "speech"
# libsndfile's names for what it writes, and the rates (Hz) that it may have where those are not all.
FORMATS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "flac": ("FLAC", "PCM_16", ()),
    "mp3": ("MP3", "MPEG_LAYER_III", (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)),
    "opus": ("OGG", "OPUS", (8_000, 12_000, 16_000, 24_000, 48_000)),
}
PIECE_S = 600  # of a long sound, what is in memory at once
LEAST_S = 60
CUT_S = 30  # it is cut at the quietest place within so much of its end
QUIET_S = 0.2
MOST_FRAMES = 1 << 48  # libsndfile's word for an unknown length is larger


class Sound:
    """A sound file that is open for reading: WAV, FLAC, OGG (Vorbis, Opus), MP3 and what else libsndfile knows.

    Raises `RequestError`, with the request's field, for an address, for what is no sound, and for an empty one.
    `breaks_off` says, once it is read, that its end is missing."""

    def __init__(self, audio: Audio, *, field: str = "audio") -> None:
        refuse_address(audio, field)
        assert audio.data is not None
        self.field = field
        if not audio.data:
            raise RequestError("The audio is empty: it has 0 bytes. Send a WAV, FLAC, OGG or MP3 file.", field=field)
        soundfile = needed("soundfile", EXTRA)
        try:
            self._file = soundfile.SoundFile(io.BytesIO(_with_length(audio.data)))
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a header without channels or rate
            raise self._unreadable(len(audio.data), error) from None
        self._read_frames = 0
        self.breaks_off = _breaks_off(audio.data, self._file.format)
        self.rate: int = self._file.samplerate
        self.frames: int = self._file.frames
        # Where a stream's header does not tell its length, seeking fails, and soundfile does that after every read.
        self._file.seekable = lambda: False
        if self.frames == 0 or self._file.channels == 0:
            raise RequestError("The audio has no sound in it: it is 0 s long. Record it again.", field=field)
        if self._file.format == "MP3" and (whole := mp3.samples(audio.data) or 0) > self.frames * 1.05 + self.rate:
            raise RequestError(
                f"This MP3 does not tell its length, and only {self.duration_s:.0f} of its {whole / self.rate:.0f} s "
                "could be read. Write it anew: ffmpeg -i IN.mp3 OUT.flac",
                field=field,
            )

    def _unreadable(self, size: int, error: Exception) -> RequestError:
        said = getattr(error, "error_string", None) or str(error)
        return RequestError(
            f"These {size:,} bytes are no audio that can be read ({said.strip().rstrip('.')}). Send a WAV, FLAC, OGG "
            "or MP3 file; the sound of a video, or M4A, can be taken out with: ffmpeg -i IN -vn OUT.flac",
            field=self.field,
        )

    @property
    def duration_s(self) -> float:
        """Of a stream whose header does not tell its length, as far as it has been read."""
        return (self._read_frames if self.frames > MOST_FRAMES else self.frames) / self.rate

    def pieces(self, rate: int) -> Iterator[tuple[float, Samples]]:
        """The sound at `rate` in pieces of at most ten minutes, each with its start in seconds, cut where it is quiet.
        Of a file of a higher rate they are shorter, but for a minute: what is in memory is its samples.

        Raises `RequestError` where the file breaks off or has numbers that are none in it."""
        numpy = needed("numpy", EXTRA)
        start, rest = 0, numpy.zeros(0, numpy.float32)
        most = max(PIECE_S * min(self.rate, rate), min(PIECE_S, LEAST_S) * self.rate)
        while True:
            block = self._read(most - len(rest))
            last = len(rest) + len(block) < most
            whole = numpy.concatenate([rest, block]) if len(rest) else block
            end = len(whole) if last else _quietest(whole, self.rate)
            if last and self.frames <= MOST_FRAMES:
                missing = self.frames - self._read_frames  # of an MP3, whose head tells how long it is
                self.breaks_off = self.breaks_off or missing > max(self.rate // 2, self.frames // 50)
                self.frames = self._read_frames
            if end:
                yield start / self.rate, resample(whole[:end], self.rate, rate)
            if last:
                return
            start, rest = start + end, whole[end:].copy()

    def _read(self, frames: int) -> Samples:
        numpy, soundfile = needed("numpy", EXTRA), needed("soundfile", EXTRA)
        parts = []
        try:
            while frames > 0:  # in blocks, so that of many channels only the mean is kept
                block = self._file.read(min(frames, self.rate * 10), dtype="float32", always_2d=True)
                if not len(block):
                    break
                self._read_frames += len(block)
                parts.append(block.mean(axis=1, dtype=numpy.float32))
                frames -= len(block)
        except soundfile.LibsndfileError as error:
            raise RequestError(
                f"The audio breaks off ({error.error_string.strip().rstrip('.')}): it is damaged. Send it whole.",
                field=self.field,
            ) from None
        samples: Samples = numpy.concatenate(parts) if parts else numpy.zeros(0, numpy.float32)
        if not numpy.isfinite(samples).all():
            raise RequestError("The audio has samples that are no numbers (NaN or infinite).", field=self.field)
        return samples


def refuse_address(audio: Audio, field: str) -> None:
    """Raises `RequestError`: an embedded model fetches nothing."""
    if audio.data is None:
        raise RequestError(
            "An embedded model does not fetch audio from an address. Download the file and send its bytes.", field=field
        )


def _breaks_off(data: bytes, format: str) -> bool:
    """Whether the file ends before it says that it does, of which libsndfile is silent: a WAV tells how long it is
    (near the most that the field can have: it does not), and the last page of an Ogg file that it is the last
    (RFC 3533, section 6)."""
    if format == "OGG":
        last = data.rfind(b"OggS")
        return not data[last + 5 : last + 6] or not data[last + 5] & 4
    if format in ("WAV", "WAVEX") and (found := _wav_data(data)) is not None:
        at, size = found
        return size < 0x7FFF_0000 and at + size > len(data)
    return False


def _with_length(data: bytes) -> bytes:
    """A WAV whose head tells 0 bytes, as its recorder could not go back or broke off: with those that are there."""
    found = _wav_data(data) if data[:4] == b"RIFF" else None
    if found is None or found[1] or data[found[0] : found[0] + 4].isalnum():  # another chunk: it is really empty
        return data
    at = found[0]
    return data[: at - 4] + min(len(data) - at, 0xFFFF_FFFF).to_bytes(4, "little") + data[at:]


def _wav_data(data: bytes) -> tuple[int, int] | None:
    """Where the samples of a WAV begin, and of how many bytes they are by its head."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            return at + 8, size
        at += 8 + size + size % 2
    return None


def _quietest(samples: Samples, rate: int) -> int:
    """Where to cut, by the loudness of stretches of 0.2 s in the last 30 s."""
    step = max(1, int(rate * QUIET_S))
    tail = samples[-(min(len(samples), rate * CUT_S) // step) * step :]
    loudness = (tail.reshape(-1, step) ** 2).sum(axis=1)
    return len(samples) - len(tail) + int(loudness.argmin()) * step + step // 2


def resample(samples: Samples, rate: int, to: int) -> Samples:
    """`samples` of `rate` Hz at `to` Hz: their spectrum, cut at or padded to the new half rate (Oppenheim and Schafer,
    Discrete-Time Signal Processing, 4.6). Exact for what both rates can carry; silence is put behind it, so that its
    end does not run into its beginning."""
    if rate == to or not len(samples):
        return samples
    numpy = needed("numpy", EXTRA)
    divisor = math.gcd(rate, to)
    down, up = rate // divisor, to // divisor
    blocks = -(-(len(samples) + rate // 20) // down)  # the padded sound is a whole number of blocks at both rates
    round_to = 1 << max(0, blocks.bit_length() - 5)  # a number of small factors, for the transform's sake
    blocks = -(-blocks // round_to) * round_to
    spectrum = numpy.fft.rfft(samples, blocks * down)
    out = numpy.fft.irfft(spectrum[: blocks * up // 2 + 1], blocks * up) * (up / down)
    result: Samples = out[: -(-len(samples) * up // down)].astype(numpy.float32)
    return result


class Encoder:
    """Samples of `rate` Hz as a file that grows. `self.rate` is the file's, which for some formats is another one.

    Raises `UnsupportedError` for a format that cannot be written here."""

    def __init__(self, format: str, rate: int) -> None:
        check_format(format)
        self._in = rate
        self._out = io.BytesIO()
        self._file: Any = None
        self.format, self.rate, self.frames = format, rate, 0
        self._told = 0  # bytes
        if format in FORMATS:
            container, subtype, rates = FORMATS[format]
            self.rate = rate if not rates or rate in rates else min((r for r in rates if r >= rate), default=rates[-1])
            soundfile = needed("soundfile", EXTRA)
            # Players of a stream take an MP3's length from its first frame, which is right where all are of one size.
            same = {"compression_level": 0.6, "bitrate_mode": "CONSTANT"} if format == "mp3" else {}  # some 64 kbit/s
            self._file = soundfile.SoundFile(self._out, "w", self.rate, 1, subtype=subtype, format=container, **same)
        elif format == "wav":
            self._out.write(wav_header(self.rate, None))

    def add(self, samples: Samples) -> bytes:
        """The bytes that come of them by now: formats that pack hold some back."""
        samples = resample(samples, self._in, self.rate)
        self.frames += len(samples)
        if self._file is None:
            self._out.write(pcm16(samples))
        else:
            self._file.write(samples)
        return self._new()

    def end(self) -> tuple[bytes, bytes]:
        """The last bytes, and the whole file, whose header has its length by now."""
        if self._file is not None:
            self._file.close()
        last, whole = self._new(), self._out.getvalue()
        return last, wav_header(self.rate, self.frames) + whole[44:] if self.format == "wav" else whole

    def _new(self) -> bytes:
        with self._out.getbuffer() as written:
            new = bytes(written[self._told :])
        self._told += len(new)
        return new


def check_format(format: str) -> None:
    if format in ("wav", "pcm"):
        return
    if format in FORMATS:
        container, subtype, _ = FORMATS[format]
        if needed("soundfile", EXTRA).check_format(container, subtype):
            return
    raise UnsupportedError(
        f"Sound cannot be written as {format} here. Ask for wav, pcm, flac, mp3 or opus.", field="format"
    )


def pcm16(samples: Samples) -> bytes:
    numpy = needed("numpy", EXTRA)
    whole: bytes = (numpy.clip(samples, -1, 1) * 32_767).round().astype("<i2").tobytes()
    return whole


def wav_header(rate: int, frames: int | None) -> bytes:
    """Of one channel of 16 bits. With an unknown length it tells the largest, as is usual in streams."""
    size = 0xFFFF_FFFF if frames is None else frames * 2
    whole = min(size + 36, 0xFFFF_FFFF)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", whole, b"WAVEfmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", size)
