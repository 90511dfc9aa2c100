"""What a client of each protocol puts into its history of an answer that it got, whole or as a stream, and sends with
its next turn: as the protocol's guide says to, and untouched."""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.types import Chat, ChatResponse, Done, Message, Start, Text, WholePart
from trivet.wire import Incoming, anthropic, gemini, openai_chat, openai_responses, sse
from trivet.wire.deltas import deltas

Json = dict[str, Any]
WIRES: dict[str, Any] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "gemini": gemini,
}
QUESTION = Chat(model="m", messages=(Message(role="user", content=(Text(text="q"),)),))


def kept(front: str, response: ChatResponse, stream: bool) -> list[Json]:
    """The messages, items or contents that the answer becomes."""
    if not stream:
        body = msgspec.json.decode(WIRES[front].Renderer(Incoming(request=QUESTION)).whole(response))
        return _WHOLE[front](body)
    return _STREAMED[front](_told(front, response))


def _told(front: str, response: ChatResponse) -> list[Json]:
    """The data of each of a stream's events, part after part."""
    renderer, parser = WIRES[front].Renderer(Incoming(request=QUESTION, stream=True)), sse.Parser()
    parts: list[Any] = [*deltas(response)]
    for n, part in enumerate(response.message.content):
        if part.__struct_config__.tag in ("image", "opaque"):
            parts.append(WholePart(value=part, part=n))
    events = [Start(model="m", id="1"), *sorted(parts, key=lambda p: p.part), Done(response=response)]
    sent = b"".join(renderer.event(event) for event in events)
    return [msgspec.json.decode(one.data) for one in parser.feed(sent) if one.data != b"[DONE]"]


def _chat_message(chunks: list[Json]) -> list[Json]:
    message: Json = {"role": "assistant", "content": None}
    calls: dict[int, Json] = {}
    for delta in (c["choices"][0]["delta"] for c in chunks if c["choices"]):
        for name in ("content", "refusal", "reasoning_content"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for name in ("annotations", "reasoning_details"):
            if delta.get(name):
                message[name] = [*message.get(name, ()), *delta[name]]
        for piece in delta.get("tool_calls") or ():
            call = calls.setdefault(piece["index"], {"function": {"arguments": ""}})
            function = piece.get("function") or {}
            call |= {k: v for k, v in piece.items() if k not in ("index", "function")}
            call["function"] |= {k: v for k, v in function.items() if k != "arguments"}
            call["function"]["arguments"] += function.get("arguments") or ""
            if call.get("type") == "custom":
                call.pop("function")
    return [message | ({"tool_calls": list(calls.values())} if calls else {})]


def _anthropic_message(events: list[Json]) -> list[Json]:
    blocks: list[Json] = []
    grows = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"] | {"json": ""})
        delta = event.get("delta") or {}
        if (name := grows.get(delta.get("type", ""))) is not None:
            blocks[-1][name] = blocks[-1].get(name, "") + delta[name]
        if delta.get("type") == "input_json_delta":
            blocks[-1]["json"] += delta["partial_json"]
    for block in blocks:
        if text := block.pop("json"):
            block["input"] = msgspec.json.decode(text)
    return [{"role": "assistant", "content": blocks}]


_WHOLE: dict[str, Any] = {
    "anthropic": lambda body: [{"role": "assistant", "content": body["content"]}],
    "openai_chat": lambda body: [body["choices"][0]["message"]],
    "openai_responses": lambda body: body["output"],
    "gemini": lambda body: [body["candidates"][0]["content"]],
}
_STREAMED: dict[str, Any] = {
    "anthropic": _anthropic_message,
    "openai_chat": _chat_message,
    "openai_responses": lambda events: events[-1]["response"]["output"],
    "gemini": lambda chunks: [
        {"role": "model", "parts": [p for c in chunks for p in c["candidates"][0].get("content", {}).get("parts", ())]}
    ],
}
