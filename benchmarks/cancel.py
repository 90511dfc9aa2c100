"""How long the slot of a cancelled request is still taken, by the engine's own word."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from benchmarks.pairs import PAIRS, Row, at_most, progress
from benchmarks.prompts import Prompts
from benchmarks.sides import chat
from trivet.local.llama import Llama
from trivet.types import TextDelta


async def in_decode(model: Llama, prompts: Prompts) -> list[Row]:
    seconds = []
    for i in range(PAIRS):
        progress("cancelled in decode", i + 1, PAIRS)
        got = asyncio.Event()
        task = asyncio.create_task(_read(model, prompts.new(48), 4000, 10 + i, got))
        await got.wait()
        seconds.append(await _cancel(model, task))
    return [_row("cancelled in decode, until the slot is free", 0.5, seconds)]


async def in_prefill(model: Llama, prompts: Prompts) -> list[Row]:
    """Cancelled at another point of the first thousand tokens each time, of a prompt that goes on beyond them."""
    begin = time.perf_counter()
    await _read(model, prompts.new(1000), 1, 1, asyncio.Event())
    cold = time.perf_counter() - begin
    seconds = []
    for i in range(PAIRS):
        progress("cancelled in prefill", i + 1, PAIRS)
        got = asyncio.Event()
        task = asyncio.create_task(_read(model, prompts.new(3000), 1, 1, got))
        await asyncio.sleep(cold * (i + 1) / PAIRS)
        if got.is_set() or not await _busy(model):
            raise RuntimeError("the prompt was over before it was cancelled: the machine has other work, run it again")
        seconds.append(await _cancel(model, task))
    return [_row("cancelled in prefill, until the slot is free", 1.0, seconds)]


async def _read(model: Llama, prompt: str, tokens: int, pieces: int, got: asyncio.Event) -> None:
    """Sets `got` when the `pieces`th piece of text is there."""
    async for event in model.stream(chat(prompt, tokens)):
        if isinstance(event, TextDelta):
            pieces -= 1
            if pieces == 0:
                got.set()


async def _cancel(model: Llama, task: asyncio.Task[None]) -> float:
    begin = time.perf_counter()
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        raise RuntimeError("the request was over before it was cancelled")
    while await _busy(model):
        pass
    return time.perf_counter() - begin


async def _busy(model: Llama) -> bool:
    slots = cast(Any, await asyncio.to_thread(model.engine._http, "/slots", None))
    return model.slots.busy > 0 or any(slot["is_processing"] for slot in slots)


def _row(what: str, target: float, seconds: list[float]) -> Row:
    return at_most(target, "s", what, seconds, f"at worst {max(seconds):.3f} s", digits=3)
