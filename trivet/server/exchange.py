"""One HTTP request and its answer: the one place where bytes come from the client and go to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from trivet.errors import RequestError, TrivetError
from trivet.server.security import is_loopback
from trivet.types import Attempt, Cost
from trivet.wire import json_array
from trivet.wire.ids import fresh_id

__all__ = ["ClientLeft", "Exchange", "Receive", "Scope", "Send"]

# ASGI's own types (https://asgi.readthedocs.io/en/latest/specs/www.html).
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
)
ARRAY = ((b"content-type", json_array.CONTENT_TYPE), *STREAM[1:])

# Neither a model that has everything ready nor the sending need ever wait: after so many writes, others have a turn,
# and a client that has left is noticed.
BREATH = 32

# Watching for the client to leave takes a task, a twentieth of what a short request costs: what is answered by then
# has none. In seconds.
WATCHED_AFTER_S = 0.01


class ClientLeft(Exception):
    """The client has closed its connection: there is nobody to answer."""


class Exchange:
    """`id` is ours, never the client's. `headers` are the request's, by lower-case name, where the last of several with
    one name counts, and `every_header` has them all; `query` may hold a key and goes into no log. `status` is None
    until the head of the answer is sent, and `over` says whether its last bytes are on their way; `ending` makes an
    error into the bytes that end a stream under way, None being: cut it. Where there is an `array`, a stream goes out
    as one; `content_type` is what it is where it is no server-sent events."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = fresh_id("req_")
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.every_header: list[tuple[bytes, bytes]] = list(scope["headers"])
        self._client = scope.get("client")
        self.status: int | None = None
        self.over = False
        self.array: json_array.JsonArray | None = None
        self.content_type: bytes | None = None
        self.also: Headers = ()  # of the answer, beside the usual ones
        self.ending: Callable[[TrivetError], bytes | None] = lambda error: b""
        self.route: tuple[Attempt, ...] = ()  # what came of whom was asked, as far as it is known
        self.cost: Cost | None = None
        self.key: str | None = None  # the name of the key that it came with
        self.began = time.monotonic()
        self._receive, self._send = receive, send
        self._task: asyncio.Task[Any] | None = None  # what `stop` cancels
        self._why: Exception | None = None
        self._unsent: list[bytes] = []
        self._watch: asyncio.Future[None] | asyncio.TimerHandle | None = None

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        return self._client is not None and is_loopback(self._client[0])

    async def attend(self, work: Awaitable[None]) -> None:
        """Awaits `work` for as long as nothing calls `stop`, whose error it then raises, after `work` is over."""
        self._task = asyncio.current_task()
        try:
            await work
        except asyncio.CancelledError:
            if self._why is None or self._task is None:
                raise  # somebody else's cancellation
            self._task.uncancel()
            raise self._why from None
        finally:
            self._task = None
            if self._watch is not None:
                self._watch.cancel()

    def stop(self, why: Exception) -> None:
        """Cancels the work under way; `attend` raises `why`. Nothing happens where no work is, or a second time."""
        if self._task is not None and self._why is None:
            self._why = why
            self._task.cancel()

    async def read(self, limit: int) -> bytes:
        """The whole body. A client that leaves from then on stops the work with `ClientLeft`.

        Raises `RequestError` 413 for more than `limit` bytes, whether announced or not, and 400 for a body behind a
        wish for another protocol (Java's own client has one for HTTP/2), which the parser takes as that protocol's."""
        if b"upgrade" in self.headers and b"upgrade" in self.headers.get(b"connection", b"").lower():
            kind = self.headers[b"upgrade"].decode("latin-1")
            raise RequestError(f"upgrade is {kind!r}, and the body is lost with it: ask over HTTP/1.1 from the start")
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk: bytes = message.get("body", b"")
            size, more = size + len(chunk), message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
        self._watch = asyncio.get_running_loop().call_later(WATCHED_AFTER_S, self._begin_watch)
        return b"".join(chunks)

    async def respond(
        self, status: int, body: bytes, headers: Headers = (), *, content_type: bytes = b"application/json"
    ) -> None:
        """A whole answer."""
        length = str(len(body)).encode()
        await self._begin(status, (b"content-type", content_type), (b"content-length", length), *headers)
        await self._finish(body)

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """The next bytes of a stream, the first of which send the head, and go out at once; the others with `flush`, at
        the latest after `BREATH` of them. Without `more`, the last."""
        begins = self.status is None
        if begins:
            await self._begin(200, *self._streamed())
        if self.array is not None:
            chunk = self.array.feed(chunk, last=not more)
        self._unsent.append(chunk)
        if not more:
            return await self._finish(self._taken())
        if begins:
            await self.flush()
        elif len(self._unsent) >= BREATH:
            await self.flush()
            await asyncio.sleep(0)

    async def cut(self) -> None:
        """Sends what was written, and no end: the connection closes, by which a client knows that the answer is not
        whole."""
        self._ended()
        await self.flush()

    async def flush(self) -> None:
        """Sends what was written."""
        if self._unsent:
            await self._send({"type": "http.response.body", "body": self._taken(), "more_body": True})

    def _streamed(self) -> Headers:
        """A stream's headers."""
        if self.content_type is not None:
            return ((b"content-type", self.content_type), *STREAM[1:])
        return STREAM if self.array is None else ARRAY

    def _taken(self) -> bytes:
        chunk = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
        self._unsent.clear()
        return chunk

    def _begin_watch(self) -> None:
        self._watch = asyncio.ensure_future(self._leaving())

    async def _leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.stop(ClientLeft())

    async def _begin(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        id = self.id.encode()
        # The second and third names are where the OpenAI and the Anthropic client look for it.
        ids = [(b"x-trivet-request-id", id), (b"x-request-id", id), (b"request-id", id)]
        told = [*ids, *headers, *self.also]
        await self._send({"type": "http.response.start", "status": status, "headers": told})
        self.status = status  # only now: where the sending is cancelled, there is still a status to send

    async def _finish(self, chunk: bytes) -> None:
        """The last bytes. ASGI says `http.disconnect` after them too: nobody has left, and what the model still does
        to close itself is not to be stopped."""
        self._ended()
        await self._send({"type": "http.response.body", "body": chunk})

    def _ended(self) -> None:
        self.over = True
        if self._watch is not None:
            self._watch.cancel()


def _too_large(limit: int) -> TrivetError:
    return RequestError(
        f"the body is larger than the limit of {limit / 1e6:g} MB: send less, or raise max_body_mb under [server]",
        status=413,
    )
