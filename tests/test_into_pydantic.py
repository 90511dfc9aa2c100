"""Pydantic's dataclasses as the type of an answer, or of a tool's parameter: by pydantic, which alone checks them."""

from __future__ import annotations

import dataclasses
import typing
from typing import Annotated, Any

import msgspec
import pytest

import trivet
from trivet import Fake, functions

pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")
dataclass = pytest.importorskip("pydantic.dataclasses").dataclass


@dataclass
class Line:
    what: str
    count: int = pydantic.Field(default=1, gt=0)


@dataclass
class Order:
    lines: list[Line]
    tags: list[str] = pydantic.Field(default_factory=list)

    @pydantic.field_validator("tags")
    @classmethod
    def lower(cls, tags: list[str]) -> list[str]:
        return [tag.lower() for tag in tags]


class Struct(msgspec.Struct):
    line: Line


@dataclasses.dataclass
class Plain:
    lines: list[Line]


class Dict(typing.TypedDict):
    inner: Plain | None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Line, '{"what": "pen"}', Line("pen")),
        (Order, '{"lines": [{"what": "pen", "count": 2}], "tags": ["A"]}', Order([Line("pen", 2)], ["a"])),
        (list[Line], '{"value": [{"what": "pen"}]}', [Line("pen")]),
        (dict[str, Line], '{"a": {"what": "pen"}}', {"a": Line("pen")}),
        (Line | None, '{"value": {"what": "pen"}}', Line("pen")),
        (Line | None, '{"value": null}', None),
        (Annotated[Line, "a note"], '{"what": "pen"}', Line("pen")),
    ],
)
def test_the_answer_becomes_a_value_of_the_type(kind: Any, text: str, value: object) -> None:
    answer = trivet.chat("?", model=Fake(text), into=kind)
    assert answer.value == value
    assert type(answer.value) is type(value)


def test_its_rules_are_in_the_schema_and_held() -> None:
    texts = iter(['{"what": "pen", "count": 0}', '{"what": "pen", "count": 3}'])
    fake = Fake(lambda request: next(texts))
    assert trivet.chat("?", model=fake, into=Line).value == Line("pen", 3)
    first, second = fake.requests
    schema = first.output.schema  # type: ignore[attr-defined]
    assert schema["properties"]["count"]["exclusiveMinimum"] == 0
    assert first.output.name == "Line"  # type: ignore[attr-defined]
    assert "count: Input should be greater than 0" in second.messages[-1].text  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Struct, Plain, Dict, list[Struct]])
def test_one_in_a_field_that_pydantic_does_not_read_is_refused_and_not_left_unchecked(kind: Any) -> None:
    with pytest.raises(TypeError, match="has a pydantic dataclass in its field"):
        trivet.chat("?", model=Fake("{}"), into=kind)


async def test_a_tools_parameter_may_be_one() -> None:
    def order(line: Line) -> str:
        """Orders."""
        return f"{line.count} {line.what}"

    told = functions.tool(order)
    assert told.parameters["properties"]["line"]["properties"]["count"]["exclusiveMinimum"] == 0
    call = trivet.ToolCall(id="1", name="order", arguments='{"line": {"what": "pen", "count": 2}}')
    assert (await functions.run(call, [order])).content == (trivet.Text(text="2 pen"),)
    wrong = trivet.ToolCall(id="1", name="order", arguments='{"line": {"what": "pen", "count": 0}}')
    assert (await functions.run(wrong, [order])).is_error
