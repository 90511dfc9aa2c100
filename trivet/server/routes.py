"""The table of routes: what is spoken on which path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trivet.errors import TrivetError
from trivet.wire import (
    Front,
    anthropic,
    cohere_rerank,
    gemini,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_errors,
    openai_responses,
    plain_tasks,
)
from trivet.wire.anthropic import count as anthropic_count
from trivet.wire.gemini import count as gemini_count
from trivet.wire.gemini import embed as gemini_embed
from trivet.wire.gemini.front import BETA, PathFront, front
from trivet.wire.multipart import Form, FormFront
from trivet.wire.openai_audio import speech, transcriptions

if TYPE_CHECKING:
    from trivet.server.exchange import Exchange

__all__ = [
    "BETA",
    "DOCS",
    "FORMS",
    "GEMINI",
    "GEMINI_PATHS",
    "HEALTH",
    "LIVE",
    "METRICS",
    "MODELS",
    "OPENAPI",
    "POST",
    "READY",
    "RELOAD",
    "REQUESTS",
    "dialect",
    "is_array",
    "protocol",
    "shape",
    "table",
]

POST: dict[str, Front] = {
    "/v1/chat/completions": openai_chat,
    "/v1/completions": openai_completions,
    "/v1/embeddings": openai_embeddings,
    "/v1/responses": openai_responses,
    "/v1/audio/speech": speech,
    "/v1/messages": anthropic,
    "/v1/messages/count_tokens": anthropic_count,
    "/v1/rerank": cohere_rerank,
    "/v2/rerank": cohere_rerank,  # where Cohere's newer client asks
    "/v1/classify": plain_tasks.classify,
    "/v1/read": plain_tasks.read,
    "/v1/forecast": plain_tasks.forecast,
    "/v1/mask": plain_tasks.mask,
    "/v1/embed": plain_tasks.embed,
}
# What is asked with a form, as it has a file.
FORMS: dict[str, Form] = {"/v1/audio/transcriptions": transcriptions}
# Gemini's paths name the model, then one of these.
GEMINI: dict[str, Front] = {
    "generateContent": gemini,
    "streamGenerateContent": gemini,
    "countTokens": gemini_count,
    "embedContent": gemini_embed,
    "batchEmbedContents": gemini_embed,
}
ERRORS = {"openai": openai_errors.error, "anthropic": anthropic.error, "gemini": gemini.error}
GEMINI_PATHS = tuple(f"{BETA}/{{id}}:{method}" for method in GEMINI)
HEALTH, MODELS, RELOAD = "/health", "/v1/models", "/trivet/reload"
LIVE, READY, METRICS, REQUESTS = "/health/live", "/health/ready", "/metrics", "/trivet/requests"
OPENAPI, DOCS = "/openapi.json", "/docs"
GET = (
    *(HEALTH, LIVE, READY, MODELS, f"{MODELS}/{{id}}", BETA, f"{BETA}/{{id}}"),
    *(METRICS, f"{REQUESTS}/{{id}}", OPENAPI, DOCS),
)


def table() -> list[tuple[str, str]]:
    """Every route, as its method and its path."""
    return [("GET", path) for path in GET] + [("POST", path) for path in (*POST, *FORMS, *GEMINI_PATHS, RELOAD)]


def protocol(exchange: Exchange) -> Front | None:
    """What is spoken on the path, if anything is asked there."""
    form = FORMS.get(exchange.path)
    if form is not None:
        return FormFront(form, exchange.headers.get(b"content-type", b"").decode("latin-1"))
    return POST.get(exchange.path) or front(exchange.path, exchange.query, GEMINI)


def is_array(protocol: Front | None) -> bool:
    """Whether what is asked for is one JSON array, errors included."""
    return isinstance(protocol, PathFront) and protocol.array


def shape(exchange: Exchange) -> Callable[[TrivetError], bytes]:
    """The error shape of the route's protocol; elsewhere of the client's."""
    spoken = protocol(exchange)
    return ERRORS[dialect(exchange)] if spoken is None else spoken.error


def dialect(exchange: Exchange) -> str:
    """Whose client it is, where the path does not say: by the headers that each of them sends."""
    if exchange.path.startswith(BETA) or b"x-goog-api-client" in exchange.headers:
        return "gemini"
    return "anthropic" if b"anthropic-version" in exchange.headers else "openai"
