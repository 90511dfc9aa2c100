"""An event loop whose clock jumps: where nothing is ready, it is the time of the next timer. What waits for minutes is
tested in no time, and each test sees the same times."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumps(selectors.BaseSelector):
    """Looks at the real sockets (the loop's own pipe), and instead of waiting for them moves the clock on."""

    def __init__(self) -> None:
        self.real = selectors.DefaultSelector()
        self.now = 1000.0
        self.register, self.unregister = self.real.register, self.real.unregister  # type: ignore[method-assign]

    def select(self, timeout: float | None = None) -> Any:
        ready = self.real.select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and for no timer: the test would never end")
        if not ready and timeout:
            self.now += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey: ...  # type: ignore[empty-body]
    def unregister(self, fileobj: Any) -> selectors.SelectorKey: ...  # type: ignore[empty-body]
    def get_map(self) -> Any:
        return self.real.get_map()

    def close(self) -> None:
        self.real.close()


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumps = _Jumps()
        super().__init__(self.jumps)

    def time(self) -> float:
        return self.jumps.now


def run(test: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(test)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs in such a loop."""
    import functools

    @functools.wraps(test)
    def ran(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return ran
