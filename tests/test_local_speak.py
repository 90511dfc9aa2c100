"""Embedded text to speech: a Piper voice that Whisper understands, and what is written as words and phonemes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.cli import main
from trivet.errors import RequestError, TrivetError, UnsupportedError
from trivet.local import weights
from trivet.local.provider import Local
from trivet.local.pull import pull
from trivet.local.settings import LocalSettings
from trivet.local.speech import numbers
from trivet.local.speech.english import sentences
from trivet.local.speech.phonemes import IPA, Lexicon
from trivet.local.speech.piper import MOST_SOUNDS, Piper
from trivet.local.speech.sound import Sound
from trivet.local.speech.whisper import Whisper
from trivet.types import Audio, AudioDelta, Done, Speak, SpeakResponse, Transcribe, TranscribeResponse

SENTENCES = """The quick brown fox jumps over the lazy dog.
My name is Joe, and I am very pleased to meet you.
The train to Boston leaves at half past three in the afternoon.
Please remember to buy milk, bread and butter on your way home.
A foundation model answers questions, writes code and reads pictures.
The weather will be cold and rainy tomorrow, with strong winds from the north.
We counted 23 birds in the garden this morning.
Dr. Smith asked whether the patient had slept well.
Nobody knows how long the old bridge has been standing there.
Yesterday the children walked along the river and played in the park.""".splitlines()


@pytest.fixture(scope="session")
def joe_folder() -> Path:
    return pull("piper-joe", weights.home(), accept=True).path.parent


@pytest.fixture(scope="session")
def joe(joe_folder: Path) -> Iterator[Piper]:
    model = Piper(joe_folder, LocalSettings(threads=1), name="local/piper-joe")
    yield model
    asyncio.run(model.close())


@pytest.fixture(scope="session")
def lexicon(joe_folder: Path) -> Lexicon:
    return Lexicon(joe_folder / "cmudict.dict", joe_folder / "checkpoint20.npz")


async def spoken(model: Piper, text: str, **asked: Any) -> SpeakResponse:
    response = await model.call(Speak(text=text, **asked))
    assert isinstance(response, SpeakResponse)
    return response


def said(text: str) -> list[str]:
    """Its words, numbers and abbreviations as they are said."""
    return [word.lower() for sentence in sentences(text)[0] for word in sentence.words]


def errors(expected: list[str], heard: list[str]) -> int:
    """Words that have to be put in, taken out or exchanged (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


async def test_whisper_understands_what_joe_says(joe: Piper) -> None:
    """The threshold of the issue: a word error rate of at most 0.2 over ten sentences."""
    assert len(SENTENCES) == 10
    audio = (await spoken(joe, "\n".join(SENTENCES))).audio
    folder = pull("whisper-tiny.en", weights.home()).path.parent
    whisper = Whisper(folder, LocalSettings(threads=1), name="local/whisper-tiny.en")
    heard = await whisper.call(Transcribe(audio=Audio(data=audio)))
    await whisper.close()
    assert isinstance(heard, TranscribeResponse)
    expected = said(" ".join(SENTENCES))
    assert errors(expected, said(heard.text)) / len(expected) <= 0.2


@pytest.mark.parametrize(
    ("format", "media_type", "rate"),
    [
        ("wav", "audio/wav", 22_050),
        ("flac", "audio/flac", 22_050),
        ("mp3", "audio/mpeg", 22_050),
        ("opus", "audio/ogg", 24_000),
    ],
)
async def test_sound_comes_sentence_by_sentence_and_can_be_played_in_each_format(
    joe: Piper, format: Any, media_type: str, rate: int
) -> None:
    async with aclosing(joe.stream(Speak(text="One. Two. Three.", format=format))) as stream:
        events = [event async for event in stream]
    *deltas, done = events
    assert isinstance(done, Done)
    response = done.response
    assert isinstance(response, SpeakResponse)
    assert (response.media_type, response.sample_rate) == (media_type, rate)
    assert len(deltas) >= 3
    streamed = b"".join(event.data for event in deltas if isinstance(event, AudioDelta))
    for whole in (response.audio, streamed):
        sound = Sound(Audio(data=whole))
        (_, samples), *more = sound.pieces(sound.rate)
        assert (sound.rate, more) == (rate, [])
        assert response.duration_s == pytest.approx(sound.duration_s, abs=0.2)  # MP3 adds some frames
        assert response.duration_s == pytest.approx(len(samples) / rate, abs=0.2)
        assert 0.3 < numpy.abs(samples).max() <= 1


async def test_pcm_is_the_samples_and_nothing_else(joe: Piper) -> None:
    async with aclosing(joe.stream(Speak(text="Hello. World.", format="pcm"))) as stream:
        *deltas, done = [event async for event in stream]
    assert isinstance(done, Done)
    assert isinstance(done.response, SpeakResponse)
    assert b"".join(event.data for event in deltas if isinstance(event, AudioDelta)) == done.response.audio
    assert len(done.response.audio) / 2 / 22_050 == pytest.approx(done.response.duration_s, abs=1e-3)


async def test_speed_shortens_and_stretches(joe: Piper) -> None:
    lengths = [(await spoken(joe, SENTENCES[0], speed=speed)).duration_s or 0 for speed in (0.5, 1.0, 2.0)]
    assert lengths[0] > 1.5 * lengths[1] > 1.5 * 1.5 * lengths[2]


@pytest.mark.parametrize(
    ("asked", "error", "wrong"),
    [
        ({"text": " \n"}, RequestError, "text is empty"),
        ({"text": "... !?"}, RequestError, "no word or number"),
        ({"text": "안녕하세요"}, UnsupportedError, "speaks English"),
        ({"text": "Hello мир"}, UnsupportedError, "мир"),
        ({"text": "Hi", "voice": "alloy"}, UnsupportedError, "leave voice out"),
        ({"text": "Hi", "format": "aac"}, UnsupportedError, "wav, pcm, flac, mp3 or opus"),
    ],
)
async def test_what_cannot_be_said_is_refused_before_the_voice_loads(
    joe_folder: Path, asked: dict[str, Any], error: type[TrivetError], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    joe = Piper(joe_folder, name="local/piper-joe")
    monkeypatch.setattr(joe, "load", lambda: loads.append(1))
    with pytest.raises(error, match=wrong):
        await joe.call(Speak(**asked))
    assert not loads


async def test_a_sign_that_cannot_be_said_is_told(joe: Piper) -> None:
    assert (await spoken(joe, "Party 🎉 time")).notes == ("Not said: 🎉",)
    assert (await spoken(joe, "Party, time", voice="joe")).notes == ()


async def test_leaving_stops_before_the_next_sentence(joe: Piper, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = joe.stream(Speak(text="One. Two. Three."))
    assert isinstance(await anext(stream), AudioDelta)
    assert joe._weights is not None
    more: list[Any] = []
    monkeypatch.setattr(joe._weights, "said", lambda *args: more.append(args))
    await stream.aclose()
    await joe.in_thread(lambda: None)
    assert not more


def test_the_voice_is_named_as_what_it_may_be_used_for(joe_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    licence = Local().model("piper-joe").about.license
    assert licence is not None
    assert "local demos only" in licence
    assert main(["models"]) == 0
    assert licence in capsys.readouterr().out


def test_the_voice_is_pulled_only_where_its_terms_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    assert main(["pull", "piper-joe"]) == 1
    told = capsys.readouterr().err
    assert "non-commercial" in told
    assert "trivet pull --accept-license piper-joe" in told
    assert not list(tmp_path.iterdir())


# --- words ----------------------------------------------------------------------------------------------------

VALUES = {word: value for value, word in enumerate(numbers.SMALL)}
VALUES |= {word: 10 * value for value, word in enumerate(numbers.TENS) if word}


@given(st.integers(0, 10**15 - 1))
def test_a_number_in_words_is_that_number(number: int) -> None:
    total = part = 0
    for word in numbers.cardinal(number).split():
        if word == "hundred":
            part *= 100
        elif word in VALUES:
            part += VALUES[word]
        else:
            total, part = total + part * next(scale for scale, name in numbers.SCALES if name == word), 0
    assert total + part == number


@pytest.mark.parametrize(
    ("written", "in_words"),
    [
        ("1,234 things", "one thousand two hundred thirty four things"),
        ("It is -5°C", "It is minus five degrees C"),
        ("3.14", "three point one four"),
        ("$5.20 or $1", "five dollars and twenty cents or one dollar"),
        ("$3.5 million", "three point five million dollars"),
        ("£2.01", "two pounds and one penny"),
        ("In 1984, 2005 and 2026", "In nineteen eighty four two thousand five and twenty twenty six"),
        ("the 1990s", "the nineteen nineties"),
        ("the 3rd and 21st", "the third and twenty first"),
        ("3:30 and 10:00", "three thirty and ten o'clock"),
        ("50% & more", "fifty percent and more"),
        ("agent 007", "agent zero zero seven"),
        ("v1.2.3", "v one point two point three"),
        ("see trivet.toml", "see trivet dot toml"),
        ("Dr. Smith's U.S. trip, e.g. by ChatGPT", "doctor Smith's U S trip for example by Chat GPT"),
        ("No. 7? No.", "number seven No"),
        ("café — Straße", "cafe Strasse"),
        ("16GB at 5GHz, 221B", "sixteen GB at five GHz two hundred twenty one B"),
        ("v1.29", "v one point two nine"),
        (".5 and 0.05", "zero point five and zero point zero five"),
        ("$5M, €1.1k and $3bn", "five million dollars one point one thousand euros and three billion dollars"),
        ("10:00 a.m. or 3:05 pm", "ten ay M or three oh five pm"),
        ("the '80s", "the eighties"),
        ("10%-20%", "ten percent twenty percent"),
        ("2020-2021", "twenty twenty to twenty twenty one"),
        ("1/2 cup, 3/4 tsp. of it, 24/7", "one half cup three quarters teaspoon of it twenty four slash seven"),
        ("Baker St., by St. Mary's", "Baker street by saint Mary's"),
        ("see p. 5, fig. 2", "see page five figure two"),
    ],
)
def test_what_is_written_is_said_in_words(written: str, in_words: str) -> None:
    found, unsaid = sentences(written)
    assert " ".join(word for sentence in found for word in sentence.words) == in_words
    assert unsaid == ""


@given(st.text(max_size=80))
def test_any_text_is_words_of_letters_and_what_is_left_is_told(text: str) -> None:
    found, _ = sentences(text)
    assert all(re.fullmatch(r"[A-Za-z]+('[A-Za-z]+)*", word) for sentence in found for word in sentence.words)
    assert all(sentence.words for sentence in found)


def test_a_long_text_without_an_end_is_cut_into_sentences() -> None:
    found, _ = sentences("word " * 1_000)
    assert len(found) > 10
    assert sum(len(sentence.words) for sentence in found) == 1_000


def test_what_cannot_be_said_is_told_as_it_is_written() -> None:
    assert sentences("안녕 🎉 Привет") == ((), "안녕🎉Привет")


@pytest.mark.parametrize("text", ["z" * 5_000, "incomprehensibilities " * 300, "ABCDE " * 500])
def test_no_text_is_said_in_pieces_without_end(joe: Piper, text: str) -> None:
    """What is said at once takes memory by the square of its length: 5,000 letters took 8 GB."""
    found, _ = sentences(text)
    pieces = [piece for sentence in found for piece in joe.weights().pieces(sentence)]
    assert max(map(len, pieces)) <= MOST_SOUNDS
    lexicon = joe.weights()._lexicon
    assert "".join(pieces) == "".join(map(lexicon.ipa, found))


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [
        ("hello", "HH AH0 L OW1"),
        ("trivet", "T R IH1 V IH0 T"),  # not in CMUdict: by the network
        ("GGUF", "JH IY1 JH IY1 Y UW1 EH1 F"),
        ("AI", "EY1 AY1"),
        ("voicemail", "V OY1 S M EY2 L"),
        ("Anthropic's", "AE2 N TH R AH0 P IH1 K S"),
    ],
)
def test_every_word_has_phonemes(lexicon: Lexicon, word: str, phonemes: str) -> None:
    assert " ".join(lexicon.arpabet(word)) == phonemes


def test_phonemes_are_those_that_the_voice_was_trained_on(lexicon: Lexicon, joe_folder: Path) -> None:
    """As espeak-ng's en-us has them: stress before the vowel, weak words without, a flap in `water`."""
    (sentence,), _ = sentences("The water of the ocean, hello!")
    assert lexicon.ipa(sentence) == "ðə wˈɔːɾɚ ʌv ðɪ ˈoʊʃən, həlˈoʊ!"
    known = json.loads(next(joe_folder.glob("*.json")).read_text())["phoneme_id_map"]
    assert set("".join(IPA.values()) + "ˈˌɾəɚɐ .,!?;:") <= set(known)
