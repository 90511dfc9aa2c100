"""Anthropic's count of tokens: a request read as a `CountTokens`, and its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types.message_count_tokens_params import MessageCountTokensParams

from tests.anthropic_in_memory import InMemory
from trivet.types import (
    Conversation,
    CountTokens,
    CountTokensResponse,
)
from trivet.wire import anthropic
from trivet.wire.anthropic import count as anthropic_count

PLAIN: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}


def parse(**fields: Any) -> CountTokens:
    request = anthropic_count.parse(json.dumps(PLAIN | fields).encode()).request
    assert isinstance(request, CountTokens)
    return request


def test_a_count_reads_the_same_conversation() -> None:
    fields = {"system": "Be brief.", "tools": [TOOL], "tool_choice": {"type": "any"}}
    fields |= {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    counted = parse(**fields)
    chat = anthropic.parse(json.dumps(PLAIN | fields | {"max_tokens": 5}).encode()).request
    for name in Conversation.__struct_fields__:
        if name != "source":
            assert getattr(counted, name) == getattr(chat, name)
    assert counted.source is not None
    assert counted.source.protocol == "anthropic-count"


def test_a_count_does_not_need_max_tokens_and_says_that_it_has_no_use_for_it() -> None:
    assert parse(max_tokens=5).extra == {"max_tokens": 5}


def test_the_sdk_gets_its_count() -> None:
    sdk = InMemory(anthropic_count, CountTokensResponse(model="m", input_tokens=7))
    assert sdk.client.messages.count_tokens(**PLAIN).input_tokens == 7


# A value that is no default, for each field of the SDK's parameters, as in `test_wire_anthropic`.
FIELDS: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Bye"}],
    "model": "other",
    "cache_control": {"type": "ephemeral"},
    "output_config": {"effort": "low"},
    "speed": "fast",
    "system": "Be brief.",
    "thinking": {"type": "adaptive"},
    "tool_choice": {"type": "none"},
    "tools": [TOOL],
    "user_profile_id": "u",
    "workspace_id": "w",
}


def test_every_field_of_the_sdk_has_a_value_in_the_table() -> None:
    assert set(FIELDS) == set(MessageCountTokensParams.__annotations__)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_count_vanishes(name: str) -> None:
    before, after = parse(), parse(**{name: FIELDS[name]})
    fields = [f for f in CountTokens.__struct_fields__ if f != "source"]
    assert any(getattr(before, f) != getattr(after, f) for f in fields)
