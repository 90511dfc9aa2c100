"""Gemini's generateContent, as a server: a client's request read.

Read in full: every field of the protocol is a field of `Chat`, stands in `extra` for a model that knows it, or is
refused here. The model and whether to stream are in the request's path, not in its body: `front` brings them.
"""

from __future__ import annotations

from typing import Any

from trivet.errors import RequestError
from trivet.types import Chat, Output, Reasoning, Sampling, Source, Tool, ToolChoice, replace
from trivet.wire import Incoming
from trivet.wire.fields import Fields
from trivet.wire.gemini.contents_in import read_contents
from trivet.wire.gemini.proto import ProtoFields, canonical, read_body
from trivet.wire.gemini.schemas import json_schema
from trivet.wire.sampling import bounded

__all__ = ["PROTOCOL", "parse", "read_conversation"]

PROTOCOL = "gemini"
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
    "stop": "stopSequences",
    "max_tokens": "maxOutputTokens",
    "logprobs": "logprobs",
    "n": "candidateCount",
}


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Chat`. Raises `RequestError` with the path of the field at fault."""
    data = read_body(body)
    config = data.object("generationConfig") or ProtoFields({}, "generationConfig")
    fields = read_conversation(data, config)
    sampling = _sampling(config)
    tier = data.take("serviceTier", str)
    request = Chat(
        **fields,
        sampling=sampling,
        service_tier=None if tier is None else tier.lower(),
        source=Source(protocol=PROTOCOL, body=canonical(body)),
        extra=_extra(data, config),  # last: what nothing above has taken
    )
    return Incoming(request=request)


def read_conversation(data: ProtoFields, config: ProtoFields) -> dict[str, Any]:
    """The fields of a `Conversation`, which a count of tokens has too. What they leave is for `extra`."""
    messages = read_contents(data)
    tools = _tools(data)
    choice, strict = _tool_choice(data, tools)
    model = data.take("model", str)
    return {
        "model": None if model is None else model.removeprefix("models/"),
        "messages": messages,
        "tools": tuple(_strict(tool) for tool in tools) if strict else tools,
        "tool_choice": choice,
        "output": _output(config),
        "reasoning": _reasoning(config),
    }


def _extra(data: Fields, config: Fields) -> dict[str, Any]:
    left = config.rest()
    return data.rest() | ({"generationConfig": left} if left else {})


def _sampling(c: ProtoFields) -> Sampling:
    stop = tuple(c.take("stopSequences", list[str], []))
    if "" in stop:
        path = f"{c.at('stopSequences')}[{stop.index('')}]"
        raise RequestError(f"{path} is empty: a stop sequence has at least one character", field=path)
    values: dict[str, Any] = {
        "temperature": c.take("temperature", float),
        "top_p": c.take("topP", float),
        "top_k": c.whole("topK"),
        "frequency_penalty": c.take("frequencyPenalty", float),
        "presence_penalty": c.take("presencePenalty", float),
        "seed": c.whole("seed"),
        "stop": stop,
        "max_tokens": c.whole("maxOutputTokens"),
        "n": c.whole("candidateCount") or 1,
    }
    if c.take("responseLogprobs", bool, False):
        values["logprobs"] = c.whole("logprobs") or 0
    return bounded(values, {ours: c.at(theirs) for ours, theirs in NAMES.items()})


# --- tools -----------------------------------------------------------------------------------------------------


def _tools(data: ProtoFields) -> tuple[Tool, ...]:
    """The functions. Tools that Google runs itself stay in `data`, for `extra`."""
    functions: list[Tool] = []
    others: list[Any] = []
    for t in data.objects("tools"):
        functions += [_function(f) for f in t.objects("functionDeclarations")]
        others += [t.rest()] if t.rest() else []
    if others:
        data.left["tools"] = others
    return tuple(functions)


def _function(f: Fields) -> Tool:
    name, description = f.need("name", str), f.take("description", str)
    parameters, result = _schema(f, "parameters"), _schema(f, "response")
    given: dict[str, Any] = {} if parameters is None else {"parameters": parameters}
    return Tool(name=name, description=description, **given, result=result, extra=f.rest())


def _schema(f: Fields, name: str) -> dict[str, Any] | None:
    """A schema, which goes by two names, the older one's kind being OpenAPI's."""
    newer = f"{name}JsonSchema"
    if f.has(name) and f.has(newer):
        path = f.at(name)
        raise RequestError(f"{path} and {newer} say the same: send one of them", field=path)
    older = f.take(name, dict[str, Any])
    return f.take(newer, dict[str, Any]) if older is None else json_schema(older)


def _strict(tool: Tool) -> Tool:
    return replace(tool, strict=True)


def _tool_choice(data: ProtoFields, tools: tuple[Tool, ...]) -> tuple[ToolChoice | None, bool]:
    """The choice, and whether every call is held to its schema (`VALIDATED`). What is left goes back into `data`."""
    config = data.object("toolConfig")
    if config is None:
        return None, False
    calling = config.object("functionCallingConfig")
    choice, strict = (None, False) if calling is None else _mode(calling, tools)
    left = config.rest()
    if calling is not None and (more := calling.rest()):
        left["functionCallingConfig"] = more
    if left:
        data.left["toolConfig"] = left
    return choice, strict


def _mode(c: ProtoFields, tools: tuple[Tool, ...]) -> tuple[ToolChoice | None, bool]:
    path, said = c.at("mode"), c.take("mode", str, "AUTO")
    mode, names = said.upper(), c.take("allowedFunctionNames", list[str], [])
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise RequestError(f"{path} is {said!r}, must be AUTO, ANY, NONE or VALIDATED", field=path)
    for i, name in enumerate(names):
        if name not in [t.name for t in tools]:
            where = f"{c.at('allowedFunctionNames')}[{i}]"
            raise RequestError(f"{where} is {name!r}, which is none of the tools: name one of them", field=where)
    if mode == "ANY" and not tools:
        raise RequestError(f"{path} asks for a call but there are no functions: send tools too", field=path)
    if mode == "ANY" and len(names) == 1:
        return ToolChoice(mode="named", name=names[0]), False
    if names and mode == "NONE":  # none of some tools: whoever knows what that means may have it
        c.left["allowedFunctionNames"], names = names, []
    modes: Any = {"ANY": "required", "NONE": "none"}
    return ToolChoice(mode=modes.get(mode, "auto"), names=tuple(names)), mode == "VALIDATED"


# --- structured output, thinking ---------------------------------------------------------------------------------


def _output(c: ProtoFields) -> Output | None:
    """The answer always fits the schema: the protocol has no other than this."""
    kind = c.left.get("responseMimeType")
    older, newer = c.left.get("responseSchema"), c.left.get("responseJsonSchema")
    if older is not None and newer is not None:
        path = c.at("responseSchema")
        raise RequestError(f"{path} and responseJsonSchema say the same: send one of them", field=path)
    if kind == "text/plain" and older is None and newer is None:
        del c.left["responseMimeType"]  # what holds anyway
    if kind != "application/json":
        if kind in (None, "text/plain") and (older is not None or newer is not None):
            path = c.at("responseSchema" if newer is None else "responseJsonSchema")
            raise RequestError(f"{path} wants responseMimeType application/json beside it", field=path)
        return None
    del c.left["responseMimeType"]
    if older is not None:
        return Output(schema=json_schema(c.take("responseSchema", dict[str, Any])), strict=True)
    if newer is not None:
        return Output(schema=c.take("responseJsonSchema", dict[str, Any]), strict=True)
    return Output()


def _reasoning(c: ProtoFields) -> Reasoning | None:
    thinking = c.object("thinkingConfig")
    if thinking is None:
        return None
    budget, shown = thinking.whole("thinkingBudget"), thinking.take("includeThoughts", bool)
    path, level = thinking.at("thinkingLevel"), thinking.take("thinkingLevel", str)
    effort: Any = None
    if level is not None and level.upper() != "THINKING_LEVEL_UNSPECIFIED":
        if level.upper() not in LEVELS:
            raise RequestError(f"{path} is {level!r}, must be one of {', '.join(LEVELS)}", field=path)
        effort = level.lower()
    if budget is not None and budget < -1:
        where = thinking.at("thinkingBudget")
        raise RequestError(f"{where} is {budget}, must be at least -1", field=where)
    if budget == 0 and effort is None:
        effort, budget = "none", None
    asked = Reasoning(
        effort=effort,
        budget_tokens=None if budget == -1 else budget,
        adaptive=True if budget == -1 else None,
        summary=None if shown is None else "auto" if shown else "omitted",
        extra=thinking.rest(),
    )
    return None if asked == Reasoning() else asked
