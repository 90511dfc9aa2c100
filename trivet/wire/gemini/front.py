"""Gemini before a client: what the other protocols have in the body, its paths say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from trivet.errors import RequestError, TrivetError
from trivet.types import replace
from trivet.wire import Front, Incoming, Renderer

__all__ = ["BETA", "PathFront", "front"]

BETA = "/v1beta/models"
STABLE = "/v1/models"


class PathFront:
    """The protocol `wire` for one request, whose path has named the `model` and said whether to `stream`. `alt` is in
    which form: server-sent events (`sse`), or, where it is not said or `json`, one array, which errors stand in too."""

    def __init__(self, wire: Front, model: str, *, stream: bool = False, alt: str = "sse") -> None:
        self._wire, self._model, self._stream, self._alt = wire, model, stream, alt
        self.array = stream and alt == "json"

    @property
    def PROTOCOL(self) -> str:
        return self._wire.PROTOCOL

    @property
    def Renderer(self) -> Callable[[Incoming], Renderer]:
        return self._wire.Renderer

    def error(self, error: TrivetError, /) -> bytes:
        return self._wire.error(error)

    def parse(self, body: bytes, /) -> Incoming:
        if self._stream and self._alt not in ("sse", "json"):
            raise RequestError(
                f"alt is {self._alt!r}: take it out of the address for a JSON array, or write alt=sse for server-sent "
                "events",
                field="alt",
            )
        incoming = self._wire.parse(body)
        return replace(incoming, request=replace(incoming.request, model=self._model), stream=self._stream)


def front(path: str, query: str, methods: Mapping[str, Front]) -> PathFront | None:
    """The protocol of `/v1beta/models/NAME:METHOD`, or the same under `/v1`, where NAME may have slashes; None for any
    other path."""
    prefix = next((p for p in (BETA, STABLE) if path.startswith(p + "/")), None)
    if prefix is None:
        return None
    name, _, method = path[len(prefix) + 1 :].rpartition(":")
    wire = methods.get(method)
    if not name or wire is None:
        return None
    alt = dict(parse_qsl(query)).get("alt", "json")
    return PathFront(wire, name.removeprefix("models/"), stream=method.startswith("stream"), alt=alt)
