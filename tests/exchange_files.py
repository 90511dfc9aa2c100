"""The exchanges under tests/exchanges: per provider a file for each situation, and one for its errors.

A file has its `origin`, and its `standing`: `documented` is a shape and an example as published, `made` is made here
after the published schema. `asked` is the request in trivet's words, `request` the provider's body for it; `response`
and `events` are its answer, whole and streamed, and `holds` what a `ChatResponse` has of either.

`fits` holds each body against the types of the provider's own SDK.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Required

import anthropic.types as anthropic
import openai.types.chat as chat
import openai.types.responses as responses
import openai.types.shared as openai
from anthropic.types.message_create_params import MessageCreateParams
from google.genai import types as gemini
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import BaseModel, ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from tests.upstream import sse

Json = dict[str, Any]
ROOT = Path(__file__).parent / "exchanges"
SITUATIONS = (
    *("text", "system", "images", "tools", "parallel_tools", "thinking", "structured_output", "cache_marks"),
    "stream",  # a stream alone
)


@with_config(ConfigDict(extra="forbid"))
class GenerateContent(TypedDict, total=False):
    """The body of Gemini's REST request: its SDK has types for what is in it, and none for the whole."""

    contents: list[gemini.Content]
    systemInstruction: gemini.Content
    tools: list[gemini.Tool]
    toolConfig: gemini.ToolConfig
    generationConfig: gemini.GenerationConfig


class Status(TypedDict, total=False):
    """Google's google.rpc.Status, which its SDK reads without a type."""

    code: Required[int]
    message: Required[str]
    status: Required[str]
    details: list[Json]


class Sdk(NamedTuple):
    """A protocol as its SDK has it. `error` is what stands under that name; `streamed` is what a request says to get a
    stream."""

    request: TypeAdapter[Any]
    response: TypeAdapter[Any]
    event: TypeAdapter[Any]
    error: TypeAdapter[Any]
    streamed: Json
    named: bool = False


RESPONSES = Sdk(
    TypeAdapter(ResponseCreateParams),
    TypeAdapter(responses.Response),
    TypeAdapter(responses.ResponseStreamEvent),
    TypeAdapter(openai.ErrorObject),
    {"stream": True},
    named=True,
)
CHAT = Sdk(
    TypeAdapter(CompletionCreateParams),
    TypeAdapter(chat.ChatCompletion),
    TypeAdapter(chat.ChatCompletionChunk),
    TypeAdapter(openai.ErrorObject),
    {"stream": True, "stream_options": {"include_usage": True}},
)
SDKS: Mapping[str, Sdk] = {
    "anthropic": Sdk(
        TypeAdapter(MessageCreateParams),
        TypeAdapter(anthropic.Message),
        TypeAdapter(anthropic.RawMessageStreamEvent),
        TypeAdapter(anthropic.ErrorObject),
        {"stream": True},
        named=True,
    ),
    "openai": RESPONSES,
    "openai-chat": CHAT,
    "compatible": CHAT,
    "openrouter": CHAT,
    "gemini": Sdk(
        TypeAdapter(GenerateContent),
        TypeAdapter(gemini.GenerateContentResponse),
        TypeAdapter(gemini.GenerateContentResponse),
        TypeAdapter(Status),
        {},
    ),
}


class Exchange(NamedTuple):
    origin: str
    standing: Literal["documented", "made"]
    asked: Json
    request: Json
    events: list[Any]
    holds: Json
    response: Json | None = None


def situations(provider: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / provider).glob("*.json") if path.stem != "errors")


def exchange(provider: str, situation: str) -> Exchange:
    return Exchange(**json.loads((ROOT / provider / f"{situation}.json").read_text()))


def errors(provider: str) -> list[Json]:
    told: list[Json] = json.loads((ROOT / provider / "errors.json").read_text())["errors"]
    return told


def pieces(provider: str, situation: str) -> list[bytes]:
    """The stream as it goes over the wire, one event a piece."""
    return sse(*exchange(provider, situation).events, names=SDKS[provider].named)


def fits(provider: str, kind: TypeAdapter[Any], body: Any) -> bool:
    """Whether the SDK's types take a body, and know every name in it. Raises where they do not take it."""
    body = _typed(provider, body)
    return bool(_plain(kind.validate_python(body)) == body)


def _typed(provider: str, body: Any) -> Any:
    """Without what the host has beyond its SDK's types; and with ids of reasoning, which OpenAI's types want in a
    request, though nothing but a store needs them."""
    if isinstance(body, list):
        return [_typed(provider, one) for one in body]
    if not isinstance(body, dict):
        return body
    wanted = {"id": "rs_1"} if provider == "openai" and body.get("type") == "reasoning" else {}
    beyond = ("cache_control", "reasoning", "reasoning_details") if provider == "openrouter" else ()
    return wanted | {name: _typed(provider, one) for name, one in body.items() if name not in beyond}


def _plain(value: Any) -> Any:
    """As JSON again, without what the types have no field for. Pydantic looks into what is typed as an iterable only
    when somebody goes through it."""
    if isinstance(value, BaseModel):
        names = {name: field.alias or name for name, field in type(value).model_fields.items()}
        return {names[name]: _plain(getattr(value, name)) for name in value.model_fields_set if name in names}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | Iterator):
        return [_plain(inner) for inner in value]
    return b64encode(value).decode() if isinstance(value, bytes) else value
