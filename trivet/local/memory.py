"""`[local] memory`: the weights of embedded models together stay under a limit; the longest unused make room.

What weights take is reckoned by the size of their files. What engines need beside (contexts, buffers, the libraries
themselves) is not in it: leave room for that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol

from trivet.errors import ConfigError, OverloadedError
from trivet.local.slots import Slots
from trivet.model import Model, Wrapper
from trivet.types import Event, Request

__all__ = ["Kept", "Memory", "Unloadable"]

WAIT_S = 60.0  # for engines that are in use; a request may hold one and wait for another, which no order resolves


class Unloadable(Protocol):
    """An engine: weights that load at first use, and again after `unload`. `size` is that of their files, in bytes."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def loaded(self) -> bool: ...

    async def unload(self) -> None:
        """Gives the weights back once nothing works with them. Called when no request uses the engine."""


class Memory:
    """Which engines may have weights, at most `limit` bytes of them together.

    An engine that is in use is never unloaded: who needs its place waits, and those who come later wait behind, so that
    a model that is always asked does not keep another out for ever.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._uses: dict[Unloadable, int] = {}  # by engine that may have weights, the longest unused first
        self._lock = threading.Lock()
        self._turn = Slots(1)  # whoever makes room
        self._waiter: asyncio.Future[None] | None = None  # … and waits for an engine to be left

    @asynccontextmanager
    async def use(self, engine: Unloadable) -> AsyncIterator[None]:
        """Within it the engine may load, and is not unloaded. Raises `ConfigError` where it can never fit, and
        `OverloadedError` where there was no room for a minute."""
        if engine.size > self.limit:
            raise ConfigError(
                f"{engine.name} has {_gb(engine.size)} of weights, more than [local] memory allows "
                f"({_gb(self.limit)}): raise that, or name a smaller model"
            )
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.take(1)
                try:
                    await self._make_room(engine)
                finally:
                    self._turn.give(1)
        except TimeoutError:
            busy = ", ".join(sorted(e.name for e, uses in self._uses.items() if uses))
            raise OverloadedError(
                f"{engine.name}: no room for its weights within {WAIT_S:.0f} s, as {busy or 'others'} had requests "
                "under way. Ask again later, or raise [local] memory",
                provider="local",
            ) from None
        try:
            yield
        finally:
            self._leave(engine)

    async def _make_room(self, engine: Unloadable) -> None:
        while not self._enter(engine):
            idle = self._idle()
            if idle is not None:
                await _to_the_end(idle.unload())
                with self._lock:
                    del self._uses[idle]
            elif (waiter := self._wait()) is not None:
                await waiter

    def _enter(self, engine: Unloadable) -> bool:
        with self._lock:
            if engine not in self._uses and sum(e.size for e in self._uses) + engine.size > self.limit:
                return False
            self._uses[engine] = self._uses.pop(engine, 0) + 1
            return True

    def _leave(self, engine: Unloadable) -> None:
        with self._lock:
            self._uses[engine] = self._uses.pop(engine) - 1
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            with suppress(RuntimeError):  # its loop has been closed while it waited
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    def _idle(self) -> Unloadable | None:
        """The longest unused. One whose weights could not be loaded goes first."""
        with self._lock:
            return min((e for e, uses in self._uses.items() if not uses), key=lambda e: e.loaded, default=None)

    def _wait(self) -> asyncio.Future[None] | None:
        """Done when an engine is left next. None where one has been, meanwhile."""
        with self._lock:
            if not all(self._uses.values()):
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            return self._waiter


class Kept(Wrapper):
    """A model whose engines are within `memory`; `engine_for` says which one a request is for."""

    def __init__(self, inner: Model, engine_for: Callable[[Request], Unloadable], memory: Memory) -> None:
        super().__init__(inner)
        self.engine_for, self.memory = engine_for, memory

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.inner.require(request)
        engine = self.engine_for(request)
        async with self.memory.use(engine), aclosing(self.inner.stream(request)) as events:
            async for event in events:
                yield event


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """What has begun to unload is unloaded, also where nobody waits for it any more."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.3g} GB"
