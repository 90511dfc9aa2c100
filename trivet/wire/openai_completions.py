"""OpenAI's plain completions, as a server.

One prompt, as text. Refused here, because no model behind trivet could be asked: several prompts at once, token
ids, `echo`, and a `best_of` that is more than `n`. `max_tokens` is 16 where the client says nothing, as the
protocol has it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from trivet.errors import RequestError, TrivetError, UnsupportedError
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    Extra,
    Response,
    Source,
    Start,
    TextChoice,
    TextDelta,
    TokenLogprob,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.deltas import deltas
from trivet.wire.fields import Fields, drop_defaults, read_object
from trivet.wire.ids import fresh_id
from trivet.wire.openai import (
    FINISH_REASONS,
    LOWEST_LOGPROB,
    read_sampling,
    read_stream,
    write_usage,
)
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "openai-completions"
EMPTY: Extra = {}
_MAX_TOKENS = 16  # the protocol's default
_DEFAULTS = {"echo": False, "logit_bias": {}}


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Complete`. Raises `RequestError` with the path of the field at fault."""
    data = read_object(body)
    drop_defaults(data, _DEFAULTS)
    if data.take("echo", bool, False):
        raise UnsupportedError("echo: the prompt is not sent back with the answer: leave it out", field="echo")
    stream, stream_usage = read_stream(data)
    max_tokens, logprobs = data.take("max_tokens", int, _MAX_TOKENS), data.take("logprobs", int)
    best_of = data.take("best_of", int)
    request = Complete(
        model=data.need("model", str),
        prompt=_prompt(data),
        suffix=data.take("suffix", str),
        sampling=read_sampling(data, max_tokens=max_tokens, logprobs=logprobs, names={}),
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    _check_best_of(best_of, request.sampling.n)
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


def _check_best_of(best_of: int | None, n: int) -> None:
    if best_of is None or best_of == n:
        return
    if best_of < n:
        raise RequestError(f"best_of is {best_of}, must be at least n, which is {n}", field="best_of")
    raise UnsupportedError(f"best_of is {best_of}: leave it out, and ask for n choices to choose from", field="best_of")


class Renderer:
    """One request's answer. `id` and `created` (seconds since 1970) stand in for fresh ones, in tests."""

    def __init__(self, incoming: Incoming, *, id: str | None = None, created: int | None = None) -> None:
        assert isinstance(incoming.request, Complete)
        self._id = id or fresh_id("cmpl-")
        self._created = int(time.time()) if created is None else created
        self._model = incoming.request.model or ""
        self._with_usage = incoming.stream_usage
        self._begun = False
        # Offsets of tokens count from the start of the prompt, in characters, whether it is echoed or not.
        self._start = len(incoming.request.prompt)
        self._lengths: dict[int, int] = {}  # of the text so far, per choice of a stream

    def whole(self, response: Response) -> bytes:
        """The JSON body."""
        assert isinstance(response, CompleteResponse)
        self._begin(response.model, response.id)
        choices = [
            {"index": i, "text": c.text, "logprobs": _logprobs(c.logprobs, self._start), **_ending(c)}
            for i, c in enumerate(response.choices)
        ]
        body = self._body(choices, response.extra)
        usage = write_usage(response.usage)
        return msgspec.json.encode(body if usage is None else {**body, "usage": usage})

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream."""
        if isinstance(event, Start):
            self._begin(event.model, event.id)
        elif isinstance(event, TextDelta):
            return self._delta(event)
        elif isinstance(event, Done):
            return self._end(event.response)
        return b""

    def failure(self, error: TrivetError) -> bytes:
        """An error event, which clients raise, and no `[DONE]`."""
        return sse.event(openai_errors.error(error))

    def _begin(self, model: str, id: str | None) -> None:
        """Fixes id and model: all chunks of a stream have the same."""
        if not self._begun:
            self._begun, self._model, self._id = True, model, id or self._id

    def _delta(self, event: TextDelta) -> bytes:
        self._begun = True
        before = self._lengths.get(event.choice, 0)
        self._lengths[event.choice] = before + len(event.text)
        logprobs = _logprobs(event.logprobs, self._start + before)
        return self._chunk({"index": event.choice, "text": event.text, "logprobs": logprobs, "finish_reason": None})

    def _end(self, response: Response) -> bytes:
        """What is left to say: choices that no delta has told, why each one finished, usage, and `[DONE]`."""
        assert isinstance(response, CompleteResponse)
        self._begin(response.model, response.id)
        told = set(self._lengths)
        out = [self._delta(d) for d in deltas(response) if isinstance(d, TextDelta) and d.choice not in told]
        for i, choice in enumerate(response.choices):
            out.append(self._chunk({"index": i, "text": "", "logprobs": None, **_ending(choice)}, response.extra))
        if self._with_usage:
            last = {**self._body([], EMPTY), "usage": write_usage(response.usage)}
            out.append(sse.event(msgspec.json.encode(last)))
        return b"".join(out) + sse.event(b"[DONE]")

    def _chunk(self, choice: dict[str, Any], extra: Extra = EMPTY) -> bytes:
        body = self._body([choice], extra)
        return sse.event(msgspec.json.encode({**body, "usage": None} if self._with_usage else body))

    def _body(self, choices: list[dict[str, Any]], extra: Extra) -> dict[str, Any]:
        return {
            "system_fingerprint": None,
            **extra,
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def _ending(choice: TextChoice) -> dict[str, Any]:
    """Why a choice finished; the stop sequence, for which the protocol has no word, in the word that vLLM uses."""
    # A plain completion calls no tools; a model that says so has stopped.
    reason = "stop" if choice.finish_reason == "tool_calls" else FINISH_REASONS[choice.finish_reason]
    ending: dict[str, Any] = {"finish_reason": reason}
    return ending if choice.stop_sequence is None else {**ending, "stop_reason": choice.stop_sequence}


def _logprobs(tokens: Sequence[TokenLogprob] | None, start: int) -> dict[str, Any] | None:
    """Four lists side by side, one entry per token. The alternatives include the token that was drawn; there
    are none where the client asked for 0."""
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(start)
        start += len(token.token)
    tops = [{t.token: max(t.logprob, LOWEST_LOGPROB) for t in (*token.top, token)} for token in tokens]
    return {
        "tokens": [t.token for t in tokens],
        "token_logprobs": [max(t.logprob, LOWEST_LOGPROB) for t in tokens],
        "top_logprobs": tops if any(t.top for t in tokens) else None,
        "text_offset": offsets,
    }
