"""A request as OpenAI's Responses takes it. What may be said in which words is in `terms`.

Nothing is stored, and reasoning comes encrypted, to be sent back with the next turn; what a client wrote in this
protocol keeps its own word on both. A system prompt in front is the `instructions`, where it is one plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.types import Chat, Message, Output, Reasoning, Sampling, Text, Tool, ToolChoice
from trivet.wire import Target
from trivet.wire.ids import fitting
from trivet.wire.openai import kind_of
from trivet.wire.openai_responses.input_out import write_input
from trivet.wire.openai_responses.items_in import PROVIDER
from trivet.wire.openai_responses.request_in import ENCRYPTED, LOGPROBS
from trivet.wire.openai_responses.terms import Terms
from trivet.wire.openai_terms import merged

Json = dict[str, Any]
# Of the fields that OpenAI's chat completions have and `Chat` has not, those that are here too, and where.
_FROM_CHAT: Mapping[str, tuple[str, ...]] = {
    "metadata": ("metadata",),
    "moderation": ("moderation",),
    "prompt_cache_options": ("prompt_cache_options",),
    "prompt_cache_retention": ("prompt_cache_retention",),
    "store": ("store",),
    "verbosity": ("text", "verbosity"),
}
_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
# Models that do not reason, all of them older ones. They refuse to be asked for encrypted reasoning.
_NO_REASONING = re.compile(r"(ft:)?(gpt-[34]|chatgpt-)|.*-chat")


def write(request: Chat, target: Target) -> Json:
    """The JSON object to send. Raises `UnsupportedError` naming the field that cannot be carried."""
    terms = Terms(request, target)
    front, messages = _instructions(request.messages, terms)
    extra, known = _counterparts(request)
    choice = None if "tool_choice" in extra else request.tool_choice
    others = extra.pop("tools", []) if not terms.foreign else []
    body: Json = {
        "model": target.model,
        **front,
        "input": write_input(messages, terms),
        **_tools(request.tools, others, terms),
        **_tool_choice(choice, request, terms),
        **_output(request.output, terms),
        **_reasoning(request.reasoning, terms),
        **_sampling(request.sampling, terms),
        **_labels(request, terms),
        **({} if terms.own else {"store": False}),
    }
    include = _include(request, extra.pop("include", []) if not terms.foreign else [], terms)
    body = terms.merge(merged(body, {**include, **known}), extra)
    return {**body, "stream": True} if target.stream else body


def told(own: Mapping[str, Any], target: Target) -> Json:
    """What a client's own body says differently: the model, and streaming. `UNSET` is a field that does not go out."""
    fields: Json = {"model": target.model}
    if "stream" in own or target.stream:
        fields["stream"] = target.stream
    if "stream_options" in own and not target.stream:
        fields["stream_options"] = msgspec.UNSET
    return fields


# --- the prompt's other parts ------------------------------------------------------------------------------


def _instructions(messages: tuple[Message, ...], terms: Terms) -> tuple[Json, tuple[Message, ...]]:
    """The instructions, and the messages without them. A client of this protocol has said itself which it wants."""
    first = messages[0] if messages else None
    if first is None or first.role != "system" or first.name is not None or first.extra:
        return {}, messages
    if len(first.content) != 1 or not (terms.said("instructions") if terms.own else messages[1:]):
        return {}, messages  # with instructions alone there would be no input
    (text,) = first.content
    if not isinstance(text, Text) or not text.text or text.cache is not None or text.extra or text.citations:
        return {}, messages
    return {"instructions": text.text}, messages[1:]


def _tools(tools: tuple[Tool, ...], others: list[Json], terms: Terms) -> Json:
    """The functions, and between them the provider's own tools, where the client had them."""
    written = [_tool(tool, f"tools[{i}]", terms) for i, tool in enumerate(tools)]
    own = terms.said("tools") or []
    places = [i for i, tool in enumerate(own) if tool.get("type") not in ("function", "custom")] if others else []
    for i, other in enumerate(others):
        written.insert(places[i] if i < len(places) else len(written), other)
    return {"tools": written} if written else {}


def _tool(tool: Tool, where: str, terms: Terms) -> Json:
    """Functions are strict here unless they say otherwise, and elsewhere they are not."""
    terms.no_cache(tool.cache, where)
    about = {} if tool.description is None else {"description": tool.description}
    if tool.extra.get("type") == "custom":
        if terms.foreign:
            raise terms.refuse("custom tool of another protocol", f"{where}.type", "make a function of it")
        return merged({"type": "custom", "name": tool.name, **about}, tool.extra)
    strict = tool.strict if tool.strict is not None or terms.own else False
    function: Json = {"type": "function", "name": tool.name, **about, "parameters": tool.parameters}
    if tool.result is not None:
        function["output_schema"] = tool.result
    return terms.merge(function if strict is None else {**function, "strict": strict}, tool.extra, where)


