"""Anthropic's messages, as a server: a client's request read.

Read in full: every field of the protocol is a field of `Chat`, stands in `extra` for a model that knows it, or is
refused here. `temperature`, `top_p`, `top_k` and `output_format`, which newer clients no longer send, are read too.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from trivet.errors import RequestError
from trivet.types import Chat, Effort, Output, Reasoning, Sampling, Source, Tool, ToolChoice
from trivet.wire import Incoming
from trivet.wire.anthropic.messages_in import read_cache_mark, read_messages
from trivet.wire.fields import Fields, drop_defaults, read_object, rest
from trivet.wire.sampling import bounded

__all__ = ["PROTOCOL", "parse", "read_conversation"]

PROTOCOL = "anthropic"
_DEFAULTS = {"speed": "standard", "metadata": {}}
EFFORTS = tuple(e for e in get_args(Effort) if e not in ("none", "minimal"))  # those that the protocol has
_DISPLAYS: dict[Any, Literal["auto", "omitted"]] = {"summarized": "auto", "omitted": "omitted"}
_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Chat`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    echo = dict(data.left)
    stream = data.take("stream", bool, False)
    sampling = _sampling(data)
    metadata = data.object("metadata")
    user = None if metadata is None else metadata.take("user_id", str)
    if metadata is not None and (left := metadata.rest()):
        data.left["metadata"] = left
    request = Chat(
        **read_conversation(data),
        sampling=sampling,
        user=user,
        service_tier=data.take("service_tier", str),
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=stream, body=echo)


def read_conversation(data: Fields) -> dict[str, Any]:
    """The fields of a `Conversation`, which a count of tokens has too. What they leave in `data` is for `extra`."""
    drop_defaults(data, _DEFAULTS)
    tools = _tools(data)
    output, effort = _output_config(data)
    return {
        "model": data.need("model", str),
        "messages": read_messages(data),
        "tools": tools,
        "tool_choice": _tool_choice(data, tools),
        "output": output,
        "reasoning": _reasoning(data, effort),
    }


def _sampling(data: Fields) -> Sampling:
    """`max_tokens` of 0 only fills Anthropic's own cache: it stands in `extra`, for Anthropic alone."""
    warms = data.left.get("max_tokens") == 0
    temperature = data.take("temperature", float)
    if temperature is not None and temperature > 1:
        raise RequestError(f"temperature is {temperature}, must be between 0 and 1", field="temperature")
    stop = tuple(data.take("stop_sequences", list[str], []))
    if "" in stop:
        path = f"stop_sequences[{stop.index('')}]"
        raise RequestError(f"{path} is empty: a stop sequence has at least one character", field=path)
    values = {
        "max_tokens": None if warms else data.need("max_tokens", int),
        "temperature": temperature,
        "top_p": data.take("top_p", float),
        "top_k": data.take("top_k", int),
        "stop": stop,
    }
    return bounded(values, {})


# --- tools -----------------------------------------------------------------------------------------------------


def _tools(data: Fields) -> tuple[Tool, ...]:
    """The tools that have a name. A set of tools without one (a server's, a screen's) stays in `data`, for `extra`."""
    named, unnamed = [], []
    for t in data.objects("tools"):
        if t.has("type") and t.left["type"] != "custom" and not t.has("name"):
            unnamed.append(t.left)
        else:
            named.append(_tool(t))
    if unnamed:
        data.left["tools"] = unnamed
    return tuple(named)


def _tool(t: Fields) -> Tool:
    """A function. What Anthropic itself defines under a type of its own says so in `extra`."""
    drop_defaults(
        t,
        {
            "type": "custom",
            "allowed_callers": ["direct"],
            "defer_loading": False,
            "eager_input_streaming": False,
            "input_examples": [],
        },
    )
    mark, cache = read_cache_mark(t)
    name, strict = t.need("name", str), t.take("strict", bool)
    if t.has("type"):
        kind = t.need("type", str)
        return Tool(name=name, strict=strict, cache=mark, extra={"type": kind, **rest(t, cache_control=cache)})
    return Tool(
        name=name,
        description=t.take("description", str),
        parameters=t.need("input_schema", dict[str, Any]),
        strict=strict,
        cache=mark,
        extra=rest(t, cache_control=cache),
    )


def _tool_choice(data: Fields, tools: tuple[Tool, ...]) -> ToolChoice | None:
    choice = data.object("tool_choice")
    if choice is None:
        return None
    path, kind = choice.at("type"), choice.need("type", str)
    if kind not in _MODES:
        raise RequestError(f"{path} is {kind!r}, must be one of {', '.join(_MODES)}", field=path)
    name = choice.need("name", str) if kind == "tool" else None
    alone = choice.take("disable_parallel_tool_use", bool)
    others = data.has("tools")  # sets of tools, whose names are not known here
    if kind in ("any", "tool") and not tools and not others:
        raise RequestError("tool_choice asks for a call but there are no tools: send tools too", field="tool_choice")
    if name is not None and name not in [t.name for t in tools] and not others:
        path = choice.at("name")
        raise RequestError(f"{path} is {name!r}, which is none of the tools: name one of them", field=path)
    if left := choice.rest():
        data.left["tool_choice"] = left
    mode: Any = _MODES[kind]
    return ToolChoice(mode=mode, name=name, parallel=None if alone is None else not alone)


# --- output and thinking ---------------------------------------------------------------------------------------


def _output_config(data: Fields) -> tuple[Output | None, Effort | None]:
    """`output_config`: its format, or as older clients say it, `output_format`; and its effort. What is left goes back
    into `data`."""
    config, old = data.object("output_config"), data.object("output_format")
    new = None if config is None else config.object("format")
    if old is not None and new is not None:
        raise RequestError(
            "output_format is the older name of output_config.format: send one of them", field="output_format"
        )
    output: Output | None = None
    effort: Effort | None = None
    form = new or old
    if form is not None:
        path, kind = form.at("type"), form.need("type", str)
        if kind != "json_schema":
            raise RequestError(f"{path} is {kind!r}, must be json_schema", field=path)
        # The protocol has no other than this: the answer always fits the schema.
        output = Output(schema=form.need("schema", dict[str, Any]), strict=True)
    if config is not None:
        if config.left.get("effort") in EFFORTS:
            effort = config.left.pop("effort")
        if left := rest(config, format=new):
            data.left["output_config"] = left
    if old is not None and (left := old.rest()):
        data.left["output_format"] = left
    return output, effort


def _reasoning(data: Fields, effort: Effort | None) -> Reasoning | None:
    """`thinking`, and the effort. A kind of thinking that has no field of ours stands in `extra`."""
    thinking = data.object("thinking")
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    kind = thinking.need("type", str)
    budget: int | None = None
    adaptive: bool | None = None
    if kind == "enabled":
        budget = thinking.need("budget_tokens", int)
        if budget < 1:
            path = thinking.at("budget_tokens")
            raise RequestError(f"{path} is {budget}, must be at least 1", field=path)
    elif kind == "adaptive":
        adaptive = True
    elif kind == "disabled":
        effort, adaptive = (effort or "none"), (None if effort is None else False)
    else:
        thinking.left["type"] = kind
    summary = _DISPLAYS.get(thinking.left.get("display", ""))
    if summary is not None:
        del thinking.left["display"]
    return Reasoning(effort=effort, budget_tokens=budget, adaptive=adaptive, summary=summary, extra=thinking.rest())
