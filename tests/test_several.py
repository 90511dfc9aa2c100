"""Plain completions of several prompts, and of token ids: by a host of the protocol as they are, by any other model one
text at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import openai
import pytest

from tests.servers import serving
from tests.test_server_passes import post
from tests.upstream import Reply, upstream
from trivet.adapt.several import AT_ONCE, Several
from trivet.errors import RateLimitError, TransportError, TrivetError, UnsupportedError
from trivet.model import About, Model, Wrapper
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    Request,
    Sampling,
    Source,
    Start,
    TextChoice,
    TextDelta,
    TokenLogprob,
    Usage,
)
from trivet.wire import Target, openai_completions

USAGE = Usage(uncached_input_tokens=2, cache_read_tokens=0, cache_write_tokens=0, output_tokens=3)
RAW = Source(protocol="openai-completions", body=b"x")


class Echo(Model):
    """Answers a prompt with itself and the choice's number. A prompt that is a key of `gates` waits for its gate; an
    error in `wrong` is raised in the place of the answer."""

    def __init__(self, gates: dict[str, asyncio.Event] | None = None, wrong: dict[str, Any] | None = None) -> None:
        self.gates, self.wrong = gates or {}, wrong or {}
        self.requests: list[Complete] = []
        self.log: list[str] = []

    @property
    def about(self) -> About:
        return About(name="echo", tasks=("complete",), where="test")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        assert isinstance(request, Complete)
        self.requests.append(request)
        prompt, wrong = request.prompt, self.wrong.get(request.prompt)
        try:
            yield Start(model="echo-1", id=f"id-{prompt}", raw=RAW)
            if prompt in self.gates:
                await self.gates[prompt].wait()
            if isinstance(wrong, TrivetError):
                raise wrong
            choices = []
            for i in range(request.sampling.n):
                told = (TokenLogprob(token=prompt, logprob=-1.0),)
                yield TextDelta(text=f"{prompt}{i}", choice=i, logprobs=told, raw=RAW)
                choices.append(TextChoice(text=f"{prompt}{i}", finish_reason="length", logprobs=told))
            if wrong == "cut":
                return
            usage = Usage() if wrong == "unknown" else USAGE
            yield Done(
                response=CompleteResponse(
                    model="echo-1", id=f"id-{prompt}", choices=tuple(choices), usage=usage, notes=("n",), raw=RAW
                )
            )
        finally:
            self.log.append(prompt)


def asking(*prompts: Any, n: int = 1, **extra: Any) -> Complete:
    return Complete(prompt="", sampling=Sampling(n=n), extra={"prompt": list(prompts), **extra})


async def events(model: Model, request: Complete) -> list[Event]:
    async with aclosing(model.stream(request)) as told:
        return [event async for event in told]


async def test_each_prompt_has_its_n_choices_in_its_place() -> None:
    echo = Echo()
    response = await Several(echo).call(asking("a", "b", "c", n=2, echo=True))
    assert isinstance(response, CompleteResponse)
    assert [c.text for c in response.choices] == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert response.usage == USAGE + USAGE + USAGE
    assert (response.model, response.id, response.notes, response.raw) == ("echo-1", "id-a", ("n",), None)
    assert [(r.prompt, r.extra) for r in echo.requests] == [(p, {"echo": True}) for p in "abc"]


async def test_a_stream_says_whose_each_piece_is_and_begins_and_ends_once() -> None:
    told = await events(Several(Echo()), asking("a", "b", n=2))
    assert [type(e) for e in told].count(Start) == 1
    assert isinstance(told[0], Start)
    assert isinstance(told[-1], Done)
    pieces = {e.choice: e.text for e in told if isinstance(e, TextDelta)}
    assert pieces == {0: "a0", 1: "a1", 2: "b0", 3: "b1"}
    assert all(e.raw is None for e in told)


async def test_they_are_asked_side_by_side_and_the_order_is_the_prompts() -> None:
    gates = {"a": asyncio.Event()}
    seen = []
    async with aclosing(Several(Echo(gates)).stream(asking("a", "b"))) as told:
        async for event in told:
            if isinstance(event, TextDelta):
                seen.append(event.choice)
                gates["a"].set()  # only when the second has answered
            if isinstance(event, Done):
                assert isinstance(event.response, CompleteResponse)
                assert [c.text for c in event.response.choices] == ["a0", "b0"]
    assert seen == [1, 0]


async def test_so_many_at_once_and_no_more() -> None:
    gate = asyncio.Event()
    prompts = [str(i) for i in range(AT_ONCE + 5)]
    echo = Echo(dict.fromkeys(prompts, gate))
    async with aclosing(Several(echo).stream(asking(*prompts))) as told:
        assert isinstance(await anext(told), Start)
        assert len(echo.requests) <= AT_ONCE
        gate.set()
        async for _ in told:
            pass
    assert [r.prompt for r in echo.requests] == prompts


async def test_unknown_usage_stays_unknown() -> None:
    response = await Several(Echo(wrong={"b": "unknown"})).call(asking("a", "b"))
    assert response.usage == Usage()


@pytest.mark.parametrize(("wrong", "kind"), [(RateLimitError("slow"), RateLimitError), ("cut", TransportError)])
async def test_the_first_error_ends_all_and_closes_the_others(wrong: Any, kind: type[TrivetError]) -> None:
    echo = Echo({"a": asyncio.Event()}, {"b": wrong})
    with pytest.raises(kind):
        await events(Several(echo), asking("a", "b"))
    assert sorted(echo.log) == ["a", "b"]


async def test_leaving_closes_them_all() -> None:
    echo = Echo({p: asyncio.Event() for p in "ab"})
    async with aclosing(Several(echo).stream(asking("a", "b"))) as told:
        await anext(told)
    assert sorted(echo.log) == sorted(r.prompt for r in echo.requests)


async def test_token_ids_are_refused_by_name_and_one_prompt_passes() -> None:
    echo = Echo()
    for prompt in ([1, 2], [[1], [2]]):
        with pytest.raises(UnsupportedError, match="echo reads text") as caught:
            await events(Several(echo), asking(*prompt))
        assert caught.value.field == "prompt"
    assert echo.requests == []
    response = await Several(echo).call(Complete(prompt="x"))
    assert isinstance(response, CompleteResponse)
    assert response.raw == RAW


# --- over HTTP ---------------------------------------------------------------------------------------------


def test_the_official_client_gets_choices_for_each_prompt_whole_and_streamed() -> None:
    with serving({"m": Wrapper(Echo())}) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0)
        asked: Any = {"model": "m", "prompt": ["aa", "b"], "n": 2, "logprobs": 0}
        whole = client.completions.create(**asked)
        options = {"include_usage": True}
        chunks = list(client.completions.create(**asked, stream=True, stream_options=options))
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model="m", prompt=[1, 2, 3])
    assert [(c.index, c.text) for c in whole.choices] == [(0, "aa0"), (1, "aa1"), (2, "b0"), (3, "b1")]
    assert [c.logprobs.text_offset for c in whole.choices if c.logprobs] == [[2], [2], [1], [1]]
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (4, 6)
    texts: dict[int, str] = {}
    for choice in (c for chunk in chunks for c in chunk.choices):
        texts[choice.index] = texts.get(choice.index, "") + choice.text
    assert texts == {0: "aa0", 1: "aa1", 2: "b0", 3: "b1"}
    assert chunks[-1].usage == whole.usage
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2, 3]]])
def test_a_host_of_the_protocol_is_asked_for_all_at_once_as_its_client_wrote_it(prompt: Any) -> None:
    choices = [{"index": i, "text": t, "logprobs": None, "finish_reason": "stop"} for i, t in enumerate("xy")]
    answer = json.dumps({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": choices})

    async def through() -> tuple[Any, bytes]:
        async with upstream(Reply(200, [answer.encode()])) as up:
            settings = ProviderSettings(kind="openai-compatible", base_url=f"{up.url}/v1", api_key="k")
            provider = Compatible(settings, name="up")
            with serving({"m": Wrapper(provider.model("theirs"))}) as served:
                ask = {"model": "m", "prompt": prompt, "novelty": 1}
                body = (await asyncio.to_thread(post, served.url, ask, "/v1/completions"))[2]
            return up.asked[0].json, body

    sent, body = asyncio.run(through())
    assert sent == {"model": "theirs", "prompt": prompt, "novelty": 1}
    assert body == answer.encode()


def test_a_request_of_several_reads_and_writes_as_itself() -> None:
    body = json.dumps({"model": "m", "prompt": ["a", "b"]}).encode()
    request = openai_completions.parse(body).request
    assert isinstance(request, Complete)
    assert openai_completions.write(request, Target(model="m", provider="up", family="up"))["prompt"] == ["a", "b"]
