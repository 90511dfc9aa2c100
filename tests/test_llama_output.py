"""Structured output and tool calls, on the real SmolLM2. Which schemas are held: test_llama_schema.py."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines import all_free, chat, events
from trivet.errors import ProviderError, RequestError, UnsupportedError
from trivet.local.llama import Llama, body
from trivet.local.llama.answer import Answer
from trivet.local.llama.schema import Witness, grammar
from trivet.local.llama.tools import CallReader
from trivet.types import (
    Chat,
    Event,
    Message,
    Output,
    Sampling,
    Start,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    UsageUpdate,
    user,
)

HOT = [Sampling(temperature=1.2, seed=seed, max_tokens=120) for seed in (1, 2)]


def of(schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """An object with the one property `x`."""
    return {"type": "object", "properties": {"x": schema}, "required": ["x"] if required else []}


async def test_optional_properties_may_be_left_out_and_nothing_else_comes_in(llama: Llama) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"type": "null"}},
        "required": ["b"],
        "additionalProperties": False,
    }
    for sampling in HOT:
        answer = await chat(llama, "An object.", output=Output(schema=schema), sampling=sampling)
        assert {"b"} <= json.loads(answer.text).keys() <= {"a", "b", "c"}


async def test_output_without_a_schema_is_a_json_object(llama: Llama) -> None:
    sampling = Sampling(temperature=0, max_tokens=200)
    answer = await chat(llama, 'Answer with {"city": "Paris"} alone.', output=Output(), sampling=sampling)
    assert isinstance(json.loads(answer.text), dict)


CIRCLE = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}


async def test_a_schema_that_goes_in_a_circle_is_refused(llama: Llama) -> None:
    with pytest.raises(RequestError, match="circle"):
        await chat(llama, "Hi", output=Output(schema=CIRCLE))


async def test_a_keyword_that_is_not_held_is_refused(llama: Llama) -> None:
    with pytest.raises(UnsupportedError, match="uniqueItems") as refused:
        await chat(llama, "Hi", output=Output(schema=of({"type": "array", "uniqueItems": True})))
    assert refused.value.field == "schema"


async def test_a_grammar_that_the_engine_passes_over_is_an_error_before_the_first_content(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine takes this one for none, as it does those that are too large for it, which would be slow here."""
    monkeypatch.setattr(body, "grammar", lambda *_: "%llguidance {}\nstart: %json " + json.dumps(CIRCLE))
    seen: list[Event] = []
    with pytest.raises(ProviderError, match="schema"):
        await keep(llama.stream(Chat(messages=(user("Hi"),), output=Output(), sampling=HOT[0])), seen)
    assert not any(event.content for event in seen)
    await all_free(llama)


async def keep(stream: AsyncGenerator[Event, None], seen: list[Event]) -> None:
    async for event in stream:
        seen.append(event)


