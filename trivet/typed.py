"""Python types as JSON Schemas, and JSON back into them, checked.

A type is what msgspec knows (int, list, dict, Optional, Literal, enums, dates, dataclasses, TypedDicts, structs, …) or
a pydantic model, anywhere inside one another; pydantic itself is never imported from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Misfit", "decode", "encode", "name", "schema"]


class Misfit(ValueError):
    """JSON that does not fit a type; the message says where and why, in words for a person or a model."""


def name(kind: Any) -> str:
    """`Invoice`, `list[int]`."""
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__origin__") else str(kind)


def schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type, with the type itself at its root and the types in it under `$defs`.

    Raises TypeError for a type that JSON cannot have, and for a name in an annotation that is not there.
    """
    inner: dict[str, Any] = {}

    def of_pydantic(custom: Any) -> dict[str, Any]:
        if not _is_pydantic(custom):
            raise NotImplementedError
        own: dict[str, Any] = custom.model_json_schema()
        for key, value in own.pop("$defs", {}).items():
            if inner.setdefault(key, value) != value:
                raise TypeError(f"two types in {name(kind)} are named {key}: rename one")
        return own

    try:
        out = msgspec.json.schema(kind, schema_hook=of_pydantic)
    except NameError as error:
        raise TypeError(f"{name(kind)}: an annotation in it names what is not there: {error}") from None
    except TypeError as error:
        raise TypeError(f"{name(kind)} has no JSON Schema: {' '.join(str(error).split())}") from None
    known = out.pop("$defs", {})
    for key in known.keys() & inner.keys():
        raise TypeError(f"two types in {name(kind)} are named {key}: rename one")
    return _at_root(out, {**known, **inner})


def decode(text: str | bytes, kind: Any) -> Any:
    """The value of type `kind` that is written in `text`. Raises Misfit."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_into_pydantic)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misfit(str(error)) from None
    except TypeError as error:  # such as a list in a set
        raise Misfit(f"a value in it cannot be where it is: {error}") from None


def encode(value: Any) -> str:
    """A value as JSON, pydantic models in it too. Raises TypeError for what JSON cannot have."""
    return msgspec.json.encode(value, enc_hook=_from_pydantic).decode()


def _at_root(out: dict[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """A reference at the root is replaced by what it refers to: providers want an object there."""
    kept = dict(defs)
    reference = out.get("$ref", "")
    own = reference.removeprefix("#/$defs/")
    if own in kept:
        out = {key: value for key, value in out.items() if key != "$ref"} | kept[own]
        if f'"{reference}"'.encode() not in msgspec.json.encode([out, kept]):  # unless the type is inside itself
            del kept[own]
    return {**out, "$defs": kept} if kept else out


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")


def _into_pydantic(kind: Any, plain: Any) -> Any:
    if not _is_pydantic(kind):
        raise NotImplementedError(f"JSON cannot be read into {kind}")
    try:
        return kind.model_validate_json(msgspec.json.encode(plain))
    except ValueError as error:
        problems: list[Any] = getattr(error, "errors", list)()  # pydantic's, without its links
        told = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)
        raise ValueError("; ".join(told) or str(error)) from None


def _from_pydantic(value: Any) -> Any:
    if not _is_pydantic(type(value)):
        raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
    return value.model_dump(mode="json")
