"""Reading a client's JSON: every value typed as it is taken, every complaint with the path of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, overload

import msgspec

from trivet.errors import RequestError

T = TypeVar("T")
D = TypeVar("D")


def read_object(body: bytes) -> Fields:
    """The JSON object that a body is."""
    return Fields(read_json(body))


def read_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RequestError(f"the body is not valid JSON: {e}") from None


class Fields:
    """A JSON object that is read field by field. What nobody took is `rest()`. `null` counts as absent."""

    def __init__(self, data: object, path: str = "") -> None:
        if not isinstance(data, dict):
            raise RequestError(f"{path or 'the body'} must be an object, got {_kind(data)}", field=path or None)
        self.path = path
        self.left: dict[str, Any] = dict(data)

    def at(self, name: str) -> str:
        """The path of one of its fields."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self.left.get(name) is not None

    @overload
    def take(self, name: str, kind: type[T]) -> T | None: ...
    @overload
    def take(self, name: str, kind: type[T], default: D) -> T | D: ...
    def take(self, name: str, kind: Any, default: Any = None) -> Any:
        """The value of a field, of type `kind` (anything that msgspec can convert to), or `default`."""
        value = self.left.pop(name, None)
        if value is None:
            return default
        return value if type(value) is kind else convert(value, kind, self.at(name))

    def need(self, name: str, kind: type[T]) -> T:
        """The value of a field that must be there."""
        value = self.take(name, kind)
        if value is None:
            raise RequestError(f"{self.at(name)} is missing", field=self.at(name))
        return value

    def object(self, name: str) -> Fields | None:
        """A nested object, to be read in its turn."""
        value = self.left.pop(name, None)
        return None if value is None else Fields(value, self.at(name))

    def objects(self, name: str) -> list[Fields]:
        """A list of nested objects; an absent one is empty."""
        values = self.take(name, list, [])
        return [Fields(v, f"{self.at(name)}[{i}]") for i, v in enumerate(values)]

    def rest(self) -> dict[str, Any]:
        """What nobody has taken, without nulls: `extra` of the value that is being read."""
        return {k: v for k, v in self.left.items() if v is not None}


def need_object(fields: Fields, name: str) -> Fields:
    """A nested object that must be there."""
    return Fields(fields.need(name, dict), fields.at(name))


def rest(fields: Fields, **inner: Fields | None) -> dict[str, Any]:
    """What nobody took from `fields`, and from the objects inside it, each under its name: a value's `extra`."""
    left = fields.rest()
    for name, nested in inner.items():
        if nested is not None and (more := nested.rest()):
            left[name] = more
    return left


def drop_defaults(fields: Fields, defaults: Mapping[str, Any]) -> None:
    """Takes the fields that only say what holds anyway, so that they do not end in `extra`."""
    for name, default in defaults.items():
        if fields.left.get(name) == default:
            del fields.left[name]


def convert(value: object, kind: type[T], path: str) -> T:
    """`value` as `kind`, strictly; the error names `path` and what was expected."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as e:
        what, _, where = str(e).partition(" - at `$")
        full = path + where.rstrip("`")
        if "enum value" in what and (values := _values(kind)):
            what += f"; there are {', '.join(map(repr, values))}"
        raise RequestError(f"{full}: {what[:1].lower()}{what[1:]}", field=full) from None


def _values(kind: Any) -> tuple[object, ...]:
    """Those of a Literal, also where it may be None."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(value for inner in get_args(kind) for value in _values(inner))


def _kind(value: object) -> str:
    names = {str: "a string", list: "an array", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
