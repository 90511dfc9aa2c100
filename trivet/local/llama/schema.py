"""Which JSON Schemas the engine's grammar really holds.

llama.cpp turns a schema into a grammar, and passes over what it cannot express, with at most a warning on standard
error. A schema that is not held is not structured output, so such keywords are refused here, by name and place. The
lists follow llama.cpp's `json-schema-to-grammar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trivet.errors import UnsupportedError

_SCHEMAS = {"additionalProperties", "items"}  # keywords whose value is a schema
_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems", "items"}  # … a list of schemas
_MAPS = {"properties", "$defs", "definitions"}  # … schemas by name
_HELD = {
    *("$ref", "type", "const", "enum", "required", "pattern"),
    *("minLength", "maxLength", "minItems", "maxItems"),
}
_ALONE = {"$ref", "anyOf", "oneOf", "const", "enum"}  # the engine looks at nothing else where it finds one of these
_INTEGERS_ONLY = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
# `format` is an annotation by the standard (2020-12, section 7.2.1); the engine holds date, time, date-time and uuid.
_NOTES = {
    *("title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly", "discriminator"),
    *("$schema", "$id", "$comment", "$anchor", "contentEncoding", "contentMediaType"),
}


def held(schema: Mapping[str, Any], where: str, model: str) -> Mapping[str, Any]:
    """The schema, where the grammar holds all that it asks for. Raises `UnsupportedError` with the keyword's path."""
    for path, keyword in _not_held(schema, where):
        raise UnsupportedError(
            f"{model}: its grammar does not hold {keyword!r} at {path}, so that an answer could break the schema: "
            "leave it out and check it afterwards, or name another model",
            field=path,
        )
    return schema


def _not_held(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        return  # true, false, or nonsense that the engine refuses itself
    for first in _ALONE & schema.keys():
        for keyword in schema.keys() - {first, "type", "$defs", "definitions"} - _NOTES:
            yield f"{path}.{keyword}", f"{keyword} beside {first}"
    for keyword, value in schema.items():
        here = f"{path}.{keyword}"
        if keyword in _LISTS and isinstance(value, list | tuple):
            for i, item in enumerate(value):
                yield from _not_held(item, f"{here}[{i}]")
        elif keyword in _SCHEMAS:
            yield from _not_held(value, here)
        elif keyword in _MAPS and isinstance(value, Mapping):
            for name, item in value.items():
                yield from _not_held(item, f"{here}.{name}")
        elif keyword == "pattern" and not _anchored(value):
            yield here, f"pattern {value}"
        elif keyword in _INTEGERS_ONLY and schema.get("type") != "integer":
            yield here, f"{keyword} of numbers that are not integers"
        elif keyword not in _HELD | _INTEGERS_ONLY | _NOTES:
            yield here, keyword


def _anchored(pattern: Any) -> bool:
    """The engine takes a pattern as the whole string, between ^ and $, and knows no look-around or back-reference."""
    text = str(pattern)
    whole = text.startswith("^") and text.endswith("$") and not text.endswith("\\$")
    return whole and not any(mark in text for mark in ("(?=", "(?!", "(?<", "\\1", "\\b", "\\B", "\\p"))


def moved(schema: Any, prefix: str) -> Any:
    """The schema for another place in a document, where its root stands at `prefix`: its references point there."""
    if isinstance(schema, Mapping):
        out = {k: moved(v, prefix) for k, v in schema.items()}
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref.startswith("#"):
            out["$ref"] = f"#/{prefix}{ref[1:]}"
        return out
    return [moved(v, prefix) for v in schema] if isinstance(schema, list | tuple) else schema
