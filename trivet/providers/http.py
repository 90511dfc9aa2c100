"""HTTP out: pooled connections, kept alive; proxies from the environment, certificates from the system.

Spoken over `httptools`, which the server has anyway: `benchmarks/results.md` has what the usual client libraries cost.
Raises `TransportError` for everything that keeps an answer from coming: no connection, a timeout, a cut.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from trivet.errors import ConfigError, TransportError
from trivet.providers.connection import Connection, Timeouts, written

__all__ = ["Http", "Reply", "Timeouts"]

IDLE_S = 50  # an idle connection is not used after that: most servers and firewalls drop it after a minute
PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[!-~]*")


class Reply:
    """An answer whose head is here. `headers` by lower-case name; several of one name are joined by commas."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status: int = connection.status
        self.headers: Mapping[str, str] = connection.headers

    async def read(self) -> bytes:
        """The whole body."""
        pieces = []
        while piece := await self._connection.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Iterate inside `aclosing`."""
        while piece := await self._connection.read():
            yield piece


class Place(NamedTuple):
    """An address: `where` it is, for messages."""

    scheme: str
    host: str
    port: int
    authorization: str | None = None

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def where(self) -> str:
        return f"{self.scheme}://{self.netloc}"


class Peer:
    """Whom to connect to: the `place` that is asked, the `proxy` before it, and the connections that are `idle`."""

    def __init__(self, place: Place, proxy: Place | None) -> None:
        self.place, self.proxy = place, proxy
        self.idle: list[Connection] = []
        self.busy: set[Connection] = set()
        self.netloc = place.netloc

    @property
    def tunnelled(self) -> bool:
        return self.proxy is not None and self.place.scheme == "https"

    def take(self, now: float) -> Connection | None:
        """The connection that was used last, if any is still good."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost and now - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection) -> None:
        """Takes a connection back, where it can be used again."""
        self.busy.discard(connection)
        if connection.release():
            self.idle.append(connection)
        while self.idle and (self.idle[0].lost or connection.loop.time() - self.idle[0].idle_since >= IDLE_S):
            self.idle.pop(0).abort()

    def close(self) -> None:
        for connection in [*self.idle, *self.busy]:
            connection.abort()
        self.idle.clear()


class Http:
    """Connections to one provider, made when they are first needed. Belongs to one event loop.

    A request is sent once. A connection that the provider has closed meanwhile is not used; where it closes it in the
    same moment, that is a `TransportError` like any other, as nobody can tell whether it has begun to answer.
    Redirects are answers like any other, and not followed: a key goes only where it is meant to go."""

    def __init__(self, name: str, timeouts: Timeouts | None = None) -> None:
        self.name = name
        self.timeouts = timeouts or Timeouts()
        self._peers: dict[str, Peer] = {}
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[Reply]:
        """Asks, and gives the answer for as long as the context lasts; leaving it early closes the connection.

        Raises `TransportError`, and `ConfigError` for an address or a header that cannot be."""
        parts = urlsplit(url)
        peer = self._peers.get(f"{parts.scheme}://{parts.netloc}") or self._peer(url)
        head = self._head(method, url, peer, headers, body)
        connection = peer.take(asyncio.get_running_loop().time()) or await self._connect(peer)
        peer.busy.add(connection)
        try:
            connection.send(head, body or b"")
            await connection.head()
            yield Reply(connection)
        finally:
            peer.give(connection)

    async def close(self) -> None:
        """Closes what is open, whoever uses it. Closing twice is fine."""
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()

    def _head(self, method: str, url: str, peer: Peer, headers: Mapping[str, str], body: bytes | None) -> bytes:
        parts = urlsplit(url)
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        if not _PLAIN.fullmatch(target):
            target = quote(target, safe="/?&=%:@!$'()*+,;~[]")
        own = {"host": peer.netloc, "accept-encoding": "gzip"}
        if peer.place.authorization:
            own["authorization"] = peer.place.authorization
        if body is not None:
            own["content-length"] = str(len(body))
        if peer.proxy is not None and not peer.tunnelled:
            target = peer.place.where + target
            if peer.proxy.authorization:
                own["proxy-authorization"] = peer.proxy.authorization
        try:
            return written(method, target, own | dict(headers))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}: see api_key and headers under [providers.{self.name}]") from None

    def _peer(self, url: str) -> Peer:
        parts = urlsplit(url)
        try:
            place = _place(url)
        except ValueError:
            raise ConfigError(
                f"{self.name}: {_shown(url)} is no address to ask: write base_url as http://host:port/path or "
                f"https://… under [providers.{self.name}]"
            ) from None
        peer = self._peers[f"{parts.scheme}://{parts.netloc}"] = Peer(place, self._proxy(place))
        return peer

    def _proxy(self, place: Place) -> Place | None:
        """What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say now."""
        proxies = getproxies()
        url = proxies.get(place.scheme) or proxies.get("all")
        if url is None or proxy_bypass(f"{place.host}:{place.port}"):
            return None
        try:
            return _place(url if "://" in url else f"http://{url}")
        except ValueError:
            raise ConfigError(
                f"{self.name}: the proxy {_shown(url)} in the environment is none that trivet can use: it takes "
                f"http://host:port; or name {place.host} in NO_PROXY"
            ) from None

    async def _connect(self, peer: Peer) -> Connection:
        """A new connection to the peer, through the proxy where there is one."""
        first = peer.proxy or peer.place
        connection = Connection(self.name, peer.place.where, self.timeouts)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                tls = self._context() if first.scheme == "https" else None
                await loop.create_connection(lambda: connection, first.host, first.port, ssl=tls)
                if peer.tunnelled:
                    await self._tunnel(peer, connection)
        except TimeoutError:
            connection.abort()
            text = f"no connection after {self.timeouts.connect_s:g} s"
            raise self._unreachable(peer, f"{text}: is it running, and is the address right?") from None
        except ssl.SSLError as error:
            connection.abort()
            why = getattr(error, "verify_message", "") or error.reason or "the handshake failed"
            text = f"no secure connection: {why}. Where a proxy has certificates of its own, set SSL_CERT_FILE"
            raise self._unreachable(peer, text) from None
        except OSError as error:
            connection.abort()
            text = f"no connection: {error.strerror or error}. Is it running, and is the address right?"
            raise self._unreachable(peer, text) from None
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _tunnel(self, peer: Peer, connection: Connection) -> None:
        """Through a proxy to a host with TLS: asks it for a tunnel, and begins TLS in that."""
        assert peer.proxy is not None
        address = f"{peer.netloc.removesuffix(f':{peer.place.port}')}:{peer.place.port}"
        own = {"host": address}
        if peer.proxy.authorization:
            own["proxy-authorization"] = peer.proxy.authorization
        connection.send(written("CONNECT", address, own), b"")
        await connection.head()
        if connection.status != 200:
            raise self._unreachable(peer, f"the proxy answers {connection.status} when asked for a connection")
        connection.forget()
        connection.transport = await connection.loop.start_tls(
            connection.transport, connection, self._context(), server_hostname=peer.place.host
        )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _unreachable(self, peer: Peer, what: str) -> TransportError:
        where = peer.place.where if peer.proxy is None else f"{peer.place.where} through {peer.proxy.where}"
        return TransportError(f"{self.name}: {where}: {what}", provider=self.name)


def _place(url: str) -> Place:
    """Raises ValueError where there is no such place."""
    from base64 import b64encode

    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(url)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(pair.encode()).decode()
    return Place(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], authorization)


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    return repr(url.partition("?")[0].rpartition("@")[2])
