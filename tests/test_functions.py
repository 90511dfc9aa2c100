"""Plain Python functions as tools: what a model is told of them, and how its calls are run."""

from __future__ import annotations

import dataclasses
import enum
import functools
import threading
from typing import Annotated, Any, Literal, Optional

import msgspec
import pydantic
import pytest

import trivet
from tests.engines import Llama, chat
from trivet import Fake, functions
from trivet.functions import tool


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclasses.dataclass
class Place:
    city: str
    country: str = "France"


class Box(msgspec.Struct):
    width: int


class Order(pydantic.BaseModel):
    item: str
    count: int = pydantic.Field(default=1, gt=0)


def weather(city: str, days: int = 1) -> str:
    """The weather in a city.

    It is a forecast.

    Args:
        city: its name,
            in English
        days (int): how many

    Returns:
        A sentence.
    """
    return f"Rain in {city} for {days} days."


def test_signature_and_docstring_become_a_tool() -> None:
    assert tool(weather) == trivet.Tool(
        name="weather",
        description="The weather in a city.\n\nIt is a forecast.\n\nReturns:\n    A sentence.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "its name, in English"},
                "days": {"type": "integer", "default": 1, "description": "how many"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )


def test_a_function_without_docstring_or_parameters_is_a_tool_too() -> None:
    def now() -> str:
        return "noon"

    assert tool(now).description is None
    assert tool(now).parameters == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (Optional[str], {"anyOf": [{"type": "string"}, {"type": "null"}]}),  # noqa: UP045
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Annotated[str, "the name"], {"type": "string", "description": "the name"}),
        (Annotated[str, pydantic.Field(description="the name")], {"type": "string", "description": "the name"}),
        (Annotated[int, msgspec.Meta(ge=1, description="n")], {"type": "integer", "minimum": 1, "description": "n"}),
        (Any, {}),
    ],
)
def test_annotations_become_schemas(hint: Any, schema: dict[str, Any]) -> None:
    def f(x):  # type: ignore[no-untyped-def]
        pass

    f.__annotations__["x"] = hint
    assert tool(f).parameters["properties"] == {"x": schema}
    assert tool(f).parameters["required"] == ["x"]


def test_enums_dataclasses_structs_and_pydantic_models_are_told_beside_the_parameters() -> None:
    def f(unit: Unit, place: Place, box: Box, order: Order) -> None:
        pass

    made = tool(f).parameters
    assert made["properties"]["place"] == {"$ref": "#/$defs/Place"}
    assert made["properties"]["order"]["properties"]["count"]["exclusiveMinimum"] == 0
    assert made["$defs"]["Unit"]["enum"] == ["celsius", "fahrenheit"]
    assert made["$defs"]["Place"]["required"] == ["city"]
    assert made["$defs"]["Box"]["required"] == ["width"]


def unannotated(x) -> None:  # type: ignore[no-untyped-def]
    pass


def starred(*names: str) -> None:
    pass


def keywords(**names: str) -> None:
    pass


def positional(x: int, /) -> None:
    pass


def unserialisable(x: threading.Lock) -> None:  # type: ignore[valid-type]
    pass


