"""A form with files, `multipart/form-data` (RFC 7578), as clients send what does not fit into JSON.

Written here, as neither Python nor what trivet depends on has a strict reader: `email` takes everything, repairs what
is broken, and goes over each byte several times. This one finds the boundaries in one search each, and refuses whatever
is not as the RFC has it. The whole body is in memory by then, so that its size is limited by whoever has read it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from trivet.errors import RequestError, TrivetError
from trivet.wire import Incoming, Renderer

__all__ = ["Form", "FormFront", "Part", "read", "write"]

MOST_PARTS = 100  # no protocol's form comes near
LONGEST_HEAD = 8192  # bytes of one part's headers
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
_PARAMETER = re.compile(r';\s*([\w!#$%&*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]+))\s*')
_QUOTED = re.compile(r'\\(["\\])')
_AS_THEY_ARE = ("", "7bit", "8bit", "binary")


class Part(NamedTuple):
    """One field. `filename` is None where it is no file; `media_type` where its client does not say."""

    name: str
    data: bytes
    filename: str | None = None
    media_type: str | None = None

    @property
    def text(self) -> str:
        """Raises `RequestError` for what is a file, or no UTF-8."""
        if self.filename is not None:
            raise RequestError(f"{self.name} is a file: send text", field=self.name)
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise RequestError(f"{self.name} is not UTF-8", field=self.name) from None


class Form(Protocol):
    """A protocol before a client whose requests are forms."""

    @property
    def PROTOCOL(self) -> str: ...
    def parse(self, parts: Sequence[Part], /) -> Incoming: ...
    def error(self, error: TrivetError, /) -> bytes: ...
    @property
    def Renderer(self) -> Callable[[Incoming], Renderer]: ...


class FormFront:
    """The protocol `wire` for one request, whose header has the boundary of its form."""

    def __init__(self, wire: Form, content_type: str) -> None:
        self._wire, self._content_type = wire, content_type

    @property
    def PROTOCOL(self) -> str:
        return self._wire.PROTOCOL

    @property
    def Renderer(self) -> Callable[[Incoming], Renderer]:
        return self._wire.Renderer

    def error(self, error: TrivetError, /) -> bytes:
        return self._wire.error(error)

    def parse(self, body: bytes, /) -> Incoming:
        return self._wire.parse(read(body, self._content_type))


def write(parts: Iterable[Part]) -> tuple[bytes, str]:
    """The body of a form, and its content type."""
    boundary = f"trivet{secrets.token_hex(16)}"  # which no file has in it
    pieces = []
    for part in parts:
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{_quoted(part.name)}"'
        if part.filename is not None:
            head += f'; filename="{_quoted(part.filename)}"'
        if part.media_type is not None:
            head += f"\r\ncontent-type: {part.media_type}"
        pieces += [head.encode(), b"\r\n\r\n", part.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    """As browsers write it (WHATWG HTML, section 4.10.21.8)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def read(body: bytes, content_type: str) -> list[Part]:
    """The fields in their order; several may have one name. Raises `RequestError` for a body that is cut, or is no form
    at all."""
    return list(_parts(body, b"--" + _boundary(content_type)))


def _boundary(content_type: str) -> bytes:
    kind, parameters = _parameters(content_type)
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise RequestError(f"content-type is {content_type!r}: send multipart/form-data; boundary=…", status=415)
    return boundary.encode()


def _parts(body: bytes, dashes: bytes) -> Iterator[Part]:
    if not body.startswith(dashes):
        raise RequestError("the form does not begin with the boundary that its content-type names")
    delimiter, at = b"\r\n" + dashes, len(dashes)
    for _ in range(MOST_PARTS + 1):  # the last of which is the end
        if body[at : at + 2] == b"--":
            if body[at + 2 :] not in (b"", b"\r\n"):
                raise RequestError("the form goes on after its last boundary")
            return
        head_end = body.find(b"\r\n\r\n", at, at + LONGEST_HEAD)
        if body[at : at + 2] != b"\r\n" or head_end < 0:
            raise RequestError(f"a field of the form has no head of at most {LONGEST_HEAD} bytes: is the form cut?")
        begin = head_end + 4
        end = body.find(delimiter, begin)
        if end < 0:
            raise RequestError("the form is cut: its last boundary is missing")
        yield _part(body[at + 2 : head_end], body[begin:end])
        at = end + len(delimiter)
    raise RequestError(f"the form has more than {MOST_PARTS} fields")


def _part(head: bytes, data: bytes) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise RequestError("a head of the form's fields is not UTF-8") from None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    kind, parameters = _parameters(headers.get("content-disposition", ""))
    name = parameters.get("name")
    if kind != "form-data" or not name:
        raise RequestError('a field of the form has no name: it begins with content-disposition: form-data; name="…"')
    encoding = headers.get("content-transfer-encoding", "").lower()
    if encoding not in _AS_THEY_ARE:
        raise RequestError(f"{name} is encoded in {encoding!r}: send the bytes as they are", field=name)
    filename = parameters.get("filename")
    if filename is None and (star := parameters.get("filename*")) is not None:
        filename = unquote(star.rpartition("'")[2])
    return Part(name=name, data=data, filename=filename, media_type=_parameters(headers.get("content-type", ""))[0])


def _parameters(value: str) -> tuple[str | None, dict[str, str]]:
    """`form-data; name="a"` in its two pieces. Browsers write a quote in a name as %22; older clients put a backslash
    before it."""
    kind = value.partition(";")[0]
    found, at = {}, len(kind)
    while m := _PARAMETER.match(value, at):  # one after the other: what is none ends them, and is not searched through
        found[m[1].lower()] = m[3] if m[2] is None else _QUOTED.sub(r"\1", m[2]).replace("%22", '"')
        at = m.end()
    return kind.strip().lower() or None, found
