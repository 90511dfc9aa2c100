"""Structured output into a type of one's own: a dataclass, struct, TypedDict or pydantic class, or such as list[int].

The model is asked to hold the type's JSON Schema. Where it cannot, it is asked for any JSON, or for nothing, and told
the schema in words. An answer that does not fit is sent back once, with what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from trivet import strict as strict_mode
from trivet import typed
from trivet.errors import ProviderError, RequestError, UnsupportedError
from trivet.types import Chat, ChatResponse, Message, Output, Request, Response, Text, replace, user

__all__ = ["Answer", "ask", "portable"]

T = TypeVar("T")

_TOLD = "Answer with one JSON object and nothing else. It must be valid against this JSON Schema:\n"
_REPAIR = "That answer does not fit: {problem}. Answer again, with the whole JSON object, corrected, and nothing else."
_WHY = {
    "length": "its tokens ran out before it was whole: raise max_tokens, or the model's context",
    "refusal": "the model refused to answer",
    "tool_calls": "the model calls tools, and `into` takes a last answer: give it their results first",
}


class Answer(ChatResponse, Generic[T], tag="chat", frozen=True, kw_only=True):
    """A response with the answer's `value`. Its `usage` and `cost` are those of both rounds where the model was asked
    again, which `notes` say; the rest is of the last round."""

    value: T


async def ask(call: Callable[[Request], Awaitable[Response]], request: Chat, kind: Any) -> Answer[Any]:
    """The answer to `request` as a value of type `kind`. `call` asks once: a model's or a runtime's `call`.

    Raises TypeError for a type that has no JSON Schema. Raises ProviderError, with the answer's text as its `body`,
    where an answer was cut or refused, and where the second does not fit either.
    """
    if request.output is not None:
        raise RequestError("`into` says what the answer must be, and so does `output`: give one of them", field="into")
    if request.sampling.n > 1:
        raise RequestError(f"`into` gives one value, and n is {request.sampling.n}: leave n out", field="n")
    shape = Shape(kind)
    request, first, notes = await _first(call, request, shape)
    try:
        return _answer(first, shape.read(first), *notes)
    except typed.Misfit as problem:
        if first.finish_reason != "stop":
            _refuse(first, shape, _WHY[first.finish_reason])
        said = (first.message,) if first.text.strip() else ()
        repair = user(_REPAIR.format(problem=problem))
        notes += (f"the first answer did not fit {shape.name} ({problem}), so that the model was asked again",)
    second = await call(replace(request, messages=(*request.messages, *said, repair)))
    assert isinstance(second, ChatResponse)
    cost = second.cost if first.cost is None or second.cost is None else first.cost + second.cost
    second = replace(second, usage=first.usage + second.usage, cost=cost)
    try:
        return _answer(second, shape.read(second), *notes)
    except typed.Misfit as problem:
        why = _WHY.get(second.finish_reason, f"it was asked twice, and the last time: {problem}")
        _refuse(second, shape, why)


class Shape:
    """A type as the JSON object that is asked for: what is no object by itself is the `value` in one."""

    def __init__(self, kind: Any) -> None:
        self.name = typed.name(kind)
        self.kind = kind
        schema = typed.schema(kind)
        self.wrapped = schema.get("type") != "object"
        if self.wrapped:
            self.kind = msgspec.defstruct("Answer", [("value", typed.adapted(kind))])
            schema = typed.schema(self.kind)
        self.schema, strict = portable(schema)
        title = "".join(c for c in schema.get("title", "") if c.isascii() and (c.isalnum() or c in "_-"))
        self.output = Output(schema=self.schema, name=title[:64] or "answer", strict=strict or None)

    def read(self, response: ChatResponse) -> Any:
        """The value in an answer, which may have words or a fence around it. Raises Misfit."""
        if response.finish_reason == "refusal":
            _refuse(response, self, _WHY["refusal"])
        text = response.text.strip()
        try:
            value = typed.decode(text, self.kind)
        except typed.Misfit:
            inner = text[text.find("{") : text.rfind("}") + 1]
            if not inner or inner == text:
                raise
            value = typed.decode(inner, self.kind)
        return value.value if self.wrapped else value


async def _first(
    call: Callable[[Request], Awaitable[Response]], request: Chat, shape: Shape
) -> tuple[Chat, ChatResponse, tuple[str, ...]]:
    """The first answer, the request that it answers, and what was done differently."""
    told = replace(request, messages=_told(request.messages, shape.schema))
    ways = (replace(request, output=shape.output), replace(told, output=Output()), told)
    notes: tuple[str, ...] = ()
    for way in ways:
        try:
            response = await call(way)
        except RequestError as error:
            if way is told or not _refuses_output(error):
                raise
            notes = (f"the model does not hold {shape.name}'s schema: it was told it, and the answer was checked",)
        else:
            assert isinstance(response, ChatResponse)
            return way, response, notes
    raise AssertionError("the last way returns or raises")


def _refuses_output(error: RequestError) -> bool:
    """Whether trivet knows that the model cannot do what is asked, or its provider has named the field."""
    field = (error.field or "").lower().replace("_", "")
    named = any(name in field for name in ("responseformat", "text.format", "outputconfig", "responsejsonschema"))
    return isinstance(error, UnsupportedError) or named


def _told(messages: tuple[Message, ...], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """The conversation with the schema in words at its end, where every model reads it."""
    text = _TOLD + msgspec.json.encode(schema).decode()
    last = messages[-1]
    if last.role == "user":
        return (*messages[:-1], replace(last, content=(*last.content, Text(text=text))))
    return (*messages, user(text))


def _answer(response: ChatResponse, value: Any, *notes: str) -> Answer[Any]:
    fields = {name: getattr(response, name) for name in ChatResponse.__struct_fields__}
    return Answer(**fields | {"value": value, "notes": (*response.notes, *notes)})


def _refuse(response: ChatResponse, shape: Shape, why: str) -> NoReturn:
    text = response.text
    said = repr(text if len(text) <= 300 else f"{text[:300]}…")
    raise ProviderError(
        f"{response.model}: the answer is no {shape.name}: {why}. It said {said}",
        provider=response.model,
        body=text.encode(),
    )


# --- schemas that providers hold ---------------------------------------------------------------------------


def portable(schema: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema as most providers want it, and whether OpenAI holds it strictly.

    Objects have the listed properties and no others; one with a default must be there too, its default being told in
    its description, as is a format that providers do not know.
    """
    out = {key: value for key, value in schema.items() if key not in ("default", "uniqueItems")}  # a set sees to that
    notes = [out["description"]] if "description" in out else []
    if "default" in schema and "$ref" not in schema:
        notes.append(f"By default {msgspec.json.encode(schema['default']).decode()}.")
    if out.get("format", "date") not in strict_mode.FORMATS:
        notes.append(f"Format: {out.pop('format')}.")
    if notes:
        out["description"] = " ".join(notes)
    if "type" not in out and out.get("enum") and all(isinstance(value, str) for value in out["enum"]):
        out["type"] = "string"
    strict = out.keys() <= strict_mode.KEYWORDS
    if "properties" in out:
        properties = out["properties"]
        optional = {k for k, v in properties.items() if "default" not in v} - set(out.get("required", ()))
        out["required"] = [name for name in properties if name not in optional]
        out.setdefault("additionalProperties", False)
        strict &= not optional
    strict &= out.get("type") != "object" or out.get("additionalProperties") is False
    for key in ("properties", "$defs"):
        if key in out:
            inner = {name: portable(value) for name, value in out[key].items()}
            out[key] = {name: made for name, (made, _) in inner.items()}
            strict &= all(fits for _, fits in inner.values())
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if key in out:
            parts = [portable(value) for value in out[key]]
            out[key] = [made for made, _ in parts]
            strict &= all(fits for _, fits in parts)
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), Mapping):
            out[key], fits = portable(out[key])
            strict &= fits
    return out, strict
