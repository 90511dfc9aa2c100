"""Every task's request, and every answer: what JSON is read as."""

from __future__ import annotations

from trivet.types.media_tasks import (
    Act,
    ActResponse,
    Classify,
    ClassifyResponse,
    Fold,
    FoldResponse,
    Forecast,
    ForecastResponse,
    Mask,
    MaskResponse,
    Read,
    ReadResponse,
    Rerank,
    RerankResponse,
    Speak,
    SpeakResponse,
    Transcribe,
    TranscribeResponse,
)
from trivet.types.requests import Chat, Complete, CountTokens, Embed
from trivet.types.responses import ChatResponse, CompleteResponse, CountTokensResponse, EmbedResponse

AnyRequest = (
    Chat | Complete | CountTokens | Embed | Rerank | Classify | Read | Transcribe | Speak | Forecast | Mask | Fold | Act
)
AnyResponse = (
    ChatResponse
    | CompleteResponse
    | CountTokensResponse
    | EmbedResponse
    | RerankResponse
    | ClassifyResponse
    | ReadResponse
    | TranscribeResponse
    | SpeakResponse
    | ForecastResponse
    | MaskResponse
    | FoldResponse
    | ActResponse
)
