"""Another configuration for a server that goes on: read whole, refused whole where anything in it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from trivet.errors import ConfigError
from trivet.runtime import Runtime
from trivet.server.security import Keys, check_open

if TYPE_CHECKING:
    from trivet.config import Config, ServerSettings
    from trivet.server.app import App

__all__ = ["Reload"]

Read = Callable[[], tuple["Config", "ServerSettings"]]


class Reload:
    """Called, it swaps what `read` gives into `application`; `after` is awaited with the new runtime, to look for what
    is there.

    Requests under way end with the models that they began with. Providers whose settings are the same go on, with
    their connections and loaded weights; the others are closed when nobody uses them any more."""

    def __init__(
        self, application: App, settings: ServerSettings, read: Read, after: Callable[[Runtime], Awaitable[None]]
    ) -> None:
        self._application, self._settings, self._read, self._after = application, settings, read, after
        self._one = asyncio.Lock()
        self._closing: set[asyncio.Future[None]] = set()

    async def __call__(self) -> list[str]:
        """Lines that say what came of it. Raises `ConfigError` with everything that is wrong, and then all is as it
        was."""
        async with self._one:
            config, settings = await asyncio.to_thread(self._read)
            new, old = Runtime(config), self._application.runtime
            new.counting.serving = True
            stored = old.counting.keys
            new.inherit(old)
            keys = Keys(settings.keys, new.counting.keys)
            try:
                if stored.problem and stored.path == new.counting.keys.path and not new.counting.keys.closed:
                    raise ConfigError(stored.problem)  # without its keys everybody might come in
                check_open(self._settings.host, keys)  # the socket stays where it is
                problems = new.problems()
                if problems:
                    raise ConfigError("; ".join(map(str, problems.values())), status=400)
            except BaseException:
                new.give_back(old)
                await new.close()
                raise
            under_way = self._application.swap(new, keys, int(settings.max_body_mb * 1e6))
            closing = asyncio.ensure_future(self._close(old, under_way))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await self._after(new)
            lines = [f"reloaded {config.path or 'without a file'}: {len(config.models)} names of its own"]
            for name in ("host", "port", "grace_s"):
                if getattr(settings, name) != getattr(self._settings, name):
                    lines.append(f"[server] {name} is as it was until the next start")
            return lines

    async def close(self) -> None:
        """Waits a moment for the runtimes that are being closed."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=2)

    async def _close(self, old: Runtime, under_way: Callable[[], Awaitable[None]]) -> None:
        await under_way()
        await old.close()
