"""The official Anthropic client, against a real server process on the real SmolLM2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.servers import start_trivet

MODEL = "local/smollm2"
CAPITAL: list[Any] = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
# The client of late 2026 has no argument for it any more; the protocol still has the field.
GREEDY = {"temperature": 0}
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "trivet.toml").write_text("[local]\ncontext = 2048\n")
    with start_trivet(cwd=folder) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="ignored on loopback", max_retries=0) as client:
        yield client


def test_a_message_is_whole_with_usage(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=MODEL, messages=CAPITAL, max_tokens=40, extra_body=GREEDY)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODEL)
    assert answer.id.startswith("msg_")
    (block,) = answer.content
    assert block.type == "text"
    assert "Paris" in block.text
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.stop_sequence is None
    assert answer.usage.output_tokens > 0
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) > 30


def test_a_stream_has_every_event_in_its_place_and_adds_up_to_the_message(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": MODEL, "messages": CAPITAL, "max_tokens": 40, "extra_body": GREEDY}
    whole = client.messages.create(**asked)
    events = list(client.messages.create(**asked, stream=True))
    kinds = [e.type for e in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta")
    assert text == whole.content[0].text  # type: ignore[union-attr]
    start: Any = events[0]
    end: Any = events[-2]
    assert start.message.usage.input_tokens + start.message.usage.cache_read_input_tokens > 30
    assert end.usage.output_tokens == whole.usage.output_tokens
    assert end.delta.stop_reason == whole.stop_reason


def test_the_clients_own_stream_helper_reads_it(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, messages=CAPITAL, max_tokens=20) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].text == text  # type: ignore[union-attr]


def test_a_stop_sequence_is_named(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(
        model=MODEL, messages=CAPITAL, max_tokens=40, extra_body=GREEDY, stop_sequences=["zebra", "Paris"]
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "Paris")


def test_tokens_run_out_is_said(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=MODEL, messages=CAPITAL, max_tokens=2)
    assert answer.stop_reason == "max_tokens"


def test_system_prompts_as_text_and_as_blocks_with_cache_marks(client: anthropic.Anthropic) -> None:
    def tokens(**system: Any) -> int:
        usage = client.messages.create(model=MODEL, messages=CAPITAL, max_tokens=1, **system).usage
        return usage.input_tokens + (usage.cache_read_input_tokens or 0)

    block = {"type": "text", "text": "You are a doctor.", "cache_control": {"type": "ephemeral"}}
    assert tokens(system="You are a doctor.") == tokens(system=[block]) != tokens()


def test_what_the_assistant_began_is_gone_on_with(client: anthropic.Anthropic) -> None:
    begun = "The capital of France is the city of"
    answer = client.messages.create(
        model=MODEL,
        messages=[*CAPITAL, {"role": "assistant", "content": begun}],
        max_tokens=6,
        extra_body=GREEDY,
    )
    assert not answer.content[0].text.startswith("The capital")  # type: ignore[union-attr]
    assert "Paris" in answer.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_forced_tool_is_called_streamed_and_its_result_is_taken(client: anthropic.Anthropic, choice: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.messages.stream(
        model=MODEL, messages=messages, tools=[WEATHER], tool_choice=choice, max_tokens=100, extra_body=GREEDY
    ) as stream:
        answer = stream.get_final_message()
    assert answer.stop_reason == "tool_use"
    (call,) = answer.content
    assert call.type == "tool_use"
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)  # type: ignore[index]
    messages += [
        {"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    end = client.messages.create(model=MODEL, messages=messages, max_tokens=20)
    assert end.content


def test_tokens_are_counted_as_the_prompt_has_them(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": MODEL, "messages": CAPITAL, "system": "Be brief."}
    usage = client.messages.create(**asked, max_tokens=1).usage
    counted = client.messages.count_tokens(**asked)
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    names = [m.id for m in client.models.list()]
    assert names[0] == MODEL
    assert all(name.startswith(("auto/", "local/")) for name in names)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"max_tokens": None}, "max_tokens"),
        ({"tools": [WEATHER]}, "cannot choose among tools"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"frobnicate": 1}, "frobnicate"),
    ],
)
def test_what_cannot_be_honoured_is_a_bad_request_that_names_the_field(
    client: anthropic.Anthropic, wrong: dict[str, Any], said: str
) -> None:
    body = {"model": MODEL, "messages": CAPITAL, "max_tokens": 5, **wrong}
    for stream in (False, True):
        with pytest.raises(anthropic.BadRequestError) as caught:
            client.post("/v1/messages", body={**body, "stream": stream}, cast_to=object)
        assert said in caught.value.message
        assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index, call-overload]


def test_an_unknown_model_is_a_not_found_that_names_the_nearest(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=MODEL):
        client.messages.create(model="smollm2", messages=CAPITAL, max_tokens=5)
