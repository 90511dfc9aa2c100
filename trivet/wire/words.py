"""A refusal's field in the words of the client that is told of it.

Whoever refuses something names it as `Chat` does, and counts messages and parts as that does, the system prompt
included. Here, in one place, that becomes the path of what the client wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from trivet.errors import RequestError
from trivet.types import Request
from trivet.wire.fields import Fields
from trivet.wire.gemini.proto import camel
from trivet.wire.gemini.request_in import NAMES as GEMINI_SAMPLING
from trivet.wire.openai_responses.items_in import places

__all__ = ["client_words", "retell"]

Json = Mapping[str, Any]
_MESSAGE = re.compile(r"messages\[(\d+)\](?:\.content\[(\d+)\])?(.*)", re.S)
_TOOL = re.compile(r"tools\[(\d+)\](.*)", re.S)
_THINKING = "generationConfig.thinkingConfig"
# Our names where the client's are others; what is under one of them goes along.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "openai-chat": {
        "reasoning.effort": "reasoning_effort",
        "output.schema": "response_format.json_schema.schema",
        "output": "response_format",
        "tool_choice.names": "tool_choice.allowed_tools.tools",
        "tool_choice.parallel": "parallel_tool_calls",
    },
    "openai-responses": {
        "max_tokens": "max_output_tokens",
        "logprobs": "top_logprobs",
        "summary": "reasoning.summary",
        "response_format": "text.format",
        "output.schema": "text.format.schema",
        "output": "text.format",
        "tool_choice.names": "tool_choice.tools",
        "tool_choice.parallel": "parallel_tool_calls",
        "messages": "input",
    },
    "openai-transcriptions": {"audio": "file", "words": "timestamp_granularities"},
    "openai-speech": {"text": "input", "format": "response_format"},
    "cohere-rerank": {"top": "top_n"},
    "anthropic": {
        "stop": "stop_sequences",
        "budget_tokens": "thinking.budget_tokens",
        "reasoning.effort": "output_config.effort",
        "reasoning.summary": "thinking.display",
        "reasoning": "thinking",
        "summary": "thinking.display",
        "response_format": "output_config.format",
        "output.schema": "output_config.format.schema",
        "output": "output_config.format",
        "tool_choice.parallel": "tool_choice.disable_parallel_tool_use",
    },
    "gemini": {ours: f"generationConfig.{theirs}" for ours, theirs in GEMINI_SAMPLING.items()}
    | {
        "budget_tokens": f"{_THINKING}.thinkingBudget",
        "reasoning.effort": f"{_THINKING}.thinkingLevel",
        "reasoning.summary": f"{_THINKING}.includeThoughts",
        "reasoning": _THINKING,
        "summary": f"{_THINKING}.includeThoughts",
        "response_format": "generationConfig.responseMimeType",
        "output.schema": "generationConfig.responseJsonSchema",
        "output": "generationConfig.responseMimeType",
        "service_tier": "serviceTier",
        "tool_choice.names": "toolConfig.functionCallingConfig.allowedFunctionNames",
        "tool_choice": "toolConfig.functionCallingConfig",
        "messages": "contents",
    },
}


@contextmanager
def client_words(request: Request) -> Iterator[None]:
    """Refusals of this request leave it in its client's words."""
    try:
        yield
    except RequestError as error:
        retell(error, request)
        raise


def retell(error: RequestError, request: Request) -> None:
    """Puts the client's path of the field in the place of ours. What a provider has said (`raw`) stays as it is."""
    source, field = request.source, error.field
    if field is None or source is None or error.raw is not None:
        return
    protocol = source.protocol.removesuffix("-count")
    try:
        theirs = _theirs(field, protocol, msgspec.json.decode(source.body))
    except LookupError:  # of a message or a part that a wrapper has added
        return
    if theirs == field:
        return
    error.field = theirs
    name = re.escape(field)
    # A name that is a usual word too is only one at the beginning, or in brackets.
    whole = rf"^{name}(?=[ :])|(?<=\(){name}(?=\))" if field.isalpha() else rf"(?<![\w.]){name}(?![\w\[])"
    error.args = (re.sub(whole, lambda _: theirs, error.message),)


