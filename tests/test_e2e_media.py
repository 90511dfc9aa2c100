"""Sound, vectors, series and proteins on real weights, over HTTP, by the official client where it has the route."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Process, start_trivet
from trivet.local import weights
from trivet.local.pull import pull

WEIGHTS = ("whisper-tiny.en", "piper-joe", "minilm", "fracast", "antiberty")
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    for name in WEIGHTS:
        pull(name, weights.home(), accept=True)
    folder = tmp_path_factory.mktemp("served")
    with start_trivet(cwd=folder, env={"TRIVET_STATE": str(folder)}) as process:
        yield process


@pytest.fixture(scope="module")
def client(server: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=CEILING_S) as client:
        yield client


@pytest.fixture(scope="module")
def spoken(client: openai.OpenAI) -> bytes:
    """The sentence, said by the voice."""
    answer = client.audio.speech.create(model="local/piper-joe", input=SENTENCE, voice="joe", response_format="flac")
    return answer.content


def ask(server: Process, path: str, **body: object) -> httpx2.Response:
    return httpx2.post(server.url + path, json=body, timeout=CEILING_S)


def test_what_is_said_over_http_is_heard_over_http(client: openai.OpenAI, spoken: bytes) -> None:
    answer = client.audio.transcriptions.create(model="local/whisper-tiny.en", file=("a.flac", spoken))
    assert re.findall(r"\w+", answer.text.lower()) == re.findall(r"\w+", SENTENCE.lower())


def test_the_transcript_streams_and_adds_up(client: openai.OpenAI, spoken: bytes) -> None:
    events = list(
        client.audio.transcriptions.create(model="local/whisper-tiny.en", file=("a.flac", spoken), stream=True)
    )
    assert events[-1].type == "transcript.text.done"
    assert "".join(e.delta for e in events if e.type == "transcript.text.delta") == events[-1].text


def test_a_transcript_is_in_the_ledger(client: openai.OpenAI, server: Process, spoken: bytes) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="local/whisper-tiny.en", file=("a.flac", spoken), response_format="srt"
    )
    id = raw.headers["x-trivet-request-id"]
    row = httpx2.get(f"{server.url}/trivet/requests/{id}").json()
    assert (row["task"], row["model"], row["outcome"]) == ("transcribe", "local/whisper-tiny.en", "answered")
    assert "-->" in raw.text


def test_no_sound_is_a_400_that_names_the_file(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="local/whisper-tiny.en", file=("a.wav", b"no sound"))
    assert caught.value.param == "file"


def test_vectors_in_base64_are_those_in_numbers(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(model="local/minilm", input=["a cat", "a dog"], encoding_format="float").data
    assert [len(row.embedding) for row in floats] == [384, 384]
    packed = client.embeddings.create(model="local/minilm", input=["a cat", "a dog"]).data  # asks for base64 itself
    assert packed[1].embedding == pytest.approx(floats[1].embedding, abs=1e-6)


def test_rerank_finds_the_answer_and_says_how(server: Process) -> None:
    documents = ["Berlin is large.", "Paris is the capital of France.", "Bread is baked."]
    told = ask(server, "/v2/rerank", query="What is the capital of France?", documents=documents, top_n=1).json()
    assert [result["index"] for result in told["results"]] == [1]
    assert "embedding similarity" in told["meta"]["warnings"][0]


def test_a_series_goes_on(server: Process) -> None:
    told = ask(server, "/v1/forecast", series=[float(i % 12) for i in range(120)], horizon=12).json()
    assert len(told["point"]) == 12
    assert all(low <= high for low, high in zip(told["quantiles"]["0.1"], told["quantiles"]["0.9"], strict=True))


def test_a_masked_residue_is_filled_in(server: Process) -> None:
    told = ask(server, "/v1/mask", sequence="EVQLVESGGGLVQPGGSLRLSCAASGFTFS_YAMSWVRQAPGKGLEWVS", top=2).json()
    assert [place["position"] for place in told["places"]] == [30]
    assert len(told["places"][0]["residues"]) == 2
    assert "_" not in told["sequence"]


def test_proteins_have_vectors_too(server: Process) -> None:
    told = ask(server, "/v1/embed", proteins=["EVQLVESGGGLVQPGGSLRLSCAAS", "DIQMTQSPSSLSASVGDRVTITC"]).json()
    assert (told["model"], [len(vector) for vector in told["vectors"]]) == ("local/antiberty", [512, 512])
    assert told["usage"]["input_tokens"] > 48
