"""What is here already goes out together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from trivet.server.ahead import Ahead
from trivet.server.exchange import BREATH, Exchange


class Log(list[str]):
    async def flush(self) -> None:
        self.append("flush")


async def items(*waits: bool, log: Log) -> AsyncGenerator[int, None]:
    try:
        for n, wait in enumerate(waits):
            if wait:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            yield n
    finally:
        log.append("closed")


async def test_it_is_flushed_before_a_wait_and_only_then() -> None:
    log = Log()
    async for n in Ahead(items(False, False, True, False, True, log=log), log.flush):
        log.append(str(n))
    assert log == ["0", "1", "flush", "2", "3", "flush", "4", "closed"]


async def test_a_future_that_is_done_by_the_end_of_the_flush_is_not_missed() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def one() -> AsyncGenerator[str, None]:
        yield await future

    async def flush() -> None:
        future.set_result("done")
        await asyncio.sleep(0)

    assert [item async for item in Ahead(one(), flush)] == ["done"]


async def test_a_cancellation_during_the_wait_reaches_the_items() -> None:
    log, waiting = Log(), asyncio.Event()

    async def never() -> AsyncGenerator[int, None]:
        try:
            waiting.set()
            await asyncio.Event().wait()
            yield 0
        except asyncio.CancelledError:
            log.append("told")
            await asyncio.sleep(0)  # cleaning up may wait
            log.append("cleaned")
            raise

    async def use() -> None:
        async with aclosing(never()) as events:
            async for _ in Ahead(events, log.flush):
                pass

    task = asyncio.ensure_future(use())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["flush", "told", "cleaned"]


async def test_a_flush_that_fails_ends_the_items_and_is_raised() -> None:
    log = Log()

    async def flush() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        async for _ in Ahead(items(True, log=log), flush):
            pass
    assert log == ["closed"]


async def test_an_error_of_the_items_is_raised() -> None:
    async def fails() -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.sleep(0)
        raise ValueError("broken")

    log = Log()
    ahead = Ahead(fails(), log.flush)
    assert await anext(ahead) == 0
    with pytest.raises(ValueError, match="broken"):
        await anext(ahead)
    assert log == ["flush"]


async def written(*chunks: bytes) -> list[Any]:
    """What an exchange has sent after these writes, without a flush."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", message["type"]))

    exchange = Exchange({"method": "POST", "path": "/", "headers": []}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    for chunk in chunks:
        await exchange.write(chunk)
    before = list(sent)
    await exchange.write(b".", more=False)
    assert b"".join(s for s in sent if isinstance(s, bytes)) == b"".join(chunks) + b".", "in order, and nothing lost"
    return before


async def test_the_first_bytes_go_out_at_once_and_the_others_together() -> None:
    assert await written(b"a", b"b", b"c") == ["http.response.start", b"a"]


async def test_nobody_waits_for_more_than_a_breath() -> None:
    assert await written(b"a", *[b"b"] * BREATH, b"c") == ["http.response.start", b"a", b"b" * BREATH]
