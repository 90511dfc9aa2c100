"""Prompts and answers in the words of OpenTelemetry's GenAI conventions (1.41.0: its schemas of messages)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trivet.types import (
    ChatResponse,
    Complete,
    CompleteResponse,
    Conversation,
    Embed,
    Media,
    Message,
    Part,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["contents", "finish_reasons"]

_FINISH = {"tool_calls": "tool_call", "refusal": "content_filter"}  # the others have the conventions' names


def finish_reasons(response: Response) -> tuple[str, ...]:
    """One for each choice."""
    if isinstance(response, ChatResponse | CompleteResponse):
        return tuple(_FINISH.get(choice.finish_reason, choice.finish_reason) for choice in response.choices)
    return ()


def contents(request: Request, response: Response | None) -> dict[str, str]:
    """Attributes, each of which is JSON. System prompts at the beginning are the instructions, later ones messages.
    Of images, audio and documents it has type and size, not the bytes: a collector takes a few MB at once."""
    found: dict[str, Any] = {}
    if isinstance(request, Conversation):
        first = _instructions(request.messages)
        found["gen_ai.system_instructions"] = [part for message in request.messages[:first] for part in _parts(message)]
        found["gen_ai.input.messages"] = [told for message in request.messages[first:] for told in _messages(message)]
        found["gen_ai.tool.definitions"] = [_tool(tool) for tool in request.tools]
    elif isinstance(request, Complete):
        found["gen_ai.input.messages"] = [_said("user", request.prompt)]
    elif isinstance(request, Embed):
        found["gen_ai.input.messages"] = [_said("user", text) for text in request.texts]
    if isinstance(response, ChatResponse):
        found["gen_ai.output.messages"] = [
            {"role": "assistant", "parts": _parts(choice.message), "finish_reason": reason}
            for choice, reason in zip(response.choices, finish_reasons(response), strict=True)
        ]
    elif isinstance(response, CompleteResponse):
        found["gen_ai.output.messages"] = [
            _said("assistant", choice.text) | {"finish_reason": reason}
            for choice, reason in zip(response.choices, finish_reasons(response), strict=True)
        ]
    return {name: msgspec.json.encode(value).decode() for name, value in found.items() if value}


def _instructions(messages: Iterable[Message]) -> int:
    """How many messages at the beginning are system prompts."""
    count = 0
    for message in messages:
        if message.role not in ("system", "developer"):
            break
        count += 1
    return count


def _messages(message: Message) -> list[dict[str, Any]]:
    """A message; results of tools, which stand in a user's message here, are one of the role `tool` there."""
    results = [part for part in message.content if isinstance(part, ToolResult)]
    others = [part for part in message.content if not isinstance(part, ToolResult)]
    told = []
    if results:
        told.append({"role": "tool", "parts": [_part(part) for part in results]})
    if others or not results:
        role = "system" if message.role == "developer" else message.role
        told.append({"role": role, "parts": [_part(part) for part in others]})
        if message.name is not None:
            told[-1]["name"] = message.name
    return told


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _parts(message: Message) -> list[dict[str, Any]]:
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "content": part.text}
        case Thinking():
            return {"type": "reasoning", "content": part.text}
        case ToolCall():
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": _arguments(part.arguments)}
        case ToolResult():
            return {"type": "tool_call_response", "id": part.call_id, "response": [_part(p) for p in part.content]}
        case Media():
            return _media(part)
    return {"type": "opaque", "provider": part.provider, "content": part.raw}


def _media(part: Media) -> dict[str, Any]:
    modality = type(part).__struct_config__.tag
    if part.url is not None:
        return {"type": "uri", "modality": modality, "mime_type": part.media_type, "uri": part.url}
    return {"type": modality, "mime_type": part.media_type, "size_bytes": len(part.data or b"")}


def _arguments(text: str) -> Any:
    """An object, or the text of one that was cut short."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _tool(tool: Tool) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "function", "name": tool.name, "parameters": tool.parameters}
    return told if tool.description is None else {**told, "description": tool.description}
