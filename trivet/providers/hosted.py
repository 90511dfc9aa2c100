"""What all hosted models share: a request out in the provider's protocol, its answer back as events.

A provider is a class with a table of `routes`: for each task, where it is asked and in which protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from trivet.errors import AuthError, ConfigError, MissingKeyError, ProviderError, RequestError, TrivetError
from trivet.model import About, Model, Provider
from trivet.providers import batches
from trivet.providers.http import Http, Timeouts
from trivet.providers.settings import ProviderSettings
from trivet.types import Conversation, Done, Embed, Event, Request, Start, Value, replace, task_name
from trivet.wire import Back, Target, source, sse
from trivet.wire.loose import loosen
from trivet.wire.marks import leave_out_hints, leave_out_marks
from trivet.wire.thinking import leave_out


class Route(Value, frozen=True, kw_only=True):
    """Where a task is asked: `path` after the base URL, with `{model}` in it where the protocol has it there, and
    `stream_path` for streams where that is another; `wire` is the protocol's module."""

    path: str
    wire: Any
    stream_path: str | None = None
    streams: bool = False


class Hosted(Provider):
    """A host, or an account at one. Subclasses have `family`, `base_url`, `key_variable`, `routes`, `headers` and
    `route`."""

    family: str
    base_url: str
    key_variable: str | None = None
    needs_key = True
    self_served = False
    unsigned_thinking = False
    most_texts: int | None = None  # of one request for vectors, None where there is no such limit
    routes: Mapping[type[Request], Route]
    quirks: Mapping[str, Any] = {}
    forwards: tuple[str, ...] = ()  # headers of the client's that go on
    joins: tuple[str, ...] = ()  # those of them that are lists, beside the configured ones and not in their place

    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        self.name = name
        self.settings = settings
        self.base = (settings.base_url or self.base_url).rstrip("/")
        times = {key: getattr(settings, key) for key in Timeouts.__struct_fields__}
        self.http = Http(name, Timeouts(**{key: seconds for key, seconds in times.items() if seconds is not None}))
        self._models: dict[str, HostedModel] = {}
        self._listed: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        """The configured key, else that in the environment."""
        import os

        if self.settings.api_key is not None:
            return "".join(self.settings.api_key)  # plain, where it is a `Secret`, which shows itself to nobody
        found = os.environ.get(self.key_variable, "") if self.key_variable else ""
        return found if found.strip() else None  # a blank one is none

    def headers(self, key: str | None) -> dict[str, str]:
        """Those of every request, with the key where there is one."""
        return {} if key is None else {"authorization": f"Bearer {key}"}

    def route(self, request: Request) -> Route:
        """Where this request is asked."""
        return self.routes[type(request)]

    def keeps_unsigned(self, request: Request) -> bool:
        """Whether thoughts that nobody has signed may be sent."""
        return self.unsigned_thinking

    def thoughts(self, request: Conversation) -> tuple[Conversation, tuple[str, ...]]:
        """The request with the thoughts that may be sent, and notes of those that are left out."""
        return leave_out(request, self.family, unsigned=self.keeps_unsigned(request))

    def quirks_of(self, model: str) -> Mapping[str, Any]:
        """How this model is asked differently."""
        return self.quirks

    def names(self) -> tuple[str, ...]:
        """What it has listed so far: `refresh` asks."""
        return self._listed

    def model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = HostedModel(self, name)
        return self._models[name]

    async def refresh(self) -> tuple[str, ...]:
        """Asks the provider for the models that it has, which `names` gives from then on."""
        listed: list[str] = []
        path: str | None = self.list_path
        while path is not None:
            body = await self._list(path)
            listed += self.listed(body)
            path = self.next_page(body)
        self._listed = tuple(listed)
        return self._listed

    async def _list(self, path: str) -> bytes:
        async with self.http.request("GET", f"{self.base}/{path}", self.all_headers()) as reply:
            body = await reply.read()
            if self.refuses_key(reply.status, body):  # its words may have the key in them
                raise AuthError(
                    f"{self.name} refuses the key that trivet has for it ({reply.status}): check it under "
                    f"[providers.{self.name}]{f', or {self.key_variable}' if self.key_variable else ''}",
                    provider=self.name,
                    provider_status=reply.status,
                )
            if reply.status >= 400:
                raise ProviderError(
                    f"{self.name} does not list its models: it answers {reply.status}",
                    provider=self.name,
                    provider_status=reply.status,
                    body=body,
                )
            return body

    def refuses_key(self, status: int, body: bytes) -> bool:
        """Whether this answer says that the key is wrong."""
        return status in (401, 403)

    list_path = "models"

    def listed(self, body: bytes) -> Iterable[str]:
        """The names in what it answers to that."""
        return [model["id"] for model in msgspec.json.decode(body)["data"]]

    def next_page(self, body: bytes) -> str | None:
        """Where the list goes on, None where this is all of it."""
        return None

    def all_headers(self) -> dict[str, str]:
        """Raises ConfigError where a key is needed and there is none."""
        key = self.key
        if key is None and self.needs_key:
            variable = f"set {self.key_variable}, or " if self.key_variable else ""
            raise MissingKeyError(f"{self.name} needs a key: {variable}write api_key under [providers.{self.name}].")
        if key is not None and not key.isprintable():  # out of the environment: a table's is looked at when it is read
            raise ConfigError(f"{self.name}: {self.key_variable} has a line break or the like in it. Set it without.")
        return {
            "content-type": "application/json",
            "user-agent": "trivet",
            **self.headers(key),
            **{name.lower(): "".join(value) for name, value in self.settings.headers.items()},  # plain, as in `key`
        }

    async def close(self) -> None:
        await self.http.close()


