"""A breaker against the table in its docstring, step by step, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.virtual_time import Loop
from trivet.adapt.breaker import Breaker
from trivet.errors import OverloadedError, RequestError, TrivetError, UnsupportedError, WeightsError
from trivet.model import About, Model
from trivet.types import Chat, ChatResponse, Done, Event, Request, Start, TextDelta, user

HI = Chat(messages=(user("Hi"),))
COOL_S = 15.0
FAILURES = (OverloadedError("busy"), WeightsError("missing"))
REFUSALS = (RequestError("wrong"), UnsupportedError("no tools"))
UNASKED = (UnsupportedError("no counterpart"),)
UNASKED[0].asked = False


class Told(Model):
    """Says what it is told to, request by request."""

    about = About(name="a/1", tasks=("chat",), where="test")  # type: ignore[assignment]

    def __init__(self) -> None:
        self.asked: list[asyncio.Queue[Event | TrivetError]] = []

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        queue: asyncio.Queue[Event | TrivetError] = asyncio.Queue()
        self.asked.append(queue)
        yield Start(model="a/1")
        while True:
            told = await queue.get()
            if isinstance(told, TrivetError):
                raise told
            yield told


class Reference:
    """The table, in its own words."""

    def __init__(self, window: int, least: int, rate: float) -> None:
        self.window, self.least, self.rate = window, least, rate
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self.outcomes: list[bool] = []  # True is a failure
        self.cools_s = 0.0
        self.probe: int | None = None
        self.closer: int | None = None  # the probe that has closed it counts as one that was asked after that
        self.since = 0  # requests from this number on were asked after the last change

    def lets_pass(self) -> bool:
        return self.state == "closed" or (self.state == "half-open" and self.probe is None)

    def asked(self, number: int) -> None:
        if self.state == "half-open":
            self.probe = number

    def passes(self, seconds: float) -> None:
        if self.state == "open":
            self.cools_s -= seconds
            if self.cools_s <= 0:
                self.state = "half-open"

    def hears(self, number: int, asked_now: int) -> None:
        """The first content, or a request found wrong."""
        if self.state == "half-open" and number == self.probe:
            self.changes("closed", asked_now)
            self.closer = number

    def comes_of(self, number: int, failed: bool, asked_now: int) -> None:
        if number < self.since and number != self.closer:
            return
        if self.state == "half-open" and number == self.probe:
            self.changes("open", asked_now)
        elif self.state == "closed":
            self.outcomes = [*self.outcomes, failed][-self.window :]
            if failed and len(self.outcomes) >= self.least and sum(self.outcomes) >= self.rate * len(self.outcomes):
                self.changes("open", asked_now)

    def changes(self, state: Literal["closed", "open"], asked_now: int) -> None:
        self.state, self.outcomes, self.probe, self.closer, self.cools_s = state, [], None, None, COOL_S
        self.since = asked_now

    def left(self, number: int) -> None:
        if number == self.probe:
            self.probe = None


class Asking:
    def __init__(self, number: int, task: asyncio.Task[TrivetError | None]) -> None:
        self.number, self.task, self.answered = number, task, False


class BreakerMachine(RuleBasedStateMachine):
    @initialize(window=st.integers(1, 4), least=st.integers(1, 3), rate=st.sampled_from([0.25, 0.5, 1.0]))
    def begins(self, window: int, least: int, rate: float) -> None:
        self.loop = Loop()
        self.told = Told()
        self.breaker = Breaker(self.told, window=window, least=least, rate=rate, cool_s=COOL_S)
        self.table = Reference(window, least, rate)
        self.under_way: list[Asking] = []

    @rule()
    def asks(self) -> None:
        asking = self._ask()
        if asking is not None:
            self.under_way.append(asking)

    @rule(error=st.none() | st.sampled_from(FAILURES), times=st.integers(1, 3))
    def asks_and_is_answered(self, error: TrivetError | None, times: int) -> None:
        """In one step, so that a window is soon full."""
        for _ in range(times):
            asking = self._ask()
            if asking is not None and error is None:
                self._is_done(asking)
            elif asking is not None and error is not None:
                self._fails(asking, error)

    @rule(seconds=st.sampled_from([COOL_S, COOL_S / 2]))
    def time_passes(self, seconds: float) -> None:
        self._settle(seconds)
        self.table.passes(seconds)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def has_content(self, data: Any) -> None:
        asking = data.draw(st.sampled_from(self.under_way))
        self._tells(asking, TextDelta(text="x"))
        self._hears(asking)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def is_done(self, data: Any) -> None:
        self._is_done(self._over(data))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), error=st.sampled_from(FAILURES))
    def fails(self, data: Any, error: TrivetError) -> None:
        self._fails(self._over(data), error)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), error=st.sampled_from(REFUSALS))
    def finds_the_request_wrong(self, data: Any, error: TrivetError) -> None:
        asking = self._over(data)
        self._tells(asking, error)
        self._hears(asking)
        self._ends(asking)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), error=st.sampled_from(UNASKED))
    def is_refused_before_it_is_asked(self, data: Any, error: TrivetError) -> None:
        asking = self._over(data)
        self._tells(asking, error)
        self._ends(asking)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def leaves(self, data: Any) -> None:
        asking = self._over(data)
        asking.task.cancel()
        self._settle()
        self._ends(asking)

    @invariant()
    def is_as_the_table_says(self) -> None:
        if hasattr(self, "loop"):
            assert self.loop.run_until_complete(self._state()) == (self.table.state, self.table.lets_pass())

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for asking in self.under_way:
                asking.task.cancel()
            self._settle()
            self.loop.close()

    def _ask(self) -> Asking | None:
        expected, before = self.table.lets_pass(), len(self.told.asked)
        task = self.loop.create_task(self._read())
        self._settle()
        assert (len(self.told.asked) > before) is expected
        if expected:
            self.table.asked(before)
            return Asking(before, task)
        error = task.result()
        assert isinstance(error, OverloadedError)
        assert not error.asked
        return None

    def _is_done(self, asking: Asking) -> None:
        self._tells(asking, Done(response=ChatResponse(model="a/1", choices=())))
        self._hears(asking)
        self._ends(asking)

    def _fails(self, asking: Asking, error: TrivetError) -> None:
        self._tells(asking, error)
        self.table.comes_of(asking.number, True, len(self.told.asked))
        self.table.left(asking.number)

    async def _read(self) -> TrivetError | None:
        try:
            await self.breaker.call(HI)
        except TrivetError as error:
            return error
        return None

    async def _state(self) -> tuple[str, bool]:
        return self.breaker.state, self.breaker.lets_pass

    def _settle(self, seconds: float = 0) -> None:
        async def turns() -> None:
            await asyncio.sleep(seconds)
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def _tells(self, asking: Asking, told: Event | TrivetError) -> None:
        self.told.asked[asking.number].put_nowait(told)
        self._settle()

    def _hears(self, asking: Asking) -> None:
        if not asking.answered:
            asking.answered = True
            self.table.hears(asking.number, len(self.told.asked))

    def _ends(self, asking: Asking) -> None:
        """Without a failure: one outcome, where it had content."""
        if asking.answered:
            self.table.comes_of(asking.number, False, len(self.told.asked))
        self.table.left(asking.number)

    def _over(self, data: Any) -> Asking:
        asking: Asking = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(asking)
        return asking


TestBreaker = BreakerMachine.TestCase
if settings.default.max_examples < 200:
    TestBreaker.settings = settings(max_examples=200)  # what is seldom takes a few steps in a row


def steps(least: int) -> BreakerMachine:
    """A machine whose steps are taken by hand, for what chance seldom comes to."""
    machine = BreakerMachine()
    machine.begins(window=6, least=least, rate=0.5)
    return machine


def test_failures_of_before_it_closed_are_forgotten() -> None:
    machine = steps(least=3)
    machine.asks_and_is_answered(FAILURES[0], 3)
    machine.time_passes(COOL_S)
    machine.asks_and_is_answered(None, 1)
    machine.asks_and_is_answered(FAILURES[0], 1)
    machine.is_as_the_table_says()
    assert machine.table.state == "closed"
    machine.teardown()


def test_who_was_asked_before_it_opened_does_not_keep_it_open() -> None:
    machine = steps(least=1)
    machine.asks()
    machine.asks_and_is_answered(FAILURES[0], 1)
    machine.time_passes(COOL_S / 2)
    machine._fails(machine.under_way.pop(), FAILURES[0])
    machine.time_passes(COOL_S / 2)
    machine.is_as_the_table_says()
    assert machine.table.state == "half-open"
    machine.teardown()
