"""The server as an ASGI application: what is common to all protocols.

A request is looked at from the outside in: where it comes from, its key, its route, its type, its size, and only then
its body. An error at any of these is answered in the shape of the protocol whose route it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import msgspec

from trivet import wire
from trivet.errors import OverloadedError, RequestError, TrivetError
from trivet.model import Model, bottom, ended
from trivet.server import counted, listings, openapi, routes, told
from trivet.server.ahead import Ahead
from trivet.server.exchange import ClientLeft, Exchange, Receive, Scope, Send
from trivet.server.routes import BETA, HEALTH, LIVE, METRICS, MODELS, READY, RELOAD, REQUESTS
from trivet.server.security import Keys, check_form, check_json, check_origin
from trivet.types import Attempt, Context, Done, EmbedResponse, Event, Request, Source, Start, replace
from trivet.wire import Front, source
from trivet.wire.json_array import JsonArray
from trivet.wire.words import client_words

if TYPE_CHECKING:
    from trivet.counting import Counting
    from trivet.runtime import Runtime

__all__ = ["App", "app"]

log = logging.getLogger("trivet.server")


FORWARDED = (b"anthropic-beta", b"anthropic-version", b"traceparent", b"tracestate")
SESSION, LONGEST_SESSION = b"x-trivet-session", 256  # a client's own word for a conversation
LARGE = 1_000_000  # bytes of a body that is read in a thread: a picture of 15 MB takes 70 ms
MANY = 100  # vectors that are written in one: 1,000 of 384 numbers take 13 ms
CACHE = b"x-trivet-cache"  # … and on trivet's own cache of answers: off, or on


def app(
    runtime: Runtime,
    *,
    keys: Sequence[str] = (),
    max_body_mb: float = 32,
    loopback: bool = True,
    access_log: Callable[[Exchange], None] | None = None,
) -> App:
    """An ASGI application in front of `runtime`, which whoever made it closes.

    `loopback` says that it is bound to a loopback address. `access_log` gets each request that is over."""
    return App(runtime, Keys(keys, runtime.counting.keys), int(max_body_mb * 1e6), loopback, access_log)


class App:
    """`state` is what /health says: `warming` until the default model is loaded, `ready`, `draining` at the end;
    or `degraded`, where the default model cannot be loaded for the reason in `problem`. A server of hosted models, for
    which nobody has named a default, is `ready` without one."""

    def __init__(
        self, runtime: Runtime, keys: Keys, max_body: int, loopback: bool, access_log: Callable[[Exchange], None] | None
    ) -> None:
        self.runtime = runtime
        self.state = "ready"
        self.problem: str | None = None
        self._keys, self._max_body, self._loopback, self._access_log = keys, max_body, loopback, access_log
        self.reload: Callable[[], Awaitable[list[str]]] | None = None  # where there is a configuration to read anew
        self._in_flight: set[Exchange] = set()
        self._over = asyncio.Event()  # some request is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"trivet speaks HTTP, and not {scope['type']}: run it with ws=none and lifespan=off")
        exchange = Exchange(scope, receive, send)
        self._in_flight.add(exchange)
        try:
            await self._answer(exchange)
        finally:
            self._in_flight.discard(exchange)
            self._over.set()
            if self._access_log is not None:
                self._access_log(exchange)

    async def warm(self) -> None:
        """Loads the default model where it is embedded, so that no client need wait for that. What keeps it from
        loading is in `problem`."""
        if self.state == "draining":
            return
        self.state = "warming"
        try:
            load = getattr(bottom(self.runtime.model(None)), "load", None)
            if load is not None:
                await load()
            state, self.problem = "ready", None
        except TrivetError as error:
            state = "ready" if self.runtime.needs_no_default else "degraded"
            self.problem = error.message
        except Exception:
            log.exception("the default model could not be loaded")
            state, self.problem = "degraded", "an error inside trivet: its log has the details"
        if self.state == "warming":  # and not draining by now
            self.state = state

    async def drain(self, grace_s: float) -> None:
        """Refuses new requests from now on, and waits until those in flight are over: `grace_s` seconds at most,
        after which they end with an error."""
        self.state = "draining"
        await self._emptied(grace_s)
        late = OverloadedError(f"the server is stopping, and its {grace_s:g} s of grace are over: ask again")
        for exchange in list(self._in_flight):
            exchange.stop(late)
        await self._emptied(2)  # what is not over by then ends with the process

    def swap(self, runtime: Runtime, keys: Keys, max_body: int) -> Callable[[], Awaitable[None]]:
        """Answers with `runtime` from now on. What it gives waits until those who were asked before are answered."""
        before = set(self._in_flight)
        self.runtime, self._keys, self._max_body = runtime, keys, max_body

        async def answered() -> None:
            while before & self._in_flight:
                self._over.clear()
                await self._over.wait()

        return answered

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    async def _emptied(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._in_flight:
                    self._over.clear()
                    await self._over.wait()

    async def _answer(self, exchange: Exchange) -> None:
        """Whatever happens, a client that is still there gets an answer, in the shape that it can read."""
        try:
            await exchange.attend(self._route(exchange))
        except ClientLeft:
            pass
        except TrivetError as error:
            await self._fail(exchange, error)
        except Exception:
            log.exception("%s %s %s failed", exchange.id, exchange.method, exchange.path)
            inside = TrivetError(f"an error inside trivet: its log has the details, under {exchange.id}")
            await self._fail(exchange, inside)

    async def _route(self, exchange: Exchange) -> None:
        check_origin(exchange.headers, loopback=self._loopback)
        path, protocol = exchange.path, routes.protocol(exchange)
        if path in (HEALTH, LIVE, READY):
            _want(exchange, "GET", "HEAD")
            return await self._health(exchange)
        exchange.key = self._keys.check(exchange.headers, exchange.query)
        if self.state == "draining":
            raise OverloadedError("the server is stopping and takes no new requests: ask again in a moment")
        if protocol is not None:
            _want(exchange, "POST")
            (check_form if path in routes.FORMS else check_json)(exchange.headers)
            await self._ask(exchange, protocol)
        elif path == RELOAD:
            _want(exchange, "POST")
            check_json(exchange.headers)
            await self._reload(exchange)
        elif (prefix := next((p for p in (MODELS, BETA) if path == p or path.startswith(p + "/")), None)) is not None:
            _want(exchange, "GET", "HEAD")
            await self._models(exchange, path[len(prefix) + 1 :].removeprefix("models/"))
        elif path == METRICS:
            _want(exchange, "GET", "HEAD")
            await counted.metrics(exchange, self._counting())
        elif path.startswith(REQUESTS + "/"):
            _want(exchange, "GET", "HEAD")
            await counted.request(exchange, self._counting(), path[len(REQUESTS) + 1 :])
        elif path in openapi.PAGES:
            _want(exchange, "GET", "HEAD")
            await openapi.show(exchange)
        else:
            known = ", ".join(f"{method} {p}" for method, p in routes.table())
            raise RequestError(f"there is no route {path}. There are: {known}", status=404)

    async def _ask(self, exchange: Exchange, protocol: Front) -> None:
        """The way of every task: bytes to a request, the request to its model, what comes back to bytes."""
        body = await exchange.read(self._max_body)
        incoming = protocol.parse(body) if len(body) < LARGE else await asyncio.to_thread(protocol.parse, body)
        source.remember(incoming.request)
        renderer = protocol.Renderer(incoming)
        kind = incoming.content_type
        self.runtime.counting.refuse_uncounted(exchange.key)
        context = Context(
            id=exchange.id,
            key=exchange.key,
            session=_session(exchange),
            cache=_cache(exchange),
            headers=_forwarded(exchange),
        )
        request = replace(incoming.request, context=context)
        model = self.runtime.model(request.model, paths=False, request=request)
        if incoming.stream:
            exchange.ending = renderer.failure
            exchange.array = JsonArray() if routes.is_array(protocol) else None
            exchange.content_type = None if kind is None else kind.encode()
            with client_words(request):
                await _stream(exchange, protocol, renderer, model, request)
        else:
            with client_words(request):
                response = await model.call(request)
            raw = response.raw if _same(response.raw, protocol) else None
            if raw is not None:
                body = raw.body
            elif isinstance(response, EmbedResponse) and len(response.vectors) > MANY:
                body = await asyncio.to_thread(renderer.whole, response)
            else:
                body = renderer.whole(response)
            exchange.route, exchange.cost = response.route or _alone(exchange, model), response.cost
            headers = [*told.route(exchange.route), *told.notes(response.notes), *told.counted(response)]
            await exchange.respond(200, body, headers, content_type=(kind or "application/json").encode())

    async def _reload(self, exchange: Exchange) -> None:
        """For those who are on this machine: it reads a file of theirs."""
        if self.reload is None or not exchange.is_local:
            raise RequestError(f"{RELOAD} is for `trivet config reload` on the server's own machine", status=403)
        done = await self.reload()
        await exchange.respond(200, msgspec.json.encode({"reloaded": True, "lines": done}))

    async def _models(self, exchange: Exchange, name: str) -> None:
        """All models, or the one called `name`, as the client's own protocol shows them."""
        one, all_of_them = listings.SHAPES[routes.dialect(exchange)]
        if name:
            self.runtime.model(name, paths=False)  # raises where there is none
            body = one(name)
        else:
            body = all_of_them(self._allowed(exchange.key))
        await exchange.respond(200, msgspec.json.encode(body))

    def _allowed(self, key: str | None) -> tuple[str, ...]:
        """The names that this key may ask for."""
        names, found = self.runtime.names(), self.runtime.counting.keys.get(key)
        return names if found is None else tuple(name for name in names if found.allows(name))

    def _counting(self) -> Counting:
        if not self.runtime.counting.enabled:
            raise RequestError("nothing is counted here: [ledger] has enabled = false", status=404)
        return self.runtime.counting

    async def _health(self, exchange: Exchange) -> None:
        """For everybody whether it is alive, and for those who may ask also what there is. 503 only while draining:
        before that, requests are taken, and wait for what is not loaded yet. Those who want to know one thing alone
        have /health/live, and /health/ready, which is 503 until requests need not wait any more."""
        details: dict[str, Any] = {}
        try:
            self._keys.check(exchange.headers, exchange.query)
        except RequestError:
            pass
        else:
            if self.state == "degraded":
                await self.warm()  # the weights may be here by now; reading them is not for strangers to ask
            details = {"problem": self.problem, "in_flight": self.in_flight - 1, **listings.details(self.runtime)}
        ready = self.state == "ready"
        body = {"status": self.state, "live": True, "ready": ready, **details}
        well = {LIVE: True, READY: ready}.get(exchange.path, self.state != "draining")
        await exchange.respond(200 if well else 503, msgspec.json.encode(body))

    async def _fail(self, exchange: Exchange, error: TrivetError) -> None:
        """An error as a status where that is still to be sent, else as the end of the stream; after that, nothing."""
        if exchange.over:
            return
        error.answers = exchange.id
        if exchange.status is not None:
            exchange.route = error.route or exchange.route
            ending = exchange.ending(error)
            await (exchange.cut() if ending is None else exchange.write(ending, more=False))
            return
        exchange.route, exchange.also = error.route, ()  # whoever began to answer has not
        protocol, raw = routes.protocol(exchange), error.raw
        status, headers = error.status, told.of_error(error)
        if isinstance(raw, Source) and protocol is not None and _same(raw, protocol):
            status = getattr(error, "provider_status", None) or status
            body = raw.body
        else:
            body = routes.shape(exchange)(error)
        if routes.is_array(protocol):
            body = b"[%b]" % body
        if self.state == "draining":
            headers.append((b"connection", b"close"))
        await exchange.respond(status, body, headers)


