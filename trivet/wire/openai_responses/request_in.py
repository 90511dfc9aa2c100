"""OpenAI's Responses, as a server: a client's request read.

Read in full: every field of the protocol is a field of `Chat`, stands in `extra` for a model that knows it, or is
refused here. No response is stored: every answer says `store: false`, whatever the request says of `store`, whose
default is true. What builds on a store (`previous_response_id`, `conversation`, `prompt`) goes to
`extra`, so that a model without one refuses it by its name; `background`, whose answer nobody could fetch here, is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Chat, Effort, Output, Reasoning, Request, Sampling, Source, Tool, ToolChoice, replace, system
from trivet.wire import Incoming
from trivet.wire.fields import Fields, drop_defaults, read_object, rest
from trivet.wire.openai import read_allowed
from trivet.wire.openai_responses.items_in import read_input
from trivet.wire.sampling import bounded

__all__ = ["PROTOCOL", "parse"]

PROTOCOL = "openai-responses"
_DEFAULTS = {
    "truncation": "disabled",
    "metadata": {},
}
_EFFORTS = get_args(Effort)
_SUMMARIES = ("auto", "concise", "detailed")
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")  # where there may be an input that is not here
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"  # ours are always there where a model gave any


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Chat`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    echo = dict(data.left)
    drop_defaults(data, _DEFAULTS)
    data.take("store", bool)
    if data.take("background", bool, False):
        raise UnsupportedError(
            "background is true, and its response could not be fetched here later, as no response is kept: leave it "
            "out, and wait for the answer or stream it",
            field="background",
        )
    stream = _stream(data)
    sampling = _sampling(data)
    tools = _tools(data)
    instructions = data.take("instructions", str)
    messages = read_input(data)
    if not messages and not any(data.has(name) for name in _ELSEWHERE):
        raise RequestError("input is missing: a response needs a text, or at least one item", field="input")
    request = Chat(
        model=data.need("model", str),
        messages=(*([system(instructions)] if instructions else []), *messages),
        tools=tools,
        tool_choice=_tool_choice(data, tools),
        output=_output(data),
        reasoning=_reasoning(data),
        sampling=sampling,
        user=_user(data),
        cache_key=data.take("prompt_cache_key", str),
        service_tier=data.take("service_tier", str),
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=stream, body=echo)


def _stream(data: Fields) -> bool:
    """`stream`. What is left of its options goes back into `data`: padding against eavesdroppers is not ours."""
    stream, options = data.take("stream", bool, False), data.object("stream_options")
    if options is not None:
        drop_defaults(options, {"include_obfuscation": False})
        if left := options.rest():
            data.left["stream_options"] = left
    return stream


def _sampling(data: Fields) -> Sampling:
    include = data.take("include", list[str], [])
    if others := [i for i in include if i not in (LOGPROBS, ENCRYPTED)]:
        data.left["include"] = others
    top = data.take("top_logprobs", int)
    values = {
        "max_tokens": data.take("max_output_tokens", int),
        "temperature": data.take("temperature", float),
        "top_p": data.take("top_p", float),
        "logprobs": (top or 0) if top or LOGPROBS in include else None,
    }
    return bounded(values, {"max_tokens": "max_output_tokens", "logprobs": "top_logprobs"})


def _output(data: Fields) -> Output | None:
    """`text.format`. What nobody took of `text` goes back into `data`, for `extra`."""
    text = data.object("text")
    if text is None:
        return None
    drop_defaults(text, {"verbosity": "medium"})
    form, output = text.object("format"), None
    if form is not None:
        path, kind = form.at("type"), form.need("type", str)
        if kind == "json_object":
            output = Output()
        elif kind == "json_schema":
            output = Output(
                schema=form.need("schema", dict[str, Any]),
                name=form.need("name", str),
                description=form.take("description", str),
                strict=form.take("strict", bool),
            )
        elif kind != "text":
            raise RequestError(f"{path} is {kind!r}, must be text, json_object or json_schema", field=path)
    if left := rest(text, format=form):
        data.left["text"] = left
    return output


def _reasoning(data: Fields) -> Reasoning | None:
    """A level, or a kind of summary, that is not known here is for a model that knows it: it stands in `extra`."""
    r = data.object("reasoning")
    if r is None or not r.rest():
        return None
    effort: Any = r.take("effort", str) if r.left.get("effort") in _EFFORTS else None
    summary: Any = r.take("summary", str) if r.left.get("summary") in _SUMMARIES else None
    return Reasoning(effort=effort, summary=summary, extra=r.rest())


def _user(data: Fields) -> str | None:
    """Who asks: `safety_identifier`, or its older name. Where the two differ, the older one is left for `extra`."""
    older, user = data.take("user", str), data.take("safety_identifier", str)
    if older is not None and user is not None and older != user:
        data.left["user"] = older
    return older if user is None else user


# --- tools -----------------------------------------------------------------------------------------------------


def _tools(data: Fields) -> tuple[Tool, ...]:
    """The functions, and the custom tools. A provider's own tools stay in `data`, for `extra`."""
    ours, others = [], []
    for t in data.objects("tools"):
        kind = t.need("type", str)
        if kind in ("function", "custom"):
            ours.append(_tool(t, kind))
        else:
            others.append({"type": kind, **t.left})
    if others:
        data.left["tools"] = others
    return tuple(ours)


