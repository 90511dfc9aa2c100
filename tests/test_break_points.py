"""Where break points of generated conversations are, as they go out to Anthropic, whatever protocol they came in by.
`Kept` is its cache by its documentation."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.growing import CLAUDE, LONG, TOOL, asked_in, edited, grown, target
from trivet.adapt import break_points
from trivet.adapt.prompt import Prompt
from trivet.adapt.prompt_cache import PromptCache
from trivet.fake import Fake
from trivet.providers.hosted import suited
from trivet.types import (
    CacheMark,
    Chat,
    CountTokens,
    Message,
    Opaque,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    assistant,
    replace,
    system,
    user,
)
from trivet.wire import anthropic, openai_chat, source
from trivet.wire.thinking import leave_out

Json = dict[str, Any]
MARK = CacheMark()


def sent(request: Chat) -> Json:
    """The body that Anthropic gets of a request that came in by any protocol."""
    out, _ = leave_out(edited(request), "anthropic", unsigned=False)
    out, _ = suited(out, target("anthropic"), anthropic)
    body: Json = msgspec.json.decode(source.body(out, target("anthropic"), anthropic))
    return body


# --- Anthropic's cache, as its page has it ---------------------------------------------------------------------


class Block(NamedTuple):
    """A block of a prompt, without its mark."""

    where: str
    content: Json
    marked: bool


def blocks(body: Json) -> list[Block]:
    """All of a prompt in its order: tools, system, messages."""
    out = [("tool", t) for t in body.get("tools", ())] + [("system", b) for b in body.get("system", ())]
    for message in body["messages"]:
        content = message["content"]
        texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        out += [(message["role"], b) for b in texts]
    return [Block(w, {k: v for k, v in b.items() if k != "cache_control"}, "cache_control" in b) for w, b in out]


def marks(body: Json) -> list[int]:
    return [n for n, block in enumerate(blocks(body)) if block.marked]


class Kept:
    """platform.claude.com/docs/en/build-with-claude/prompt-caching, "How automatic prefix checking works": an entry is
    written at each mark, by the hash of all that stands up to it; from each mark, 20 places are looked at for one."""

    def __init__(self) -> None:
        self.entries: set[str] = set()

    def ask(self, body: Json) -> int:
        """How many blocks are read from it."""
        said = blocks(body)
        digest, prefixes = hashlib.sha256(), []
        for block in said:
            digest.update(msgspec.json.encode([block.where, block.content]))
            prefixes.append(digest.hexdigest())
        at = [n for n, block in enumerate(said) if block.marked]
        looked = {n - back for n in at for back in range(20) if n >= back}
        found = max((n + 1 for n in looked if prefixes[n] in self.entries), default=0)
        self.entries |= {prefixes[n] for n in at}
        return found


def check(bodies: list[Json]) -> None:
    """All that is promised of the break points of one conversation's requests."""
    kept, last, before = Kept(), 0, list[Block]()
    for body in bodies:
        said, here = blocks(body), marks(body)
        assert [b[:2] for b in said[: len(before)]] == [b[:2] for b in before], "the prefix has changed"
        assert len(here) <= 4
        assert all(said[n].content.get("type") != "thinking" and said[n].content.get("text") != "" for n in here)
        assert {n for n in here if n < len(before)} <= {n for n, b in enumerate(before) if b.marked}, "one has moved"
        assert kept.ask(body) >= last, "what the request before has written is not found"
        before, last = said, max(here, default=-1) + 1


@given(grown())
def test_break_points_are_four_at_most_never_move_and_are_found_by_the_next_request(requests: list[Chat]) -> None:
    check([sent(r) for r in requests])


