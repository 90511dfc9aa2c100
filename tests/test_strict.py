"""Schemas that are to hold go to OpenAI as strict where its published rules take them, else without, with a note.
https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas"."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trivet.errors import UnsupportedError
from trivet.providers.hosted import suited
from trivet.strict import obstacle
from trivet.types import Chat, Output, Source, Tool, user
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses

STRING = {"type": "string"}
TARGET = Target(model="gpt-5.5", provider="openai", family="openai")
OPTIONAL = {"type": "object", "properties": {"a": STRING}, "additionalProperties": False}
HELD = OPTIONAL | {"required": ["a"]}


def of(inner: Any) -> dict[str, Any]:
    """An object of one property."""
    return {"type": "object", "properties": {"a": inner}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    "inner",
    [
        STRING,
        {"type": ["string", "null"]},
        {"type": "string", "enum": ["x", "y"], "description": "d"},
        {"type": "string", "format": "date", "pattern": "^2"},
        {"type": "number", "minimum": 0, "multipleOf": 2},
        {"type": "array", "items": of(STRING), "minItems": 1},
        {"anyOf": [STRING, {"type": "null"}]},
        {"$ref": "#"},
        of(of(STRING)),
    ],
)
def test_what_strict_mode_takes(inner: Any) -> None:
    assert obstacle(of(inner)) is None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "items": STRING}, "its root is no object"),
        (STRING, "its root is no object"),
        ({"anyOf": [HELD, HELD]}, "its root is no object"),
        (OPTIONAL, "a is not required"),
        ({"type": "object"}, "additionalProperties is not false"),
        ({"type": "object", "properties": {}, "additionalProperties": STRING}, "additionalProperties is not false"),
        (of({"type": "object"}), "a.additionalProperties is not false"),
        (of({"type": "array", "items": OPTIONAL}), "a.items.a is not required"),
        (of({"anyOf": [STRING, OPTIONAL]}), "a.anyOf.a is not required"),
        (HELD | {"$defs": {"d": OPTIONAL}}, "d.a is not required"),
        (of({"type": "array"}), "a.items is missing"),
        (of({"enum": ["x"]}), "a.type is missing"),
        (of({"type": "string", "maxLength": 3}), "it takes no a.maxLength"),
        (of({"type": "string", "format": "uri"}), "it takes no a.format 'uri'"),
        (of(True), "a is no schema of a type"),
        (HELD | {"allOf": [HELD]}, "it takes no allOf"),
    ],
)
def test_what_it_does_not_take_and_why(schema: Any, why: str) -> None:
    assert obstacle(schema) == why


def parsed(front: str, schema: Any) -> Chat:
    """A client's request for an answer that fits the schema, in a protocol where it always does."""
    bodies: dict[str, Any] = {
        "anthropic": {
            "model": "m",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "q"}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
        },
        "gemini": {
            "contents": [{"parts": [{"text": "q"}]}],
            "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema},
        },
    }
    wire: Any = {"anthropic": anthropic, "gemini": gemini}[front]
    request = wire.parse(json.dumps(bodies[front]).encode()).request
    assert isinstance(request, Chat)
    return request


def sent(request: Chat, wire: Any, target: Target = TARGET) -> tuple[Any, tuple[str, ...]]:
    """The format as it is sent, and the notes."""
    kept, notes = suited(request, target, wire)
    body = json.loads(msgspec.json.encode(wire.write(kept, target)))
    if wire is openai_chat:
        return body["response_format"]["json_schema"], notes
    return body["text"]["format"], notes


@pytest.mark.parametrize("wire", [openai_chat, openai_responses])
@pytest.mark.parametrize("front", ["anthropic", "gemini"])
def test_a_schema_from_elsewhere_is_strict_where_it_may_be(front: str, wire: Any) -> None:
    form, notes = sent(parsed(front, HELD), wire)
    assert (form["schema"], form["strict"], notes) == (HELD, True, ())
    form, notes = sent(parsed(front, OPTIONAL), wire)
    assert (form["schema"], form["strict"]) == (OPTIONAL, False)
    assert notes == (
        "the answer's schema is not strict for openai, whose strict mode does not take it: a is not required",
    )


@pytest.mark.parametrize("wire", [openai_chat, openai_responses])
@pytest.mark.parametrize("front", ["anthropic", "gemini"])
def test_openai_takes_no_other_root_than_an_object(front: str, wire: Any) -> None:
    with pytest.raises(UnsupportedError, match="wrap it in an object") as refused:
        sent(parsed(front, {"type": "array", "items": STRING}), wire)
    assert refused.value.field == "output.schema"


def test_other_hosts_may_take_another_root() -> None:
    host = Target(model="m", provider="vllm", family="vllm")
    array = {"type": "array", "items": STRING}
    form, notes = sent(parsed("gemini", array), openai_chat, host)
    assert (form["schema"], form["strict"], len(notes)) == (array, False, 1)


@pytest.mark.parametrize("wire", [openai_chat, openai_responses])
@pytest.mark.parametrize("source", [None, "own"])
def test_what_a_user_or_a_client_of_openais_wrote_as_strict_stays(wire: Any, source: str | None) -> None:
    own = None if source is None else Source(protocol=wire.PROTOCOL, body=b"{}")
    asked = Chat(messages=(user("q"),), output=Output(schema=OPTIONAL, name="n", strict=True), source=own)
    form, notes = sent(asked, wire)
    assert (form["strict"], notes) == (True, ())


def test_between_openais_own_protocols_it_stays_too() -> None:
    chat = Source(protocol="openai-chat", body=b"{}")
    asked = Chat(messages=(user("q"),), output=Output(schema=OPTIONAL, name="n", strict=True), source=chat)
    form, notes = sent(asked, openai_responses)
    assert (form["strict"], notes) == (True, ())


@pytest.mark.parametrize("wire", [openai_chat, openai_responses])
def test_tools_from_elsewhere_are_strict_where_they_may_be(wire: Any) -> None:
    tools = (Tool(name="a", parameters=HELD, strict=True), Tool(name="b", parameters=OPTIONAL, strict=True))
    asked = Chat(messages=(user("q"),), tools=tools, source=Source(protocol="gemini", body=b"{}"))
    request, notes = suited(asked, TARGET, wire)
    assert [t.strict for t in request.tools] == [True, False]
    assert notes == ("tools not strict for openai, whose strict mode does not take their schemas: b",)


def test_protocols_without_such_rules_are_told_as_it_is() -> None:
    asked = parsed("gemini", OPTIONAL)
    assert suited(asked, Target(model="m", provider="anthropic", family="anthropic"), anthropic) == (asked, ())
