"""OpenAI's audio: forms to `Transcribe`, JSON to `Speak`, and their answers back in each form."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from openai.types.audio import SpeechCreateParams, TranscriptionVerbose
from openai.types.audio.transcription_create_params import TranscriptionCreateParamsStreaming
from openai.types.audio.transcription_segment import TranscriptionSegment
from openai.types.audio_response_format import AudioResponseFormat

from trivet.errors import RequestError, TransportError, UnsupportedError
from trivet.types import (
    Audio,
    AudioDelta,
    Done,
    Segment,
    SegmentDelta,
    Speak,
    SpeakResponse,
    Start,
    TextDelta,
    Transcribe,
    TranscribeResponse,
    Usage,
    Word,
)
from trivet.wire import Incoming
from trivet.wire.multipart import Part
from trivet.wire.openai_audio import speech, transcriptions
from trivet.wire.openai_audio.subtitles import srt, vtt
from trivet.wire.words import retell

USAGE = Usage(uncached_input_tokens=4, cache_read_tokens=0, cache_write_tokens=0, output_tokens=5)
SEGMENTS = (
    Segment(text=" Hello,", start_s=0, end_s=1.5, words=(Word(text=" Hello,", start_s=0.1, end_s=1.5),)),
    Segment(text=" world.", start_s=1.5, end_s=2.25, words=(Word(text=" world.", start_s=1.6, end_s=2.2),)),
)
SAID = TranscribeResponse(model="m", text="Hello, world.", segments=SEGMENTS, language="en", duration_s=2.5)
SPOKEN = SpeakResponse(model="m", audio=b"abcd", media_type="audio/wav", sample_rate=16_000)


def incoming(*more: Part, **fields: str) -> Incoming:
    parts = [Part("file", b"RIFF", "a.wav", "audio/wav"), Part("model", b"m")]
    return transcriptions.parse([*parts, *more, *[Part(name, text.encode()) for name, text in fields.items()]])


def transcribe(*more: Part, **fields: str) -> Transcribe:
    request = incoming(*more, **fields).request
    assert isinstance(request, Transcribe)
    return request


def whole(response: TranscribeResponse, *more: Part, **fields: str) -> Any:
    told = transcriptions.Renderer(incoming(*more, **fields)).whole(response)
    return json.loads(told) if "json" in fields.get("response_format", "json") else told.decode()


def events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(block.removeprefix(b"data: ")) for block in data.split(b"\n\n") if block]


# --- a form ------------------------------------------------------------------------------------------------


def test_a_form_is_read() -> None:
    request = transcribe(language="de", prompt="Names: Ada.")
    assert request.model == "m"
    assert request.audio == Audio(data=b"RIFF", media_type="audio/wav")
    assert (request.language, request.prompt, request.words) == ("de", "Names: Ada.", False)


def test_a_media_type_that_says_nothing_is_none() -> None:
    parts = [Part("file", b"RIFF", "a.wav", "application/octet-stream"), Part("model", b"m")]
    request = transcriptions.parse(parts).request
    assert isinstance(request, Transcribe)
    assert request.audio.media_type is None


def test_words_are_asked_for_by_their_granularity() -> None:
    word, segment = Part("timestamp_granularities[]", b"word"), Part("timestamp_granularities[]", b"segment")
    assert transcribe(word, segment, response_format="verbose_json").words is True
    assert transcribe(segment, response_format="verbose_json").words is False


def test_a_temperature_of_0_is_what_models_do_anyway() -> None:
    assert transcribe(temperature="0").extra == {}
    assert transcribe(temperature="0.5").extra == {"temperature": "0.5"}


def test_empty_fields_count_as_absent() -> None:
    assert transcribe(language="", prompt="").language is None


def test_what_the_client_wrote_is_the_source_without_the_file() -> None:
    source = transcribe(language="de").source
    assert source is not None
    assert json.loads(source.body) == {"model": "m", "language": "de"}


def test_every_field_of_the_sdk_is_read_or_kept_for_a_model_that_knows_it() -> None:
    """None is lost: those that have no place of their own are in `extra`, which a model that does not know them
    refuses."""
    read = {"file", "model", "language", "prompt", "response_format", "stream", "timestamp_granularities"}
    others = sorted(set(TranscriptionCreateParamsStreaming.__annotations__) - read)
    others += ["temperature", "include", "keywords"]  # of the base class, where they are not annotated again
    request = transcribe(*[Part(f"{name}[]", b"x") for name in others])
    assert set(request.extra) == set(others)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([Part("model", b"m")], "file"),
        ([Part("model", b"m"), Part("file", b"RIFF")], "file"),
        ([Part("model", b"m"), Part("file", b"", "a.wav")], "file"),
        ([Part("file", b"RIFF", "a.wav")], "model"),
        ([Part("model", b"m", "m.txt"), Part("file", b"RIFF", "a.wav")], "model"),
    ],
)
def test_what_is_missing_is_named(parts: list[Part], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        transcriptions.parse(parts)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("more", "fields", "field"),
    [
        ([], {"response_format": "diarized_json"}, "response_format"),
        ([], {"response_format": "docx"}, "response_format"),
        ([], {"stream": "perhaps"}, "stream"),
        ([], {"stream": "true", "response_format": "srt"}, "stream"),
        ([Part("timestamp_granularities[]", b"word")], {}, "timestamp_granularities"),
        (
            [Part("timestamp_granularities[]", b"letter")],
            {"response_format": "verbose_json"},
            "timestamp_granularities",
        ),
        ([Part("model", b"n")], {}, "model"),
        ([Part("voice", b"RIFF", "b.wav")], {}, "voice"),
    ],
)
def test_a_wrong_field_is_named(more: list[Part], fields: dict[str, str], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        incoming(*more, **fields)
    assert caught.value.field == field
    assert field in caught.value.message


def test_a_refusal_of_the_model_names_the_clients_own_field() -> None:
    error = RequestError("audio is no sound", field="audio")
    retell(error, transcribe())
    assert (error.field, error.message) == ("file", "file is no sound")


# --- a transcript ------------------------------------------------------------------------------------------


def test_json_has_the_text_and_the_seconds_heard() -> None:
    assert whole(SAID) == {"text": "Hello, world.", "usage": {"type": "duration", "seconds": 2.5}}


def test_json_has_tokens_where_they_are_known_and_no_usage_where_nothing_is() -> None:
    told = whole(TranscribeResponse(model="m", text="Hi", usage=USAGE, duration_s=2.5))["usage"]
    assert told == {"type": "tokens", "input_tokens": 4, "output_tokens": 5, "total_tokens": 9}
    assert whole(TranscribeResponse(model="m", text="Hi")) == {"text": "Hi"}


def test_what_a_host_charges_for_is_told_as_it_tells_it() -> None:
    """Groq charges 10 seconds at least."""
    charged = {"usage": {"type": "duration", "seconds": 10}}
    told = TranscribeResponse(model="m", text="Hi", duration_s=2.5, extra=charged)
    assert whole(told) == {"text": "Hi", **charged}
    assert whole(told, response_format="verbose_json")["usage"] == charged["usage"]


def test_text() -> None:
    assert whole(SAID, response_format="text") == "Hello, world.\n"


def test_srt() -> None:
    assert whole(SAID, response_format="srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello,\n\n2\n00:00:01,500 --> 00:00:02,250\nworld.\n\n"
    )


def test_vtt() -> None:
    assert whole(SAID, response_format="vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello,\n\n00:00:01.500 --> 00:00:02.250\nworld.\n\n"
    )


def test_a_cue_stays_one_cue_whatever_is_said_in_it() -> None:
    odd = [Segment(text=" a\n\n--> <b> & c ", start_s=3661.0004, end_s=360_000)]
    assert srt(odd) == "1\n01:01:01,000 --> 100:00:00,000\na\n-> <b> & c\n\n"
    assert vtt(odd) == "WEBVTT\n\n01:01:01.000 --> 100:00:00.000\na\n--&gt; &lt;b&gt; &amp; c\n\n"


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_a_model_that_tells_no_times_are_refused(form: str) -> None:
    with pytest.raises(UnsupportedError, match="no times") as caught:
        whole(TranscribeResponse(model="m", text="Hi"), response_format=form)
    assert caught.value.field == "response_format"


def test_silence_has_no_subtitles() -> None:
    assert whole(TranscribeResponse(model="m", text=""), response_format="srt") == ""


def test_verbose_json_has_segments_unless_words_alone_are_wanted() -> None:
    told = whole(SAID, response_format="verbose_json")
    assert [(s["id"], s["start"], s["end"], s["text"]) for s in told["segments"]] == [
        (0, 0.0, 1.5, " Hello,"),
        (1, 1.5, 2.25, " world."),
    ]
    assert "words" not in told
    words = whole(SAID, Part("timestamp_granularities[]", b"word"), response_format="verbose_json")
    assert words["words"] == [
        {"word": "Hello,", "start": 0.1, "end": 1.5},
        {"word": "world.", "start": 1.6, "end": 2.2},
    ]
    assert "segments" not in words


def test_verbose_json_has_every_field_that_the_protocol_has() -> None:
    both = [Part("timestamp_granularities[]", kind) for kind in (b"word", b"segment")]
    told = whole(SAID, *both, response_format="verbose_json")
    assert set(TranscriptionVerbose.model_fields) <= set(told)
    assert set(TranscriptionSegment.model_fields) == set(told["segments"][0])
    assert (told["language"], told["duration"], told["task"]) == ("en", 2.5, "transcribe")


def test_what_nobody_knows_is_null() -> None:
    told = whole(TranscribeResponse(model="m", text=""), response_format="verbose_json")
    assert (told["language"], told["duration"]) == (None, None)


@pytest.mark.parametrize("form", [form for form in get_args(AudioResponseFormat) if form != "diarized_json"])
def test_every_form_of_the_sdk_has_a_content_type(form: str) -> None:
    kind = incoming(response_format=form).content_type
    assert kind is not None
    assert kind.startswith("application/json") == ("json" in form)


def test_a_streamed_transcript_is_deltas_and_the_text_as_a_whole() -> None:
    renderer = transcriptions.Renderer(incoming(stream="true"))
    told = [Start(model="m"), *[SegmentDelta(segment=s) for s in SEGMENTS], Done(response=SAID)]
    assert events(b"".join(renderer.event(e) for e in told)) == [
        {"type": "transcript.text.delta", "delta": " Hello,"},
        {"type": "transcript.text.delta", "delta": " world."},
        {"type": "transcript.text.done", "text": "Hello, world."},
    ]


def test_a_stream_of_a_model_that_answers_at_once_has_its_delta_too() -> None:
    renderer = transcriptions.Renderer(incoming(stream="true"))
    done = Done(response=TranscribeResponse(model="m", text="Hi", usage=USAGE))
    delta, end = events(renderer.event(done))
    assert delta == {"type": "transcript.text.delta", "delta": "Hi"}
    assert end["usage"]["total_tokens"] == 9


def test_a_stream_of_text_without_times() -> None:
    renderer = transcriptions.Renderer(incoming(stream="true"))
    assert events(renderer.event(TextDelta(text="Hi"))) == [{"type": "transcript.text.delta", "delta": "Hi"}]


# --- speech ------------------------------------------------------------------------------------------------


def said(**fields: Any) -> Incoming:
    return speech.parse(json.dumps({"model": "m", "input": "Hi", "voice": "alloy"} | fields).encode())


def speak(**fields: Any) -> Speak:
    request = said(**fields).request
    assert isinstance(request, Speak)
    return request


def test_a_request_to_speak_is_read() -> None:
    request = speak(speed=1.5, response_format="wav", instructions="Whisper.")
    assert (request.model, request.text, request.voice) == ("m", "Hi", "alloy")
    assert (request.speed, request.format, request.extra) == (1.5, "wav", {"instructions": "Whisper."})


def test_mp3_is_the_protocols_own_default() -> None:
    """\"response_format ... Default: mp3\": the reference of POST /v1/audio/speech"""
    assert speak().format == "mp3"


