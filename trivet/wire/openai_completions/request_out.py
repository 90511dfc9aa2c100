"""A request as a host takes it. Of the quirks that `trivet.wire.openai_chat.terms` lists, `stream_options`, `seed` and
`no` are read here too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import UnsupportedError
from trivet.types import Complete
from trivet.wire import Target
from trivet.wire.openai import told_streaming, write_streaming
from trivet.wire.openai_completions.request_in import PROTOCOL

Json = dict[str, Any]


def write(request: Complete, target: Target) -> Json:
    """The JSON object to send. Raises `UnsupportedError` naming what the host cannot be told."""
    s = request.sampling
    fields: Json = {
        "model": target.model,
        "prompt": request.prompt,
        "suffix": request.suffix,
        "max_tokens": s.max_tokens,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "top_k": -1 if s.top_k == 0 else s.top_k,  # all of them
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        target.quirks.get("seed", "seed"): s.seed,
        "stop": list(s.stop) or None,
        "n": s.n if s.n > 1 else None,
        "logprobs": s.logprobs,
    }
    body = {name: value for name, value in fields.items() if value is not None}
    _check(request, body, target)
    body |= request.extra
    return body | write_streaming(target, body.get("stream_options"))


def told(own: Mapping[str, Any], target: Target) -> Json:
    """The model, what is said of streaming, and the host's name for the seed."""
    fields: Json = {"model": target.model, **told_streaming(own, target)}
    theirs = target.quirks.get("seed", "seed")
    if theirs != "seed" and "seed" in own:
        fields |= {theirs: own["seed"], "seed": msgspec.UNSET}
    return fields


def _check(request: Complete, body: Json, target: Target) -> None:
    """What a client wrote in this protocol goes to any host as it was, and is the host's own to refuse."""
    protocol = None if request.source is None else request.source.protocol
    if protocol == PROTOCOL:
        return
    refused = ("top_k", *target.quirks.get("no", ())) if target.family == "openai" else target.quirks.get("no", ())
    for name in (*body, *request.extra):
        if name in refused or (protocol is not None and name in request.extra):
            raise UnsupportedError(
                f"{target.provider} takes no {name} in completions: leave it out, or name another model", field=name
            )
