"""A request as Anthropic takes it, compared whole. Every body is also one of the SDK's own type."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from trivet.errors import RequestError, UnsupportedError
from trivet.providers.anthropic import Anthropic
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    Citation,
    CountTokens,
    Document,
    Image,
    Message,
    Opaque,
    Output,
    Part,
    Reasoning,
    Sampling,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    assistant,
    replace,
    system,
    user,
)
from trivet.wire import Target, anthropic, openai_chat
from trivet.wire.anthropic import count
from trivet.wire.anthropic.citations import leave_out
from trivet.wire.anthropic.request_out import notes
from trivet.wire.source import body as sent_body
from trivet.wire.thinking import leave_out as thinking_left_out

TARGET = Target(model="m", provider="up", family="anthropic")
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = Tool(name="f", description="Does.", parameters=SCHEMA)
PNG, PDF = b"\x89PNG", b"%PDF"
OF_CHAT = Source(protocol="openai-chat", body=b"{}")
MARK = {"type": "ephemeral"}


def write(request: Chat, target: Target = TARGET) -> dict[str, Any]:
    """What is sent, as a provider reads it; the SDK's own type accepts it."""
    sent: dict[str, Any] = json.loads(msgspec.json.encode(anthropic.write(request, target)))
    PARAMS.validate_python(sent)
    return sent


def asked(*content: str | Part, **fields: Any) -> Chat:
    return Chat(messages=(user(*(content or ("q",))),), **fields)


def block(part: Part, role: str = "user") -> Any:
    message = Message(role=role, content=(part,))  # type: ignore[arg-type]
    (written,) = write(Chat(messages=(message,)))["messages"][0]["content"]
    return written


def refused(request: Chat) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        anthropic.write(request, TARGET)
    return caught.value


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- the whole -------------------------------------------------------------------------------------------------


def test_a_request_is_written_whole() -> None:
    request = Chat(
        messages=(
            system("Be brief."),
            user("What is this?", Image(data=PNG, media_type="image/png", cache=CacheMark(ttl="1h"))),
            assistant(
                Thinking(text="hm", signature="s", provider="anthropic"),
                Text(text="I look."),
                ToolCall(id="c1", name="f", arguments='{"a": "b"}'),
            ),
            Message(role="user", content=(ToolResult(call_id="c1", content=(Text(text="r"),), is_error=True),)),
        ),
        tools=(TOOL,),
        tool_choice=ToolChoice(mode="named", name="f", parallel=False),
        output=Output(schema=SCHEMA),
        reasoning=Reasoning(effort="high", budget_tokens=1024),
        sampling=Sampling(max_tokens=2048, temperature=0.5, top_p=0.9, top_k=5, stop=("END",)),
        user="ann",
        service_tier="auto",
    )
    assert write(request) == {
        "model": "m",
        "max_tokens": 2048,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)},
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": "b"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": "r"}],
                        "is_error": True,
                    }
                ],
            },
        ],
        "tools": [{"name": "f", "description": "Does.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "ann"},
        "service_tier": "auto",
    }


def test_a_stream_is_asked_for_where_it_is_wanted() -> None:
    streams = Target(model="m", provider="up", family="anthropic", stream=True)
    assert anthropic.write(asked(), streams)["stream"] is True
    assert "stream" not in write(asked())


# --- messages ---------------------------------------------------------------------------------------------------


def test_system_prompts_at_the_beginning_are_the_system_and_later_ones_stay() -> None:
    developer = Message(role="developer", content=(Text(text="b", cache=CacheMark()),))
    body = write(Chat(messages=(system("a"), developer, user("q"), assistant("x"), system("c"), user("r"))))
    assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": MARK}]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "system", "user"]
    assert body["messages"][2]["content"] == [{"type": "text", "text": "c"}]


def test_nothing_but_a_system_prompt_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        anthropic.write(Chat(messages=(system("a"),)), TARGET)
    assert caught.value.field == "messages"


def test_results_of_parallel_calls_are_one_message_with_the_results_first() -> None:
    def result(id: str) -> Message:
        return Message(role="user", content=(ToolResult(call_id=id),))

    calls = assistant(ToolCall(id="a", name="f"), ToolCall(id="b", name="f"))
    body = write(Chat(messages=(user("q"), calls, result("a"), user("and"), result("b"), user("so?"))))
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "user"]
    kinds = [(b["type"], b.get("tool_use_id")) for b in body["messages"][2]["content"]]
    assert kinds == [("tool_result", "a"), ("tool_result", "b"), ("text", None)]


def test_messages_of_one_role_side_by_side_stay_apart() -> None:
    assert len(write(Chat(messages=(user("a"), user("b"))))["messages"]) == 2


