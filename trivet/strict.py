"""Which JSON Schemas OpenAI's strict mode takes: https://platform.openai.com/docs/guides/structured-outputs, "Supported
schemas". Others it refuses; without strict, it is told them and not held to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["FORMATS", "KEYWORDS", "obstacle"]

KEYWORDS = (
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs"}
    | {"description", "title", "pattern", "format", "multipleOf", "minItems", "maxItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def obstacle(schema: Mapping[str, Any]) -> str | None:
    """What strict mode would say against the schema, by the path at fault; None where it takes it."""
    if schema.get("type") != "object":
        return "its root is no object"
    return next(_obstacles(schema, ""), None)


def _obstacles(schema: Any, path: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        yield f"{path} is no schema of a type"
        return
    where = f"{path}." if path else ""
    yield from (f"it takes no {where}{name}" for name in schema if name not in KEYWORDS)
    if schema.get("format", "date") not in FORMATS:
        yield f"it takes no {where}format {schema['format']!r}"
    kind = schema.get("type")
    if kind is None and not schema.keys() & {"anyOf", "$ref"}:
        yield f"{where}type is missing"
    kinds = kind if isinstance(kind, list) else [kind]
    if "array" in kinds and "items" not in schema:
        yield f"{where}items is missing"
    properties = schema.get("properties", {})
    if "object" in kinds or properties:
        if schema.get("additionalProperties") is not False:
            yield f"{where}additionalProperties is not false"
        yield from (f"{where}{name} is not required" for name in properties if name not in schema.get("required", ()))
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield from _obstacles(inner, f"{where}{name}")
    for inner in schema.get("anyOf", ()):
        yield from _obstacles(inner, f"{where}anyOf")
    if "items" in schema:
        yield from _obstacles(schema["items"], f"{where}items")
