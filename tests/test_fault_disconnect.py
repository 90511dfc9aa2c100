"""A client that leaves is seen to leave by the provider, at whichever stage, and what would have come next does not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.faults import FIRST, Faults, faulty
from tests.servers import CEILING_S, Served, Watched, ask, read_until, serving
from tests.test_faults import providers
from trivet.adapt import retry
from trivet.adapt.build import routed
from trivet.adapt.settings import RouteSettings
from trivet.providers.hosted import Hosted

PROTOCOLS = ("anthropic", "openai-chat", "openai", "gemini")


class Asked(NamedTuple):
    server: Served
    up: Faults
    there: dict[str, Hosted]


@pytest.fixture(scope="module")
def served() -> Iterator[Asked]:
    with faulty() as faults, serving({}) as server:
        there = providers(faults.url)
        yield Asked(server, faults, there)
        for provider in there.values():
            asyncio.run_coroutine_threadsafe(provider.close(), server.loop).result(CEILING_S)


class Stage:
    """A client's request for the route over models that have `faults`, in their order."""

    def __init__(self, served: Asked, protocol: str, faults: list[str], **settings: float):
        self.server, self.up, there = served
        self.names = [f"{fault}@{self.up.counted.total()}-{i}" for i, fault in enumerate(faults)]
        models = [there[protocol].model(name) for name in self.names]
        self.watched = Watched(routed("m", models, RouteSettings(**settings)))  # type: ignore[arg-type]
        self.server.runtime.models["m"] = self.watched

    def ask(self, stream: bool) -> socket.socket:
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
        return ask(self.server.url, body)

    def leave(self, client: socket.socket) -> None:
        client.close()
        self.watched.wait_over()

    @property
    def asked(self) -> list[int]:
        return [self.up.counted[name] for name in self.names]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", ["hangs", "hangs-before-content"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_before_headers_and_before_content(served: Asked, protocol: str, fault: str, stream: bool) -> None:
    stage = Stage(served, protocol, [fault, "healthy"])
    client = stage.ask(stream)
    stage.up.wait_begun()
    stage.leave(client)
    stage.up.wait_left()
    assert stage.asked == [1, 0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_in_mid_stream(served: Asked, protocol: str) -> None:
    stage = Stage(served, protocol, ["hangs-in-mid-answer", "healthy"])
    client = stage.ask(True)
    read_until(client, FIRST.encode())
    stage.up.wait_begun()
    stage.leave(client)
    stage.up.wait_left()
    assert stage.asked == [1, 0]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_while_a_retry_waits(served: Asked, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = asyncio.Event()

    class Long:
        @staticmethod
        def uniform(least: float, most: float) -> float:
            stage.server.loop.call_soon(waits.set)
            return CEILING_S - 1

    monkeypatch.setattr(retry, "_random", Long)
    stage = Stage(served, "anthropic", ["500"])
    monkeypatch.setattr(stage.watched.inner.targets[0].model, "patience_s", CEILING_S)  # type: ignore[attr-defined]
    client = stage.ask(stream)
    asyncio.run_coroutine_threadsafe(waits.wait(), stage.server.loop).result(CEILING_S)
    stage.up.wait_begun()
    stage.leave(client)
    assert stage.asked == [1]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_during_a_hedge_both_are_left(served: Asked, stream: bool) -> None:
    stage = Stage(served, "openai-chat", ["hangs", "hangs-before-content"], hedge_s=0.01)
    client = stage.ask(stream)
    stage.up.wait_begun()
    stage.up.wait_begun()
    stage.leave(client)
    stage.up.wait_left()
    stage.up.wait_left()
    assert stage.asked == [1, 1]


def test_the_one_that_a_hedge_beat_is_left(served: Asked) -> None:
    stage = Stage(served, "gemini", ["hangs", "healthy"], hedge_s=0.01)
    client = stage.ask(False)
    read_until(client, b"The Seine.")
    stage.up.wait_begun()
    stage.up.wait_begun()
    stage.leave(client)
    stage.up.wait_left()
    assert stage.asked == [1, 1]
