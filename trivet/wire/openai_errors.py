"""OpenAI's error shape, which all of its protocols share: `{"error": {"message", "type", "param", "code"}}`.

Read, it is whatever compatible hosts make of it: the object itself, an error that is a text, a list of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trivet.errors import (
    AuthError,
    ContextLengthError,
    ProviderError,
    RequestError,
    TrivetError,
    UnknownModelError,
    UnsupportedError,
)
from trivet.types import Source
from trivet.wire import Target, statuses

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

# --- ours, for a client ------------------------------------------------------------------------------------


def shape(error: TrivetError) -> dict[str, Any]:
    """The object under `error`."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    param = error.field if isinstance(error, RequestError) else None
    return {"message": error.message, "type": kind, "param": param, "code": _code(error)}


def error(error: TrivetError) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode({"error": shape(error)})


def _code(error: TrivetError) -> str | None:
    if isinstance(error, UnknownModelError):
        return "model_not_found"
    if isinstance(error, ContextLengthError):
        return "context_length_exceeded"
    if isinstance(error, UnsupportedError):
        return "unsupported_value"
    return {401: "invalid_api_key", 413: "request_too_large", 429: "rate_limit_exceeded"}.get(error.status)


# --- a provider's, for us ----------------------------------------------------------------------------------

_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|prompt is too long|too many (input )?tokens|input is too long",
    re.I,
)
# Where a message tells the limit, and the prompt's own length; the first that is found counts.
_LIMITS = (re.compile(r"(?:context (?:length|window|size)|maximum|limit)\D{0,40}?(\d[\d,]*)", re.I),)
_PROMPTS = (
    re.compile(r"(\d[\d,]*) (?:in|from) the (?:messages|prompt|input)", re.I),
    re.compile(r"(\d[\d,]*) (?:input|prompt) tokens", re.I),
    re.compile(r"(?:resulted in|requested|prompt (?:contains|has)|request)\D{0,30}?(\d[\d,]*)", re.I),
)
_STATUSES = {**statuses.STATUSES, 498: statuses.OVERLOADED}  # Groq's
_NOWHERE: statuses.Table = {
    404: (ProviderError, "{who} has nothing at this address ({status}): check base_url under [providers.{who}]")
}
# What an error in mid-stream, which has no status, calls itself.
_KINDS = {
    "rate_limit": 429,
    "insufficient_quota": 429,
    "authentication": 401,
    "invalid_api_key": 401,
    "permission": 403,
    "overloaded": 503,
    "unavailable": 503,
    "invalid_request": 400,
    "context_length": 400,
}


class _Told:
    """What an error's body says, in whichever shape."""

    def __init__(self, body: bytes) -> None:
        self.message: str | None = None
        self.param: str | None = None
        self.kind = ""  # `code` and `type`, for a search
        self.fields: Mapping[str, Any] = {}
        self.is_json = False
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self.is_json = True
        data = data[0] if isinstance(data, list) and data else data
        inner = data.get("error", data) if isinstance(data, dict) else data
        if isinstance(inner, str):
            self.message = inner
        elif isinstance(inner, dict):
            self.fields = inner
            message = inner.get("message", inner.get("detail"))
            if message is not None:
                self.message = message if isinstance(message, str) else msgspec.json.encode(message).decode()
            param = inner.get("param")
            self.param = param if isinstance(param, str) else None
            self.kind = f"{inner.get('code')} {inner.get('type')}"

    def number(self, name: str, patterns: Sequence[re.Pattern[str]]) -> int | None:
        """A count of tokens: the field's, else the message's."""
        if isinstance(self.fields.get(name), int):
            return int(self.fields[name])
        found = next((f for pattern in patterns if (f := pattern.search(self.message or ""))), None)
        return int(found[1].replace(",", "")) if found else None


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target, *, protocol: str) -> TrivetError:
    """The answer of a provider that speaks `protocol`, with a status of 400 or more. `headers` by lower-case name."""
    told = _Told(body)
    error = _error(status, headers, body, target, told)
    if told.is_json and not isinstance(error, AuthError):  # a proxy's web page is nobody's protocol
        error.raw = Source(protocol=protocol, body=body)
    return error


def stream_error(body: bytes, target: Target, *, protocol: str) -> TrivetError:
    """An error that a provider tells in the middle of a stream, where only its own words say which kind it is."""
    told = _Told(body)
    code = told.fields.get("code")
    number = int(code) if isinstance(code, int | str) and re.fullmatch(r"[45]\d\d", str(code)) else None
    named = next((status for kind, status in _KINDS.items() if kind in told.kind.lower()), 500)
    return read_error(number or named, {}, body, target, protocol=protocol)


def _error(status: int, headers: Mapping[str, str], body: bytes, target: Target, told: _Told) -> TrivetError:
    if statuses.blames_request(status, _STATUSES):
        refusal = _refusal(status, told, target)
        if refusal is not None:
            return refusal
    request_id = headers.get("x-request-id")
    said = told.message or statuses.UNREADABLE
    return statuses.failure(
        status, said, target, headers=headers, body=body, request_id=request_id, table={**_STATUSES, **_NOWHERE}
    )


def _refusal(status: int, told: _Told, target: Target) -> TrivetError | None:
    """What is wrong with the request; None where its address is what is wrong."""
    said = told.message or f"no message, and the status {status}"
    if "model_not_found" in told.kind or (status == 404 and "model" in f"{told.message} {told.param}".lower()):
        return UnknownModelError(f"{target.provider} has no model {target.model!r} for this key: {said}")
    if status == 404 and told.message is None:
        return None
    if "context_length" in told.kind or "context_size" in told.kind or _TOO_LONG.search(told.message or ""):
        return ContextLengthError(
            f"{target.provider}: {said}",
            prompt_tokens=told.number("n_prompt_tokens", _PROMPTS),
            context_tokens=told.number("n_ctx", _LIMITS),
            field=told.param,
        )
    return RequestError(f"{target.provider} refuses the request: {said}", field=told.param, status=status)
