"""Providers against a real server that is not ours: llama.cpp's own, which speaks OpenAI's chat completions,
completions and responses and Anthropic's messages, on the real SmolLM2."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from trivet.errors import AuthError, RequestError, TrivetError
from trivet.local.llama import Llama
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.hosted import Hosted
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Chat,
    ChatResponse,
    Complete,
    CompleteResponse,
    Done,
    Event,
    Output,
    Sampling,
    TextDelta,
    assistant,
    system,
    user,
)

GREEDY = Sampling(temperature=0, max_tokens=12)
QUESTION = Chat(messages=(system("Be brief."), user("What is the capital of France?")), sampling=GREEDY)

KINDS: dict[str, Callable[[ProviderSettings], Hosted]] = {
    "llama-server": lambda s: Compatible(s, name="llama-server"),
    "openai": lambda s: OpenAI(s, name="openai"),
    "anthropic": lambda s: Anthropic(s, name="anthropic"),
}


@pytest.fixture(params=KINDS)
async def provider(request: pytest.FixtureRequest, llama: Llama) -> AsyncGenerator[Hosted, None]:
    await llama.load()
    engine = llama.engine
    settings = ProviderSettings(base_url=f"{engine._server.listening_address}/v1", api_key=engine._key)
    made = KINDS[request.param](settings)
    yield made
    await made.close()


async def events(provider: Hosted, request: Chat) -> list[Event]:
    async with aclosing(provider.model("smollm2").stream(request)) as stream:
        return [event async for event in stream]


async def test_it_says_the_same_whole_and_streamed(provider: Hosted) -> None:
    whole = await provider.model("smollm2").call(QUESTION)
    told = await events(provider, QUESTION)
    assert isinstance(whole, ChatResponse)
    assert isinstance(told[-1], Done)
    streamed = told[-1].response
    assert isinstance(streamed, ChatResponse)
    assert "".join(e.text for e in told if isinstance(e, TextDelta)) == streamed.text == whole.text != ""
    assert whole.finish_reason == streamed.finish_reason == "stop"


async def test_it_says_what_the_embedded_model_says(provider: Hosted, llama: Llama) -> None:
    theirs, ours = await provider.model("smollm2").call(QUESTION), await llama.call(QUESTION)
    assert isinstance(theirs, ChatResponse)
    assert isinstance(ours, ChatResponse)
    assert theirs.text == ours.text
    assert theirs.usage.input_tokens == ours.usage.input_tokens
    assert theirs.usage.output_tokens == ours.usage.output_tokens is not None


async def test_a_conversation_goes_on(provider: Hosted) -> None:
    request = Chat(messages=(*QUESTION.messages, assistant("Paris."), user("And of Italy?")), sampling=GREEDY)
    answer = await provider.model("smollm2").call(request)
    assert isinstance(answer, ChatResponse)
    assert answer.text


async def test_a_wrong_key_is_told_and_not_shown(provider: Hosted) -> None:
    provider.settings = ProviderSettings(base_url=provider.base, api_key="wrong-key")
    with pytest.raises(AuthError) as error:
        await provider.model("smollm2").call(QUESTION)
    assert "wrong-key" not in str(error.value)


async def test_its_refusal_comes_as_a_request_error(provider: Hosted) -> None:
    long = Chat(messages=(user("word " * 20_000),), sampling=GREEDY)
    with pytest.raises((RequestError, TrivetError)) as error:
        await provider.model("smollm2").call(long)
    assert error.value.status == 400


@pytest.mark.parametrize("provider", ["llama-server"], indirect=True)
async def test_a_schema_and_a_completion_too(provider: Hosted) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    request = Chat(messages=(user("A number."),), output=Output(schema=schema, name="o"), sampling=GREEDY)
    answer = await provider.model("smollm2").call(request)
    assert isinstance(answer, ChatResponse)
    assert answer.text.lstrip().startswith("{")
    completion = await provider.model("smollm2").call(Complete(prompt="Once upon", sampling=GREEDY))
    assert isinstance(completion, CompleteResponse)
    assert completion.text