@given(grown())
def test_so_they_are_for_a_client_of_anthropics_protocol_whose_other_words_stay(requests: list[Chat]) -> None:
    bodies = []
    for request in requests:
        asked = asked_in("anthropic", request)
        assert asked.source is not None
        bodies.append(sent(asked))
        own = msgspec.json.decode(asked.source.body)
        assert [b[:2] for b in blocks(bodies[-1])] == [b[:2] for b in blocks(own)]
    check(bodies)


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "gemini"])
@given(requests=grown(own=False))
def test_so_they_are_for_clients_of_other_protocols(client: str, requests: list[Chat]) -> None:
    check([sent(asked_in(client, r)) for r in requests])


@given(grown())
def test_a_system_prompt_that_a_wrapper_adds_is_marked_too(requests: list[Chat]) -> None:
    prompted = Prompt(Fake(), LONG)
    for request in requests:
        out = prompted.edit(request)
        assert isinstance(out, Chat)
        assert "cache_control" in sent(out)["system"][-1]


@given(grown(), st.data())
def test_of_one_who_has_marked_anything_himself_nothing_is_changed(requests: list[Chat], data: st.DataObject) -> None:
    request = requests[-1]
    places = [
        (i, n) for i, m in enumerate(request.messages) for n, p in enumerate(m.content) if not isinstance(p, Thinking)
    ]
    i, n = data.draw(st.sampled_from(places))
    content = list(request.messages[i].content)
    content[n] = replace(content[n], cache=CacheMark(ttl="1h"))
    told = list(request.messages)
    told[i] = replace(told[i], content=tuple(content))
    mine = replace(request, messages=tuple(told))
    assert edited(mine) is mine


# --- where they are --------------------------------------------------------------------------------------------

LOOP = Chat(
    messages=(
        system(LONG),
        user("What is the weather?"),
        assistant(Thinking(text="Look", signature="c2ln", provider="anthropic"), ToolCall(id="1", name="weather")),
        Message(role="user", content=(ToolResult(call_id="1", content=(Text(text="Rain"),)),)),
    ),
    tools=(replace(TOOL, description=LONG), replace(TOOL, name="last")),
    sampling=Sampling(max_tokens=9),
)


def test_they_are_at_the_end_of_the_tools_of_the_system_prompt_and_of_the_last_two_turns() -> None:
    said = blocks(sent(LOOP))
    assert [(b.where, b.content.get("name") or b.content["type"]) for b in said if b.marked] == [
        ("tool", "last"),
        ("system", "text"),
        ("user", "text"),
        ("user", "tool_result"),
    ]


def test_without_tools_and_system_prompt_all_four_are_at_ends_of_turns() -> None:
    turns = tuple(m for n in range(6) for m in (user(LONG + str(n)), assistant("Yes.")))
    body = sent(Chat(messages=(*turns, user("And?")), sampling=Sampling(max_tokens=9)))
    said = blocks(body)
    assert [said[n].content["text"] for n in marks(body)] == [*(LONG + str(n) for n in (3, 4, 5)), "And?"]


def test_the_turn_of_a_first_question_without_tools_is_not_written() -> None:
    request = Chat(messages=(system(LONG), user(LONG)), sampling=Sampling(max_tokens=9))
    assert [blocks(sent(request))[n].where for n in marks(sent(request))] == ["system"]
    alone = replace(request, messages=(user(LONG),))
    assert edited(alone) is alone


@pytest.mark.parametrize(("choice", "turns"), [("auto", 2), ("required", 2), ("none", 1), ("named", 1)])
def test_a_tool_that_is_called_by_force_or_not_at_all_makes_no_loop(choice: Any, turns: int) -> None:
    chosen = ToolChoice(mode=choice, name="weather" if choice == "named" else None)
    first = replace(LOOP, messages=LOOP.messages[1:2], tool_choice=chosen)
    assert len(marks(sent(first))) == turns


def test_in_a_turn_of_several_parts_it_is_on_the_last_as_they_go_out_with_results_first() -> None:
    turn = user(Text(text="First"), Text(text="Then"), ToolResult(call_id="1", content=(Text(text="Rain"),)))
    body = sent(replace(LOOP, messages=(*LOOP.messages[:3], turn)))
    content = body["messages"][-1]["content"]
    assert [(b["type"], "cache_control" in b) for b in content] == [
        ("tool_result", False),
        ("text", False),
        ("text", True),
    ]


