"""OpenAI's cache key; and prefixes that stay the same, which all caches want."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from tests.growing import LONG, TOOL, edited, grown, target
from tests.histories import WIRES
from trivet.types import (
    Chat,
    Context,
    assistant,
    replace,
    system,
    user,
)
from trivet.wire import openai_chat, openai_responses, source

# --- OpenAI ----------------------------------------------------------------------------------------------------

OLDER = "gpt-5.1"
TALK = Chat(messages=(system("Be terse."), user(LONG * 2), assistant("Yes."), user("And?")))


def key(request: Chat, model: str = OLDER) -> str | None:
    return edited(request, "openai", model).cache_key


@pytest.mark.parametrize(
    "model", ["gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "gpt-5.5-pro", "o3", "o4-mini", "ft:gpt-4.1:me"]
)
def test_models_before_gpt_56_are_given_a_key(model: str) -> None:
    assert key(TALK, model) is not None


@pytest.mark.parametrize("model", ["gpt-5.6", "gpt-5.6-sol", "gpt-5.10", "gpt-6.1-sol", "gpt-50", "unheard-of"])
def test_later_models_which_would_no_longer_share_a_prefix_are_not(model: str) -> None:
    assert edited(TALK, "openai", model) is TALK


def test_all_turns_of_a_conversation_have_the_same_key_and_another_conversation_another() -> None:
    first = replace(TALK, messages=TALK.messages[:2])
    other = replace(TALK, messages=(TALK.messages[0], user(LONG * 3)))
    assert key(first) == key(TALK) != key(other)


def test_requests_with_a_long_prompt_in_common_have_the_same_key_unless_the_client_names_the_session() -> None:
    one, other = (Chat(messages=(system(LONG), user(question))) for question in ("Who?", "Where?"))
    assert key(one) == key(other) is not None
    named = replace(other, context=Context(session="talk-7"))
    assert key(named) not in (None, key(other))
    assert "talk-7" not in str(key(named))


def test_a_clients_own_key_stays_and_what_is_too_short_gets_none() -> None:
    own = replace(TALK, cache_key="mine")
    assert edited(own, "openai", OLDER) is own
    short = Chat(messages=(system("Be terse."), user("Hi")))
    assert edited(short, "openai", OLDER) is short


def test_who_chooses_break_points_himself_gets_no_key() -> None:
    chosen = replace(TALK, extra={"prompt_cache_options": {"mode": "explicit"}})
    assert edited(chosen, "openai", OLDER) is chosen


def test_other_hosts_of_the_protocol_are_not_told_of_it() -> None:
    assert edited(TALK, "groq", OLDER) is TALK


@pytest.mark.parametrize("wire", [openai_chat, openai_responses])
def test_the_key_is_all_that_is_added_to_a_clients_own_bytes(wire: Any) -> None:
    raw = msgspec.json.encode(wire.write(TALK, target("openai"))).replace(b'"And?"', b'  "And?"')
    request = wire.parse(raw).request
    out = edited(request, "openai", OLDER)
    bare, keyed = (source.body(r, target("openai"), wire) for r in (request, out))
    assert keyed == bare[:-1] + b',"prompt_cache_key":"%s"}' % str(out.cache_key).encode()
    assert b'  "And?"' in keyed


# --- prefixes that stay ----------------------------------------------------------------------------------------

TURNS = {"openai_chat": "messages", "openai_responses": "input", "gemini": "contents", "anthropic": "messages"}


@pytest.mark.parametrize("back", TURNS)
@given(requests=grown(own=False))
def test_a_conversation_that_grows_begins_to_the_byte_as_it_began(back: str, requests: list[Chat]) -> None:
    name, before = TURNS[back], b""
    asks = target({"anthropic": "anthropic", "gemini": "gemini"}.get(back, "openai"), tool_images=True)
    for request in requests:
        body = WIRES[back].write(request, asks)
        assert msgspec.json.encode(body) == msgspec.json.encode(WIRES[back].write(request, asks))
        ahead = {n: v for n, v in body.items() if n != name}
        now = msgspec.json.encode([ahead, *body[name]])[:-1]
        assert now.startswith(before)
        before = now


@pytest.mark.parametrize("back", TURNS)
def test_tools_go_out_in_the_order_that_they_came_in(back: str) -> None:
    tools = tuple(replace(TOOL, name=name) for name in ("zebra", "apple", "mango"))
    out = msgspec.json.encode(WIRES[back].write(replace(TALK, tools=tools), target("openai")))
    assert out.index(b"zebra") < out.index(b"apple") < out.index(b"mango")