def _tool_choice(choice: ToolChoice | None, request: Chat, terms: Terms) -> Json:
    """A choice of a provider's own tool, or among some that are, stands in `extra`; whether calls are parallel never
    does."""
    parallel = request.tool_choice.parallel if request.tool_choice is not None else None
    body: Json = {} if parallel is None else {"parallel_tool_calls": parallel}
    if choice is None or (choice.mode == "auto" and terms.own and "tool_choice" not in terms.body):
        return body
    if choice.mode in ("auto", "none") and not request.tools and not terms.own:
        return body  # without tools, these two say what holds anyway
    if choice.names:
        tools = [{"type": kind_of(name, request.tools), "name": name} for name in choice.names]
        return {"tool_choice": {"type": "allowed_tools", "mode": choice.mode, "tools": tools}, **body}
    if choice.mode != "named":
        return {"tool_choice": choice.mode, **body}
    return {"tool_choice": {"type": kind_of(choice.name, request.tools), "name": choice.name}, **body}


def _output(output: Output | None, terms: Terms) -> Json:
    if output is None:
        return {}
    if output.schema is None:
        return {"text": {"format": {"type": "json_object"}}}
    terms.check_root(output.schema)
    about = {} if output.description is None else {"description": output.description}
    strict = {} if output.strict is None else {"strict": output.strict}
    form = {"type": "json_schema", "name": output.name or "answer", **about, "schema": output.schema, **strict}
    return {"text": {"format": form}}


# --- how it answers ----------------------------------------------------------------------------------------


def _reasoning(reasoning: Reasoning | None, terms: Terms) -> Json:
    """A budget of nothing is the effort `none`, and as much as the model likes is what holds anyway; another budget has
    no counterpart. A summary is told only where it is asked for."""
    if reasoning is None:
        return {}
    effort, budget, summary = reasoning.effort, reasoning.budget_tokens, reasoning.summary
    if budget == 0 and effort is None:
        effort, budget = "none", None
    if budget is not None:
        raise terms.refuse("budget of tokens for reasoning", "budget_tokens", "ask for an effort")
    told: Json = {"effort": effort, "summary": None if summary == "omitted" else summary}
    told = terms.merge({k: v for k, v in told.items() if v is not None}, reasoning.extra, "reasoning")
    return {"reasoning": told} if told else {}


def _sampling(s: Sampling, terms: Terms) -> Json:
    absent = {
        "top_k": s.top_k,
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        "seed": s.seed,
        "stop": s.stop or None,
        "n": s.n if s.n > 1 else None,
    }
    for name, value in absent.items():
        if value is not None:
            raise terms.refuse(name, name)
    fields = {
        "max_output_tokens": s.max_tokens,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_logprobs": s.logprobs or None,
    }
    return {k: v for k, v in fields.items() if v is not None}


def _include(request: Chat, others: list[str], terms: Terms) -> Json:
    """What the answer is to have beyond the usual. The client's own list is said in its own order."""
    ours = [ENCRYPTED] if _encrypted(terms) else []
    if request.sampling.logprobs is not None:
        ours.append(LOGPROBS)
    order = terms.said("include") or []
    include = sorted([*ours, *others], key=lambda name: order.index(name) if name in order else len(order))
    return {"include": include} if include else {}


def _encrypted(terms: Terms) -> bool:
    """Whether reasoning is asked for in the form that can be sent back."""
    if terms.own:
        return ENCRYPTED in (terms.said("include") or ())
    return bool(terms.target.quirks.get("encrypted_reasoning", True)) and not _NO_REASONING.match(terms.target.model)


def _labels(request: Chat, terms: Terms) -> Json:
    tier = request.service_tier
    if tier is not None and terms.foreign and tier not in _TIERS:
        raise terms.refuse(f"service tier {tier!r}", "service_tier")
    fields = {**_user(request, terms), "prompt_cache_key": request.cache_key, "service_tier": tier}
    return {k: v for k, v in fields.items() if v is not None}


def _user(request: Chat, terms: Terms) -> Json:
    """Who asks, under the name that the client has for it. OpenAI takes 64 characters, and asks for a hash of what may
    be longer."""
    user = request.user
    if user is None:
        return {}
    if terms.own:
        return {"user" if terms.said("safety_identifier") is None and terms.said("user") else "safety_identifier": user}
    return {"safety_identifier": fitting(user, r"(?s:.{1,64})", prefix="user_") if terms.family == PROVIDER else user}


def _counterparts(request: Chat) -> tuple[Json, Json]:
    """The request's `extra` without what has a name here too, and that by its name here."""
    extra = dict(request.extra)
    known: Json = {}
    if request.source is None or request.source.protocol != "openai-chat":
        return extra, {}
    for name, path in _FROM_CHAT.items():
        if name in extra:
            value = extra.pop(name)
            known = merged(known, {path[0]: {path[1]: value} if len(path) > 1 else value})
    return extra, known
