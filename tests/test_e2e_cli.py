"""The command line on the real SmolLM2, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TRIVET = [sys.executable, "-m", "trivet"]


def run(*args: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRIVET, *args],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **env},
        check=False,
    )


def test_chat_answers_on_standard_output() -> None:
    done = run("chat", "What is the capital of France? Answer in one sentence.", "--temperature", "0")
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert done.stdout.endswith("\n")
    assert done.stderr == ""


def test_what_is_piped_in_is_added_to_the_question() -> None:
    words = "The password is xylophone."
    done = run("chat", "--json", "--max-tokens", "2", "What is the password?", stdin=words)
    alone = run("chat", "--json", "--max-tokens", "2", "What is the password?")
    with_pipe, without = (json.loads(d.stdout)["usage"]["uncached_input_tokens"] for d in (done, alone))
    assert with_pipe > without


def test_embed_prints_vectors_of_the_named_model() -> None:
    done = run("embed", "-m", "local/smollm2", "a cat", "a dog")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("chat", "-m", "smollm2", "Hi"), "local/smollm2"),
        (("chat", "-m", "./nowhere.gguf", "Hi"), "nowhere.gguf"),
        (("chat", "--config", "nowhere.toml", "Hi"), "nowhere.toml"),
    ],
)
def test_an_error_is_one_readable_line_and_a_status(args: tuple[str, ...], said: str) -> None:
    done = run(*args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_missing_weights_say_what_to_pull(tmp_path: Path) -> None:
    done = run("chat", "Hi", TRIVET_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "trivet pull smollm2" in done.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in run("chat", "--debug", "-m", "smollm2", "Hi").stderr


def test_ctrl_c_in_an_answer_stops_cleanly() -> None:
    with subprocess.Popen(
        [*TRIVET, "chat", "Tell me a very long story.", "--max-tokens", "3000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(1)  # it has begun
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
        assert process.wait(60) == 130
        assert b"Traceback" not in errors