def _theirs(field: str, protocol: str, body: Json) -> str:
    if (found := _MESSAGE.fullmatch(field)) and protocol in _MESSAGES:
        part = None if found[2] is None else int(found[2])
        return _MESSAGES[protocol](body, int(found[1]), part, found[3])
    if (found := _TOOL.fullmatch(field)) and protocol in _TOOLS:
        paths = _TOOLS[protocol](body)
        return paths[int(found[1])] + found[2] if int(found[1]) < len(paths) else field
    if protocol == "openai-chat" and field == "max_tokens" and body.get("max_tokens") is None:
        return "max_completion_tokens"
    for ours, theirs in _NAMES.get(protocol, {}).items():
        if field == ours or field.startswith((f"{ours}.", f"{ours}[")):
            return theirs + field.removeprefix(ours)
    return field


# --- messages: from the number of ours, and of the part in it, and what comes after that ------------------------


def _content(n: int | None) -> str:
    return "" if n is None else f".content[{n}]"


def _in_chat(body: Json, i: int, n: int | None, rest: str) -> str:
    """A tool's message is the result that we have as a part of one; the model's has parts in several fields."""
    message = body["messages"][i]
    path = f"messages[{i}]"
    if message.get("role") == "tool":
        return path + rest
    if n is None or (isinstance(message.get("content"), list) and message.get("role") != "assistant"):
        return path + _content(n) + rest
    return path if message.get("role") == "assistant" else f"{path}.content"


def _in_anthropic(body: Json, i: int, n: int | None, rest: str) -> str:
    system = body.get("system")
    if system and i == 0:
        return f"system[{n}]{rest}" if isinstance(system, list) and n is not None else "system"
    at = i - bool(system)
    whole = isinstance(body["messages"][at].get("content"), str) and n is not None
    return f"messages[{at}].content" if whole else f"messages[{at}]{_content(n)}{rest}"


def _in_gemini(body: Json, i: int, n: int | None, rest: str) -> str:
    """A signed part is two of ours, so that only what stands before one is sure to be where we count it."""
    named = {camel(name): value for name, value in body.items()}
    system = named.get("systemInstruction")
    if system and (isinstance(system, str) or system.get("parts")):
        if i == 0:
            return (
                "systemInstruction" if n is None or isinstance(system, str) else f"systemInstruction.parts[{n}]{rest}"
            )
        i -= 1
    contents = named["contents"]
    parts = contents[i].get("parts")
    if n is None or not isinstance(parts, list):
        return f"contents[{i}]{'.parts' if rest == '.content' else rest}"
    signed = any("thoughtSignature" in part or "thought_signature" in part for part in parts)
    return f"contents[{i}]" if signed or n >= len(parts) else f"contents[{i}].parts[{n}]{rest}"


def _in_responses(body: Json, i: int, n: int | None, rest: str) -> str:
    """Items of the model's side by side are one message of ours."""
    if body.get("instructions"):
        if i == 0:
            return "instructions"
        i -= 1
    items = body.get("input")
    if not isinstance(items, list):
        return "input"
    told = places([Fields(item) for item in items])
    at, first = next(
        ((k, first) for k, (number, first) in reversed(list(enumerate(told))) if number == i and first <= (n or 0)),
        (None, 0),
    )
    if at is None:
        return "input"
    content = items[at].get("content")
    if n is None or not isinstance(content, list):
        return f"input[{at}]{rest}" if n is None or content is None else f"input[{at}].content"
    return f"input[{at}].content[{n - first}]{rest}"


_MESSAGES: Mapping[str, Callable[[Json, int, int | None, str], str]] = {
    "openai-chat": _in_chat,
    "openai-responses": _in_responses,
    "anthropic": _in_anthropic,
    "gemini": _in_gemini,
}


# --- tools: the paths of those that are ours --------------------------------------------------------------------


def _anthropic_tools(body: Json) -> list[str]:
    tools = enumerate(body.get("tools") or ())
    return [f"tools[{i}]" for i, t in tools if t.get("name") is not None or t.get("type") in (None, "custom")]


def _responses_tools(body: Json) -> list[str]:
    return [f"tools[{i}]" for i, t in enumerate(body.get("tools") or ()) if t.get("type") in ("function", "custom")]


def _gemini_tools(body: Json) -> list[str]:
    tools = [{camel(name): value for name, value in t.items()} for t in body.get("tools") or () if isinstance(t, dict)]
    listed = [(i, range(len(t.get("functionDeclarations") or ()))) for i, t in enumerate(tools)]
    return [f"tools[{i}].functionDeclarations[{n}]" for i, functions in listed for n in functions]


_TOOLS: Mapping[str, Callable[[Json], list[str]]] = {
    "openai-responses": _responses_tools,
    "anthropic": _anthropic_tools,
    "gemini": _gemini_tools,
}
