"""What GET answers of what has been counted: one request's row of the ledger, and the metrics for Prometheus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from trivet.errors import RequestError

if TYPE_CHECKING:
    from trivet.counting import Counting
    from trivet.server.exchange import Exchange

__all__ = ["metrics", "request"]


async def request(exchange: Exchange, counting: Counting, id: str) -> None:
    """One request's row, to whoever has asked it: a key sees its own requests, and nobody those of others."""
    row = await asyncio.to_thread(counting.store.fetch, id)
    if row is None or row.key != exchange.key:
        problem = counting.store.problem
        why = f" ({problem})" if problem else "; it is written down when the request is over"
        raise RequestError(f"there is no request {id!r} of yours in the ledger{why}", status=404)
    fields = {name: getattr(row, name) for name in row.__struct_fields__}  # all of them: what is unknown is null
    await exchange.respond(200, msgspec.json.encode(fields))


async def metrics(exchange: Exchange, counting: Counting) -> None:
    kind, body = await asyncio.to_thread(counting.metrics.render, exchange.headers.get(b"accept", b""))
    await exchange.respond(200, body, content_type=kind)
