"""The schema that a model is asked to hold, for an answer into a type."""

from __future__ import annotations

import typing
from typing import Annotated, Any

import msgspec
import pytest

import trivet
from tests.test_into import INVOICE, Invoice, Tree
from trivet import Fake
from trivet.into import Shape, portable


def asked_for(kind: Any) -> trivet.Output:
    return Shape(kind).output


def test_the_schema_is_the_types_with_every_property_in_it() -> None:
    fake = Fake(INVOICE)
    trivet.chat("?", model=fake, into=Invoice)
    assert fake.requests[0].output == trivet.Output(  # type: ignore[attr-defined]
        name="Invoice",
        strict=True,
        schema={
            "title": "Invoice",
            "description": "A bill.",
            "type": "object",
            "properties": {
                "number": {"type": "string"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
                "due": {
                    "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
                    "description": "By default null.",
                },
            },
            "required": ["number", "lines", "due"],
            "additionalProperties": False,
            "$defs": {
                "Line": {
                    "title": "Line",
                    "type": "object",
                    "properties": {
                        "what": {"type": "string"},
                        "count": {"type": "integer", "description": "By default 1."},
                    },
                    "required": ["what", "count"],
                    "additionalProperties": False,
                }
            },
        },
    )


def test_what_is_no_object_is_the_value_in_one() -> None:
    schema = asked_for(list[int]).schema
    assert schema == {
        "title": "Answer",
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"type": "integer"}}},
        "required": ["value"],
        "additionalProperties": False,
    }


def test_a_type_inside_itself_keeps_its_reference() -> None:
    schema = asked_for(Tree).schema
    assert schema is not None
    assert schema["type"] == "object"
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert set(schema["$defs"]) == {"Tree"}


@pytest.mark.parametrize(
    "kind",
    [dict[str, int], tuple[int, str], Annotated[str, msgspec.Meta(max_length=3)]],
)
def test_what_openais_strict_mode_does_not_know_is_not_asked_for_strictly(kind: Any) -> None:
    assert asked_for(kind).strict is None


def test_a_key_that_may_be_missing_stays_so_and_is_not_asked_for_strictly() -> None:
    class Maybe(typing.TypedDict):
        a: int
        b: typing.NotRequired[int]

    output = asked_for(Maybe)
    assert output.schema is not None
    assert (output.schema["required"], output.strict) == (["a"], None)


def test_a_format_that_providers_do_not_know_is_told_in_words() -> None:
    assert portable({"type": "string", "format": "decimal"}) == (
        {"type": "string", "description": "Format: decimal."},
        True,
    )
    assert portable({"type": "string", "format": "date"})[0] == {"type": "string", "format": "date"}


def test_a_property_may_be_called_like_a_keyword() -> None:
    made, strict = portable({"type": "object", "properties": {"default": {"type": "string"}}, "required": ["default"]})
    assert made["properties"] == {"default": {"type": "string"}}
    assert (made["required"], strict) == (["default"], True)
