"""Anthropic's error shape, which all of its protocols share: `{"type": "error", "error": {"type", "message"}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import (
    AuthError,
    ContextLengthError,
    RequestError,
    TrivetError,
    UnknownModelError,
)
from trivet.types import Source
from trivet.wire import Target, statuses

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

# --- ours, for a client -----------------------------------------------------------------------------------------


def shape(error: TrivetError) -> dict[str, Any]:
    """The whole object. The protocol has no field for the path of the value at fault, so the message has it."""
    message, field = error.message, error.field if isinstance(error, RequestError) else None
    if field is not None and field not in message:
        message = f"{field}: {message}"
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": error.answers}


def error(error: TrivetError) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(shape(error))


# --- a provider's, for us ---------------------------------------------------------------------------------------

# What an error in mid-stream, which has no status, calls itself.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# "prompt is too long: 215000 tokens > 200000 maximum"
_TOO_LONG = re.compile(r"(?:prompt|input) is too long(?:\D*(\d+) tokens > (\d+))?", re.I)
# "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, ..."
_NO_ROOM = re.compile(r"exceed context limit\D*(\d+) \+ \d+ > (\d+)", re.I)
_FIELD = re.compile(r"([a-z_]+(?:\.[\w-]+)*): ")


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target, *, protocol: str) -> TrivetError:
    """The answer of a provider that speaks `protocol`, with a status of 400 or more. `headers` by lower-case name."""
    message = _message(body)
    error = _error(status, headers, body, target, message)
    if message is not None and not isinstance(error, AuthError):
        error.raw = Source(protocol=protocol, body=body)
    return error


def stream_error(body: bytes, target: Target, protocol: str) -> TrivetError:
    """An error that comes as an event or in place of an answer, where its type stands for the status."""
    inner = msgspec.json.decode(body).get("error")
    kind = inner.get("type") if isinstance(inner, dict) else None
    return read_error(_STATUSES.get(str(kind), 500), {}, body, target, protocol=protocol)


def _message(body: bytes) -> str | None:
    """What the error says; None where it has not the protocol's shape."""
    try:
        message = msgspec.json.decode(body)["error"]["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        return None
    return message if isinstance(message, str) else None


def _error(status: int, headers: Mapping[str, str], body: bytes, target: Target, message: str | None) -> TrivetError:
    if statuses.blames_request(status) and message is not None:
        return _refusal(status, message, target)
    request_id = headers.get("request-id")
    said = message or statuses.UNREADABLE
    return statuses.failure(status, said, target, headers=headers, body=body, request_id=request_id)


def _refusal(status: int, message: str, target: Target) -> TrivetError:
    """What is wrong with the request."""
    if status == 404 and "model" in message.lower():
        return UnknownModelError(f"{target.provider} has no model {target.model!r} for this key: {message}")
    found = _FIELD.match(message)
    field = None if found is None else re.sub(r"\.(\d+)", r"[\1]", found[1])
    long = _TOO_LONG.search(message) or _NO_ROOM.search(message)
    if long is not None:
        prompt, context = (None if n is None else int(n) for n in long.groups())
        return ContextLengthError(
            f"{target.provider}: {message}", prompt_tokens=prompt, context_tokens=context, field=field
        )
    return RequestError(f"{target.provider} refuses the request: {message}", field=field, status=status)