def test_texts_with_nothing_in_them_are_left_out() -> None:
    body = write(Chat(messages=(user("q"), assistant("", ToolCall(id="c", name="f")), user(""))))
    assert [[b["type"] for b in m["content"]] for m in body["messages"]] == [["text"], ["tool_use"]]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            Image(url="http://x/a.png", detail="auto"),
            {"type": "image", "source": {"type": "url", "url": "http://x/a.png"}},
        ),
        (
            Image(data=b"\xff\xd8\xff"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": b64(b"\xff\xd8\xff")}},
        ),
        (
            Document(data=PDF, name="T", extra={"citations": {"enabled": True}}),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)},
                "title": "T",
                "citations": {"enabled": True},
            },
        ),
        (
            Document(data="hé".encode(), media_type="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hé"}},
        ),
        (Document(url="http://x/a.pdf"), {"type": "document", "source": {"type": "url", "url": "http://x/a.pdf"}}),
        (
            Text(text="x", cache=CacheMark(), extra={"cache_control": {"scope": "global"}}),
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}},
        ),
        (
            ToolResult(call_id="c", content=(Text(text=""), Image(url="http://x")), cache=CacheMark(ttl="5m")),
            {
                "type": "tool_result",
                "tool_use_id": "c",
                "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}],
                "cache_control": {"type": "ephemeral", "ttl": "5m"},
            },
        ),
    ],
)
def test_each_part_is_a_block(part: Part, expected: dict[str, Any]) -> None:
    assert block(part) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Thinking(redacted="d", provider="anthropic"), {"type": "redacted_thinking", "data": "d"}),
        (Thinking(signature="s", provider="anthropic"), {"type": "thinking", "thinking": "", "signature": "s"}),
        (
            Opaque(provider="anthropic", raw={"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}}),
            {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
        ),
        (
            ToolCall(id="c", name="f", arguments='{"a": '),
            {"type": "tool_use", "id": "c", "name": "f", "input": {"INVALID_JSON": '{"a": '}},
        ),
        (Text(text="No.", extra={"refusal": True}), {"type": "text", "text": "No."}),
    ],
)
def test_each_part_of_an_answer_goes_back_as_a_block(part: Part, expected: dict[str, Any]) -> None:
    assert block(part, "assistant") == expected


def test_arguments_go_back_byte_for_byte() -> None:
    call = ToolCall(id="c", name="f", arguments='{"b": 1.50, "a": "\\u00e9"}')
    sent = msgspec.json.encode(anthropic.write(Chat(messages=(user("q"), assistant(call))), TARGET))
    assert b'"input":{"b": 1.50, "a": "\\u00e9"}' in sent


def test_an_id_that_the_protocol_does_not_take_is_made_to_fit_for_call_and_result() -> None:
    calls = assistant(ToolCall(id="call:1|x", name="f"))
    body = write(Chat(messages=(user("q"), calls, Message(role="user", content=(ToolResult(call_id="call:1|x"),)))))
    sent = body["messages"][1]["content"][0]["id"]
    assert sent.startswith("toolu_")
    assert body["messages"][2]["content"][0]["tool_use_id"] == sent


def test_its_own_citations_go_back_and_others_are_left_out_with_a_note() -> None:
    raw = {
        "type": "char_location",
        "cited_text": "x",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 1,
    }
    own, other = Citation(provider="anthropic", raw=raw), Citation(provider="openai", url="http://x")
    request = Chat(messages=(user("q"), assistant(Text(text="x", citations=(own, other)))))
    kept, (note,) = leave_out(request)
    assert isinstance(kept, Chat)
    assert "citations" in note
    assert write(kept)["messages"][1]["content"][0]["citations"] == [raw]
    assert leave_out(kept) == (kept, ())


# --- fields -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(), {"type": "auto"}),
        (ToolChoice(parallel=True), {"type": "auto", "disable_parallel_tool_use": False}),
        (ToolChoice(mode="none", parallel=False), {"type": "none"}),
        (ToolChoice(mode="required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="named", name="f"), {"type": "tool", "name": "f"}),
    ],
)
def test_each_tool_choice_is_written(choice: ToolChoice, expected: dict[str, Any]) -> None:
    assert write(asked(tools=(TOOL,), tool_choice=choice))["tool_choice"] == expected


def test_a_choice_without_tools_says_nothing() -> None:
    assert "tool_choice" not in write(asked(tool_choice=ToolChoice(parallel=False)))


def test_a_tool_keeps_what_it_is() -> None:
    strict = Tool(name="f", parameters=SCHEMA, strict=True, cache=CacheMark(ttl="1h"), extra={"defer_loading": True})
    search = Tool(name="web_search", extra={"type": "web_search_20250305", "max_uses": 2})
    toolset = {"type": "mcp_toolset", "mcp_server_name": "x"}
    body = anthropic.write(asked(tools=(strict, search), extra={"tools": [toolset]}), TARGET)
    assert body["tools"] == [
        {
            "name": "f",
            "input_schema": SCHEMA,
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
            "defer_loading": True,
        },
        {"name": "web_search", "type": "web_search_20250305", "max_uses": 2},
        toolset,
    ]


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(effort="low"), None, "low"),
        (Reasoning(effort="xhigh"), None, "xhigh"),
        (Reasoning(effort="none"), {"type": "disabled"}, None),
        (Reasoning(effort="low", adaptive=False), {"type": "disabled"}, "low"),
        (Reasoning(budget_tokens=0), {"type": "disabled"}, None),
        (Reasoning(budget_tokens=1024), {"type": "enabled", "budget_tokens": 1024}, None),
        (Reasoning(adaptive=True, summary="omitted"), {"type": "adaptive", "display": "omitted"}, None),
        (Reasoning(effort="high", summary="auto"), {"type": "adaptive", "display": "summarized"}, "high"),
        (Reasoning(extra={"type": "between_tools"}), {"type": "between_tools"}, None),
    ],
)
def test_thinking_and_effort_are_written(reasoning: Reasoning, thinking: Any, effort: str | None) -> None:
    body = write(asked(reasoning=reasoning, sampling=Sampling(max_tokens=2000)))
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_a_schemas_name_and_description_are_its_title_and_description() -> None:
    output = Output(schema=SCHEMA, name="o", description="d", strict=True)
    written = write(asked(output=output))["output_config"]["format"]["schema"]
    assert written == {"title": "o", "description": "d", **SCHEMA}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"sampling": Sampling(seed=1)}, "seed"),
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(logprobs=0)}, "logprobs"),
        ({"sampling": Sampling(presence_penalty=0.5)}, "presence_penalty"),
        ({"sampling": Sampling(frequency_penalty=0.5)}, "frequency_penalty"),
        ({"sampling": Sampling(temperature=1.5)}, "temperature"),
        ({"output": Output()}, "response_format"),
        ({"reasoning": Reasoning(effort="minimal")}, "reasoning.effort"),
        ({"reasoning": Reasoning(summary="detailed")}, "reasoning.summary"),
        ({"reasoning": Reasoning(budget_tokens=100)}, "budget_tokens"),
        ({"reasoning": Reasoning(budget_tokens=2000), "sampling": Sampling(max_tokens=2000)}, "max_tokens"),
        ({"service_tier": "flex", "source": OF_CHAT}, "service_tier"),
        ({"extra": {"store": True}, "source": OF_CHAT}, "store"),
        ({"tools": (Tool(name="f", extra={"x": 1}),), "source": OF_CHAT}, "tools[0].x"),
        ({"reasoning": Reasoning(extra={"x": 1}), "source": OF_CHAT}, "reasoning.x"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    error = refused(asked(**fields))
    assert error.field == named
    assert named.rpartition(".")[2] in error.message


@pytest.mark.parametrize(
    "part",
    [
        Audio(data=b"RIFF", media_type="audio/wav"),
        Image(url="http://x", detail="low"),
        Image(data=b"?"),
        Document(data=b"PK", media_type="application/zip"),
        Document(data=b"\xff", media_type="text/plain"),
        Document(url="http://x", media_type="text/plain"),
        Opaque(provider="openai", raw={"type": "x"}),
        Thinking(text="x", cache=CacheMark()),
    ],
)
def test_a_part_that_has_no_counterpart_is_refused_with_its_place(part: Part) -> None:
    assert "messages[0].content[0]" in refused(asked(part)).message


def test_penalties_of_nothing_say_nothing() -> None:
    assert write(asked(sampling=Sampling(presence_penalty=0, frequency_penalty=0)))["max_tokens"] == 4096


def test_the_name_of_a_speaker_is_refused() -> None:
    assert refused(Chat(messages=(Message(role="user", content=(Text(text="q"),), name="ann"),))).field == (
        "messages[0].name"
    )


def test_without_max_tokens_it_is_the_models_most_or_else_some_with_a_note() -> None:
    listed = Target(model="m", provider="up", family="anthropic", quirks={"most_tokens": 64000})
    assert (write(asked(), listed)["max_tokens"], notes(asked(), listed)) == (64000, ())
    assert write(asked())["max_tokens"] == 4096
    assert "4096" in notes(asked(), TARGET)[0]
    assert write(asked(reasoning=Reasoning(budget_tokens=2000)))["max_tokens"] == 6096


def test_a_cache_key_is_left_out_with_a_note() -> None:
    request = asked(cache_key="k", sampling=Sampling(max_tokens=5))
    assert "k" not in write(request).values()
    assert "cache key" in notes(request, TARGET)[0]


def test_extra_of_python_and_of_its_own_clients_goes_out() -> None:
    body = write(asked(extra={"metadata": {"team": "t"}, "container": "c"}, user="ann"))
    assert (body["metadata"], body["container"]) == ({"user_id": "ann", "team": "t"}, "c")


# --- its own clients ---------------------------------------------------------------------------------------------


def test_a_client_of_the_protocol_is_passed_on_with_the_models_name_exchanged() -> None:
    body = b'{"model": "mine", "max_tokens": 0, "messages": [{"role": "user", "content": "Hi"}], "new": {"a":  1}}'
    sent = sent_body(anthropic.parse(body).request, TARGET, anthropic)
    assert sent == b'{"model":"m","max_tokens":0,"messages":[{"role": "user", "content": "Hi"}],"new":{"a":  1}}'


def test_a_client_that_streams_is_told_not_to_where_nobody_reads_before_the_end() -> None:
    own = {"model": "m", "stream": True}
    assert anthropic.told(own, TARGET) == {"model": "m", "stream": False}
    assert anthropic.told({"model": "m"}, TARGET) == {"model": "m"}


def test_what_another_provider_has_signed_is_taken_out_of_what_a_client_wrote() -> None:
    turns = [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "trivet:openai:s"},
                {"type": "text", "text": "x"},
            ],
        },
        {"role": "user", "content": "r"},
    ]
    client = anthropic.parse(msgspec.json.encode({"model": "m", "max_tokens": 5, "messages": turns})).request
    assert isinstance(client, Chat)
    kept, said = thinking_left_out(client, "anthropic", unsigned=False)
    sent = json.loads(sent_body(kept, TARGET, anthropic))
    assert sent["messages"] == [turns[0], {"role": "assistant", "content": [{"type": "text", "text": "x"}]}, turns[2]]
    assert len(said) == 1


