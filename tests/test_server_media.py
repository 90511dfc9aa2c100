"""Sound, pictures, series and proteins over HTTP: by the official client where it has the route."""

from __future__ import annotations

import base64
import json
import socket
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Process, Served, serving, start_trivet
from trivet.errors import RequestError, TransportError, UnsupportedError
from trivet.fake import Fake
from trivet.types import Classify, Embed, Image, ReadResponse, SpeakResponse, Transcribe

SOUND = ("talk.wav", b"RIFF....WAVE", "audio/wav")
PNG = base64.b64encode(b"\x89PNG").decode()
PLAIN: dict[str, dict[str, Any]] = {
    "classify": {"image": {"data": PNG}},
    "read": {"image": {"data": PNG}},
    "forecast": {"series": [1, 2.5, None, 4], "horizon": 2},
    "mask": {"sequence": "EV_LV"},
    "embed": {"images": [{"data": PNG}, {"data": f"data:image/png;base64,{PNG}"}]},
}


@pytest.fixture(scope="module")
def fake() -> Fake:
    return Fake(lambda request: ["Hel", "lo"])


@pytest.fixture(scope="module")
def served(fake: Fake) -> Iterator[Served]:
    broken = Fake(lambda request: ["Hel", TransportError("gone")])
    early = Fake(lambda request: UnsupportedError("audio is too long", field="audio"))
    whole = Fake(lambda request: SpeakResponse(model="w", audio=b"RIFF", media_type="audio/wav", sample_rate=8_000))
    with serving({"m": fake, "broken": broken, "early": early, "whole": whole}) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="ignored", max_retries=0) as client:
        yield client


# --- speech to text ----------------------------------------------------------------------------------------


def test_a_transcript(client: openai.OpenAI, fake: Fake) -> None:
    answer = client.audio.transcriptions.create(model="m", file=SOUND, language="en", prompt="Names.")
    assert answer.text == "Hello"
    request = fake.requests[-1]
    assert isinstance(request, Transcribe)
    assert (request.audio.data, request.audio.media_type) == (SOUND[1], "audio/wav")
    assert (request.language, request.prompt, request.words) == ("en", "Names.", False)


@pytest.mark.parametrize(
    ("form", "kind", "text"),
    [
        ("text", "text/plain; charset=utf-8", "Hello\n"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,000 --> 00:00:01,000\nHel\n\n"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHel\n\n"),
    ],
)
def test_a_transcript_as_text(client: openai.OpenAI, form: Any, kind: str, text: str) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(model="m", file=SOUND, response_format=form)
    assert raw.headers["content-type"] == kind
    assert raw.text.startswith(text)
    assert client.audio.transcriptions.create(model="m", file=SOUND, response_format=form).startswith(text)


def test_a_transcript_with_times(client: openai.OpenAI, fake: Fake) -> None:
    answer = client.audio.transcriptions.create(
        model="m", file=SOUND, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert answer.segments is not None
    assert [(s.text, s.start, s.end) for s in answer.segments] == [("Hel", 0, 1), ("lo", 1, 2)]
    assert answer.language == "en"
    request = fake.requests[-1]
    assert isinstance(request, Transcribe)
    assert request.words is True


def test_a_transcript_streamed(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(model="m", file=SOUND, stream=True))
    assert [e.delta for e in events if e.type == "transcript.text.delta"] == ["Hel", "lo"]
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "Hello"


def test_a_transcript_whose_stream_breaks_is_an_error(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(model="broken", file=SOUND, stream=True)
    with pytest.raises(openai.APIError, match="gone"):
        list(stream)


def test_a_refusal_of_the_sound_names_the_file(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="file is too long") as caught:
        client.audio.transcriptions.create(model="early", file=SOUND)
    assert caught.value.param == "file"


def test_a_form_without_a_model_is_told_so(served: Served) -> None:
    answer = httpx2.post(f"{served.url}/v1/audio/transcriptions", files={"file": SOUND})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_a_file_of_megabytes_comes_through_as_it_is(client: openai.OpenAI, fake: Fake) -> None:
    data = zlib.compress(bytes(range(256)) * 9, 0) * 2000
    assert len(data) > 4_000_000
    client.audio.transcriptions.create(model="m", file=("a.wav", data))
    request = fake.requests[-1]
    assert isinstance(request, Transcribe)
    assert request.audio.data == data


def test_a_file_that_is_too_large_is_a_413() -> None:
    with serving({"m": Fake()}, max_body_mb=0.01) as served:
        files = {"file": ("a.wav", b"x" * 20_000)}
        answer = httpx2.post(f"{served.url}/v1/audio/transcriptions", data={"model": "m"}, files=files)
        unread = httpx2.post(f"{served.url}/v1/audio/transcriptions", json={"model": "m" * 20_000})
    assert answer.status_code == 413
    assert unread.status_code == 415  # which is seen before the body


# --- a web page must not be able to send forms ---------------------------------------------------------------


def post_form(served: Served, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{served.url}/v1/audio/transcriptions"
    return httpx2.post(url, data={"model": "m"}, files={"file": SOUND}, headers=named)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.com"},
        {"origin": "https://example.com", "sec_fetch_site": "cross-site"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "Cross-Site"},
    ],
)
def test_a_form_of_a_foreign_page_is_a_403(served: Served, fake: Fake, headers: dict[str, str]) -> None:
    before = len(fake.requests)
    assert post_form(served, **headers).status_code == 403
    assert len(fake.requests) == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "same-origin"},
        {"origin": "http://localhost:3000", "sec_fetch_site": "cross-site"},
    ],
)
def test_a_form_of_a_program_or_of_a_page_of_this_machine_is_let_in(served: Served, headers: dict[str, str]) -> None:
    assert post_form(served, **headers).status_code == 200