def test_a_voice_is_a_name_an_id_or_left_to_the_model() -> None:
    assert speak(voice={"id": "voice_1234"}).voice == "voice_1234"
    assert speak(voice=None).voice is None


def test_every_field_of_the_sdk_has_its_place() -> None:
    read = {"input", "model", "voice", "response_format", "speed", "stream_format"}
    assert set(SpeechCreateParams.__annotations__) - read == {"instructions"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": None}, "input"),
        ({"input": " "}, "input"),
        ({"model": None}, "model"),
        ({"speed": 5}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"voice": {}}, "voice.id"),
        ({"voice": 1}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"stream_format": "ws"}, "stream_format"),
    ],
)
def test_a_wrong_field_of_speech_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        said(**fields)
    assert caught.value.field == field


def test_sound_goes_out_as_it_comes() -> None:
    renderer = speech.Renderer(said())
    told = [Start(model="m"), AudioDelta(data=b"ab"), AudioDelta(data=b"cd"), Done(response=SPOKEN)]
    assert [renderer.event(e) for e in told] == [b"", b"ab", b"cd", b""]


def test_sound_that_comes_at_once_goes_out_at_the_end() -> None:
    assert speech.Renderer(said()).event(Done(response=SPOKEN)) == b"abcd"


def test_sound_as_events() -> None:
    renderer = speech.Renderer(said(stream_format="sse"))
    done = Done(response=SpeakResponse(model="m", audio=b"", media_type="", sample_rate=1, usage=USAGE))
    assert events(renderer.event(AudioDelta(data=b"ab")) + renderer.event(done)) == [
        {"type": "speech.audio.delta", "audio": base64.b64encode(b"ab").decode()},
        {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 5, "total_tokens": 9}},
    ]


def test_events_have_no_usage_that_nobody_knows() -> None:
    renderer = speech.Renderer(said(stream_format="sse"))
    assert events(renderer.event(Done(response=SPOKEN)))[-1] == {"type": "speech.audio.done"}


def test_an_error_is_an_event_and_has_no_place_in_sound() -> None:
    error = TransportError("gone")
    assert speech.Renderer(said()).failure(error) is None
    told = speech.Renderer(said(stream_format="sse")).failure(error)
    assert told is not None
    assert events(told)[0]["error"]["message"] == "gone"


def test_a_refusal_names_the_field_of_speech() -> None:
    error = RequestError("text is too long", field="text")
    retell(error, speak())
    assert (error.field, error.message) == ("input", "input is too long")
