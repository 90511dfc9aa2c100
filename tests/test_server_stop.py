"""How a server ends: what is in flight goes on, what is new is refused, and a second signal ends it at once."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Process, Served, Watched, ask, exit_code, read_until, serving, start_fakes
from trivet.config import ServerSettings
from trivet.errors import TrivetError
from trivet.fake import STALL, Fake
from trivet.runtime import Runtime
from trivet.server import found, run
from trivet.server.app import app

MESSAGES = [{"role": "user", "content": "Hi"}]
BODY = {"model": "m", "messages": MESSAGES}
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


@pytest.fixture
def stalled() -> Iterator[tuple[Served, Watched]]:
    """A server that has a stream under way, never to end, and is told to stop."""
    watched = Watched(Fake(lambda request: ["one", STALL]))
    with serving({"m": watched, "hello": Fake()}, grace_s=CEILING_S) as served:
        yield served, watched
        watched.wait_over()


def test_new_requests_are_refused_in_each_protocol_while_old_ones_go_on(stalled: tuple[Served, Watched]) -> None:
    served, _ = stalled
    kept = httpx2.Client(base_url=served.url)  # a connection from before
    kept.get("/health")
    with httpx2.stream("POST", f"{served.url}/v1/chat/completions", json={**BODY, "stream": True}) as stream:
        pieces = stream.iter_bytes()  # dropping it would end the stream
        next(pieces)
        served.stop()
        wait_draining(served)
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.InternalServerError, match="stopping") as caught:
            client.chat.completions.create(model="hello", messages=MESSAGES)
        assert caught.value.status_code == 503
        with pytest.raises(anthropic.APIStatusError, match="stopping") as refused:
            anthropic.Anthropic(base_url=served.url, api_key="k", max_retries=0).messages.create(
                model="hello", max_tokens=9, messages=MESSAGES
            )
        assert refused.value.status_code == 503
        answer = kept.post("/v1/chat/completions", json={**BODY, "model": "hello"})
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        health = httpx2.get(f"{served.url}/health")
        assert health.status_code == 503
        assert (health.json()["status"], health.json()["in_flight"]) == ("draining", 1)
        assert not stream.is_closed
    kept.close()


def wait_draining(served: Served) -> None:
    while httpx2.get(f"{served.url}/health").json()["status"] != "draining":
        pass


def test_after_the_grace_time_a_stream_ends_with_an_error() -> None:
    watched = Watched(Fake(lambda request: ["one", STALL]))
    with serving({"m": watched}, grace_s=0) as served:
        with ask(served.url, {**BODY, "stream": True}) as sock:
            read_until(sock, b'"one"')
            served.stop()
            rest = read_until(sock, b"0\r\n\r\n")
        watched.wait_over()
    assert b"grace" in rest
    assert b"[DONE]" not in rest


def test_after_the_grace_time_what_has_no_status_yet_gets_a_503() -> None:
    watched = Watched(Fake(lambda request: ["one", STALL]))
    with serving({"m": watched}, grace_s=0) as served:
        with ask(served.url, BODY) as sock:
            watched.wait_begun()
            served.stop()
            answer = read_until(sock, b"grace")
        watched.wait_over()
    assert answer.startswith(b"HTTP/1.1 503")


def test_after_the_grace_time_a_body_that_is_still_coming_is_not_waited_for() -> None:
    with serving({"m": Fake()}, grace_s=0) as served:
        place = urlsplit(served.url)
        with socket.create_connection((place.hostname, place.port), CEILING_S) as sock:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode())
            read_until(sock, b"100 Continue")  # the server is reading now
            served.stop()
            assert b"503" in read_until(sock, b"grace")


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_code_0(number: int) -> None:
    with start_fakes("60") as process:
        process.signal(number)
        assert process.wait() == 0
        assert "Traceback" not in process.output


@posix
def test_a_signal_lets_a_stream_end_and_then_the_process() -> None:
    with start_fakes(str(CEILING_S)) as process:
        client = openai.OpenAI(base_url=f"{process.url}/v1", api_key="k", timeout=CEILING_S)
        stream = client.chat.completions.create(model="gated", messages=MESSAGES, stream=True)
        text = first_text(stream)
        process.signal(signal.SIGTERM)
        process.wait_for("stopping: waiting up to .* for requests in flight: 1")
        process.signal(signal.SIGUSR1)
        text += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text == "one two"
        assert process.wait() == 0
        assert "Traceback" not in process.output


@posix
def test_a_second_signal_ends_it_at_once() -> None:
    with start_fakes(str(CEILING_S)) as process, stream_of(process) as stream:
        pieces = stream.iter_bytes()
        next(pieces)
        process.signal(signal.SIGTERM)
        process.wait_for("stopping")
        process.signal(signal.SIGINT)
        assert process.wait() == exit_code(signal.SIGINT)


def first_text(stream: openai.Stream) -> str:
    for chunk in stream:
        if chunk.choices[0].delta.content:
            return chunk.choices[0].delta.content
    raise AssertionError("no content came")


def stream_of(process: Process):  # type: ignore[no-untyped-def]
    body = {"model": "gated", "messages": MESSAGES, "stream": True}
    return httpx2.stream("POST", f"{process.url}/v1/chat/completions", json=body, timeout=CEILING_S)


async def test_a_server_that_is_stopped_before_it_listens_closes_what_it_has_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else aiohttp complains of its sessions on the terminal."""
    runtime, looking = Runtime(), asyncio.Event()

    async def look(*_: Any) -> found.Providers:
        looking.set()
        return await asyncio.Future[found.Providers]()

    monkeypatch.setattr(found, "look", look)
    monkeypatch.setattr(runtime, "prepare", lambda: None)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        serving = asyncio.ensure_future(run._serve(runtime, ServerSettings(), app(runtime), sock, None))
        await looking.wait()
        serving.cancel()  # as asyncio does at a Ctrl-C
        with pytest.raises(asyncio.CancelledError):
            await serving
    with pytest.raises(TrivetError, match="closed"):
        runtime.model("local/smollm2")
