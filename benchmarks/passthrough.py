"""The least that stands between a client and a provider: one handler that reads the model's name, exchanges it, and
passes on what comes. No routing, keys, counting or checks. `python -m benchmarks.passthrough UPSTREAM CLIENT` listens
on a free port, which it prints; CLIENT is `aiohttp`, which trivet uses too, or `pyreqwest`."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

HEADERS = {"content-type": "application/json", "authorization": "Bearer none"}
Answer = tuple[int, Callable[[], Awaitable[Any]]]  # the status, and what reads the next piece: nothing at the end


@asynccontextmanager
async def with_aiohttp(client: Any, url: str, body: bytes) -> AsyncIterator[Answer]:
    async with client.post(url, data=body, headers=HEADERS) as response:
        yield response.status, response.content.readany


@asynccontextmanager
async def with_pyreqwest(client: Any, url: str, body: bytes) -> AsyncIterator[Answer]:
    async with client.post(url).headers(HEADERS).body_bytes(body).build_streamed() as response:
        yield response.status, response.body_reader.read_chunk


def clients(name: str) -> tuple[Any, Callable[[], Any]]:
    """How to ask with a client, and how to make one."""
    if name == "aiohttp":
        import aiohttp

        return with_aiohttp, lambda: aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    from pyreqwest.client import ClientBuilder

    return with_pyreqwest, lambda: ClientBuilder().build()


class App:
    def __init__(self, upstream: str, client: str) -> None:
        self.upstream = upstream
        self.ask, self.make = clients(client)
        self.client: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.client is None:
            self.client = self.make()
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        asked = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        asked["model"] = msgspec.Raw(b'"m"')
        async with self.ask(self.client, self.upstream + scope["path"], msgspec.json.encode(asked)) as (status, read):
            kind = b"text/event-stream" if "stream" in asked else b"application/json"
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
            while chunk := await read():
                await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def main() -> None:
    import uvicorn

    sock = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    app: Any = App(sys.argv[1], sys.argv[2])
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run([sock])


if __name__ == "__main__":
    main()
