"""A running server reads its configuration anew: whole or not at all, and nobody who was asked before is cut off."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Process, start_trivet
from trivet.cli import main

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")


class Gated(BaseHTTPRequestHandler):
    """A host of chat completions that says `one`, and ` two` only when the gate opens."""

    protocol_version = "HTTP/1.1"
    gate: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self._piece("one")
        assert self.gate.wait(CEILING_S)
        self._piece(" two", finish_reason="stop")
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...

    def _piece(self, text: str, finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
        self.wfile.write(f"data: {json.dumps({'id': '1', 'model': 'm', 'choices': [choice]})}\n\n".encode())
        self.wfile.flush()


@contextmanager
def host() -> Iterator[tuple[str, threading.Event]]:
    gate = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Gate", (Gated,), {"gate": gate}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", gate
    finally:
        gate.set()
        server.shutdown()
        server.server_close()


def written(folder: Path, url: str, *names: str, port: int = 0, more: str = "") -> None:
    tables = "".join(f'[models.{name}]\nuse = "up/m"\n' for name in names)
    provider = f'[providers.up]\nkind = "openai-compatible"\nbase_url = "{url}"\n'
    (folder / "trivet.toml").write_text(f"[server]\nport = {port}\n{provider}{tables}{more}")


def names(process: Process) -> list[str]:
    listed = httpx2.get(f"{process.url}/v1/models").json()["data"]
    return [model["id"] for model in listed if model["owned_by"] == "trivet"]


def stream(process: Process, model: str) -> Iterator[str]:
    client = openai.OpenAI(base_url=f"{process.url}/v1", api_key="none", max_retries=0)
    asked: Any = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    for chunk in client.chat.completions.create(**asked):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def test_sighup_swaps_the_names_and_drops_no_request(tmp_path: Path) -> None:
    with host() as (url, gate):
        written(tmp_path, url, "old")
        with start_trivet(cwd=tmp_path) as process:
            under_way = stream(process, "old")
            assert next(under_way) == "one"
            written(tmp_path, url, "new")
            process.signal(signal.SIGHUP)
            process.wait_for("reloaded trivet.toml: 1 names of its own")
            assert names(process) == ["new"]
            gate.set()
            assert list(under_way) == [" two"]
            assert "".join(stream(process, "new")) == "one two"
            with pytest.raises(openai.NotFoundError, match="No model is named 'old'"):
                list(stream(process, "old"))


def test_a_provider_that_is_gone_still_ends_what_it_began(tmp_path: Path) -> None:
    with host() as (url, gate), host() as (other, _):
        written(tmp_path, url, "a")
        with start_trivet(cwd=tmp_path) as process:
            under_way = stream(process, "a")
            assert next(under_way) == "one"
            written(tmp_path, other, "a")
            process.signal(signal.SIGHUP)
            process.wait_for("reloaded")
            gate.set()
            assert list(under_way) == [" two"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[models.b]\nuse = [", "is not valid TOML"),
        ("[models.b]\nuses = 'up/m'", "the key 'uses' is unknown. Did you mean 'use'?"),
        ("[models.b]\nuse = 'nobody/m'", "No model is named 'nobody/m'"),
    ],
)
def test_a_wrong_one_is_refused_whole_and_the_old_goes_on(
    tmp_path: Path, wrong: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with host() as (url, gate):
        gate.set()
        written(tmp_path, url, "a")
        with start_trivet(cwd=tmp_path) as process:
            written(tmp_path, url, "a", "c", more=wrong)
            process.signal(signal.SIGHUP)
            process.wait_for("not reloaded, the old configuration goes on: ")
            assert told in process.output
            monkeypatch.chdir(tmp_path.parent)
            assert main(["config", "reload", "--port", process.url.rpartition(":")[2]]) == 1
            error = capsys.readouterr().err
            assert "not reloaded, the server goes on as it was" in error
            assert told in error
            assert names(process) == ["a"]
            assert "".join(stream(process, "a")) == "one two"


def test_the_command_reloads_and_says_what_needs_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with host() as (url, _):
        written(tmp_path, url, "a")
        with start_trivet("--key", "k", cwd=tmp_path) as process:
            written(tmp_path, url, "a", "b", more='[models.c]\nuse = ["a", "up/other"]\nroute = {policy = "fastest"}\n')
            text = (tmp_path / "trivet.toml").read_text()
            (tmp_path / "trivet.toml").write_text(text.replace("[server]", "[server]\ngrace_s = 3"))
            port = process.url.rpartition(":")[2]
            monkeypatch.chdir(tmp_path.parent)
            assert main(["config", "reload", "--port", port]) == 1
            assert "not reloaded" in capsys.readouterr().err
            assert main(["config", "reload", "--port", port, "--key", "k"]) == 0
    assert capsys.readouterr().out == (
        "reloaded trivet.toml: 3 names of its own\n[server] grace_s is as it was until the next start\n"
    )


def test_where_no_server_is_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "reload", "--port", "1"]) == 1
    assert "no server answers at port 1 of this machine (Connection refused)" in capsys.readouterr().err
