"""HTTP out, against small servers on loopback that do what providers and networks do."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from trivet.errors import ConfigError, TransportError
from trivet.providers.http import Http, Timeouts

Serve = Callable[["Client", bytes], Awaitable[None]]
KEY = "sk-very-secret"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


class Client:
    """A connection as its server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        linger = b"\1\0\0\0\0\0\0\0"
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Server:
    """`heads` are the requests' heads, `bodies` their bodies; `opened` connections so far; `left` is set when a client
    closes its end."""

    def __init__(self, serve: Serve) -> None:
        self.serve, self.url = serve, ""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.opened = 0
        self.left = asyncio.Event()
        self.clients: list[Client] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        client = Client(reader, writer)
        self.clients.append(client)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [int(n.split(b":")[1]) for n in head.lower().split(b"\r\n") if n.startswith(b"content-length")]
                body = await reader.readexactly(length[0] if length else 0)
                self.heads.append(head)
                self.bodies.append(body)
                await self.serve(client, head)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server(serve)
    listening = await asyncio.start_server(made.accept, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listening.close()
        for client in made.clients:
            client.writer.close()


def says(*pieces: bytes) -> Serve:
    async def serve(client: Client, head: bytes) -> None:
        await client.say(*pieces)

    return serve


def then_closes(*pieces: bytes) -> Serve:
    async def serve(client: Client, head: bytes) -> None:
        await client.say(*pieces)
        client.writer.close()
        raise ConnectionError

    return serve


def whole(body: bytes, *headers: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def http(**timeouts: float) -> AsyncIterator[Http]:
    made = Http("up", Timeouts(**timeouts))
    try:
        yield made
    finally:
        await made.close()


async def ask(http: Http, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    async with http.request("POST", url, HEADERS, body) as reply:
        return reply.status, await reply.read()


async def fails(url: str, **timeouts: float) -> str:
    """The message of the error that a request ends in."""
    async with http(**timeouts) as client:
        with pytest.raises(TransportError) as caught:
            await ask(client, url)
    assert caught.value.provider == "up"
    assert KEY not in str(caught.value)
    return str(caught.value)


async def test_a_request_goes_out_as_it_was_given() -> None:
    async with server(says(whole(b"ok"))) as up, http() as client:
        assert await ask(client, up.url + "/v1/chat?a=b", b'{"a":1}') == (200, b"ok")
        host = up.url.removeprefix("http://").encode()
        assert up.heads[0].startswith(b"POST /v1/chat?a=b HTTP/1.1\r\nHost: " + host + b"\r\n")
        assert f"authorization: Bearer {KEY}\r\n".encode() in up.heads[0]
        assert b"content-length: 7\r\n" in up.heads[0].lower()
        assert up.bodies == [b'{"a":1}']


async def test_a_get_has_no_body() -> None:
    async with server(says(whole(b"[]"))) as up, http() as client:
        async with client.request("GET", up.url, {}) as reply:
            assert await reply.read() == b"[]"
        assert up.heads[0].startswith(b"GET / HTTP/1.1\r\n")
        assert b"content-length" not in up.heads[0].lower()


async def test_headers_are_read_by_lower_case_name_and_joined() -> None:
    answer = whole(b"", "Retry-After: 3", "X-A: 1", "x-a: 2", status=429)
    async with server(says(answer)) as up, http() as client, client.request("POST", up.url, {}, b"") as reply:
        assert reply.status == 429
        assert reply.headers == {"content-length": "0", "retry-after": "3", "x-a": "1, 2"}


async def test_a_connection_is_used_again() -> None:
    chunked = CHUNKED + b"2\r\nok\r\n0\r\n\r\n"
    for answer in (whole(b"ok"), chunked):
        async with server(says(answer)) as up, http() as client:
            for _ in range(3):
                assert await ask(client, up.url) == (200, b"ok")
            assert up.opened == 1


async def test_requests_at_the_same_time_have_a_connection_each() -> None:
    both = asyncio.Event()

    async def serve(client: Client, head: bytes) -> None:
        if len(up.heads) == 2:
            both.set()
        await both.wait()
        await client.say(whole(b"ok"))

    async with server(serve) as up, http() as client:
        assert await asyncio.gather(ask(client, up.url), ask(client, up.url)) == [(200, b"ok")] * 2
        assert up.opened == 2


@pytest.mark.parametrize("told", ["Connection: close", "Connection: keep-alive"])
async def test_a_server_that_wants_the_connection_closed_has_it_closed(told: str) -> None:
    async with server(says(whole(b"ok", told))) as up, http() as client:
        await ask(client, up.url)
        await ask(client, up.url)
        assert up.opened == (2 if "close" in told else 1)


async def test_a_connection_that_says_more_than_was_asked_is_not_used_again() -> None:
    async with server(says(whole(b"ok") + whole(b"no"))) as up, http() as client:
        assert await ask(client, up.url) == (200, b"ok")
        assert await ask(client, up.url) == (200, b"ok")
        assert up.opened == 2


async def test_a_stream_comes_as_it_is_sent() -> None:
    go = asyncio.Event()

    async def serve(client: Client, head: bytes) -> None:
        await client.say(CHUNKED, b"1\r\na\r\n")
        await go.wait()
        await client.say(b"1\r\nb\r\n", b"0\r\n\r\n")

    async with server(serve) as up, http() as client, client.request("POST", up.url, {}, b"") as reply:
        chunks = reply.chunks()
        assert await anext(chunks) == b"a"
        go.set()
        assert b"".join([chunk async for chunk in chunks]) == b"b"


async def test_leaving_early_closes_the_connection_at_once() -> None:
    async with server(says(CHUNKED, b"1\r\na\r\n")) as up, http() as client:
        async with client.request("POST", up.url, {}, b"") as reply, aclosing(reply.chunks()) as chunks:
            assert await anext(chunks) == b"a"
        await up.left.wait()


async def test_cancelling_closes_the_connection_at_once_before_the_head_as_well() -> None:
    asked = asyncio.Event()

    async def serve(client: Client, head: bytes) -> None:
        asked.set()

    async with server(serve) as up, http() as client:
        task = asyncio.ensure_future(ask(client, up.url))
        await asked.wait()
        task.cancel()
        await up.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_closing_ends_what_is_under_way() -> None:
    async with server(says(CHUNKED)) as up, http() as client:
        async with client.request("POST", up.url, {}, b"") as reply:
            await client.close()
            with pytest.raises(TransportError, match="the answer was cut off"):
                await reply.read()
        await client.close()
        await up.left.wait()


async def test_a_large_body_and_a_large_answer_arrive_whole() -> None:
    big = bytes(range(256)) * 40_000

    async def serve(client: Client, head: bytes) -> None:
        await client.say(whole(up.bodies[-1]))

    async with server(serve) as up, http() as client:
        assert await ask(client, up.url, big) == (200, big)
        assert await ask(client, up.url) == (200, b"{}")
        assert up.opened == 1


# What goes wrong.


async def test_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        message = await fails(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    assert message.startswith("up: http://127.0.0.1:")
    assert "no connection" in message
    assert "is the address right?" in message


async def test_a_host_that_does_not_exist() -> None:
    assert "http://nowhere.invalid: no connection" in await fails("http://nowhere.invalid/v1")


async def test_closed_before_the_head() -> None:
    async with server(then_closes()) as up:
        assert "closed before an answer came; ask again" in await fails(up.url)


async def test_reset_before_the_head() -> None:
    async def serve(client: Client, head: bytes) -> None:
        client.reset()

    async with server(serve) as up:
        assert "closed before an answer came; ask again" in await fails(up.url)


async def test_no_head_in_time() -> None:
    async with server(says()) as up:
        message = await fails(up.url, first_byte_s=0.02, between_bytes_s=60)
        assert "no answer after 0.02 s: ask again" in message
        await up.left.wait()


async def test_a_stall_in_mid_answer() -> None:
    async with server(says(CHUNKED, b"1\r\na\r\n")) as up:
        message = await fails(up.url, first_byte_s=60, between_bytes_s=0.02)
        assert "nothing more came for 0.02 s in mid-answer" in message
        await up.left.wait()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"],
        [CHUNKED, b"1\r\na\r\n"],
        [CHUNKED, b"5\r\nab"],
        [CHUNKED],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"],
    ],
)
async def test_a_cut_body_is_never_a_whole_one(pieces: list[bytes]) -> None:
    async with server(then_closes(*pieces)) as up:
        assert "the answer was cut off; ask again" in await fails(up.url)


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async with server(then_closes(b"HTTP/1.1 200 OK\r\n\r\n", b"all of it")) as up, http() as client:
        assert await ask(client, up.url) == (200, b"all of it")


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"HTTP/1.1 abc\r\n\r\n"]
)
async def test_what_is_no_http(answer: bytes) -> None:
    async with server(says(answer)) as up:
        assert "it does not answer in HTTP/1.1: is the address right?" in await fails(up.url)


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with server(says(b"HTTP/1.1 100 Continue\r\n\r\n", hints + whole(b"ok"))) as up, http() as client:
        async with client.request("POST", up.url, {}, b"") as reply:
            assert (reply.status, await reply.read(), "link" in reply.headers) == (200, b"ok", False)
        assert await ask(client, up.url) == (200, b"ok")
        assert up.opened == 1


