"""Routes under random faults, on a clock that jumps: what holds whatever happens."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import NamedTuple, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted import HANGS_S, Script, Scripted
from tests.virtual_time import run
from trivet.adapt.attempts import beneath, now
from trivet.adapt.build import routed
from trivet.adapt.route import Route
from trivet.adapt.settings import RouteSettings
from trivet.errors import AuthError, OverloadedError, RateLimitError, RequestError, TransportError, TrivetError
from trivet.model import Model
from trivet.types import Attempt, Chat, ChatResponse, Context, Done, Event, Start, TextDelta, user

T = TypeVar("T")
NAMES = ("a/1", "b/2", "c/3")
ERRORS = (
    TransportError("gone"),
    OverloadedError("busy"),
    RateLimitError("slow down"),
    RateLimitError("slow down", retry_after_s=2),
    RateLimitError("slow down", retry_after_s=100),
    AuthError("key"),
    RequestError("wrong"),
)
seconds = st.sampled_from([0.0, 0.1, 1.0, 2.0, 5.0, HANGS_S])  # the times below among them, so that things coincide
scripts = st.builds(
    Script,
    steps=st.lists(seconds | st.just("text"), max_size=4),
    end=st.sampled_from([None, None, "cut", *ERRORS]),
)
some_seconds = st.sampled_from([None, 0.1, 1.0, 2.0, 5.0])
routes = st.builds(
    RouteSettings,
    policy=st.sampled_from(["ordered", "weighted", "least-busy", "fastest", "cheapest"]),
    sticky=st.booleans(),
    retries=st.integers(0, 2),
    breaker=st.booleans(),
    hedge_s=some_seconds,
    first_content_s=some_seconds,
    gap_s=some_seconds,
    whole_s=some_seconds,
    total_s=some_seconds,
)


def some(each: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    return st.lists(each, min_size=1, max_size=3)


class Client(NamedTuple):
    """Comes after so many seconds, with so much time (None is no deadline); leaves after so many seconds, or events."""

    comes_s: float
    has_s: float | None
    leaves_s: float | None
    leaves_after: int | None


clients = st.builds(
    Client, comes_s=seconds.filter(lambda s: s < HANGS_S), has_s=some_seconds, leaves_s=some_seconds,
    leaves_after=st.none() | st.integers(1, 4),
)  # fmt: skip


class Outcome:
    """What a client got, and how long it took; `left` says that it did not wait for the end."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: TrivetError | None = None
        self.left = False
        self.took_s = 0.0

    @property
    def done(self) -> list[Done]:
        return [event for event in self.events if isinstance(event, Done)]

    @property
    def route(self) -> tuple[Attempt, ...]:
        return self.done[0].response.route if self.error is None else self.error.route


async def asks(model: Model, client: Client, id: str, outcome: Outcome) -> None:
    await asyncio.sleep(client.comes_s)
    began = now()
    deadline_s = None if client.has_s is None else began + client.has_s
    request = Chat(messages=(user("Hi"),), context=Context(id=id, deadline_s=deadline_s))
    try:
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                outcome.events.append(event)
                if client.leaves_after == len(outcome.events):
                    outcome.left = True
                    break
    except TrivetError as error:
        outcome.error = error
    except asyncio.CancelledError:
        outcome.left = True
        raise
    finally:
        outcome.took_s = now() - began


async def together(model: Model, several: list[Client]) -> list[Outcome]:
    outcomes = [Outcome() for _ in several]
    tasks = [
        asyncio.ensure_future(asks(model, client, str(i), outcome))
        for i, (client, outcome) in enumerate(zip(several, outcomes, strict=True))
    ]
    for client, task in zip(several, tasks, strict=True):
        if client.leaves_s is not None:
            asyncio.get_running_loop().call_later(client.comes_s + client.leaves_s, task.cancel)
    for told in await asyncio.gather(*tasks, return_exceptions=True):
        assert told is None or isinstance(told, asyncio.CancelledError), repr(told)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return outcomes


def is_one_outcome(outcome: Outcome) -> None:
    """One `Done`, last, or one error; nothing of both."""
    if outcome.left:
        assert outcome.error is None
    elif outcome.error is None:
        assert outcome.done == outcome.events[-1:]
        assert len(outcome.done) == 1
    assert outcome.error is None or not outcome.done