async def _stream(exchange: Exchange, protocol: Front, renderer: wire.Renderer, model: Model, request: Request) -> None:
    """Sends each event's bytes as they come. Those before the first content wait for it: until then an error is a
    status, and the model named may still be another one.

    Where the first event has what a provider of the same protocol sent, so have all, and that is what goes on."""
    held, passes, plain = b"", None, False
    note = getattr(renderer, "passed", None)  # of a protocol whose errors must go on from what was passed
    async with aclosing(model.stream(request)) as events:
        async for event in Ahead(events, exchange.flush):
            if plain and event.content and event.raw is not None:  # as nearly all are
                await exchange.write(event.raw.body)
                continue
            if passes is None:
                passes = _same(event.raw, protocol)
                if passes:
                    exchange.ending = lambda error: _ended(error, protocol) or renderer.failure(error)
            chunk = _passed(event) if passes else renderer.event(event)
            if passes and note is not None:
                note(event)
            if isinstance(event, Start):
                exchange.route = event.route or _alone(exchange, model)
                exchange.also = [*told.route(exchange.route), *told.notes(event.notes), *told.cache(event.cache)]
            if isinstance(event, Done):
                exchange.route, exchange.cost = event.response.route or _alone(exchange, model), event.response.cost
                return await exchange.write(held + chunk, more=False)
            if exchange.status is None and not event.content:
                held += chunk
            elif chunk or held:
                await exchange.write(held + chunk)
                held, plain = b"", passes is True and note is None
    raise ended(model.about.name)


