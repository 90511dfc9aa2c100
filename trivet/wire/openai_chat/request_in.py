"""OpenAI's chat completions, as a server: a client's request read.

Read in full: every field of the protocol is a field of `Chat`, stands in `extra` for a model that knows it, or is
refused here. Beyond the protocol, `top_k` and the reasoning of earlier turns are read as compatible servers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from trivet.errors import RequestError
from trivet.types import Chat, Effort, Message, Output, Reasoning, Sampling, Source, Text, Tool, ToolChoice, replace
from trivet.wire import Incoming
from trivet.wire.fields import Fields, drop_defaults, need_object, read_object, rest
from trivet.wire.openai import read_allowed, read_cache_mark, read_sampling, read_stream, refuse_deprecated
from trivet.wire.openai_chat.messages_in import read_messages
from trivet.wire.openai_chat.terms import PROTOCOL

__all__ = ["PROTOCOL", "parse"]

_DEFAULTS = {
    "store": False,
    "logit_bias": {},
    "modalities": ["text"],
    "verbosity": "medium",
}


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """Texts, and the few fields that most requests have: read at once. Any other request is not of this shape, and is
    read field by field; so is a wrong one, for what is to be said about it."""

    model: str
    messages: list[_Said]
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_usual = msgspec.json.Decoder(_Usual)


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Chat`. Raises `RequestError` with the path of the field at fault."""
    return _texts(body) or _any(body)


def _texts(body: bytes) -> Incoming | None:
    """A usual request; None for any other."""
    try:
        data = _usual.decode(body)
        if data.max_tokens is not None and data.max_completion_tokens is not None:
            return None
        max_tokens = data.max_completion_tokens if data.max_tokens is None else data.max_tokens
        sampling = Sampling(temperature=data.temperature, top_p=data.top_p, max_tokens=max_tokens)
    except (ValueError, RecursionError):  # the first of which all errors of msgspec are
        return None
    if not data.messages or any(m.role == "assistant" and not m.content for m in data.messages):
        return None
    request = Chat(
        model=data.model,
        messages=tuple(Message(role=m.role, content=(Text(text=m.content),)) for m in data.messages),
        sampling=sampling,
        source=Source(protocol=PROTOCOL, body=body),
    )
    return Incoming(request=request, stream=bool(data.stream))


def _any(body: bytes) -> Incoming:
    data = read_object(body)
    refuse_deprecated(data, "functions", "tools")
    refuse_deprecated(data, "function_call", "tool_choice")
    drop_defaults(data, _DEFAULTS)
    stream, stream_usage = read_stream(data)
    max_tokens, max_tokens_name = _max_tokens(data)
    names = {"max_tokens": max_tokens_name, "logprobs": "top_logprobs"}
    tools = tuple(_tool(t) for t in data.objects("tools"))
    request = Chat(
        model=data.need("model", str),
        messages=read_messages(data),
        tools=tools,
        tool_choice=_tool_choice(data, tools),
        output=_output(data),
        reasoning=_reasoning(data),
        user=_user(data),
        cache_key=data.take("prompt_cache_key", str),
        service_tier=data.take("service_tier", str),
        sampling=read_sampling(data, max_tokens=max_tokens, logprobs=_logprobs(data), names=names),
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=stream, stream_usage=stream_usage)


def _max_tokens(data: Fields) -> tuple[int | None, str]:
    """The bound, and the name under which it came: the older one is still what most clients send."""
    old, new = data.take("max_tokens", int), data.take("max_completion_tokens", int)
    if old is not None and new is not None and old != new:
        raise RequestError(
            f"max_tokens is {old} and max_completion_tokens is {new}: send one of them", field="max_tokens"
        )
    return (old, "max_tokens") if new is None else (new, "max_completion_tokens")


def _logprobs(data: Fields) -> int | None:
    wanted, top = data.take("logprobs", bool, False), data.take("top_logprobs", int)
    if top and not wanted:
        raise RequestError("top_logprobs is given but logprobs is not true: set it too", field="top_logprobs")
    return (top or 0) if wanted else None


def _reasoning(data: Fields) -> Reasoning | None:
    """An effort that nobody knows here is left to `extra`."""
    if data.left.get("reasoning_effort") not in get_args(Effort):
        return None
    return Reasoning(effort=data.left.pop("reasoning_effort"))


