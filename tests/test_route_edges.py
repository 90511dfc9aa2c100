"""Corners of routes and reloads that a bad day finds: each was once wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import httpx2
import pytest
import uvloop

from tests.servers import Fakes, serving
from tests.virtual_time import in_virtual_time
from trivet.adapt.attempts import Trail, now
from trivet.adapt.build import routed
from trivet.adapt.race import Race
from trivet.adapt.route import Target
from trivet.adapt.settings import RouteSettings
from trivet.adapt.timeouts import Timeouts
from trivet.config import Config, ServerSettings
from trivet.errors import ConfigError, OverloadedError, TransportError
from trivet.fake import STALL, Fake
from trivet.model import About, Model
from trivet.runtime import Runtime
from trivet.server import told
from trivet.server.app import app
from trivet.server.reload import Reload
from trivet.types import Chat, Context, Event, Request, Start, replace, user

HI = Chat(messages=(user("Hi"),))
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def fake(name: str, replies: Any = "Hello") -> Fake:
    return Fake(replies, about=About(name=name, tasks=("chat",)))


# --- wrappers


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_when_time_is_up_what_is_ready_is_not_read_on(run: Any) -> None:
    """uvloop gives a time that has come another kind of handle."""

    async def read() -> None:
        late = replace(HI, context=Context(deadline_s=asyncio.get_running_loop().time() - 1))
        await Timeouts(fake("a/1", [["a", "b"]])).call(late)

    with pytest.raises(TransportError, match="which is all the time that it has"):
        run(read())


class _Breaks(Fake):
    """Fails in its own way when it is cancelled."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        try:
            await asyncio.sleep(100)
            yield Start(model="a/1")
        except asyncio.CancelledError:
            raise TransportError("could not be closed") from None


@in_virtual_time
async def test_a_timeout_leaves_no_cancellation_behind() -> None:
    with pytest.raises(TransportError, match="could not be closed"):
        await Timeouts(_Breaks(), total_s=1).call(HI)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@in_virtual_time
async def test_what_a_breaker_leaves_alone_is_not_waited_for() -> None:
    replies: list[Any] = [OverloadedError("busy")] * 5 + [[STALL]]
    model = routed("smart", [fake("a/1", replies), fake("b/2")], RouteSettings(retries=2))
    await model.call(HI)
    await model.call(HI)
    await asyncio.sleep(15)
    probe = asyncio.ensure_future(model.call(HI))
    await asyncio.sleep(0)
    began = now()
    response = await model.call(HI)
    assert [(a.model, a.outcome) for a in response.route] == [("a/1", "skipped"), ("b/2", "answered")]
    assert now() == began
    probe.cancel()


class _Lingers(Fake):
    """Takes its time to close, and is not to be hurried."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        async with aclosing(super().stream(request)) as events:
            try:
                async for event in events:
                    yield event
            finally:
                for _ in range(3):
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(1)


@in_virtual_time
async def test_cancelled_twice_the_winner_is_closed_too() -> None:
    slow = _Lingers([[STALL]], about=About(name="a/1", tasks=("chat",)))
    quick = fake("b/2", [["Hel", STALL]])
    targets = [Target(slow), Target(quick)]

    async def ask() -> None:
        async with aclosing(Race("smart", targets, HI, Trail())) as race:
            await race.won(1)

    task = asyncio.ensure_future(ask())
    for _ in range(2):  # it has won after 1 s, and the other one is being closed
        await asyncio.sleep(1.2 if not task.cancelling() else 0.2)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (slow.open, quick.open, [t.in_flight for t in targets]) == (0, 0, [0, 0])


# --- headers


def test_a_reason_with_control_characters_is_still_a_header() -> None:
    models: list[Model] = [fake("up/0", [OverloadedError("\x1b[31mred\x1b[0m\x00\x7f\r\nx-evil: 1")]), fake("up/1")]
    with serving({"smart": routed("smart", models, RouteSettings(retries=0))}) as served:
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json={"model": "smart", **ASKED})
    assert (answer.status_code, answer.headers["x-trivet-model"]) == (200, "up/1")
    assert "red" in answer.headers.get_list("x-trivet-route")[0]
    assert "x-evil" not in answer.headers


def test_retry_after_is_in_whole_seconds() -> None:
    assert (b"retry-after", b"15") in told.of_error(OverloadedError("busy", retry_after_s=14.2837))
    assert (b"retry-after", b"1234568") in told.of_error(OverloadedError("busy", retry_after_s=1234567.5))


def test_an_error_before_content_names_nobody_as_the_one_who_answered() -> None:
    with serving({"plain": Fake([[TransportError("gone")]])}) as served:
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json={"model": "plain", "stream": True, **ASKED})
    assert answer.status_code == 502
    assert "x-trivet-model" not in answer.headers
    assert not [each for each in answer.headers.get_list("x-trivet-route") if "answered" in each]


# --- another configuration


async def _nothing(runtime: Runtime) -> None:
    pass


def _reload(settings: ServerSettings, new: ServerSettings) -> Reload:
    application = app(Runtime(), keys=settings.keys, loopback=False)
    return Reload(application, settings, lambda: (Config(), new), _nothing)


def test_a_server_that_others_reach_does_not_lose_its_keys() -> None:
    before = ServerSettings(host="0.0.0.0", keys=("k",))

    async def main() -> None:
        for host in ("0.0.0.0", "127.0.0.1"):  # the socket stays where it is
            with pytest.raises(ConfigError, match=r"others can reach 0\.0\.0\.0, so it takes a key"):
                await _reload(before, ServerSettings(host=host))()

    asyncio.run(main())


def test_what_goes_wrong_unforeseen_leaves_the_old_providers_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    reload = _reload(ServerSettings(), ServerSettings(keys=("k",)))
    old = reload._application.runtime
    local = old.provider("local")

    def broken(self: Runtime) -> Any:
        raise ImportError("a plug-in that does not import")

    monkeypatch.setattr(Runtime, "problems", broken)
    with pytest.raises(ImportError):
        asyncio.run(reload())
    assert reload._application.runtime is old
    assert old._providers.get("local") is local


def test_a_server_that_is_stopping_does_not_become_ready_again() -> None:
    application = app(Fakes({"default": Fake()}))  # type: ignore[arg-type]
    application.state = "draining"
    asyncio.run(application.warm())
    assert application.state == "draining"
