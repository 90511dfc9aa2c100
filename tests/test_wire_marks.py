"""Cache marks where a protocol or host has no place for them are left out, and the answer's notes say so."""

from __future__ import annotations

from typing import Any

import pytest

from trivet.providers.hosted import suited
from trivet.types import CacheMark, Chat, Message, Source, Text, Tool, ToolCall, ToolResult, user
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses
from trivet.wire.marks import leave_out_marks

MARK = CacheMark()
TOOL = Tool(name="t", cache=MARK)
CHAT = Chat(
    messages=(
        Message(role="system", content=(Text(text="s", cache=MARK),)),
        user("q"),
        Message(role="assistant", content=(ToolCall(id="c", name="t", cache=MARK),)),
        Message(role="user", content=(ToolResult(call_id="c", content=(Text(text="r", cache=MARK),), cache=MARK),)),
    ),
    tools=(TOOL,),
)


def left(wire: Any, **quirks: Any) -> tuple[Any, tuple[str, ...]]:
    target = Target(model="m", provider="host", family="openai" if not quirks else "host", quirks=quirks)
    return leave_out_marks(CHAT, lambda value, role: wire.takes_mark(value, role, target), "host")


@pytest.mark.parametrize(
    ("wire", "quirks", "count"),
    [
        (openai_chat, {}, 2),
        (openai_responses, {}, 2),
        (openai_chat, {"cache": "automatic"}, 0),
        (openai_chat, {"cache": "cache_control"}, 1),
        (openai_chat, {"cache": None}, 5),
    ],
)
def test_those_that_cannot_be_told_are_counted_in_a_note_and_the_rest_is_written(
    wire: Any, quirks: dict[str, Any], count: int
) -> None:
    request, notes = left(wire, **quirks)
    expected = (f"cache marks left out for host, which has no place for them: {count}",) if count else ()
    assert notes == expected
    family = "host" if quirks else "openai"
    wire.write(request, Target(model="m", provider="host", family=family, quirks=quirks))


def test_without_marks_the_request_is_the_same_object() -> None:
    plain = Chat(messages=(user("q"),))
    assert leave_out_marks(plain, lambda value, role: False, "host") == (plain, ())
    assert leave_out_marks(plain, lambda value, role: False, "host")[0] is plain


HINTS = [
    ("anthropic", {"cache_control": {"type": "ephemeral"}}, (openai_chat, openai_responses, gemini)),
    ("openai-chat", {"prompt_cache_retention": "24h"}, (anthropic, gemini)),
    ("openai-responses", {"prompt_cache_options": {"mode": "explicit"}}, (anthropic, gemini)),
]


@pytest.mark.parametrize(("protocol", "extra", "wires"), HINTS)
def test_hints_of_a_whole_request_are_left_out_for_other_makers_with_a_note(
    protocol: str, extra: dict[str, Any], wires: tuple[Any, ...]
) -> None:
    (name,) = extra
    asked = Chat(messages=(user("q"),), extra=extra, source=Source(protocol=protocol, body=b"{}"))
    for wire in wires:
        family = {anthropic: "anthropic", gemini: "gemini"}.get(wire, "openai")
        target = Target(model="m", provider="host", family=family)
        kept, notes = suited(asked, target, wire)
        assert notes == (f"{name} left out for host, which has no place for it",)
        assert name not in wire.write(kept, target)


def test_hints_stay_where_they_are_understood() -> None:
    chat = Source(protocol="openai-chat", body=b"{}")
    asked = Chat(messages=(user("q"),), extra={"prompt_cache_retention": "24h"}, source=chat)
    target = Target(model="m", provider="openai", family="openai")
    assert suited(asked, target, openai_responses) == (asked, ())
    assert suited(asked, target, openai_chat) == (asked, ())
    assert openai_responses.write(asked, target)["prompt_cache_retention"] == "24h"
