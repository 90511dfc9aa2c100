"""Conversations that take turns at the engine, each of which finds what its last turn has left."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from PIL import Image as Picture
from PIL import ImageDraw

from tests.engines import all_free, opening
from tests.small_projector import file
from trivet.local.llama import Llama
from trivet.local.llama.sessions import Held, Sessions, session
from trivet.types import Chat, ChatResponse, Message, Sampling, assistant, system, user

SHARED = system("You are terse. " * 9)


async def answered(model: Llama, messages: tuple[Message, ...]) -> tuple[int, int]:
    """The tokens of the prompt, and how many of them were not to be read again."""
    response = await model.call(Chat(messages=messages, sampling=Sampling(max_tokens=1)))
    assert isinstance(response, ChatResponse)
    prompt, cached = response.usage.input_tokens, response.usage.cache_read_tokens
    assert prompt is not None
    assert cached is not None
    return prompt, cached


def conversation(name: str, turns: int) -> tuple[Message, ...]:
    later = [m for n in range(1, turns) for m in (assistant("Well."), user(f"And {n}?"))]
    return (SHARED, user(f"Of {name}: " + f"tell {name} " * 8), *later)


@pytest.mark.parametrize(("number", "at_once"), [(3, False), (4, True)])
async def test_each_conversation_gets_its_prefix_back_whatever_others_share(
    llama: Llama, number: int, at_once: bool
) -> None:
    names = [f"{'all' if at_once else 'one'}{number}{letter}" for letter in "abcdef"[:number]]
    asked = dict.fromkeys(names, 0)
    for turn in (1, 2):
        work = [answered(llama, conversation(name, turn)) for name in names]
        done = await asyncio.gather(*work) if at_once else [await each for each in work]
        for name, (prompt, cached) in zip(names, done, strict=True):
            # All of the turn before but the head of the answer, which begins anew.
            assert cached >= asked[name] - 8, f"{name} at its turn {turn}"
            asked[name] = prompt
        await all_free(llama)


async def test_a_conversation_that_has_lost_its_slot_is_found_again_in_ram() -> None:
    async with opening(slots=2) as model:
        prompt, _ = await answered(model, conversation("kept", 1))
        for n in range(3):
            await answered(model, (SHARED, user(f"{n} times {n}?")))
        _, cached = await answered(model, conversation("kept", 2))
    assert cached >= prompt - 8


async def test_a_document_of_which_something_else_is_asked_is_not_read_again() -> None:
    document = "The harbour of the town has four quays, of which two are for ships from abroad. " * 20
    async with opening(slots=4) as model:
        prompt, _ = await answered(model, (user(f"{document} How many quays are there?"),))
        for question in ("Where is it?", "For whom are two of them?"):
            _, cached = await answered(model, (user(f"{document} {question}"),))
            assert cached >= prompt - 16


def test_a_slot_is_taken_from_another_conversation_where_it_gives_much_more_than_is_lost() -> None:
    document = "d" * 2000
    for held, taken in [
        (Held("a", document + "q" * 100, made=100), True),
        (Held("a", document + "q" * 100, made=400), False),  # a long answer is lost with it
        (Held("a", document + "q" * 400), False),  # and so are later turns
        (Held("a", document[:900]), False),  # too little to be worth it
        (Held("a", "e" + document), False),
    ]:
        sessions = Sessions(3)
        slots, _ = sessions.take(held)
        sessions.give(slots, held, slots[0])
        assert sessions.take(Held("b", document + "r")) == (([0], True) if taken else ([1], False)), held


def test_the_slot_with_the_most_in_common_is_taken() -> None:
    sessions = Sessions(3)
    all_of_them = (Held("a", "d" * 1500), Held("b", "d" * 1500 + "e" * 1500), Held("c", "d" * 1200))
    for held, slots in [(held, sessions.take(held)[0]) for held in all_of_them]:  # at once
        sessions.give(slots, held, slots[0])
    assert sessions.take(Held("d", "d" * 1500 + "e" * 1400)) == ([1], True)


def test_the_same_conversation_twice_at_once_does_not_wait_for_its_slot() -> None:
    sessions = Sessions(2)
    first, _ = sessions.take(Held("a"))
    sessions.give(first, Held("a"), first[0])
    assert sessions.take(Held("a")) == (first, True)
    again, told = sessions.take(Held("a"))
    assert again != first
    assert not told


def test_the_slot_of_a_session_is_told_and_another_gets_the_one_that_was_longest_unused() -> None:
    sessions = Sessions(3)
    for name in "abc":
        slots, told = sessions.take(Held(name))
        assert not told
        sessions.give(slots, Held(name), slots[0])
    assert sessions.take(Held("b")) == ([1], True)
    assert sessions.take(Held("d")) == ([0], False)
    assert sessions.take(Held("a")) == ([2], False)  # its own has gone to d


def test_where_the_engine_has_taken_another_slot_that_one_is_the_sessions() -> None:
    sessions = Sessions(3)
    slots, _ = sessions.take(Held("a"))
    sessions.give(slots, Held("a"), 2)
    assert sessions.take(Held("a")) == ([2], True)


def test_two_that_have_been_given_each_others_slots_are_both_known() -> None:
    sessions = Sessions(2)
    (a,), (b,) = sessions.take(Held("a"))[0], sessions.take(Held("b"))[0]
    sessions.give([a], Held("a"), b)
    sessions.give([b], Held("b"), a)
    assert [sessions.take(Held(name)) for name in "ab"] == [([b], True), ([a], True)]


def test_several_answers_have_as_many_slots_and_no_session_is_looked_for() -> None:
    sessions = Sessions(4)
    slots, told = sessions.take(Held("a"), 3)
    assert (slots, told) == ([0, 1, 2], False)
    sessions.give(slots, Held("a"), None)
    assert sessions.take(Held("b"), 2) == ([3, 0], False)


def test_a_conversation_is_known_by_all_up_to_its_first_question_and_by_the_clients_word() -> None:
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    later = [*first, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}]
    one = session({"messages": first}, None)
    assert one == session({"messages": later}, None)
    assert one != session({"messages": first}, "mine")
    assert one != session({"messages": later[1:]}, None)
    assert session({"prompt": "Once upon"}, None) != session({"prompt": "Twice"}, None)


def test_pages_that_end_in_the_same_white_are_different_conversations() -> None:
    """As JPEG, which the engine gets as it is, a white margin is the same bytes."""

    def page(number: int) -> list[dict[str, Any]]:
        picture = Picture.new("RGB", (600, 800), "white")
        ImageDraw.Draw(picture).text((20, 20), f"Invoice {number}", fill="black")
        url = f"data:image/png;base64,{base64.b64encode(file(picture, 'JPEG')).decode()}"
        return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]

    assert len({session({"messages": page(number)}, None) for number in range(64)}) == 64
