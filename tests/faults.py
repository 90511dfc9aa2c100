"""A provider that fails as it is told to: the model's name in a request is the fault. It speaks the four protocols,
whole and streamed, with the answers and errors of `tests/exchanges`, which the official SDKs accept.

`python -m tests.faults` listens on a free port, which it prints; so does the model `mixed`, which has a fault in every
twentieth answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.exchange_files import errors, exchange, pieces
from tests.servers import CEILING_S
from tests.upstream import CUT, RESET, STALL, Asked, Reply, Upstream, sse

TEXT, FIRST = "The Seine.", "The Se"  # what a healthy one says, and its first piece
PATHS = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai-chat", "/v1/responses": "openai"}
WAIT_S = 60  # what a `retry-after` asks for: more than anybody waits for


class Answer(NamedTuple):
    """What would be said: `body` in pieces, of which those before `begun` have no content."""

    protocol: str
    stream: bool
    body: list[bytes]
    begun: int

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": "text/event-stream"} if self.stream else {}

    def reply(self, *body: bytes, ending: str = "end") -> Reply:
        return Reply(body=body, headers=self.headers, ending=ending)

    def error(self, status: int, **headers: str) -> Reply:
        return Reply(status, [json.dumps(error_body(self.protocol, status)).encode()], headers)

    def until(self, n: int) -> list[bytes]:
        """The pieces before the n-th; of a whole answer, which has only one, half of it."""
        return self.body[:n] if self.stream else [self.body[0][: len(self.body[0]) // 2]]

    def failure(self) -> bytes:
        """An error where a status has gone out already."""
        told = error_body(self.protocol, 500)
        if self.protocol == "openai":
            last = json.loads(self.body[-1].partition(b"data: ")[2] if self.stream else self.body[0])
            (last["response"] if self.stream else last).update(status="failed", output=[], error=FAILED)
            told = {**last, "type": "response.failed"} if self.stream else last
        return sse(told, names=self.protocol in NAMED)[0] if self.stream else json.dumps(told).encode()


FAILED = {"code": "server_error", "message": "it broke"}
NAMED = ("anthropic", "openai")  # whose events have names
Fault = Callable[[Answer], Reply]


def half_an_event(answer: Answer) -> Reply:
    event = answer.body[answer.begun if answer.stream else 0]
    return answer.reply(*answer.body[: answer.begun], event[: len(event) // 2])


FAULTS: Mapping[str, Fault] = {
    "healthy": lambda a: a.reply(*a.body),
    "drips": lambda a: a.reply(*(bytes([byte]) for piece in a.body for byte in piece)),
    "resets": lambda a: Reply(None, ending=RESET),
    "closes": lambda a: Reply(None, ending=CUT),
    "hangs": lambda a: Reply(None, ending=STALL),
    "hangs-before-content": lambda a: a.reply(*a.body[: a.begun], ending=STALL),
    "hangs-in-mid-answer": lambda a: a.reply(*a.until(a.begun + 1), ending=STALL),
    "half-an-event": half_an_event,
    "wrong-json": lambda a: a.reply(b'data: {"a": \n\n' if a.stream else b"<html>Sign in</html>"),
    "429": lambda a: a.error(429),
    "429-retry-after": lambda a: a.error(429, **{"retry-after": str(WAIT_S)}),
    "500": lambda a: a.error(500),
    "529": lambda a: a.error(529),
    "error-first": lambda a: a.reply(*a.body[: a.begun], a.failure()),
    "error-after-content": lambda a: a.reply(*a.body[: a.begun + 1], a.failure()) if a.stream else a.reply(a.failure()),
    "ends-early": lambda a: a.reply(*a.until(a.begun + 1)),
    "cut": lambda a: a.reply(*a.until(a.begun + 1), ending=CUT),
}


def error_body(protocol: str, status: int) -> Any:
    """The first of the exchanges' errors with this status, without how long to wait. 529 is Anthropic's own word for
    503."""
    told = {error["status"]: error["body"] for error in reversed(errors(protocol))}
    body = told.get(status) or told[503]
    return {"error": {**body["error"], "details": []}} if protocol == "gemini" else body


def answer(protocol: str, stream: bool) -> Answer:
    if not stream:
        return Answer(protocol, False, [json.dumps(exchange(protocol, "text").response).encode()], 0)
    told = pieces(protocol, "text")
    return Answer(protocol, True, told, next(i for i, piece in enumerate(told) if FIRST.encode() in piece))


ANSWERS = {(p, s): answer(p, s) for p in ("anthropic", "openai-chat", "openai", "gemini") for s in (False, True)}


class Faults(Upstream):
    """`counted` are the requests for each model; a client that leaves a stalled answer is one more in `lefts`."""

    def __init__(self) -> None:
        super().__init__([])
        self.counted: Counter[str] = Counter()
        self.lefts = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self._mixed = itertools.cycle([name for name in FAULTS if name != "healthy"])

    def reply(self, asked: Asked) -> Reply:
        self.asked.clear()  # a soak asks often
        if asked.path.endswith("/models"):
            return Reply(body=[b'{"data": []}'])
        protocol, model, stream = told(asked)
        self.counted[model] += 1
        self.began.release()
        name = model.partition("@")[0]
        if name == "mixed":
            name = next(self._mixed) if self.counted[model] % 20 == 0 else "healthy"
        return FAULTS[name](ANSWERS[protocol, stream])

    def is_left(self) -> None:
        self.lefts.release()

    def wait_begun(self) -> None:
        assert self.began.acquire(timeout=CEILING_S), "no request came"

    def wait_left(self) -> None:
        assert self.lefts.acquire(timeout=CEILING_S), "the request is still under way"


def told(asked: Asked) -> tuple[str, str, bool]:
    """Protocol, model, and whether to stream."""
    path = asked.path.partition("?")[0]
    if path in PATHS:
        return PATHS[path], asked.json["model"], bool(asked.json.get("stream"))
    model, _, method = path.rpartition("/")[2].partition(":")
    return "gemini", model, method == "streamGenerateContent"


async def listen(faults: Faults) -> asyncio.Server:
    server = await asyncio.start_server(faults.serve, "127.0.0.1", 0)
    faults.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    return server


@contextmanager
def faulty() -> Iterator[Faults]:
    """The provider, in a thread of its own."""
    faults, loop = Faults(), asyncio.new_event_loop()
    server = loop.run_until_complete(listen(faults))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield faults
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CEILING_S)
        server.close()
        faults.drop()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def main() -> None:
    faults = Faults()
    server = await listen(faults)
    print(f"listening on {faults.url}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