async def test_an_answer_without_a_body() -> None:
    async with server(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as up, http() as client:
        assert await ask(client, up.url) == (204, b"")


async def test_redirects_are_not_followed() -> None:
    async with server(says(whole(b"", "Location: http://127.0.0.1:1/", status=307))) as up, http() as client:
        assert await ask(client, up.url) == (307, b"")
        assert len(up.heads) == 1


async def test_an_answer_before_the_body_was_sent_is_the_answer() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(b"too large", status=413))
        await asyncio.Event().wait()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with http() as client:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        assert await ask(client, url, bytes(30_000_000)) == (413, b"too large")
    listening.close()


# gzip


async def test_gzip_is_asked_for_and_unpacked_as_it_comes() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    pieces = [f"1\r\n{chr(byte)}\r\n".encode("latin-1") for byte in packed]
    head = CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    async with server(says(head, *pieces, b"0\r\n\r\n")) as up, http() as client:
        assert await ask(client, up.url) == (200, b"one two")
        assert b"accept-encoding: gzip" in up.heads[0].lower()


async def test_gzip_that_is_damaged() -> None:
    async with server(says(whole(b"no gzip at all", "Content-Encoding: gzip"))) as up:
        assert "damaged" in await fails(up.url)


# Addresses and headers


@pytest.mark.parametrize("url", ["ftp://host/x", "host/v1", "http://", "http://host:99999/", "/v1?key=sk-very-secret"])
async def test_an_address_that_cannot_be_asked(url: str) -> None:
    async with http() as client:
        with pytest.raises(ConfigError, match=r"base_url .* under \[providers\.up\]") as caught:
            await ask(client, url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", [f"{KEY}\n", f"a\r\nb: {KEY}", f"{KEY}\0"])
async def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(value: str) -> None:
    async with server(says(whole(b"ok"))) as up, http() as client:
        with pytest.raises(ConfigError, match="no header may have") as caught:
            async with client.request("POST", up.url, {"x-key": value}, b""):
                pass
    assert KEY not in str(caught.value)


async def test_a_path_cannot_begin_another_request() -> None:
    async with server(says(whole(b"ok"))) as up, http() as client:
        await ask(client, up.url + "/v1/models/a b\x7f ü HTTP/1.1%0d%0a?q=ü")
        assert up.heads[0].startswith(b"POST /v1/models/a%20b%7F%20%C3%BC%20HTTP/1.1%0D%0A?q=%C3%BC HTTP/1.1\r\n")


# Proxies


async def test_a_proxy_from_the_environment_is_asked_for_the_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(says(whole(b"by proxy"))) as proxy, http() as client:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://me:pass%20word@"))
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:pass%20word@"))
        assert await ask(client, "http://models.example/v1") == (200, b"by proxy")
        assert proxy.heads[0].startswith(b"POST http://models.example/v1 HTTP/1.1\r\nHost: models.example\r\n")
        assert b"proxy-authorization: basic bwu6cgfzcyb3b3jk\r\n" in proxy.heads[0].lower()


async def test_no_proxy_names_hosts_that_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(says(whole(b"direct"))) as up, http() as client:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "example.com,127.0.0.1")
        assert await ask(client, up.url) == (200, b"direct")


