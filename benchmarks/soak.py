"""`python -m benchmarks.soak [--requests 200000] [--at-once 16]`: that many requests through a served route over a
provider with a fault in every twentieth answer. Half of the clients stream, and one in a hundred leaves early. Memory
stays within 5 % of its level after the first 20,000 (of fewer requests, after half), and no task and no socket is left.

Exits with 1 where one of these does not hold."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from benchmarks.gateway import process
from benchmarks.memory import resident
from trivet import cli

CONFIGURATION = """
[providers.up]
kind = "openai-compatible"
base_url = "{url}/v1"
[models.default]  # so that no weights are loaded
use = ["up/healthy"]
[models.m]
use = ["up/mixed@a", "up/mixed@b", "up/healthy"]
[models.m.route]
sticky = true
retries = 1
first_content_s = 0.2
gap_s = 0.2
whole_s = 0.2
total_s = 10
"""
ASK = "Which river runs through Paris?"
PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": ASK}]},
    "/v1/messages": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": ASK}]},
    "/v1/responses": {"model": "m", "input": ASK},
}
ENDS = (b"[DONE]", b"message_stop", b"response.completed")  # of a stream that is whole
MOST, WARM = 1.05, 20_000  # of the memory after so many requests: by then it knows as many sessions as it ever does


class Left(NamedTuple):
    """What the server has at a moment: resident memory, tasks of its loop, sockets."""

    mb: float
    tasks: int
    sockets: int


class Server:
    """`trivet serve` in a process, which says how many tasks it has when it is asked by a signal."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        assert popen.stdout is not None
        self.popen, self.lines = popen, iter(popen.stdout)
        self.url = self._said(r"listening on (http://\S+)")

    def left(self) -> Left:
        self.popen.send_signal(signal.SIGUSR1)
        tasks = int(self._said(r"tasks (\d+)"))
        folder = Path(f"/proc/{self.popen.pid}/fd")
        sockets = sum(os.readlink(each).startswith("socket:") for each in folder.iterdir())
        return Left(resident(self.popen.pid), tasks, sockets)

    def _said(self, pattern: str) -> str:
        return next(found[1] for line in self.lines if (found := re.search(pattern, line)))


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Server]:
    here = str(Path(__file__).parent.parent)
    command = [sys.executable, "-m", "benchmarks.soak", "--serve"]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": here}, stdout=subprocess.PIPE, text=True
    ) as popen:
        try:
            yield Server(popen)
        finally:
            popen.terminate()


def serve() -> None:
    """The server's own process. A signal may come in the middle of a `print`, which another one must not enter."""
    signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"tasks %d\n" % len(asyncio.all_tasks())) and None)
    sys.exit(cli.main(["serve", "--port", "0"]))


class Clients:
    """`seen` counts what they got."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: Counter[str] = Counter()
        self._taken = 0

    async def ask(self, requests: int, at_once: int) -> None:
        until = self._taken + requests
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._client(session, until) for _ in range(at_once)))

    async def _client(self, session: aiohttp.ClientSession, until: int) -> None:
        while self._taken < until:
            self._taken += 1
            self.seen[await self._ask(session, self._taken)] += 1

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> str:
        """Each is a conversation of its own: what is remembered of those must have a bound too."""
        path, stream = list(PATHS)[number % len(PATHS)], number % 2 == 0
        body = json.dumps({**PATHS[path], "stream": stream}).replace(ASK, f"{ASK} {number}")
        async with session.post(self.url + path, data=body, headers={"content-type": "application/json"}) as reply:
            if number % 100 == 0:
                return "left early"
            told = await reply.read()
        if reply.status != 200:
            return f"{reply.status}"
        return "answered" if any(end in told for end in ENDS) or not stream else "broken off"


async def soak(found: Server, requests: int, at_once: int) -> list[str]:
    """What does not hold."""
    clients, first, levels = Clients(found.url), found.left(), []
    for tenth in range(10):
        await clients.ask(requests // 10, at_once)
        now = await settled(found, first)
        levels.append(now)
        print(
            f"{(tenth + 1) * requests // 10:>7} requests: {now.mb:.1f} MB, {now.tasks} tasks, {now.sockets} sockets",
            flush=True,
        )
    print(", ".join(f"{count} {what}" for what, count in clients.seen.most_common()))
    warm = levels[math.ceil(10 * min(WARM / requests, 0.5)) - 1 :]
    base, most, last = warm[0].mb, max(level.mb for level in warm), levels[-1]
    wrong = []
    if most > MOST * base:
        wrong.append(f"memory went from {base:.1f} MB to {most:.1f} MB")
    if last.tasks > first.tasks:
        wrong.append(f"{last.tasks - first.tasks} tasks are left")
    if last.sockets > first.sockets + at_once:  # those to the provider are kept for the next request
        wrong.append(f"{last.sockets - first.sockets} sockets are left, of {at_once} clients at once")
    return wrong


async def settled(found: Server, first: Left) -> Left:
    """When the last requests are over: a client that has left is noticed a moment later."""
    for _ in range(50):
        await asyncio.sleep(0.1)
        now = found.left()
        if now.tasks <= first.tasks:
            break
    return now


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    with tempfile.TemporaryDirectory() as folder, process("-m", "tests.faults") as provider:
        Path(folder, "trivet.toml").write_text(CONFIGURATION.format(url=provider))
        with server(Path(folder)) as found:
            wrong = asyncio.run(soak(found, arguments.requests, arguments.at_once))
    print("\n".join(wrong) or "memory is level, and no task and no socket is left")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
