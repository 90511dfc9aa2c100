"""A request as the JSON that llama.cpp takes. What the engine would pass over in silence is refused here.

The engine keeps prefixes by itself, so a cache mark asks for nothing more. Texts of one message are joined by a line
break, as the engine does. System messages in front become one: many templates look at the first alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from trivet.errors import RequestError, UnsupportedError
from trivet.local.llama.schema import grammar
from trivet.local.llama.tools import call_as_text, described, result_as_text, tool_fields
from trivet.types import (
    Chat,
    Complete,
    Conversation,
    Image,
    Message,
    Part,
    Request,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trivet.wire import carry

Json = dict[str, Any]

# These say nothing of the answer; the last asks for a cache, which the engine has anyway.
LABELS = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "cache_control"})
# The engine's own options, under the names that its clients use, and the type of each.
OPTIONS: Mapping[str, type | tuple[type, ...]] = {
    "min_p": (int, float),
    "repeat_penalty": (int, float),
    "logit_bias": dict,
    "ignore_eos": bool,
    "chat_template_kwargs": dict,
}
USUAL_TIERS = (None, "auto", "default", "standard", "standard_only")
# What clients call `reasoning`; the rest call it that.
REASONING = {
    "openai-chat": "reasoning_effort",
    "anthropic": "thinking",
    "anthropic-count": "thinking",
    "gemini": "generationConfig.thinkingConfig",
}
MOST_TOKENS = 2**31 - 1  # the engine's own integer; the context ends an answer long before
RANDOM_SEED = 0xFFFFFFFF  # to the engine, this one means: draw one


class Limits:
    """What a model can do, for the messages that refuse what it cannot; and the request's images as it reads them, by
    the `id` of their part."""

    def __init__(
        self,
        name: str,
        slots: int,
        caps: Mapping[str, bool],
        template: str | None,
        images: Mapping[int, str] | None = None,
        *,
        drafts: bool = False,
    ) -> None:
        self.name, self.slots, self.caps, self.images, self.drafts = name, slots, caps, images or {}, drafts
        self.keeps_thinking = "reasoning_content" in (template or "")


def conversation(request: Conversation, limits: Limits) -> Json:
    """Messages, tools and output: what decides the prompt, and the shape of the answer."""
    body: Json = _extras(request, limits.name)
    _refuse_thinking(request, limits.name)
    tools = tool_fields(request, limits.name, limits.caps)
    kwargs = {**body.pop("chat_template_kwargs", {}), **tools.pop("chat_template_kwargs", {})}
    body |= tools
    if kwargs:
        body["chat_template_kwargs"] = kwargs
    if request.output is not None:
        schema = request.output.schema
        body["grammar"] = grammar({"type": "object"} if schema is None else schema, "schema", limits.name)
    forced = "grammar" in tools
    tell = [described(request)] if forced and not limits.caps.get("supports_tools") else []
    body["messages"] = _messages(request.messages, tell, limits)
    return body


def _refuse_thinking(request: Conversation, name: str) -> None:
    """No embedded model is told how much to think. That it should not think at all, it can be told."""
    asked = request.reasoning
    if asked is None:
        return
    none = asked.effort in (None, "none") and not asked.budget_tokens and not asked.adaptive
    if none and asked.summary in (None, "omitted") and not asked.extra:
        return
    field = REASONING.get(request.source.protocol if request.source else "", "reasoning")
    raise UnsupportedError(f"{name} does not know {field!r}: leave it out, or name a model that thinks", field=field)


def chat(request: Chat, limits: Limits) -> Json:
    if request.service_tier not in USUAL_TIERS:
        tier = request.service_tier
        raise UnsupportedError(
            f"service_tier is {tier!r}, and {limits.name} runs on this machine: leave it out", field="service_tier"
        )
    return {**conversation(request, limits), **sampling(request.sampling, limits), **STREAM}


def complete(request: Complete, limits: Limits, tokens: Sequence[int] | None = None) -> Json:
    """`tokens` are the prompt where the request has a suffix as well."""
    body = _extras(request, limits.name)
    if "chat_template_kwargs" in body:
        raise UnsupportedError("a plain completion has no chat template", field="chat_template_kwargs")
    return {
        **body,
        "prompt": request.prompt if tokens is None else tokens,
        **sampling(request.sampling, limits),
        **STREAM,
    }


# `verbose` tells, at the end, which stop sequence it was; progress makes prefill one callback a batch, to cancel at.
STREAM: Json = {"stream_options": {"include_usage": True}, "verbose": True, "return_progress": True}


def sampling(s: Sampling, limits: Limits) -> Json:
    if s.n > limits.slots:
        raise UnsupportedError(
            f"n is {s.n}, and {limits.name} answers {limits.slots} at once: ask for fewer, or raise [local] slots",
            field="n",
        )
    if s.logprobs is not None and limits.drafts:
        raise UnsupportedError(
            f"{limits.name} has a [local] draft, and llama.cpp tells no probability of a token that was drafted: leave "
            "logprobs out, or the draft",
            field="logprobs",
        )
    fields: Json = {
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": s.top_k,
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        "max_tokens": None if s.max_tokens is None else min(s.max_tokens, MOST_TOKENS),
        "seed": None if s.seed is None else s.seed % RANDOM_SEED,
        "stop": list(s.stop) or None,
        "n": s.n if s.n > 1 else None,
    }
    if s.logprobs is not None:  # with 0 alternatives the engine reports nothing: ask for one, and leave it out again
        fields |= {"logprobs": True, "top_logprobs": max(1, s.logprobs), "n_probs": max(1, s.logprobs)}
    return {k: v for k, v in fields.items() if v is not None}


def _extras(request: Request, name: str) -> Json:
    """The request's own extra fields: options that the engine has, labels left out, anything else refused."""
    body: Json = {}
    for field, value in request.extra.items():
        kind = OPTIONS.get(field)
        if kind is not None:
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise RequestError(f"{field} is of the wrong type, got {value!r}", field=field)
            body[field] = value
        elif field not in LABELS:
            raise UnsupportedError(f"{name} does not know {field!r}: leave it out, or name another model", field=field)
    return body


