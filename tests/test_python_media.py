"""`trivet.embed`, `transcribe`, … : one request each, with what people have. The model is a fake."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trivet
from tests.local_stub import WHERE
from tests.test_attach import PNG
from trivet import Fake, RequestError, registry
from trivet.types import Context

WAV = b"RIFF\x24\0\0\0WAVEfmt "
IMAGE = trivet.Image(data=PNG, media_type="image/png")
AUDIO = trivet.Audio(data=WAV, media_type="audio/wav")


@pytest.fixture(autouse=True)
def bridge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A bridge of the test's own, over the stub, in an empty folder."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    trivet.close()
    yield
    trivet.close()


def one(fake: Fake) -> trivet.Request:
    """The one request that it had, without what the way there adds."""
    (request,) = fake.requests
    return trivet.replace(request, context=Context())


CALLS: list[tuple[Callable[[Fake], Any], trivet.Request]] = [
    (lambda m: trivet.embed("a", model=m), trivet.Embed(texts=("a",))),
    (lambda m: trivet.embed(["a", "b"], dimensions=3, model=m), trivet.Embed(texts=("a", "b"), dimensions=3)),
    (lambda m: trivet.embed("a", truncate=True, model=m), trivet.Embed(texts=("a",), truncate=True)),
    (lambda m: trivet.embed(images=PNG, model=m), trivet.Embed(images=(IMAGE,))),
    (lambda m: trivet.embed(images=[PNG, PNG], model=m), trivet.Embed(images=(IMAGE, IMAGE))),
    (lambda m: trivet.embed(proteins=">x\nEVQ\nL", model=m), trivet.Embed(proteins=("EVQL",))),
    (lambda m: trivet.rerank("q", ["a", "b"], top=1, model=m), trivet.Rerank(query="q", documents=("a", "b"), top=1)),
    (lambda m: trivet.classify(PNG, model=m), trivet.Classify(image=IMAGE)),
    (lambda m: trivet.classify(PNG, ["x"], top=2, model=m), trivet.Classify(image=IMAGE, labels=("x",), top=2)),
    (
        lambda m: trivet.classify(PNG, ["x"], template="a {}", model=m),
        trivet.Classify(image=IMAGE, labels=("x",), template="a {}"),
    ),
    (lambda m: trivet.read(PNG, model=m), trivet.Read(image=IMAGE)),
    (lambda m: trivet.transcribe(WAV, model=m), trivet.Transcribe(audio=AUDIO)),
    (
        lambda m: trivet.transcribe(WAV, language="en", prompt="Ada", words=True, model=m),
        trivet.Transcribe(audio=AUDIO, language="en", prompt="Ada", words=True),
    ),
    (
        lambda m: trivet.speak("Hi", voice="joe", format="mp3", speed=2, model=m),
        trivet.Speak(text="Hi", voice="joe", format="mp3", speed=2),
    ),
    (
        lambda m: trivet.forecast(pd.Series([1, None, 3]), 2, quantiles=[0.5], fill="linear", season=7, model=m),
        trivet.Forecast(series=(1.0, None, 3.0), horizon=2, quantiles=(0.5,), fill="linear", season=7),
    ),
    (lambda m: trivet.mask("evq_v", top=1, model=m), trivet.Mask(sequence="EVQ_V", top=1)),
]


@pytest.mark.parametrize(("call", "request_"), CALLS, ids=lambda value: getattr(type(value), "__name__", "call"))
def test_a_function_is_one_request(call: Callable[[Fake], Any], request_: trivet.Request) -> None:
    fake = Fake()
    response = call(fake)
    assert one(fake) == request_
    assert type(response) is request_.response_type


def test_the_default_model_is_the_catalogues(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fake = Fake()
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: asked.append(name) or fake)
    trivet.embed("a")
    trivet.rerank("q", ["a"])
    trivet.embed(proteins="EVQ")
    trivet.transcribe(WAV)
    assert asked == ["minilm", "antiberty", "whisper-tiny.en"]  # one object per name, asked for once


def refused(text: str, call: Callable[[Fake], Any], error: type[Exception] = RequestError) -> None:
    fake = Fake()
    with pytest.raises(error, match=text):
        call(fake)
    assert fake.requests == []  # before a model is asked, and so before it loads


def test_what_is_out_of_bounds_is_refused_before_a_model_loads() -> None:
    refused("top is 0, must be at least 1", lambda m: trivet.rerank("q", ["a"], top=0, model=m))
    refused("top is 0, must be at least 1", lambda m: trivet.classify(PNG, top=0, model=m))
    refused("horizon is 0, must be at least 1", lambda m: trivet.forecast([1, 2], 0, model=m))
    refused("must be between 0 and 1", lambda m: trivet.forecast([1, 2], 1, quantiles=[2], model=m))
    refused("must be between 0 and 1", lambda m: trivet.forecast([1, 2], 1, quantiles=[float("nan")], model=m))
    refused("season is 0, must be at least 1", lambda m: trivet.forecast([1, 2], 1, season=0, model=m))
    refused("fill is 'ffill', must be 'linear'", lambda m: trivet.forecast([1, 2], 1, fill="ffill", model=m))
    refused("speed is 9, must be between", lambda m: trivet.speak("a", speed=9, model=m))
    refused("query is empty", lambda m: trivet.rerank(" ", ["a"], model=m))
    refused(
        "Speak.format: Invalid enum value 'midi'; there are 'wav', 'pcm'",
        lambda m: trivet.speak("a", format="midi", model=m),
    )
    refused("the text is empty", lambda m: trivet.speak(" ", model=m))
    refused("these are 2: ask for each", lambda m: trivet.mask(">a\nE_\n>b\nE_", model=m))
    refused("the list is empty", lambda m: trivet.rerank("q", [], model=m))
    refused("the list is empty", lambda m: trivet.classify(PNG, [], model=m))


def test_one_text_where_several_are_wanted_is_a_type_error() -> None:
    refused("use \\[text\\]", lambda m: trivet.rerank("q", "abc", model=m), TypeError)
    refused("use \\['cat'\\]", lambda m: trivet.classify(PNG, "cat", model=m), TypeError)


@pytest.mark.parametrize("given", [0.5, None, "0.5!", ["low"], np.array(0.5)])
def test_quantiles_are_a_list_of_numbers(given: Any) -> None:
    wanted = r"quantiles are a list of numbers, such as \[0.1, 0.9\], and this is"
    refused(wanted, lambda m: trivet.forecast([1, 2], 1, quantiles=given, model=m), TypeError)


@pytest.mark.parametrize("given", [[3 * 0.1, 0.9], np.float32([0.3, 0.9]), np.arange(1, 10)[[2, 8]] * 0.1])
def test_quantiles_are_found_by_their_numbers_however_they_were_reckoned(given: Any) -> None:
    fake = Fake()
    trivet.forecast([1, 2], 1, quantiles=given, model=fake)
    assert fake.requests[0].quantiles == (0.3, 0.9)  # type: ignore[attr-defined]


def test_numbers_may_be_numpys() -> None:
    fake = Fake()
    trivet.forecast([1, 2], np.int64(3), season=np.int32(7), model=fake)
    trivet.classify(PNG, top=np.uint8(2), model=fake)
    trivet.speak("a", speed=np.float32(1.5), model=fake)
    forecast, classify, speak = fake.requests
    assert (forecast.horizon, forecast.season, classify.top, speak.speed) == (3, 7, 2, 1.5)  # type: ignore[attr-defined]
    refused("horizon: Expected `int`, got `float`", lambda m: trivet.forecast([1, 2], np.float64(3), model=m))


def test_embed_takes_one_kind() -> None:
    refused("was given none of them", lambda m: trivet.embed(model=m), TypeError)
    refused("was given texts and images", lambda m: trivet.embed("a", images=PNG, model=m), TypeError)


def test_arrays_are_taken_by_every_function_that_has_files() -> None:
    fake = Fake()
    trivet.read(np.zeros((2, 2, 3), np.uint8), model=fake)
    trivet.transcribe((np.zeros(100, np.float32), 16_000), model=fake)
    read, transcribe = fake.requests
    assert read.image.media_type == "image/png"  # type: ignore[attr-defined]
    assert transcribe.audio.media_type == "audio/wav"  # type: ignore[attr-defined]


def test_very_many_texts_are_several_requests_and_one_answer() -> None:
    fake, texts = Fake(), ["x" * (i % 7) + "y" for i in range(2500)]
    response = trivet.embed(texts, model=fake)
    assert sorted(len(request.texts) for request in fake.requests) == [500, 1000, 1000]  # type: ignore[attr-defined]
    assert [vector[0] for vector in response.vectors] == [len(text) for text in texts]
    assert response.usage.input_tokens == 9  # the fake says 3 of each


def test_an_error_in_one_of_several_requests_is_raised() -> None:
    fake = Fake(lambda request: trivet.RateLimitError("slow") if len(request.texts) == 500 else "Hello")  # type: ignore[attr-defined]
    with pytest.raises(trivet.RateLimitError, match="slow"):
        trivet.embed(["x"] * 2500, model=fake)


def test_many_texts_show_a_bar_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    trivet.embed(["x"] * 2500, model=Fake(), progress=True)
    assert "3/3" in capfd.readouterr().err


# --- piece by piece ----------------------------------------------------------------------------------------


def test_a_transcript_comes_by_its_segments() -> None:
    segments = trivet.transcribe(WAV, stream=True, model=Fake([["one ", "two"]]))
    assert [segment.text for segment in segments] == ["one ", "two"]
    assert isinstance(segments, trivet.SegmentStream)
    assert segments.response.text == "one two"


def test_speech_comes_by_its_bytes() -> None:
    with trivet.speak("Hi", stream=True, model=Fake([["ab", "cd"]])) as sound:
        assert list(sound) == [b"ab", b"cd"]
    assert isinstance(sound, trivet.AudioStream)
    assert sound.response.audio == b"abcd"


def test_a_model_that_tells_all_at_the_end_is_streamed_too() -> None:
    segment = trivet.Segment(text="whole", start_s=0.0, end_s=1.0)
    whole = trivet.TranscribeResponse(model="fake", text="whole", segments=(segment,))
    assert list(trivet.transcribe(WAV, stream=True, model=Fake([whole]))) == [segment]
    spoken = trivet.SpeakResponse(model="fake", audio=b"ab", media_type="audio/wav", sample_rate=8000)
    assert list(trivet.speak("Hi", stream=True, model=Fake([spoken]))) == [b"ab"]


def test_leaving_a_transcript_cancels_it() -> None:
    ended = threading.Event()

    class Noted(trivet.Wrapper):
        async def stream(self, request: trivet.Request) -> AsyncGenerator[trivet.Event, None]:
            try:
                async for event in self.inner.stream(request):
                    yield event
            finally:
                ended.set()

    for segment in trivet.transcribe(WAV, stream=True, model=Noted(Fake([["one", trivet.STALL]]))):
        assert segment.text == "one"
        break
    assert ended.wait(60)


def test_an_error_of_the_model_is_raised_while_reading() -> None:
    with pytest.raises(trivet.RateLimitError, match="slow"):
        list(trivet.transcribe(WAV, stream=True, model=Fake([trivet.RateLimitError("slow")])))


def test_speech_is_saved(tmp_path: Path) -> None:
    trivet.speak("Hi", model=Fake("abc")).save(tmp_path / "x.wav")
    assert (tmp_path / "x.wav").read_bytes() == b"abc"


# --- how it reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["embed", "rerank", "classify", "read", "transcribe", "speak", "forecast", "mask"])
def test_every_function_takes_a_model_and_a_configuration_and_says_what_it_does(name: str) -> None:
    function = getattr(trivet, name)
    parameters = inspect.signature(function).parameters
    assert {"model", "config"} <= set(parameters)
    assert function.__doc__
