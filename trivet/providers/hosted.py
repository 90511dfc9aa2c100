"""What all hosted models share: a request out in the provider's protocol, its answer back as events.

A provider is a class with a table of `routes`: for each task, where it is asked and in which protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from trivet.errors import ConfigError, ProviderError
from trivet.model import About, Model, Provider
from trivet.providers.http import Http, Timeouts
from trivet.providers.settings import ProviderSettings
from trivet.types import Conversation, Done, Event, Request, Start, Value, replace, task_name
from trivet.wire import Back, Target, source, sse
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
    unsigned_thinking = False
    routes: Mapping[type[Request], Route]
    quirks: Mapping[str, Any] = {}
    forwards: tuple[str, ...] = ()  # headers of the client's that go on

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
        return os.environ.get(self.key_variable) or None if self.key_variable else None

    def headers(self, key: str | None) -> dict[str, str]:
        """Those of every request, with the key where there is one."""
        return {} if key is None else {"authorization": f"Bearer {key}"}

    def route(self, request: Request) -> Route:
        """Where this request is asked."""
        return self.routes[type(request)]

    def names(self) -> tuple[str, ...]:
        """What it has listed so far: `refresh` asks."""
        return self._listed

    def model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = HostedModel(self, name)
        return self._models[name]

    async def refresh(self) -> tuple[str, ...]:
        """Asks the provider for the models that it has, which `names` gives from then on."""
        async with self.http.request("GET", f"{self.base}/{self.list_path}", self.all_headers()) as reply:
            body = await reply.read()
            if reply.status >= 400:
                raise ProviderError(
                    f"{self.name} does not list its models: it answers {reply.status}",
                    provider=self.name,
                    provider_status=reply.status,
                    body=body,
                )
        self._listed = tuple(self.listed(body))
        return self._listed

    list_path = "models"

    def listed(self, body: bytes) -> Iterable[str]:
        """The names in what it answers to that."""
        return [model["id"] for model in msgspec.json.decode(body)["data"]]

    def all_headers(self) -> dict[str, str]:
        """Raises ConfigError where a key is needed and there is none."""
        key = self.key
        if key is None and self.needs_key:
            variable = f"set {self.key_variable}, or " if self.key_variable else ""
            raise ConfigError(f"{self.name} needs a key: {variable}write api_key under [providers.{self.name}].")
        return {
            "content-type": "application/json",
            "user-agent": "trivet",
            **self.headers(key),
            **{name: "".join(value) for name, value in self.settings.headers.items()},  # plain, as in `key`
        }

    async def close(self) -> None:
        await self.http.close()


class HostedModel(Model):
    """One model of a host, by the name that the host has for it."""

    def __init__(self, provider: Hosted, name: str) -> None:
        self.provider = provider
        self.name = name

    @property
    def about(self) -> About:
        tasks = tuple(sorted(task_name(task) for task in self.provider.routes))
        return About(
            name=f"{self.provider.name}/{self.name}",
            tasks=tasks,
            inputs=("text", "image", "audio", "document"),
            where="hosted" if self.provider.needs_key else "self-served",
        )

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        provider = self.provider
        notes: tuple[str, ...] = ()
        if isinstance(request, Conversation):
            request, notes = leave_out(request, provider.family, unsigned=provider.unsigned_thinking)
        route = provider.route(request)
        target = Target(
            model=self.name,
            provider=provider.name,
            family=provider.family,
            stream=route.streams and not request.context.whole,
            quirks=provider.quirks,
        )
        wire: Back = route.wire
        body = source.body(request, target, wire)
        path = (target.stream and route.stream_path) or route.path
        url = f"{provider.base}/{path.format(model=self.name)}"
        headers = provider.all_headers()
        headers |= {k: v for k, v in request.context.headers.items() if k in provider.forwards}
        async with provider.http.request("POST", url, headers, body) as reply:
            if reply.status >= 400:
                raise wire.read_error(reply.status, reply.headers, await reply.read(), target)
            reader = wire.Reader(request, target)
            if not target.stream:
                response: Any = reader.whole(await reply.read())
                yield _noted(Done(response=response), notes)
                return
            async with aclosing(reply.chunks()) as chunks:
                parser = sse.Parser()
                async for chunk in chunks:
                    for told in parser.feed(chunk):
                        for event in reader.event(told):
                            yield _noted(event, notes)
                for event in reader.end():
                    yield _noted(event, notes)


def _noted(event: Event, notes: tuple[str, ...]) -> Event:
    """The event with what was done differently from what was asked, where it tells who answers or the answer."""
    if not notes:
        return event
    if isinstance(event, Start):
        return replace(event, notes=event.notes + notes)
    if isinstance(event, Done):
        return replace(event, response=replace(event.response, notes=event.response.notes + notes))
    return event
