"""`trivet serve` in a process of its own, and a raw HTTP client: sockets, no SDK."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.sides import AT_ONCE, body, expect
from trivet.local.settings import LocalSettings

CEILING_S = 600  # for one answer, on a machine that has other work


class Http:
    """The server, asked on a connection of its own for each request."""

    def __init__(self, address: str, pid: int, model: str) -> None:
        self.address, self.pid, self.model = address, pid, model
        self.threads = ThreadPoolExecutor(AT_ONCE)

    def answer(self, prompt: str, tokens: int) -> float:
        asked = {**body(prompt, tokens), "model": self.model, "stream_options": {"include_usage": True}}
        data = json.dumps(asked).encode()
        begin = time.perf_counter()
        connection = http.client.HTTPConnection(self.address, timeout=CEILING_S)
        connection.request("POST", "/v1/chat/completions", data, {"content-type": "application/json"})
        response = connection.getresponse()
        pieces = []
        while piece := response.read1(65536):
            pieces.append(piece)
        connection.close()
        seconds = time.perf_counter() - begin
        found = re.search(rb'"completion_tokens":\s*(\d+)', b"".join(pieces))
        if found is None:
            raise RuntimeError(f"the server answered {response.status}: {b''.join(pieces)[-500:]!r}")
        expect(int(found[1]), tokens)
        return seconds

    def at_once(self, prompts: Sequence[str], tokens: int) -> float:
        begin = time.perf_counter()
        list(self.threads.map(lambda prompt: self.answer(prompt, tokens), prompts))
        return time.perf_counter() - begin


@contextlib.contextmanager
def serving(model: str, settings: LocalSettings) -> Iterator[Http]:
    """A `trivet serve` with no settings but a free port, and the engine's threads where they are set."""
    command = [sys.executable, "-m", "trivet", "serve", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,  # so that no other trivet.toml is found
        subprocess.Popen(command, cwd=_written(folder, settings), stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield Http(_address(process), process.pid, model)
        finally:
            process.terminate()


def _written(folder: str, settings: LocalSettings) -> str:
    """The folder, with a trivet.toml in it."""
    threads = "" if settings.threads is None else f"threads = {settings.threads}"
    Path(folder, "trivet.toml").write_text(f"[local]\n{threads}\n")
    return folder


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.match(r"listening on http://(\S+)", line):
            return found[1]
    raise RuntimeError("trivet serve ended before it listened")
