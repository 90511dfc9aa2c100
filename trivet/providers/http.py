"""HTTP out: the one file that knows which client library it is (aiohttp). Pooled connections, kept alive; proxies from
the environment, certificates from the system.

Raises `TransportError` for everything that keeps an answer from coming: no connection, a timeout, a cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from trivet.errors import ConfigError, TransportError, TrivetError
from trivet.types import Value

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Http", "Reply", "Timeouts", "proxy_of"]

CLOSED, CUT = "the connection was closed before an answer came", "the answer was cut off"


class Timeouts(Value, frozen=True, kw_only=True):
    """In seconds: to connect, until the head of the answer, and between two pieces of its body."""

    connect_s: float = 10
    first_byte_s: float = 600
    between_bytes_s: float = 300


class Reply:
    """An answer whose head is here."""

    def __init__(self, http: Http, url: str, response: aiohttp.ClientResponse) -> None:
        self._http, self._url, self._response = http, url, response
        self.status: int = response.status
        self._waits_since: float | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._stalled = False

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; several of one name are joined by commas."""
        told: dict[str, str] = {}
        for name, value in self._response.headers.items():
            name = name.lower()
            told[name] = f"{told[name]}, {value}" if name in told else value
        return told

    async def read(self) -> bytes:
        """The whole body."""
        pieces = []
        while chunk := await self._next():
            pieces.append(chunk)
        return b"".join(pieces)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Iterate inside `aclosing`."""
        while chunk := await self._next():
            yield chunk

    async def _next(self) -> bytes:
        """What has come by now, and waits where that is nothing; empty at the end."""
        content = self._response.content
        if content.exception() is None and ((chunk := content.read_nowait()) or content.at_eof()):
            return chunk
        loop = asyncio.get_running_loop()
        self._waits_since = loop.time()
        if self._clock is None:
            self._clock = loop.call_later(self._http.timeouts.between_bytes_s, self._look, loop)
        try:
            return await content.readany()
        except Exception as error:
            why = TimeoutError() if self._stalled else error
            raise self._http.failed(why, self._url, CUT) from error
        finally:
            self._waits_since = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends a wait that is too long. One clock for all of a stream's waits: a timeout for each takes longer than the
        reading."""
        now, patience = loop.time(), self._http.timeouts.between_bytes_s
        since = now if self._waits_since is None else self._waits_since
        if now - since >= patience:
            self._stalled = True
            self._response.close()
        else:
            self._clock = loop.call_at(since + patience, self._look, loop)

    def close(self) -> None:
        """Keeps the connection where the answer is complete, else closes it."""
        if self._clock is not None:
            self._clock.cancel()
        self._response.close()


class Asked:
    """The context in which an answer is read. `asynccontextmanager` would make the same of a generator, more slowly."""

    def __init__(self, coming: Coroutine[Any, Any, Reply]) -> None:
        self._coming = coming

    async def __aenter__(self) -> Reply:
        self._reply = await self._coming
        return self._reply

    async def __aexit__(self, *error: object) -> None:
        self._reply.close()


class Http:
    """Connections to one provider, made when they are first needed. Belongs to one event loop.

    A request is sent once. Where the provider closes an idle connection in the moment that it is used, that is a
    `TransportError` like any other: nobody can tell whether the provider has begun to answer. Redirects are answers,
    and not followed: a key goes only where it is meant to go."""

    def __init__(self, name: str, timeouts: Timeouts | None = None) -> None:
        self.name = name
        self.timeouts = timeouts or Timeouts()
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}  # by origin: looking at the environment takes longer than asking

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Asked:
        """Asks, and gives the answer for as long as the context lasts; leaving it early closes the connection.

        Raises `TransportError`, and `ConfigError` for an address or a header that cannot be."""
        return Asked(self._ask(method, url, headers, body))

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        session = self._session or self._open()
        try:
            async with asyncio.timeout(self.timeouts.first_byte_s):
                response = await session.request(
                    method, url, data=body, headers=headers, proxy=self._proxy(url), allow_redirects=False
                )
        except TrivetError:
            raise
        except Exception as error:
            raise self.failed(error, url, CLOSED) from error
        return Reply(self, url, response)

    async def close(self) -> None:
        """Closes what is open, whoever uses it. Closing twice is fine."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def failed(self, error: Exception, url: str, otherwise: str) -> TrivetError:
        """What the library raised, in words. Never the headers, nor the query, in which some have their key."""
        import aiohttp

        times = self.timeouts
        if isinstance(error, aiohttp.InvalidURL) or not _is_address(url):
            return ConfigError(
                f"{self.name}: {_shown(url)!r} is no address to ask: write base_url as http://host:port/path or "
                f"https://… under [providers.{self.name}]"
            )
        if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
            return ConfigError(
                f"{self.name}: no header may have line breaks, or characters that are not plain text: see api_key and "
                f"headers under [providers.{self.name}]"
            )
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            text = f"no connection after {times.connect_s:g} s: is it running, and is the address right?"
        elif isinstance(error, TimeoutError) and otherwise is CLOSED:
            text = f"no answer after {times.first_byte_s:g} s: ask again, or ask for less"
        elif isinstance(error, TimeoutError):
            text = f"nothing more came for {times.between_bytes_s:g} s in mid-answer: ask again"
        elif isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            why = getattr(getattr(error, "certificate_error", error), "verify_message", None) or type(error).__name__
            text = f"no secure connection: {why}. Where a proxy has certificates of its own, set SSL_CERT_FILE"
        elif isinstance(error, aiohttp.ClientHttpProxyError):
            text = f"the proxy answers {error.status} when asked for a connection"
        elif isinstance(error, aiohttp.ClientConnectorError):
            why = error.os_error.strerror or str(error.os_error)
            text = f"no connection: {why}. Is it running, and is the address right?"
        elif isinstance(error, aiohttp.ClientPayloadError) and "content-encoding" in str(error):
            text = "the compressed body is damaged; ask again"
        elif isinstance(error, aiohttp.ClientResponseError) and otherwise is CLOSED:
            text = "it does not answer in HTTP/1.1: is the address right?"
        else:
            text = f"{otherwise}; ask again"
        failure = TransportError(f"{self.name}: {_origin(url)}: {text}", provider=self.name)
        failure.sent = not isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError)
        return failure

    def _open(self) -> aiohttp.ClientSession:
        import ssl

        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect_s),
        )
        return self._session

    def _proxy(self, url: str) -> str | None:
        """What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY said when the origin was first asked."""
        origin = url[: url.find("/", 8)]
        if origin not in self._proxies:
            self._proxies[origin] = self._look_up_proxy(url)
        return self._proxies[origin]

    def _look_up_proxy(self, url: str) -> str | None:
        found = proxy_of(url)
        if found is not None and not _is_address(found):
            raise ConfigError(
                f"{self.name}: the proxy {_shown(found)!r} in the environment is none that trivet can use: it takes "
                f"http://host:port; or name {urlsplit(url).hostname} in NO_PROXY"
            )
        return found


def proxy_of(url: str) -> str | None:
    """The proxy that the environment now has for a URL; None where it is asked directly."""
    proxies, parts = getproxies(), urlsplit(url)
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return found if "://" in found else f"http://{found}"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _origin(url: str) -> str:
    """Where a URL goes, for messages: without its path, query, and any name and password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.partition("?")[0].rpartition("@")[2].partition("://")[2] or url.partition("?")[0].rpartition("@")[2]
