"""The official Google client, against a real server process on the real SmolLM2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from tests.servers import start_trivet

MODEL = "local/smollm2"
CAPITAL = "What is the capital of France? Answer in one sentence."
GREEDY: Any = {"temperature": 0, "max_output_tokens": 40}
CITY = types.Schema(
    type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
)
WEATHER = types.FunctionDeclaration(name="get_weather", description="The weather in a city", parameters=CITY)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "trivet.toml").write_text("[local]\ncontext = 2048\n")
    with start_trivet(cwd=folder) as server:
        yield server.url


@pytest.fixture(params=["v1", "v1beta"])
def client(url: str, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=url, api_version=request.param)
    with genai.Client(api_key="ignored on loopback", http_options=options) as client:
        yield client


def test_an_answer_is_whole_with_usage(client: genai.Client) -> None:
    answer = client.models.generate_content(model=MODEL, contents=CAPITAL, config=GREEDY)
    assert answer.text is not None
    assert "Paris" in answer.text
    assert answer.model_version == MODEL
    assert answer.response_id
    (candidate,) = answer.candidates or []
    assert candidate.finish_reason in (types.FinishReason.STOP, types.FinishReason.MAX_TOKENS)
    usage: Any = answer.usage_metadata
    assert usage.prompt_token_count > 30
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


def test_a_stream_adds_up_to_the_answer(client: genai.Client) -> None:
    whole = client.models.generate_content(model=MODEL, contents=CAPITAL, config=GREEDY)
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=CAPITAL, config=GREEDY))
    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert len({chunk.response_id for chunk in chunks}) == 1
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks]  # type: ignore[index]
    assert reasons[:-1] == [None] * (len(chunks) - 1)
    assert reasons[-1] == whole.candidates[0].finish_reason  # type: ignore[index]
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count == whole.usage_metadata.candidates_token_count  # type: ignore[union-attr]


def test_tokens_run_out_is_said(client: genai.Client) -> None:
    answer = client.models.generate_content(model=MODEL, contents=CAPITAL, config={"max_output_tokens": 2})
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS  # type: ignore[index]


def test_a_count_is_that_of_the_prompt(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=MODEL, contents=CAPITAL)
    answer = client.models.generate_content(model=MODEL, contents=CAPITAL, config=GREEDY)
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count  # type: ignore[union-attr]


def test_a_system_instruction_is_part_of_the_prompt(client: genai.Client) -> None:
    def tokens(**config: Any) -> int:
        answer = client.models.generate_content(
            model=MODEL, contents=CAPITAL, config={"max_output_tokens": 1, **config}
        )
        return answer.usage_metadata.prompt_token_count  # type: ignore[union-attr,return-value]

    assert tokens(system_instruction="You are a poet, and you answer in the words of another time.") != tokens()


def test_a_chat_goes_on_whole_and_streamed(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL, config=GREEDY)
    first = chat.send_message("My name is Bob.")
    second = list(chat.send_message_stream("What is my name?"))
    assert second[-1].usage_metadata.prompt_token_count > first.usage_metadata.prompt_token_count  # type: ignore
    history = chat.get_history(curated=True)
    assert [content.role for content in history[:3]] == ["user", "model", "user"]


def test_an_answer_keeps_to_a_schema(client: genai.Client) -> None:
    schema = types.Schema(
        type=types.Type.OBJECT,
        properties={"size": types.Schema(type=types.Type.INTEGER, minimum=0, maximum=9)},
        required=["size"],
        property_ordering=["size"],
    )
    config: Any = {**GREEDY, "response_mime_type": "application/json", "response_schema": schema}
    answer = client.models.generate_content(model=MODEL, contents="How large is a mouse?", config=config)
    assert isinstance(answer.parsed, dict)
    assert isinstance(answer.parsed["size"], int)


@pytest.mark.parametrize("names", [None, ["get_weather"]])
def test_a_forced_function_is_called_and_its_result_is_taken(client: genai.Client, names: list[str] | None) -> None:
    question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])
    tools = [types.Tool(function_declarations=[WEATHER])]
    calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=names)
    config = types.GenerateContentConfig(
        temperature=0,
        max_output_tokens=60,
        tools=tools,  # type: ignore[arg-type]
        tool_config=types.ToolConfig(function_calling_config=calling),
    )
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=[question], config=config))
    (call,) = [call for chunk in chunks for call in chunk.function_calls or []]
    assert call.name == "get_weather"
    assert isinstance(call.args, dict)
    assert isinstance(call.args["city"], str)
    result = types.Part(
        function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "Sunny, 20 degrees."})
    )
    said = types.Content(role="model", parts=[types.Part(function_call=call)])
    answer = client.models.generate_content(
        model=MODEL,
        contents=[question, said, types.Content(role="user", parts=[result])],
        config={"temperature": 0, "max_output_tokens": 30},
    )
    assert answer.text


def test_a_python_function_is_called_by_the_client(client: genai.Client) -> None:
    asked = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    config = types.GenerateContentConfig(
        temperature=0,
        max_output_tokens=60,
        tools=[get_weather],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(maximum_remote_calls=2),
    )
    client.models.generate_content(model=MODEL, contents="What is the weather in Paris?", config=config)
    assert asked


def test_errors_are_the_clients_own(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as unknown:
        client.models.generate_content(model="local/nobody", contents="Hi")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError) as unsupported:
        client.models.generate_content(
            model=MODEL, contents="Hi", config={"thinking_config": {"thinking_budget": 1000}}
        )
    assert (unsupported.value.code, unsupported.value.status) == (400, "INVALID_ARGUMENT")
    assert "generationConfig.thinkingConfig" in (unsupported.value.message or "")
    with pytest.raises(errors.ClientError) as streamed:
        list(client.models.generate_content_stream(model="local/nobody", contents="Hi"))
    assert streamed.value.code == 404


def test_models_are_listed(client: genai.Client) -> None:
    assert f"models/{MODEL}" in [model.name for model in client.models.list()]
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"


def test_a_stream_without_server_sent_events_is_an_array_of_the_same_answers(url: str) -> None:
    path = f"{url}/v1beta/models/{MODEL.replace('/', '%2F')}:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5, "temperature": 0}}
    answer = httpx2.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    events = httpx2.post(f"{path}?alt=sse", json=body).text.split("\n\n")
    streamed = [json.loads(event.removeprefix("data: ")) for event in events if event]
    assert [told["candidates"] for told in answer.json()] == [told["candidates"] for told in streamed]
    assert len(streamed) > 1
