"""Proto JSON, which is what Gemini's JSON is: names in camelCase or as in the proto file (snake_case), a list of one
without its brackets, bytes in either alphabet of base64."""

from __future__ import annotations

import binascii
import re
from typing import Any

import msgspec

from trivet.errors import RequestError
from trivet.wire.fields import Fields, convert, read_json

_SNAKE = re.compile(r"_+([a-z0-9])")


def camel(name: str) -> str:
    return _SNAKE.sub(lambda m: m[1].upper(), name) if "_" in name else name


class ProtoFields(Fields):
    """Fields read by their camelCase names, however the client wrote them; complaints name them as it did."""

    def __init__(self, data: object, path: str = "") -> None:
        super().__init__(data, path)
        self._written: dict[str, str] = {}
        if any("_" in name for name in self.left):
            self._written = {camel(name): name for name in self.left}
            self.left = {camel(name): value for name, value in self.left.items()}

    def at(self, name: str) -> str:
        return super().at(self._written.get(name, name))

    def object(self, name: str) -> ProtoFields | None:
        value = self.left.pop(name, None)
        return None if value is None else ProtoFields(value, self.at(name))

    def objects(self, name: str) -> list[Fields]:
        if isinstance(self.left.get(name), dict):
            return [ProtoFields(self.left.pop(name), self.at(name))]
        values = self.take(name, list[Any], [])
        return [ProtoFields(v, f"{self.at(name)}[{i}]") for i, v in enumerate(values)]

    def whole(self, name: str) -> int | None:
        """An integer, which proto JSON also writes as 40.0 and as "40"."""
        value = self.left.pop(name, None)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and value.lstrip("-").isdigit():
            value = int(value)
        return None if value is None else convert(value, int, self.at(name))


def read_body(body: bytes) -> ProtoFields:
    """The JSON object that a body is."""
    return ProtoFields(read_json(body))


def canonical(body: bytes) -> bytes:
    """The same body with the names of its own fields in camelCase, its values as they are: `trivet.wire.source` puts
    what wrappers changed in the place of the client's, by name."""
    own = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if not any("_" in name for name in own):
        return body
    return msgspec.json.encode({camel(name): value for name, value in own.items()})


def read_bytes(text: str, path: str) -> bytes:
    """The bytes of base64 in either alphabet, padded or not."""
    plain = "".join(text.split()).translate(_TO_STANDARD).rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError as e:
        raise RequestError(f"{path}: not valid base64 ({e})", field=path) from None


def write_bytes(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


_TO_STANDARD = str.maketrans("-_", "+/")
