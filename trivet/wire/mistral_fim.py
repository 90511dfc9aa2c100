"""Code filled in, asked of Mistral: `prompt` and `suffix` as in plain completions, and answers as in chat completions.

https://docs.mistral.ai/api/endpoint/fim
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from trivet.errors import UnsupportedError
from trivet.types import (
    ChatResponse,
    Complete,
    CompleteResponse,
    Done,
    Event,
    Response,
    Start,
    TextChoice,
    TextDelta,
    UsageUpdate,
    replace,
)
from trivet.wire import Target, openai_chat, openai_errors, sse
from trivet.wire.openai_completions import parse

__all__ = ["PROTOCOL", "Reader", "parse", "read_error", "told", "write"]

PROTOCOL = "mistral-fim"  # no client's own: theirs have other fields, and read answers of another shape
read_error = partial(openai_errors.read_error, protocol=PROTOCOL)
_ITS_OWN = ("min_tokens", "metadata", "prompt_cache_key")
_LABEL = "user"  # of whoever asks: it changes no answer


def write(request: Complete, target: Target) -> dict[str, Any]:
    """The JSON object to send. Raises `UnsupportedError` naming what it has no field for."""
    s = request.sampling
    extra = request.extra
    if request.source is not None:
        extra = {name: value for name, value in extra.items() if name != _LABEL}
    unknown = {
        "n": s.n > 1,
        "logprobs": s.logprobs is not None,
        "top_k": bool(s.top_k),
        "frequency_penalty": bool(s.frequency_penalty),
        "presence_penalty": bool(s.presence_penalty),
        **{name: request.source is not None and name not in _ITS_OWN for name in extra},
    }
    for name, said in unknown.items():
        if said:
            raise UnsupportedError(
                f"{target.provider} takes no {name} where code is filled in: leave it out, or name another model",
                field=name,
            )
    fields = {
        "model": target.model,
        "prompt": request.prompt,
        "suffix": request.suffix,
        "max_tokens": s.max_tokens,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "stop": list(s.stop) or None,
        "random_seed": s.seed,
        "stream": True if target.stream else None,
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(extra)


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Every body is written here."""
    return {"model": target.model}


class Reader:
    """One request's answer."""

    def __init__(self, request: Any, target: Target) -> None:
        self._chat = openai_chat.Reader(request, target)

    def whole(self, body: bytes) -> Response:
        return _completed(self._chat.whole(body))

    def event(self, event: sse.Event) -> Iterable[Event]:
        return _told(self._chat.event(event))

    def end(self) -> Iterable[Event]:
        return _told(self._chat.end())


def _told(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Done):
            yield replace(event, response=_completed(event.response))
        elif isinstance(event, Start | TextDelta | UsageUpdate):
            yield event


def _completed(response: Response) -> CompleteResponse:
    assert isinstance(response, ChatResponse)
    return CompleteResponse(
        model=response.model,
        id=response.id,
        usage=response.usage,
        choices=tuple(
            TextChoice(text=c.message.text, finish_reason=c.finish_reason, stop_sequence=c.stop_sequence)
            for c in response.choices
        ),
        notes=response.notes,
        extra=response.extra,
    )
