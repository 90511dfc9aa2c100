"""What each protocol's provider can be told, found by telling it: the table in `docs/translation.md`.

`python -m tests.translations` writes the page anew; `test_translations.py` fails where it no longer says what is so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from trivet.errors import TrivetError
from trivet.providers.hosted import reordered, suited
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Opaque,
    Output,
    Reasoning,
    Sampling,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    assistant,
    system,
    user,
)
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses
from trivet.wire.anthropic.request_out import notes as anthropic_notes
from trivet.wire.gemini.request_out import notes as gemini_notes
from trivet.wire.thinking import leave_out

PAGE = Path(__file__).parent.parent / "docs" / "translation.md"
# Whose signatures it takes back, its protocol, its family.
BACKS: dict[str, tuple[str, Any, str]] = {
    "Anthropic messages": ("anthropic", anthropic, "anthropic"),
    "OpenAI chat": ("openai's chat completions", openai_chat, "openai"),
    "OpenAI responses": ("openai", openai_responses, "openai"),
    "Gemini": ("gemini", gemini, "gemini"),
}
# What a protocol's own writer leaves out.
NOTES: dict[Any, Any] = {anthropic: anthropic_notes, gemini: lambda request, target: gemini_notes(request)}
MOST = {"most_tokens": 4096}  # else each answer has a note that it must be told some
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
TOOL = Tool(name="t", description="Looks.", parameters=SCHEMA)
CALLED = (user("q"), assistant(ToolCall(id="call_1", name="t", arguments='{"a":"b"}')))


def asked(*content: Any, **fields: Any) -> Chat:
    return Chat(messages=(user(*(content or ("q",))),), **fields)


def sampled(**options: Any) -> Chat:
    return asked(sampling=Sampling(**options))


def result(*content: Any, **fields: Any) -> Chat:
    answer = ToolResult(call_id="call_1", content=content, **fields)
    return Chat(messages=(*CALLED, Message(role="user", content=(answer,))), tools=(TOOL,))


def from_gemini(output: Output) -> Chat:
    return asked(output=output, source=Source(protocol="gemini", body=b"{}"))


def thought(provider: str) -> Chat:
    part = Thinking(text="hm", signature="c2ln", provider=provider)
    return Chat(messages=(user("q"), assistant(part, "a"), user("r")))


FEATURES: dict[str, Chat] = {
    "text": asked("q"),
    "a system prompt": Chat(messages=(system("s"), user("q"))),
    "a system prompt later in the conversation": Chat(messages=(user("q"), assistant("a"), system("s"), user("r"))),
    "an image, as bytes": asked(Image(data=b"\x89PNG", media_type="image/png")),
    "an image, by address": asked(Image(url="https://example.com/a.png", media_type="image/png")),
    "an image's `detail`": asked(Image(data=b"\x89PNG", media_type="image/png", detail="low")),
    "audio, as bytes": asked(Audio(data=b"RIFF", media_type="audio/wav")),
    "a PDF, as bytes": asked(Document(data=b"%PDF", media_type="application/pdf", name="a.pdf")),
    "a PDF, by address": asked(Document(url="https://example.com/a.pdf", media_type="application/pdf")),
    "tools": asked(tools=(TOOL,)),
    "a tool held strictly to its schema": asked(tools=(msgspec.structs.replace(TOOL, strict=True),)),
    "tool choice: none": asked(tools=(TOOL,), tool_choice=ToolChoice(mode="none")),
    "tool choice: required": asked(tools=(TOOL,), tool_choice=ToolChoice(mode="required")),
    "tool choice: one by name": asked(tools=(TOOL,), tool_choice=ToolChoice(mode="named", name="t")),
    "tool choice: some of the tools": asked(tools=(TOOL,), tool_choice=ToolChoice(mode="required", names=("t",))),
    "no parallel calls": asked(tools=(TOOL,), tool_choice=ToolChoice(parallel=False)),
    "a tool's result": result(Text(text="r")),
    "a tool's result that is an error": result(Text(text="r"), is_error=True),
    "a tool's result with an image": result(Image(data=b"\x89PNG", media_type="image/png")),
    "thinking signed by Anthropic": thought("anthropic"),
    "thinking signed by OpenAI": thought("openai"),
    "thinking signed by Gemini": thought("gemini"),
    "text that goes on after a tool call": Chat(
        messages=(*CALLED[:1], assistant(*CALLED[1].content, "a"), *result(Text(text="r")).messages[2:]), tools=(TOOL,)
    ),
    "reasoning effort": asked(reasoning=Reasoning(effort="high")),
    "a reasoning budget in tokens": asked(reasoning=Reasoning(budget_tokens=1024), sampling=Sampling(max_tokens=4096)),
    "as much reasoning as the model likes": asked(reasoning=Reasoning(adaptive=True)),
    "no reasoning": asked(reasoning=Reasoning(effort="none")),
    "output by a JSON schema": asked(output=Output(schema=SCHEMA, name="o")),
    "… that OpenAI's strict mode does not take, as Gemini's clients write them": from_gemini(
        Output(schema={"type": "object", "properties": {"a": {"type": "string"}}}, strict=True)
    ),
    "… whose root is an array": from_gemini(Output(schema={"type": "array", "items": {"type": "string"}}, strict=True)),
    "output as any JSON object": asked(output=Output()),
    "a cache mark": asked(Text(text="q", cache=CacheMark())),
    "a cache mark for an hour": asked(Text(text="q", cache=CacheMark(ttl="1h"))),
    "a cache mark for the whole request (Anthropic's)": asked(
        extra={"cache_control": {"type": "ephemeral"}}, source=Source(protocol="anthropic", body=b"{}")
    ),
    "how long a prompt is cached (OpenAI's)": asked(
        extra={"prompt_cache_retention": "24h"}, source=Source(protocol="openai-chat", body=b"{}")
    ),
    "temperature": sampled(temperature=0.5),
    "top_p": sampled(top_p=0.5),
    "top_k": sampled(top_k=5),
    "stop sequences": sampled(stop=("x",)),
    "seed": sampled(seed=1),
    "several answers (`n`)": sampled(n=2),
    "logprobs": sampled(logprobs=2),
    "presence and frequency penalties": sampled(presence_penalty=0.5, frequency_penalty=0.5),
    "a label of the user": asked(user="u"),
    "a cache key": asked(cache_key="k"),
    "a service tier": asked(service_tier="auto"),
    "a server-side tool's block": Chat(
        messages=(user("q"), assistant(Opaque(provider="elsewhere", raw={"type": "x"})), user("r"))
    ),
    "a field that only the client's protocol has": asked(
        extra={"their_field": 1}, source=Source(protocol="x", body=b"{}")
    ),
}


def told(request: Chat, back: str) -> str:
    """`yes`, `400`, or how it is told to the client that it went another way."""
    signs, wire, family = BACKS[back]
    target = Target(model="m", provider=family, family=family, quirks=MOST if wire is anthropic else {})
    kept, notes = leave_out(request, signs, unsigned=False)
    kept, more = suited(kept, target, wire)
    notes += more + (NOTES[wire](kept, target) if wire in NOTES else ())
    try:
        body = wire.write(kept, target)
    except TrivetError:
        return "400"
    if notes and kept.output != request.output:
        return "not strict, with a note"
    if notes:
        return "left out, with a note"
    if reordered(kept, target, wire):
        return "in another order, with a note"
    return "nothing to say" if body == wire.write(asked(), target) and request != asked() else "yes"


def page() -> str:
    """The whole page."""
    lines = [
        "# What crosses from one protocol to another",
        "",
        "Made from the code by `python -m tests.translations`: each row was written for each provider. With the same",
        "protocol on both sides everything goes on as it is, fields included that trivet does not know.",
        "`400` is a refusal that names the field, before the provider is asked. `left out, with a note` says so in the",
        "`x-trivet-note` header and in `response.notes`, as do the other notes: `not strict` is a schema that is told",
        "and not held. `nothing to say` is what holds for the provider anyway.",
        "",
        "A client of OpenAI's chat completions is told the order of a turn, of thoughts between texts and calls, in",
        "the `id` of each of its `reasoning_details`. A turn that comes back without them is its text, then its calls.",
        "",
        f"| what | {' | '.join(BACKS)} |",
        f"|---|{'---|' * len(BACKS)}",
    ]
    lines += [f"| {name} | {' | '.join(told(request, b) for b in BACKS)} |" for name, request in FEATURES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