async def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1080")
    async with http() as client:
        with pytest.raises(ConfigError, match=r"the proxy '127\.0\.0\.1:1080' in the environment") as caught:
            await ask(client, "http://models.example/v1")
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_refuses_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(says(whole(b"", status=407))) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        message = await fails("https://models.example/v1")
        assert "https://models.example: the proxy answers 407" in message
        assert proxy.heads[0].startswith(b"CONNECT models.example:443 HTTP/1.1\r\n")
        assert KEY.encode() not in proxy.heads[0]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=trivet-test -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *made.split(), "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate, is not installed")
    (folder / "both.pem").write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    return folder / "both.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_tls_by_the_certificates_that_the_system_has(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with server(says(whole(b"sealed")), tls) as up, http() as client:
        assert await ask(client, up.url) == (200, b"sealed")
        assert await ask(client, up.url) == (200, b"sealed")
        assert up.opened == 1


async def test_a_certificate_that_nobody_knows_is_refused(tls: ssl.SSLContext) -> None:
    async with server(says(whole(b"sealed")), tls) as up:
        message = await fails(up.url)
        assert "no secure connection: self-signed certificate" in message.replace("self signed", "self-signed")
        assert "SSL_CERT_FILE" in message
        assert not up.heads


async def test_tls_through_a_proxy(tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def tunnel(client: Client, head: bytes) -> None:
        host, port = head.split(b" ")[1].decode().split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await client.say(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                to.write(data)
            to.close()

        await asyncio.gather(carry(client.reader, writer), carry(reader, client.writer))

    async with server(says(whole(b"sealed")), tls) as up, server(tunnel) as proxy, http() as client:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert await ask(client, up.url + "/v1") == (200, b"sealed")
        assert await ask(client, up.url + "/v1") == (200, b"sealed")
        assert up.heads[0].startswith(b"POST /v1 HTTP/1.1\r\n")
        assert (up.opened, proxy.opened) == (1, 1)
        assert KEY.encode() not in b"".join(proxy.heads)
        await client.close()
