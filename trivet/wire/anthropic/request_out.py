"""A request as Anthropic takes it: fields in an order that never changes.

`max_tokens` must be there: where the request has none, it is the most that the model is listed with
(`quirks["most_tokens"]`), else `MAX_TOKENS`, which the response's notes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Chat, Conversation, Output, Reasoning, Sampling, Tool, ToolChoice
from trivet.wire import Target
from trivet.wire.anthropic.messages_in import PROVIDER
from trivet.wire.anthropic.messages_out import Words, cache_control, refuse, write_messages
from trivet.wire.anthropic.request_in import EFFORTS

Json = dict[str, Any]

MAX_TOKENS = 4096
_LEAST_BUDGET = 1024
_MODES = {"auto": "auto", "required": "any", "none": "none", "named": "tool"}
_SHARED_TIERS = ("auto",)
_NO_COUNTERPART = {"seed": None, "frequency_penalty": 0, "presence_penalty": 0, "logprobs": None, "n": 1}


def write(request: Chat, target: Target) -> Json:
    """The JSON object to send. Raises `UnsupportedError` naming what the protocol cannot carry."""
    words = Words(request)
    _check_sampling(request.sampling)
    body: Json = {"model": target.model, "max_tokens": _max_tokens(request, target)}
    body |= write_conversation(request, words)
    if "thinking" not in body and _means_thinking(request, target):
        body["thinking"] = {"type": "adaptive"}
    body |= _sampling(request.sampling)
    body |= _labels(request, words)
    if target.stream:
        body["stream"] = True
    return words.merged(body, request.extra, "")


def told(own: Mapping[str, Any], target: Target) -> Json:
    """What a client's own body says differently to this provider: the model, and whether it streams."""
    streams = {"stream": target.stream} if target.stream or "stream" in own else {}
    return {"model": target.model, **streams}


def notes(request: Conversation, target: Target) -> tuple[str, ...]:
    """What `write` does differently from what was asked, for people to read."""
    if not isinstance(request, Chat):
        return ()
    out = []
    if request.source is None or request.source.protocol != PROVIDER:
        if request.sampling.max_tokens is None and "most_tokens" not in target.quirks:
            out.append(
                f"max_tokens is {_max_tokens(request, target)}, because {target.provider} must be told some: "
                "ask for more where answers end early"
            )
        if request.cache_key is not None:
            out.append(f"the cache key left out for {target.provider}, which finds its caches by cache marks alone")
    return tuple(out)


def write_conversation(request: Conversation, words: Words) -> Json:
    """The fields that a count of tokens has too."""
    system, messages = write_messages(request.messages, words)
    if not messages:
        what = "nothing but a system prompt" if system else "no text in it"
        raise RequestError(f"messages has {what}: add what the user says", field="messages")
    body: Json = {"system": system} if system else {}
    body["messages"] = messages
    if request.tools:
        body["tools"] = [_tool(t, f"tools[{i}]", words) for i, t in enumerate(request.tools)]
    if choice := _tool_choice(request.tool_choice, bool(request.tools or request.extra.get("tools"))):
        body["tool_choice"] = choice
    if request.reasoning is not None and (thinking := _thinking(request.reasoning, words)):
        body["thinking"] = thinking
    if config := _output_config(request):
        body["output_config"] = config
    return body


# --- tokens, and how they are drawn -------------------------------------------------------------------------------


def _max_tokens(request: Chat, target: Target) -> int:
    budget = None if request.reasoning is None else request.reasoning.budget_tokens
    asked = request.sampling.max_tokens
    if asked is None:
        return int(target.quirks.get("most_tokens") or MAX_TOKENS + (budget or 0))
    if budget is not None and budget >= asked:
        raise UnsupportedError(
            f"the budget for thinking is {budget} tokens of the answer's max_tokens, {asked}: "
            f"{target.provider} wants it to be smaller than those",
            field="max_tokens",
        )
    return asked


def _check_sampling(s: Sampling) -> None:
    for name, nothing in _NO_COUNTERPART.items():
        value = getattr(s, name)
        if value is not None and value != nothing:
            raise refuse(name)
    if s.temperature is not None and s.temperature > 1:
        raise UnsupportedError(
            f"temperature is {s.temperature}, and Anthropic's messages take 0 to 1: ask for less", field="temperature"
        )


