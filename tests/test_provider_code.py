"""Code filled in by hosts that have an address of its own for it: Mistral's Codestral and DeepSeek. The shapes are
those of mistralai's own client (FIMCompletionRequest, FIMCompletionResponse, CompletionChunk) and of
api-docs.deepseek.com (Create FIM Completion)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.upstream import Reply, sse, upstream
from trivet.config import Config
from trivet.errors import UnsupportedError
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.runtime import Runtime
from trivet.types import Complete, CompleteResponse, Done, Sampling, TextDelta
from trivet.wire import openai_completions

FILL = Complete(
    prompt="def f(", suffix="return x", sampling=Sampling(max_tokens=9, temperature=0, seed=7, stop=("\n\n",))
)
USAGE = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
MISTRALS = {
    "id": "fim-1",
    "object": "chat.completion",
    "created": 1,
    "model": "codestral-2508",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x):"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
DEEPSEEKS = {
    "id": "fim-2",
    "object": "text_completion",
    "created": 1,
    "model": "deepseek-chat",
    "choices": [{"index": 0, "text": "x):", "logprobs": None, "finish_reason": "length"}],
    "usage": USAGE | {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 8},
}


async def asked(host: str, path: str, body: Any, request: Complete) -> tuple[CompleteResponse, Any]:
    async with upstream(Reply(200, [json.dumps(body).encode()])) as up:
        provider = Compatible(ProviderSettings(base_url=up.url + path, api_key="sk"), name=host)
        try:
            response = await provider.model("code").call(request)
        finally:
            await provider.close()
    assert isinstance(response, CompleteResponse)
    return response, up.asked[0]


def client(**fields: Any) -> Complete:
    """A request as a client of OpenAI's completions wrote it."""
    body = {"model": "mine", "prompt": "def f(", "suffix": "return x"} | fields
    request = openai_completions.parse(json.dumps(body).encode()).request
    assert isinstance(request, Complete)
    return request


async def test_codestral_is_asked_at_its_own_address_and_answers_as_a_chat_does() -> None:
    response, seen = await asked("mistral", "/v1", MISTRALS, FILL)
    assert seen.path == "/v1/fim/completions"
    assert seen.json == {
        "model": "code",
        "prompt": "def f(",
        "suffix": "return x",
        "max_tokens": 9,
        "temperature": 0,
        "stop": ["\n\n"],
        "random_seed": 7,
    }
    assert (response.text, response.finish_reason, response.model) == ("x):", "stop", "codestral-2508")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (8, 2)


async def test_codestral_streams() -> None:
    def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}
        return {"id": "fim-1", "object": "chat.completion.chunk", "created": 1, "model": "c", "choices": [choice]}

    pieces = sse(chunk("x)"), {**chunk(":", "length"), "usage": USAGE}, "[DONE]")
    async with upstream(Reply(200, pieces)) as up:
        provider = Compatible(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name="mistral")
        events = [event async for event in provider.model("code").stream(FILL)]
        await provider.close()
    assert up.asked[0].json["stream"] is True
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "x):"
    assert isinstance(events[-1], Done)
    response = events[-1].response
    assert isinstance(response, CompleteResponse)
    assert (response.text, response.finish_reason, response.usage.output_tokens) == ("x):", "length", 2)


async def test_a_clients_own_completion_is_written_anew_for_codestral_and_answered_in_its_shape() -> None:
    request = client(user="u-1", seed=3, min_tokens=2)
    response, seen = await asked("mistral", "/v1", MISTRALS, request)
    assert seen.json == {
        "model": "code",
        "prompt": "def f(",
        "suffix": "return x",
        "max_tokens": 16,
        "random_seed": 3,
        "min_tokens": 2,
    }
    assert response.raw is None  # the host's own bytes are of another protocol


@pytest.mark.parametrize(
    "fields",
    [{"n": 2}, {"logprobs": 1}, {"presence_penalty": 1}, {"frequency_penalty": 1}, {"top_k": 4}, {"echo": True}],
)
async def test_what_codestral_has_no_field_for_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError) as refused:
        await asked("mistral", "/v1", MISTRALS, client(**fields))
    assert refused.value.field == next(iter(fields))


async def test_deepseek_fills_in_beside_its_usual_address() -> None:
    response, seen = await asked("deepseek", "", DEEPSEEKS, FILL)
    assert seen.path == "/beta/completions"
    assert (seen.json["prompt"], seen.json["suffix"], seen.json["max_tokens"]) == ("def f(", "return x", 9)
    assert (response.text, response.finish_reason, response.usage.input_tokens) == ("x):", "length", 8)


@pytest.mark.parametrize(("host", "body"), [("mistral", MISTRALS), ("deepseek", DEEPSEEKS)])
async def test_several_prompts_are_asked_one_by_one_where_the_host_takes_one(host: str, body: Any) -> None:
    reply = Reply(200, [json.dumps(body).encode()])
    async with upstream(reply, reply) as up:
        tables = {host: ProviderSettings(base_url=up.url, api_key="sk")}
        runtime = Runtime(Config(providers=tables))
        try:
            response = await runtime.model(f"{host}/code").call(client(prompt=["a", "b"]))
        finally:
            await runtime.close()
    assert isinstance(response, CompleteResponse)
    assert sorted(seen.json["prompt"] for seen in up.asked) == ["a", "b"]
    assert [choice.text for choice in response.choices] == ["x):", "x):"]
