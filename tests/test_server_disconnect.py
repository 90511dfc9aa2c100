"""A client that leaves stops the generation, whatever it was waiting for."""

from __future__ import annotations

import queue
import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest

from tests.servers import CEILING_S, Served, Watched, ask, read_until, serving
from trivet.fake import STALL, Fake
from trivet.model import Wrapper
from trivet.server import run

MESSAGES = [{"role": "user", "content": "Hi"}]


def connect(served: Served, *, stream: bool, model: str = "m") -> socket.socket:
    return ask(served.url, {"model": model, "messages": MESSAGES, "stream": stream})


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_before_the_first_token(stream: bool) -> None:
    fake = Fake(lambda request: [STALL])
    watched = Watched(fake)
    with serving({"m": watched}) as served:
        sock = connect(served, stream=stream)
        watched.wait_begun()
        sock.close()
        watched.wait_over()
        assert fake.log == ["start", "closed"]
        assert fake.open == 0


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_after_some_content(stream: bool) -> None:
    fake = Fake(lambda request: ["one", STALL])
    watched = Watched(fake)
    with serving({"m": watched}) as served:
        sock = connect(served, stream=stream)
        watched.wait_begun()
        if stream:
            assert b"200 OK" in sock.recv(100)
        sock.close()
        watched.wait_over()
        assert fake.log == ["start", "closed"]


def test_leaving_while_tokens_come_without_end() -> None:
    """The client does not read, so that the server waits for it, and leaves."""
    fake = Fake(lambda request: ["x" * 1000] * 100_000)
    watched = Watched(fake)
    with serving({"m": watched}) as served:
        sock = connect(served, stream=True)
        assert b"200 OK" in sock.recv(100)
        sock.close()
        watched.wait_over()
        assert fake.log == ["start", "closed"]


def test_the_official_client_leaving_a_stream() -> None:
    fake = Fake(lambda request: ["one", STALL])
    watched = Watched(fake)
    with serving({"m": watched}) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="ignored")
        with client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
            next(stream)
        watched.wait_over()
        assert fake.log == ["start", "closed"]


def test_leaving_goes_down_through_wrappers_innermost_first() -> None:
    order: list[str] = []

    class Noted(Wrapper):
        def __init__(self, inner, name: str) -> None:
            super().__init__(inner)
            self.name = name

        async def stream(self, request):
            try:
                async for event in super().stream(request):
                    yield event
            finally:
                order.append(self.name)

    watched = Watched(Noted(Noted(Fake(lambda request: ["one", STALL]), "inner"), "outer"))
    with serving({"m": watched}) as served:
        sock = connect(served, stream=True)
        assert b"200 OK" in sock.recv(100)
        sock.close()
        watched.wait_over()
    assert order == ["inner", "outer"]


def test_many_leave_and_the_others_are_answered() -> None:
    fake = Fake(lambda request: ["one", STALL])
    watched = Watched(fake)
    with serving({"m": watched, "hello": Fake(lambda request: ["Hel", "lo"])}) as served:
        leaving = [connect(served, stream=True) for _ in range(32)]
        staying = [connect(served, stream=True, model="hello") for _ in range(32)]
        for sock in leaving:
            assert b"200 OK" in sock.recv(100)
            sock.close()
        for sock in staying:
            assert read_until(sock, b"[DONE]")
            sock.close()
        for _ in leaving:
            watched.wait_over()
        assert fake.open == 0


@pytest.fixture
def counted() -> Iterator[tuple[Served, Fake]]:
    fake = Fake()
    with serving({"m": fake, "hello": Fake()}) as served:
        yield served, fake


def test_leaving_in_the_middle_of_a_body_asks_no_model(counted: tuple[Served, Fake]) -> None:
    served, fake = counted
    place = urlsplit(served.url)
    sock = socket.create_connection((place.hostname, place.port), CEILING_S)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    sock.sendall(f"{head}Content-Length: 999\r\n\r\n{{".encode())
    sock.close()
    read_until(connect(served, stream=True, model="hello"), b"[DONE]")
    assert fake.requests == []


def test_of_a_connection_that_breaks_when_idle_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: queue.SimpleQueue[run._Connection] = queue.SimpleQueue()
    before = run._Connection.connection_lost

    def connection_lost(connection: run._Connection, exc: Exception | None) -> None:
        before(connection, exc)
        if exc is not None:
            lost.put(connection)

    monkeypatch.setattr(run._Connection, "connection_lost", connection_lost)
    with serving({"m": Fake()}) as served:
        sock = connect(served, stream=True)
        read_until(sock, b"0\r\n\r\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        assert lost.get(timeout=CEILING_S).timeout_keep_alive_task is None
