"""HTTP out: the one file that knows which client library it is. Pooled connections, kept alive.

Raises `TransportError` for everything that keeps an answer from coming: no connection, a timeout, a cut.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from trivet.errors import TransportError
from trivet.types import Value

if TYPE_CHECKING:
    import aiohttp


class Timeouts(Value, frozen=True, kw_only=True):
    """In seconds: to connect, until the head of the answer, and between two pieces of its body."""

    connect_s: float = 10
    first_byte_s: float = 600
    between_bytes_s: float = 300


class Reply:
    """An answer whose head is here. `headers` by lower-case name."""

    def __init__(self, http: Http, url: str, response: aiohttp.ClientResponse) -> None:
        self._http, self._url, self._response = http, url, response
        self.status: int = response.status

    @cached_property
    def headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self._response.headers.items()}

    async def read(self) -> bytes:
        """The whole body."""
        try:
            return await self._response.read()
        except Exception as error:
            raise self._http.failed(error, self._url, "the answer was cut off") from error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Iterate inside `aclosing`."""
        content = self._response.content
        while True:
            try:
                chunk = await content.readany()
            except Exception as error:
                raise self._http.failed(error, self._url, "the answer was cut off") from error
            if not chunk:
                return
            yield chunk


class Http:
    """Connections to one provider, made when they are first needed. Belongs to one event loop.

    A request is sent once. Where the provider closes an idle connection in the moment that it is used, that is a
    `TransportError` like any other: nobody can tell whether the provider has begun to answer."""

    def __init__(self, name: str, timeouts: Timeouts | None = None) -> None:
        self.name = name
        self.timeouts = timeouts or Timeouts()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[Reply]:
        """Asks, and gives the answer for as long as the context lasts; leaving it early closes the connection."""
        session = self._session or self._open()
        try:
            response = await session.request(
                method, url, data=body, headers=headers, proxy=proxy(url), allow_redirects=False
            )
        except Exception as error:
            raise self.failed(error, url, "the connection was closed before an answer came") from error
        try:
            if response.connection is not None and response.connection.protocol is not None:
                response.connection.protocol.read_timeout = self.timeouts.between_bytes_s
            yield Reply(self, url, response)
        finally:
            response.close()  # which keeps a connection whose answer is complete

    async def close(self) -> None:
        """Closing twice is fine."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def failed(self, error: Exception, url: str, otherwise: str) -> TransportError:
        """What the library raised, in words. Never the headers, nor the query, in which some have their key."""
        import aiohttp

        where, times = origin(url), self.timeouts
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            text = f"no connection to {where} after {times.connect_s:g} s: is it running, and is the address right?"
        elif isinstance(error, aiohttp.SocketTimeoutError) and otherwise.startswith("the connection"):
            text = f"no answer from {where} after {times.first_byte_s:g} s: ask again, or ask for less"
        elif isinstance(error, aiohttp.SocketTimeoutError):
            text = f"{where} sent nothing more for {times.between_bytes_s:g} s in mid-answer: ask again"
        elif isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            text = f"{where} has no certificate that this system trusts ({getattr(error, 'certificate_error', error)})"
        elif isinstance(error, aiohttp.ClientConnectorError):
            why = error.os_error.strerror or error.os_error
            text = f"cannot connect to {where} ({why}): is it running, and is the address right?"
        elif isinstance(error, aiohttp.InvalidURL | ValueError):
            text = f"{where} is no address that can be asked: see base_url under [providers.{self.name}]"
        else:
            text = f"{where}: {otherwise} ({type(error).__name__}); ask again"
        return TransportError(f"{self.name}: {text}", provider=self.name)

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self.timeouts.connect_s, sock_read=self.timeouts.first_byte_s
            ),
        )
        return self._session


def origin(url: str) -> str:
    """Where a URL goes, for messages: without its path, query, and any name and password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def proxy(url: str) -> str | None:
    """The proxy that the environment has for a URL, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""
    proxies = getproxies()
    if not proxies:
        return None
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
