"""Anthropic as a provider: where it asks, with which headers, and what it keeps of the list of models. What all
providers share is in `test_providers_contract`."""

from __future__ import annotations

import json
from typing import Any

from tests.upstream import Reply, upstream
from trivet.providers.anthropic import Anthropic
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Chat,
    ChatResponse,
    Citation,
    Context,
    CountTokens,
    CountTokensResponse,
    Request,
    Response,
    Text,
    Thinking,
    assistant,
    replace,
    user,
)

HI = Chat(messages=(user("Hi"),))
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 1},
}
# In the shape of the SDK's `ModelInfo`.
MODELS = {"data": [{"id": "m", "type": "model", "max_tokens": 64000}, {"id": "n", "type": "model"}], "has_more": False}


def replies(*bodies: Any) -> list[Reply]:
    return [Reply(200, [json.dumps(body).encode()]) for body in bodies]


def provider(url: str, **settings: Any) -> Anthropic:
    return Anthropic(ProviderSettings(base_url=f"{url}/v1", api_key="k", **settings), name="anthropic")


async def asked(request: Request, answer: Any = ANSWER, **settings: Any) -> tuple[Any, Response]:
    """What was asked, and the response."""
    async with upstream(*replies(answer)) as up:
        asks = provider(up.url, **settings)
        response = await asks.model("m").call(request)
        await asks.close()
    return up.asked[0], response


async def test_messages_are_asked_with_the_key_and_the_version() -> None:
    asks, response = await asked(HI)
    assert (asks.method, asks.path) == ("POST", "/v1/messages")
    assert (asks.headers["x-api-key"], asks.headers["anthropic-version"]) == ("k", "2023-06-01")
    assert "authorization" not in asks.headers
    assert "stream" not in asks.json
    assert isinstance(response, ChatResponse)
    assert response.text == "Hello"


async def test_a_clients_beta_features_go_on_and_its_other_headers_do_not() -> None:
    headers = {"anthropic-beta": "files-api-2025-04-14", "anthropic-version": "2024-01-01", "x-other": "x"}
    asks, _ = await asked(replace(HI, context=Context(headers=headers)))
    assert asks.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert asks.headers["anthropic-version"] == "2024-01-01"
    assert "x-other" not in asks.headers


async def test_a_clients_beta_features_join_those_that_are_configured() -> None:
    request = replace(HI, context=Context(headers={"anthropic-beta": "b-2, c-3", "anthropic-version": "2024-01-01"}))
    configured = {"Anthropic-Beta": "a-1,b-2", "Anthropic-Version": "2023-01-01"}
    asks, _ = await asked(request, headers=configured)
    assert asks.headers["anthropic-beta"] == "a-1,b-2,c-3"
    assert asks.headers["anthropic-version"] == "2024-01-01"
    asks, _ = await asked(HI, headers=configured)
    assert (asks.headers["anthropic-beta"], asks.headers["anthropic-version"]) == ("a-1,b-2", "2023-01-01")


async def test_tokens_are_counted() -> None:
    asks, response = await asked(CountTokens(messages=HI.messages), {"input_tokens": 7})
    assert asks.path == "/v1/messages/count_tokens"
    assert asks.json == {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    assert isinstance(response, CountTokensResponse)
    assert response.input_tokens == 7


async def test_a_model_that_was_listed_is_asked_for_all_that_it_can_answer() -> None:
    async with upstream(*replies(MODELS, ANSWER, ANSWER)) as up:
        asks = provider(up.url)
        assert await asks.refresh() == ("m", "n")
        known, unknown = [await asks.model(name).call(HI) for name in ("m", "n")]
        await asks.close()
    assert up.asked[0].path == "/v1/models?limit=1000"
    assert [a.json["max_tokens"] for a in up.asked[1:]] == [64000, 4096]
    assert known.notes == ()
    assert "4096" in unknown.notes[0]


async def test_what_other_providers_have_signed_or_cited_is_left_out_with_notes() -> None:
    said = assistant(
        Thinking(text="hm", signature="s", provider="openai"),
        Text(text="x", citations=(Citation(url="http://x", provider="openai"),)),
    )
    asks, response = await asked(Chat(messages=(user("q"), said, user("r"))))
    assert asks.json["messages"][1]["content"] == [{"type": "text", "text": "x"}]
    assert sum("left out" in note for note in response.notes) == 2
