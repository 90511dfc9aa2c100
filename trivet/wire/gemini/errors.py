"""Google's error shape, `{"error": {"code", "message", "status", "details"}}`: written, and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trivet.errors import (
    AuthError,
    ContextLengthError,
    ProviderError,
    RequestError,
    TrivetError,
    UnknownModelError,
)
from trivet.types import Source
from trivet.wire import Target, statuses

PROTOCOL = "gemini"
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_NO_ERROR: statuses.Row = (
    ProviderError,
    "{who} answers {status} with a body that is no error of Gemini's: check base_url under [providers.{who}]",
)
_RPC = "type.googleapis.com/google.rpc."
# "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
_TOO_LONG = re.compile(r"token count\D*(\d+)?\D*exceeds the maximum number of tokens\D*(\d+)?", re.I)


def shape(error: TrivetError) -> dict[str, Any]:
    """The whole object, with the path of the field at fault where there is one."""
    status = error.status
    kind = _STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    told: dict[str, Any] = {"code": status, "message": error.message, "status": kind}
    details: list[dict[str, Any]] = []
    if isinstance(error, RequestError) and error.field is not None:
        violation = {"field": error.field, "description": error.message}
        details.append({"@type": _RPC + "BadRequest", "fieldViolations": [violation]})
    if isinstance(error, ProviderError) and error.retry_after_s is not None:
        details.append({"@type": _RPC + "RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    return {"error": told | ({"details": details} if details else {})}


def error(error: TrivetError) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(shape(error))


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> TrivetError:
    """The provider's answer with a status of 400 or more."""
    told = _told(body)
    made = _made(status, headers, told, body, target)
    if told is not None and not isinstance(made, AuthError):
        made.raw = Source(protocol=PROTOCOL, body=body)
    return made


def _made(
    status: int, headers: Mapping[str, str], told: dict[str, Any] | None, body: bytes, target: Target
) -> TrivetError:
    details = _details(told)
    said = (told or {}).get("message")
    said = said if isinstance(said, str) and said else f"no message, and the status {status}"
    table = dict(statuses.STATUSES)
    if any(d.get("reason") == "API_KEY_INVALID" for d in details):
        table[status] = statuses.KEY  # Google's status for it is 400
    if statuses.blames_request(status, table):
        if told is not None:
            return _refusal(status, said, details, target)
        table[status] = _NO_ERROR
    return statuses.failure(
        status,
        said,
        target,
        headers=headers,
        body=body,
        request_id=headers.get("x-request-id") or headers.get("x-goog-request-id"),
        wait_s=_wait_s(details),
        table=table,
    )


def _refusal(status: int, said: str, details: list[dict[str, Any]], target: Target) -> TrivetError:
    """What is wrong with the request."""
    message = f"{target.provider}/{target.model}: {said}"
    if status == 404:
        return UnknownModelError(message)
    if found := _TOO_LONG.search(message):
        prompt, most = (int(n) if n else None for n in found.groups())
        return ContextLengthError(message, prompt_tokens=prompt, context_tokens=most, field="contents")
    return RequestError(message, field=_field(details), status=status)


def _told(body: bytes) -> dict[str, Any] | None:
    """What is under `error`; a stream without server-sent events has it in a list."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    told = value.get("error") if isinstance(value, dict) else None
    return told if isinstance(told, dict) else None


def _details(told: dict[str, Any] | None) -> list[dict[str, Any]]:
    details = (told or {}).get("details")
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []


def _field(details: list[dict[str, Any]]) -> str | None:
    for detail in details:
        for violation in detail.get("fieldViolations") or []:
            if isinstance(violation, dict) and isinstance(violation.get("field"), str):
                return str(violation["field"])
    return None


def _wait_s(details: list[dict[str, Any]]) -> float | None:
    """Google's `RetryInfo`, which has it as `12.5s`."""
    for detail in details:
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay"))):
            return float(found[1])
    return None
