"""More texts than a host takes in one request for vectors. The limits: Gemini's own error ("at most 100 requests can be
in one batch"), docs.cohere.com/reference/embed (96), docs.voyageai.com/reference/embeddings-api (1,000), OpenAI's
reference of embeddings (2,048)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.upstream import Reply, upstream
from trivet import registry
from trivet.errors import RateLimitError
from trivet.providers.gemini import Gemini
from trivet.providers.settings import ProviderSettings
from trivet.types import Embed, EmbedResponse
from trivet.wire import openai_embeddings


@pytest.mark.parametrize(("kind", "most"), [("gemini", 100), ("cohere", 96), ("voyage", 1000), ("openai", 2048)])
def test_each_hosts_limit_is_known(kind: str, most: int) -> None:
    provider: Any = registry.load(kind)
    assert provider(ProviderSettings(api_key="sk"), name=kind).most_texts == most


def vectors(count: int, first: float = 0) -> Reply:
    data = [{"index": i, "embedding": [first + i]} for i in range(count)]
    body = {"object": "list", "data": data, "model": "v", "usage": {"prompt_tokens": count, "total_tokens": count}}
    return Reply(200, [json.dumps(body).encode()])


async def asked(request: Embed, *replies: Reply) -> tuple[EmbedResponse, list[Any]]:
    async with upstream(*replies) as up:
        provider: Any = registry.load("cohere")
        cohere = provider(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name="cohere")
        try:
            response = await cohere.model("v").call(request)
        finally:
            await cohere.close()
    assert isinstance(response, EmbedResponse)
    return response, [seen.json for seen in up.asked]


async def test_they_are_asked_for_in_several_requests_and_answered_as_one() -> None:
    texts = tuple(f"text {i}" for i in range(100))
    response, seen = await asked(Embed(texts=texts), vectors(96), vectors(4, first=96))
    assert [body["input"] for body in seen] == [list(texts[:96]), list(texts[96:])]
    assert response.vectors == tuple((float(i),) for i in range(100))
    assert response.usage.input_tokens == 100


async def test_what_the_host_takes_at_once_is_one_request() -> None:
    _, seen = await asked(Embed(texts=("a",) * 96), vectors(96))
    assert len(seen) == 1


async def test_a_clients_own_fields_go_with_each_request() -> None:
    body = {"model": "mine", "input": ["a"] * 97, "user": "u", "dimensions": 1}
    request = openai_embeddings.parse(json.dumps(body).encode()).request
    assert isinstance(request, Embed)
    response, seen = await asked(request, vectors(96), vectors(1))
    assert [(len(body["input"]), body["user"], body["dimensions"]) for body in seen] == [(96, "u", 1), (1, "u", 1)]
    assert response.raw is None  # neither answer is the whole one


async def test_the_first_that_fails_ends_it() -> None:
    with pytest.raises(RateLimitError):
        await asked(Embed(texts=("a",) * 97), vectors(96), Reply(429, [b'{"error": {"message": "slow down"}}']))


async def test_gemini_takes_a_hundred() -> None:
    bodies = [{"embeddings": [{"values": [float(n)]}] * n} for n in (100, 20)]
    async with upstream(*(Reply(200, [json.dumps(body).encode()]) for body in bodies)) as up:
        provider = Gemini(ProviderSettings(base_url=up.url, api_key="sk"), name="gemini")
        response = await provider.model("e").call(Embed(texts=("a",) * 120))
        await provider.close()
    assert isinstance(response, EmbedResponse)
    assert response.vectors == ((100.0,),) * 100 + ((20.0,),) * 20
    assert [len(seen.json["requests"]) for seen in up.asked] == [100, 20]
