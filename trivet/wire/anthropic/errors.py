"""Anthropic's error shape, which all of its protocols share: `{"type": "error", "error": {"type", "message"}}`."""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.errors import RequestError, TrivetError

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


def shape(error: TrivetError) -> dict[str, Any]:
    """The whole object. The protocol has no field for the path of the value at fault, so the message has it."""
    message, field = error.message, error.field if isinstance(error, RequestError) else None
    if field is not None and field not in message:
        message = f"{field}: {message}"
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": None}


def error(error: TrivetError) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(shape(error))
