"""Serves fakes as `trivet serve` serves models, until it is sent a signal: for tests of what signals do.

`gated` says `one`, and ` two` only after SIGUSR1; `hello` says Hello.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any, cast

from tests.servers import Fakes
from trivet.config import Config, ServerSettings
from trivet.fake import Fake
from trivet.model import Wrapper
from trivet.server import run
from trivet.types import Done, Event, Request


class Gated(Wrapper):
    """Holds back the end of each answer until SIGUSR1."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        opened = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, opened.set)
        seen = 0
        async for event in self.inner.stream(request):
            if seen == 2 or isinstance(event, Done):  # what comes after Start and the first piece
                await opened.wait()
            seen += 1
            yield event


def main() -> None:
    runtime: Any = Fakes({"hello": Fake("Hello"), "gated": Gated(Fake(lambda request: ["one", " two"]))})
    runtime.config = Config()
    run.serve(cast(Any, runtime), ServerSettings(port=0, grace_s=float(sys.argv[1])))


if __name__ == "__main__":
    main()