def test_before_what_is_not_yet_said_there_is_none() -> None:
    prefilled = replace(LOOP, messages=(*LOOP.messages, assistant("It will")))
    assert marks(sent(prefilled)) == marks(sent(LOOP))


def test_a_tool_whose_loading_is_deferred_takes_none() -> None:
    later = replace(TOOL, name="later", extra={"defer_loading": True})
    body = sent(replace(LOOP, tools=(*LOOP.tools, later)))
    assert [t["name"] for t in body["tools"] if "cache_control" in t] == ["last"]


def test_a_result_that_only_anthropic_can_read_takes_one() -> None:
    raw = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "search_result", "title": "t"}]}
    opaque = Message(role="user", content=(Opaque(provider="anthropic", raw=raw),))
    body = sent(replace(LOOP, messages=(*LOOP.messages[:3], opaque)))
    assert body["messages"][-1]["content"] == [{**raw, "cache_control": {"type": "ephemeral"}}]


def test_where_the_last_parts_of_a_turn_take_none_it_is_on_the_one_before() -> None:
    turn = user("Look at this", Text(text=" "), Opaque(provider="anthropic", raw={"type": "container_upload"}))
    body = sent(replace(LOOP, messages=(*LOOP.messages[:3], turn)))
    assert "cache_control" in body["messages"][-1]["content"][0]


def test_what_is_too_short_for_the_model_has_none() -> None:
    short = replace(LOOP, messages=(system("Be terse."), *LOOP.messages[1:]), tools=(TOOL,))
    assert edited(short) is short
    long = replace(short, messages=(*short.messages[:2], assistant(LONG), user("And?")))
    said = blocks(sent(long))
    assert [said[n].content["text"] for n in marks(sent(long))] == ["And?"]  # the others' prefixes are too short


@pytest.mark.parametrize(
    "request_",
    [
        replace(LOOP, extra={"cache_control": {"type": "ephemeral"}}),
        replace(LOOP, extra={"prompt_cache_options": {"mode": "explicit"}}),
        replace(LOOP, extra={"tools": [{"type": "mcp_toolset", "cache_control": {"type": "ephemeral"}}]}),
        replace(LOOP, tools=(replace(TOOL, cache=MARK),)),
        replace(LOOP, messages=(*LOOP.messages[:3], user(Opaque(provider="anthropic", raw={"cache_control": {}})))),
        replace(
            LOOP,
            messages=(
                *LOOP.messages[:3],
                user(ToolResult(call_id="1", content=(Text(text="Rain", cache=MARK),))),
            ),
        ),
    ],
)
def test_whoever_asks_for_caching_in_his_own_way_is_left_alone(request_: Chat) -> None:
    assert edited(request_) is request_


def test_a_count_and_models_of_others_are_left_alone() -> None:
    count = CountTokens(messages=LOOP.messages, tools=LOOP.tools)
    assert PromptCache(Fake(), "anthropic", CLAUDE).edit(count) is count
    assert edited(LOOP, "gemini", "gemini-3-pro") is LOOP
    assert edited(LOOP, "openrouter", "openai/gpt-5.6") is LOOP


def test_claude_at_openrouter_has_them_in_chat_completions_too() -> None:
    marked = edited(
        asked_in("openai_chat", replace(LOOP, messages=LOOP.messages[:2])), "openrouter", "anthropic/claude-opus-5.5"
    )
    asks = target("openrouter", cache="cache_control")
    body = msgspec.json.decode(source.body(marked, asks, openai_chat))
    told = [body["tools"][-1], *(m["content"][-1] for m in body["messages"])]
    assert [t.get("cache_control") for t in told] == [{"type": "ephemeral"}] * 3


