"""Slots: who may go next."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from trivet.local.slots import Slots


async def waiting(slots: Slots, number: int, log: list[str], name: str) -> None:
    await slots.take(number)
    log.append(name)


def queued(slots: Slots, log: list[str], **numbers: int) -> dict[str, asyncio.Task[None]]:
    """A task for each name, which waits for its number of slots and then writes its name."""
    return {name: asyncio.create_task(waiting(slots, n, log, name)) for name, n in numbers.items()}


async def test_slots_are_given_out_until_there_are_none() -> None:
    slots = Slots(2)
    await slots.take(1)
    await slots.take(1)
    assert (slots.free, slots.busy) == (0, 2)


async def test_who_asked_first_goes_first() -> None:
    slots, log = Slots(1), list[str]()
    await slots.take(1)
    tasks = queued(slots, log, a=1, b=1, c=1)
    await anyio.wait_all_tasks_blocked()
    for expected in (["a"], ["a", "b"], ["a", "b", "c"]):
        slots.give(1)
        await tasks[expected[-1]]
        assert log == expected


async def test_a_small_request_does_not_overtake_a_large_one() -> None:
    slots, log = Slots(3), list[str]()
    await slots.take(2)
    tasks = queued(slots, log, large=3, small=1)
    await anyio.wait_all_tasks_blocked()
    assert (log, slots.free) == ([], 1)
    slots.give(2)
    await tasks["large"]
    assert log == ["large"]
    slots.give(3)
    await tasks["small"]


async def test_several_that_fit_go_at_once() -> None:
    slots, log = Slots(4), list[str]()
    await slots.take(4)
    tasks = queued(slots, log, a=1, b=2, c=1)
    await anyio.wait_all_tasks_blocked()
    slots.give(4)
    await asyncio.gather(*tasks.values())
    assert log == ["a", "b", "c"]
    assert slots.free == 0


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    slots, log = Slots(1), list[str]()
    await slots.take(1)
    tasks = queued(slots, log, a=1, b=1)
    await anyio.wait_all_tasks_blocked()
    tasks["a"].cancel()
    await asyncio.wait([tasks["a"]])
    slots.give(1)
    await tasks["b"]
    assert (log, slots.free) == (["b"], 0)


async def test_when_the_large_one_in_front_leaves_those_behind_it_go_on() -> None:
    slots, log = Slots(2), list[str]()
    await slots.take(1)
    tasks = queued(slots, log, large=2, small=1)
    await anyio.wait_all_tasks_blocked()
    tasks["large"].cancel()
    await tasks["small"]
    assert log == ["small"]


async def test_a_slot_given_to_one_who_is_being_cancelled_is_not_lost() -> None:
    slots, log = Slots(1), list[str]()
    await slots.take(1)
    tasks = queued(slots, log, a=1)
    await anyio.wait_all_tasks_blocked()
    slots.give(1)  # it is a's now
    tasks["a"].cancel()
    await asyncio.wait([tasks["a"]])
    assert (log, slots.free) == ([], 1)


async def test_slots_are_given_back_from_another_thread() -> None:
    slots, log = Slots(1), list[str]()
    await slots.take(1)
    tasks = queued(slots, log, a=1)
    await anyio.wait_all_tasks_blocked()
    thread = threading.Thread(target=slots.give, args=(1,))
    thread.start()
    await tasks["a"]
    thread.join()
    assert log == ["a"]


def test_one_who_waited_on_a_loop_that_is_closed_does_not_keep_the_slot() -> None:
    slots = Slots(1)
    gone, here = asyncio.new_event_loop(), asyncio.new_event_loop()
    here.run_until_complete(slots.take(1))
    waiter = gone.create_task(slots.take(1))
    gone.run_until_complete(asyncio.sleep(0))
    gone.close()
    slots.give(1)
    assert slots.free == 1
    here.run_until_complete(slots.take(1))
    here.close()
    waiter._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [8])
async def test_many_threads_giving_back_lose_none(threads: int) -> None:
    slots = Slots(threads)
    for _ in range(50):
        await slots.take(threads)
        givers = [threading.Thread(target=slots.give, args=(1,)) for _ in range(threads)]
        for thread in givers:
            thread.start()
        for thread in givers:
            thread.join()
        assert slots.free == threads
