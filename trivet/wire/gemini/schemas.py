"""Gemini's older schemas (OpenAPI's) as JSON Schemas. Its newer fields take those as they are."""

from __future__ import annotations

from typing import Any

from trivet.wire.gemini.proto import camel

_INTEGERS = {"maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"}


def json_schema(schema: Any) -> Any:
    """Types in small letters, `nullable` as a type, properties in the order that is asked for."""
    if not isinstance(schema, dict):
        return schema
    read = {camel(name): value for name, value in schema.items() if value is not None}
    ordering = read.pop("propertyOrdering", None)
    nullable = read.pop("nullable", False)
    out = {name: _keyword(name, value) for name, value in read.items()}
    for old, new in (("ref", "$ref"), ("defs", "$defs")):
        if old in out:
            out[new] = out.pop(old)
    if "example" in out:
        out["examples"] = [out.pop("example")]
    if isinstance(ordering, list) and isinstance(out.get("properties"), dict):
        order = [name for name in ordering if name in out["properties"]]
        properties = {name: out["properties"][name] for name in order}
        out["properties"] = properties | {n: v for n, v in out["properties"].items() if n not in properties}
    return _nullable(out) if nullable else out


def _keyword(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name in ("properties", "defs", "$defs") and isinstance(value, dict):
        return {key: json_schema(inner) for key, inner in value.items()}
    if name in ("items", "additionalProperties"):
        return json_schema(value)
    if name in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [json_schema(inner) for inner in value]
    if name in _INTEGERS and isinstance(value, str) and value.isdigit():
        return int(value)  # proto JSON writes an int64 as a string
    return value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The same or null."""
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    if isinstance(schema.get("anyOf"), list):
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema
