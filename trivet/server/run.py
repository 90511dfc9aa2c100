"""Running the server: the socket, the loop, the signals, and an orderly end.

uvicorn closes its listening socket as soon as it is told to stop, so that new clients are cut off while old ones are
served. Here the application refuses them first, in words, and uvicorn is told when nothing is left in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trivet.errors import ConfigError, TrivetError
from trivet.server import found
from trivet.server.app import App, app
from trivet.server.exchange import Exchange
from trivet.server.reload import Read, Reload
from trivet.server.security import Keys, check_open, is_loopback
from trivet.server.told import LogFormat, line

if TYPE_CHECKING:
    from trivet.config import ServerSettings
    from trivet.runtime import Runtime

__all__ = ["bind", "run", "serve"]

LISTING_S = 10  # what a provider may take to say which models it has
# New objects until the collector looks: of Python's 700, which are a few requests, a tenth of each was spent on it.
GARBAGE = 10_000
# Seconds until a thread that is at work in Python has to let another one go on: of Python's own 5 ms, two such threads
# would keep the event loop waiting for 10.
SWITCH_S = 0.001
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    runtime: Runtime, settings: ServerSettings, *, log: LogFormat | None = None, read: Read | None = None
) -> None:
    """Serves `runtime` until SIGTERM or Ctrl-C, and closes it. Prints what was found and where it listens; with
    `log` also a line for each request, on standard error. `read` reads the configuration anew, on SIGHUP and for
    `trivet config reload`.

    Raises `ConfigError` for an address that it cannot have, and for one that others can reach but that has no key."""
    loopback = is_loopback(settings.host)
    runtime.counting.serving = True
    check_open(settings.host, Keys(settings.keys, runtime.counting.keys))
    access_log = None if log is None else partial(_log, log)
    application = app(
        runtime, keys=settings.keys, max_body_mb=settings.max_body_mb, loopback=loopback, access_log=access_log
    )
    sock = bind(settings.host, settings.port)
    gc.set_threshold(GARBAGE)
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=configure(application).get_loop_factory()) as runner:
        runner.run(_serve(runtime, settings, application, sock, read))


async def _serve(
    runtime: Runtime, settings: ServerSettings, application: App, sock: socket.socket, read: Read | None
) -> None:
    stop = asyncio.Event()
    # The port of the socket, which is another one where 0 was asked for.
    host, port = sock.getsockname()[:2]
    try:
        runtime.prepare()
        providers = await found.look(runtime, (host, port))
        show(found.before(runtime, settings, providers))
    except BaseException:  # Ctrl-C, for one
        await runtime.close()
        raise
    after = found.after(runtime, settings, port)
    preparing = {asyncio.ensure_future(_prepare(runtime, application, providers))}

    async def look_again(new: Runtime) -> None:
        task = asyncio.ensure_future(_prepare(new, application, await found.look(new, (host, port))))
        preparing.add(task)
        task.add_done_callback(preparing.discard)  # it holds the runtime

    reload = Reload(application, settings, read, look_again) if read is not None else None
    application.reload = reload
    try:
        with signals(stop, application, settings.grace_s), on_hangup(reload):
            await run(application, sock, stop, grace_s=settings.grace_s, listening=lambda: show(after))
    finally:
        for each in list(preparing):
            each.cancel()
        await application.runtime.close()
        if reload is not None:
            await reload.close()


def configure(application: App) -> uvicorn.Config:
    """uvicorn with nothing around the application. An idle connection lives longer here than in the clients, which
    would otherwise ask on one that is being closed."""
    return uvicorn.Config(
        application,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


class _Connection(HttpToolsProtocol):
    """uvicorn leaves the clock of a connection that breaks running, and so keeps all of it as long as an idle one."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves the signals to us."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def run(
    application: App, sock: socket.socket, stop: asyncio.Event, *, grace_s: float, listening: Callable[[], None]
) -> None:
    """Serves on `sock` until `stop` is set, then refuses new requests, and ends when those in flight are over."""
    server = _Server(configure(application), listening)
    serving = asyncio.ensure_future(server.serve([sock]))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        await application.drain(grace_s)
        server.should_exit = True
    await serving


@contextlib.contextmanager
def signals(stop: asyncio.Event, application: App, grace_s: float) -> Generator[None, None, None]:
    """The first SIGTERM or Ctrl-C sets `stop`; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        if application.in_flight:
            waiting = f"waiting up to {grace_s:g} s for requests in flight: {application.in_flight}"
            print(f"stopping: {waiting}; again to end now", file=sys.stderr, flush=True)
        stop.set()

    def caught(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        loop.call_soon_threadsafe(first)

    before = {number: signal.signal(number, caught) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def on_hangup(reload: Reload | None) -> Generator[None, None, None]:
    """SIGHUP reads the configuration anew, where there is one to read and the system has the signal."""
    if reload is None or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Future[None]]()

    async def again() -> None:
        try:
            show(await reload())
        except TrivetError as error:
            print(f"not reloaded, the old configuration goes on: {error}", file=sys.stderr, flush=True)

    def caught() -> None:
        task = asyncio.ensure_future(again())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, caught)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _prepare(runtime: Runtime, application: App, providers: found.Providers) -> None:
    """One after the other: weights that load keep everything else waiting, and lists have their time. What is here by
    then is here for good: the collector need not look at it again and again."""
    await _warm(application)
    await _list(runtime, providers)
    gc.unfreeze()  # what an earlier configuration alone had
    gc.collect()
    gc.freeze()


async def _warm(application: App) -> None:
    await application.warm()
    if application.problem is not None:
        what = "no default model" if application.state == "ready" else "not ready"
        print(f"{what}: {application.problem}", file=sys.stderr, flush=True)


async def _list(runtime: Runtime, providers: found.Providers) -> None:
    """Has the providers list their models, for /v1/models, and says what came of it."""
    async with contextlib.aclosing(found.listings(runtime, providers, LISTING_S)) as lines:
        async for line, well in lines:
            print(line, file=sys.stdout if well else sys.stderr, flush=True)


def _log(format: LogFormat, exchange: Exchange) -> None:
    print(line(exchange, format), file=sys.stderr, flush=True)


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address. Raises `ConfigError` where it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"there is no address {host!r} to listen on ({error}): choose one with --host") from None
    try:
        if os.name == "posix":  # elsewhere it would share a port that is in use
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            what, choose = f"port {port} on {host} is in use", "stop what uses it, or choose another with --port"
        elif error.errno == errno.EACCES:
            what, choose = f"port {port} on {host} needs privileges", "choose one above 1023 with --port"
        else:
            what, choose = f"cannot listen on {host} port {port} ({error.strerror})", "choose another with --host"
        raise ConfigError(f"{what}: {choose}") from None
    return sock


def show(lines: list[str]) -> None:
    print("\n".join(lines), flush=True)
