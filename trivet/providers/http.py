"""HTTP out: the one file that knows which client library it is. Pooled connections, kept alive.

Raises `TransportError` for everything that keeps an answer from coming: no connection, a timeout, a cut.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager

from trivet.types import Value


class Timeouts(Value, frozen=True, kw_only=True):
    """In seconds: to connect, until the head of the answer, and between two pieces of its body."""

    connect_s: float = 10
    first_byte_s: float = 600
    between_bytes_s: float = 300


class Reply:
    """An answer whose head is here. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The whole body."""
        raise NotImplementedError

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Iterate inside `aclosing`."""
        raise NotImplementedError


class Http:
    """Connections to one provider, made when they are first needed. Belongs to one event loop."""

    def __init__(self, name: str, timeouts: Timeouts | None = None) -> None:
        self.name = name
        self.timeouts = timeouts or Timeouts()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """Asks, and gives the answer for as long as the context lasts; leaving it early closes the connection."""
        raise NotImplementedError

    async def close(self) -> None:
        """Closing twice is fine."""
