"""Same protocol in and out: the provider gets what the client wrote, and the edits of the wrappers in between."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.upstream import Reply, upstream
from trivet.adapt.prompt import Prompt
from trivet.errors import TrivetError
from trivet.model import Model
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Request, Text, Thinking, replace
from trivet.wire import anthropic, gemini, openai_chat, openai_responses
from trivet.wire.gemini.front import PathFront

MAKE: dict[str, Any] = {
    "anthropic": lambda s: Anthropic(s, name="up"),
    "openai-chat": lambda s: Compatible(replace(s, kind="openai-compatible"), name="up"),
    "openai-responses": lambda s: OpenAI(s, name="up"),
    "gemini": lambda s: Gemini(s, name="up"),
}
PARSE: dict[str, Any] = {
    "anthropic": anthropic.parse,
    "openai-chat": openai_chat.parse,
    "openai-responses": openai_responses.parse,
    "gemini": PathFront(gemini, "asked").parse,
}
# Odd spaces and orders, fields that nobody knows at every depth, numbers that floats would change.
BODY: dict[str, bytes] = {
    "anthropic": b"""{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "new": 1}],
      "later": 2},
      {"role": "assistant", "content": "Hello"}, {"role":"user","content":"Bye"}],
      "model":  "asked", "max_tokens": 10, "brand_new": {"a": [1, 2.50, 12345678901234567890]}}""",
    "openai-chat": b"""{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "new": 1}],
      "later": 2},
      {"role": "assistant", "content": "Hello"}, {"role":"user","content":"Bye"}],
      "model":  "asked", "brand_new": {"a": [1, 2.50, 12345678901234567890]}}""",
    "openai-responses": b"""{"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "new": 1}],
      "later": 2},
      {"role": "assistant", "content": "Hello"}, {"role":"user","content":"Bye"}],
      "model":  "asked", "brand_new": {"a": [1, 2.50, 12345678901234567890]}, "store": true}""",
    "gemini": b"""{"contents": [{"role": "user", "parts": [{"text": "Hi", "new": 1}],
      "later": 2},
      {"role": "model", "parts": [{"text": "Hello"}]}, {"role":"user","parts":[{"text":"Bye"}]}],
      "brandNew": {"a": [1, 2.50, 12345678901234567890]}}""",
}
TURNS = {"openai-chat": "messages", "openai-responses": "input", "anthropic": "messages", "gemini": "contents"}


async def sent(protocol: str, request: Request, wrap: Any = lambda model: model) -> bytes:
    """The body that the provider got."""
    async with upstream(Reply(500, [b"{}"])) as up:
        provider = MAKE[protocol](ProviderSettings(base_url=f"{up.url}/v1", api_key="k"))
        model: Model = wrap(provider.model("theirs"))
        with pytest.raises(TrivetError):
            await model.call(request)
        await provider.close()
    return up.asked[0].body


def expected(protocol: str) -> dict[str, Any]:
    own = json.loads(BODY[protocol])
    return {**own, "model": "theirs"} if "model" in own else dict(own)


@pytest.mark.parametrize("protocol", BODY)
async def test_the_providers_gets_what_the_client_wrote_but_for_the_models_name(protocol: str) -> None:
    body = await sent(protocol, PARSE[protocol](BODY[protocol]).request)
    assert json.loads(body) == expected(protocol)
    assert b'{"a": [1, 2.50, 12345678901234567890]}' in body


@pytest.mark.parametrize("protocol", BODY)
async def test_a_wrappers_edit_is_put_in_its_place_and_nothing_else_moves(protocol: str) -> None:
    request = PARSE[protocol](BODY[protocol]).request
    body = json.loads(await sent(protocol, request, lambda model: Prompt(model, "Be terse.")))
    assert "Be terse." in json.dumps(body)
    name = TURNS[protocol]
    turns, own = body.pop(name), json.loads(BODY[protocol])[name]
    assert turns[-len(own) :] == own
    for field, value in expected(protocol).items():
        if field != name:
            assert body[field] == value


class Shouts(Prompt):
    """Changes the last turn alone."""

    def edit(self, request: Request) -> Request:
        assert isinstance(request, Chat)
        last = request.messages[-1]
        loud = replace(
            last, content=tuple(replace(p, text=p.text.upper()) for p in last.content if isinstance(p, Text))
        )
        return replace(request, messages=(*request.messages[:-1], loud))


@pytest.mark.parametrize("protocol", BODY)
async def test_an_edit_of_one_turn_leaves_the_others_as_the_client_wrote_them(protocol: str) -> None:
    body = await sent(protocol, PARSE[protocol](BODY[protocol]).request, lambda model: Shouts(model, "x"))
    assert b"BYE" in body
    first = json.loads(BODY[protocol])[TURNS[protocol]][0]
    assert json.loads(body)[TURNS[protocol]][0] == first


async def test_foreign_thinking_is_left_out_even_of_the_clients_own_bytes() -> None:
    body = json.loads(BODY["anthropic"])
    body["messages"][1]["content"] = [
        {"type": "thinking", "thinking": "hm", "signature": "trivet:openai:abc"},
        {"type": "text", "text": "Hello"},
    ]
    request = anthropic.parse(json.dumps(body).encode()).request
    assert any(isinstance(p, Thinking) for m in request.messages for p in m.content)  # type: ignore[attr-defined]
    got = json.loads(await sent("anthropic", request))
    assert "thinking" not in json.dumps(got)
    assert got["messages"][0] == body["messages"][0]
    assert got["brand_new"] == body["brand_new"]


@pytest.mark.parametrize("top", [{}, {"system": "Always."}], ids=["alone", "after another"])
async def test_a_system_prompt_among_an_anthropic_clients_messages_is_said_once_beside_a_wrappers(
    top: dict[str, Any],
) -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    request = anthropic.parse(json.dumps({"model": "m", "max_tokens": 9, "messages": turns, **top}).encode()).request
    got = json.loads(await sent("anthropic", request, lambda model: Prompt(model, "Be terse.")))
    assert [b["text"] for b in got["system"]] == ["Be terse.", *top.values(), "Be kind."]
    assert [m["role"] for m in got["messages"]] == ["user"]


async def test_a_system_prompt_among_a_responses_clients_input_is_said_once_beside_a_wrappers() -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    request = openai_responses.parse(json.dumps({"model": "m", "input": turns}).encode()).request
    got = await sent("openai-responses", request, lambda model: Prompt(model, "Be terse."))
    assert got.count(b"Be terse.") == got.count(b"Be kind.") == got.count(b"Hi") == 1


REASONED = {"id": "rs_68aabb", "type": "reasoning", "summary": []}
CALLED = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "w", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "r"}


@pytest.mark.parametrize("make", ["openai-responses", "compatible"])
async def test_a_thought_that_the_provider_keeps_by_its_id_goes_back_to_it(
    make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it OpenAI refuses the call that came after it."""
    monkeypatch.setitem(MAKE, "compatible", lambda s: Compatible(replace(s, kind="azure"), name="up"))
    items = [{"role": "user", "content": "q"}, REASONED, CALLED, RESULT]
    request = openai_responses.parse(json.dumps({"model": "m", "store": True, "input": items}).encode()).request
    assert json.loads(await sent(make, request))["input"] == items


async def test_an_unsigned_thought_that_trivet_told_does_not_go_to_openai() -> None:
    ours = {**REASONED, "id": f"rs_{'0a' * 12}_0", "summary": [{"type": "summary_text", "text": "Hm"}]}
    items = [{"role": "user", "content": "q"}, ours, CALLED, RESULT]
    request = openai_responses.parse(json.dumps({"model": "m", "input": items}).encode()).request
    assert json.loads(await sent("openai-responses", request))["input"] == [items[0], CALLED, RESULT]
