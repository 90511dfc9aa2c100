"""What every value of the vocabulary is, and its way to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from trivet.errors import RequestError

Json = Any
Extra = Mapping[str, Json]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An immutable value. Use `replace(value, field=...)` for a changed copy. (Type checkers want
    `frozen` and `kw_only` said again by each subclass.)"""


V = TypeVar("V", bound=Value)
replace = msgspec.structs.replace
_encoder = msgspec.json.Encoder(order="deterministic")


def to_json(value: Value) -> bytes:
    """Deterministic to the byte. Bytes become base64; fields at their defaults are left out."""
    return _encoder.encode(value)


def from_json(data: bytes | str, kind: type[V]) -> V:
    """Back from `to_json`. A wrong value raises a `RequestError` that says where."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as e:
        raise _refused(e, kind) from None


def check(value: V) -> V:
    """A copy of a value that Python code made, with every type and bound checked; `RequestError` says where."""
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes,))
        return msgspec.convert(plain, type(value), builtin_types=(bytes,))
    except (msgspec.ValidationError, TypeError, ValueError) as e:
        raise _refused(e, type(value)) from None


def _refused(error: Exception, kind: type) -> RequestError:
    """`Expected `float`, got `str` - at `$.sampling.temperature`` -> a message with the field's path in front."""
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".") or None
    if "enum value" in what and (words := _words(kind, path)):
        what += f"; there are {', '.join(map(repr, words))}"
    return RequestError(f"{kind.__name__}{'.' + path if path else ''}: {what}", field=path)


def _words(kind: type, name: str | None) -> list[str]:
    """Those that a field of the value itself may have."""
    field = next((field for field in msgspec.structs.fields(kind) if field.name == name), None)
    found = () if field is None else get_args(field.type)
    return [word for value in found for word in (get_args(value) or (value,)) if isinstance(word, str)]