OBJECT = grammar({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, "schema", "m")


@given(
    st.text(st.characters(exclude_characters="\x7f", codec="utf-8"), max_size=8),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_a_witness_takes_an_answer_that_is_right_in_any_pieces(text: str, cuts: list[int]) -> None:
    written, witness = json.dumps({"a": text}, ensure_ascii=False), Witness(OBJECT)
    edges = sorted({0, len(written), *(c for c in cuts if c < len(written))})
    for start, end in pairwise(edges):
        assert not witness.whole
        assert witness.right(written[start:end])
    assert witness.whole
    assert witness.right("")


def test_an_answer_that_ends_before_its_schema_allows_it_is_an_error() -> None:
    answer = Answer("m", grammar=OBJECT)
    choice = {"index": 0, "delta": {"content": '{"a": "x"'}, "finish_reason": None}
    assert [e.content for e in answer.events({"choices": [choice]})] == [False, True]
    with pytest.raises(ProviderError, match="schema"):
        list(answer.events({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    assert list(answer.events({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})) == []


@pytest.mark.parametrize("text", ["{x", '{"b": 1}', "Hello", '{"a": 3}', '{"a": "x"} and'])
def test_a_witness_does_not_take_another(text: str) -> None:
    assert not Witness(OBJECT).right(text)


# --- tools -------------------------------------------------------------------------------------------------

WEATHER = Tool(
    name="get_weather", description="The weather of a city", parameters=of({"type": "string", "maxLength": 12})
)
POINT = {
    "type": "object",
    "properties": {"p": {"$ref": "#/$defs/P"}},
    "required": ["p"],
    "$defs": {"P": {"enum": [3, 4]}},
}
MOVE = Tool(name="move", description="Moves the point", parameters=POINT)
SAY = Tool(name="say", parameters={**POINT, "$defs": {"P": {"enum": ["hm"]}}})
REQUIRED = ToolChoice(mode="required")


def arguments_of(call: ToolCall) -> dict[str, Any]:
    found = json.loads(call.arguments)
    assert isinstance(found, dict)
    return found


async def test_a_required_call_is_a_call_of_one_of_the_tools(llama: Llama) -> None:
    for sampling in HOT:
        answer = await chat(llama, "Do something.", tools=(MOVE, SAY), tool_choice=REQUIRED, sampling=sampling)
        [call] = answer.tool_calls
        assert arguments_of(call)["p"] in {"move": (3, 4), "say": ("hm",)}[call.name]
        assert answer.finish_reason == "tool_calls"
        assert answer.text == ""


async def test_a_named_tool_is_the_one_called(llama: Llama) -> None:
    choice = ToolChoice(mode="named", name="move")
    answer = await chat(llama, "Weather in Paris?", tools=(WEATHER, MOVE), tool_choice=choice, sampling=HOT[0])
    assert [call.name for call in answer.tool_calls] == ["move"]


async def test_a_forced_call_streams_its_name_once_and_its_arguments_in_pieces(llama: Llama) -> None:
    request = Chat(messages=(user("Weather in Paris?"),), tools=(WEATHER,), tool_choice=REQUIRED, sampling=HOT[0])
    found = await events(llama, request)
    assert [type(e) for e in found[:2]] == [Start, UsageUpdate]
    deltas = [e for e in found if isinstance(e, ToolCallDelta)]
    assert len(deltas) == len(found) - 3
    assert (deltas[0].name, bool(deltas[0].id)) == ("get_weather", True)
    assert all(d.name is None and d.id is None for d in deltas[1:])
    [call] = found[-1].response.tool_calls  # type: ignore[attr-defined]
    assert call.arguments == "".join(d.arguments for d in deltas)
    assert call.id == deltas[0].id


async def test_calls_of_several_choices_have_ids_of_their_own(llama: Llama) -> None:
    sampling = Sampling(n=2, temperature=1, max_tokens=120)
    answer = await chat(llama, "Move.", tools=(MOVE,), tool_choice=REQUIRED, sampling=sampling)
    calls = [choice.message.tool_calls[0] for choice in answer.choices]
    assert len({call.id for call in calls}) == 2
    assert {call.name for call in calls} == {"move"}


async def test_a_call_cut_short_says_so(llama: Llama) -> None:
    sampling = Sampling(temperature=0, max_tokens=12)
    answer = await chat(llama, "Weather in Paris?", tools=(WEATHER,), tool_choice=REQUIRED, sampling=sampling)
    assert answer.finish_reason == "length"


async def test_auto_is_refused_where_the_template_shows_no_tools(llama: Llama) -> None:
    with pytest.raises(UnsupportedError, match="template") as refused:
        await chat(llama, "Weather in Paris?", tools=(WEATHER,))
    assert refused.value.field == "tools"


async def test_tools_that_must_not_be_called_change_nothing(llama: Llama) -> None:
    sampling = Sampling(temperature=0, max_tokens=8)
    plain = await chat(llama, "Hi", sampling=sampling)
    none = await chat(llama, "Hi", sampling=sampling, tools=(WEATHER,), tool_choice=ToolChoice(mode="none"))
    assert none.text == plain.text
    assert none.usage.input_tokens == plain.usage.input_tokens


BAD = [
    ({"tool_choice": REQUIRED}, "tools"),
    ({"tools": (MOVE, MOVE), "tool_choice": REQUIRED}, "tools[1].name"),
    ({"tools": (MOVE,), "tool_choice": ToolChoice(mode="named", name="stay")}, "tool_choice"),
    ({"tools": (MOVE,), "tool_choice": REQUIRED, "output": Output()}, "output"),
    ({"tools": (Tool(name="a", extra={"cost": 1}),), "tool_choice": REQUIRED}, "tools[0].cost"),
    ({"tools": (Tool(name="a", parameters={"not": {}}),), "tool_choice": REQUIRED}, "tools[0].parameters"),
    (
        {"tools": (Tool(name="a", parameters=of({"minItems": 2, "maxItems": 1})),)},
        "tools[0].parameters",
    ),
]


@pytest.mark.parametrize(("fields", "field"), BAD, ids=[str(i) for i in range(len(BAD))])
async def test_tools_that_cannot_be_are_refused_by_their_place(llama: Llama, fields: Any, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        await chat(llama, "Hi", **fields)
    assert refused.value.field == field


# --- a template that shows tools ---------------------------------------------------------------------------

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"x": "Paris"}}\n</tool_call>'
REPEAT = f"Repeat this exactly and nothing else:\n{CALL}"
COLD = Sampling(temperature=0, max_tokens=60)


async def test_auto_reads_calls_where_the_template_shows_tools(tooled: Llama) -> None:
    await tooled.load()
    assert tooled.about.tools is True
    answer = await chat(tooled, REPEAT, tools=(WEATHER,), sampling=COLD)
    [call] = answer.tool_calls
    assert (call.name, arguments_of(call)) == ("get_weather", {"x": "Paris"})
    assert call.id
    assert answer.finish_reason == "tool_calls"


async def test_auto_leaves_text_that_calls_nothing(tooled: Llama) -> None:
    answer = await chat(tooled, "Say hello.", tools=(WEATHER,), sampling=Sampling(temperature=0, max_tokens=5))
    assert answer.text
    assert answer.tool_calls == ()


async def test_a_template_that_shows_tools_shows_them_for_forced_calls_too(tooled: Llama) -> None:
    forced = {"tools": (WEATHER, MOVE), "tool_choice": ToolChoice(mode="named", name="move")}
    answer = await chat(tooled, "Move.", sampling=HOT[0], **forced)
    auto = await chat(tooled, "Move.", sampling=Sampling(max_tokens=1), tools=(WEATHER, MOVE))
    assert [call.name for call in answer.tool_calls] == ["move"]
    assert answer.usage.input_tokens == auto.usage.input_tokens


HISTORY = (
    user("Weather in Paris?"),
    Message(role="assistant", content=(ToolCall(id="c1", name="get_weather", arguments='{"x": "Paris"}'),)),
    user(ToolResult(call_id="c1", content=user("Sunny, 21 degrees").content[:1]), "And now in words."),  # type: ignore[arg-type]
)


@pytest.mark.parametrize("which", ["llama", "tooled"])
async def test_earlier_calls_and_results_reach_the_prompt(which: str, request: pytest.FixtureRequest) -> None:
    """With a template that knows calls, and as text with one that does not."""
    model: Llama = request.getfixturevalue(which)
    none = ToolChoice(mode="none")
    await model.call(Chat(messages=HISTORY, tools=(WEATHER,), tool_choice=none, sampling=Sampling(max_tokens=1)))
    prompt = await prompt_of(model, HISTORY)
    for piece in ("Weather in Paris?", "get_weather", '"x": "Paris"', "Sunny, 21 degrees", "And now in words."):
        assert piece in prompt
    assert prompt.index("get_weather") < prompt.index("Sunny") < prompt.index("And now")


async def prompt_of(model: Llama, messages: tuple[Message, ...]) -> str:
    """The prompt that the engine makes of the messages that trivet sends it."""
    sent = body.conversation(Chat(messages=messages), await model._limits())
    return str((await model.engine.ask("/apply-template", {"messages": sent["messages"]}))["prompt"])


async def test_a_failed_tool_says_so_in_the_prompt(llama: Llama) -> None:
    failed = user(ToolResult(call_id="c1", content=user("timed out").content[:1], is_error=True))  # type: ignore[arg-type]
    assert "Error of get_weather: timed out" in await prompt_of(llama, (*HISTORY[:2], failed))


async def test_a_result_of_no_call_is_refused(llama: Llama) -> None:
    with pytest.raises(RequestError, match="c9") as refused:
        await llama.call(Chat(messages=(user(ToolResult(call_id="c9")),)))
    assert refused.value.field == "messages[0]"


# --- reading a forced call ---------------------------------------------------------------------------------

SPACE = st.sampled_from(["", " ", "\n", "\n\n  ", "\t"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='{}[]":, \\aé😀\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"}', max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    name=st.text(alphabet='ab"\\}é', min_size=1, max_size=6),
    arguments=st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    spaces=st.lists(SPACE, min_size=9, max_size=9),
    indent=st.sampled_from([None, 2]),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_a_call_reads_the_same_however_its_text_is_cut(
    name: str, arguments: dict[str, Any], spaces: list[str], indent: int | None, cuts: list[int]
) -> None:
    written = json.dumps(arguments, indent=indent)
    marks = ["{", '"name"', ":", json.dumps(name), ",", '"arguments"', ":", written, "}"]
    text = "".join(space + mark for space, mark in zip(spaces, marks, strict=True)) + spaces[0]
    edges = sorted({0, len(text), *(c for c in cuts if c < len(text))})
    reader, pieces = CallReader(), []
    for start, end in pairwise(edges):
        pieces.append(reader.add(text[start:end]))
        assert not (pieces[-1] and reader.name is None)
    pieces.append(reader.end(whole=True))
    assert reader.name == name
    assert "".join(pieces) == written


def test_a_call_cut_in_its_arguments_gives_what_there_is() -> None:
    reader = CallReader()
    found = reader.add('{"name": "f", "arguments": {"a": {"b": 1}') + reader.end(whole=False)
    assert (reader.name, found) == ("f", '{"a": {"b": 1}')


def test_a_call_cut_in_its_name_is_no_call() -> None:
    reader = CallReader()
    assert reader.add('{"name": "f"') + reader.end(whole=False) == ""
    assert reader.name is None