def test_a_form_is_taken_where_there_is_a_file_alone(served: Served) -> None:
    body = {"model": "m"}
    for path in ("/v1/chat/completions", "/v1/audio/speech", "/v1/rerank", "/v1/classify", "/trivet/reload"):
        answer = httpx2.post(served.url + path, data=body, files={"file": SOUND})
        assert answer.status_code == 415, path
    assert httpx2.post(f"{served.url}/v1/audio/transcriptions", json=body).status_code == 415
    assert httpx2.post(f"{served.url}/v1/audio/transcriptions", data={"model": "m"}).status_code == 415


def test_a_form_needs_the_key_where_there_are_keys() -> None:
    with serving({"m": Fake(lambda request: "Hi")}, keys=["k"]) as locked:
        assert post_form(locked).status_code == 401
        assert post_form(locked, authorization="Bearer k").status_code == 200


# --- text to speech ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
def test_speech(client: openai.OpenAI, form: Any, kind: str) -> None:
    answer = client.audio.speech.create(model="m", input="Hi", voice="alloy", response_format=form)
    assert answer.content == b"Hello"
    assert answer.response.headers["content-type"] == kind


def test_speech_goes_out_in_pieces(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(model="m", input="Hi", voice="alloy") as answer:
        assert b"".join(answer.iter_bytes()) == b"Hello"
        assert answer.headers["transfer-encoding"] == "chunked"


def test_speech_of_a_model_that_answers_at_once(client: openai.OpenAI) -> None:
    assert client.audio.speech.create(model="whole", input="Hi", voice="alloy").content == b"RIFF"


def test_speech_as_events(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="m", input="Hi", voice="alloy", stream_format="sse")
    assert answer.response.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(b.removeprefix("data: ")) for b in answer.content.decode().split("\n\n") if b]
    assert b"".join(base64.b64decode(e["audio"]) for e in told[:-1]) == b"Hello"
    assert told[-1]["type"] == "speech.audio.done"


