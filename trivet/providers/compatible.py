"""Hosts that speak OpenAI's protocols: whatever has a row in `hosts`, and any other address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from trivet.errors import ConfigError, ProviderError
from trivet.providers.hosted import Hosted, Route
from trivet.providers.hosts import HOSTS, Host
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Complete, Conversation, Embed, Request, Rerank, Speak, Transcribe, replace
from trivet.wire import mistral_fim, openai_chat, openai_completions, openai_embeddings, openai_responses, rerank_out
from trivet.wire.openai_audio import speech_out, transcriptions_out
from trivet.wire.thinking import leave_out

_CHATS = {
    openai_chat.PROTOCOL: Route(path="chat/completions", wire=openai_chat, streams=True),
    openai_responses.PROTOCOL: Route(path="responses", wire=openai_responses, streams=True),
}
_COMPLETIONS = {
    openai_completions.PROTOCOL: Route(path="completions", wire=openai_completions, streams=True),
    mistral_fim.PROTOCOL: Route(path="fim/completions", wire=mistral_fim, streams=True),
}
_OTHERS: Mapping[str, tuple[type[Request], Route]] = {
    "embed": (Embed, Route(path="embeddings", wire=openai_embeddings)),
    "rerank": (Rerank, Route(path="rerank", wire=rerank_out)),
    "transcribe": (Transcribe, Route(path="audio/transcriptions", wire=transcriptions_out, streams=True)),
    "speak": (Speak, Route(path="audio/speech", wire=speech_out, streams=True)),
}


class Compatible(Hosted):
    """One of `HOSTS`, by the settings' kind, else by its own name. Raises `ConfigError` for a kind that has no row, and
    for one whose address only its owner knows, where there is no `base_url`."""

    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        host = HOSTS.get(settings.kind or name)
        if host is None:
            raise ConfigError(
                f'There is no host {settings.kind or name!r} in trivet\'s table: write kind = "openai-compatible" and '
                f"base_url under [providers.{name}]."
            )
        if not (settings.base_url or host.base_url):
            raise ConfigError(
                f'{name} has no usual address: write base_url = "{host.example}" under [providers.{name}], with yours.'
            )
        self.host: Host = host
        self.family = host.family or host.name
        self.base_url = host.base_url or ""
        self.key_variable = host.key_variable
        self.needs_key = host.needs_key and not _brings_key(settings, host)
        self.self_served = host.where == "self-served"
        self.quirks = host.quirks
        self.most_texts = host.most_texts
        tasks: dict[str, tuple[type[Request], Route]] = {
            **_OTHERS,
            "chat": (Chat, _CHATS[host.protocols[0]]),
            "complete": (Complete, _COMPLETIONS[host.completions]),
        }
        self.routes = dict(tasks[task] for task in host.tasks)
        for task, path in ((Rerank, host.rerank_path), (Complete, host.complete_path)):
            if path is not None:
                self.routes[task] = replace(self.routes[task], path=path)
        super().__init__(settings, name=name)

    def headers(self, key: str | None) -> dict[str, str]:
        if key is None or self.host.key_header == "authorization":
            return super().headers(key)
        return {self.host.key_header: key}

    def route(self, request: Request) -> Route:
        """The client's own protocol, where the host speaks it."""
        source = request.source
        if isinstance(request, Chat) and source is not None and source.protocol in self.host.protocols:
            return _CHATS[source.protocol]
        return super().route(request)

    def keeps_unsigned(self, request: Request) -> bool:
        """Where the host takes it, or keeps it; and what a client wrote in chat completions stays as it wrote it."""
        if self.route(request).wire is openai_responses and openai_responses.thoughts_by_id(request):
            return True
        return _is_of(request, openai_chat.PROTOCOL) or bool(self.quirks.get("send_thinking"))

    def thoughts(self, request: Conversation) -> tuple[Conversation, tuple[str, ...]]:
        """Signatures of any maker go to a host that has models of any maker, and none where chat completions have no
        place for them."""
        takes = self.quirks.get("reasoning_details")
        if takes:
            return request, ()
        chats = isinstance(request, Chat) and self.route(request).wire is openai_chat
        if takes is None or not chats or _is_of(request, openai_chat.PROTOCOL):
            return super().thoughts(request)
        return leave_out(request, f"{self.name}'s chat completions", unsigned=self.keeps_unsigned(request))

    async def refresh(self) -> tuple[str, ...]:
        """What it lists. Of a host that has no list, nothing: it is asked all the same, to see whether it answers, and
        takes the key."""
        try:
            found = await super().refresh()
        except ProviderError as error:
            if self.host.lists or error.provider_status not in (404, 405):
                raise
            found = ()
        self._listed = found if self.host.lists else ()
        return self._listed

    def listed(self, body: bytes) -> Iterable[str]:
        """Together has the list itself where others have it under `data`."""
        told: Any = msgspec.json.decode(body)
        return [model["id"] for model in (told if isinstance(told, list) else told["data"])]


def _is_of(request: Request, protocol: str) -> bool:
    """Whether its client wrote it in this protocol."""
    return request.source is not None and request.source.protocol == protocol


def _brings_key(settings: ProviderSettings, host: Host) -> bool:
    """Whether the settings' own headers have what lets us in: a token of Azure's, of a proxy's."""
    return any(header.lower() in ("authorization", host.key_header) for header in settings.headers)