def _tool(t: Fields, kind: str) -> Tool:
    """A custom tool's arguments are not JSON, which no field here says: `extra` does."""
    drop_defaults(t, {"allowed_callers": ["direct"], "defer_loading": False, "async": False})
    name, description = t.need("name", str), t.take("description", str)
    if kind == "custom":
        return Tool(name=name, description=description, extra={"type": kind, **t.rest()})
    parameters, strict = t.take("parameters", dict[str, Any]), t.take("strict", bool)
    result = t.take("output_schema", dict[str, Any])
    tool = Tool(name=name, description=description, result=result, strict=strict, extra=t.rest())
    return tool if parameters is None else replace(tool, parameters=parameters)


def _tool_choice(data: Fields, tools: tuple[Tool, ...]) -> ToolChoice | None:
    """`tool_choice` and `parallel_tool_calls`. A choice of a provider's own tool, or among tools some of which
    are, is for `extra`."""
    parallel = data.take("parallel_tool_calls", bool)
    value = data.left.get("tool_choice")
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        inner = {k: v for k, v in value.items() if k != "type"}
        if allowed := read_allowed(inner, _allowed_name, tools, parallel):
            del data.left["tool_choice"]
            return allowed
    if value is None or (
        isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] != "function"
    ):
        return None if parallel is None else ToolChoice(parallel=parallel)
    others = data.has("tools")  # a provider's own, whose names are not known here
    if isinstance(value, dict):
        choice = _named(Fields(value, "tool_choice"), tools, others, parallel)
    elif value in ("auto", "none", "required"):
        choice = ToolChoice(mode=value, parallel=parallel)
    else:
        raise RequestError(
            f"tool_choice is {value!r}, must be auto, none, required or an object that names a tool",
            field="tool_choice",
        )
    if choice.mode in ("required", "named") and not tools and not others:
        raise RequestError("tool_choice asks for a call but there are no tools: send tools too", field="tool_choice")
    del data.left["tool_choice"]
    return choice


def _allowed_name(tool: Mapping[str, Any]) -> Any:
    return tool["name"] if tool.get("type") in ("function", "custom") and tool.keys() == {"type", "name"} else None


def _named(value: Fields, tools: tuple[Tool, ...], others: bool, parallel: bool | None) -> ToolChoice:
    value.need("type", str)
    path, name = value.at("name"), value.need("name", str)
    if tools and not others and name not in [t.name for t in tools]:
        raise RequestError(f"{path} is {name!r}, which is none of the tools: name one of them", field=path)
    for unknown in value.left:
        raise RequestError(f"tool_choice: unknown field {unknown!r}, leave it out", field="tool_choice")
    return ToolChoice(mode="named", name=name, parallel=parallel)


def thoughts_by_id(request: Request) -> bool:
    """Whether the thoughts without a signature in it are items that the provider keeps and finds by their ids, which it
    wants back with what came after them. It does not find those that we have told, whose ids have a number."""
    source = request.source
    if source is None or source.protocol != PROTOCOL:
        return False
    return re.search(rb'"rs_[0-9a-f]{24}_\d+"', source.body) is None
