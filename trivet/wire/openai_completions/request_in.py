"""A client's request.

Several prompts, and those of token ids, are in the `extra` of a request whose own `prompt` is empty: for a host that
has them; for other models, `trivet.adapt.several` makes one request of each text. `max_tokens` is 16 where the client
says nothing, as the protocol has it. `echo`, and a `best_of` that is more than `n`, are for a host that has them.
"""

from __future__ import annotations

import msgspec

from trivet.errors import RequestError
from trivet.types import Complete, Source, replace
from trivet.wire import Incoming
from trivet.wire.fields import Fields, drop_defaults, read_object
from trivet.wire.openai import read_sampling, read_stream

PROTOCOL = "openai-completions"
_MAX_TOKENS = 16  # the protocol's default
_DEFAULTS = {"echo": False, "logit_bias": {}}


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Complete`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    drop_defaults(data, _DEFAULTS)
    echo, best_of = data.take("echo", bool, False), data.take("best_of", int)
    stream, stream_usage = read_stream(data)
    max_tokens, logprobs = data.take("max_tokens", int, _MAX_TOKENS), data.take("logprobs", int)
    sampling = read_sampling(data, max_tokens=max_tokens, logprobs=logprobs, names={})
    more: dict[str, object] = {"echo": True} if echo else {}
    if best_of is not None and best_of != sampling.n:
        if best_of < sampling.n:
            raise RequestError(f"best_of is {best_of}, must be at least n, which is {sampling.n}", field="best_of")
        more["best_of"] = best_of
    prompt, other = _prompt(data)
    request = Complete(
        model=data.need("model", str),
        prompt=prompt,
        suffix=data.take("suffix", str),
        sampling=sampling,
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest() | more | other,  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=stream, stream_usage=stream_usage)


def bound_said(request: Complete) -> Complete:
    """The request with its bound in its client's own bytes, where they leave it to the protocol's default: some hosts
    have another, or none."""
    source, tokens = request.source, request.sampling.max_tokens
    if source is None or source.protocol != PROTOCOL or tokens is None:
        return request
    own = msgspec.json.decode(source.body, type=dict[str, msgspec.Raw])
    if bytes(own.get("max_tokens", b"null")) != b"null":
        return request
    own["max_tokens"] = msgspec.Raw(b"%d" % tokens)
    return replace(request, source=replace(source, body=msgspec.json.encode(own)))


def _prompt(data: Fields) -> tuple[str, dict[str, object]]:
    """The one text, or what else it is, for `extra`."""
    value = data.left.get("prompt")
    if not isinstance(value, list) or not value:
        return data.need("prompt", str), {}
    del data.left["prompt"]
    if all(isinstance(v, str) for v in value):
        return (value[0], {}) if len(value) == 1 else ("", {"prompt": value})
    if _are_tokens(value) or all(isinstance(v, list) and v and _are_tokens(v) for v in value):
        return "", {"prompt": value}
    raise RequestError(
        "prompt is a list of neither texts nor token ids: send a text, a list of texts, of token ids, or of lists of "
        "these",
        field="prompt",
    )


def _are_tokens(value: list[object]) -> bool:
    return all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value)
