"""The error tree is what its docstring draws, and its attributes are what server, retry and router go by."""

from __future__ import annotations

import re

import pytest

from trivet import errors
from trivet.errors import ContextLengthError, ProviderError, RequestError, TrivetError, UnknownModelError

TREE = {name: getattr(errors, name) for name in errors.__all__}


def test_the_docstring_draws_every_class_below_its_parent() -> None:
    drawn: dict[str, str] = {}
    trail: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"[\s│├└]*([A-Z]\w+Error)\b", line)
        if found:
            depth = found.start(1)
            trail = [t for t in trail if t[0] < depth]
            drawn[found[1]] = trail[-1][1] if trail else "Exception"
            trail.append((depth, found[1]))
    assert drawn == {name: cls.__base__.__name__ for name, cls in TREE.items()}


@pytest.mark.parametrize(
    ("name", "status", "retry", "fallback"),
    [  # from the design: ../shared/design.md, "Errors"
        ("ConfigError", 500, False, False),
        ("RequestError", 400, False, False),
        ("UnknownModelError", 404, False, False),
        ("ContextLengthError", 400, False, True),
        ("UnsupportedError", 400, False, True),
        ("ProviderError", 502, True, True),
        ("AuthError", 502, False, True),
        ("RateLimitError", 429, True, True),
        ("OverloadedError", 503, True, True),
        ("TransportError", 502, True, True),
        ("BudgetError", 429, False, False),
        ("WeightsError", 503, False, True),
    ],
)
def test_each_class_says_status_retry_and_fallback(name: str, status: int, retry: bool, fallback: bool) -> None:
    cls = TREE[name]
    assert (cls.status, cls.retry, cls.fallback) == (status, retry, fallback)


def test_errors_carry_what_is_known() -> None:
    error = ProviderError("p failed", provider="p", provider_status=529, request_id="r", retry_after_s=2.0, body=b"b")
    assert (error.message, error.provider, error.provider_status) == ("p failed", "p", 529)
    assert (error.request_id, error.retry_after_s, error.body) == ("r", 2.0, b"b")
    long = ContextLengthError("too long", prompt_tokens=9, context_tokens=8)
    assert (long.prompt_tokens, long.context_tokens, long.field) == (9, 8, None)
    assert UnknownModelError("no", nearest="yes").field == "model"
    assert RequestError("big", status=413).status == 413
    assert RequestError.status == 400
    assert isinstance(long, TrivetError)