def _sampling(s: Sampling) -> Json:
    fields: Json = {
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": s.top_k,
        "stop_sequences": list(s.stop) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _labels(request: Chat, words: Words) -> Json:
    body: Json = {} if request.user is None else {"metadata": {"user_id": request.user}}
    tier = request.service_tier
    if tier is not None and words.foreign and tier not in _SHARED_TIERS:
        raise UnsupportedError(
            f"service_tier is {tier!r}, which Anthropic's messages do not know: leave it out", field="service_tier"
        )
    return body if tier is None else {**body, "service_tier": tier}


# --- tools ------------------------------------------------------------------------------------------------------


def _tool(tool: Tool, path: str, words: Words) -> Json:
    """A function; or what Anthropic itself defines under a type of its own, which stands in `extra`."""
    body: Json = {"name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if "type" not in tool.extra:
        body["input_schema"] = dict(tool.parameters)
    if tool.strict is not None:
        body["strict"] = tool.strict
    return words.merged(body | cache_control(tool.cache), tool.extra, path)


def _tool_choice(choice: ToolChoice | None, tools: bool) -> Json:
    """Nothing without tools, where only `auto` and `none` can be meant, and where the protocol allows none."""
    if choice is None or (not tools and choice.mode in ("auto", "none")):
        return {}
    if choice.names:  # without the other tools it would be another prompt, and its cache another: the client's to say
        raise UnsupportedError(
            "a choice among some of the tools has no counterpart in Anthropic's messages: send only those tools",
            field="tool_choice.names",
        )
    body: Json = {"type": _MODES[choice.mode]}
    if choice.name is not None:
        body["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        body["disable_parallel_tool_use"] = not choice.parallel
    return body


# --- thinking and output ----------------------------------------------------------------------------------------


def _thinking(asked: Reasoning, words: Words) -> Json:
    """A wish to be told thoughts is one for thinking: the protocol has no place for the one without the other."""
    budget = asked.budget_tokens
    body: Json = {}
    if budget:
        if budget < _LEAST_BUDGET:
            raise UnsupportedError(
                f"budget_tokens for thinking is {budget}, and Anthropic's messages take {_LEAST_BUDGET} at least",
                field="budget_tokens",
            )
        body = {"type": "enabled", "budget_tokens": budget}
    elif asked.effort == "none" or asked.adaptive is False or budget == 0:
        return words.merged({"type": "disabled"}, asked.extra, "reasoning")
    elif asked.adaptive or asked.summary is not None:
        body = {"type": "adaptive"}
    if asked.summary in ("concise", "detailed"):
        raise UnsupportedError(
            f"the summary of thoughts is to be {asked.summary!r}, and Anthropic has one kind: ask for 'auto'",
            field="reasoning.summary",
        )
    if asked.summary is not None:
        body["display"] = "omitted" if asked.summary == "omitted" else "summarized"
    return words.merged(body, asked.extra, "reasoning")


def _means_thinking(request: Chat, target: Target) -> bool:
    """An effort is one of reasoning everywhere but in Anthropic's own protocol, where it is one of the whole answer."""
    own = request.source is not None and request.source.protocol == PROVIDER
    effort = None if request.reasoning is None else request.reasoning.effort
    return bool(target.quirks.get("adaptive")) and not own and effort is not None


def _output_config(request: Conversation) -> Json:
    body: Json = {}
    effort = None if request.reasoning is None else request.reasoning.effort
    if effort is not None and effort != "none":
        if effort not in EFFORTS:
            raise UnsupportedError(
                f"the effort is {effort!r}, and Anthropic has {', '.join(EFFORTS)}: name one of those",
                field="reasoning.effort",
            )
        body["effort"] = effort
    if request.output is not None:
        body["format"] = _format(request.output)
    return body


def _format(output: Output) -> Json:
    """A name and a description, which OpenAI has for the schema, become its title and description."""
    if output.schema is None:
        raise UnsupportedError(
            "response_format asks for any JSON object, and Anthropic's messages hold only to a schema: send one",
            field="response_format",
        )
    about = {"title": output.name, "description": output.description}
    schema = {k: v for k, v in about.items() if v is not None} | dict(output.schema)
    return {"type": "json_schema", "schema": schema}