def test_speech_that_breaks_off_is_cut_and_never_looks_whole(served: Served) -> None:
    """An end of the chunks would say that this is all of it."""
    place = urlsplit(served.url)
    body = json.dumps({"model": "broken", "input": "Hi", "voice": "alloy"}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((place.hostname, place.port), CEILING_S) as sock:
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.startswith(b"HTTP/1.1 200")
    assert b"Hel" in data
    assert not data.endswith(b"0\r\n\r\n")
    assert b"gone" not in data


def test_the_client_sees_that_speech_was_cut(client: openai.OpenAI) -> None:
    with pytest.raises((httpx2.RemoteProtocolError, openai.APIConnectionError)):
        _ = client.audio.speech.create(model="broken", input="Hi", voice="alloy").content


def test_an_error_before_the_first_sound_is_a_status_in_json(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="early", input="Hi", voice="alloy")
    assert caught.value.response.headers["content-type"] == "application/json"


# --- rerank --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_rerank_where_each_of_coheres_clients_asks(served: Served, path: str) -> None:
    body = {"model": "m", "query": "q", "documents": ["a", "b", "c"], "top_n": 2}
    answer = httpx2.post(served.url + path, json=body).json()
    assert answer["results"] == [{"index": 0, "relevance_score": 1.0}, {"index": 1, "relevance_score": 0.5}]


# --- plain JSON ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("classify", {"labels": [{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.5}]}),
        ("read", {"lines": [{"text": "Hello"}]}),
        ("forecast", {"point": [4.0, 4.0], "quantiles": {"0.1": [4.0, 4.0], "0.5": [4.0, 4.0], "0.9": [4.0, 4.0]}}),
        (
            "mask",
            {"sequence": "EVALV", "places": [{"position": 2, "residues": [{"letter": "A", "probability": 1.0}]}]},
        ),
    ],
)
def test_a_plain_task(served: Served, task: str, told: dict[str, Any]) -> None:
    answer = httpx2.post(f"{served.url}/v1/{task}", json=PLAIN[task] | {"model": "m"})
    assert answer.status_code == 200
    usage = {"input_tokens": None, "output_tokens": None}
    assert answer.json() == {"model": "fake", **told, "notes": [], "usage": usage}


@pytest.mark.parametrize("task", PLAIN)
def test_a_plain_task_needs_no_model(served: Served, task: str) -> None:
    assert httpx2.post(f"{served.url}/v1/{task}", json=PLAIN[task]).status_code == 200
    assert served.runtime.asked == {"name": None, "paths": False, "task": task}


@pytest.mark.parametrize("task", PLAIN)
def test_a_field_that_a_task_has_not_is_refused_by_name(served: Served, task: str) -> None:
    answer = httpx2.post(f"{served.url}/v1/{task}", json=PLAIN[task] | {"context": {"key": "mine"}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "context")


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ({"data": PNG}, None),
        ({"data": PNG, "media_type": "image/png"}, "image/png"),
        ({"data": f"data:image/png;base64,{PNG}"}, "image/png"),
        (f"data:image/png;base64,{PNG}", "image/png"),
        (PNG, None),
    ],
)
def test_an_image_in_base64_or_as_a_data_url(served: Served, fake: Fake, image: Any, kind: str | None) -> None:
    body = {"model": "m", "image": image, "labels": ["cat", "dog"], "top": 1}
    assert len(httpx2.post(f"{served.url}/v1/classify", json=body).json()["labels"]) == 1
    request = fake.requests[-1]
    assert isinstance(request, Classify)
    assert request.image == Image(data=b"\x89PNG", media_type=kind)
    assert (request.labels, request.top) == (("cat", "dog"), 1)


@pytest.mark.parametrize(
    ("task", "fields", "param"),
    [
        ("classify", {"image": None}, "image"),
        ("classify", {"image": 5}, "image"),
        ("classify", {"image": "https://example.com/a.png"}, "image.data"),
        ("classify", {"image": {}}, "image.data"),
        ("classify", {"image": {"data": "!"}}, "image.data"),
        ("classify", {"image": {"data": ""}}, "image.data"),
        ("classify", {"image": {"url": "http://169.254.169.254/"}}, "image.url"),
        ("classify", {"image": {"data": PNG, "detail": "low"}}, "image.detail"),
        ("classify", {"top": 0}, "top"),
        ("classify", {"labels": "cat"}, "labels"),
        ("forecast", {"series": ["a"]}, "series[0]"),
        ("forecast", {"horizon": None}, "horizon"),
        ("forecast", {"horizon": 0}, "horizon"),
        ("forecast", {"quantiles": [1.5]}, "quantiles"),
        ("mask", {"sequence": 5}, "sequence"),
        ("embed", {"images": {"data": PNG}}, "images"),
        ("embed", {"images": [{"data": PNG}, 5]}, "images[1]"),
        ("embed", {"images": [{"data": "!"}]}, "images[0].data"),
        ("embed", {"proteins": "EVQL"}, "proteins"),
    ],
)
def test_a_wrong_field_is_named(served: Served, task: str, fields: dict[str, Any], param: str) -> None:
    answer = httpx2.post(f"{served.url}/v1/{task}", json=PLAIN[task] | fields)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert param in error["message"]


