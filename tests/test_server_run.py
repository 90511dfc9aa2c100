"""Starting the server: what it prints, and what keeps it from starting. `trivet serve` itself, in a process."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx2
import pytest

import trivet
from tests.servers import CEILING_S, ROOT, Fakes, Served, serving, start_trivet
from trivet.cli import main
from trivet.config import ServerSettings
from trivet.errors import ConfigError, WeightsError
from trivet.fake import Fake
from trivet.model import Wrapper
from trivet.server.app import app
from trivet.server.run import bind, serve
from trivet.server.told import line


def refused(*args: str, env: Mapping[str, str] | None = None) -> str:
    """The one line that `trivet serve ARGS` ends with."""
    import os

    done = subprocess.run(
        [sys.executable, "-m", "trivet", "serve", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=CEILING_S,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("trivet: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("--port", str(port))
    assert f"port {port}" in message
    assert "--port" in message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_an_address_that_others_can_reach_takes_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--key env:NAME.*\[server\]"):
        serve(Fakes({}), ServerSettings(host=host, port=0))  # type: ignore[arg-type]


def test_trivet_serve_refuses_such_an_address_in_one_line() -> None:
    assert "it takes a key" in refused("--host", "0.0.0.0", "--port", "0")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_here_is_a_config_error(host: str) -> None:
    with pytest.raises(ConfigError, match="--host"):
        bind(host, 0)


def test_a_key_from_a_variable_that_is_not_set() -> None:
    assert "TRIVET_NO_SUCH" in refused("--port", "0", "--key", "env:TRIVET_NO_SUCH")


@pytest.mark.parametrize("option", ["--host", "--key"])
def test_an_empty_option_is_one_clear_line(option: str) -> None:
    assert option in refused("--port", "0", option, "")


@pytest.mark.parametrize("port", ["abc", "65536", "-1"])
def test_what_is_no_port_is_a_usage_error(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", f"--port={port}"])
    assert caught.value.code == 2
    assert f"argument --port: '{port}' is no port: 0 to 65535" in capsys.readouterr().err


def test_what_it_prints_at_the_start(tmp_path: Path) -> None:
    """Without weights, which it says, and listens all the same."""
    with start_trivet(env={"TRIVET_HOME": str(tmp_path)}, cwd=tmp_path) as process:
        port = int(process.url.rpartition(":")[2])
        process.wait_for(r"python -c .*\n")
        output = process.output
        assert process.url == f"http://127.0.0.1:{port}"
        assert port != 0
        assert f"trivet {trivet.__version__}\n" in output
        assert "local/smollm2" in output
        assert re.search(r"Weights are missing: .*trivet pull smollm2", output)
        assert f"curl {process.url}/v1/chat/completions " in output
        assert f'base_url="{process.url}/v1"' in output
        process.wait_for("not ready: .*trivet pull smollm2")
        health = httpx2.get(f"{process.url}/health").json()
        assert (health["status"], health["ready"]) == ("degraded", False)
        assert "trivet pull smollm2" in health["problem"]


def test_the_configuration_that_it_found_is_named(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('[models.medical]\nuse = "local/smollm2"\n')
    with start_trivet(env={"TRIVET_HOME": str(tmp_path)}, cwd=tmp_path) as process:
        assert re.search(r"configuration\s+trivet\.toml", process.output)
        assert re.search(r"models\s+medical, local/smollm2", process.output)


def test_an_address_for_others_with_a_key(tmp_path: Path) -> None:
    """The key is not printed, and neither is the log's owner told more of it than its name."""
    env = {"TRIVET_HOME": str(tmp_path), "SERVER_KEY": "a secret key"}
    with start_trivet("--host", "0.0.0.0", "--key", "env:SERVER_KEY", "--log", env=env, cwd=tmp_path) as process:
        url = process.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(f"{url}/v1/models").status_code == 401
        answer = httpx2.get(f"{url}/v1/models?key=secret", headers={"x-api-key": "a secret key", "host": "example.com"})
        assert answer.status_code == 200
        process.wait_for(r"req_\w+ GET '/v1/models' 401 \d+ ms key=-\n")
        process.wait_for(r"req_\w+ GET '/v1/models' 200 \d+ ms key=key-1\n")
        assert "secret" not in process.output


