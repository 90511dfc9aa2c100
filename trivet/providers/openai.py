"""OpenAI itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trivet.providers.hosted import Hosted, Route
from trivet.types import Chat, Complete, Conversation, Embed, Request, Speak, Transcribe
from trivet.wire import openai_chat, openai_completions, openai_embeddings, openai_responses
from trivet.wire.openai_audio import speech_out, transcriptions_out
from trivet.wire.thinking import leave_out

COMPLETIONS = Route(path="chat/completions", wire=openai_chat, streams=True)
RESPONSES = Route(path="responses", wire=openai_responses, streams=True)
_ONLY_COMPLETIONS = ("audio", "modalities", "prediction", "logit_bias", "web_search_options")


class OpenAI(Hosted):
    """Chats go to responses, which alone takes its own reasoning back, unless the client has asked in chat
    completions or asks for what only these can say. `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` count as for its SDK."""

    family = "openai"
    base_url = "https://api.openai.com/v1"
    key_variable = "OPENAI_API_KEY"
    most_texts = 2048  # developers.openai.com/api/reference/resources/embeddings/methods/create
    quirks: Mapping[str, Any] = {"reasoning_details": False}
    routes: Mapping[type[Request], Route] = {
        Chat: RESPONSES,
        Complete: Route(path="completions", wire=openai_completions, streams=True),
        Embed: Route(path="embeddings", wire=openai_embeddings),
        Transcribe: Route(path="audio/transcriptions", wire=transcriptions_out, streams=True),
        Speak: Route(path="audio/speech", wire=speech_out, streams=True),
    }

    def route(self, request: Request) -> Route:
        if isinstance(request, Chat) and (_from_completions(request) or _needs_completions(request)):
            return COMPLETIONS
        return super().route(request)

    def keeps_unsigned(self, request: Request) -> bool:
        return openai_responses.thoughts_by_id(request)

    def thoughts(self, request: Conversation) -> tuple[Conversation, tuple[str, ...]]:
        """Chat completions take no reasoning back, whoever signed it; what a client wrote in them stays."""
        if isinstance(request, Chat) and self.route(request) is COMPLETIONS and not _from_completions(request):
            return leave_out(request, f"{self.name}'s chat completions", unsigned=False)
        return super().thoughts(request)

    def headers(self, key: str | None) -> dict[str, str]:
        told = {
            "openai-organization": os.environ.get("OPENAI_ORG_ID"),
            "openai-project": os.environ.get("OPENAI_PROJECT_ID"),
        }
        return {**super().headers(key), **{name: value for name, value in told.items() if value}}


def _from_completions(request: Chat) -> bool:
    return request.source is not None and request.source.protocol == openai_chat.PROTOCOL


def _needs_completions(request: Chat) -> bool:
    """Whether it asks for what responses have no field for. What came in as responses stays there."""
    if request.source is not None and request.source.protocol == openai_responses.PROTOCOL:
        return False
    s = request.sampling
    penalties = s.frequency_penalty is not None or s.presence_penalty is not None
    return (
        s.n > 1 or s.seed is not None or bool(s.stop) or penalties or any(f in request.extra for f in _ONLY_COMPLETIONS)
    )
