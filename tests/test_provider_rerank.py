"""Rerank at hosts, over HTTP: what is asked, and what is made of the answers that the hosts' references show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.upstream import Reply, upstream
from trivet.errors import ProviderError, RateLimitError, RequestError, UnsupportedError
from trivet.providers.compatible import Compatible
from trivet.providers.hosts import HOSTS
from trivet.providers.settings import ProviderSettings
from trivet.types import Embed, EmbedResponse, Rerank, RerankResponse, Source, replace
from trivet.wire import cohere_rerank

EXCHANGES = Path(__file__).parent / "exchanges" / "sound_and_rerank"
TWO = Rerank(query="q", documents=("a", "b"))
GOOD = {"results": [{"index": 1, "relevance_score": 0.2}, {"index": 0, "relevance_score": 0.9}]}


async def asked(host: str, model: str, request: Any, reply: Reply) -> tuple[Any, Any]:
    """The answer, and what the host was asked, whose address is like the usual one."""
    async with upstream(reply) as up:
        path = "/compatibility/v1" if host == "cohere" else "/v1"
        provider = Compatible(ProviderSettings(base_url=up.url + path, api_key="sk"), name=host)
        try:
            response = await provider.model(model).call(request)
        finally:
            await provider.close()
    return response, up.asked[0]


async def answered(body: Any, request: Rerank = TWO, host: str = "jina") -> RerankResponse:
    response, _ = await asked(host, "m", request, Reply(200, [json.dumps(body).encode()]))
    assert isinstance(response, RerankResponse)
    return response


@pytest.mark.parametrize("host", ["cohere", "voyage", "jina"])
async def test_a_host_is_asked_and_answers_as_its_reference_shows(host: str) -> None:
    told = json.loads((EXCHANGES / f"{host}.json").read_text())
    documents = tuple(f"document {i}" for i in range(told["documents"]))
    request = Rerank(query="q", documents=documents, **told["asked"])
    response, seen = await asked(host, told["model"], request, Reply(200, [json.dumps(told["response"]).encode()]))
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("POST", told["path"], "Bearer sk")
    assert seen.json == {"model": told["model"], "query": "q", "documents": list(documents), **told["request"]}
    holds = told["holds"]
    assert [[ranked.index, ranked.score] for ranked in response.results] == holds["results"]
    assert (response.id, response.model, response.usage.input_tokens) == (
        holds["id"],
        holds["model"],
        holds["input_tokens"],
    )
    assert response.method == "cross-encoder"


def test_cohere_has_rerank_beside_its_compatible_address() -> None:
    assert HOSTS["cohere"].base_url == "https://api.cohere.ai/compatibility/v1"
    assert HOSTS["cohere"].rerank_path == "../../v2/rerank"


async def test_the_best_come_first_in_whichever_order_they_were_told() -> None:
    assert [ranked.index for ranked in (await answered(GOOD)).results] == [0, 1]


@pytest.mark.parametrize(
    "results",
    [
        [{"index": 2, "relevance_score": 1}],
        [{"index": -1, "relevance_score": 1}],
        [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}],
        [{"index": 0}],
        [{"index": 0, "relevance_score": None}],
        [{"index": "0", "relevance_score": 1}],
        [0],
        None,
    ],
)
async def test_scores_of_what_was_not_sent_are_no_answer(results: Any) -> None:
    with pytest.raises(ProviderError, match="jina sent"):
        await answered({"results": results})


async def test_tokens_are_unknown_where_searches_are_charged_and_told_where_they_are_counted() -> None:
    searches = {**GOOD, "meta": {"billed_units": {"search_units": 1}}}
    assert (await answered(searches)).usage.input_tokens is None
    assert (await answered({**GOOD, "meta": {"tokens": {"input_tokens": 411}}})).usage.input_tokens == 411


async def test_what_the_host_warns_of_is_noted() -> None:
    assert (await answered({**GOOD, "meta": {"warnings": ["cut to 4096 tokens"]}})).notes == ("cut to 4096 tokens",)


async def test_what_a_client_of_coheres_says_goes_on_in_the_hosts_words() -> None:
    body = {
        "model": "x",
        "query": "q",
        "documents": [{"text": "a"}, "b"],
        "top_n": 1,
        "return_documents": True,
        "truncation": False,
    }
    request = cohere_rerank.parse(json.dumps(body).encode()).request
    _, seen = await asked("voyage", "m", request, Reply(200, [json.dumps(GOOD).encode()]))
    assert seen.json == {"model": "m", "query": "q", "documents": ["a", "b"], "top_k": 1, "truncation": False}


async def test_fields_of_another_protocol_are_refused() -> None:
    request = replace(TWO, extra={"temperature": 1}, source=Source(protocol="openai-chat", body=b"{}"))
    with pytest.raises(UnsupportedError, match="temperature"):
        await answered(GOOD, request)


async def test_a_hosts_refusal_is_told_in_its_words() -> None:
    with pytest.raises(RequestError, match="voyage refuses the request: too many documents"):
        await asked("voyage", "m", TWO, Reply(400, [b'{"detail": "too many documents"}']))
    with pytest.raises(RateLimitError, match="trial key"):
        await asked("cohere", "m", TWO, Reply(429, [b'{"message": "trial key"}']))


@pytest.mark.parametrize("host", ["cohere", "voyage", "jina"])
async def test_texts_are_embedded_there_too(host: str) -> None:
    body = {"data": [{"index": 0, "embedding": [1, 0]}], "model": "e", "usage": {"total_tokens": 3}}
    response, seen = await asked(host, "e", Embed(texts=("a",)), Reply(200, [json.dumps(body).encode()]))
    assert isinstance(response, EmbedResponse)
    assert (response.vectors, response.usage.input_tokens) == (((1, 0),), 3)
    assert seen.path.endswith("/v1/embeddings")