# The table under "Cache limitations" of the page above, in October 2026.
@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-5-5", 512),
        ("claude-opus-5", 512),
        ("claude-fable-5-1", 512),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-5", 1024),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-sonnet-4-20250514", 1024),
        ("claude-3-7-sonnet-latest", 1024),
        ("anthropic/claude-opus-4.7", 2048),
        ("claude-3-5-haiku-20241022", 2048),
        ("claude-opus-4-5-20251101", 4096),
        ("claude-haiku-4-5", 4096),
        ("claude-opus-9", 4096),
        ("something-else", 4096),
    ],
)
def test_the_shortest_prefix_of_each_model_is_known_and_of_others_the_longest(model: str, tokens: int) -> None:
    assert break_points.least(model) == tokens


def test_ten_turns_cost_a_third_of_what_they_did() -> None:
    """By the prices of the page above, 1.25 to write and 0.1 to read, in letters instead of tokens."""

    def size(said: list[Block]) -> int:
        return sum(len(b.content.get("text", "")) for b in said)

    kept, messages, cost, plain = Kept(), [system(LONG)], 0.0, 0.0
    for n in range(10):
        messages += [user(LONG + str(n))]
        body = sent(Chat(messages=tuple(messages), sampling=Sampling(max_tokens=9)))
        messages += [assistant("Yes. " * 10)]
        said, read = blocks(body), kept.ask(body)
        written = max(marks(body)) + 1
        cost += 0.1 * size(said[:read]) + 1.25 * size(said[read:written]) + size(said[written:])
        plain += size(said)
    assert cost < plain / 3


# --- the client's own bytes ------------------------------------------------------------------------------------

ODD = b"""{"model": "m",  "max_tokens": 10, "system": "%s", "messages": [
  {"role": "user", "content":   "Hi \\u00e9", "later": 2.50},
  {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1e5}}]},
  {"role": "user", "content": [{"type": "tool_result",  "tool_use_id": "1", "new": 1.0}]}],
  "tools": [{"name": "t", "input_schema": {"type": "object"}, "x": 2.0}]}""" % LONG.encode()


def test_a_client_of_the_same_protocol_keeps_its_bytes_but_for_the_marks() -> None:
    request = anthropic.parse(ODD).request
    assert isinstance(request, Chat)
    body = source.body(edited(request), target("anthropic"), anthropic)
    mark = b'"cache_control":{"type":"ephemeral"}'
    assert body.count(mark) == 3
    assert (
        b'{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1e5}}]}' in body
    )
    assert b'"later":2.50' in body
    assert b'"new":1.0,' + mark in body
    assert b'"tools":[{"name": "t", "input_schema": {"type": "object"}, "x": 2.0}]' in body  # too short to be marked


@given(grown())
def test_marks_put_into_the_clients_bytes_are_those_of_a_request_written_anew(requests: list[Chat]) -> None:
    asked = asked_in("anthropic", requests[-1])
    out = edited(asked)
    assert asked.source is not None
    own = msgspec.json.decode(asked.source.body, type=dict[str, msgspec.Raw])
    quick = anthropic.hinted(own, out, asked)
    assert quick is not None
    put, written = msgspec.json.encode({**own, **quick}), msgspec.json.encode(anthropic.write(out, target("anthropic")))
    assert blocks(msgspec.json.decode(put)) == blocks(msgspec.json.decode(written))


@pytest.mark.parametrize(
    "change",
    [
        {"user": "somebody"},
        {"tools": ()},
        {"tools": (replace(LOOP.tools[0], name="other"), LOOP.tools[1])},
        {"messages": LOOP.messages[1:]},
        {"messages": (*LOOP.messages[:3], user("other"))},
    ],
)
def test_any_other_change_is_not_taken_for_a_mark(change: Json) -> None:
    asked = asked_in("anthropic", LOOP)
    assert asked.source is not None
    own = msgspec.json.decode(asked.source.body, type=dict[str, msgspec.Raw])
    assert anthropic.hinted(own, edited(replace(asked, **change)), asked) is None
