"""Python types as JSON Schemas, and JSON back into them, checked.

A type is what msgspec knows (int, list, dict, Optional, Literal, enums, dates, dataclasses, TypedDicts, structs, …) or
a pydantic model, anywhere inside one another, or a pydantic dataclass, anywhere but in a field of msgspec's or of a
plain class; pydantic is never imported from here for a type that is not its own.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Misfit", "adapted", "decode", "encode", "name", "schema"]


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

    _refuse_fields(kind, set())
    try:
        out = msgspec.json.schema(adapted(kind), schema_hook=of_pydantic)
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
        return msgspec.json.decode(text, type=adapted(kind), dec_hook=_into_pydantic)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misfit(str(error)) from None
    except TypeError as error:  # such as a list in a set
        raise Misfit(f"a value in it cannot be where it is: {error}") from None


def adapted(kind: Any) -> Any:
    """The type with a stand-in for each pydantic dataclass, which msgspec would take for a plain one, and not check."""
    if _is_pydantic_dataclass(kind):
        return _stand_in(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is None or origin is typing.Literal:
        return kind
    inner = tuple(adapted(argument) for argument in arguments)
    if all(a is b for a, b in zip(inner, arguments, strict=True)):
        return kind
    if origin is typing.Annotated:
        return typing.Annotated[inner[0], *kind.__metadata__]
    return typing.Union[inner] if origin in (typing.Union, types.UnionType) else origin[inner]  # noqa: UP007


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


class _StandIn(type):
    """Of a class that is like a pydantic model in what is asked of it here, and whose values are those of `kind`."""

    kind: type

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.kind)


@functools.cache
def _stand_in(kind: type) -> type:
    from pydantic import TypeAdapter

    adapter: Any = TypeAdapter(kind)
    asked = {"model_json_schema": adapter.json_schema, "model_validate_json": adapter.validate_json}
    return _StandIn(kind.__name__, (), {"kind": kind, **asked})


def _is_pydantic_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and "__is_pydantic_dataclass__" in vars(kind)


def _refuse_fields(kind: Any, seen: set[Any]) -> None:
    """Raises TypeError where a pydantic dataclass is in a field of a class that msgspec reads, unchecked."""
    for argument in typing.get_args(kind):
        _refuse_fields(argument, seen)
    kind = typing.get_origin(kind) or kind
    fields = dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__") or typing.is_typeddict(kind)
    if not fields or _is_pydantic_dataclass(kind) or kind in seen:
        return
    seen.add(kind)
    try:
        hints = typing.get_type_hints(kind)
    except NameError:
        return  # which is told when its schema is made
    for field, hint in hints.items():
        if adapted(hint) is not hint:
            raise TypeError(
                f"{name(kind)} has a pydantic dataclass in its field {field}, which only pydantic checks: make "
                f"{name(kind)} one too, or a pydantic model"
            )
        _refuse_fields(hint, seen)


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
