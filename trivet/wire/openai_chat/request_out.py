"""A request as a host of this protocol takes it. What the host takes, and what not, is in `terms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.types import Chat, Output, Reasoning, Sampling, Tool, ToolChoice
from trivet.wire import Target
from trivet.wire.openai import kind_of, told_streaming, write_streaming
from trivet.wire.openai_chat.messages_out import write_messages
from trivet.wire.openai_chat.order import is_place
from trivet.wire.openai_chat.terms import PROVIDER, Terms
from trivet.wire.openai_terms import merged

Json = dict[str, Any]

_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
# Fields that other protocols have as well, by the client's protocol: where they stand there, and here.
_COUNTERPARTS: Mapping[str, Mapping[tuple[str, ...], str]] = {
    "openai-responses": {
        ("metadata",): "metadata",
        ("moderation",): "moderation",
        ("prompt_cache_options",): "prompt_cache_options",
        ("prompt_cache_retention",): "prompt_cache_retention",
        ("safety_identifier",): "safety_identifier",
        ("store",): "store",
        ("text", "verbosity"): "verbosity",
    },
}


def write(request: Chat, target: Target) -> Json:
    """The JSON object to send. Raises `UnsupportedError` naming what the host cannot be told."""
    terms = Terms(request, target)
    body: Json = {"model": target.model, "messages": write_messages(request.messages, terms)}
    if request.tools:
        terms.need("tools")
        body["tools"] = [_tool(t, i, terms) for i, t in enumerate(request.tools)]
    body |= _tool_choice(request.tool_choice, request.tools, terms)
    body |= _output(request.output, terms)
    body |= _sampling(request.sampling, terms)
    body |= _reasoning(request.reasoning, terms)
    body |= _labels(request, terms)
    for name in body:
        terms.need(name)
    extra, known = _counterparts(request)
    body = terms.merge(merged(body, known), extra)
    if isinstance(body.get("response_format"), dict):
        body["response_format"] = {"type": "text", **body["response_format"]}
    return merged(body, write_streaming(target, body.get("stream_options")))


def told(own: Mapping[str, Any], target: Target) -> Json:
    """What a client's own body says differently to this host: the model, streaming, and what `terms` lists as quirks
    of names. `UNSET` is a field that does not go out."""
    fields: Json = {"model": target.model, **told_streaming(own, target)}
    for ours, quirk in (("max_completion_tokens", "max_tokens"), ("seed", "seed")):
        theirs = target.quirks.get(quirk, ours)
        if theirs != ours and ours in own:
            fields[ours] = msgspec.UNSET
            if bytes(own[ours]) != b"null":  # which says nothing, and must not go over what another field says
                fields[theirs] = own[ours]
    if "messages" in own:
        messages = msgspec.json.encode(own["messages"])
        renamed = "tool_call_id" in target.quirks or not target.quirks.get("developer_role", True)
        if renamed or b'"trivet:' in messages:
            fields |= _messages_told(messages, target)
    return fields


# --- a client's own messages, to a host with other names ---------------------------------------------------


def _messages_told(messages: bytes, target: Target) -> Json:
    """The same, with the roles and the ids that the host takes, and without the places that are ours alone; nothing
    where there is none of it."""
    if not any(word in messages for word in (b'"developer"', b'"tool_call_id"', b'"tool_calls"')):
        return {}
    terms = Terms(Chat(messages=()), target)
    out: list[Json] = msgspec.json.decode(messages, type=list[dict[str, Any]])
    for message in out:
        if message.get("role") == "developer" and not target.quirks.get("developer_role", True):
            message["role"] = "system"
        if isinstance(message.get("tool_call_id"), str):
            message["tool_call_id"] = terms.call_id(message["tool_call_id"])
        for call in message.get("tool_calls") or ():
            if isinstance(call.get("id"), str):
                call["id"] = terms.call_id(call["id"])
        _without_places(message)
    return {"messages": out}


def _without_places(message: Json) -> None:
    """Takes out the details that say where text goes on after a call, and nothing else."""
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return
    kept = [d for d in details if not is_place(d)]
    if not kept:
        del message["reasoning_details"]
    elif len(kept) < len(details):
        message["reasoning_details"] = kept


# --- the request's other fields ----------------------------------------------------------------------------


def _tool(tool: Tool, i: int, terms: Terms) -> Json:
    where = f"tools[{i}]"
    mark = terms.cache(tool.cache, where) if terms.controls else {}
    if not mark:
        terms.no_cache(tool.cache, where)
    about = {} if tool.description is None else {"description": tool.description}
    if tool.extra.get("type") == "custom":
        terms.need("custom", where)
        return merged({"type": "custom", "custom": {"name": tool.name, **about}, **mark}, _custom(tool))
    function: Json = {"name": tool.name, **about, "parameters": tool.parameters}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return terms.merge({"type": "function", "function": function, **mark}, tool.extra, where)


def _custom(tool: Tool) -> Json:
    """What a custom tool has beyond its name; responses say it without an object around it."""
    left = {k: v for k, v in tool.extra.items() if k != "type"}
    form = left.pop("format", None)
    if not isinstance(form, dict):
        return left
    if form.get("type") == "grammar" and "grammar" not in form:
        form = {"type": "grammar", "grammar": {k: v for k, v in form.items() if k != "type"}}
    return merged({"custom": {"format": form}}, left)


def _tool_choice(choice: ToolChoice | None, tools: tuple[Tool, ...], terms: Terms) -> Json:
    if choice is None or (not tools and not terms.own and choice.mode in ("auto", "none")):
        return {}  # without tools, these two say what holds anyway
    body: Json = {"tool_choice": choice.mode}
    if choice.mode == "named":
        kind = kind_of(choice.name, tools)
        body = {"tool_choice": {"type": kind, kind: {"name": choice.name}}}
    if choice.names:
        if terms.target.family != PROVIDER and not terms.own:
            raise terms.refuse("choice among some of the tools", "tool_choice.names", "send only those tools")
        kinds = [(kind_of(name, tools), name) for name in choice.names]
        allowed = {"mode": choice.mode, "tools": [{"type": kind, kind: {"name": name}} for kind, name in kinds]}
        body = {"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    return body


def _output(output: Output | None, terms: Terms) -> Json:
    if output is None:
        return {}
    if output.schema is None:
        if not terms.quirks.get("json_object", True) and not terms.own:
            raise terms.refuse("JSON mode", "response_format")
        return {"response_format": {"type": "json_object"}}
    if not terms.quirks.get("json_schema", True) and not terms.own:
        raise terms.refuse("JSON schemas", "response_format", "name a model that holds them")
    terms.check_root(output.schema)
    inner: Json = {"name": output.name or "answer"}
    if output.description is not None:
        inner["description"] = output.description
    inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def _sampling(s: Sampling, terms: Terms) -> Json:
    if s.top_k is not None and terms.target.family == PROVIDER and not terms.own:
        raise terms.refuse("top_k", "top_k")
    fields: Json = {
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": -1 if s.top_k == 0 else s.top_k,  # all of them
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        terms.quirks.get("seed", "seed"): s.seed,
        "stop": list(s.stop) or None,
        terms.quirks.get("max_tokens", "max_completion_tokens"): s.max_tokens,
        "n": s.n if s.n > 1 else None,
        "logprobs": None if s.logprobs is None else True,
        "top_logprobs": s.logprobs or None,
    }
    return {k: v for k, v in fields.items() if v is not None}


def _reasoning(reasoning: Reasoning | None, terms: Terms) -> Json:
    """An effort. A budget of nothing is the effort `none`, and as much as the model likes is what holds anyway; any
    other budget is only for hosts that have an object `reasoning`."""
    if reasoning is None:
        return {}
    effort, budget, summary = reasoning.effort, reasoning.budget_tokens, reasoning.summary
    if terms.quirks.get("reasoning"):
        told: Json = {"effort": effort, "max_tokens": budget, "exclude": True if summary == "omitted" else None}
        told = terms.merge({k: v for k, v in told.items() if v is not None}, reasoning.extra, "reasoning")
        return {"reasoning": told or {"enabled": True}}
    if reasoning.extra:
        raise terms.refuse(f"{next(iter(reasoning.extra))!r} of reasoning", next(iter(reasoning.extra)))
    if budget == 0 and effort is None:
        effort, budget = "none", None
    if budget is not None:
        raise terms.refuse("budget of tokens for reasoning", "budget_tokens", "ask for an effort")
    if summary not in (None, "omitted") and terms.target.family == PROVIDER:
        raise terms.refuse("summaries of reasoning", "summary", "leave it out, or ask over responses")
    if summary == "omitted" and terms.quirks.get("reasoning_content"):
        raise terms.refuse("wish to omit its thoughts", "summary")
    return {} if effort is None else {"reasoning_effort": effort}


def _labels(request: Chat, terms: Terms) -> Json:
    tier = request.service_tier
    if tier is not None and terms.foreign and tier not in _TIERS:
        raise terms.refuse(f"service tier {tier!r}", "service_tier")
    fields = {_user_name(request, terms): request.user, "prompt_cache_key": request.cache_key, "service_tier": tier}
    return {k: v for k, v in fields.items() if v is not None}


def _user_name(request: Chat, terms: Terms) -> str:
    """The name under which the client has told who asks: it has two."""
    if request.source is None or not terms.own:
        return "user"
    own = msgspec.json.decode(request.source.body, type=dict[str, msgspec.Raw])
    return "safety_identifier" if "safety_identifier" in own and "user" not in own else "user"


def _counterparts(request: Chat) -> tuple[Json, Json]:
    """The request's `extra` without what has a name here too, and that by its name here."""
    extra = dict(request.extra)
    known: Json = {}
    table = _COUNTERPARTS.get(request.source.protocol, {}) if request.source else {}
    for path, name in table.items():
        value = extra.get(path[0])
        if len(path) == 1 and value is not None:
            known[name] = extra.pop(path[0])
        elif len(path) == 2 and isinstance(value, dict) and path[1] in value:
            known[name] = value[path[1]]
            left = {k: v for k, v in value.items() if k != path[1]}
            extra = {**extra, path[0]: left} if left else {k: v for k, v in extra.items() if k != path[0]}
    return extra, known
