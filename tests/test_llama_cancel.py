"""Who leaves is stopped, wherever the request is, and the slot goes to who comes next."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import anyio
import pytest

from tests.engines import CEILING_S, all_free, chat, complete, idle, opened, opening
from trivet.errors import ConfigError, TransportError
from trivet.local.llama import Llama
from trivet.local.llama import body as bodies
from trivet.local.llama.engine import Engine, _Running
from trivet.types import Chat, Complete, Done, Embed, Request, Sampling, Start, TextDelta, user

SHORT = Sampling(temperature=0, max_tokens=2)
ENDLESS = {"ignore_eos": True}  # until the context is full


def endless(text: str = "Write") -> Complete:
    return Complete(prompt=text, extra=ENDLESS)


async def begun(model: Llama, request: Request) -> Any:
    """A stream that has given its first content; close it."""
    stream = model.stream(request)
    async for event in stream:
        if event.content:
            break
    return stream


async def test_leaving_in_decode_stops_the_engine(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks: list[object] = []
    real = _Running._chunk
    monkeypatch.setattr(_Running, "_chunk", lambda self, chunk: chunks.append(chunk) or real(self, chunk))
    stream = await begun(llama, endless())
    assert llama.slots.busy == 1
    await stream.aclose()
    await idle(llama)
    assert len(chunks) < 500  # to its end it would have been a thousand
    assert (await chat(llama, "Hi", sampling=SHORT)).text


async def test_leaving_in_prefill_stops_the_engine_after_a_batch_or_so(llama: Llama) -> None:
    prompt = " ".join(f"{i} apples" for i in range(110))
    body = bodies.complete(Complete(prompt=prompt, sampling=SHORT), await llama._limits())
    async with aclosing(llama.engine.stream("complete", body)) as chunks:
        async for chunk in chunks:
            progress = chunk["prompt_progress"]
            assert progress["processed"] < progress["total"]
            break
    await all_free(llama)
    again = await complete(llama, prompt, sampling=SHORT)
    seen = again.usage.cache_read_tokens
    assert seen is not None
    assert seen < progress["total"] - 64  # the rest of the prompt was never read


async def test_the_start_of_a_stream_comes_before_the_prompt_is_read(llama: Llama) -> None:
    prompt = " ".join(f"{i} pears" for i in range(110))
    async with aclosing(llama.stream(Complete(prompt=prompt, sampling=SHORT))) as events:
        assert isinstance(await anext(events), Start)
    await all_free(llama)
    assert (await chat(llama, "Hi", sampling=SHORT)).text


async def test_a_cancelled_task_stops_the_engine(llama: Llama) -> None:
    content = asyncio.Event()

    async def read() -> None:
        async with aclosing(llama.stream(endless())) as events:
            async for event in events:
                if event.content:
                    content.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(content.wait(), CEILING_S)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await all_free(llama)


async def test_leaving_while_waiting_leaves_the_queue(llama: Llama) -> None:
    holders = [await begun(llama, endless(f"Write {i}")) for i in range(4)]
    waiting = asyncio.create_task(chat(llama, "Hi", sampling=SHORT))
    behind = asyncio.create_task(chat(llama, "Hello", sampling=SHORT))
    await until(lambda: len(llama.slots._waiting) == 2)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert (len(llama.slots._waiting), llama.slots.busy) == (1, 4)
    for holder in holders:
        await holder.aclose()
    assert (await asyncio.wait_for(behind, CEILING_S)).text
    await all_free(llama)


async def until(true: Any) -> None:
    """Lets other tasks run until something of theirs is so."""
    async with asyncio.timeout(CEILING_S):
        while not true():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0)


async def test_a_request_of_several_choices_gives_all_its_slots_back(llama: Llama) -> None:
    sampling = Sampling(n=3)
    stream = await begun(llama, Chat(messages=(user("Write"),), sampling=sampling, extra=ENDLESS))
    assert llama.slots.busy == 3
    await stream.aclose()
    await all_free(llama)


async def test_more_requests_than_slots_are_answered_in_order(tooled: Llama) -> None:
    started: list[int] = []
    holder = await begun(tooled, endless())

    async def ask(number: int) -> None:
        async with aclosing(tooled.stream(Complete(prompt=f"{number}", sampling=SHORT))) as events:
            async for event in events:
                if isinstance(event, Start):
                    started.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(ask(number)))
        await until(lambda: len(tooled.slots._waiting) == len(tasks))
    assert started == []
    await holder.aclose()
    await asyncio.wait_for(asyncio.gather(*tasks), CEILING_S)
    assert started == [0, 1, 2, 3, 4]


async def test_of_64_requests_half_leave_and_no_slot_stays_busy(llama: Llama) -> None:
    async def ask(number: int) -> bool:
        request = Complete(prompt=f"Number {number}:", sampling=Sampling(max_tokens=4, seed=number))
        async with aclosing(llama.stream(request)) as events:
            async for event in events:
                if number % 4 == 1 and isinstance(event, Start):
                    return False
                if number % 4 == 3 and isinstance(event, TextDelta):
                    return False
                if isinstance(event, Done):
                    return True
        raise AssertionError("no end")

    answered = await asyncio.wait_for(asyncio.gather(*(ask(i) for i in range(64))), CEILING_S)
    assert answered == [i % 2 == 0 for i in range(64)]
    await idle(llama)
    assert (await chat(llama, "Hi", sampling=SHORT)).text


async def test_a_cancelled_embedding_gives_its_slot_back(llama: Llama) -> None:
    task = asyncio.create_task(llama.call(Embed(texts=("word " * 150,) * 3)))
    await until(lambda: llama._embedder.slots.busy or task.done())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(CEILING_S):
        await llama._embedder.slots.take(1)
    llama._embedder.slots.give(1)


# --- close -------------------------------------------------------------------------------------------------


async def test_closing_ends_what_is_under_way_with_an_error_and_returns() -> None:
    async with opening(slots=1) as model:
        stream = await begun(model, endless())
        waiting = asyncio.create_task(chat(model, "Hi", sampling=SHORT))
        await until(lambda: len(model.slots._waiting) == 1)
        await asyncio.wait_for(model.close(), CEILING_S)
        with pytest.raises(TransportError, match="closed"):
            async for _ in stream:
                pass
        with pytest.raises((TransportError, ConfigError), match="closed"):
            await asyncio.wait_for(waiting, CEILING_S)
        assert model.slots.busy == 0


@pytest.mark.parametrize("embedding", [False, True])
async def test_an_engine_is_loaded_once_its_loop_has_answered(embedding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed before its loop has begun, it is waited for in vain, with the GIL held: beside eight busy processes
    the third of such tries was, and of sixty that have asked it first none."""
    asked: list[str] = []
    http = Engine._http

    def watched(engine: Engine, path: str, body: Any) -> Any:
        asked.append(path)
        return http(engine, path, body)

    monkeypatch.setattr(Engine, "_http", watched)
    async with opening() as model:
        await (model._embedder if embedding else model.engine).load()
        assert "/slots" in asked


async def test_closing_while_the_weights_load_waits_for_them() -> None:
    async with opening() as model:
        asking = asyncio.create_task(chat(model, "Hi", sampling=SHORT))
        await until(lambda: model.engine._loading is not None)
        await asyncio.wait_for(model.close(), CEILING_S)
        with pytest.raises((TransportError, ConfigError), match="closed"):
            await asyncio.wait_for(asking, CEILING_S)


def test_a_loop_that_ends_in_mid_stream_frees_the_slot() -> None:
    with opened() as model:

        async def leave() -> None:
            stream = model.stream(endless())
            async for event in stream:
                if event.content:
                    raise KeyboardInterrupt
            await stream.aclose()

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(leave())
        assert asyncio.run(chat(model, "Hi", sampling=SHORT)).text
        asyncio.run(all_free(model))
        anyio.run(all_free, model)
