"""OpenAI's error shape, which all of its protocols share: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.errors import ContextLengthError, RequestError, TrivetError, UnknownModelError, UnsupportedError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


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
