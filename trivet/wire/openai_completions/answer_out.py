"""The answer to a client, whole and streamed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from trivet.errors import TrivetError
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    Extra,
    Response,
    Start,
    TextChoice,
    TextDelta,
    TokenLogprob,
)
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.deltas import deltas
from trivet.wire.ids import fresh_id
from trivet.wire.openai import FINISH_REASONS, LOWEST_LOGPROB, write_usage

EMPTY: Extra = {}


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
        told = incoming.request.extra.get("prompt", [incoming.request.prompt])
        self._prompts = [len(prompt) if isinstance(prompt, str) else 0 for prompt in told]
        self._n = incoming.request.sampling.n
        self._lengths: dict[int, int] = {}  # of the text so far, per choice of a stream

    def whole(self, response: Response) -> bytes:
        """The JSON body."""
        assert isinstance(response, CompleteResponse)
        self._begin(response.model, response.id)
        choices = [
            {"index": i, "text": c.text, "logprobs": _logprobs(c.logprobs, self._start(i)), **_ending(c)}
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

    def _start(self, choice: int) -> int:
        """Where the text of a choice starts: each prompt has `n` of them."""
        return self._prompts[min(choice // self._n, len(self._prompts) - 1)]

    def _begin(self, model: str, id: str | None) -> None:
        """Fixes id and model: all chunks of a stream have the same."""
        if not self._begun:
            self._begun, self._model, self._id = True, model, id or self._id

    def _delta(self, event: TextDelta) -> bytes:
        self._begun = True
        before = self._lengths.get(event.choice, 0)
        self._lengths[event.choice] = before + len(event.text)
        logprobs = _logprobs(event.logprobs, self._start(event.choice) + before)
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
