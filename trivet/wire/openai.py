"""What OpenAI's protocols share: sampling, stream options, cache marks, usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trivet.errors import RequestError, UnsupportedError
from trivet.types import CacheMark, Chat, FinishReason, Request, Sampling, Tool, ToolChoice, Usage
from trivet.wire import Target
from trivet.wire.fields import Fields, drop_defaults
from trivet.wire.sampling import bounded
from trivet.wire.source import differing

# A refusal in the middle of an answer (a provider's filter) is what OpenAI calls `content_filter`.
FINISH_REASONS: Mapping[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}
LOWEST_LOGPROB = -9999.0  # what OpenAI sends for a token that has next to no chance; JSON has no infinity


def refuse_deprecated(fields: Fields, old: str, new: str) -> None:
    if fields.has(old):
        path = fields.at(old)
        raise UnsupportedError(f"{path} is the older form, which trivet does not read: use {new}", field=path)


def read_stream(body: Fields) -> tuple[bool, bool]:
    """`stream`, and whether usage is wanted in it. Options that nobody knows stay in `body`, for `extra`."""
    stream = body.take("stream", bool, False)
    options = body.object("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise RequestError(
            "stream_options is given but stream is not true: set it, or leave the options out", field="stream_options"
        )
    usage = options.take("include_usage", bool, False)
    drop_defaults(options, {"include_obfuscation": False})
    if left := options.rest():
        body.left["stream_options"] = left
    return stream, usage


def hinted(own: Mapping[str, msgspec.Raw], after: Request, before: Request) -> dict[str, msgspec.Raw] | None:
    """The cache key that a wrapper has added; None where it has changed anything else."""
    if not isinstance(after, Chat) or after.cache_key is None or differing(after, before) != {"cache_key"}:
        return None
    return {"prompt_cache_key": msgspec.Raw(msgspec.json.encode(after.cache_key))}


def write_streaming(target: Target, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is said of streaming. Usage is always asked for: the reader takes it out again."""
    if not target.stream:
        return {}
    if not target.quirks.get("stream_options", True):
        return {"stream": True}
    return {"stream": True, "stream_options": {**(options or {}), "include_usage": True}}


