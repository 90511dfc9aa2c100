"""A model whose every answer is a script of steps in time, and which knows who asked it how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from trivet.errors import TrivetError
from trivet.model import About, Model
from trivet.types import ChatResponse, Choice, Done, Event, Request, Start, TextDelta, assistant

HANGS_S = 1e6


class Script(NamedTuple):
    """`steps` are seconds to wait, or "text", a piece of content; then it raises `end`, or completes where that is
    None, or just stops ("cut")."""

    steps: Sequence[float | str]
    end: TrivetError | str | None = None


class Scripted(Model):
    """The n-th request gets the n-th script, from the start again after the last. What it says names the model, the
    request, and the piece. `asked` and `failed` count by the request's id; `open` are those under way."""

    def __init__(self, name: str, scripts: Sequence[Script]) -> None:
        self._about = About(name=name, tasks=("chat",), where="test")
        self.scripts = scripts
        self.asked: Counter[str | None] = Counter()
        self.failed: Counter[str | None] = Counter()
        self.open = 0

    @property
    def about(self) -> About:
        return self._about

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        name, number = self.about.name, self.asked.total()
        self.asked[request.context.id] += 1
        self.open += 1
        said: list[str] = []
        try:
            script = self.scripts[number % len(self.scripts)]
            yield Start(model=name)
            for step in script.steps:
                if isinstance(step, str):
                    said.append(f"[{name} {number} {len(said)}]")
                    yield TextDelta(text=said[-1])
                else:
                    await asyncio.sleep(step)
            self.failed[request.context.id] += script.end is not None
            if isinstance(script.end, TrivetError):
                raise type(script.end)(script.end.message, **_also(script.end))
            if script.end is None:
                choice = Choice(message=assistant("".join(said)), finish_reason="stop")
                yield Done(response=ChatResponse(model=name, choices=(choice,)))
        finally:
            self.open -= 1


def _also(error: TrivetError) -> dict[str, float]:
    wait_s = getattr(error, "retry_after_s", None)
    return {} if wait_s is None else {"retry_after_s": wait_s}