def _alone(exchange: Exchange, model: Model) -> tuple[Attempt, ...]:
    """The one attempt that a model makes which has no others to ask."""
    took_s = round(time.monotonic() - exchange.began, 6)
    return (Attempt(model=model.about.name, outcome="answered", took_s=took_s),)


def _same(raw: Source | None, protocol: Front) -> TypeGuard[Source]:
    """Whether this is what a provider of the client's own protocol sent."""
    return raw is not None and raw.protocol == protocol.PROTOCOL


def _ended(error: TrivetError, protocol: Front) -> bytes | None:
    """The provider's own end of a stream that failed, where it told one."""
    ending = error.ending
    return ending.body if isinstance(ending, Source) and _same(ending, protocol) else None


def _passed(event: Event) -> bytes:
    """What the provider sent."""
    if event.raw is None and not event.content:
        return b""  # of trivet's own making
    if event.raw is None:
        raise TrivetError("a wrapper has changed an event of a stream without dropping `raw` from its Start on")
    return event.raw.body


def _forwarded(exchange: Exchange) -> dict[str, str]:
    """The client's headers that may go on to a provider; of several with one name, a list. Never its credentials."""
    found: dict[str, list[str]] = {}
    if any(name in exchange.headers for name in FORWARDED):
        for name, value in exchange.every_header:
            if name in FORWARDED:
                found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return {name: ",".join(values) for name, values in found.items()}


def _session(exchange: Exchange) -> str | None:
    """The client's word for a conversation, which the ledger keeps with each request."""
    word = exchange.headers.get(SESSION)
    if word is not None and len(word) > LONGEST_SESSION:
        raise RequestError(f"{SESSION.decode()} has {len(word):,} characters: at most {LONGEST_SESSION} are taken")
    return None if word is None else word.decode("latin-1")


def _cache(exchange: Exchange) -> Literal["off", "on"] | None:
    """The client's word on cached answers: HTTP's own (RFC 9111), or ours."""
    word = exchange.headers.get(CACHE)
    if word is not None:
        if word not in (b"off", b"on"):
            raise RequestError(f"{CACHE.decode()} is {word.decode('latin-1')!r}: say off or on, or leave it out")
        return "off" if word == b"off" else "on"
    control = exchange.headers.get(b"cache-control")
    return "off" if control is not None and (b"no-cache" in control or b"no-store" in control) else None


def _want(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        raise told.WrongMethod(f"{exchange.path} takes {' and '.join(methods)}, not {exchange.method}", methods)
