"""A request written for Gemini. Shapes are those of google-genai's own types."""

from __future__ import annotations

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
    CountTokens,
    Document,
    Embed,
    Image,
    Message,
    Opaque,
    Output,
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
from trivet.wire import Target, gemini, source
from trivet.wire.gemini import count, embed
from trivet.wire.gemini.request_out import notes

TARGET = Target(model="gemini-3-pro", provider="google", family="gemini")
OPENAI = Source(protocol="openai-chat", body=b"{}")
WEATHER = Tool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


def write(*messages: Message, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    return gemini.write(Chat(messages=messages or (user("Hi"),), **fields), target)


def parts(*content: Any) -> list[Any]:
    """The parts of a model's content, after a question."""
    written: list[Any] = write(user("Hi"), assistant(*content))["contents"][1]["parts"]
    return written


def test_system_prompts_in_front_are_the_system_instruction() -> None:
    written = write(system("a"), system("b"), user("Hi"))
    assert written["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert written["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]


def test_a_system_prompt_in_mid_conversation_is_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        write(user("Hi"), system("b"))
    assert caught.value.field == "messages[1]"


def test_geminis_signature_goes_with_the_part_after_it() -> None:
    bare = Thinking(signature="QQ==", provider="gemini")
    call = ToolCall(id="c", name="f", arguments='{"a":1}')
    assert parts(bare, call) == [
        {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": "QQ=="}
    ]
    assert parts(Text(text="t"), bare) == [{"text": "t"}, {"text": "", "thoughtSignature": "QQ=="}]


def test_parallel_results_stand_side_by_side_under_the_names_of_their_calls() -> None:
    calls = assistant(ToolCall(id="a", name="f"), ToolCall(id="b", name="g"))
    results = [
        Message(role="user", content=(ToolResult(call_id="a", content=(Text(text="1"),)),)),
        Message(role="user", content=(ToolResult(call_id="b", content=(Text(text="2"),), is_error=True),)),
    ]
    written = write(user("Hi"), calls, *results, source=OPENAI)["contents"]
    assert len(written) == 3
    assert written[2]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}}},
        {"functionResponse": {"id": "b", "name": "g", "response": {"error": "2"}}},
    ]


