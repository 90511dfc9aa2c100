"""A provider that streams: lists no models, and answers all else with 200 events of OpenAI's chat protocol, each
written by itself, one for every connection in turn.
`python -m benchmarks.drip` listens on a free port, which it prints."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

EVENTS = 200


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    data = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": "m",
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def pieces() -> list[bytes]:
    """The answer as HTTP, a piece for each event: the head goes with the first."""
    words = [_chunk({"content": f" word{i % 10}"}) for i in range(EVENTS - 3)]
    events = [_chunk({"role": "assistant", "content": ""}), *words, _chunk({}, "stop"), b"data: [DONE]\n\n"]
    framed = [f"{len(event):x}\r\n".encode() + event + b"\r\n" for event in events]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head + framed[0], *framed[1:-1], framed[-1] + b"0\r\n\r\n"]


class Drip(asyncio.Protocol):
    PIECES = pieces()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.loop = asyncio.get_running_loop()
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        if head.startswith(b"GET"):
            self.received = b""
            self.transport.write(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"data": []}')
            return
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        if len(body) >= length:  # nobody sends two requests at once
            self.received = b""
            self._next(iter(self.PIECES))

    def _next(self, left: Iterator[bytes]) -> None:
        piece = next(left, None)
        if piece is not None and not self.transport.is_closing():
            self.transport.write(piece)
            self.loop.call_soon(self._next, left)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Drip, "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