def refuse_extras(request: Request, name: str) -> None:
    """For tasks that have none of the engine's options."""
    for field in request.extra.keys() - LABELS:
        raise UnsupportedError(f"{name} does not know {field!r}: leave it out, or name another model", field=field)


# --- messages ----------------------------------------------------------------------------------------------


def _messages(messages: Sequence[Message], tell: list[str], limits: Limits) -> list[Json]:
    if not messages:
        raise RequestError("messages is empty: say something", field="messages")
    names = {c.id: c.name for m in messages for c in m.tool_calls}
    systems: list[str] = list(tell)
    out: list[Json] = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        for field in [*(["name"] if message.name is not None else []), *message.extra]:
            raise UnsupportedError(f"{limits.name} does not know {where}.{field}", field=f"{where}.{field}")
        for part in message.content:
            _known(part, where, limits.name)
        role = "system" if message.role == "developer" else message.role
        if role == "system" and any(isinstance(p, Image) for p in message.content):
            raise UnsupportedError(
                f"{limits.name} takes no image in a system message, which {where} is: put it into a user's message",
                field=f"{where}.content",
            )
        if role == "system" and not out:
            systems.append(_text(message.content, where, limits.name))
        elif role == "assistant":
            out.append(_assistant(message.content, where, limits))
        else:
            out += _results_and_text(role, message.content, where, names, limits)
    return [{"role": "system", "content": "\n\n".join(systems)}, *out] if systems else out


def _assistant(parts: Sequence[Part], where: str, limits: Limits) -> Json:
    thinking = [p for p in parts if isinstance(p, Thinking)]
    calls = [p for p in parts if isinstance(p, ToolCall)]
    rest = [p for p in parts if not isinstance(p, Thinking | ToolCall)]
    native = bool(limits.caps.get("supports_tool_calls"))
    pieces = _pieces(rest, where, limits)
    if not native:
        pieces += [call_as_text(c) for c in calls]
    message: Json = {"role": "assistant", "content": _content(pieces)}
    if calls and native:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
    if thinking:
        if not limits.keeps_thinking or any(t.signature or t.redacted for t in thinking):
            raise UnsupportedError(f"{limits.name} has no place for the thinking in {where}", field=f"{where}.content")
        message["reasoning_content"] = "".join(t.text for t in thinking)
    return message


def _results_and_text(
    role: str, parts: Sequence[Part], where: str, names: Mapping[str, str], limits: Limits
) -> list[Json]:
    """A user's message: results of tools each become a message where the template knows them, and text where not."""
    out: list[Json] = []
    pieces: list[str | Json] = []
    native = bool(limits.caps.get("supports_tool_calls"))
    rest = [p for p in parts if not isinstance(p, ToolResult)]
    for part in parts:
        if not isinstance(part, ToolResult):
            continue
        if part.call_id not in names:
            raise RequestError(f"{where}: no tool call before it has the id {part.call_id!r}", field=where)
        told = _pieces(part.content, where, limits)
        if native:
            content = _content(_after("Error: ", told) if part.is_error else told)
            out.append({"role": "tool", "tool_call_id": part.call_id, "name": names[part.call_id], "content": content})
        else:
            pieces += _after(result_as_text(part, names[part.call_id], ""), told)
    pieces += _pieces(rest, where, limits)
    if pieces or not parts:
        out.append({"role": role, "content": _content(pieces)})
    return out


def _pieces(parts: Sequence[Any], where: str, limits: Limits) -> list[str | Json]:
    """Texts, and images as the engine takes them."""
    out: list[str | Json] = []
    for part in parts:
        if isinstance(part, Image) and id(part) in limits.images:
            _known(part, where, limits.name)
            out.append({"type": "image_url", "image_url": {"url": limits.images[id(part)]}})
        else:
            out.append(_text([part], where, limits.name))
    return out


def _after(label: str, pieces: Sequence[str | Json]) -> list[str | Json]:
    first, *rest = pieces or [""]
    return [label + first, *rest] if isinstance(first, str) else [label, first, *rest]


def _content(pieces: Sequence[str | Json]) -> str | list[Json]:
    """A message's content. Between a text and an image the engine puts nothing, as templates that know images do."""
    out: list[Json] = []
    for kind, same in groupby(pieces, type):
        if kind is str:
            out.append({"type": "text", "text": "\n".join(same)})  # type: ignore[arg-type]
        else:
            out.extend(same)  # type: ignore[arg-type]
    if not out:
        return ""
    return str(out[0]["text"]) if len(out) == 1 and "text" in out[0] else out


def _text(parts: Sequence[Any], where: str, name: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, Text):
            kind = type(part).__name__.lower()
            raise UnsupportedError(
                f"{name} does not read a part of kind {kind}, which {where} has: name a model that takes it",
                field=f"{where}.content",
            )
        _known(part, where, name)
        texts.append(part.text)
    return "\n".join(texts)


def _known(part: Part, where: str, name: str) -> None:
    for field in part.extra.keys() - carry.LABELS:
        raise UnsupportedError(f"{name} does not know {field!r} in {where}", field=f"{where}.content")
