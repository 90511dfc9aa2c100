"""A request as a host of OpenAI's chat completions gets it. Bodies are compared whole; their shapes are those of the
published API reference, which the `openai` package's own types are made from."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import UnsupportedError
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    Citation,
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
from trivet.wire import Target, openai_chat, source

OPENAI = Target(model="theirs", provider="openai", family="openai")
PNG = b"\x89PNG\r\n"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
ELSEWHERE = Source(protocol="anthropic", body=b"{}")
CALL = ToolCall(id="c1", name="f", arguments='{"a":1}')


def host(family: str = "groq", *, stream: bool = False, **quirks: Any) -> Target:
    return Target(model="theirs", provider=family, family=family, stream=stream, quirks=quirks)


def write(request: Chat, target: Target = OPENAI) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(openai_chat.write(request, target)))  # type: ignore[no-any-return]


def messages(*said: Message, target: Target = OPENAI, **fields: Any) -> list[dict[str, Any]]:
    return write(Chat(messages=said, **fields), target)["messages"]  # type: ignore[no-any-return]


def fields(target: Target = OPENAI, **asked: Any) -> dict[str, Any]:
    """Of a request, what stands beside its model and messages."""
    body = write(Chat(messages=(user("Hi"),), **asked), target)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


def refused(request: Chat, target: Target = OPENAI) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        openai_chat.write(request, target)
    return caught.value


def asked(*parts: Any, **more: Any) -> Chat:
    return Chat(messages=(user(*(parts or ("Hi",))),), **more)


# --- messages ----------------------------------------------------------------------------------------------


def test_a_conversation_with_calls_is_written_whole() -> None:
    body = write(
        Chat(
            model="ours",
            messages=(
                system("Be brief."),
                Message(role="user", content=(Text(text="Weather?"),), name="ann"),
                assistant("Let me see.", CALL, replace(CALL, id="c2")),
                user(
                    ToolResult(call_id="c1", content=(Text(text="sunny"),)),
                    ToolResult(call_id="c2", content=(Text(text="a"), Text(text="b"))),
                    "And tomorrow?",
                ),
            ),
        )
    )
    function = {"name": "f", "arguments": '{"a":1}'}
    assert body == {
        "model": "theirs",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?", "name": "ann"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [{"id": id, "type": "function", "function": function} for id in ("c1", "c2")],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "user", "content": "And tomorrow?"},
        ],
    }


def test_every_kind_of_input_is_written() -> None:
    (message,) = messages(
        user(
            "Look:",
            Image(data=PNG, media_type="image/png", detail="low"),
            Image(url="https://example.org/a.png"),
            Audio(data=b"RIFF", media_type="audio/wav"),
            Audio(data=b"ID3", media_type="audio/mpeg"),
            Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
        )
    )
    assert message["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
    ]


def test_a_text_document_is_told_as_text_below_its_name() -> None:
    (message,) = messages(user(Document(data=b"x = 1", media_type="text/plain", name="a.py")))
    assert message["content"] == [{"type": "text", "text": "a.py:\n\nx = 1"}]


def test_an_error_of_a_tool_is_told_in_its_text() -> None:
    failed = ToolResult(call_id="c1", content=(Text(text="no such city"),), is_error=True)
    assert messages(user(failed))[0]["content"] == "Error: no such city"
    assert messages(user(ToolResult(call_id="c1", is_error=True)))[0]["content"] == "Error"


def test_images_of_results_follow_all_of_the_results_where_the_host_has_no_place_in_them() -> None:
    image = Image(data=PNG, media_type="image/png")
    written = {"type": "image_url", "image_url": {"url": PNG_URL}}
    said = (
        user(ToolResult(call_id="c1", content=(Text(text="a map"), image))),
        user(ToolResult(call_id="c2", content=(image,))),
        user("Well?"),
    )
    assert messages(*said) == [
        {"role": "tool", "tool_call_id": "c1", "content": "a map"},
        {"role": "tool", "tool_call_id": "c2", "content": "The result is in the next message."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of c1:"},
                written,
                {"type": "text", "text": "From the result of c2:"},
                written,
            ],
        },
        {"role": "user", "content": "Well?"},
    ]
    inside = messages(said[0], target=host(tool_images=True))
    assert inside == [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a map"}, written]}]


def test_a_refusal_stands_under_refusal() -> None:
    no = Text(text="No.", extra={"refusal": True})
    assert messages(assistant(no)) == [{"role": "assistant", "content": None, "refusal": "No."}]
    (mixed,) = messages(assistant(no, "But:"))
    assert mixed["content"] == [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "But:"}]


def test_citations_of_addresses_go_as_annotations_of_the_whole_text() -> None:
    cited = Text(text="so", citations=(Citation(url="https://a.example", title="A", start=0, end=2),))
    (message,) = messages(assistant("Then ", cited))
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://a.example", "title": "A", "start_index": 5, "end_index": 7},
        }
    ]
    assert "citation" in refused(Chat(messages=(assistant(Text(text="x", citations=(Citation(quote="q"),))),))).message


def test_what_is_openais_own_goes_back_to_it() -> None:
    file = {"type": "file", "file": {"file_id": "file-1"}}
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    said = messages(user(Opaque(provider="openai", raw=file)), assistant(Opaque(provider="openai", raw=call)))
    assert said == [
        {"role": "user", "content": [file]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Opaque(provider="anthropic", raw={"type": "server_tool_use"}),
        Opaque(provider="openai", raw={"type": "web_search_call"}),
        Document(url="https://example.org/a.pdf"),
        Audio(url="https://example.org/a.wav"),
    ],
)
def test_a_part_that_the_protocol_cannot_say_is_refused(part: Part) -> None:
    error = refused(asked(part))
    assert (error.status, error.field) == (400, "messages[0].content")


# --- thinking ----------------------------------------------------------------------------------------------


def test_thinking_goes_back_under_the_hosts_name_where_it_takes_it() -> None:
    said = assistant(Thinking(text="hm"), "so")
    takes = host(reasoning_content="reasoning", send_thinking=True)
    assert messages(said, target=takes) == [{"role": "assistant", "content": "so", "reasoning": "hm"}]
    assert refused(Chat(messages=(said,)), host()).field == "messages[0].content"


def test_signed_thinking_goes_back_with_the_format_of_its_provider() -> None:
    said = assistant(Thinking(text="hm", signature="s", provider="anthropic"), "so")
    (message,) = messages(said, target=host("openrouter"))
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    ]
    assert "signed thinking" in refused(Chat(messages=(said,)), host(reasoning_details=False)).message


def test_geminis_signature_of_a_call_goes_with_the_call() -> None:
    said = assistant(Thinking(signature="g", provider="gemini"), CALL, replace(CALL, id="c2"))
    (message,) = messages(said, target=host("gemini"))
    first, second = message["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "g"}}
    assert "extra_content" not in second
    assert "reasoning_details" not in message


# --- tools and output --------------------------------------------------------------------------------------


def test_tools_are_written() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    custom = {"type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}}
    tools = (
        Tool(name="f", description="d", parameters=schema, strict=True),
        Tool(name="g", extra={"type": "custom", "custom": {"format": custom}}),
    )
    assert fields(tools=tools) == {
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
            {"type": "custom", "custom": {"name": "g", "format": custom}},
        ]
    }


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(), {"tool_choice": "auto"}),
        (ToolChoice(mode="none"), {"tool_choice": "none"}),
        (ToolChoice(mode="required"), {"tool_choice": "required"}),
        (ToolChoice(mode="named", name="f"), {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        (ToolChoice(parallel=False), {"tool_choice": "auto", "parallel_tool_calls": False}),
    ],
)
def test_every_tool_choice_is_written(choice: ToolChoice, written: dict[str, Any]) -> None:
    body = fields(tools=(Tool(name="f"),), tool_choice=choice)
    del body["tools"]
    assert body == written


def test_structured_output_is_written() -> None:
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": schema, "strict": True}}
    given = Output(schema=schema, name="n", description="d", strict=True)
    assert fields(output=given) == {"response_format": form}
    assert fields(output=Output()) == {"response_format": {"type": "json_object"}}
    assert fields(output=Output(schema=schema))["response_format"]["json_schema"]["name"] == "answer"


# --- the other fields --------------------------------------------------------------------------------------


def test_sampling_is_written() -> None:
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        seed=7,
        stop=("a",),
        max_tokens=5,
        logprobs=3,
        n=2,
    )
    assert fields(sampling=sampling) == {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "seed": 7,
        "stop": ["a"],
        "max_completion_tokens": 5,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
    }
    assert fields(sampling=Sampling(logprobs=0)) == {"logprobs": True}
    assert fields(sampling=Sampling()) == {}
    assert fields(host(), sampling=Sampling(top_k=0)) == {"top_k": -1}


def test_effort_and_labels_are_written() -> None:
    body = fields(reasoning=Reasoning(effort="low"), user="ann", cache_key="k", service_tier="flex")
    assert body == {"reasoning_effort": "low", "user": "ann", "prompt_cache_key": "k", "service_tier": "flex"}


def test_a_budget_is_said_where_the_host_has_a_word_for_it_and_refused_elsewhere() -> None:
    budget = Reasoning(budget_tokens=1000)
    assert fields(host(reasoning=True), reasoning=budget) == {"reasoning": {"max_tokens": 1000}}
    assert refused(asked(reasoning=budget)).field == "budget_tokens"
    assert fields(reasoning=Reasoning(budget_tokens=0)) == {"reasoning_effort": "none"}
    assert fields(reasoning=Reasoning(adaptive=True)) == {}


def test_a_service_tier_of_another_provider_is_refused() -> None:
    assert refused(asked(service_tier="standard_only", source=ELSEWHERE)).field == "service_tier"
    assert fields(service_tier="auto", source=ELSEWHERE) == {"service_tier": "auto"}


def test_extra_fields_go_where_they_came_from_and_not_from_another_protocol() -> None:
    request = Chat(
        messages=(
            Message(
                role="user",
                content=(Image(url="https://a", extra={"image_url": {"detail": "original"}}), Text(text="x")),
                extra={"mood": "good"},
            ),
        ),
        tools=(Tool(name="f", extra={"defer": True, "function": {"new": 1}}),),
        output=Output(schema={}, name="n"),
        extra={"min_p": 0.1, "response_format": {"json_schema": {"later": 2}}},
    )
    body = write(request)
    assert body["min_p"] == 0.1
    assert body["messages"][0]["mood"] == "good"
    assert body["messages"][0]["content"][0]["image_url"] == {"url": "https://a", "detail": "original"}
    assert body["tools"][0]["defer"] is True
    assert body["tools"][0]["function"]["new"] == 1
    assert body["response_format"]["json_schema"] == {"name": "n", "schema": {}, "later": 2}
    assert refused(asked(extra={"container": "c"}, source=ELSEWHERE)).field == "container"
    assert refused(asked(Text(text="x", extra={"new": 1}), source=ELSEWHERE)).field == "messages[0].new"


def test_what_responses_say_too_is_carried() -> None:
    there = Source(protocol="openai-responses", body=b"{}")
    body = fields(extra={"metadata": {"a": "b"}, "text": {"verbosity": "low"}}, source=there)
    assert body == {"metadata": {"a": "b"}, "verbosity": "low"}
    assert refused(asked(extra={"previous_response_id": "r"}, source=there)).field == "previous_response_id"


def test_cache_marks_are_told_in_the_hosts_own_way_or_refused() -> None:
    text, hour = Text(text="x", cache=CacheMark()), Text(text="x", cache=CacheMark(ttl="1h"))

    def written(part: Text, target: Target) -> Any:
        content = messages(user(part), target=target)[0]["content"]
        return (
            content if isinstance(content, str) else {k: v for k, v in content[0].items() if k not in ("type", "text")}
        )

    assert written(text, OPENAI) == {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert written(hour, OPENAI) == {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    assert written(hour, host(cache="cache_control")) == {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert written(text, host(cache="automatic")) == "x"
    assert refused(asked(text), host()).field == "messages[0]"
    tool = Tool(name="f", cache=CacheMark())
    assert refused(asked(tools=(tool,))).field == "tools[0]"
    assert fields(host(cache="cache_control"), tools=(tool,))["tools"][0]["cache_control"] == {"type": "ephemeral"}


# --- hosts that differ -------------------------------------------------------------------------------------


def test_a_host_is_asked_in_its_own_names() -> None:
    target = host(max_tokens="max_tokens", developer_role=False, stream=True, stream_options=False)
    said = Message(role="developer", content=(Text(text="Be brief."),))
    assert write(Chat(messages=(said,), sampling=Sampling(max_tokens=5)), target) == {
        "model": "theirs",
        "messages": [{"role": "system", "content": "Be brief."}],
        "max_tokens": 5,
        "stream": True,
    }


def test_ids_are_made_to_fit_alike_for_call_and_result() -> None:
    said = (assistant(replace(CALL, id="call_" + "x" * 60)), user(ToolResult(call_id="call_" + "x" * 60)))
    call, result = messages(*said, target=host("mistral", tool_call_id="mistral9"))
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()
    assert messages(*said)[0]["tool_calls"][0]["id"] == "call_" + "x" * 60


@pytest.mark.parametrize(
    ("quirks", "request_", "field"),
    [
        ({"no": ("seed",)}, asked(sampling=Sampling(seed=1)), "seed"),
        ({"no": ("image_url",)}, asked(Image(url="https://a")), "messages[0]"),
        ({"no": ("tools",)}, asked(tools=(Tool(name="f"),)), "tools"),
        ({"json_schema": False}, asked(output=Output(schema={})), "response_format"),
        ({"json_object": False}, asked(output=Output()), "response_format"),
    ],
)
def test_what_a_host_is_known_to_refuse_is_refused_before_it_is_asked(
    quirks: dict[str, Any], request_: Chat, field: str
) -> None:
    assert refused(request_, host(**quirks)).field == field


def test_openai_has_no_top_k() -> None:
    assert refused(asked(sampling=Sampling(top_k=5))).field == "top_k"


# --- the client's own protocol -----------------------------------------------------------------------------


def own(body: dict[str, Any], target: Target) -> dict[str, Any]:
    """What goes out of what a client wrote."""
    request = openai_chat.parse(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | body).encode()
    )
    return json.loads(source.body(request.request, target, openai_chat))  # type: ignore[no-any-return, arg-type]


def test_usage_is_asked_for_in_a_stream_whatever_the_client_asked() -> None:
    stream = host(stream=True)
    assert own({"stream": True}, stream)["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "new": 1}
    assert own({"stream": True, "stream_options": options}, stream)["stream_options"] == {
        "include_usage": True,
        "new": 1,
    }
    assert "stream_options" not in own({"stream": True, "stream_options": options}, host())
    assert own({"stream": True}, host())["stream"] is False
    assert "stream_options" not in own({"stream": True}, host(stream=True, stream_options=False))


def test_a_clients_own_words_are_put_into_the_hosts_names() -> None:
    target = host("mistral", max_tokens="max_tokens", developer_role=False, tool_call_id="mistral9")
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = own(
        {
            "max_completion_tokens": 5,
            "messages": [
                {"role": "developer", "content": "x", "new": 1},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "y"},
            ],
        },
        target,
    )
    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body
    first, second, third = body["messages"]
    assert first == {"role": "system", "content": "x", "new": 1}
    assert second["tool_calls"][0]["id"] == third["tool_call_id"] != "call_1"


@pytest.mark.parametrize("name", ["user", "safety_identifier"])
def test_who_asks_keeps_the_name_that_the_client_used(name: str) -> None:
    incoming = openai_chat.parse(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], name: "ann"}).encode()
    )
    assert isinstance(incoming.request, Chat)
    changed = replace(incoming.request, user="bob")
    body = json.loads(source.body(changed, OPENAI, openai_chat))  # type: ignore[arg-type]
    assert {k: body[k] for k in ("user", "safety_identifier") if k in body} == {name: "bob"}


def test_the_same_request_is_the_same_bytes() -> None:
    request = asked("x", Image(data=PNG, media_type="image/png"), tools=(Tool(name="f"),), extra={"b": 1, "a": 2})
    assert len({msgspec.json.encode(openai_chat.write(request, OPENAI)) for _ in range(5)}) == 1


# --- any conversation --------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
marks = st.none() | st.just(CacheMark())
texts = st.builds(Text, text=words, cache=marks)
media = st.one_of(
    st.builds(Image, data=st.binary(max_size=6), media_type=st.just("image/png"), detail=st.none() | st.just("low")),
    st.builds(Image, url=words.map("https://{}".format), cache=marks),
    st.builds(Audio, data=st.binary(max_size=6), media_type=st.sampled_from(["audio/wav", "audio/mpeg"])),
    st.builds(Document, data=st.binary(max_size=6), media_type=st.just("application/pdf"), name=words),
)
calls = st.builds(ToolCall, id=names, name=names, arguments=st.sampled_from(["{}", '{"a": 1}', '{"cut']))
signed = st.builds(Thinking, text=words, signature=words, provider=st.sampled_from(["anthropic", "openai", "else"]))
thoughts = st.one_of(
    st.lists(st.one_of(signed, st.builds(Thinking, redacted=words, provider=st.just("anthropic"))), max_size=2),
    st.builds(Thinking, text=words).map(lambda t: [t]),
)
signatures = st.lists(calls, max_size=3) | st.tuples(
    st.builds(Thinking, signature=words, provider=st.just("gemini")), calls
)


@st.composite
def assistants(draw: st.DrawFn) -> Message:
    said = draw(st.lists(texts, max_size=2))
    refusal = [Text(text=t, extra={"refusal": True}) for t in draw(st.lists(words, max_size=1))]
    return assistant(*draw(thoughts), *said, *refusal, *draw(signatures))


systems = st.builds(
    Message, role=st.sampled_from(["system", "developer"]), content=st.lists(texts, min_size=1, max_size=2).map(tuple)
)
users = st.builds(
    Message,
    role=st.just("user"),
    content=st.lists(texts | media, min_size=1, max_size=3).map(tuple),
    name=st.none() | names,
)
results = st.builds(ToolResult, call_id=names, content=st.lists(texts, min_size=1, max_size=2).map(tuple)).map(user)
tools = st.lists(
    st.builds(
        Tool,
        name=names,
        description=st.none() | words,
        parameters=st.just({"type": "object"}),
        strict=st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda t: t.name,
).map(tuple)
choices = st.none() | st.builds(
    ToolChoice, mode=st.sampled_from(["auto", "none", "required"]), parallel=st.none() | st.booleans()
)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(0, 100),
    seed=st.none() | st.integers(-5, 5),
    stop=st.lists(words, max_size=2).map(tuple),
    max_tokens=st.none() | st.integers(1, 9),
    logprobs=st.none() | st.integers(0, 20),
    n=st.integers(1, 3),
)
TAKES_ALL = host(
    "openrouter",
    reasoning_content="reasoning_content",
    send_thinking=True,
    cache="breakpoint",
)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    said = draw(st.lists(systems | users | assistants() | results, min_size=1, max_size=5))
    offered = draw(st.just(()) | tools)
    return Chat(
        model="theirs",
        messages=tuple(said),
        tools=offered,
        tool_choice=draw(choices) if offered else None,
        output=draw(st.none() | st.just(Output()) | st.builds(Output, schema=st.just({"type": "object"}), name=names)),
        reasoning=draw(st.none() | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "max"]))),
        sampling=draw(samplings),
        user=draw(st.none() | words),
        cache_key=draw(st.none() | words),
        service_tier=draw(st.none() | st.sampled_from(["auto", "flex"])),
        extra=draw(st.just({}) | st.just({"min_p": 0.1})),
    )


@given(chats())
def test_whatever_is_written_is_read_as_it_was(request: Chat) -> None:
    body = msgspec.json.encode(openai_chat.write(request, TAKES_ALL))
    read = openai_chat.parse(body).request
    assert replace(read, source=None) == request
