"""A number of slots, given out in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import threading
from collections import deque


class Slots:
    """Like a semaphore, but a request may take several slots at once, nobody overtakes it while it waits for them, and
    they can be given back from any thread: a slot is free when the engine has let go of it, not when its client left.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def busy(self) -> int:
        return self.total - self.free

    async def take(self, number: int) -> None:
        """Waits for `number` slots, at most `total`. A cancelled wait leaves the queue."""
        with self._lock:
            if not self._waiting and number <= self.free:
                self.free -= number
                return
            place = number, asyncio.get_running_loop().create_future()
            self._waiting.append(place)
        try:
            await place[1]
        except asyncio.CancelledError:
            with self._lock:
                if place in self._waiting:
                    self._waiting.remove(place)
                    number = 0  # they were never ours
                self._give(number)
            raise

    def give(self, number: int) -> None:
        """Gives slots back, from any thread."""
        with self._lock:
            self._give(number)

    def _give(self, number: int) -> None:
        self.free += number
        while self._waiting and self._waiting[0][0] <= self.free:
            wanted, future = self._waiting.popleft()
            try:
                future.get_loop().call_soon_threadsafe(_wake, future)
            except RuntimeError:  # its loop has been closed while it waited
                continue
            self.free -= wanted


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
