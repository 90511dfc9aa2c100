"""Which of trivet's errors a provider's HTTP status is, in every protocol.

A protocol, or an answer, that deviates has a table of its own, which is this one with other rows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from trivet.errors import AuthError, OverloadedError, ProviderError, RateLimitError
from trivet.wire import Target

# The error, and what it says: `who` is the provider, `said` its own words, which those about the key leave out, since
# they may repeat it.
Row = tuple[type[ProviderError], str]
Table = Mapping[int, Row]

KEY: Row = (AuthError, "{who} refuses the key that trivet has for it ({status}): check it under [providers.{who}]")
OVERLOADED: Row = (OverloadedError, "{who} is overloaded ({status}): {said}")
FAILED: Row = (ProviderError, "{who} fails with {status}: {said}")

STATUSES: Table = {
    401: KEY,
    402: (AuthError, "{who} wants to be paid before it answers ({status}): look at the account's credit"),
    403: KEY,
    408: FAILED,  # it has waited too long, which is no word against the request
    429: (RateLimitError, "{who} limits the rate: {said}"),
    503: OVERLOADED,
    529: OVERLOADED,  # Anthropic's, which others have taken up
}

UNREADABLE = "an error in no shape that trivet knows"  # for `said`


def blames_request(status: int, table: Table = STATUSES) -> bool:
    """Whether it is the request that is wrong: then the body says what of it."""
    return 400 <= status < 500 and status not in table


def failure(
    status: int,
    said: str,
    target: Target,
    *,
    headers: Mapping[str, str],
    body: bytes,
    request_id: str | None,
    wait_s: float | None = None,
    table: Table = STATUSES,
) -> ProviderError:
    """Any other status. `headers` by lower-case name; `wait_s` is for where they do not say how long to wait."""
    kind, words = table.get(status, FAILED)
    waits = retry_after_s(headers)
    error = kind(
        words.format(who=target.provider, status=status, said=said),
        provider=target.provider,
        provider_status=status,
        request_id=request_id,
        retry_after_s=wait_s if waits is None else waits,
        body=body,
    )
    if status in (404, 405):  # nothing is there, and will not be a second later
        error.retry = False
    return error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long a provider says to wait, in seconds."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
