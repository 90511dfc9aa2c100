"""A provider's end of the wire, as bytes: says what a script says, and notes what it was asked. Its bodies have the
shapes that the providers' published API references show."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

END, CUT, STALL, RESET = "end", "cut", "stall", "reset"


class Reply(NamedTuple):
    """A status, a body in pieces, and how it ends: in order, broken off, never, by a reset. Where the status is None,
    nothing comes before that end."""

    status: int | None = 200
    body: Sequence[bytes] = ()
    headers: Mapping[str, str] = {}
    ending: str = END


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Upstream:
    """`asked` are the requests so far; `left` is set when a client closes while an answer is stalled."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers a request; says whether there may be another on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append(Asked(method, path, headers, body))
        reply = self.reply(self.asked[-1])
        if reply.status is not None:
            await self._say(writer, reply)
        if reply.ending == STALL:
            await reader.read(1)  # nothing comes but the end of the connection
            self.is_left()
            return False
        if reply.ending == RESET:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if reply.ending != END:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _say(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        told = {"content-type": "application/json", "transfer-encoding": "chunked", **reply.headers}
        writer.write(f"HTTP/1.1 {reply.status} X\r\n".encode())
        writer.write("".join(f"{k}: {v}\r\n" for k, v in told.items()).encode() + b"\r\n")
        for piece in filter(None, reply.body):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()

    def reply(self, asked: Asked) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def is_left(self) -> None:
        self.left.set()

    def drop(self) -> None:
        for writer in list(self._writers):
            writer.close()


@asynccontextmanager
async def upstream(*replies: Reply) -> AsyncIterator[Upstream]:
    """One reply for each request in turn, the last again and again."""
    script = Upstream(replies)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()
        script.drop()


def sse(*events: Any, names: bool = False) -> list[bytes]:
    """Events as a stream's pieces; `names` gives each the name that its `type` says."""
    pieces = []
    for event in events:
        head = f"event: {event['type']}\n" if names else ""
        data = event if isinstance(event, str) else json.dumps(event)
        pieces.append(f"{head}data: {data}\n\n".encode())
    return pieces
