"""The digest of what a prompt begins with: the same for the same tools and system prompt, and for nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.ledger.prefix import LEAST_CHARS, prefix
from trivet.types import (
    Chat,
    Complete,
    Context,
    CountTokens,
    Embed,
    Image,
    Message,
    Request,
    Text,
    Tool,
    replace,
    system,
    user,
)

LONG = "You are a careful clerk. " * 400
TOOL = Tool(name="look", description="Looks it up. " * 400)


def chat(text: str = LONG, turn: str = "Hi", **more: object) -> Chat:
    return Chat(messages=(system(text), user(turn)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_",
    [
        chat("x" * (LEAST_CHARS - 1)),
        Chat(messages=(user(LONG),)),
        Chat(messages=(user("Hi"), system(LONG))),  # not at the beginning
        Chat(messages=()),
        Complete(prompt=LONG),
        Embed(texts=(LONG,)),
    ],
)
def test_what_is_short_or_is_no_system_prompt_has_none(request_: Request) -> None:
    assert prefix(request_) is None


def test_its_length_is_in_characters_of_text_and_of_the_tools_json() -> None:
    assert (prefix(chat("é" * LEAST_CHARS)) or ("", 0))[1] == LEAST_CHARS
    digest, chars = prefix(Chat(messages=(user("Hi"),), tools=(TOOL,))) or ("", 0)
    assert len(digest) == 32
    assert len(TOOL.description or "") < chars < len(TOOL.description or "") + 200


def test_what_follows_it_and_who_asks_make_no_difference() -> None:
    other = chat(turn="Something else", model="b", user="me", context=Context(id="1", key="k"))
    assert prefix(chat()) == prefix(other)
    assert prefix(chat()) == prefix(CountTokens(messages=chat().messages))


@pytest.mark.parametrize(
    "other",
    [
        chat(LONG + "."),
        chat("y" + LONG[1:]),
        chat(LONG[:-1] + "y"),  # far behind what is hashed whole
        chat(tools=(TOOL,)),
        Chat(messages=(Message(role="developer", content=(Text(text=LONG),)), user("Hi"))),
        Chat(messages=(system(LONG[:5000]), system(LONG[5000:]), user("Hi"))),
        Chat(messages=(Message(role="system", content=(Text(text=LONG), Image(data=b"a"))), user("Hi"))),
    ],
)
def test_whatever_differs_in_it_makes_another(other: Request) -> None:
    assert prefix(other) is not None
    assert prefix(other) != prefix(chat())


def test_images_are_told_apart_by_their_bytes() -> None:
    def shown(data: bytes) -> Chat:
        return Chat(messages=(Message(role="system", content=(Text(text=LONG), Image(data=data))), user("Hi")))

    assert prefix(shown(b"a")) == prefix(shown(b"a"))
    assert prefix(shown(b"a")) != prefix(shown(b"b"))


def test_the_order_of_a_schemas_keys_makes_no_difference_and_that_of_the_tools_does() -> None:
    a = replace(TOOL, parameters={"type": "object", "properties": {"x": {"type": "string"}, "y": {}}})
    b = replace(TOOL, parameters={"properties": {"y": {}, "x": {"type": "string"}}, "type": "object"})
    assert prefix(chat(tools=(a,))) == prefix(chat(tools=(b,)))
    other = replace(TOOL, name="find")
    assert prefix(chat(tools=(a, other))) != prefix(chat(tools=(other, a)))


def test_half_a_surrogate_pair_is_no_error() -> None:
    odd = chat(LONG + "\ud800", tools=(replace(TOOL, description="\udc00" * 9),))
    assert prefix(odd) == prefix(odd) != prefix(chat())


@given(st.text(alphabet=st.characters(), max_size=40), st.text(alphabet=st.characters(), max_size=40))
def test_two_prompts_have_one_digest_exactly_when_they_are_the_same(one: str, two: str) -> None:
    assert (prefix(chat(LONG + one)) == prefix(chat(LONG + two))) == (one == two)