def test_requests_are_not_logged_unless_asked_for(tmp_path: Path) -> None:
    with start_trivet(env={"TRIVET_HOME": str(tmp_path)}, cwd=tmp_path) as process:
        httpx2.get(f"{process.url}/v1/models")
        assert process.stop() == 0
        assert "GET '/v1" not in process.output


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions?key=secret"])
def test_the_access_log_has_one_line_for_each_request_without_its_query(path: str) -> None:
    lines: list[str] = []
    with serving(
        {"m": Fake()}, access_log=lambda over: lines.extend([line(over, "text"), line(over, "json")])
    ) as served:
        httpx2.get(served.url + path)
    assert len(lines) == 2
    assert "secret" not in str(lines)


def test_a_key_in_ascii_control_characters_does_not_break_the_log() -> None:
    lines: list[str] = []
    with serving({"m": Fake()}, access_log=lambda over: lines.append(line(over, "text"))) as served:
        httpx2.get(f"{served.url}/a%0Ab")
    assert "\n" not in lines[0]


# --- warming -----------------------------------------------------------------------------------------------


class Loads(Fake):
    """An embedded model: `load` does what `loading` says."""

    def __init__(self, loading: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.load = loading


async def test_the_default_model_is_loaded_at_the_start_under_its_wrappers() -> None:
    loaded: list[bool] = []

    async def load() -> None:
        loaded.append(True)

    application = app(Fakes({"default": Wrapper(Wrapper(Loads(load)))}))  # type: ignore[arg-type]
    await application.warm()
    assert loaded == [True]
    assert application.state == "ready"


async def test_a_model_that_does_not_load_is_not_asked_at_the_start() -> None:
    model = Fake()
    application = app(Fakes({"hosted": model}))  # type: ignore[arg-type]
    await application.warm()
    assert model.requests == []
    assert application.state == "ready"


def test_health_tries_again_where_the_default_model_could_not_be_loaded() -> None:
    results: list[Exception | None] = [WeightsError("no weights"), WeightsError("still none"), None]

    async def load() -> None:
        if error := results.pop(0):
            raise error

    with serving({"m": Loads(load)}) as served:
        asyncio.run_coroutine_threadsafe(served.app.warm(), served.loop).result(CEILING_S)
        assert (served.app.state, served.app.problem) == ("degraded", "no weights")
        for status, ready, problem in [("degraded", False, "still none"), ("ready", True, None)]:
            health = httpx2.get(f"{served.url}/health")
            assert health.status_code == 200
            assert (health.json()["status"], health.json()["ready"], health.json()["problem"]) == (
                status,
                ready,
                problem,
            )


def test_health_tries_again_only_for_those_who_may_ask() -> None:
    results: list[Exception | None] = [WeightsError("no weights"), None]

    async def load() -> None:
        if error := results.pop(0):
            raise error

    with serving({"m": Loads(load)}, keys=["sesame"]) as served:
        asyncio.run_coroutine_threadsafe(served.app.warm(), served.loop).result(CEILING_S)
        assert httpx2.get(f"{served.url}/health").json() == {"status": "degraded", "live": True, "ready": False}
        mine = httpx2.get(f"{served.url}/health", headers={"x-api-key": "sesame"})
        assert (mine.json()["status"], mine.json()["problem"]) == ("ready", None)


async def test_warming_does_not_undo_draining() -> None:
    began, opened = asyncio.Event(), asyncio.Event()

    async def load() -> None:
        began.set()
        await opened.wait()

    application = app(Fakes({"m": Loads(load)}))  # type: ignore[arg-type]
    warming = asyncio.ensure_future(application.warm())
    await began.wait()
    assert application.state == "warming"
    await application.drain(0)
    opened.set()
    await warming
    assert application.state == "draining"


def test_a_server_on_another_loopback_address() -> None:
    with serving({"m": Fake()}, host="127.0.0.3") as served:
        assert isinstance(served, Served)
        assert httpx2.get(f"{served.url}/health").status_code == 200
