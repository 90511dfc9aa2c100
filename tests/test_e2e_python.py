"""`import trivet` on the real SmolLM2."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trivet
from trivet.local import weights
from trivet.local.pull import pull

QUESTION = "What is the capital of France? Answer in one sentence."


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    yield
    trivet.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("python") / "trivet.toml"
    path.write_text('[local]\ncontext = 2048\n[models.pirate]\nbase = "local/smollm2"\nsystem = "You are a pirate."\n')
    return path


def test_chat_answers_without_a_name_from_the_embedded_model(config: Path) -> None:
    answer = trivet.chat(QUESTION, temperature=0, max_tokens=40, config=config)
    assert "Paris" in answer.text
    assert answer.model == "local/smollm2"
    assert answer.usage.total_tokens


def test_a_stream_gives_strings_and_then_its_response(config: Path) -> None:
    stream = trivet.stream(QUESTION, temperature=0, max_tokens=40, config=config)
    pieces = list(stream)
    assert all(type(p) is str for p in pieces)
    assert len(pieces) > 3
    assert "".join(pieces) == stream.response.text


def test_leaving_a_stream_early_frees_the_slot(config: Path) -> None:
    for _ in range(6):  # more than there are slots
        with trivet.stream("Write a very long story.", max_tokens=1500, config=config) as stream:
            next(stream)
    assert trivet.chat("Hi", max_tokens=2, config=config).text


def test_many_at_once_come_back_in_order_with_errors_in_their_places(config: Path) -> None:
    requests = [
        "Hi",
        "word " * 4000,
        trivet.Complete(prompt="One, two, three,", sampling=trivet.Sampling(max_tokens=3)),
    ]
    hi, long, complete = trivet.map(requests, concurrency=3, config=config)
    assert isinstance(hi, trivet.ChatResponse)
    assert isinstance(long, trivet.ContextLengthError)
    assert (long.context_tokens, long.prompt_tokens > 4000) == (2048, True)
    assert "four" in complete.text


def test_a_configured_name_has_its_prompt(config: Path) -> None:
    plain = trivet.count_tokens("Hi", config=config).input_tokens
    assert trivet.count_tokens("Hi", model="pirate", config=config).input_tokens != plain


def test_embeddings_are_the_catalogues_models_or_a_named_ones(config: Path) -> None:
    pull("minilm", weights.home())
    assert [len(vector) for vector in trivet.embed(["a cat", "a dog"], config=config).vectors] == [384, 384]
    (vector,) = trivet.embed(["a cat"], model="local/smollm2", config=config).vectors
    assert len(vector) == 576


async def test_it_works_inside_a_running_event_loop(config: Path) -> None:
    await asyncio.sleep(0)
    assert trivet.chat("Hi", max_tokens=2, config=config).text


async def test_the_async_runtime_under_it(config: Path) -> None:
    async with trivet.Runtime.load(config) as runtime:
        request = trivet.Chat(messages=(trivet.user(QUESTION),), sampling=trivet.Sampling(temperature=0, max_tokens=40))
        response = await runtime.call(request)
        assert "Paris" in response.text  # type: ignore[attr-defined]


def test_a_gguf_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trivet.local import weights

    mine = tmp_path / "mine.gguf"
    mine.hardlink_to(weights.find("smollm2", weights.home()))
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path / "weights"))  # where its digest is recorded, and not in the user's
    config = trivet.Config()
    assert trivet.chat("Hi", model=str(mine), max_tokens=2, config=config).model == str(mine)


def test_a_process_ends_by_itself_with_the_engine_loaded_and_a_stream_open() -> None:
    code = "import trivet; s = trivet.stream('Tell me a long story', max_tokens=2000); print(next(s))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_that_was_forked_after_loading_is_told_to_spawn() -> None:
    code = """
import os, sys, warnings, trivet
warnings.simplefilter("ignore")
trivet.chat("Hi", max_tokens=1)
if os.fork() == 0:
    try:
        trivet.chat("Hi", max_tokens=1)
    except trivet.ConfigError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"spawn"' in done.stdout
