"""Bodies over the limit, told before and not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Served, read_until, serving
from trivet.fake import Fake

HEADERS = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving({"m": Fake(lambda request: "Hello")}, max_body_mb=0.1) as served:
        yield served


def body(size: int) -> bytes:
    """A chat request of exactly so many bytes."""
    empty = len(json.dumps({"model": "m", "messages": [{"role": "user", "content": ""}]}))
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * (size - empty)}]}).encode()


def test_a_body_at_the_limit_is_taken(served: Served) -> None:
    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=body(100_000), headers=HEADERS)
    assert answer.status_code == 200


def test_a_body_over_the_limit_is_a_413(served: Served) -> None:
    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=body(100_001), headers=HEADERS)
    assert answer.status_code == 413
    assert "0.1 MB" in answer.json()["error"]["message"]


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(served: Served) -> None:
    place = urlsplit(served.url)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((place.hostname, place.port), CEILING_S) as sock:
        sock.sendall(f"{head}Content-Length: 100001\r\n\r\n".encode())
        assert read_until(sock, b"0.1 MB").startswith(b"HTTP/1.1 413")


def test_a_body_of_unknown_length_over_the_limit_is_a_413(served: Served) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 1000

    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=chunks(), headers=HEADERS)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == 413


def test_a_large_body_in_chunks_below_the_limit_is_taken(served: Served) -> None:
    whole = body(99_000)
    pieces = (whole[i : i + 1000] for i in range(0, len(whole), 1000))
    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=pieces, headers=HEADERS)
    assert answer.status_code == 200


def test_the_official_clients_raise_it(served: Served) -> None:
    messages = [{"role": "user", "content": "x" * 200_000}]
    with pytest.raises(openai.APIStatusError) as caught:
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="k").chat.completions.create(model="m", messages=messages)
    assert caught.value.status_code == 413
    with pytest.raises(anthropic.APIStatusError) as refused:
        anthropic.Anthropic(base_url=served.url, api_key="k").messages.create(
            model="m", max_tokens=9, messages=messages
        )
    assert refused.value.status_code == 413
    assert refused.value.body["error"]["type"] == "request_too_large"


def test_the_connection_is_used_again_after_a_413(served: Served) -> None:
    with httpx2.Client(base_url=served.url, headers=HEADERS) as client:
        assert client.post("/v1/chat/completions", content=body(5_000_000)).status_code == 413
        assert client.post("/v1/chat/completions", content=body(1000)).status_code == 200


def test_a_body_that_an_upgrade_has_swallowed_is_not_called_bad_json(served: Served) -> None:
    """Java's own client asks for HTTP/2 in this way."""
    head = {**HEADERS, "connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAI"}
    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=body(1000), headers=head)
    assert answer.status_code == 400
    assert "upgrade is 'h2c'" in answer.json()["error"]["message"]


def test_a_session_longer_than_the_ledger_should_keep_is_refused(served: Served) -> None:
    def ask(session: str) -> httpx2.Response:
        headers = {**HEADERS, "x-trivet-session": session}
        return httpx2.post(f"{served.url}/v1/chat/completions", content=body(100), headers=headers)

    assert ask("s" * 256).status_code == 200
    refused = ask("s" * 257)
    assert refused.status_code == 400
    assert "x-trivet-session has 257 characters" in refused.json()["error"]["message"]