class HostedModel(Model):
    """One model of a host, by the name that the host has for it."""

    def __init__(self, provider: Hosted, name: str) -> None:
        self.provider = provider
        self.name = name

    @cached_property
    def about(self) -> About:
        return About(
            name=f"{self.provider.name}/{self.name}",
            tasks=tuple(sorted(task_name(task) for task in self.provider.routes)),
            inputs=("text", "image", "audio", "document"),
            where="self-served" if self.provider.self_served else "hosted",
        )

    @property
    def takes_prompts(self) -> bool:
        """Whether completions take several prompts, and token ids, as OpenAI's do."""
        return not self.provider.quirks.get("one_prompt")

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        most = self.provider.most_texts
        if most is not None and isinstance(request, Embed) and len(request.texts) > most:
            return batches.in_batches(self._stream, request, most)
        return self._stream(request)

    async def _stream(self, request: Request) -> AsyncGenerator[Event, None]:
        try:
            asking = self._asking(request)
        except TrivetError as error:
            error.asked = False
            raise
        target, wire, notes = asking.target, asking.wire, asking.notes
        async with self.provider.http.request("POST", asking.url, asking.headers, asking.body) as reply:
            if reply.status >= 400:
                raise wire.read_error(reply.status, reply.headers, await reply.read(), target)
            reader = wire.Reader(asking.request, target)
            if not target.stream:
                response: Any = reader.whole(await reply.read())
                yield _noted(Done(response=response), notes)
                return
            async with aclosing(reply.chunks()) as chunks:
                parser = sse.Parser()
                feed = getattr(reader, "feed", None)
                async for chunk in chunks:
                    if feed is not None:
                        for event in feed(chunk):
                            yield _noted(event, notes)
                        continue
                    for told in parser.feed(chunk):
                        for event in reader.event(told):
                            yield _noted(event, notes)
                for event in reader.end():
                    yield _noted(event, notes)

    def _asking(self, request: Request) -> _Asking:
        """What goes out. Raises what the provider's protocol cannot carry, before anybody is asked."""
        self.require(request)
        _decided(request)
        provider = self.provider
        notes: tuple[str, ...] = ()
        if isinstance(request, Conversation):
            request, notes = provider.thoughts(request)
        route = provider.route(request)
        target = Target(
            model=self.name,
            provider=provider.name,
            family=provider.family,
            stream=route.streams and not request.context.whole,
            quirks=provider.quirks_of(self.name),
        )
        wire: Back = route.wire
        if isinstance(request, Conversation):
            request, more = suited(request, target, wire)
            notes += more + reordered(request, target, wire)
        headers = provider.all_headers()
        encode = getattr(wire, "encode", None)
        if encode is None:
            body = source.body(request, target, wire)
        else:
            body, headers["content-type"] = encode(request, target)
        path = (target.stream and route.stream_path) or route.path
        url = f"{provider.base}/{path.format(model=self.name)}"
        for name, value in request.context.headers.items():
            if name in provider.forwards:
                headers[name] = _joined(headers[name], value) if name in provider.joins and name in headers else value
        return _Asking(request, target, wire, url, headers, body, notes)


class _Asking(NamedTuple):
    """A request as it goes out: `request` is what of it the protocol has a place for, `notes` say what it has not."""

    request: Request
    target: Target
    wire: Back
    url: str
    headers: dict[str, str]
    body: bytes
    notes: tuple[str, ...]


def _joined(*lists: str) -> str:
    """Header values that are lists as one list, each of its words once."""
    words = [word.strip() for told in lists for word in told.split(",")]
    return ",".join(dict.fromkeys(filter(None, words)))


def _decided(request: Request) -> None:
    """Raises where `extra` has what says who answers and how: another model would be asked, or the answer not read.
    A client's own bytes are another matter, in which they are exchanged."""
    extra = getattr(request, "extra", {}) if request.source is None else {}
    for name, instead in {"model": "name the model in `model`", "stream": "use trivet.stream, or trivet.chat"}.items():
        if name in extra:
            raise RequestError(f"extra has {name!r}, which trivet says itself: {instead}", field=f"extra.{name}")


def suited(request: Conversation, target: Target, wire: Back) -> tuple[Conversation, tuple[str, ...]]:
    """The request without the cache marks, and the like, that the protocol has no place for, and without strict where
    the protocol's does not take a schema. What a client wrote in it stays."""
    written = "" if request.source is None else request.source.protocol
    if written == wire.PROTOCOL:
        return request, ()
    request, notes = leave_out_hints(request, wire.PROTOCOL, target.provider)
    obstacle = getattr(wire, "obstacle", None)
    if obstacle is not None and written and not written.startswith("openai"):  # whose clients know its strict mode
        request, more = loosen(request, obstacle, target.provider)
        notes += more
    takes = getattr(wire, "takes_mark", None)
    if takes is None:
        return request, notes
    request, more = leave_out_marks(request, lambda value, role: takes(value, role, target), target.provider)
    return request, notes + more


def reordered(request: Conversation, target: Target, wire: Back) -> tuple[str, ...]:
    """A note where the protocol has no words for the order that something was said in."""
    notes: Callable[[Conversation, Target], tuple[str, ...]] | None = getattr(wire, "reordered", None)
    return () if notes is None else notes(request, target)


def _noted(event: Event, notes: tuple[str, ...]) -> Event:
    """The event with what was done differently from what was asked, where it tells who answers or the answer."""
    if not notes:
        return event
    if isinstance(event, Start):
        return replace(event, notes=event.notes + notes)
    if isinstance(event, Done):
        return replace(event, response=replace(event.response, notes=event.response.notes + notes))
    return event
