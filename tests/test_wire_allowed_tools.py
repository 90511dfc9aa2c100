"""A choice among some of the tools: OpenAI's `allowed_tools` and Gemini's `allowedFunctionNames`, one as the other.

Shapes are those of the published references, as the official clients' own types have them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trivet.errors import RequestError, UnsupportedError
from trivet.local.llama.tools import described, tool_fields
from trivet.types import Chat, Tool, ToolChoice, user
from trivet.wire import Target, anthropic, gemini, openai_chat, openai_responses

FRONTS: dict[str, Any] = {"chat": openai_chat, "responses": openai_responses, "gemini": gemini}
TOOLS = tuple(Tool(name=name) for name in ("a", "b", "c"))
SCHEMA = {"type": "object", "properties": {}}
ASKED = Chat(messages=(user("q"),), tools=TOOLS)


def chat_choice(mode: str, *names: str) -> Any:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def responses_choice(mode: str, *names: str) -> Any:
    return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in names]}


def gemini_choice(mode: str, *names: str) -> Any:
    return {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": list(names)}}


def parsed(front: str, choice: Any, **more: Any) -> Chat:
    """A client's request with the tools a, b and c."""
    body: dict[str, Any] = {
        "chat": {
            "model": "m",
            "messages": [{"role": "user", "content": "q"}],
            "tools": [{"type": "function", "function": {"name": t.name}} for t in TOOLS],
            "tool_choice": choice,
        },
        "responses": {
            "model": "m",
            "input": "q",
            "tools": [{"type": "function", "name": t.name} for t in TOOLS],
            "tool_choice": choice,
        },
        "gemini": {
            "contents": [{"role": "user", "parts": [{"text": "q"}]}],
            "tools": [{"functionDeclarations": [{"name": t.name} for t in TOOLS]}],
            "toolConfig": choice,
        },
    }[front] | more
    request = FRONTS[front].parse(json.dumps(body).encode()).request
    assert isinstance(request, Chat)
    return request


def written(wire: Any, choice: ToolChoice, family: str) -> Any:
    target = Target(model="m", provider=family, family=family)
    return json.loads(msgspec.json.encode(wire.write(msgspec.structs.replace(ASKED, tool_choice=choice), target)))


BOTH = [
    ("chat", chat_choice("auto", "a", "b"), ToolChoice(names=("a", "b"))),
    ("chat", chat_choice("required", "a", "b"), ToolChoice(mode="required", names=("a", "b"))),
    ("chat", chat_choice("auto", "a"), ToolChoice(names=("a",))),
    ("chat", chat_choice("required", "a"), ToolChoice(mode="named", name="a")),
    ("responses", responses_choice("auto", "a", "b"), ToolChoice(names=("a", "b"))),
    ("responses", responses_choice("required", "b", "c"), ToolChoice(mode="required", names=("b", "c"))),
    ("gemini", gemini_choice("VALIDATED", "a", "b"), ToolChoice(names=("a", "b"))),
    ("gemini", gemini_choice("AUTO", "a"), ToolChoice(names=("a",))),
    ("gemini", gemini_choice("ANY", "a", "b"), ToolChoice(mode="required", names=("a", "b"))),
]


@pytest.mark.parametrize(("front", "said", "choice"), BOTH)
def test_a_choice_among_some_tools_is_read(front: str, said: Any, choice: ToolChoice) -> None:
    chat = parsed(front, said)
    assert chat.tool_choice == choice
    assert chat.extra == {}


def test_whether_calls_are_parallel_is_kept_beside_it() -> None:
    for front, said in (("chat", chat_choice("auto", "a")), ("responses", responses_choice("auto", "a"))):
        assert parsed(front, said, parallel_tool_calls=False).tool_choice == ToolChoice(names=("a",), parallel=False)


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("chat", chat_choice("auto", "elsewhere")),
        ("chat", chat_choice("auto")),
        ("chat", chat_choice("often", "a")),
        ("responses", responses_choice("auto", "a") | {"tools": [{"type": "mcp", "server_label": "s"}]}),
        ("responses", responses_choice("auto", "a") | {"strictly": True}),
    ],
)
def test_one_that_says_more_goes_to_extra(front: str, said: Any) -> None:
    assert parsed(front, said).extra == {"tool_choice": said}


def test_none_of_some_functions_goes_to_extra() -> None:
    chat = parsed("gemini", gemini_choice("NONE", "a", "b"))
    assert chat.tool_choice == ToolChoice(mode="none")
    assert chat.extra == {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["a", "b"]}}}


@pytest.mark.parametrize(("mode", "theirs"), [("auto", "VALIDATED"), ("required", "ANY")])
def test_it_is_written_where_it_has_a_counterpart(mode: Any, theirs: str) -> None:
    choice = ToolChoice(mode=mode, names=("a", "c"))
    assert written(openai_chat, choice, "openai")["tool_choice"] == chat_choice(mode, "a", "c")
    assert written(openai_responses, choice, "openai")["tool_choice"] == responses_choice(mode, "a", "c")
    assert written(gemini, choice, "gemini")["toolConfig"] == gemini_choice(theirs, "a", "c")


@pytest.mark.parametrize(("wire", "family"), [(anthropic, "anthropic"), (openai_chat, "groq")])
def test_it_is_refused_where_it_has_none(wire: Any, family: str) -> None:
    with pytest.raises(UnsupportedError, match="send only those tools") as refused:
        written(wire, ToolChoice(mode="required", names=("a", "b")), family)
    assert refused.value.field == "tool_choice.names"


def test_it_goes_with_auto_and_required_alone() -> None:
    with pytest.raises(ValueError, match="names only where"):
        ToolChoice(mode="none", names=("a",))


def test_an_embedded_model_may_call_one_of_them_where_it_must_call() -> None:
    request = msgspec.structs.replace(ASKED, tool_choice=ToolChoice(mode="required", names=("a", "c")))
    grammar = tool_fields(request, "m", {})["grammar"]
    assert ('"a"' in grammar, '"b"' in grammar, '"c"' in grammar) == (True, False, True)
    assert '"b"' not in described(request)


def test_an_embedded_model_refuses_it_where_it_need_not_call() -> None:
    request = msgspec.structs.replace(ASKED, tool_choice=ToolChoice(names=("a", "c")))
    with pytest.raises(UnsupportedError) as refused:
        tool_fields(request, "m", {"supports_tools": True})
    assert refused.value.field == "tool_choice.names"


def test_an_embedded_model_knows_a_name_that_is_no_tool() -> None:
    request = msgspec.structs.replace(ASKED, tool_choice=ToolChoice(mode="required", names=("a", "elsewhere")))
    with pytest.raises(RequestError, match="'elsewhere'"):
        tool_fields(request, "m", {})
