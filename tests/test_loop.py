"""The event loop goes on while embedded models load and answer. How long it stands still is measured by
`python -m benchmarks loop`; here is what keeps that short."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.engines import opened, opening, smollm2
from tests.servers import serving
from trivet.config import Config, ModelSettings, ServerSettings
from trivet.errors import ConfigError, WeightsError
from trivet.fake import Fake
from trivet.local import pull, weights
from trivet.local.llama import body as bodies
from trivet.local.llama import engine
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.runtime import Runtime
from trivet.server import found
from trivet.server import run as server
from trivet.server.app import LARGE, MANY, app
from trivet.types import Chat, CountTokens, Sampling, user
from trivet.wire import data_url, openai_chat, openai_embeddings

# --- llama.cpp: its binding holds the GIL from the beginning of a load to its end ------------------------------


def test_an_engine_makes_no_empty_run_and_looks_for_no_room_on_a_machine_without_a_gpu() -> None:
    import xllamacpp

    with opened() as model:
        parameters = model.engine._params(xllamacpp)
    kinds = {device["type"].name for device in xllamacpp.get_device_info()}
    assert parameters.warmup is False
    assert parameters.fit_params is (kinds != {"GGML_BACKEND_DEVICE_TYPE_CPU"})


async def test_files_are_read_before_the_engine_begins_and_off_the_loop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import xllamacpp

    order: list[Any] = []

    def server(parameters: Any) -> None:
        order.append("engine")
        raise RuntimeError("not today")

    def read_ahead(file: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        order.append(file)

    monkeypatch.setattr(engine, "_read_ahead", read_ahead)
    monkeypatch.setattr(xllamacpp, "Server", server)
    draft = tmp_path / "draft.gguf"
    async with opening(draft=str(draft)) as model:
        with pytest.raises(WeightsError, match=r"draft\.gguf.*not today"):
            await model.load()
    assert order == [str(smollm2()), str(draft), "engine"]


def test_reading_ahead_reads_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            read.append(super().readinto(buffer) or 0)
            return read[-1]

    file = tmp_path / "weights"
    file.write_bytes(bytes(2 * engine.READ + 1))
    monkeypatch.setattr(engine, "open", lambda path, mode, buffering: Counted(path, mode), raising=False)
    engine._read_ahead(str(file))
    assert read == [engine.READ, engine.READ, 1, 0]


@pytest.mark.parametrize("task", [Chat, CountTokens])
async def test_a_request_becomes_the_engines_json_off_the_loop(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    conversation = bodies.conversation

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return conversation(*arguments)

    monkeypatch.setattr(bodies, "conversation", watched)
    asked = task(messages=(user("Hi"),), **({"sampling": Sampling(max_tokens=1)} if task is Chat else {}))
    async with opening() as model:
        await model.call(asked)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 24, 25])
def test_long_base64_of_an_image_is_written_in_pieces_to_the_same_text(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(length))
    monkeypatch.setattr(data_url, "PIECE", 12)
    assert data_url.write_data_url(data, "image/png") == f"data:image/png;base64,{base64.b64encode(data).decode()}"


async def test_the_engine_is_given_json_as_bytes() -> None:
    """xllamacpp writes a dictionary's JSON by Python's `json`, 160 ms for an image of 30 MB, with the GIL held."""
    given: list[object] = []
    async with opening() as model:
        await model.load()
        real = model.engine._server

        class Watched:
            def handle_chat_completions(self, body: object, told: Any) -> Any:
                given.append(body)
                return real.handle_chat_completions(body, told)

        model.engine._server = Watched()
        answer = await model.call(Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=1)))
    assert answer.usage.output_tokens == 1
    assert [type(body) for body in given] == [bytes]


# --- imports: each is one piece for the interpreter, however long it takes -------------------------------------


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One that the extra `onnx` brings, beside one that is not installed."""
    (tmp_path / "slow_library.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("trivet.local.provider.HELD", {"onnx": ("missing_library", "slow_library")})
    yield "slow_library"
    sys.modules.pop("slow_library", None)


def test_libraries_are_imported_beforehand_for_weights_that_are_here(library: str) -> None:
    pull.pull("minilm", weights.home())
    local = Local()
    local.prepare()
    assert library in sys.modules
    assert "minilm" in local._models


def test_libraries_are_not_imported_for_weights_that_are_not_here(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    Local().prepare()
    assert library not in sys.modules


@pytest.mark.parametrize("settings", [{"context": 16_384}, {"projector": "MODEL"}, {"chat_template": "MODEL"}])
def test_settings_that_do_not_suit_the_weights_that_are_here_are_told_to_whoever_asks_for_them(
    settings: dict[str, Any],
) -> None:
    """They may be meant for a GGUF of the user's own."""
    named = {key: str(smollm2()) if value == "MODEL" else value for key, value in settings.items()}
    local = Local(LocalSettings(**named))
    local.prepare()
    with pytest.raises(ConfigError):
        local.model("smollm2")


def test_a_runtime_makes_what_its_file_names_and_is_not_stopped_by_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = smollm2()
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))  # no weights
    runtime = Runtime(
        Config(models={"wrong": ModelSettings(base="local/nothing"), "mine": ModelSettings(base=str(gguf))})
    )
    runtime.prepare()
    assert {"mine", str(gguf)} <= runtime.built.keys()


async def test_a_server_prepares_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    runtime = Runtime()
    monkeypatch.setattr(runtime, "prepare", lambda: order.append("prepares"))

    async def look(*_: Any) -> found.Providers:
        return found.Providers()

    async def run(*_: Any, **__: Any) -> None:
        order.append("listens")

    monkeypatch.setattr(found, "look", look)
    monkeypatch.setattr(server, "run", run)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await server._serve(runtime, ServerSettings(), app(runtime), sock, None)
    assert order == ["prepares", "listens"]


def test_a_server_has_its_threads_take_shorter_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", told.append)
    monkeypatch.setattr(server, "_serve", lambda *_: asyncio.sleep(0))
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    server.serve(Runtime(), ServerSettings(port=0))
    assert told == [server.SWITCH_S]


# --- the server ------------------------------------------------------------------------------------------------


def whose() -> str:
    """Whose thread this is."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "another"
    return "the loop's"


def test_a_large_body_is_read_off_the_loop_and_a_small_one_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    parse = openai_chat.parse
    monkeypatch.setattr(openai_chat, "parse", lambda body: (threads.append(whose()), parse(body))[1])
    with serving({"m": Fake()}) as served:
        for size in (1, LARGE):
            body = {"model": "m", "messages": [{"role": "user", "content": "a" * size}]}
            assert httpx2.post(f"{served.url}/v1/chat/completions", json=body).status_code == 200
    assert threads == ["the loop's", "another"]


def test_what_is_wrong_with_a_large_body_is_told_as_of_a_small_one() -> None:
    with serving({"m": Fake()}) as served:
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json={"model": "m", "messages": "a" * LARGE})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")


def test_many_vectors_are_written_off_the_loop_and_few_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    whole = openai_embeddings.Renderer.whole
    monkeypatch.setattr(openai_embeddings.Renderer, "whole", lambda *given: (threads.append(whose()), whole(*given))[1])
    with serving({"m": Fake()}) as served:
        for count in (1, MANY + 1):
            answer = httpx2.post(f"{served.url}/v1/embeddings", json={"model": "m", "input": ["a"] * count})
            assert [row["embedding"] for row in answer.json()["data"]] == [[1.0, 1.0]] * count
    assert threads == ["the loop's", "another"]
