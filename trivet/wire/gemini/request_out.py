"""A request as generateContent wants it. The same request is the same JSON, to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.errors import UnsupportedError
from trivet.types import Chat, Conversation, Output, Reasoning, Sampling, Tool, ToolChoice
from trivet.wire import Target
from trivet.wire.gemini.contents_out import foreign, marked, refuse, write_contents
from trivet.wire.gemini.request_in import LEVELS

Json = dict[str, Any]

# What other protocols call a field that Gemini has too.
COUNTERPARTS = {"metadata": "labels"}
_TIERS = {"auto": None, "default": None, "standard_only": "standard"}
_OWN_TIERS = ("standard", "flex", "priority")
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
# Models before Gemini 3 know no levels; Google's page on OpenAI compatibility gives them these budgets.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_BUDGETED = ("gemini-2.5", "gemini-2.0", "gemini-1")
_NO_PARAMETERS = {"type": "object", "properties": {}}


def write(request: Chat, target: Target) -> Json:
    """The JSON object to send. Raises `UnsupportedError` naming the field that cannot be carried."""
    body = write_conversation(request, target, _sampling(request.sampling))
    tier = _tier(request)
    return body | ({"serviceTier": tier} if tier is not None else {})


def told(own: Mapping[str, Any], target: Target) -> Json:
    """The model and whether to stream are in the path; a body may name the model too."""
    return {"model": f"models/{target.model}"} if "model" in own else {}


def notes(request: Conversation) -> tuple[str, ...]:
    """What `write` leaves out because it asks nothing of the answer."""
    out = []
    if marked(request):
        out.append("cache marks left out for gemini, which keeps prefixes by itself")
    if isinstance(request, Chat) and (request.user is not None or request.cache_key is not None):
        out.append("labels left out for gemini, which has none for a user or a cache")
    return tuple(out)


def write_conversation(request: Conversation, target: Target, config: Json) -> Json:
    """All but what only a chat has; `config` is the beginning of its `generationConfig`."""
    extra = _extra(request)
    body = write_contents(request)
    tools = [_tool(tool, i, foreign(request)) for i, tool in enumerate(request.tools)]
    listed = [*([{"functionDeclarations": tools}] if tools else []), *extra.pop("tools", [])]
    if listed:
        body["tools"] = listed
    if choice := _merged(_tool_config(request.tool_choice, request.tools), extra.pop("toolConfig", {})):
        body["toolConfig"] = choice
    config |= _output(request.output)
    if request.reasoning is not None and (thinking := _thinking(request.reasoning, request, target)):
        config["thinkingConfig"] = thinking
    if config := _merged(config, extra.pop("generationConfig", {})):
        body["generationConfig"] = config
    return body | extra


def _extra(request: Conversation) -> Json:
    if not foreign(request):
        return dict(request.extra)
    out: Json = {}
    for name, value in request.extra.items():
        if (
            name not in COUNTERPARTS
            or not isinstance(value, dict)
            or any(not isinstance(v, str) for v in value.values())
        ):
            raise refuse(name)
        out[COUNTERPARTS[name]] = value
    return out


def _merged(ours: Json, theirs: Mapping[str, Any]) -> Json:
    """Ours, with what is only theirs, objects field by field."""
    out = dict(ours)
    for name, value in theirs.items():
        inner = out.get(name)
        out[name] = (
            _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else out.get(name, value)
        )
    return out


def _sampling(s: Sampling) -> Json:
    fields: Json = {
        "temperature": s.temperature,
        "topP": s.top_p,
        "topK": s.top_k,
        "candidateCount": s.n if s.n > 1 else None,
        "maxOutputTokens": s.max_tokens,
        "stopSequences": list(s.stop) or None,
        "seed": s.seed,
        "presencePenalty": s.presence_penalty,
        "frequencyPenalty": s.frequency_penalty,
        "responseLogprobs": True if s.logprobs is not None else None,
        "logprobs": s.logprobs or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _output(output: Output | None) -> Json:
    """A name and a description, which OpenAI has for the schema, become its title and description."""
    if output is None:
        return {}
    if output.schema is None:
        return {"responseMimeType": "application/json"}
    said = {"title": output.name, "description": output.description}
    schema = {name: text for name, text in said.items() if text is not None} | dict(output.schema)
    return {"responseMimeType": "application/json", "responseJsonSchema": schema}


def _tier(request: Chat) -> str | None:
    tier = request.service_tier
    if tier is None or not foreign(request):
        return tier
    tier = _TIERS.get(tier, tier)
    if tier is not None and tier not in _OWN_TIERS:
        raise UnsupportedError(
            f"service_tier is {tier!r}, and Gemini has {', '.join(_OWN_TIERS)}: name one of those, or leave it out",
            field="service_tier",
        )
    return tier


# --- tools -----------------------------------------------------------------------------------------------------


def _tool(tool: Tool, index: int, from_elsewhere: bool) -> Json:
    if from_elsewhere and tool.extra:
        raise refuse(f"tools[{index}].{next(iter(tool.extra))}")
    described = {} if tool.description is None else {"description": tool.description}
    parameters = {} if tool.parameters == _NO_PARAMETERS else {"parametersJsonSchema": dict(tool.parameters)}
    result = {} if tool.result is None else {"responseJsonSchema": dict(tool.result)}
    return {"name": tool.name} | described | parameters | result | dict(tool.extra)


def _tool_config(choice: ToolChoice | None, tools: tuple[Tool, ...]) -> Json:
    """Where a tool is strict, so that its schema must hold, `VALIDATED` says so; `ANY` holds schemas anyway.
    With `AUTO`, Google takes no names of the functions that may be called, and with `VALIDATED` it does."""
    strict = any(tool.strict for tool in tools)
    if choice is None and not strict:
        return {}
    mode = "AUTO" if choice is None else _MODES[choice.mode]
    names = () if choice is None else choice.names if choice.name is None else (choice.name,)
    calling: Json = {"mode": "VALIDATED" if mode == "AUTO" and (strict or names) else mode}
    if names:
        calling["allowedFunctionNames"] = list(names)
    if choice is not None and choice.parallel is False:
        raise UnsupportedError(
            "the request wants no calls side by side, which Gemini cannot promise: leave that out",
            field="tool_choice.parallel",
        )
    return {"functionCallingConfig": calling}


# --- thinking --------------------------------------------------------------------------------------------------


def _thinking(asked: Reasoning, request: Conversation, target: Target) -> Json:
    own = not foreign(request)
    out: Json = {}
    shown = None if asked.summary is None else asked.summary != "omitted"
    if request.source is not None and request.source.protocol.startswith("anthropic") and shown is None:
        shown = bool(asked.budget_tokens or asked.adaptive) or None  # it tells thoughts unless told not to
    if shown is not None:
        out["includeThoughts"] = shown
    budget, effort = asked.budget_tokens, asked.effort
    if budget is None and asked.adaptive and effort is None:
        budget = -1
    if effort == "none" and budget is None:
        budget, effort = 0, None
    if budget is None and effort in _BUDGETS and target.model.startswith(_BUDGETED):
        budget, effort = _BUDGETS[effort], None
    if effort is not None and budget is not None and not own:
        raise UnsupportedError(
            "the request has both an effort and a budget for thinking, and Gemini takes one: leave one out",
            field="reasoning.effort",
        )
    if budget is not None:
        out["thinkingBudget"] = budget
    if effort is not None:
        if effort.upper() not in LEVELS:
            raise UnsupportedError(
                f"the effort {effort!r} has no counterpart in Gemini's protocol: ask for minimal, low, medium, high "
                "or xhigh",
                field="reasoning.effort",
            )
        out["thinkingLevel"] = effort.upper()
    if not own and asked.extra:
        raise refuse(f"reasoning.{next(iter(asked.extra))}")
    return out | dict(asked.extra)
