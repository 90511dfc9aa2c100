"""What a client sees of each fault: the real server, the real providers, the official SDKs, a provider that fails."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from tests.fault_clients import Ask, clients
from tests.fault_table import CLIENTS, PAGE, ROWS, page, seen
from tests.faults import FAULTS, Faults, faulty
from tests.servers import CEILING_S, Served, serving
from trivet.adapt import retry
from trivet.adapt.build import routed
from trivet.adapt.settings import RouteSettings
from trivet.adapt.timeouts import Timeouts
from trivet.errors import TrivetError
from trivet.model import Model, Wrapper
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.hosted import Hosted
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Attempt, Done, Event, Request

SHORT_S = 0.05  # how long a hanging provider is waited for


class Bench(NamedTuple):
    """The server, the provider behind it, and that provider in each protocol: where it is, and where nobody is."""

    served: Served
    faults: Faults
    there: dict[str, Hosted]
    gone: dict[str, Hosted]


def providers(url: str) -> dict[str, Hosted]:
    def settings(path: str, kind: str | None = None) -> ProviderSettings:
        return ProviderSettings(base_url=url + path, api_key="k", kind=kind)

    return {
        "anthropic": Anthropic(settings("/v1"), name="up"),
        "openai-chat": Compatible(settings("/v1", "openai-compatible"), name="up"),
        "openai": OpenAI(settings("/v1"), name="up"),
        "gemini": Gemini(settings("/v1beta"), name="up"),
    }


class Noted(Wrapper):
    """Notes the attempts that are told."""

    route: tuple[Attempt, ...] = ()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        self.route = event.response.route
                    yield event
        except TrivetError as error:
            self.route = error.route
            raise


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with faulty() as faults, serving({}) as served, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        there, gone = providers(faults.url), providers(f"http://127.0.0.1:{closed.getsockname()[1]}")
        yield Bench(served, faults, there, gone)
        for provider in (*there.values(), *gone.values()):
            asyncio.run_coroutine_threadsafe(provider.close(), served.loop).result(CEILING_S)


@pytest.fixture(scope="module")
def asks(bench: Bench) -> Iterator[Mapping[str, Ask]]:
    with clients(bench.served.url) as made:
        yield made


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not wait, except for as long as they are told to."""
    monkeypatch.setattr(retry, "_random", SimpleNamespace(uniform=lambda least, most: least))


def failing(bench: Bench, fault: str, protocol: str, stream: bool, name: str) -> Model:
    """The model that has the fault. Who hangs in mid-answer has all the time to begin one."""
    if fault == "refuses":
        return bench.gone[protocol].model(name)
    model = bench.there[protocol].model(name)
    if fault == "hangs-in-mid-answer" and stream:
        return Timeouts(model, first_content_s=CEILING_S, gap_s=SHORT_S)
    return Timeouts(model, first_content_s=SHORT_S, whole_s=SHORT_S) if fault.startswith("hangs") else model


NEXT = dict(zip(CLIENTS, [*list(CLIENTS)[1:], next(iter(CLIENTS))], strict=True))
numbers = itertools.count()


@pytest.mark.parametrize("another", [False, True], ids=["alone", "another"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "translated"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", ROWS)
def test_every_fault(
    bench: Bench, asks: Mapping[str, Ask], fault: str, client: str, own: bool, stream: bool, another: bool
) -> None:
    protocol, number = client if own else NEXT[client], next(numbers)
    name, well = f"{fault}@{number}", f"healthy@{number}-behind"
    models = [failing(bench, fault, protocol, stream, name)]
    models += [bench.there[protocol].model(well)] if another else []
    model = bench.served.runtime.models["m"] = Noted(routed("m", models, RouteSettings(retries=1)))
    sees, outcomes = seen(fault, client, stream=stream, own=own, another=another)
    assert asks[client](stream) == sees
    assert [attempt.outcome for attempt in model.route] == outcomes
    asked = bench.faults.counted
    tried = sum(attempt.model == f"up/{name}" for attempt in model.route)
    if fault.startswith("hangs"):
        assert asked[name] <= tried  # one that was given up may never have got there
    else:
        assert asked[name] == (0 if fault == "refuses" else tried)
    assert asked[well] == len(model.route) - tried


def test_every_fault_has_a_row() -> None:
    assert set(ROWS) == {*FAULTS, "refuses"}


def test_the_page_is_what_is_tested() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.fault_table"