def told_streaming(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The same to a client's own body, which has said it differently. `UNSET` is a field that does not go out."""
    fields: dict[str, Any] = {}
    if "stream" in own or target.stream:
        fields["stream"] = target.stream
    wanted = own.get("stream_options")
    fields |= write_streaming(target, None if wanted is None else msgspec.json.decode(msgspec.json.encode(wanted)))
    if wanted is not None and "stream_options" not in fields:
        fields["stream_options"] = msgspec.UNSET
    return fields


def read_sampling(body: Fields, *, max_tokens: int | None, logprobs: int | None, names: Mapping[str, str]) -> Sampling:
    """The sampling fields that both have, and the two that each reads in its own way.

    `names` are the client's names for ours where they differ: an error must name what the client wrote.
    """
    top_k = body.take("top_k", int)
    values: dict[str, Any] = {
        "temperature": body.take("temperature", float),
        "top_p": body.take("top_p", float),
        "top_k": 0 if top_k == -1 else top_k,  # -1 is vLLM's way to say: all of them
        "frequency_penalty": body.take("frequency_penalty", float),
        "presence_penalty": body.take("presence_penalty", float),
        "seed": body.take("seed", int),
        "stop": _stop(body),
        "max_tokens": max_tokens,
        "logprobs": logprobs,
        "n": body.take("n", int, 1),
    }
    return bounded(values, names)


def _stop(body: Fields) -> tuple[str, ...]:
    alone = isinstance(body.left.get("stop"), str)
    stop = (body.need("stop", str),) if alone else tuple(body.take("stop", list[str], []))
    if "" in stop:
        raise RequestError("stop: a stop sequence must not be empty", field="stop")
    return stop


def read_allowed(
    choice: Any, named: Callable[[Mapping[str, Any]], Any], tools: tuple[Tool, ...], parallel: bool | None
) -> ToolChoice | None:
    """A choice among some tools, `{"mode", "tools"}`, where `named` finds the name in each of those. None where it says
    more than that, or has one that is no tool of ours: that is for `extra`."""
    if not isinstance(choice, dict) or choice.keys() != {"mode", "tools"} or choice["mode"] not in ("auto", "required"):
        return None
    listed = choice["tools"] if isinstance(choice["tools"], list) else []
    asked = [named(t) if isinstance(t, dict) else None for t in listed]
    names = tuple(t.name for name in asked for t in tools if t.name == name)
    if not names or len(names) != len(asked):
        return None
    if choice["mode"] == "required" and len(names) == 1:
        return ToolChoice(mode="named", name=names[0], parallel=parallel)
    return ToolChoice(mode=choice["mode"], names=names, parallel=parallel)


def kind_of(name: str | None, tools: tuple[Tool, ...]) -> str:
    """What a choice has to call the tool with this name."""
    return "custom" if any(t.name == name and t.extra.get("type") == "custom" for t in tools) else "function"


def read_cache_mark(p: Fields) -> CacheMark | None:
    """OpenAI's breakpoint, where it asks for no lifetime: its lifetimes are not those that a `CacheMark` has. Or the
    `cache_control` that hosts of other makers' models have added, with their lifetimes."""
    if p.left.get("prompt_cache_breakpoint") == {"mode": "explicit"}:
        del p.left["prompt_cache_breakpoint"]
        return CacheMark()
    control = p.left.get("cache_control")
    if control in ({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral", "ttl": "1h"}):
        del p.left["cache_control"]
        return CacheMark(ttl=control.get("ttl"))
    return None


# Where hosts say how much of the prompt came from a cache, beside the details that OpenAI has.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")


def read_usage(told: Mapping[str, Any] | None) -> Usage:
    """A provider's usage, in the words of chat completions or of responses; what it does not say is None.

    Its count of the prompt includes what was cached. The two cache counts are what is charged differently: where one of
    them is told and the other is not, the host charges nothing in that other way, and it is 0. A host that tells
    neither may well have cached some (vLLM does, and says so only where it is set to): the prompt is not split then.
    """
    if not told:
        return Usage()
    prompt, output = _count(told, "prompt_tokens", "input_tokens"), _count(told, "completion_tokens", "output_tokens")
    details = told.get("prompt_tokens_details") or told.get("input_tokens_details") or {}
    made = told.get("completion_tokens_details") or told.get("output_tokens_details") or {}
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    if cached is None:
        cached = _count(told, *_CACHED)
    uncached = None
    if prompt is not None and not (cached is None and written is None):
        cached, written = cached or 0, written or 0
        uncached = max(0, prompt - cached - written)
    reasoning = _count(made, "reasoning_tokens")
    if reasoning is None:
        reasoning = _count(told, "reasoning_tokens")
    if (
        prompt is not None
        and output is not None
        and reasoning
        and told.get("total_tokens") == prompt + output + reasoning
    ):
        output += reasoning  # xAI counts them beside the output: the total tells
    return Usage(
        uncached_input_tokens=uncached,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        audio_input_tokens=_count(details, "audio_tokens"),
        audio_output_tokens=_count(made, "audio_tokens"),
        prompt_tokens=prompt if uncached is None else None,
    )


def _count(told: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is a number of tokens."""
    for name in names:
        value = told.get(name)
        if isinstance(value, int) and value >= 0:
            return value
    return None


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """OpenAI's usage, or None where a total is unknown. Its `prompt_tokens` include what was cached; a detail
    that is unknown is left out, because 0 would be a claim."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    read = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    made = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_output_tokens}
    written: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": _known(read | {"audio_tokens": usage.audio_input_tokens}),
    }
    if details := _known(made):
        written["completion_tokens_details"] = details
    return written


def _known(counts: Mapping[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}
