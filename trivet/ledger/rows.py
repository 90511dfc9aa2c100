"""What the ledger keeps of a request: a row of the request, and one of each attempt to answer it."""

from __future__ import annotations

from typing import Literal

from trivet.types import Attempt, Cost, Usage, Value

__all__ = ["AttemptRow", "CacheState", "Outcome", "Row"]

# `cancelled`: whoever asked has left. `refused`: nobody was asked, because of a budget, a limit or a wrong request.
Outcome = Literal["answered", "failed", "cancelled", "refused"]
# Of trivet's own cache of answers. `stored` was a miss, and is there from now on; `none`: it was not looked at.
CacheState = Literal["none", "miss", "stored", "hit"]


class AttemptRow(Value, frozen=True, kw_only=True):
    """One model that was asked. `model` is its name here (`openai/gpt-5.5`), `said_model` what its answer says.
    `began_s` counts from the request's own beginning. `error` is the class of what it failed with."""

    model: str
    outcome: Outcome
    began_s: float
    took_s: float
    first_content_s: float | None = None
    error: str | None = None
    said_model: str | None = None
    response_id: str | None = None
    usage: Usage = Usage()
    cost: Cost = Cost()


class Row(Value, frozen=True, kw_only=True):
    """One request. `at` is when it came, in seconds since 1970; `asked` is the name that was asked for, `model` who
    answered, None where nobody has. `key` is the name of the client's key. `usage` and `cost` are those of all
    attempts together. `first_content_s` and `took_s` count from its beginning. `status` is the HTTP status that goes
    with the outcome, `error` its class. `route` also tells who was not asked, and why. `prefix` is a digest of what
    the prompt begins with (tools and system prompt) where that is long, `prefix_chars` its length."""

    id: str
    at: float
    task: str
    asked: str
    outcome: Outcome
    took_s: float
    status: int = 200
    model: str | None = None
    key: str | None = None
    session: str | None = None
    stream: bool = False
    usage: Usage = Usage()
    cost: Cost = Cost()
    audio_s: float | None = None
    first_content_s: float | None = None
    error: str | None = None
    cache: CacheState = "none"
    prefix: str | None = None
    prefix_chars: int | None = None
    route: tuple[Attempt, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
