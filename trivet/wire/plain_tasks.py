"""Tasks that no provider's protocol has, or not whole, as plain JSON of our own: a request's fields in, its response's
fields out.

An image is `{"data": BASE64}`, with its `media_type` if one likes, or a data URL in the same place; or that text alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trivet.errors import RequestError, TrivetError, UnsupportedError
from trivet.types import (
    Classify,
    Done,
    Embed,
    Event,
    Forecast,
    Image,
    Mask,
    Read,
    Request,
    Response,
    Source,
    task_name,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.data_url import is_data_url, read_base64, read_data_url
from trivet.wire.fields import Fields, read_object

__all__ = ["PlainTask", "Tokens", "classify", "embed", "forecast", "mask", "read"]

Field = msgspec.structs.FieldInfo


class Tokens(msgspec.Struct):
    """Null where it is unknown, or where the model counts none."""

    input_tokens: int | None
    output_tokens: int | None


def fields_of(kind: type[Request] | type[Response]) -> list[Field]:
    """The fields that are the task's own."""
    shared = {field.name for base in (Request, Response) for field in msgspec.structs.fields(base)}
    return [field for field in msgspec.structs.fields(kind) if field.name not in shared]


class PlainTask:
    """The protocol of one task."""

    def __init__(self, kind: type[Request]) -> None:
        self.kind = kind
        self.fields, self.answers = fields_of(kind), fields_of(kind.response_type)
        self.PROTOCOL = f"trivet-{task_name(kind)}"

    def parse(self, body: bytes, /) -> Incoming:
        """A JSON body as a request. Raises `RequestError` with the path of the field at fault, which may be one that
        the task has not."""
        data = read_object(body)
        model = data.take("model", str)
        told: dict[str, Any] = {}
        for field in self.fields:
            if field.type is Image:
                told[field.name] = _image(data.need(field.name, object), data.at(field.name))
            elif field.type == tuple[Image, ...]:
                many, path = data.take(field.name, list[object], []), data.at(field.name)
                told[field.name] = tuple(_image(one, f"{path}[{i}]") for i, one in enumerate(many))
            elif field.required:
                told[field.name] = data.need(field.name, field.type)
            elif data.has(field.name):
                told[field.name] = data.take(field.name, field.type)
        if left := data.rest():
            name, names = next(iter(left)), ", ".join(["model", *(field.name for field in self.fields)])
            raise RequestError(f"{task_name(self.kind)} has no field {name!r}: it has {names}", field=name)
        try:
            request = self.kind(model=model, source=Source(protocol=self.PROTOCOL, body=body), **told)
        except ValueError as error:  # a bound of the task's, which names the field first
            raise RequestError(str(error), field=str(error).partition(" ")[0]) from None
        return Incoming(request=request)

    def error(self, error: TrivetError, /) -> bytes:
        return openai_errors.error(error)

    @property
    def Renderer(self) -> Callable[[Incoming], Renderer]:
        return lambda incoming: Renderer([field.name for field in self.answers])


class Renderer:
    """One request's answer: who gave it, the `fields` of the response, its notes, and its tokens."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields

    def whole(self, response: Response) -> bytes:
        body = {name: _row_by_row(getattr(response, name)) for name in self._fields}
        usage = Tokens(response.usage.input_tokens, response.usage.output_tokens)
        return msgspec.json.encode({"model": response.model, **body, "notes": response.notes, "usage": usage})

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(openai_errors.error(error))


def _row_by_row(value: object) -> object:
    """The rows of a table encoded one after the other: nothing else runs in Python during each."""
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return [msgspec.Raw(msgspec.json.encode(row)) for row in value]
    return value


def _image(value: object, path: str) -> Image:
    """The bytes of an image. An address is refused: the server fetches nothing for its clients."""
    told = Fields({"data": value} if isinstance(value, str) else value, path)
    name = "url" if told.has("url") else "data"
    text, at = told.need(name, str), told.at(name)
    if name == "url" or text.startswith(("http://", "https://")):
        raise UnsupportedError(
            f"{at} is an address, from which nothing is fetched here: send the image itself as data", field=at
        )
    kind = told.take("media_type", str)
    data, said = read_data_url(text, at) if is_data_url(text) else (read_base64(text, at), None)
    if left := told.rest():
        name = next(iter(left))
        raise RequestError(f"{told.at(name)} is no field: {told.path} has data and media_type", field=told.at(name))
    if not data:
        raise RequestError(f"{at} is empty", field=at)
    return Image(data=data, media_type=kind or said)


classify, read, forecast, mask = PlainTask(Classify), PlainTask(Read), PlainTask(Forecast), PlainTask(Mask)
embed = PlainTask(Embed)  # OpenAI's has texts alone
