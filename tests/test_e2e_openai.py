"""The official OpenAI client, against a real server process on the real SmolLM2."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.servers import start_trivet

MODEL = "local/smollm2"
CAPITAL: list[Any] = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "trivet.toml").write_text(
        '[local]\ncontext = 2048\n[models.doctor]\nbase = "local/smollm2"\nsystem = "You are a doctor."\n'
        '[models.fast]\nuse = ["doctor"]\n'
    )
    with start_trivet(cwd=folder) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="ignored on loopback", max_retries=0) as client:
        yield client


def test_chat_gives_a_whole_answer_with_usage_and_names_the_model_that_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=CAPITAL, temperature=0, max_tokens=40)
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert "Paris" in choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > 30


def test_a_stream_says_the_same_event_by_event(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": CAPITAL, "temperature": 0, "max_tokens": 40}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    *content, ending, usage = chunks
    assert len({(c.id, c.created, c.model, c.object) for c in chunks}) == 1
    assert content[0].choices[0].delta.role == "assistant"
    assert len(content) > 3
    assert "".join(c.choices[0].delta.content or "" for c in content) == whole.choices[0].message.content
    assert all(c.choices[0].finish_reason is None and c.usage is None for c in content)
    assert ending.choices[0].finish_reason == whole.choices[0].finish_reason
    assert usage.choices == []
    assert usage.usage
    assert usage.usage.completion_tokens == whole.usage.completion_tokens  # type: ignore[union-attr]


def test_a_prefix_that_was_seen_comes_back_as_cached_tokens(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Remember these words: " + "apple pear plum " * 60}]
    first = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=1).usage
    second = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=1).usage
    assert first and second and second.prompt_tokens_details and first.prompt_tokens_details  # noqa: PT018
    assert second.prompt_tokens == first.prompt_tokens
    assert (second.prompt_tokens_details.cached_tokens or 0) > (first.prompt_tokens_details.cached_tokens or 0)


def test_options_reach_the_engine(client: openai.OpenAI) -> None:
    def said(**options: Any) -> list[str | None]:
        answer = client.chat.completions.create(model=MODEL, messages=CAPITAL, max_tokens=24, **options)
        return [c.message.content for c in answer.choices]

    assert said(seed=1, temperature=1.5) == said(seed=1, temperature=1.5)
    assert said(seed=1, temperature=1.5) != said(seed=2, temperature=1.5)
    assert len(said(n=3)) == 3
    (stopped,) = said(temperature=0, stop=["Paris"])
    assert stopped is not None
    assert "Paris" not in stopped


def test_logprobs_come_with_each_token(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=CAPITAL, max_tokens=5, logprobs=True, top_logprobs=2, temperature=0
    )
    found = answer.choices[0].logprobs
    assert found
    assert found.content
    assert len(found.content) == 5
    assert "".join(t.token for t in found.content) == answer.choices[0].message.content
    assert all(t.logprob <= 0 and len(t.top_logprobs) == 2 for t in found.content)


def test_structured_output_is_held_by_the_grammar(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "minimum": 0}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    for seed in range(3):
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Describe a city as JSON"}],
            response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
            temperature=1.2,
            seed=seed,
            max_tokens=200,
        )
        found = json.loads(answer.choices[0].message.content or "")
        assert set(found) == {"city", "people"}
        assert isinstance(found["people"], int)


def test_a_required_tool_is_called_and_its_result_is_taken(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[WEATHER], tool_choice="required", temperature=0, max_tokens=100
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    messages += [
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"},
    ]
    end = client.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=30)
    assert end.choices[0].message.content


def test_a_named_tool_streams_its_arguments(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
            stream=True,
            temperature=0,
            max_tokens=100,
        )
    )
    deltas = [d for c in chunks for d in (c.choices[0].delta.tool_calls or [])]
    assert {d.index for d in deltas} == {0}
    assert deltas[0].id
    assert deltas[0].function
    assert deltas[0].function.name == "get_weather"
    assert "city" in json.loads("".join((d.function.arguments or "") for d in deltas if d.function))
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_system_prompts_and_turns_before_are_seen(client: openai.OpenAI) -> None:
    base = client.chat.completions.create(model=MODEL, messages=CAPITAL, max_tokens=1).usage
    more = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You are a teacher of geography with a long experience."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello! What do you want to know?"},
            *CAPITAL,
        ],
        max_tokens=1,
    ).usage
    assert base and more  # noqa: PT018
    assert more.prompt_tokens > base.prompt_tokens


def test_completions_go_on_from_plain_text(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": "One, two, three, four,", "max_tokens": 8, "temperature": 0}
    whole = client.completions.create(**asked, logprobs=2)
    assert whole.object == "text_completion"
    assert whole.id.startswith("cmpl-")
    assert "five" in whole.choices[0].text
    assert whole.choices[0].logprobs
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text


def test_responses_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Any = {
        "model": MODEL,
        "instructions": "Answer in one sentence.",
        "input": "What is the capital of France?",
        "temperature": 0,
        "max_output_tokens": 40,
    }
    whole = client.responses.create(**asked)
    assert whole.status in ("completed", "incomplete")
    assert whole.model == MODEL
    assert whole.id.startswith("resp_")
    assert "Paris" in whole.output_text
    assert whole.usage
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    events = list(client.responses.create(**asked, stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text == whole.output_text


def test_responses_call_a_required_tool(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "strict": True, **WEATHER["function"]}
    answer = client.responses.create(
        model=MODEL, input="Weather in Paris?", tools=[tool], tool_choice="required", temperature=0
    )
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert call.name == "get_weather"
    assert "city" in json.loads(call.arguments)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_come_when_the_model_is_named(client: openai.OpenAI, encoding: Any) -> None:
    answer = client.embeddings.create(model=MODEL, input=["a cat", "a dog"], encoding_format=encoding)
    assert [d.index for d in answer.data] == [0, 1]
    vector: Any = answer.data[0].embedding
    if encoding == "float":
        assert len(vector) == 576  # SmolLM2-135M's width, in its GGUF
        assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-3)
    assert answer.usage.prompt_tokens > 0


def test_models_lists_the_embedded_ones_and_every_configured_name(client: openai.OpenAI) -> None:
    names = [m.id for m in client.models.list()]
    assert names[0] == MODEL
    assert [name for name in names if not name.startswith(("auto/", "local/"))] == ["doctor", "fast"]
    assert client.models.retrieve("doctor").id == "doctor"


def test_a_configured_name_answers_with_its_prompt_in_front(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model=MODEL, messages=CAPITAL, max_tokens=1)
    for name in ("doctor", "fast"):
        adapted = client.chat.completions.create(model=name, messages=CAPITAL, max_tokens=1)
        assert adapted.model == MODEL  # who answered, and not the name that was asked
        assert adapted.usage != plain.usage


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": "Hi"}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"frobnicate": True}, "frobnicate"),
        ({"n": 99}, "n"),
        ({"tools": [WEATHER]}, "tools"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
                    }
                ]
            },
            "messages[0].content",
        ),
    ],
)
def test_what_cannot_be_honoured_is_a_400_that_names_the_field(
    client: openai.OpenAI, wrong: dict[str, Any], param: str
) -> None:
    asked = {"model": MODEL, "messages": CAPITAL, **wrong}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.post("/chat/completions", body={**asked, "stream": stream}, cast_to=object)
        assert caught.value.param is not None
        assert caught.value.param.startswith(param)
        assert caught.value.type == "invalid_request_error"


def test_a_prompt_that_is_too_long_says_both_numbers(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"2,048") as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 3000}])
    assert caught.value.code == "context_length_exceeded"
    assert "3,03" in caught.value.message


def test_an_unknown_model_is_a_404_that_names_the_nearest(client: openai.OpenAI) -> None:
    for name in ("local/smollm", "smollm2", "./weights.gguf"):
        with pytest.raises(openai.NotFoundError, match=MODEL if "smollm" in name else "No model") as caught:
            client.chat.completions.create(model=name, messages=CAPITAL)
        assert caught.value.code == "model_not_found"


async def test_of_64_clients_half_leave_in_mid_stream_and_then_no_slot_is_busy(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0, timeout=300) as client:

        async def one(i: int) -> bool:
            stream = await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": f"Tell me a story, number {i}"}],
                stream=True,
                max_tokens=24,
            )
            async with stream:
                async for chunk in stream:
                    if i % 2 and chunk.choices and chunk.choices[0].delta.content:
                        return False
                    if chunk.choices and chunk.choices[0].finish_reason:
                        return True
            raise AssertionError("the stream ended without a finish reason")

        whole = await asyncio.gather(*(one(i) for i in range(64)))
        assert whole == [i % 2 == 0 for i in range(64)]
        health: Any = {}
        async with asyncio.timeout(60):
            while not health or any(slots["busy"] for slots in health["slots"].values()):
                health = await client.get(f"{url}/health", cast_to=object)
        assert MODEL in health["slots"]
        after = await client.chat.completions.create(model=MODEL, messages=CAPITAL, max_tokens=2)
        assert after.choices
