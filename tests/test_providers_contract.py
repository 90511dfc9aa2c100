"""What every hosted provider must do, whatever its protocol: errors, cuts, stalls, cancellation, keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest

from tests.upstream import CUT, STALL, Reply, sse, upstream
from trivet.errors import (
    AuthError,
    ConfigError,
    ContextLengthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    RequestError,
    TransportError,
    TrivetError,
    UnknownModelError,
)
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.hosted import Hosted
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, ChatResponse, Context, Done, Event, Sampling, TextDelta, user

HI = Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=9))
KEY = "sk-very-secret"


class Kind(NamedTuple):
    """A provider, and its protocol's words for an answer "Hello", whole and streamed, and for errors."""

    make: Callable[[ProviderSettings], Hosted]
    whole: dict[str, Any]
    stream: list[bytes]
    error: Callable[[int, str], dict[str, Any]]
    too_long: tuple[str, str | None]  # what it says, and the code that goes with it


def openai_error(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def anthropic_error(status: int, message: str) -> dict[str, Any]:
    types = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": types.get(status, "invalid_request_error"), "message": message}}


def gemini_error(status: int, message: str) -> dict[str, Any]:
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": status, "message": message, "status": names.get(status, "INTERNAL")}}


CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
OPENAI_CHAT_WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
OPENAI_CHAT_STREAM = sse(
    {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {**CHUNK, "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
    {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**CHUNK, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
    "[DONE]",
)
RESPONSE = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "error": None, "incomplete_details": None}
ITEM = {"id": "msg_1", "type": "message", "role": "assistant"}
TEXT = {"type": "output_text", "text": "Hello", "annotations": []}
RESPONSES_USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 1,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 6,
}
RESPONSES_DONE = {
    **RESPONSE,
    "status": "completed",
    "output": [{**ITEM, "status": "completed", "content": [TEXT]}],
    "usage": RESPONSES_USAGE,
}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
RESPONSES_STREAM = sse(
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {
        "type": "response.output_item.added",
        "sequence_number": 1,
        "output_index": 0,
        "item": {**ITEM, "status": "in_progress", "content": []},
    },
    {"type": "response.content_part.added", "sequence_number": 2, **AT, "part": {**TEXT, "text": ""}},
    {"type": "response.output_text.delta", "sequence_number": 3, **AT, "delta": "Hello", "logprobs": []},
    {"type": "response.output_text.done", "sequence_number": 4, **AT, "text": "Hello", "logprobs": []},
    {"type": "response.content_part.done", "sequence_number": 5, **AT, "part": TEXT},
    {
        "type": "response.output_item.done",
        "sequence_number": 6,
        "output_index": 0,
        "item": {**ITEM, "status": "completed", "content": [TEXT]},
    },
    {"type": "response.completed", "sequence_number": 7, "response": RESPONSES_DONE},
    names=True,
)
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
ANTHROPIC_STREAM = sse(
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 1},
    },
    {"type": "message_stop"},
    names=True,
)
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}
GEMINI_WHOLE = {
    "candidates": [CANDIDATE],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
    "modelVersion": "m",
    "responseId": "g1",
}

KINDS = {
    "anthropic": Kind(
        lambda s: Anthropic(s, name="anthropic"),
        {
            **MESSAGE,
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 5, "output_tokens": 1},
        },
        ANTHROPIC_STREAM,
        anthropic_error,
        ("prompt is too long: 215000 tokens > 200000 maximum", None),
    ),
    "openai": Kind(
        lambda s: OpenAI(s, name="openai"),
        RESPONSES_DONE,
        RESPONSES_STREAM,
        openai_error,
        ("Your input exceeds the context window of this model.", "context_length_exceeded"),
    ),
    "compatible": Kind(
        lambda s: Compatible(s, name="openai-compatible"),
        OPENAI_CHAT_WHOLE,
        OPENAI_CHAT_STREAM,
        openai_error,
        (
            "This model's maximum context length is 200000 tokens. However, your messages resulted in 215000 tokens.",
            "context_length_exceeded",
        ),
    ),
    "gemini": Kind(
        lambda s: Gemini(s, name="gemini"),
        GEMINI_WHOLE,
        sse(
            {
                **GEMINI_WHOLE,
                "candidates": [
                    {**CANDIDATE, "content": {"role": "model", "parts": [{"text": "Hel"}]}, "finishReason": None}
                ],
            },
            {**GEMINI_WHOLE, "candidates": [{**CANDIDATE, "content": {"role": "model", "parts": [{"text": "lo"}]}}]},
        ),
        gemini_error,
        ("The input token count (215000) exceeds the maximum number of tokens allowed (200000).", None),
    ),
}

# What ends an answer: where it has come, nothing of the answer is missing, whatever should still follow.
ENDS = (b"message_stop", b'"finish_reason": "stop"', b"response.completed", b'"finishReason": "STOP"')


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def provider(kind: Kind, url: str) -> Hosted:
    return kind.make(ProviderSettings(base_url=f"{url}/v1", api_key=KEY))


async def told(kind: Kind, *replies: Reply, request: Chat = HI) -> list[Event]:
    """The events of a stream whose upstream says `replies`."""
    async with upstream(*replies) as up:
        asked = provider(kind, up.url)
        try:
            async with aclosing(asked.model("m").stream(request)) as events:
                return [event async for event in events]
        finally:
            await asked.close()


async def fails(kind: Kind, *replies: Reply, request: Chat = HI) -> TrivetError:
    with pytest.raises(TrivetError) as error:
        await told(kind, *replies, request=request)
    return error.value