def test_a_word_that_is_none_of_a_fields_is_told_with_those_that_are(served: Served) -> None:
    told = httpx2.post(f"{served.url}/v1/forecast", json=PLAIN["forecast"] | {"fill": "mean"}).json()
    assert told["error"]["message"] == "fill: invalid enum value 'mean'; there are 'linear'"


def test_images_have_vectors(served: Served, fake: Fake) -> None:
    told = httpx2.post(f"{served.url}/v1/embed", json=PLAIN["embed"]).json()
    request = fake.requests[-1]
    assert isinstance(request, Embed)
    assert request.images == (Image(data=b"\x89PNG"), Image(data=b"\x89PNG", media_type="image/png"))
    assert told["vectors"] == [[4.0, 1.0]] * 2


def test_what_was_done_otherwise_than_asked_is_told() -> None:
    answer = ReadResponse(model="m", lines=(), notes=("It tells no boxes",))
    with serving({"m": Fake(lambda request: answer)}) as served:
        told = httpx2.post(f"{served.url}/v1/read", json=PLAIN["read"]).json()
    assert told["notes"] == ["It tells no boxes"]


def test_a_refusal_of_the_model_is_in_openais_shape() -> None:
    with serving({"m": Fake(lambda request: RequestError("image is no image", field="image"))}) as served:
        answer = httpx2.post(f"{served.url}/v1/read", json=PLAIN["read"])
    assert answer.json()["error"] == {
        "message": "image is no image",
        "type": "invalid_request_error",
        "param": "image",
        "code": None,
    }


# --- a server in front of another, so that each asks as it is asked -----------------------------------------------


@pytest.fixture(scope="module")
def hop(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("hop")
    host = f'[providers.up]\nkind = "openai-compatible"\nbase_url = "{served.url}/v1"\n'
    (folder / "trivet.toml").write_text(host)
    with start_trivet(cwd=folder, env={"TRIVET_STATE": str(folder)}) as process:
        yield process


@pytest.fixture
def through(hop: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{hop.url}/v1", api_key="none", max_retries=0, timeout=CEILING_S) as client:
        yield client


def test_sound_goes_on_to_another_server_as_it_came(through: openai.OpenAI, fake: Fake) -> None:
    events = list(through.audio.transcriptions.create(model="up/m", file=SOUND, stream=True, temperature=0.5))
    assert [e.delta for e in events if e.type == "transcript.text.delta"] == ["Hel", "lo"]
    request = fake.requests[-1]
    assert isinstance(request, Transcribe)
    assert (request.audio.data, request.extra) == (SOUND[1], {"temperature": "0.5"})


def test_speech_comes_from_another_server(through: openai.OpenAI, fake: Fake) -> None:
    answer = through.audio.speech.create(model="up/m", input="Hi", voice="alloy", instructions="Whisper.")
    assert answer.content == b"Hello"
    assert fake.requests[-1].extra == {"instructions": "Whisper."}


def test_speech_that_another_server_breaks_off_is_cut_here_too(through: openai.OpenAI) -> None:
    with pytest.raises((httpx2.RemoteProtocolError, openai.APIConnectionError)):
        _ = through.audio.speech.create(model="up/broken", input="Hi", voice="alloy").content


def test_another_server_ranks(hop: Process) -> None:
    body = {"model": "up/m", "query": "q", "documents": ["a", "b"], "top_n": 1}
    told = httpx2.post(f"{hop.url}/v1/rerank", json=body, timeout=CEILING_S).json()
    assert told["results"] == [{"index": 0, "relevance_score": 1.0}]


# --- what was there before -----------------------------------------------------------------------------------


def test_embeddings_want_a_model_as_their_protocol_does(served: Served) -> None:
    answer = httpx2.post(f"{served.url}/v1/embeddings", json={"input": "a"})
    assert answer.json()["error"]["param"] == "model"


def test_a_completion_with_a_suffix(client: openai.OpenAI, fake: Fake) -> None:
    client.completions.create(model="m", prompt="def f(", suffix="return 1")
    assert fake.requests[-1].suffix == "return 1"  # type: ignore[attr-defined]
