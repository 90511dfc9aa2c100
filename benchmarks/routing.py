"""What a dead first target adds: a provider whose address refuses connections. The model that answers is one in
memory; all is in this process, one request at a time."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncGenerator, Callable

from benchmarks.pairs import Row, at_most, rounds
from trivet.adapt.breaker import Breaker
from trivet.adapt.route import Route, Target
from trivet.model import About, Model
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Done,
    Event,
    Request,
    Start,
    TextDelta,
    Usage,
    assistant,
    system,
    user,
)

REQUESTS = 100  # of one side in a round, in memory: so few that most rounds are not interrupted
ASKED = 20  # of a dead target
ROUNDS = 100
ALL = "all five"
CHAT = Chat(messages=(system("You are a helpful assistant. " * 10), user("Hello! " * 20)))
USAGE = Usage(uncached_input_tokens=119, cache_read_tokens=0, cache_write_tokens=0, output_tokens=54)
CHOICE = Choice(message=assistant("Hello!"), finish_reason="stop")
DONE = Done(response=ChatResponse(model="m", choices=(CHOICE,), usage=USAGE))
EVENTS: tuple[Event, ...] = (Start(model="m"), TextDelta(text="Hello!"), DONE)


class Ready(Model):
    """Has its answer ready."""

    about = About(name="m", tasks=("chat",), where="test")  # type: ignore[assignment]

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        for event in EVENTS:
            yield event


def routing() -> list[Row]:
    with asyncio.Runner() as runner:
        return failover(runner)


def failover(runner: asyncio.Runner) -> list[Row]:
    """A route whose first target refuses connections, less one without it. One whose breaker is open is not asked."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        provider = Compatible(ProviderSettings(base_url=url, kind="openai-compatible"), name="dead")
        breaker = Breaker(provider.model("m"), least=1, cool_s=1e9)
        sides: dict[str, Model] = {
            "alone": _route(Ready()),
            "connection refused": _route(provider.model("m"), Ready()),
            "its breaker open": _route(breaker, Ready()),
        }
        found = rounds("failover", {name: microseconds(runner, model, ASKED) for name, model in sides.items()}, ROUNDS)
        assert runner.run(_is_open(breaker))
        runner.run(provider.close())
    alone, rows = found.pop("alone"), []
    for most, (name, values) in zip((2.0, 0.1), found.items(), strict=True):
        added_ms = [(us - base) / 1000 for us, base in zip(values, alone, strict=True)]
        detail = f"{statistics.median(values) / 1000:.3f} against {statistics.median(alone) / 1000:.3f} ms"
        rows.append(
            at_most(most, "ms", f"failover from a dead first target, added: {name}", added_ms, detail, digits=3)
        )
    return rows


def _route(*models: Model) -> Model:
    return Route([Target(model) for model in models], name="r")


async def _is_open(breaker: Breaker) -> bool:
    return breaker.state == "open"


def microseconds(runner: asyncio.Runner, model: Model, times: int, chat: Chat = CHAT) -> Callable[[], float]:
    """What one request takes in the mean of so many, one after the other."""

    async def asks() -> float:
        began = time.perf_counter()
        for _ in range(times):
            await model.call(chat)
        return (time.perf_counter() - began) / times * 1e6

    return lambda: runner.run(asks())