def _user(data: Fields) -> str | None:
    """Who asks, under either of the two names. Where they differ, the newer is left to `extra`."""
    user, newer = data.take("user", str), data.take("safety_identifier", str)
    if user is not None and newer is not None and user != newer:
        data.left["safety_identifier"] = newer
    return newer if user is None else user


def _output(data: Fields) -> Output | None:
    """`response_format`. What nobody took of it goes back into `data`, for `extra`."""
    form = data.object("response_format")
    if form is None:
        return None
    path, kind = form.at("type"), form.need("type", str)
    output, inner = None, None
    if kind == "json_object":
        output = Output()
    elif kind == "json_schema":
        inner = need_object(form, "json_schema")
        output = Output(
            schema=inner.need("schema", dict[str, Any]),
            name=inner.take("name", str),
            description=inner.take("description", str),
            strict=inner.take("strict", bool),
        )
    elif kind != "text":
        raise RequestError(f"{path} is {kind!r}, must be text, json_object or json_schema", field=path)
    if left := rest(form, json_schema=inner):
        data.left["response_format"] = left
    return output


def _tool(t: Fields) -> Tool:
    """A function. A custom tool's arguments are not JSON, which no field here says: `extra` does."""
    path, kind = t.at("type"), t.need("type", str)
    if kind == "custom":
        custom = need_object(t, "custom")
        name, description = custom.need("name", str), custom.take("description", str)
        return Tool(name=name, description=description, extra={"type": "custom", **rest(t, custom=custom)})
    if kind != "function":
        raise RequestError(f"{path} is {kind!r}, must be function or custom", field=path)
    function = need_object(t, "function")
    parameters = function.take("parameters", dict[str, Any])
    tool = Tool(
        name=function.need("name", str),
        description=function.take("description", str),
        strict=function.take("strict", bool),
        cache=read_cache_mark(t),
        extra=rest(t, function=function),
    )
    return tool if parameters is None else replace(tool, parameters=parameters)


def _tool_choice(data: Fields, tools: tuple[Tool, ...]) -> ToolChoice | None:
    """`tool_choice` and `parallel_tool_calls`. A choice of a custom tool, or among tools some of which are
    not ours, is left to `extra`."""
    parallel = data.take("parallel_tool_calls", bool)
    value = data.left.get("tool_choice")
    choice = None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        inner = value.get("allowed_tools") if value.keys() == {"type", "allowed_tools"} else None
        if allowed := read_allowed(inner, _allowed_name, tools, parallel):
            del data.left["tool_choice"]
        return allowed or choice
    if value is None or (isinstance(value, dict) and value.get("type") == "custom"):
        return choice
    if isinstance(value, dict):
        choice = _named(Fields(value, "tool_choice"), tools, parallel)
    elif value in ("auto", "none", "required"):
        choice = ToolChoice(mode=value, parallel=parallel)
    else:
        raise RequestError(
            f"tool_choice is {value!r}, must be auto, none, required or an object that names a function",
            field="tool_choice",
        )
    if choice.mode in ("required", "named") and not tools:
        raise RequestError("tool_choice asks for a call but there are no tools: send tools too", field="tool_choice")
    del data.left["tool_choice"]
    return choice


def _allowed_name(tool: Mapping[str, Any]) -> Any:
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom") and len(tool) == 2 else None
    return inner["name"] if isinstance(inner, dict) and inner.keys() == {"name"} else None


def _named(value: Fields, tools: tuple[Tool, ...], parallel: bool | None) -> ToolChoice:
    path, kind = value.at("type"), value.need("type", str)
    if kind != "function":
        raise RequestError(f"{path} is {kind!r}, must be function, custom or allowed_tools", field=path)
    function = need_object(value, "function")
    path, name = function.at("name"), function.need("name", str)
    if tools and name not in [t.name for t in tools]:
        raise RequestError(f"{path} is {name!r}, which is none of the tools: name one of them", field=path)
    for unknown in (*value.left, *function.left):
        raise RequestError(f"tool_choice: unknown field {unknown!r}, leave it out", field="tool_choice")
    return ToolChoice(mode="named", name=name, parallel=parallel)