def test_images_in_results_are_parts_of_the_response() -> None:
    result = ToolResult(call_id="a", content=(Text(text="1"), Image(data=b"A", media_type="image/png")))
    written = write(user("Hi"), assistant(ToolCall(id="a", name="f")), user(result))
    response = written["contents"][2]["parts"][0]["functionResponse"]
    assert response["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]


@pytest.mark.parametrize(
    ("reasoning", "model", "expected"),
    [
        (Reasoning(effort="high"), "gemini-3-pro", {"thinkingLevel": "HIGH"}),
        (Reasoning(effort="high"), "gemini-2.5-pro", {"thinkingBudget": 24576}),
        (Reasoning(effort="none"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (Reasoning(budget_tokens=99, summary="auto"), "x", {"includeThoughts": True, "thinkingBudget": 99}),
        (Reasoning(adaptive=True), "x", {"thinkingBudget": -1}),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(reasoning: Reasoning, model: str, expected: Any) -> None:
    written = write(reasoning=reasoning, target=replace(TARGET, model=model), source=OPENAI)
    assert written["generationConfig"]["thinkingConfig"] == expected


def test_tools_choice_and_output() -> None:
    written = write(
        tools=(WEATHER,),
        tool_choice=ToolChoice(mode="named", name="weather"),
        output=Output(schema={"type": "object"}, name="n"),
        sampling=Sampling(n=2, logprobs=0, stop=("a",)),
    )
    assert written["tools"] == [
        {"functionDeclarations": [{"name": "weather", "parametersJsonSchema": dict(WEATHER.parameters)}]}
    ]
    assert written["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}
    assert written["generationConfig"] == {
        "candidateCount": 2,
        "stopSequences": ["a"],
        "responseLogprobs": True,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"title": "n", "type": "object"},
    }


def test_strict_tools_are_validated() -> None:
    written = write(tools=(replace(WEATHER, strict=True),))
    assert written["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"extra": {"logit_bias": {}}}, "logit_bias"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"tool_choice": ToolChoice(parallel=False)}, "tool_choice.parallel"),
        ({"reasoning": Reasoning(effort="max")}, "reasoning.effort"),
        ({"reasoning": Reasoning(effort="low", budget_tokens=5)}, "reasoning.effort"),
        ({"messages": (replace(user("Hi"), name="Bob"),)}, "messages[0].name"),
        ({"messages": (user(Opaque(provider="openai", raw={})),)}, "messages[0].content[0]"),
        ({"messages": (user(Text(text="a", extra={"mood": 1})),)}, "messages[0].content[0].mood"),
        ({"tools": (Tool(name="f", extra={"type": "x"}),)}, "tools[0].type"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        gemini.write(Chat(**{"messages": (user("Hi"),), **fields}, source=OPENAI), TARGET)
    assert caught.value.field == field


def test_metadata_of_another_protocol_are_labels() -> None:
    assert write(extra={"metadata": {"a": "b"}}, source=OPENAI)["labels"] == {"a": "b"}


def test_what_asks_nothing_of_the_answer_is_left_out_and_said() -> None:
    chat = Chat(messages=(user(Text(text="Hi", cache=CacheMark())),), user="u", source=OPENAI)
    assert gemini.write(chat, TARGET) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert len(notes(chat)) == 2


def test_a_clients_own_bytes_go_out_with_what_a_wrapper_changed() -> None:
    body = b'{"contents":[{"role":"user","parts":[{"text": "Hi"}]}],"generation_config":{"temperature":1},"newField":1}'
    request = gemini.parse(body).request
    assert isinstance(request, Chat)
    assert json.loads(source.body(request, TARGET, gemini)) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"temperature": 1},
        "newField": 1,
    }
    edited = replace(request, messages=(system("S"), *request.messages), sampling=Sampling(temperature=0))
    assert json.loads(source.body(edited, TARGET, gemini)) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"temperature": 0},
        "newField": 1,
        "systemInstruction": {"parts": [{"text": "S"}]},
    }


def test_a_count_of_more_than_contents_is_of_a_whole_request() -> None:
    request = CountTokens(messages=(system("S"), user("Hi")))
    written = count.write(request, TARGET)["generateContentRequest"]
    assert written["model"] == "models/gemini-3-pro"
    assert written["systemInstruction"] == {"parts": [{"text": "S"}]}
    parsed = count.parse(msgspec.json.encode({"generateContentRequest": written | {"model": "models/mine"}})).request
    own = json.loads(source.body(parsed, TARGET, count))
    assert own["generateContentRequest"]["model"] == "models/gemini-3-pro"


def test_vectors_of_cut_texts_cannot_be_asked_for() -> None:
    with pytest.raises(UnsupportedError, match="truncate"):
        embed.write(Embed(texts=("a",), truncate=True), TARGET)


def test_embeddings_are_asked_for_in_a_batch() -> None:
    written = embed.write(Embed(texts=("a", "b"), dimensions=3), TARGET)
    one = {"model": "models/gemini-3-pro", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 3}
    assert written["requests"][1] == one
    own = embed.parse(msgspec.json.encode({"requests": [one | {"model": "models/mine"}]})).request
    assert json.loads(source.body(own, TARGET, embed)) == {"requests": [one]}


# --- what is written reads back as it was ---------------------------------------------------------------------------

words = st.text(min_size=1, max_size=20)
ids = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
texts = st.builds(Text, text=words, extra=st.sampled_from([{}, {"partMetadata": {"a": 1}}]))
media = (
    st.builds(Image, data=st.binary(), media_type=st.just("image/png"), detail=st.sampled_from([None, "low", "high"]))
    | st.builds(Audio, data=st.binary(), media_type=st.just("audio/wav"))
    | st.builds(Document, data=st.binary(), media_type=st.just("application/pdf"), name=st.none() | words)
    | st.builds(Image, url=st.just("https://example.org/a.png"), media_type=st.just("image/png"))
)
opaque = st.builds(Opaque, provider=st.just("gemini"), raw=st.builds(lambda c: {"executableCode": {"code": c}}, words))
thoughts = (
    st.builds(Thinking, text=words)
    | st.builds(Thinking, text=words, signature=st.just("QQ=="), provider=st.just("gemini"))
    | st.builds(Thinking, text=st.text(max_size=5), signature=words, provider=st.sampled_from(["anthropic", "openai"]))
    | st.builds(Thinking, redacted=words, provider=st.just("anthropic"))
)
signature = Thinking(signature="QQ==", provider="gemini")


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    out = [system(draw(words))] if draw(st.booleans()) else []
    seen = 0
    for _ in range(draw(st.integers(1, 3))):
        out.append(user(*draw(st.lists(texts | media, min_size=1, max_size=3))))
        said: list[Any] = list(draw(st.lists(thoughts | texts | opaque, max_size=3)))
        results: list[Any] = []
        for _ in range(draw(st.integers(0, 2))):
            seen += 1
            arguments = msgspec.json.encode(draw(st.dictionaries(words, values, max_size=3))).decode()
            said += [signature] if draw(st.booleans()) else []
            said.append(ToolCall(id=f"{draw(ids)}{seen}", name=draw(ids), arguments=arguments))
            content = (
                *draw(st.lists(st.builds(Text, text=st.text(max_size=20)), max_size=3)),
                *draw(st.lists(media, max_size=1)),
            )
            results.append(ToolResult(call_id=said[-1].id, content=content, is_error=draw(st.booleans())))
        said += [signature] if draw(st.booleans()) else []
        out += [assistant(*said)] if said else []
        out += [user(*results)] if results else []
    return tuple(out)


chats = st.builds(
    Chat,
    messages=conversations(),
    tools=st.lists(
        st.builds(Tool, name=ids, description=st.none() | words, result=st.none() | st.just({"type": "string"})),
        max_size=2,
        unique_by=lambda t: t.name,
    ).map(tuple),
    output=st.sampled_from([None, Output(), Output(schema={"type": "object"}, strict=True)]),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        effort=st.sampled_from(["minimal", "low", "medium", "high", "xhigh"]),
        summary=st.sampled_from([None, "auto", "omitted"]),
    )
    | st.builds(Reasoning, budget_tokens=st.integers(1, 9999)),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 2),
        top_k=st.none() | st.integers(0, 99),
        stop=st.lists(words, max_size=2).map(tuple),
        max_tokens=st.none() | st.integers(1, 99),
        logprobs=st.none() | st.integers(0, 20),
        n=st.integers(1, 8),
    ),
    service_tier=st.sampled_from([None, "flex"]),
    extra=st.sampled_from([{}, {"labels": {"a": "b"}}, {"tools": [{"googleSearch": {}}]}]),
)


def test_a_thought_without_a_text_signs_no_other() -> None:
    """Only where our streams have told its text before."""
    thoughts = (Thinking(text="Hm"), Thinking(signature="s", provider="anthropic"))
    back = gemini.parse(msgspec.json.encode(write(user("Hi"), assistant(*thoughts)))).request
    assert isinstance(back, Chat)
    assert back.messages[1].content == thoughts


@given(chats)
def test_a_chat_comes_back_from_its_json(chat: Chat) -> None:
    body = msgspec.json.encode(gemini.write(chat, TARGET))
    back = gemini.parse(body).request
    assert isinstance(back, Chat)
    assert replace(back, source=None) == chat
    assert msgspec.json.encode(gemini.write(back, TARGET)) == body
