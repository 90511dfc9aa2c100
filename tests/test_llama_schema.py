"""JSON Schemas as grammars: what is held, and that what is not held is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from trivet.errors import RequestError, UnsupportedError
from trivet.local.llama import Llama
from trivet.local.llama.schema import check_bounds, grammar, moved
from trivet.types import Chat, Output, Sampling, user

INTEGER = {"type": "integer"}


def sent(schema: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(grammar(schema, "schema", "local/m").partition("%json ")[2])
    return text


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"not": INTEGER}, '"not"'),
        ({"if": INTEGER, "then": INTEGER}, '"if"'),
        ({"type": "array", "uniqueItems": True}, '"uniqueItems"'),
        ({"type": "array", "contains": INTEGER}, '"contains"'),
        ({"type": "object", "properties": {"a": {"dependentRequired": {"a": ["b"]}}}}, '"dependentRequired"'),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "string", "format": "bogus"}, "bogus"),
        ({"oneOf": [INTEGER, {"type": "number"}]}, "oneOf"),
        ({"$ref": "https://example.com/schema"}, "example.com"),
        ({"x-guidance": {"lenient": True}, "not": INTEGER}, '"not"'),  # the library's own way to overlook things
    ],
)
def test_what_the_grammar_does_not_hold_is_refused_by_name(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(said)) as caught:
        grammar(schema, "schema", "local/m")
    assert caught.value.field == "schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "bogus"},
        {"$ref": "#/nowhere"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "object", "properties": 5},
    ],
)
def test_what_is_no_schema_or_allows_nothing_is_a_wrong_request(schema: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        grammar(schema, "schema", "local/m")
    assert not isinstance(caught.value, UnsupportedError)


def test_a_schema_that_is_too_deep_is_refused() -> None:
    deep: dict[str, Any] = INTEGER
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    with pytest.raises(RequestError):
        grammar(deep, "schema", "local/m")


def test_an_object_has_no_properties_but_those_listed_unless_it_says_so() -> None:
    closed = {"type": "object", "properties": {"a": INTEGER}}
    assert sent(closed)["additionalProperties"] is False
    assert sent({**closed, "additionalProperties": True})["additionalProperties"] is True
    joined = sent({"allOf": [closed, {"type": "object", "properties": {"b": INTEGER}}]})
    assert "additionalProperties" not in json.dumps(joined)
    names = sent({"type": "object", "properties": {"properties": INTEGER, "type": INTEGER}})
    assert set(names["properties"]) == {"properties", "type"}


def test_references_of_a_schema_follow_it_to_another_place() -> None:
    there = moved({"$id": "https://example.com", "$ref": "#/$defs/P", "$defs": {"P": INTEGER}}, "$defs/tool0")
    assert there == {"$ref": "#/$defs/tool0/$defs/P", "$defs": {"P": INTEGER}}


def test_values_and_names_of_properties_that_look_like_keywords_are_left_alone() -> None:
    schema = {"type": "object", "properties": {"$id": {"const": {"$id": "a", "$ref": "#/b"}}}, "required": ["$id"]}
    assert moved(schema, "$defs/tool0")["properties"] == schema["properties"]


def test_tools_that_are_free_to_be_called_are_looked_at_for_bounds_alone() -> None:
    check_bounds({"not": INTEGER}, "tools[0].parameters")
    with pytest.raises(RequestError, match="minItems 3 is above maxItems 2"):
        check_bounds({"properties": {"a": {"minItems": 3, "maxItems": 2}}}, "tools[0].parameters")


NESTED = {"anyOf": [{"const": 0}, {"type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 1}]}
# Each keyword beside a check of its own. That the library here and the one in the engine agree shows only in answers.
HELD: dict[str, tuple[dict[str, Any], Any]] = {
    "integer bounds": ({"type": "integer", "minimum": 20, "exclusiveMaximum": 31}, lambda v: 20 <= v < 31),
    "number bounds": ({"type": "number", "minimum": 3, "maximum": 3.5}, lambda v: 3 <= v <= 3.5),
    "multipleOf": ({"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 999}, lambda v: v % 7 == 0),
    "lengths": ({"type": "string", "minLength": 2, "maxLength": 4}, lambda v: 2 <= len(v) <= 4),
    "pattern": ({"type": "string", "pattern": "^[a-c]{2,3}-\\d+x$"}, lambda v: re.fullmatch("[a-c]{2,3}-\\d+x", v)),
    "format": ({"type": "string", "format": "date"}, lambda v: re.fullmatch(r"\d{4}-\d\d-\d\d", v)),
    "enum": ({"enum": ["red", 7, None]}, lambda v: v in ("red", 7, None)),
    "const": ({"const": {"a": [1]}}, lambda v: v == {"a": [1]}),
    "items": ({"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 3}, lambda v: 2 <= len(v) <= 3),
    "prefixItems": (
        {"type": "array", "prefixItems": [{"const": "a"}, INTEGER], "items": False, "minItems": 2},
        lambda v: v[0] == "a" and isinstance(v[1], int) and len(v) == 2,
    ),
    "anyOf": ({"anyOf": [{"const": 1}, {"const": "b"}]}, lambda v: v in (1, "b")),
    "oneOf": ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, lambda v: v in (True, False, None)),
    "allOf": ({"allOf": [{"type": "integer"}, {"minimum": 5, "maximum": 9}]}, lambda v: 5 <= v <= 9),
    "types": ({"type": ["integer", "null"], "minimum": 0, "maximum": 99}, lambda v: v is None or 0 <= v <= 99),
    "required": (
        {"type": "object", "properties": {"a": {"enum": [1, 2]}, "b": {"type": "boolean"}}, "required": ["a"]},
        lambda v: v["a"] in (1, 2) and v.keys() <= {"a", "b"},
    ),
    "additionalProperties": (
        {"type": "object", "additionalProperties": {"enum": [3]}, "minProperties": 1, "maxProperties": 2},
        lambda v: 1 <= len(v) <= 2 and set(v.values()) == {3},
    ),
    "recursion": ({"$ref": "#/$defs/n", "$defs": {"n": NESTED}}, lambda v: v == 0 or isinstance(v, list)),
}


@pytest.mark.parametrize("name", HELD)
async def test_answers_are_right_by_their_schema_at_a_high_temperature(llama: Llama, name: str) -> None:
    schema, right = HELD[name]
    for seed in range(4):
        request = Chat(
            messages=(user("Answer in JSON, not with a list of stories but with any value."),),
            output=Output(schema=schema),
            sampling=Sampling(temperature=1.3, seed=seed, max_tokens=120),
        )
        response: Any = await llama.call(request)
        if response.finish_reason == "stop":
            assert right(json.loads(response.text)), response.text
        else:  # an unbounded value that went on: what there is must still begin like one
            assert response.text[:1] in '[{"0123456789-', response.text
