"""Sound files as samples, and from one rate to another: what libsndfile reads, and what it is silent of."""

from __future__ import annotations

import io
from typing import Any

import numpy
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError
from trivet.local.speech import mp3
from trivet.local.speech.sound import PIECE_S, Sound, resample
from trivet.types import Audio


def file(samples: Any, rate: int, format: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=format, subtype=subtype)
    return out.getvalue()


def tone(frequency: float, rate: int, seconds: float = 1.0) -> Any:
    return 0.5 * numpy.sin(2 * numpy.pi * frequency * numpy.arange(int(rate * seconds)) / rate).astype(numpy.float32)


@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 44_101, 48_000]),
    to=st.sampled_from([8_000, 16_000, 24_000, 48_000]),
    frequency=st.floats(100, 3_500),
)
def test_a_tone_is_the_same_tone_at_another_rate(rate: int, to: int, frequency: float) -> None:
    out = resample(tone(frequency, rate), rate, to)
    assert len(out) == to
    edge = to // 20  # the tone's sudden ends have frequencies that no rate carries
    assert numpy.abs(out - tone(frequency, to))[edge:-edge].max() < 0.01


def test_what_the_new_rate_cannot_carry_is_gone_and_does_not_come_back_as_another_tone() -> None:
    out = resample(tone(12_000, 44_100), 44_100, 16_000)
    assert numpy.abs(out[800:-800]).max() < 0.01


def test_a_long_sound_is_cut_where_it_is_quiet_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.local.speech.sound.PIECE_S", 10)
    monkeypatch.setattr("trivet.local.speech.sound.CUT_S", 5)
    samples = tone(440, 16_000, 25)
    samples[16_000 * 7 : 16_000 * 8] = 0
    pieces = list(Sound(Audio(data=file(samples, 16_000, subtype="FLOAT"))).pieces(16_000))
    assert PIECE_S == 600  # the real one is longer than any test has time for
    assert 7 <= pieces[1][0] <= 8
    assert numpy.array_equal(numpy.concatenate([piece for _, piece in pieces]), samples)
    starts = numpy.cumsum([0, *(len(piece) for _, piece in pieces)])[:-1] / 16_000
    assert [start for start, _ in pieces] == pytest.approx(list(starts))


def mp3_without_length(rate: int) -> bytes:
    """Ten seconds of noise that grows, which a variable bit rate follows, in a file as it is written into a pipe."""
    noise = numpy.random.default_rng(0).normal(0, 1, rate * 10) * numpy.linspace(0.0, 0.3, rate * 10) ** 2
    data = file(noise, rate, "MP3")
    return data.replace(b"Info", bytes(4)).replace(b"Xing", bytes(4))


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_an_mp3_whose_length_is_unknown_is_not_cut_in_silence(rate: int) -> None:
    data = mp3_without_length(rate)
    assert mp3.samples(data) == pytest.approx(rate * 10, rel=0.02)
    assert mp3.samples(b"ID3\x04\0\0\0\0\0\x05abcde" + data) == mp3.samples(data)
    with pytest.raises(RequestError, match="only 6 of its 10 s could be read"):
        Sound(Audio(data=data))


@given(st.binary(max_size=200))
def test_the_length_of_what_is_no_mp3_is_unknown(data: bytes) -> None:
    assert mp3.samples(b"\0" + data) is None


def test_a_file_that_breaks_off_is_refused() -> None:
    whole = file(numpy.random.default_rng(0).normal(0, 0.1, 80_000), 16_000, "FLAC")
    with pytest.raises(RequestError, match="breaks off"):
        list(Sound(Audio(data=whole[: len(whole) // 2])).pieces(16_000))


def test_of_a_higher_rate_no_more_samples_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.local.speech.sound.PIECE_S", 12)
    monkeypatch.setattr("trivet.local.speech.sound.LEAST_S", 1)
    monkeypatch.setattr("trivet.local.speech.sound.CUT_S", 1)
    samples = tone(440, 48_000, 9)
    pieces = [piece for _, piece in Sound(Audio(data=file(samples, 48_000))).pieces(16_000)]
    assert max(map(len, pieces)) <= 4 * 16_000
    assert sum(map(len, pieces)) == pytest.approx(9 * 16_000, abs=len(pieces))


FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_a_file_without_its_end_is_known_from_a_whole_one(format: str, subtype: str | None) -> None:
    whole = file(numpy.random.default_rng(0).normal(0, 0.1, 160_000).clip(-1, 1), 16_000, format, subtype)
    for data, breaks_off in ((whole, False), (whole[: len(whole) // 2], True)):
        sound = Sound(Audio(data=data))
        read = sum(len(samples) for _, samples in sound.pieces(16_000))
        assert sound.breaks_off is breaks_off
        assert sound.duration_s == read / 16_000  # what there is, whatever its head tells


def test_a_wav_stream_whose_head_does_not_tell_its_length_is_whole() -> None:
    wav = file(tone(440, 16_000), 16_000)
    sound = Sound(Audio(data=wav[:40] + b"\xff" * 4 + wav[44:]))
    assert len(list(sound.pieces(16_000))) == 1
    assert not sound.breaks_off


def test_a_wav_whose_recorder_never_filled_in_its_length_is_read_to_its_end() -> None:
    wav = file(tone(440, 16_000), 16_000)
    unfinished = wav[:4] + bytes(4) + wav[8:40] + bytes(4) + wav[44:]
    assert Sound(Audio(data=unfinished)).duration_s == 1
    with pytest.raises(RequestError, match="0 s long"):
        Sound(Audio(data=unfinished[:44]))