def is_of_one_answer(outcome: Outcome) -> None:
    """Content is one answer's, from its beginning, in order and once."""
    starts = [event.model for event in outcome.events if isinstance(event, Start)]
    said = "".join(event.text for event in outcome.events if isinstance(event, TextDelta))
    pieces = re.findall(r"\[(\S+) (\d+) (\d+)\]", said)
    assert len(starts) <= 1
    assert len({(name, number) for name, number, _ in pieces}) <= 1
    assert [int(i) for _, _, i in pieces] == list(range(len(pieces)))
    assert all(name == starts[0] for name, _, _ in pieces)
    for done in outcome.done:
        assert isinstance(done.response, ChatResponse)
        assert done.response.choices[0].message.text == said
        assert done.response.model == starts[0]


def tells_every_attempt(outcome: Outcome, id: str, fakes: list[Scripted]) -> None:
    """As many as there were, each target's; and who answered is the last, and alone."""
    if outcome.left:
        return
    for fake in fakes:
        made = [a for a in outcome.route if a.model == fake.about.name and a.outcome != "skipped"]
        assert len(made) == fake.asked[id], outcome.route
        assert sum(attempt.outcome == "failed" for attempt in made) >= fake.failed[id]  # or was given up as too late
        assert all(attempt.reason for attempt in made if attempt.outcome != "answered")
    answered = [i for i, attempt in enumerate(outcome.route) if attempt.outcome == "answered"]
    assert answered == ([len(outcome.route) - 1] if outcome.error is None else [])
    for event in outcome.events:
        if isinstance(event, Start):
            assert [(a.model, a.outcome) for a in event.route[:-1]] == [
                (a.model, a.outcome) for a in outcome.route[: len(event.route) - 1]
            ]


def is_in_time(outcome: Outcome, *bounds_s: float | None) -> None:
    for bound_s in bounds_s:
        assert bound_s is None or outcome.took_s <= bound_s + 1e-6


def nothing_is_open(model: Model, fakes: list[Scripted]) -> None:
    assert [fake.open for fake in fakes] == [0] * len(fakes)
    for route in beneath(model):
        if isinstance(route, Route):
            assert [target.in_flight for target in route.targets] == [0] * len(route.targets)


@settings(max_examples=max(settings.default.max_examples, 600))
@given(some(some(scripts)), routes, st.none() | routes, some(clients))
def test_whatever_happens(
    told: list[list[Script]], how: RouteSettings, inside: RouteSettings | None, several: list[Client]
) -> None:
    """`inside` is how the last two are asked, where they are a route themselves."""

    async def main() -> None:
        fakes = [Scripted(name, each) for name, each in zip(NAMES, told, strict=False)]
        models: list[Model] = list(fakes)
        if inside is not None:
            models = [*fakes[:-2], routed("inside", fakes[-2:], inside)]
        model = routed("smart", models, how)
        for i, (client, outcome) in enumerate(zip(several, await together(model, several), strict=True)):
            is_one_outcome(outcome)
            is_of_one_answer(outcome)
            tells_every_attempt(outcome, str(i), fakes)
            is_in_time(outcome, how.total_s, client.leaves_s, client.has_s if how.total_s else None)
        nothing_is_open(model, fakes)

    run(main())


def test_who_is_ended_as_soon_as_it_was_asked_is_told() -> None:
    """Two fail at the same moment: the first makes place for the third, and the second finds the request wrong."""

    async def main() -> None:
        first, second = Script([2.0], OverloadedError("busy")), Script([0.5], RequestError("wrong"))
        fakes = [Scripted(name, [each]) for name, each in zip(NAMES, (first, second, Script([5.0])), strict=True)]
        model = routed("smart", fakes, RouteSettings(retries=0, breaker=False, hedge_s=1.5))
        (outcome,) = await together(model, [Client(0, None, None, None)])
        tells_every_attempt(outcome, "0", fakes)
        assert isinstance(outcome.error, RequestError)
        nothing_is_open(model, fakes)

    run(main())
