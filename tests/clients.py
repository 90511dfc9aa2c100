"""The four official ways to chat, each by its SDK, to one shape: what all-pairs tests ask and compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import anthropic
import openai
from google import genai
from google.genai import types as gemini

from tests.servers import CEILING_S

QUESTION, SYSTEM = "What is the weather in Paris and Rome?", "Be terse."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Said(NamedTuple):
    """What an SDK made of the answer. `finish` is the protocol's own word; `tokens` are input and output."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    finish: str
    tokens: tuple[int, int]


Ask = Callable[[str, bool, bool], Said]
"""From the server's URL, whether to stream, and whether to offer the tool `weather`, to what was said."""


def openai_chat(url: str, stream: bool, tools: bool) -> Said:
    function = {"name": "weather", "description": "Looks.", "parameters": SCHEMA}
    options: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
        **({"tools": [{"type": "function", "function": function}]} if tools else {}),
    }
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=CEILING_S, max_retries=0) as client:
        if stream:
            with client.chat.completions.stream(stream_options={"include_usage": True}, **options) as events:
                whole: Any = events.get_final_completion()
        else:
            whole = client.chat.completions.create(**options)
    choice = whole.choices[0]
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
    tokens = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    return Said(choice.message.content or "", calls, choice.finish_reason, tokens)


def openai_responses(url: str, stream: bool, tools: bool) -> Said:
    function = {"type": "function", "name": "weather", "description": "Looks.", "parameters": SCHEMA, "strict": False}
    options: dict[str, Any] = {
        "model": "m",
        "instructions": SYSTEM,
        "input": QUESTION,
        **({"tools": [function]} if tools else {}),
    }
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=CEILING_S, max_retries=0) as client:
        if stream:
            with client.responses.stream(**options) as events:
                whole: Any = events.get_final_response()
        else:
            whole = client.responses.create(**options)
    calls = [(i.name, json.loads(i.arguments)) for i in whole.output if i.type == "function_call"]
    return Said(whole.output_text, calls, whole.status, (whole.usage.input_tokens, whole.usage.output_tokens))


def anthropic_messages(url: str, stream: bool, tools: bool) -> Said:
    options: dict[str, Any] = {
        "model": "m",
        "max_tokens": 100,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": QUESTION}],
        **({"tools": [{"name": "weather", "description": "Looks.", "input_schema": SCHEMA}]} if tools else {}),
    }
    with anthropic.Anthropic(base_url=url, api_key="none", timeout=CEILING_S, max_retries=0) as client:
        if stream:
            with client.messages.stream(**options) as events:
                whole: Any = events.get_final_message()
        else:
            whole = client.messages.create(**options)
    text = "".join(b.text for b in whole.content if b.type == "text")
    calls = [(b.name, b.input) for b in whole.content if b.type == "tool_use"]
    return Said(text, calls, whole.stop_reason, (whole.usage.input_tokens, whole.usage.output_tokens))


def gemini_contents(url: str, stream: bool, tools: bool) -> Said:
    function = gemini.FunctionDeclaration(name="weather", description="Looks.", parameters_json_schema=SCHEMA)
    config = gemini.GenerateContentConfig(
        system_instruction=SYSTEM,
        tools=[gemini.Tool(function_declarations=[function])] if tools else None,
        automatic_function_calling=gemini.AutomaticFunctionCallingConfig(disable=True),
    )
    options = gemini.HttpOptions(base_url=url, timeout=int(CEILING_S * 1000))
    client = genai.Client(api_key="none", http_options=options)
    asked: dict[str, Any] = {"model": "m", "contents": QUESTION, "config": config}
    models = client.models
    chunks: list[Any] = list(models.generate_content_stream(**asked)) if stream else [models.generate_content(**asked)]
    parts = [p for c in chunks for p in (c.candidates[0].content.parts or [] if c.candidates else [])]
    text = "".join(p.text for p in parts if p.text and not p.thought)
    calls = [(p.function_call.name, dict(p.function_call.args or {})) for p in parts if p.function_call]
    finish = next(c.candidates[0].finish_reason for c in reversed(chunks) if c.candidates)
    usage = chunks[-1].usage_metadata
    client.close()
    return Said(text, calls, str(finish.value), (usage.prompt_token_count, usage.candidates_token_count))


CLIENTS: dict[str, Ask] = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": anthropic_messages,
    "gemini": gemini_contents,
}
