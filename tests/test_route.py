"""Routes, retries, breakers and timeouts, over models that fail as they are told, on a clock that jumps."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from tests.virtual_time import in_virtual_time
from trivet.adapt.attempts import now
from trivet.adapt.breaker import Breaker
from trivet.adapt.build import routed
from trivet.adapt.policies import POLICIES, weighted
from trivet.adapt.retry import Retry
from trivet.adapt.route import Target
from trivet.adapt.sessions import session
from trivet.adapt.settings import RouteSettings
from trivet.adapt.timeouts import Timeouts
from trivet.errors import (
    AuthError,
    ConfigError,
    ContextLengthError,
    OverloadedError,
    RateLimitError,
    RequestError,
    TransportError,
    TrivetError,
    UnsupportedError,
)
from trivet.fake import CUT, STALL, Fake
from trivet.model import About, Model
from trivet.types import (
    Chat,
    Context,
    Document,
    Image,
    Opaque,
    Response,
    Start,
    Text,
    TextDelta,
    Tool,
    assistant,
    replace,
    user,
)
from trivet.wire import anthropic, gemini, openai_chat, openai_responses

HI = Chat(messages=(user("Hi"),))
PICTURE = Chat(messages=(user(Image(data=b"x", media_type="image/png")),))


def fake(name: str, replies: Any = "Hello", **about: Any) -> Fake:
    return Fake(replies, about=About(**{"name": name, "tasks": ("chat", "embed"), **about}))


def route(*models: Model, **settings: Any) -> Model:
    """One without retries and breakers, where the test is not about them."""
    return routed("smart", models, RouteSettings(**{"retries": 0, "breaker": False, **settings}))


def told(response: Response | TrivetError) -> list[tuple[str, str]]:
    return [(attempt.model, attempt.outcome) for attempt in response.route]


async def failing(model: Model, request: Chat = HI) -> TrivetError:
    with pytest.raises(TrivetError) as caught:
        await model.call(request)
    return caught.value


# --- falling back


@in_virtual_time
async def test_the_first_that_can_answers_and_the_attempts_are_told() -> None:
    dead, tired, well = fake("a/1", [TransportError("gone")]), fake("b/2", [OverloadedError("busy")]), fake("c/3")
    response = await route(dead, tired, well).call(HI)
    assert told(response) == [("a/1", "failed"), ("b/2", "failed"), ("c/3", "answered")]
    assert [attempt.reason for attempt in response.route] == ["gone", "busy", None]
    assert all(attempt.took_s is not None for attempt in response.route)
    assert (dead.open, tired.open) == (0, 0)


@in_virtual_time
async def test_a_start_tells_who_answers_and_what_was_before() -> None:
    async with aclosing(route(fake("a/1", [TransportError("gone")]), fake("b/2")).stream(HI)) as events:
        first = await anext(events)
    assert isinstance(first, Start)
    assert [(a.model, a.outcome) for a in first.route] == [("a/1", "failed"), ("b/2", "answered")]


@in_virtual_time
async def test_after_content_nothing_is_retried() -> None:
    cut, other = fake("a/1", [["Hel", TransportError("gone")]] * 3), fake("b/2")
    seen = []

    async def read() -> None:
        async with aclosing(routed("smart", [cut, other], RouteSettings()).stream(HI)) as events:
            async for event in events:
                seen.append(event)

    with pytest.raises(TransportError, match="gone") as caught:
        await read()
    assert [e.text for e in seen if isinstance(e, TextDelta)] == ["Hel"]
    assert told(caught.value) == [("a/1", "failed")]
    assert (len(cut.requests), other.requests) == (1, [])


@in_virtual_time
async def test_a_wrong_request_is_asked_of_nobody_else() -> None:
    other = fake("b/2")
    error = await failing(route(fake("a/1", [RequestError("no", field="messages")]), other))
    assert (str(error), told(error), other.requests) == ("no", [("a/1", "failed")], [])


@in_virtual_time
async def test_a_stream_that_ends_before_anything_is_a_failure() -> None:
    response = await route(fake("a/1", [[CUT]]), fake("b/2")).call(HI)
    assert told(response) == [("a/1", "failed"), ("b/2", "answered")]


@pytest.mark.parametrize(
    ("errors", "kind", "status"),
    [
        ([AuthError("key"), RateLimitError("slow", retry_after_s=9), OverloadedError("busy")], RateLimitError, 429),
        ([TransportError("gone"), OverloadedError("busy")], OverloadedError, 503),
        ([UnsupportedError("no tools"), TransportError("gone")], TransportError, 502),
        ([UnsupportedError("no tools"), AuthError("key")], AuthError, 502),
        ([ContextLengthError("long", prompt_tokens=9, context_tokens=5), UnsupportedError("x")], None, 400),
    ],
)
@in_virtual_time
async def test_when_all_fail_one_error_says_why_each_did(errors: list[Any], kind: Any, status: int) -> None:
    error = await failing(route(*(fake(f"a/{i}", [e]) for i, e in enumerate(errors))))
    assert error.status == status
    assert kind is None or isinstance(error, kind)
    assert "smart: no model of it has answered" in error.message
    for i, each in enumerate(errors):
        assert f"a/{i}: {each.message}" in error.message
    assert len(error.route) == len(errors)
    assert getattr(error, "retry_after_s", None) == (9 if kind is RateLimitError else None)


@in_virtual_time
async def test_an_alias_of_one_fails_with_that_ones_own_error() -> None:
    own = RateLimitError("slow")
    assert await failing(route(fake("a/1", [own]))) is own


# --- who can answer


@pytest.mark.parametrize(
    ("request_", "about", "why"),
    [
        (PICTURE, {}, "takes no image input"),
        (Chat(messages=(user(Document(data=b"x", media_type="application/pdf")),)), {}, "takes no document input"),
        (replace(HI, tools=(Tool(name="f"),)), {"tools": False}, "takes no tools"),
        (HI, {"tasks": ("embed",)}, "has no task 'chat'"),
        (
            Chat(messages=(user("x" * 80_000),)),
            {"context_tokens": 8192},
            "has room for 8,192 tokens, and the prompt has at least 10,000",
        ),
    ],
)
@in_virtual_time
async def test_a_target_that_cannot_is_skipped_and_the_response_says_why(request_: Any, about: Any, why: str) -> None:
    blind = fake("a/1", **about)
    able = fake("b/2", inputs=("text", "image", "document"), tools=True)
    response = await route(blind, able).call(request_)
    assert told(response) == [("a/1", "skipped"), ("b/2", "answered")]
    assert (response.route[0].reason, response.route[0].took_s, blind.requests) == (why, None, [])
    error = await failing(route(blind, fake("c/3", **about)), request_)
    assert isinstance(error, UnsupportedError)
    assert f"a/1 {why}; c/3 {why}" in error.message


@in_virtual_time
async def test_what_one_provider_keeps_is_refused_where_there_are_several() -> None:
    kept = replace(HI, extra={"previous_response_id": "resp_1"})
    error = await failing(route(fake("a/1"), fake("b/2")), kept)
    assert isinstance(error, RequestError)
    assert (error.status, error.field) == (400, "previous_response_id")
    assert "smart stands for models of several (a, b)" in error.message
    assert told(await route(fake("a/1"), fake("a/2")).call(kept)) == [("a/1", "answered")]
    assert told(await route(fake("a/1"), fake("b/2")).call(replace(HI, extra={"background": False})))


OWN_FILES: dict[str, tuple[Any, dict[str, Any], str]] = {  # in the words of each protocol
    "anthropic": (
        anthropic,
        {
            "max_tokens": 1,
            "messages": [
                {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]}
            ],
        },
        "messages[0].content[0].source.file_id",
    ),
    "chat": (
        openai_chat,
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        "messages[0].content[0].file.file_id",
    ),
    "responses": (
        openai_responses,
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
        "messages[0].content[0].file_id",
    ),
    "responses, an item": (
        openai_responses,
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        "messages[0].content[0].id",
    ),
    "responses, a tool": (
        openai_responses,
        {"input": "q", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        "tools[0].vector_store_ids",
    ),
    "gemini": (
        gemini,
        {"contents": [{"parts": [{"text": "q"}, {"fileData": {"fileUri": "https://g.example/v1beta/files/abc"}}]}]},
        "messages[0].content[1].fileData.fileUri",
    ),
}


@pytest.mark.parametrize("case", OWN_FILES)
@in_virtual_time
async def test_so_is_a_file_of_its_own_in_what_the_user_says(case: str) -> None:
    wire, body, field = OWN_FILES[case]
    asked = wire.parse(json.dumps({"model": "m", **body}).encode()).request
    error = await failing(route(fake("a/1"), fake("b/2")), asked)
    assert isinstance(error, RequestError)
    assert (error.status, error.field) == (400, field)
    assert told(await route(fake("a/1"), fake("a/2")).call(asked)) == [("a/1", "answered")]


@pytest.mark.parametrize(
    "message",
    [
        user(Document(url="https://example.com/files/a.pdf"), Image(data=b"x", media_type="image/png")),
        user(Text(text="file_id", extra={"phase": "x"})),
        assistant(Opaque(provider="anthropic", raw={"type": "code_execution_result", "file_id": "file_1"})),
    ],
)
@in_virtual_time
async def test_what_asks_for_none_of_them_goes_on(message: Any) -> None:
    asked = Chat(messages=(user("q"), message))
    inputs = ("text", "image", "document")
    assert told(await route(fake("a/1", inputs=inputs), fake("b/2", inputs=inputs)).call(asked))


# --- in which order


@in_virtual_time
async def test_weights_are_shares_and_a_session_stays_where_it_is() -> None:
    a, b = fake("a/1"), fake("b/2")
    model = route(a, b, policy="weighted", weights=[3, 1])
    for n in range(400):
        await model.call(replace(HI, context=Context(session=str(n))))
    assert 250 < len(a.requests) < 350
    one = replace(HI, context=Context(session="one"))
    assert len({(await model.call(one)).route[-1].model for _ in range(20)}) == 1


def test_a_long_word_for_a_session_is_remembered_by_its_digest() -> None:
    words = [f"{'x' * 1_000_000}{n}" for n in range(2)]
    found = [session(replace(HI, cache_key=word)) for word in (*words, words[0])]
    assert found[0] == found[2] != found[1]
    assert all(each is not None and len(each) <= 128 for each in found)


def test_where_a_target_comes_other_sessions_stay() -> None:
    targets = [Target(fake(f"{n}/x")) for n in "abc"]
    asked = [replace(HI, context=Context(session=str(n))) for n in range(200)]
    before = [weighted(targets[:2], request)[0] for request in asked]
    after = [weighted(targets, request)[0] for request in asked]
    moved = [new for old, new in zip(before, after, strict=True) if old is not new]
    assert 30 < len(moved) < 110
    assert set(moved) == {targets[2]}


@in_virtual_time
async def test_least_busy() -> None:
    model = route(fake("a/1", [["one", STALL], "two"]), fake("b/2"), policy="least-busy")
    async with aclosing(model.stream(HI)) as events:
        await anext(events)
        assert told(await model.call(HI)) == [("b/2", "answered")]
    assert told(await model.call(HI)) == [("a/1", "answered")]


@in_virtual_time
async def test_fastest_measures_each_and_keeps_to_the_fastest() -> None:
    slow, quick = Fake("a b", delay_s=2, about=About(name="a/1", tasks=("chat",))), fake("b/2")
    model = route(slow, quick, policy="fastest")
    answered = [(await model.call(HI)).route[-1].model for _ in range(5)]
    assert answered == ["a/1", "b/2", "b/2", "b/2", "b/2"]


def test_cheapest_first_and_unknown_last() -> None:
    targets = [Target(fake(f"{p}/x"), price_usd=p) for p in (None, 3, 0, 1)]
    assert [t.price_usd for t in POLICIES["cheapest"](targets, HI)] == [0, 1, 3, None]


@in_virtual_time
async def test_sticky_goes_on_where_the_conversation_was() -> None:
    a, b = fake("a/1", [OverloadedError("busy"), "back", "again"]), fake("b/2")
    model = route(a, b, sticky=True)
    first = await model.call(HI)
    second = await model.call(replace(HI, messages=(*HI.messages, first.message, user("More"))))  # type: ignore[attr-defined]
    other = await model.call(Chat(messages=(user("Another conversation"),)))
    assert [r.route[-1].model for r in (first, second, other)] == ["b/2", "b/2", "a/1"]


# --- beside each other


@in_virtual_time
async def test_a_hedge_answers_where_the_first_is_slow_and_the_first_is_cancelled() -> None:
    slow, quick = fake("a/1", [[STALL]]), fake("b/2")
    response = await route(slow, quick, hedge_s=3).call(HI)
    assert told(response) == [("a/1", "cancelled"), ("b/2", "answered")]
    assert response.route[0].reason == "b/2 was sooner"
    assert response.route[0].took_s == pytest.approx(3)
    assert (slow.open, slow.log) == (0, ["start", "closed"])


@in_virtual_time
async def test_no_hedge_where_the_first_is_in_time() -> None:
    other = fake("b/2")
    response = await route(fake("a/1"), other, hedge_s=3).call(HI)
    assert (told(response), other.requests) == ([("a/1", "answered")], [])


@in_virtual_time
async def test_leaving_ends_all_that_are_asked() -> None:
    a, b = fake("a/1", [[STALL]]), fake("b/2", [[STALL]])
    task = asyncio.ensure_future(route(a, b, hedge_s=1).call(HI))
    await asyncio.sleep(2)
    assert (a.open, b.open) == (1, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (a.open, b.open) == (0, 0)


@in_virtual_time
async def test_a_hedge_that_fails_leaves_the_first_to_answer() -> None:
    slow = Fake(["a b"], delay_s=5, about=About(name="a/1", tasks=("chat",)))
    response = await route(slow, fake("b/2", [OverloadedError("busy")]), hedge_s=1).call(HI)
    assert told(response) == [("b/2", "failed"), ("a/1", "answered")]


# --- again


@in_virtual_time
async def test_retries_wait_longer_each_time_and_then_give_up() -> None:
    model, began = fake("a/1", [OverloadedError(str(n)) for n in range(4)]), now()
    error = await failing(Retry(model, retries=3, base_s=1, most_s=2))
    assert (error.message, told(error)) == ("3", [("a/1", "failed")] * 4)
    assert 0 < now() - began <= 1 + 2 + 2


@in_virtual_time
async def test_retry_after_is_kept_to() -> None:
    began = now()
    response = await Retry(fake("a/1", [RateLimitError("slow", retry_after_s=20), "Hello"])).call(HI)
    assert told(response) == [("a/1", "failed"), ("a/1", "answered")]
    assert 20 <= now() - began < 21


@pytest.mark.parametrize(
    ("error", "context"),
    [
        (RateLimitError("slow", retry_after_s=31), Context()),
        (RateLimitError("slow", retry_after_s=20), Context(deadline_s=1010)),
        (AuthError("key"), Context()),
        (RequestError("wrong"), Context()),
    ],
)
@in_virtual_time
async def test_what_is_not_asked_again(error: TrivetError, context: Context) -> None:
    model, began = fake("a/1", [error]), now()
    assert await failing(Retry(model), replace(HI, context=context)) is error
    assert (len(model.requests), now()) == (1, began)


# --- time


@in_virtual_time
async def test_no_content_in_time_is_a_failure_that_falls_back() -> None:
    hung = fake("a/1", [[STALL]])
    response = await route(hung, fake("b/2"), whole_s=5).call(HI)
    assert told(response) == [("a/1", "failed"), ("b/2", "answered")]
    assert response.route[0].reason == "a/1: nothing of an answer came for 5 s: ask again, or ask for less"
    assert response.route[0].took_s == pytest.approx(5)
    assert hung.log == ["start", "closed"]


@in_virtual_time
async def test_a_gap_in_mid_answer_is_the_end() -> None:
    error = await failing(Timeouts(fake("a/1", [["Hel", STALL]]), gap_s=7))
    assert "a/1: nothing more came for 7 s in mid-answer" in error.message


@in_virtual_time
async def test_slow_tokens_are_no_gap_and_a_slow_reader_is_none() -> None:
    model = Timeouts(Fake([["a", "b", "c"]], delay_s=4), first_content_s=10, gap_s=5)
    async with aclosing(model.stream(HI)) as events:
        async for _ in events:
            await asyncio.sleep(60)


@in_virtual_time
async def test_the_total_bounds_everything_retries_included() -> None:
    began = now()
    error = await failing(routed("smart", [fake("a/1", [[STALL]] * 9)], RouteSettings(whole_s=4, total_s=10)))
    assert now() - began <= 10
    assert [attempt.outcome for attempt in error.route][:2] == ["failed", "failed"]


@in_virtual_time
async def test_a_sooner_deadline_of_the_request_counts() -> None:
    began = now()
    await failing(Timeouts(fake("a/1", [[STALL]]), total_s=60), replace(HI, context=Context(deadline_s=now() + 2)))
    assert now() - began == pytest.approx(2)


# --- leaving alone


async def _asks(model: Model, times: int) -> list[str]:
    outcomes = []
    for _ in range(times):
        try:
            await model.call(HI)
        except TrivetError as error:
            outcomes.append("failed" if error.asked else "refused")
        else:
            outcomes.append("answered")
    return outcomes


@in_virtual_time
async def test_a_breaker_opens_half_opens_and_closes() -> None:
    down = True
    model = Breaker(fake("a/1", lambda request: _down() if down else "Hello"), window=10, least=4, rate=0.5, cool_s=15)
    assert await _asks(model, 6) == ["failed"] * 4 + ["refused"] * 2
    assert model.state == "open"
    await asyncio.sleep(15)
    assert model.state == "half-open"
    assert await _asks(model, 2) == ["failed", "refused"]  # the probe, and it opens again
    await asyncio.sleep(15)
    down = False
    assert await _asks(model, 3) == ["answered"] * 3
    assert model.state == "closed"


def _down() -> str:
    raise OverloadedError("busy")


@in_virtual_time
async def test_only_one_request_probes_and_one_that_leaves_frees_its_place() -> None:
    replies: list[Any] = [OverloadedError("busy")] * 2 + [["one", STALL], "Hello"]
    model = Breaker(fake("a/1", replies), least=2, cool_s=15)
    await _asks(model, 2)
    await asyncio.sleep(15)
    probe = asyncio.ensure_future(model.call(HI))
    await asyncio.sleep(0)
    async with aclosing(Breaker(fake("b/2", [[STALL]])).stream(HI)):
        pass
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await _asks(model, 1) == ["answered"]


@in_virtual_time
async def test_wrong_requests_and_clients_that_leave_open_no_breaker() -> None:
    model = Breaker(fake("a/1", [RequestError("wrong")] * 9), least=2)
    await _asks(model, 9)
    assert model.state == "closed"


@in_virtual_time
async def test_an_open_breaker_is_skipped_at_once_and_said_so() -> None:
    down = fake("a/1", [OverloadedError("busy")] * 5)
    model = routed("smart", [down, fake("b/2")], RouteSettings(retries=0))
    for _ in range(5):
        await model.call(HI)
    response = await model.call(HI)
    assert told(response) == [("a/1", "skipped"), ("b/2", "answered")]
    assert "a/1 is left alone, because it failed lately (its last error: busy)" in str(response.route[0].reason)


# --- what stands on what


def test_a_wrong_order_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="a/1: it asks again already, and retries in retries multiply"):
        Retry(Timeouts(Retry(fake("a/1"))))
    with pytest.raises(ConfigError, match=r"a/1: its time for everything .* count anew for each retry"):
        Retry(Timeouts(fake("a/1"), total_s=5))
    with pytest.raises(ConfigError, match="b/2: it has a breaker already"):
        Breaker(Retry(Breaker(fake("b/2"))))
    with pytest.raises(ConfigError, match=r"smart: it stands for several models, .* opens for all of them"):
        Breaker(Retry(route(fake("a/1"), fake("b/2"))))


@in_virtual_time
async def test_a_route_of_routes_tells_all_attempts_in_their_order() -> None:
    inner = routed(
        "inner", [fake("a/1", [TransportError("1")] * 3), fake("b/2", [TransportError("2")] * 3)], RouteSettings()
    )
    response = await routed("outer", [inner, fake("c/3")], RouteSettings()).call(HI)
    assert told(response) == [("a/1", "failed")] * 3 + [("b/2", "failed")] * 3 + [("c/3", "answered")]
