"""A client's request.

One prompt, as text: several at once, and token ids, are refused. `max_tokens` is 16 where the client says nothing, as
the protocol has it. `echo`, and a `best_of` that is more than `n`, are for a host that has them.
"""

from __future__ import annotations

from trivet.errors import RequestError, UnsupportedError
from trivet.types import Complete, Source
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
    request = Complete(
        model=data.need("model", str),
        prompt=_prompt(data),
        suffix=data.take("suffix", str),
        sampling=sampling,
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest() | more,  # last: what nothing above has taken
    )
    return Incoming(request=request, stream=stream, stream_usage=stream_usage)


def _prompt(data: Fields) -> str:
    value = data.left.get("prompt")
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            del data.left["prompt"]
            return value[0]
        if value and all(isinstance(v, str) for v in value):
            raise UnsupportedError(f"prompt has {len(value)} prompts: send one request for each", field="prompt")
        if value:
            raise UnsupportedError("prompt is made of token ids: send it as text", field="prompt")
    return data.need("prompt", str)