def unresolvable(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (unannotated, r"unannotated\(\) cannot be a tool: its parameter 'x' has no type"),
        (starred, r"starred\(\) cannot be a tool: .* \*names: "),
        (keywords, r"\*\*names: .* cannot be named"),
        (positional, "cannot be named"),
        (unserialisable, "has no JSON Schema"),
        (unresolvable, "names what is not there: name 'Nowhere'"),
        (functools.partial(weather, days=2), "of type partial"),
        (Place, "of type type"),
        ("weather", "of type str"),
    ],
)
def test_what_cannot_be_a_tool_is_a_type_error(function: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        trivet.chat("Hi", model=Fake(), tools=[function])


@pytest.mark.parametrize("one", [weather, trivet.Tool(name="weather")])
def test_one_tool_alone_is_told_to_be_put_in_a_list(one: Any) -> None:
    with pytest.raises(TypeError, match=r"write tools=\[weather\]"):
        trivet.chat("Hi", model=Fake(), tools=one)


def test_functions_stand_beside_tools() -> None:
    fake, own = Fake(), trivet.Tool(name="clock")
    trivet.chat("Hi", model=fake, tools=[own, weather])
    assert fake.requests[0].tools == (own, tool(weather))  # type: ignore[attr-defined]


# --- calls -------------------------------------------------------------------------------------------------


def call(name: str, arguments: str) -> trivet.ToolCall:
    return trivet.ToolCall(id="c1", name=name, arguments=arguments)


def said(result: trivet.ToolResult) -> str:
    assert result.call_id == "c1"
    (part,) = result.content
    assert isinstance(part, trivet.Text)
    return part.text


def test_a_call_is_run_with_its_arguments_and_the_functions_defaults() -> None:
    assert said(trivet.run_tool(call("weather", '{"city": "Paris"}'), [weather])) == "Rain in Paris for 1 days."
    assert "3 days" in said(trivet.run_tool(call("weather", '{"days": 3, "city": "Paris"}'), [weather]))


def test_arguments_arrive_as_the_types_that_are_annotated() -> None:
    seen: list[object] = []

    def f(unit: Unit, place: Place, orders: list[Order], box: Box | None = None) -> None:
        seen.extend([unit, place, orders, box])

    arguments = '{"unit": "celsius", "place": {"city": "Nice"}, "orders": [{"item": "pen"}]}'
    assert said(trivet.run_tool(call("f", arguments), [f])) == "null"
    assert seen == [Unit.C, Place("Nice"), [Order(item="pen", count=1)], None]


def test_an_async_function_is_awaited() -> None:
    async def double(x: int) -> int:
        return 2 * x

    assert said(trivet.run_tool(call("double", '{"x": 4}'), [double])) == "8"


def test_a_tool_may_itself_ask_a_model() -> None:
    def ask(question: str) -> str:
        return trivet.chat(question, model=Fake("Forty-two.")).text

    assert said(trivet.run_tool(call("ask", '{"question": "?"}'), [ask])) == "Forty-two."


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Place("Nice"), '{"city":"Nice","country":"France"}'),
        ([Order(item="pen")], '[{"item":"pen","count":1}]'),
        ([], "[]"),
    ],
)
def test_what_is_no_text_is_told_as_json(result: Any, text: str) -> None:
    def f() -> Any:
        return result

    assert said(trivet.run_tool(call("f", ""), [f])) == text


def test_parts_stay_parts() -> None:
    image = trivet.Image(url="https://example.com/a.png")

    def f() -> list[Any]:
        return [image, trivet.Text(text="a map")]

    assert trivet.run_tool(call("f", "{}"), [f]).content == (image, trivet.Text(text="a map"))


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("wether", "{}", "There is no tool 'wether'. There are: weather."),
        ("weather", '{"city": 3}', "Expected `str`, got `int` - at `$.city`"),
        ("weather", '{"town": "Nice"}', "weather are wrong: Object contains unknown field `town`"),
        ("weather", '{"city": "Ni', "weather are wrong: Input data was truncated"),
    ],
)
def test_a_models_mistake_is_told_to_the_model(name: str, arguments: str, told: str) -> None:
    result = trivet.run_tool(call(name, arguments), [weather])
    assert result.is_error
    assert told in said(result)


def test_a_broken_rule_of_pydantics_is_told_without_its_links() -> None:
    def f(order: Order) -> None:
        pass

    result = trivet.run_tool(call("f", '{"order": {"item": "pen", "count": 0}}'), [f])
    assert said(result) == "The arguments of f are wrong: count: Input should be greater than 0 - at `$.order`"


def test_a_function_that_fails_is_a_tool_error() -> None:
    def f() -> None:
        raise KeyError("x")

    with pytest.raises(trivet.ToolError, match="The tool f failed: KeyError: 'x'") as caught:
        trivet.run_tool(call("f", "{}"), [f])
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(trivet.ToolError, match="cannot be written as JSON"):
        trivet.run_tool(call("odd", "{}"), [odd])


def odd() -> Any:
    return threading.Lock()


async def test_the_embedded_model_calls_a_function(llama: Llama) -> None:
    asked = await chat(
        llama,
        "What is the weather in Paris?",
        tools=(tool(weather),),
        tool_choice=trivet.ToolChoice(mode="required"),
        sampling=trivet.Sampling(temperature=0, max_tokens=60),
    )
    (made,) = asked.tool_calls
    result = await functions.run(made, [weather])
    assert not result.is_error
    assert result.content[0].text.startswith("Rain in ")  # type: ignore[union-attr]