def test_an_openai_client_is_carried_over() -> None:
    body = {
        "model": "mine",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "max_completion_tokens": 7,
    }
    request = openai_chat.parse(msgspec.json.encode(body)).request
    assert isinstance(request, Chat)
    assert write(request) == {
        "model": "m",
        "max_tokens": 7,
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "r"}]}],
            },
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
    }


def test_a_count_is_asked_with_what_makes_up_the_prompt() -> None:
    counted = CountTokens(messages=(system("s"), user("q")), tools=(TOOL,), reasoning=Reasoning(budget_tokens=1024))
    assert count.write(counted, TARGET) == {
        "model": "m",
        "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}],
        "tools": [{"name": "f", "description": "Does.", "input_schema": SCHEMA}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert count.told({"model": "x", "stream": True}, TARGET) == {"model": "m"}


@pytest.mark.parametrize(
    ("model", "adapts"),
    [
        ("claude-opus-4-7", True),
        ("claude-sonnet-4-6-20260218", True),
        ("claude-opus-5", True),
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-7-sonnet-latest", False),
        ("my-proxy-of-claude", False),
    ],
)
def test_an_effort_asks_for_thinking_where_the_model_decides_how_much(model: str, adapts: bool) -> None:
    """Elsewhere an effort is one of reasoning; in Anthropic's own protocol it is one of the whole answer."""
    quirks = Anthropic(ProviderSettings(api_key="k"), name="anthropic").quirks_of(model)
    target = replace(TARGET, model=model, quirks=quirks)
    high = asked(reasoning=Reasoning(effort="high"))
    assert anthropic.write(high, target).get("thinking") == ({"type": "adaptive"} if adapts else None)
    own = replace(high, source=Source(protocol="anthropic", body=b"{}"))
    assert "thinking" not in anthropic.write(own, target)
    off = asked(reasoning=Reasoning(effort="none"))
    assert anthropic.write(off, target)["thinking"] == {"type": "disabled"}


def test_a_conversation_without_a_text_says_what_it_lacks() -> None:
    with pytest.raises(RequestError, match="has no text in it"):
        write(asked(""))
    with pytest.raises(RequestError, match="has nothing but a system prompt"):
        write(Chat(messages=(system("s"),)))


def test_a_note_of_thoughts_says_whose_they_were() -> None:
    thoughts = (Thinking(text="a"), Thinking(text="b", signature="s", provider="openai"))
    _, notes = thinking_left_out(Chat(messages=(user("q"), assistant(*thoughts))), "anthropic", unsigned=False)
    assert [note.rpartition(": ")[2] for note in notes] == ["1 that nobody has signed", "1 of openai"]