def failing(kind: Kind, status: int, message: str = "no", **headers: str) -> Reply:
    return Reply(status, [json.dumps(kind.error(status, message)).encode()], headers)


async def test_a_whole_answer(kind: Kind) -> None:
    whole = HI.__class__(messages=HI.messages, sampling=HI.sampling, context=Context(whole=True))
    (done,) = await told(kind, Reply(200, [json.dumps(kind.whole).encode()]), request=whole)
    assert isinstance(done, Done)
    assert isinstance(done.response, ChatResponse)
    assert (done.response.text, done.response.finish_reason) == ("Hello", "stop")
    assert (done.response.usage.input_tokens, done.response.usage.output_tokens) == (5, 1)


async def test_a_streamed_answer(kind: Kind) -> None:
    events = await told(kind, Reply(200, kind.stream))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello"
    assert isinstance(events[-1], Done)
    assert sum(isinstance(e, Done) for e in events) == 1
    response = events[-1].response
    assert isinstance(response, ChatResponse)
    assert (response.text, response.usage.input_tokens, response.usage.output_tokens) == ("Hello", 5, 1)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestError),
        (401, AuthError),
        (403, AuthError),
        (429, RateLimitError),
        (500, ProviderError),
        (503, OverloadedError),
        (529, OverloadedError),
    ],
)
async def test_each_status_is_an_error_of_its_own(kind: Kind, status: int, error: type[TrivetError]) -> None:
    assert type(await fails(kind, failing(kind, status))) is error


async def test_the_providers_words_are_told(kind: Kind) -> None:
    assert "temperature: too hot" in str(await fails(kind, failing(kind, 400, "temperature: too hot")))


async def test_a_wrong_key_is_told_without_the_key_or_the_body(kind: Kind) -> None:
    error = await fails(kind, failing(kind, 401, f"Incorrect API key provided: {KEY}"))
    assert KEY not in str(error)
    assert error.status == 502  # the client's own key was right


async def test_a_rate_limit_says_how_long_to_wait(kind: Kind) -> None:
    error = await fails(kind, failing(kind, 429, "slow", **{"retry-after": "7"}))
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == 7


async def test_an_unknown_model_is_told_as_one(kind: Kind) -> None:
    assert isinstance(await fails(kind, failing(kind, 404, "model: m not found")), UnknownModelError)


async def test_a_prompt_too_long_is_told_as_one(kind: Kind) -> None:
    message, code = kind.too_long
    body = kind.error(400, message)
    if code:
        body["error"]["code"] = code
    error = await fails(kind, Reply(400, [json.dumps(body).encode()]))
    assert isinstance(error, ContextLengthError)
    if "215000" in message:
        assert (error.prompt_tokens, error.context_tokens) == (215000, 200000)


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"{}", b"[1]", b'{"error": 7}', b"\xff"])
@pytest.mark.parametrize("status", [400, 502])
async def test_an_error_of_no_known_shape_is_still_one(kind: Kind, status: int, body: bytes) -> None:
    assert str(status) in str(await fails(kind, Reply(status, [body])))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"x": 1}'])
async def test_an_answer_of_no_known_shape_is_a_provider_error(kind: Kind, body: bytes) -> None:
    whole = HI.__class__(messages=HI.messages, context=Context(whole=True), sampling=HI.sampling)
    assert isinstance(await fails(kind, Reply(200, [body]), request=whole), ProviderError)


async def test_a_stream_cut_anywhere_is_an_error_and_never_an_end(kind: Kind) -> None:
    whole = b"".join(kind.stream)
    complete = next(
        i for i, piece in enumerate(kind.stream) if any(end in piece for end in ENDS)
    )  # so says the protocol
    for at in {1, len(whole) // 4, len(b"".join(kind.stream[:complete]))}:
        for ending in ("end", CUT):
            assert isinstance(await fails(kind, Reply(200, [whole[:at]], ending=ending)), TransportError)


async def test_bytes_cut_one_by_one_make_the_same_answer(kind: Kind) -> None:
    whole = b"".join(kind.stream)
    events = await told(kind, Reply(200, [whole[i : i + 1] for i in range(len(whole))]))
    assert isinstance(events[-1], Done)
    assert isinstance(events[-1].response, ChatResponse)
    assert events[-1].response.text == "Hello"


async def test_leaving_early_closes_the_connection(kind: Kind) -> None:
    some = kind.stream[: max(1, len(kind.stream) // 2 + 1)] if len(kind.stream) > 2 else kind.stream[:1]
    async with upstream(Reply(200, some, ending=STALL)) as up:
        asked = provider(kind, up.url)
        async with aclosing(asked.model("m").stream(HI)) as events:
            async for event in events:
                if event.content:
                    break
        await up.left.wait()
        await asked.close()


async def test_without_a_key_it_says_what_to_set(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    asked = kind.make(ProviderSettings(base_url="http://127.0.0.1:9/v1"))
    if not asked.needs_key:
        return
    with pytest.raises(ConfigError, match=f"set {asked.key_variable}"):
        await asked.model("m").call(HI)


async def test_the_same_request_is_the_same_bytes(kind: Kind) -> None:
    async with upstream(Reply(200, kind.stream)) as up:
        asked = provider(kind, up.url)
        for _ in range(2):
            async with aclosing(asked.model("m").stream(HI)) as events:
                [event async for event in events]
        await asked.close()
    assert up.asked[0].body == up.asked[1].body
    assert KEY not in up.asked[0].body.decode()
    assert KEY in " ".join(up.asked[0].headers.values())
