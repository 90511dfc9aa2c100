"""What HTTP statuses mean is the same in every protocol; where one deviates, it is said here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trivet.errors import AuthError, OverloadedError, ProviderError, RateLimitError, RequestError, TrivetError
from trivet.wire import Target, anthropic, gemini, openai_chat

READERS: dict[str, Any] = {"anthropic": anthropic, "gemini": gemini, "openai": openai_chat}
MEANINGS = {
    400: RequestError,
    401: AuthError,
    402: AuthError,
    403: AuthError,
    408: ProviderError,
    413: RequestError,
    429: RateLimitError,
    500: ProviderError,
    502: ProviderError,
    503: OverloadedError,
    504: ProviderError,
    529: OverloadedError,
}


def read(protocol: str, status: int, headers: dict[str, str] | None = None) -> TrivetError:
    body = msgspec.json.encode({"error": {"message": "{no}", "type": "x"}})
    target = Target(model="m", provider="up", family=protocol, stream=False)
    error: TrivetError = READERS[protocol].read_error(status, headers or {}, body, target)
    return error


@pytest.mark.parametrize("protocol", READERS)
@pytest.mark.parametrize(("status", "kind"), MEANINGS.items())
def test_a_status_means_the_same_in_every_protocol(protocol: str, status: int, kind: type[TrivetError]) -> None:
    error = read(protocol, status)
    assert type(error) is kind
    assert error.message.startswith("up")
    assert ("{no}" in error.message) is (kind is not AuthError)  # whose words may have the key in them


@pytest.mark.parametrize("protocol", READERS)
def test_what_failed_may_be_asked_again_and_what_is_not_there_may_not(protocol: str) -> None:
    assert [read(protocol, status).retry for status in (500, 502, 504, 408, 429, 529)] == [True] * 6
    assert [read(protocol, status).retry for status in (400, 401, 404)] == [False] * 3


@pytest.mark.parametrize(("protocol", "kind"), [("openai", OverloadedError), ("anthropic", RequestError)])
def test_groqs_own_status_means_overloaded_in_openais_protocols_alone(protocol: str, kind: type[TrivetError]) -> None:
    assert type(read(protocol, 498)) is kind


@pytest.mark.parametrize("protocol", READERS)
@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),  # RFC 9110's example of a date
        ({"retry-after": "soon"}, None),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    protocol: str, headers: dict[str, str], wait_s: float | None
) -> None:
    error = read(protocol, 429, headers)
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == wait_s
