"""Servers for tests: `trivet serve` in a process of its own, and the real server over fakes in a thread of this one."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trivet.adapt.several import Several
from trivet.config import Config
from trivet.counting import Counting
from trivet.errors import UnknownModelError
from trivet.ledger.settings import BudgetSettings, LedgerSettings
from trivet.model import Model, Wrapper, bottom
from trivet.server.app import App, app
from trivet.server.run import bind, run
from trivet.types import Event, Request, task_name

ROOT = Path(__file__).parent.parent
CEILING_S = 90  # how long anything may take; nothing waits this long where it works


class Process:
    """A server in a process. `url` is where it listens; `output` is what it has printed so far, on both streams."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None, cwd: str | os.PathLike[str] | None) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.popen = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self.url = ""
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Waits until what it has printed matches. Raises AssertionError where it ends, or takes too long."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or re.search(pattern, self.output), CEILING_S)
            found = re.search(pattern, self.output)
        assert found, f"never printed {pattern!r}, but:\n{self.output}"
        return found

    def listening(self) -> Process:
        self.url = self.wait_for(r"(?m)^listening on (\S+)\n")[1]
        return self

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = self.popen.wait(CEILING_S)
        self._reader.join(CEILING_S)
        return code

    def stop(self) -> int:
        """Ends it as a user would, else by force. Its exit code. Twice is fine."""
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise
        finally:
            if self.popen.stdout:
                self.popen.stdout.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def start_trivet(
    *args: str, env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None
) -> Process:
    """`python -m trivet serve --port 0 ARGS`, listening. Use it in a `with`, or call `.stop()`."""
    return _started([sys.executable, "-m", "trivet", "serve", "--port", "0", *args], env, cwd)


def start_fakes(*args: str) -> Process:
    """`serve_fakes.py ARGS`, listening: the fakes that it has, in a process that can be sent signals."""
    return _started([sys.executable, str(Path(__file__).with_name("serve_fakes.py")), *args], None, None)


def start_script(
    script: Path, *args: str, env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None
) -> Process:
    """`python SCRIPT ARGS`, listening: a server over what the script has exchanged."""
    return _started([sys.executable, str(script), *args], env, cwd)


def _started(command: list[str], env: Mapping[str, str] | None, cwd: str | os.PathLike[str] | None) -> Process:
    process = Process(command, env, cwd)
    try:
        return process.listening()
    except BaseException:
        process.popen.kill()
        process.stop()
        raise


class Fakes:
    """The runtime that the server sees: models by name. `asked` are the arguments of its last `model()`."""

    needs_no_default = False
    counting = Counting(Config(ledger=LedgerSettings(enabled=False), budgets=BudgetSettings(path="no/keys.db")))

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = dict(models)
        self.asked: dict[str, Any] = {}

    @property
    def built(self) -> Mapping[str, Model]:
        return self.models

    def names(self) -> tuple[str, ...]:
        return tuple(self.models)

    def hosted(self) -> dict[str, Any]:
        return {}

    def found(self, names: Iterable[str]) -> None:
        pass

    def prepare(self) -> None:
        pass

    def model(self, name: str | None = None, *, paths: bool = True, request: Request | None = None) -> Model:
        self.asked = {"name": name, "paths": paths, "task": "chat" if request is None else task_name(request)}
        name = name or next(iter(self.models))
        if name not in self.models:
            near = difflib.get_close_matches(name, self.models, n=1, cutoff=0)[0]
            raise UnknownModelError(f"No model is named {name!r}. Did you mean {near!r}?", nearest=near)
        model = self.models[name]
        return model if getattr(bottom(model), "takes_prompts", False) else Several(model)

    async def close(self) -> None:
        for model in self.models.values():
            await model.close()


class Watched(Wrapper):
    """A model that tells the test's thread when a stream begins and when one is over, all below it closed."""

    def __init__(self, inner: Model) -> None:
        super().__init__(inner)
        self._began, self._over = threading.Semaphore(0), threading.Semaphore(0)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self._began.release()
        try:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._over.release()

    def wait_begun(self) -> None:
        assert self._began.acquire(timeout=CEILING_S), "no request came"

    def wait_over(self) -> None:
        assert self._over.acquire(timeout=CEILING_S), "the request is still under way"


class Served:
    """A server in a thread. `stop()` is what a signal does; `runtime` and `app` are its own, `loop` runs them."""

    def __init__(
        self, app: App, runtime: Fakes, url: str, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
    ) -> None:
        self.app, self.runtime, self.url, self.loop = app, runtime, url, loop
        self._stop = stop

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def serving(
    models: Mapping[str, Model], *, host: str = "127.0.0.1", grace_s: float = 0, **options: Any
) -> Iterator[Served]:
    """The real server over `models`, on a free port. `options` are those of `trivet.server.app.app`."""
    sock = bind(host, 0)
    ready: list[Served] = []
    listens = threading.Event()

    async def main() -> None:
        runtime, stop = Fakes(models), asyncio.Event()
        application = app(runtime, **options)  # type: ignore[arg-type]
        url = f"http://{host}:{sock.getsockname()[1]}"
        ready.append(Served(application, runtime, url, asyncio.get_running_loop(), stop))
        await run(application, sock, stop, grace_s=grace_s, listening=listens.set)

    def work() -> None:
        try:
            asyncio.run(main())
        finally:
            listens.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert listens.wait(CEILING_S)
    try:
        yield ready[0]
    finally:
        with contextlib.suppress(RuntimeError):  # its loop is closed already
            ready[0].stop()
        thread.join(CEILING_S)
        assert not thread.is_alive()


def ask(url: str, body: Mapping[str, Any], path: str = "/v1/chat/completions") -> socket.socket:
    """A connection on which a request has been sent, its answer not read."""
    place, data = urlsplit(url), json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    sock = socket.create_connection((place.hostname, place.port), CEILING_S)
    sock.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Everything up to the piece in which `end` comes."""
    data = b""
    while end not in data:
        piece = sock.recv(65536)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def exit_code(number: int) -> int:
    """What `wait` gives for a process that a signal ended."""
    return -signal.Signals(number).value
