"""One connection that HTTP/1.1 is spoken on, one request at a time. `httptools` reads what comes; the loop's transport
sends. `trivet.providers.http` opens connections and keeps them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any

import httptools

from trivet.errors import TransportError
from trivet.types import Value

LARGEST_HEAD = 256 * 1024  # bytes
PLENTY = 1024 * 1024  # bytes that nobody has taken yet: the other side has to wait


class Timeouts(Value, frozen=True, kw_only=True):
    """In seconds: to connect, until the head of the answer, and between two pieces of its body."""

    connect_s: float = 10
    first_byte_s: float = 600
    between_bytes_s: float = 300


class Connection(asyncio.Protocol):
    """`where` is the other side's address for messages, `name` the provider's. `transport` is None until connected.

    What goes wrong is in `problem`, in words, and is raised by whoever waits. The timeouts count only while somebody
    waits: one timer for a request looks how long that has been."""

    def __init__(self, name: str, where: str, timeouts: Timeouts) -> None:
        self.name, self.where, self.timeouts = name, where, timeouts
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.lost = False
        self.idle_since = 0.0
        self._parser: Any = None  # None while idle
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shortest = min(timeouts.first_byte_s, timeouts.between_bytes_s)

    # What is asked of it.

    def send(self, head: bytes, body: bytes) -> None:
        """Sends a request; what came of the one before is forgotten."""
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.problem: str | None = None
        self.complete = self._headed = self._kept = self._paused = self._ends_with_connection = False
        self._pieces: list[bytes] = []
        self._size = 0  # of the head until that is here, then of what nobody has taken
        self._decoder: Any = None
        self._compressed = False  # has any of a compressed body come?
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self._shortest, self._look)
        self.transport.write(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self.transport.write(body)

    async def head(self) -> None:
        """Waits for `status` and `headers`."""
        while not self._headed:
            self._check()
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body, as many as are here; none at its end."""
        while True:
            if self._pieces:
                piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces, self._size = [], 0
                if self._paused:
                    self._paused = False
                    self.transport.resume_reading()
                if self._decoder is not None:
                    piece = self._decoded(piece)
                if piece:
                    return piece
            elif self.complete:
                if self._decoder is not None and not self._decoder.eof and self._compressed:
                    raise self.failed("the answer was cut off: its compressed body has no end; ask again")
                return b""
            else:
                self._check()
                await self._wait()

    def release(self) -> bool:
        """The request is over. Whether the connection can have another one; if not, it is closed, at once."""
        self.forget()
        if self._paused or not (self.complete and self._kept) or self.lost or self.transport.get_write_buffer_size():
            self.abort()
            return False
        self.idle_since = self.loop.time()
        return True

    def forget(self) -> None:
        """The request is over, and its answer was the head alone."""
        if self._timer is not None:
            self._timer.cancel()
        self._parser = None

    def abort(self) -> None:
        self.lost = True
        if self.transport is not None:
            self.transport.abort()

    def failed(self, what: str) -> TransportError:
        return TransportError(f"{self.name}: {self.where}: {what}", provider=self.name)

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self.abort()  # nobody asked
            return
        if not self._headed:
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken("it does not answer in HTTP/1.1: is the address right?")
        if not self._headed and self._size > LARGEST_HEAD:
            self._broken(f"the head of its answer is larger than {LARGEST_HEAD // 1024} KiB: is the address right?")
        if self._size > PLENTY and self._headed and not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._parser is not None and not self.complete:
            if self._headed and self._ends_with_connection and error is None:
                self.complete = True
            elif self.problem is None:
                what = "the answer was cut off" if self._headed else "the connection was closed before an answer came"
                self.problem = f"{what}; ask again"
        self._wake()

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self.complete:
            self._kept = False  # more than one answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:
            return  # a trailer, or of an answer too many
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._headed:
            return  # an answer too many
        if status < 200:
            self.headers = {}  # for now: the answer is to follow
            return
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            self._decoder = _gzip()
        elif encoding not in ("identity", ""):
            self._broken(f"its answer is in the encoding {encoding!r}, for which nobody asked")
            return
        self.status, self._headed, self._size = status, True, 0
        self._ends_with_connection = not {"content-length", "transfer-encoding"} & self.headers.keys()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._pieces.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        if self._headed and not self.complete:
            self.complete, self._kept = True, self._parser.should_keep_alive()

    # Within.

    def _decoded(self, piece: bytes) -> bytes:
        """What is in a piece of a gzip body, which may be several, one behind the other."""
        self._compressed = True
        out = b""
        try:
            while piece:
                if self._decoder.eof:
                    self._decoder = _gzip()
                out += self._decoder.decompress(piece)
                piece = self._decoder.unused_data
            return out
        except zlib.error:
            raise self.failed("its compressed answer is damaged; ask again") from None

    def _check(self) -> None:
        if self.problem is not None:
            raise self.failed(self.problem)
        if self.lost:
            raise self.failed("the connection was closed; ask again")

    def _broken(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.abort()

    async def _wait(self) -> None:
        self._waiter = self.loop.create_future()
        self._since = self.loop.time()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        limit = self.timeouts.between_bytes_s if self._headed else self.timeouts.first_byte_s
        left = limit if self._waiter is None else self._since + limit - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(min(left, self._shortest), self._look)
        elif self._headed:
            self._broken(f"nothing more came for {limit:g} s in mid-answer: ask again")
        else:
            self._broken(f"no answer after {limit:g} s: ask again, or ask for less")


def _gzip() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def written(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request. Raises ValueError for a header that cannot be sent, by its name alone."""
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    for name, value in headers.items():
        if "\n" in value or "\r" in value or "\0" in value or not name.isascii() or " " in name or "\n" in name:
            raise ValueError(f"the header {name!r} has a character in it that no header may have")
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    try:
        return "".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header has a character in it that no header may have") from None
