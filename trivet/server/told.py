"""What an answer says beside its body: headers; and the line of the log."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from trivet.errors import RequestError, TrivetError
from trivet.server.exchange import Exchange
from trivet.types import Attempt, Cost, Response

__all__ = ["LogFormat", "WrongMethod", "cache", "counted", "line", "notes", "of_error", "route"]

LogFormat = Literal["text", "json"]
Header = tuple[bytes, bytes]
_LONGEST, _MOST = 200, 8  # characters of a reason, and attempts, in headers: proxies refuse heads that are too large
_UNFIT = re.compile(r"[\x00-\x20\x7f]+")  # for a header's value, but for the space itself


class WrongMethod(RequestError):
    status = 405

    def __init__(self, message: str, methods: tuple[str, ...]) -> None:
        super().__init__(message)
        self.methods = methods


def notes(told: Sequence[str]) -> list[Header]:
    """What was done differently from what was asked, a header each."""
    return [(b"x-trivet-note", _plain(note)) for note in told]


def route(attempts: Sequence[Attempt]) -> list[Header]:
    """Who answered, and each attempt in its order, a header each; of many the first and the last."""
    lines = [said(attempt) for attempt in attempts]
    if len(lines) > _MOST:
        lines[_MOST // 2 : -_MOST // 2] = [f"{len(lines) - _MOST} more, which the log has"]
    headers = [(b"x-trivet-route", _plain(line)) for line in lines]
    if attempts and attempts[-1].outcome == "answered":
        headers.insert(0, (b"x-trivet-model", _plain(attempts[-1].model)))
    return headers


def counted(response: Response) -> list[Header]:
    """What it cost in USD, `unknown` where nobody knows, and whether it came from trivet's own cache. A stream's head
    is sent before its cost is known: GET /trivet/requests/ID has it."""
    return [*cost(response.cost), *cache(response.cache)]


def cost(cost: Cost | None) -> list[Header]:
    if cost is None:
        return []
    return [(b"x-trivet-cost", b"unknown" if cost.usd is None else f"{cost.usd:f}".encode())]


def cache(state: str | None) -> list[Header]:
    return [(b"x-trivet-cache", b"hit")] if state == "hit" else []


def said(attempt: Attempt) -> str:
    """`openai/gpt-5.5 failed after 0.312 s: …`"""
    took = "" if attempt.took_s is None else f" after {attempt.took_s:.3f} s"
    reason = "" if attempt.reason is None else f": {attempt.reason}"
    if len(reason) > _LONGEST:
        reason = reason[: _LONGEST - 1] + "…"
    return f"{attempt.model} {attempt.outcome}{took}{reason}"


def of_error(error: TrivetError) -> list[Header]:
    """The official clients ask again on their own after some statuses, and heed `x-should-retry`: weights that are
    missing will still be missing."""
    headers = route(error.route)
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", ", ".join(error.methods).encode()))
    if error.status in (408, 409, 429) or error.status >= 500:
        headers.append((b"x-should-retry", b"true" if error.retry else b"false"))
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(wait_s)))  # HTTP has whole seconds
    return headers


def line(exchange: Exchange, format: LogFormat) -> str:
    """For the log. Never the query, in which some clients put their key, and nothing of what is said."""
    status = "left" if exchange.status is None else exchange.status
    took_ms = round((time.monotonic() - exchange.began) * 1000)
    if format == "json":
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request_id": exchange.id,
            "method": exchange.method,
            "path": exchange.path,
            "status": status,
            "took_ms": took_ms,
            "key": exchange.key,
            "cost_usd": None if exchange.cost is None or exchange.cost.usd is None else f"{exchange.cost.usd:f}",
            "route": exchange.route,
        }
        return msgspec.json.encode(fields).decode()
    tried = "".join(f" | {said(attempt)}" for attempt in exchange.route)
    return f"{exchange.id} {exchange.method} {exchange.path!r} {status} {took_ms} ms key={exchange.key or '-'}{tried}"


def _plain(text: str) -> bytes:
    """One line, in what HTTP takes."""
    if text.isascii() and text.isprintable():
        return text.strip().encode()
    return _UNFIT.sub(" ", text.replace("…", "...")).strip().encode("latin-1", "replace")
