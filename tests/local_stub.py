"""A provider in the place of `local`: scripted models, for what is above them. Put in by naming it in the registry.

`python tests/local_stub.py ARGS` is `trivet ARGS` over it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from trivet import registry
from trivet.errors import RateLimitError, UnknownModelError
from trivet.fake import STALL, Fake
from trivet.local.settings import LocalSettings
from trivet.model import About, Model, Provider
from trivet.types import ChatResponse, Choice, Embed, Request, assistant

WHERE = "tests.local_stub:LocalStub"


def echo(request: Request) -> list[object]:
    """System prompts and questions as they came, and the number of messages."""
    if isinstance(request, Embed):
        return []
    messages = getattr(request, "messages", ())
    return [f"{len(messages)}: ", " | ".join(m.text for m in messages)]


def cut(request: Request) -> ChatResponse:
    return ChatResponse(model="local/cut", choices=(Choice(message=assistant("half"), finish_reason="length"),))


SCRIPTS = {
    "smollm2": echo,
    "stalls": lambda request: ["begun ", STALL],
    "stalls-at-b": lambda request: ["begun ", STALL] if request.messages[-1].text == "b" else echo(request),  # type: ignore[attr-defined]
    "fails": lambda request: RateLimitError("slow\ndown"),
    "breaks": lambda request: ZeroDivisionError("a defect"),
    "cut": cut,
    "long": lambda request: ["word " * 20_000] * 100,
}


class LocalStub(Provider):
    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.made: dict[str, Fake] = {}
        self.closed = 0

    def names(self) -> tuple[str, ...]:
        return ("smollm2",)

    def model(self, name: str) -> Model:
        if name not in SCRIPTS:
            raise UnknownModelError("no such weights")
        return self._made(f"local/{name}", SCRIPTS[name])

    def at(self, path: str) -> Model:
        return self._made(path, "from a file")

    def prepare(self) -> None:
        pass

    def _made(self, name: str, script: object) -> Fake:
        if name not in self.made:
            tasks = ("chat", "complete", "count_tokens", "embed")
            self.made[name] = Fake(script, about=About(name=name, tasks=tasks, where="test"))  # type: ignore[arg-type]
        return self.made[name]

    async def close(self) -> None:
        self.closed += 1
        if "local/stalls" in self.made and "SLOW_CLOSE" in os.environ:
            print("closing", flush=True)
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    from trivet.cli import main

    registry.PROVIDERS["local"] = WHERE
    sys.exit(main())
