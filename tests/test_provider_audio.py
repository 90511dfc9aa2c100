"""Sound at hosts, over HTTP: forms out, transcripts back; text out, sound back; and what either costs. The answers are
those that OpenAI's reference shows."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import wave
from base64 import b64encode
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import Transcription, TranscriptionVerbose
from openai.types.audio.speech_create_params import SpeechCreateParams
from openai.types.audio.transcription_create_params import TranscriptionCreateParamsBase
from openai.types.audio.transcription_stream_event import TranscriptionStreamEvent
from pydantic import TypeAdapter

from tests.upstream import CUT, Asked, Reply, sse, upstream
from trivet.errors import ProviderError, RequestError, TransportError, UnsupportedError
from trivet.ledger.prices import Prices
from trivet.ledger.units import of_prompt, units
from trivet.providers.compatible import Compatible
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Audio,
    AudioDelta,
    Done,
    Event,
    Request,
    Response,
    SegmentDelta,
    Source,
    Speak,
    SpeakResponse,
    TextDelta,
    Transcribe,
    TranscribeResponse,
    Usage,
    replace,
)
from trivet.wire import multipart
from trivet.wire.multipart import Part
from trivet.wire.openai_audio import containers, languages, speech, transcriptions

EXCHANGES = Path(__file__).parent / "exchanges" / "sound_and_rerank"
OPENAI, GROQ = "https://api.openai.com/v1", "https://api.groq.com/openai/v1"


def wav(seconds: float = 0.1, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(2 * int(seconds * rate)))
    return file.getvalue()


WAV = wav()
HEARD = Transcribe(audio=Audio(data=WAV, media_type="audio/wav"))
SAID = Speak(text="Hello", voice="alloy", format="wav")


async def ask(
    request: Request, model: str, reply: Reply, *, host: str = "openai", stream: bool = False
) -> tuple[list[Event], Any, Asked | None]:
    """The events of a stream, the answer, and what the host was asked."""
    async with upstream(reply) as up:
        kind = OpenAI if host == "openai" else Compatible
        provider = kind(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name=host)
        events: list[Event] = []
        try:
            if stream:
                events = [event async for event in provider.model(model).stream(request)]
                last = events[-1]
                assert isinstance(last, Done)
                response: Response = last.response
            else:
                response = await provider.model(model).call(request)
        finally:
            await provider.close()
    return events, response, up.asked[0]


def form(asked: Asked | None) -> tuple[dict[str, list[str]], Part]:
    """The fields that are text, and the file."""
    assert asked is not None
    fields: dict[str, list[str]] = defaultdict(list)
    *texts, file = multipart.read(asked.body, asked.headers["content-type"])
    for part in texts:
        fields[part.name].append(part.text)
    return fields, file


def exchange(name: str) -> Any:
    return json.loads((EXCHANGES / f"{name}.json").read_text())


def whole(body: Any) -> Reply:
    return Reply(200, [json.dumps(body).encode()])


def cost(model: str, url: str, request: Request, response: Response) -> Decimal | None:
    counted, uncounted = units(request, response, of_prompt(request))
    assert uncounted is None
    return Prices(model, url).cost(response.usage, units=counted).usd


# --- speech to text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whisper_segments", "whisper_words", "gpt_4o_transcribe"])
async def test_a_transcript_is_asked_for_in_a_form_and_read_and_costs_what_it_is_charged_by(name: str) -> None:
    told = exchange(name)
    request = replace(HEARD, **told["asked"])
    _, response, asked = await ask(request, told["model"], whole(told["response"]))
    fields, file = form(asked)
    assert asked is not None
    assert (asked.path, asked.headers["authorization"]) == ("/v1/audio/transcriptions", "Bearer sk")
    assert fields == {name: value if isinstance(value, list) else [value] for name, value in told["request"].items()}
    assert file == Part(name="file", data=WAV, filename="audio.wav", media_type="audio/wav")
    holds = told["holds"]
    assert [[s.start_s, s.end_s, len(s.words)] for s in response.segments] == holds["segments"]
    assert {key: getattr(response, key) for key in ("language", "duration_s", "text")} == {
        key: holds[key] for key in ("language", "duration_s", "text")
    }
    assert cost(told["model"], OPENAI, request, response) == Decimal(holds["usd"])


def test_the_exchanges_are_of_the_shapes_that_openais_sdk_has() -> None:
    for name, kind in (
        ("whisper_segments", TranscriptionVerbose),
        ("whisper_words", TranscriptionVerbose),
        ("gpt_4o_transcribe", Transcription),
    ):
        told = exchange(name)
        kind.model_validate(told["response"])
        for event in told.get("events", []):
            TypeAdapter(TranscriptionStreamEvent).validate_python(event)
        known = TranscriptionCreateParamsBase.__annotations__
        assert {field.removesuffix("[]") for field in told["request"]} <= set(known)


async def test_openais_later_models_stream_their_text() -> None:
    told = exchange("gpt_4o_transcribe")
    reply = Reply(200, sse(*told["events"]), {"content-type": "text/event-stream"})
    events, response, asked = await ask(HEARD, told["model"], reply, stream=True)
    assert form(asked)[0]["stream"] == ["true"]
    assert [e.text for e in events if isinstance(e, TextDelta)] == [e["delta"] for e in told["events"][:-1]]
    assert isinstance(response, TranscribeResponse)
    assert response.text == told["holds"]["text"]
    assert cost(told["model"], OPENAI, HEARD, response) == Decimal(told["holds"]["usd"])


async def test_whisper_which_cannot_stream_is_not_asked_to_and_gives_its_segments_at_the_end() -> None:
    told = exchange("whisper_segments")
    body = json.dumps(told["response"]).encode()
    events, response, asked = await ask(HEARD, "whisper-1", Reply(200, [body[:9], body[9:]]), stream=True)
    assert "stream" not in form(asked)[0]
    assert [e.segment for e in events if isinstance(e, SegmentDelta)] == list(response.segments) != []


async def test_a_host_that_answers_at_once_though_asked_to_stream_is_understood() -> None:
    _, response, asked = await ask(HEARD, "voxtral", whole({"text": "Hi"}), host="openai-compatible", stream=True)
    assert form(asked)[0]["stream"] == ["true"]
    assert response.text == "Hi"


async def test_a_stream_without_its_last_event_has_been_cut() -> None:
    pieces = sse({"type": "transcript.text.delta", "delta": "Imag"})
    for ending in ("end", CUT):
        with pytest.raises(TransportError, match="cut"):
            await ask(HEARD, "gpt-4o-transcribe", Reply(200, pieces, ending=ending), stream=True)


async def test_an_error_in_mid_stream_is_raised() -> None:
    pieces = sse({"type": "error", "error": {"message": "busy", "type": "server_error", "code": None}})
    with pytest.raises(ProviderError, match="busy"):
        await ask(HEARD, "gpt-4o-transcribe", Reply(200, pieces), stream=True)


@pytest.mark.parametrize("body", [{"segments": []}, {"text": None}, [], {"text": "a", "segments": [{"text": "a"}]}])
async def test_what_is_no_transcript_is_told_so(body: Any) -> None:
    with pytest.raises(ProviderError, match="is it a host of OpenAI's transcriptions"):
        await ask(HEARD, "whisper-1", whole(body))


async def test_times_of_words_are_refused_where_a_model_tells_none() -> None:
    with pytest.raises(UnsupportedError, match="tells no times of words"):
        await ask(replace(HEARD, words=True), "gpt-4o-transcribe", whole({}))


async def test_sound_by_its_address_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="as bytes, not by its address"):
        await ask(Transcribe(audio=Audio(url="https://host/a.wav")), "whisper-1", whole({}))


async def test_a_hosts_refusal_is_told_in_its_words() -> None:
    refusal = Reply(400, [b'{"error": {"message": "Invalid file format.", "type": "invalid_request_error"}}'])
    with pytest.raises(RequestError, match="Invalid file format"):
        await ask(HEARD, "whisper-1", refusal)


async def test_a_clients_form_goes_on_as_trivets_and_its_answer_is_in_the_clients_form() -> None:
    parts = [
        Part("model", b"x"),
        Part("response_format", b"srt"),
        Part("temperature", b"0.4"),
        Part("keywords[]", b"a"),
        Part("keywords[]", b"b"),
        Part("file", WAV, "mine.mp3", "audio/mpeg"),
    ]
    incoming = transcriptions.parse(parts)
    told = exchange("whisper_segments")
    _, response, asked = await ask(incoming.request, "whisper-1", whole(told["response"]))
    fields, file = form(asked)
    assert fields == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "temperature": ["0.4"],
        "keywords[]": ["a", "b"],
    }
    assert file.filename == "audio.wav"  # which is what it is
    assert response.raw is None
    rendered = transcriptions.Renderer(incoming).whole(response)
    assert rendered.startswith(b"1\n00:00:00,000 --> 00:00:03,320\nThe beach was")


async def test_groq_charges_ten_seconds_at_least() -> None:
    body = {"text": "Hi", "duration": 4.0, "language": "English", "segments": [], "x_groq": {"id": "req_1"}}
    _, response, _ = await ask(HEARD, "whisper-large-v3", whole(body), host="groq")
    assert (response.language, response.duration_s) == ("en", 4.0)
    assert cost("whisper-large-v3", GROQ, HEARD, response) == Decimal("0.111") * 10 / 3600
    _, longer, _ = await ask(HEARD, "whisper-large-v3", whole({**body, "duration": 3600.0}), host="groq")
    assert cost("whisper-large-v3", GROQ, HEARD, longer) == Decimal("0.111")


def test_a_cost_is_unknown_and_not_zero_where_nobody_tells_how_much_sound_there_was() -> None:
    response = TranscribeResponse(model="whisper-1", text="Hi")
    assert cost("whisper-1", OPENAI, HEARD, response) is None
    assert cost("gpt-4o-transcribe", OPENAI, HEARD, response) is None


@pytest.mark.parametrize(
    ("told", "code"),
    [("english", "en"), ("English", "en"), ("en", "en"), ("haitian creole", "ht"), ("klingon", None), (None, None)],
)
def test_languages_are_told_by_their_codes(told: Any, code: str | None) -> None:
    assert languages.code(told) == code


def test_every_language_of_whispers_has_a_name() -> None:
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert set(languages._CODES.values()) == set(tokenizer._LANGUAGE_CODES)


# --- text to speech ----------------------------------------------------------------------------------------


async def test_sound_comes_as_it_is_made_and_is_charged_by_the_character() -> None:
    pieces = [WAV[:100], WAV[100:]]
    reply = Reply(200, pieces, {"content-type": "audio/wav"})
    events, response, asked = await ask(replace(SAID, speed=1.5), "tts-1", reply, stream=True)
    assert asked is not None
    assert asked.path == "/v1/audio/speech"
    assert asked.json == {
        "model": "tts-1",
        "input": "Hello",
        "voice": "alloy",
        "response_format": "wav",
        "speed": 1.5,
    }
    TypeAdapter(SpeechCreateParams).validate_python(asked.json)
    assert b"".join(e.data for e in events if isinstance(e, AudioDelta)) == WAV
    assert isinstance(response, SpeakResponse)
    assert (response.audio, response.media_type, response.sample_rate) == (WAV, "audio/wav", 16_000)
    assert cost("tts-1", OPENAI, SAID, response) == Decimal(15) * 5 / 1_000_000


@pytest.mark.parametrize("stream", [True, False])
async def test_openais_later_models_are_asked_for_events_which_tell_the_tokens(stream: bool) -> None:
    told = [{"type": "speech.audio.delta", "audio": b64encode(piece).decode()} for piece in (WAV[:99], WAV[99:])]
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}  # the reference's example
    reply = Reply(200, sse(*told, {"type": "speech.audio.done", "usage": usage}))
    events, response, asked = await ask(SAID, "gpt-4o-mini-tts", reply, stream=stream)
    assert asked is not None
    assert asked.json["stream_format"] == "sse"
    assert response.audio == WAV
    assert len([e for e in events if isinstance(e, AudioDelta)]) == (2 if stream else 0)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (14, 101)
    expected = (14 * Decimal("0.6") + 101 * Decimal(12)) / 1_000_000
    assert cost("gpt-4o-mini-tts", OPENAI, SAID, response) == expected


async def test_sound_that_breaks_off_is_an_error() -> None:
    told = sse({"type": "speech.audio.delta", "audio": b64encode(WAV).decode()})
    with pytest.raises(TransportError, match="cut"):
        await ask(SAID, "gpt-4o-mini-tts", Reply(200, told))
    with pytest.raises(TransportError, match="cut"):
        await ask(SAID, "tts-1", Reply(200, [WAV], ending=CUT))


@pytest.mark.parametrize("body", [b"", b'{"error": null}'])
async def test_what_is_no_sound_is_told_so(body: bytes) -> None:
    with pytest.raises(ProviderError, match="no sound"):
        await ask(SAID, "tts-1", Reply(200, [body]))


async def test_openai_wants_a_voice_and_other_hosts_may_have_but_one() -> None:
    unnamed = replace(SAID, voice=None)
    with pytest.raises(UnsupportedError, match="name one"):
        await ask(unnamed, "tts-1", Reply(200, [WAV]))
    _, response, asked = await ask(unnamed, "kokoro", Reply(200, [WAV]), host="openai-compatible")
    assert asked is not None
    assert "voice" not in asked.json
    assert response.audio == WAV


async def test_a_client_of_openais_speech_gets_its_own_words_sent() -> None:
    body = {
        "model": "x",
        "input": "Hello",
        "voice": {"id": "voice_1"},
        "instructions": "softly",
        "stream_format": "sse",
    }
    request = speech.parse(json.dumps(body).encode()).request
    _, response, asked = await ask(request, "tts-1", Reply(200, [b"\xff\xf3\x84\xc4" + bytes(40)]))
    assert asked is not None
    assert asked.json == {"model": "tts-1", "input": "Hello", "voice": {"id": "voice_1"}, "instructions": "softly"}
    assert (response.media_type, response.sample_rate) == ("audio/mpeg", 24_000)


async def test_fields_of_another_protocol_are_refused() -> None:
    for request, model in ((HEARD, "whisper-1"), (SAID, "tts-1")):
        foreign = replace(request, extra={"top_k": 1}, source=Source(protocol="plain", body=b"{}"))
        with pytest.raises(UnsupportedError, match="top_k"):
            await ask(foreign, model, Reply(200, [b"{}"]))


async def test_leaving_a_stream_of_sound_closes_the_connection() -> None:
    async with upstream(Reply(200, [WAV], ending="stall")) as up:
        provider = OpenAI(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name="openai")
        stream = provider.model("tts-1").stream(SAID)
        assert isinstance(await anext(stream), AudioDelta)
        await stream.aclose()
        await asyncio.wait_for(up.left.wait(), 5)
        await provider.close()


def test_speech_by_tokens_is_unknown_where_no_tokens_are_told() -> None:
    response = SpeakResponse(model="m", audio=WAV, media_type="audio/wav", sample_rate=1, usage=Usage())
    assert cost("gpt-4o-mini-tts", OPENAI, SAID, response) is None


# --- bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
@pytest.mark.parametrize(("form", "kind"), [("wav", "WAV"), ("flac", "FLAC"), ("mp3", "MP3")])
def test_the_sample_rate_is_the_files(form: str, kind: str, rate: int) -> None:
    soundfile, numpy = pytest.importorskip("soundfile"), pytest.importorskip("numpy")
    file = io.BytesIO()
    soundfile.write(file, numpy.zeros(rate // 5, dtype="float32"), rate, format=kind)
    data = file.getvalue()
    assert containers.sample_rate(data, form) == rate
    assert containers.extension(data, None) == form


@pytest.mark.parametrize(
    ("head", "media_type", "ending"),
    [
        (b"OggS", None, "ogg"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/wav", "m4a"),
        (b"\x1a\x45\xdf\xa3", None, "webm"),
        (b"?", "audio/flac", "flac"),
        (b"?", None, None),
        (b"", None, None),
    ],
)
def test_a_files_ending_is_by_its_bytes_else_by_its_type(head: bytes, media_type: str | None, ending: Any) -> None:
    assert containers.extension(head, media_type) == ending


@given(st.binary(max_size=60), st.sampled_from(["wav", "pcm", "flac", "mp3", "opus", "aac"]))
def test_no_bytes_break_the_reading_of_a_head(data: bytes, form: str) -> None:
    assert containers.sample_rate(data, form) >= 0
    containers.extension(data, None)


def test_the_rate_of_aac_is_that_of_its_frame() -> None:
    assert containers.sample_rate(struct.pack(">BBB", 0xFF, 0xF1, 4 << 2), "aac") == 44_100
