"""Anthropic's errors read, by status and body. Their shape is that of Anthropic's published API reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trivet.errors import (
    AuthError,
    ContextLengthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    RequestError,
    TrivetError,
    UnknownModelError,
)
from trivet.types import (
    Source,
)
from trivet.wire import Target, anthropic

TARGET = Target(model="m", provider="up", family="anthropic", stream=True)


def failure(status: int, kind: str, message: str, **headers: str) -> TrivetError:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()
    return anthropic.read_error(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, TARGET)


@pytest.mark.parametrize(
    ("status", "error", "seen"),
    [
        (400, RequestError, 400),
        (401, AuthError, 502),
        (402, AuthError, 502),
        (403, AuthError, 502),
        (404, RequestError, 404),
        (413, RequestError, 413),
        (429, RateLimitError, 429),
        (500, ProviderError, 502),
        (503, OverloadedError, 503),
        (504, ProviderError, 502),
        (529, OverloadedError, 503),
    ],
)
def test_each_status_is_an_error_of_its_own(status: int, error: type[TrivetError], seen: int) -> None:
    got = failure(status, "x", "no")
    assert type(got) is error
    assert got.status == seen
    if isinstance(got, ProviderError):
        assert got.provider_status == status


def test_an_error_says_how_long_to_wait_and_which_request_it_was() -> None:
    error = failure(429, "rate_limit_error", "slow", retry_after="7", request_id="req_1")
    assert isinstance(error, RateLimitError)
    assert (error.retry_after_s, error.request_id) == (7, "req_1")


def test_a_field_is_named_as_we_name_it() -> None:
    error = failure(400, "invalid_request_error", "messages.0.content.1.text: must not be empty")
    assert isinstance(error, RequestError)
    assert error.field == "messages[0].content[1].text"


def test_a_model_that_is_not_there_is_an_unknown_model() -> None:
    assert isinstance(failure(404, "not_found_error", "model: claude-x"), UnknownModelError)


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("prompt is too long: 215000 tokens > 200000 maximum", (215000, 200000)),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease", (190000, 200000)),
        ("Prompt is too long", (None, None)),
    ],
)
def test_a_prompt_too_long_is_told_with_its_numbers(message: str, numbers: Any) -> None:
    error = failure(400, "invalid_request_error", message)
    assert isinstance(error, ContextLengthError)
    assert (error.prompt_tokens, error.context_tokens) == numbers


def test_the_body_goes_to_clients_of_the_protocol_but_for_that_of_a_refused_key() -> None:
    error = failure(400, "invalid_request_error", "no")
    assert isinstance(error.raw, Source)
    assert (error.raw.protocol, json.loads(error.raw.body)["error"]["message"]) == ("anthropic", "no")
    refused = failure(401, "authentication_error", "bad key sk-1")
    assert refused.raw is None
    assert "sk-1" not in str(refused)


def test_an_error_of_no_known_shape_says_so() -> None:
    for body in (b"", b"<html>", b"{}", b"[1]", b'{"error": 7}', b"\xff"):
        error = anthropic.read_error(400, {}, body, TARGET)
        assert type(error) is ProviderError
        assert error.raw is None
        assert "400" in str(error)
