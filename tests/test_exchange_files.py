"""The exchanges that the contract of the providers is tested with are what the providers' own SDKs take: each body by
their types, and each stream by their clients, who make the whole answer of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.exchange_files import SDKS, SITUATIONS, Exchange, exchange, fits, pieces, situations
from tests.upstream import Reply, upstream

MATRIX = [(name, situation) for name in SDKS for situation in SITUATIONS]


def test_every_provider_has_every_situation() -> None:
    assert {name: situations(name) for name in SDKS} == dict.fromkeys(SDKS, sorted(SITUATIONS))


@pytest.mark.parametrize(("name", "situation"), MATRIX)
def test_the_sdks_types_take_every_body(name: str, situation: str) -> None:
    sdk, x = SDKS[name], exchange(name, situation)
    assert x.origin
    assert x.standing in ("documented", "made")
    assert fits(name, sdk.request, x.request)
    assert fits(name, sdk.request, x.request | sdk.streamed)
    assert x.response is None or fits(name, sdk.response, x.response)
    for event in x.events:  # pings and the last mark are not of their types: the SDKs pass over them
        assert event in ("[DONE]", {"type": "ping"}) or fits(name, sdk.event, event)


@pytest.mark.parametrize(
    ("name", "situation"),
    [
        (n, s) for n, s in MATRIX if s != "stream" and n not in ("gemini", "openrouter")
    ],  # whose SDK puts nothing together
)
async def test_the_sdks_client_makes_the_whole_answer_of_the_stream(name: str, situation: str) -> None:
    x = exchange(name, situation)
    async with upstream(Reply(200, pieces(name, situation), {"content-type": "text/event-stream"})) as up:
        made = await _client_of(name, x, up.url)
    assert _agree(x.response, made.to_dict())


async def _client_of(name: str, x: Exchange, url: str) -> Any:
    if name == "anthropic":
        async with (
            AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client,
            client.messages.stream(**x.request) as stream,
        ):
            return await stream.get_final_message()
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        if name == "openai":
            async with client.responses.stream(**x.request) as answer:
                return await answer.get_final_response()
        asked = x.request | {"stream_options": SDKS[name].streamed["stream_options"]}
        async with client.chat.completions.stream(**asked) as told:
            return await told.get_final_completion()


def _agree(whole: Any, made: Any) -> bool:
    """Whether all of one is in the other, which may have fields more: a client says None where nothing was said."""
    if isinstance(whole, Mapping):
        return all(_agree(value, made.get(name)) for name, value in whole.items())
    if isinstance(whole, list) and whole:
        return len(whole) == len(made) and all(map(_agree, whole, made))
    return bool(whole == made or (whole == [] and made is None))
