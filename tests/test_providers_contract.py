"""What every hosted provider must do, whatever its protocol: each situation of tests/exchanges, whole and streamed;
errors, cuts, stalls, cancellation, keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest

import trivet.errors
from tests.exchange_files import SDKS, SITUATIONS, Exchange, errors, exchange, fits, pieces
from tests.upstream import CUT, STALL, Reply, upstream
from trivet.collect import Collector
from trivet.errors import AuthError, ConfigError, ProviderError, TransportError, TrivetError
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.hosted import Hosted
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, ChatResponse, Context, Done, Event, Message, Usage, from_json, replace

KEY = "sk-very-secret"


class Kind(NamedTuple):
    """A provider, and where it is asked, whole and streamed."""

    make: Callable[[ProviderSettings], Hosted]
    path: str
    stream_path: str | None = None


CHAT_PATH = "/v1/chat/completions"
KINDS = {
    "anthropic": Kind(lambda s: Anthropic(s, name="anthropic"), "/v1/messages"),
    "openai": Kind(lambda s: OpenAI(s, name="openai"), "/v1/responses"),
    "openai-chat": Kind(lambda s: OpenAI(s, name="openai"), CHAT_PATH),
    "compatible": Kind(lambda s: Compatible(s, name="openai-compatible"), CHAT_PATH),
    "openrouter": Kind(lambda s: Compatible(s, name="openrouter"), CHAT_PATH),
    "gemini": Kind(
        lambda s: Gemini(s, name="gemini"),
        "/v1/models/gemini-3-pro:generateContent",
        "/v1/models/gemini-3-pro:streamGenerateContent?alt=sse",
    ),
}
# What ends an answer: where it has come, nothing of the answer is missing, whatever should still follow.
ENDS = (b"message_stop", b'"finish_reason": "stop"', b"response.completed", b'"finishReason": "STOP"')
MATRIX = [(name, situation) for name in KINDS for situation in SITUATIONS]


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def provider(name: str, url: str, **settings: Any) -> Hosted:
    return KINDS[name].make(ProviderSettings(base_url=f"{url}/v1", api_key=KEY, **settings))


def asks(name: str, situation: str = "text", *, whole: bool = False) -> Chat:
    request = from_json(json.dumps(exchange(name, situation).asked), Chat)
    return replace(request, context=Context(whole=whole))


async def told(asked: Hosted, request: Chat) -> list[Event]:
    async with aclosing(asked.model(str(request.model)).stream(request)) as events:
        return [event async for event in events]


async def answered(name: str, *replies: Reply, request: Chat | None = None, **settings: Any) -> list[Event]:
    """The events of a request whose upstream says `replies`."""
    async with upstream(*replies) as up:
        asked = provider(name, up.url, **settings)
        try:
            return await told(asked, request or asks(name))
        finally:
            await asked.close()


async def fails(name: str, *replies: Reply, request: Chat | None = None, **settings: Any) -> TrivetError:
    with pytest.raises(TrivetError) as error:
        await answered(name, *replies, request=request, **settings)
    return error.value


def body(value: Any) -> Reply:
    return Reply(200, [json.dumps(value).encode()])


# --- each situation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "situation"), [(n, s) for n, s in MATRIX if s != "stream"])
async def test_asked_whole(name: str, situation: str) -> None:
    x = exchange(name, situation)
    async with upstream(body(x.response)) as up:
        asked = provider(name, up.url)
        (done,) = await told(asked, asks(name, situation, whole=True))
        await asked.close()
    assert (up.asked[0].method, up.asked[0].path) == ("POST", KINDS[name].path)
    assert up.asked[0].json == x.request
    holds(done, x)


@pytest.mark.parametrize(("name", "situation"), MATRIX)
async def test_streamed(name: str, situation: str) -> None:
    x = exchange(name, situation)
    async with upstream(Reply(200, pieces(name, situation))) as up:
        asked = provider(name, up.url)
        events = await told(asked, asks(name, situation))
        await asked.close()
    assert up.asked[0].path == (KINDS[name].stream_path or KINDS[name].path)
    assert up.asked[0].json == x.request | SDKS[name].streamed
    holds(events[-1], x)
    assert sum(isinstance(e, Done) for e in events) == 1
    collector = Collector()
    for event in events:
        collector.add(event)
    assert collector.content() == content(x)


def holds(done: Event, x: Exchange) -> None:
    """Everything that the response is to hold, and nothing else of these."""
    assert isinstance(done, Done)
    response = done.response
    assert isinstance(response, ChatResponse)
    assert (response.id, response.model) == (x.holds["id"], x.holds["model"])
    assert len(response.choices) == 1
    assert response.message == Message(role="assistant", content=content(x))
    assert response.finish_reason == x.holds["finish_reason"]
    assert response.usage == from_json(json.dumps(x.holds["usage"]), Usage)
    for note, begins in zip(response.notes, x.holds.get("notes", []), strict=True):
        assert note.startswith(begins)


def content(x: Exchange) -> tuple[Any, ...]:
    return from_json(json.dumps({"role": "assistant", "content": x.holds["content"]}), Message).content


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "row"),
    [pytest.param(n, row, id=f"{n}-{row['status']}-{row['error']}") for n in KINDS for row in errors(n)],
)
async def test_each_error_is_one_of_its_own(name: str, row: dict[str, Any]) -> None:
    error = await fails(name, Reply(row["status"], [json.dumps(row["body"]).encode()], row.get("headers", {})))
    assert not row.get("typed", True) or fits(name, SDKS[name].error, row["body"]["error"])
    assert type(error) is getattr(trivet.errors, row["error"])
    for field in ("field", "prompt_tokens", "context_tokens", "retry_after_s"):
        assert getattr(error, field, None) == row.get(field)
    if isinstance(error, AuthError):
        assert error.status == 502  # the client's own key was right
    else:
        assert row["body"]["error"]["message"] in str(error)


async def test_a_wrong_key_is_told_without_the_key_or_the_body(name: str) -> None:
    refused = {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "authentication_error"}}
    assert KEY not in str(await fails(name, Reply(401, [json.dumps(refused).encode()])))


@pytest.mark.parametrize("told", [b"", b"<html>bad gateway</html>", b"{}", b"[1]", b'{"error": 7}', b"\xff"])
@pytest.mark.parametrize("status", [400, 502])
async def test_an_error_of_no_known_shape_is_still_one(name: str, status: int, told: bytes) -> None:
    assert str(status) in str(await fails(name, Reply(status, [told])))


@pytest.mark.parametrize("told", [b"", b"<html>", b"[]", b'{"x": 1}'])
async def test_an_answer_of_no_known_shape_is_a_provider_error(name: str, told: bytes) -> None:
    assert isinstance(await fails(name, Reply(200, [told]), request=asks(name, whole=True)), ProviderError)


# --- streams that end badly, or are left -------------------------------------------------------------------------


async def test_a_stream_cut_anywhere_is_an_error_and_never_an_end(name: str) -> None:
    stream = pieces(name, "text")
    complete = next(i for i, piece in enumerate(stream) if any(end in piece for end in ENDS))  # so says the protocol
    whole = b"".join(stream)
    for at in {1, len(whole) // 4, len(b"".join(stream[:complete]))}:
        for ending in ("end", CUT):
            assert isinstance(await fails(name, Reply(200, [whole[:at]], ending=ending)), TransportError)


async def test_a_stream_that_stalls_is_an_error(name: str) -> None:
    stream = pieces(name, "text")
    error = await fails(name, Reply(200, stream[: len(stream) // 2], ending=STALL), between_bytes_s=0.02)
    assert isinstance(error, TransportError)
    assert "nothing more came for 0.02 s in mid-answer" in str(error)


async def test_bytes_cut_one_by_one_make_the_same_answer(name: str) -> None:
    whole = b"".join(pieces(name, "parallel_tools"))
    request = asks(name, "parallel_tools")
    events = await answered(name, Reply(200, [whole[i : i + 1] for i in range(len(whole))]), request=request)
    holds(events[-1], exchange(name, "parallel_tools"))


async def test_leaving_early_closes_the_connection(name: str) -> None:
    stream = pieces(name, "text")
    async with upstream(Reply(200, stream[:-1], ending=STALL)) as up:
        asked = provider(name, up.url)
        request = asks(name)
        async with aclosing(asked.model(str(request.model)).stream(request)) as events:
            async for event in events:
                if event.content:
                    break
        await up.left.wait()
        await asked.close()


# --- keys and bytes --------------------------------------------------------------------------------------------


async def test_without_a_key_it_says_what_to_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = KINDS[name].make(ProviderSettings(base_url="http://127.0.0.1:9/v1"))
    if asked.key_variable is None:
        assert not asked.needs_key
        return
    monkeypatch.delenv(asked.key_variable, raising=False)
    with pytest.raises(ConfigError, match=f"set {asked.key_variable}"):
        await asked.model("m").call(asks(name))


async def test_the_same_request_is_the_same_bytes(name: str) -> None:
    async with upstream(Reply(200, pieces(name, "parallel_tools"))) as up:
        asked = provider(name, up.url)
        for _ in range(2):
            await told(asked, asks(name, "parallel_tools"))
        await asked.close()
    assert up.asked[0].body == up.asked[1].body
    assert KEY not in up.asked[0].body.decode()
    assert KEY in " ".join(up.asked[0].headers.values())
