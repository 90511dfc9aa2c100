"""A Gemini request's JSON, read as a `Chat`. Fields are those of google-genai's own types."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from trivet.errors import RequestError, UnsupportedError
from trivet.types import (
    Audio,
    Chat,
    CountTokens,
    Document,
    Embed,
    Image,
    Opaque,
    Output,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    system,
    user,
)
from trivet.wire import gemini
from trivet.wire.gemini import count, embed
from trivet.wire.gemini.front import front

HELLO = [{"role": "user", "parts": [{"text": "Hi"}]}]
WEATHER = {"name": "weather", "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}
PNG = base64.b64encode(b"\xfb\xff\xfe").decode()  # has both characters that the alphabets differ in


def parse(**fields: Any) -> Chat:
    request = gemini.parse(json.dumps({"contents": HELLO} | fields).encode()).request
    assert isinstance(request, Chat)
    return request


def content(*parts: Any, role: str = "user") -> tuple[Any, ...]:
    return parse(contents=[{"role": role, "parts": list(parts)}]).messages[0].content


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


def test_the_sampling_fields_are_read() -> None:
    config = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40.0,
        "maxOutputTokens": 5,
        "stopSequences": ["a"],
        "seed": 7,
        "candidateCount": 2,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    chat = parse(generationConfig=config)
    assert chat.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=5,
        stop=("a",),
        seed=7,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=3,
    )
    assert chat.extra == {}


def test_names_in_snake_case_are_read_like_those_in_camel_case() -> None:
    snake = parse(
        system_instruction={"parts": [{"text": "S"}]},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 9}},
        tools=[{"function_declarations": [WEATHER]}, {"google_search": {}}],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["weather"]}},
        service_tier="flex",
    )
    camel = parse(
        systemInstruction={"parts": [{"text": "S"}]},
        generationConfig={"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 9}},
        tools=[{"functionDeclarations": [WEATHER]}, {"googleSearch": {}}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        serviceTier="flex",
    )
    assert snake.source is not None
    assert camel.source is not None
    assert gemini.parse(snake.source.body).request.extra == {"tools": [{"googleSearch": {}}]}
    assert {f: getattr(snake, f) for f in snake.__struct_fields__ if f != "source"} == {
        f: getattr(camel, f) for f in camel.__struct_fields__ if f != "source"
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "bot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].parts[0].functionCall"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}]},
            "contents[0].parts[0].inlineData.data",
        ),
        ({"generationConfig": {"temperature": -1}}, "generationConfig.temperature"),
        ({"generation_config": {"max_output_tokens": 0}}, "generation_config.max_output_tokens"),
        ({"generationConfig": {"stopSequences": [""]}}, "generationConfig.stopSequences[0]"),
        ({"generationConfig": {"responseSchema": {}}}, "generationConfig.responseSchema"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "huge"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MUST"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_a_wrong_field_is_refused_by_the_name_that_the_client_wrote(fields: dict[str, Any], field: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert field in error.message


def test_a_system_instruction_is_the_first_message() -> None:
    chat = parse(systemInstruction={"role": "user", "parts": [{"text": "Be brief"}]})
    assert chat.messages == (system("Be brief"), user("Hi"))


def test_one_content_without_a_list_is_read() -> None:
    assert parse(contents={"parts": {"text": "Hi"}}).messages == (user("Hi"),)


@pytest.mark.parametrize("data", [PNG, PNG.translate(str.maketrans("+/", "-_")), PNG.rstrip("=")])
def test_bytes_are_read_in_either_alphabet(data: str) -> None:
    (image,) = content({"inlineData": {"mimeType": "image/png", "data": data}})
    assert image == Image(data=b"\xfb\xff\xfe", media_type="image/png")


def test_media_are_read_by_their_type() -> None:
    pdf, wav, web, video = content(
        {"inlineData": {"mimeType": "application/pdf", "data": "QQ==", "displayName": "a.pdf"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "QQ=="}},
        {"fileData": {"fileUri": "https://x/y.png", "mimeType": "image/png"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "QQ=="}},
    )
    assert pdf == Document(data=b"A", media_type="application/pdf", name="a.pdf")
    assert wav == Audio(data=b"A", media_type="audio/wav")
    assert web == Image(url="https://x/y.png", media_type="image/png")
    assert isinstance(video, Opaque)


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
        {"somethingNew": {"a": 1}, "thoughtSignature": "QQ=="},
    ],
)
def test_a_part_that_only_gemini_understands_is_kept_as_it_is(part: Any) -> None:
    assert content(part, role="model") == (Opaque(provider="gemini", raw=part),)


def test_a_thought_is_read_with_its_signature() -> None:
    part = {"text": "Hm", "thought": True, "thoughtSignature": "QQ=="}
    assert content(part, role="model") == (Thinking(text="Hm", signature="QQ==", provider="gemini"),)
    assert content({"text": "Hm", "thought": True}, role="model") == (Thinking(text="Hm"),)


def test_a_signature_of_a_call_is_an_empty_thought_before_it() -> None:
    call = {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": "QQ=="}
    thought, read = content(call, role="model")
    assert thought == Thinking(signature="QQ==", provider="gemini")
    assert read == ToolCall(id="c", name="f", arguments='{"a":1}')


def test_another_providers_signature_is_known_again() -> None:
    tagged = base64.b64encode(b"trivet:anthropic:Eq+/=").decode()
    redacted = base64.b64encode(b"redacted:trivet:anthropic:XYZ").decode()
    assert content(
        {"text": "Hm", "thought": True, "thoughtSignature": tagged},
        {"text": "", "thought": True, "thoughtSignature": redacted},
        role="model",
    ) == (
        Thinking(text="Hm", signature="Eq+/=", provider="anthropic"),
        Thinking(redacted="XYZ", provider="anthropic"),
    )


def test_results_without_ids_belong_to_the_calls_of_their_names_in_order() -> None:
    def call(n: int) -> Any:
        return {"functionCall": {"name": "f", "args": {"n": n}}}

    def result(n: int) -> Any:
        return {"functionResponse": {"name": "f", "response": {"output": f"{n}"}}}

    contents = [*HELLO, {"role": "model", "parts": [call(1), call(2)]}, {"parts": [result(1), result(2)]}]
    _, asked, told = parse(contents=contents).messages
    assert [c.id for c in asked.tool_calls] == [p.call_id for p in told.content if isinstance(p, ToolResult)]
    assert len({c.id for c in asked.tool_calls}) == 2
    assert parse(contents=contents).messages[1] == asked  # the same ids each time


def test_a_result_that_nothing_asked_for_is_refused() -> None:
    error = refused(contents=[{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}])
    assert error.field == "contents[0].parts[0].functionResponse"


@pytest.mark.parametrize(
    ("response", "texts", "failed"),
    [
        ({"output": "sunny"}, ["sunny"], False),
        ({"error": "no such city"}, ["no such city"], True),
        ({"result": {"t": 20}}, ['{"result":{"t":20}}'], False),
        ({"error": {"code": 5}}, ['{"error":{"code":5}}'], True),
        ({"output": ["a", "b"]}, ["a", "b"], False),
        ({}, [], False),
    ],
)
def test_a_functions_result_is_read(response: Any, texts: list[str], failed: bool) -> None:
    contents = [
        {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f"}}]},
        {"parts": [{"functionResponse": {"id": "c", "name": "f", "response": response}}]},
    ]
    (result,) = parse(contents=contents).messages[1].content
    assert result == ToolResult(call_id="c", content=tuple(Text(text=t) for t in texts), is_error=failed)


def test_functions_are_read_in_both_kinds_of_schema() -> None:
    older = {"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": True}}, "required": ["city"]}
    (tool,) = parse(tools=[{"functionDeclarations": [{"name": "f", "description": "d", "parameters": older}]}]).tools
    newer = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "required": ["city"]}
    assert tool == Tool(name="f", description="d", parameters=newer)
    (same,) = parse(tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": newer}]}]).tools
    assert same.parameters == newer


def test_googles_own_tools_go_to_extra() -> None:
    chat = parse(tools=[{"googleSearch": {}}, {"functionDeclarations": [WEATHER], "codeExecution": {}}])
    assert [t.name for t in chat.tools] == ["weather"]
    assert chat.extra == {"tools": [{"googleSearch": {}}, {"codeExecution": {}}]}


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice()),
        ({}, ToolChoice()),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "any"}, ToolChoice(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["weather"]}, ToolChoice(mode="named", name="weather")),
    ],
)
def test_a_tool_choice_is_read(calling: Any, expected: ToolChoice) -> None:
    chat = parse(tools=[{"functionDeclarations": [WEATHER]}], toolConfig={"functionCallingConfig": calling})
    assert chat.tool_choice == expected
    assert chat.extra == {}


def test_validated_calls_are_strict_tools() -> None:
    chat = parse(
        tools=[{"functionDeclarations": [WEATHER]}], toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}}
    )
    assert chat.tools[0].strict is True
    assert chat.tool_choice == ToolChoice()


def test_structured_output_is_read_in_both_kinds_of_schema() -> None:
    older = {"type": "OBJECT", "properties": {"b": {"type": "STRING"}, "a": {}}, "propertyOrdering": ["a", "b"]}
    chat = parse(generationConfig={"responseMimeType": "application/json", "responseSchema": older})
    assert chat.output is not None
    assert chat.output.schema is not None
    assert list(chat.output.schema["properties"]) == ["a", "b"]
    newer = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}
    assert parse(generationConfig=newer).output == Output(schema={"type": "object"}, strict=True)
    assert parse(generationConfig={"responseMimeType": "application/json"}).output == Output()
    assert parse(generationConfig={"responseMimeType": "text/plain"}).extra == {}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"thinkingBudget": 1000}, Reasoning(budget_tokens=1000)),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning(adaptive=True, summary="auto")),
        ({"thinkingBudget": 0}, Reasoning(effort="none")),
        ({"thinkingLevel": "HIGH", "includeThoughts": False}, Reasoning(effort="high", summary="omitted")),
        ({"thinkingLevel": "low", "mood": "x"}, Reasoning(effort="low", extra={"mood": "x"})),
        ({}, None),
    ],
)
def test_thinking_is_read(thinking: Any, expected: Reasoning | None) -> None:
    chat = parse(generationConfig={"thinkingConfig": thinking})
    assert chat.reasoning == expected
    assert chat.extra == {}


def test_a_field_that_has_no_place_goes_to_extra_of_what_it_belongs_to() -> None:
    chat = parse(
        safetySettings=[{"category": "x"}],
        cachedContent="cachedContents/a",
        generationConfig={"responseModalities": ["TEXT"], "mediaResolution": "LOW"},
        contents=[{"parts": [{"text": "Hi", "partMetadata": {"a": 1}}], "mood": 1}],
    )
    assert chat.extra == {
        "safetySettings": [{"category": "x"}],
        "cachedContent": "cachedContents/a",
        "generationConfig": {"responseModalities": ["TEXT"], "mediaResolution": "LOW"},
    }
    assert chat.messages[0].extra == {"mood": 1}
    assert chat.messages[0].content == (Text(text="Hi", extra={"partMetadata": {"a": 1}}),)


# --- what the path says, and the other methods ---------------------------------------------------------------------


@pytest.mark.parametrize("start", ["/v1beta/models/", "/v1/models/", "/v1beta/models/models/"])
def test_the_path_names_the_model_and_says_whether_to_stream(start: str) -> None:
    methods = {"generateContent": gemini, "streamGenerateContent": gemini}
    whole = front(f"{start}local/smollm2:generateContent", "", methods)
    assert whole is not None
    incoming = whole.parse(json.dumps({"contents": HELLO}).encode())
    assert (incoming.request.model, incoming.stream) == ("local/smollm2", False)
    stream = front(f"{start}local/smollm2:streamGenerateContent", "key=x&alt=sse", methods)
    assert stream is not None
    assert stream.parse(json.dumps({"contents": HELLO}).encode()).stream


@pytest.mark.parametrize(
    ("query", "array"),
    [("", True), ("key=x", True), ("alt=json", True), ("alt=sse", False), ("%24alt=x&alt=sse", False)],
)
def test_a_stream_is_an_array_unless_it_is_to_be_of_server_sent_events(query: str, array: bool) -> None:
    asked = front("/v1beta/models/m:streamGenerateContent", query, {"streamGenerateContent": gemini})
    assert asked is not None
    assert asked.parse(json.dumps({"contents": HELLO}).encode()).stream
    assert asked.array is array
    whole = front("/v1beta/models/m:generateContent", query, {"generateContent": gemini})
    assert whole is not None
    assert not whole.array


def test_a_stream_in_another_form_is_refused() -> None:
    asked = front("/v1beta/models/m:streamGenerateContent", "alt=proto", {"streamGenerateContent": gemini})
    assert asked is not None
    with pytest.raises(RequestError, match=r"alt is 'proto': .* alt=sse") as caught:
        asked.parse(json.dumps({"contents": HELLO}).encode())
    assert caught.value.field == "alt"


@pytest.mark.parametrize("path", ["/v1beta/models/m", "/v1beta/models/m:fly", "/v1beta/models/:generateContent", "/v2"])
def test_no_other_path_is_geminis(path: str) -> None:
    assert front(path, "", {"generateContent": gemini}) is None


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: {"generateContentRequest": {"model": "models/m", **b}}])
def test_a_count_is_of_contents_or_of_a_whole_request(wrap: Any) -> None:
    request = count.parse(json.dumps(wrap({"contents": HELLO})).encode()).request
    assert isinstance(request, CountTokens)
    assert request.messages == (user("Hi"),)
    assert request.extra == {}


def test_embeddings_are_read_one_and_in_batches() -> None:
    one = {"model": "models/m", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3, "taskType": "X"}
    single = embed.parse(json.dumps(one).encode()).request
    batch = embed.parse(json.dumps({"requests": [one, one]}).encode()).request
    assert isinstance(single, Embed)
    assert isinstance(batch, Embed)
    assert (single.texts, single.dimensions, single.extra) == (("a",), 3, {"taskType": "X"})
    assert (batch.texts, batch.dimensions, batch.extra) == (("a", "a"), 3, {"taskType": "X"})


def test_embeddings_of_several_kinds_in_one_batch_are_refused() -> None:
    one = {"content": {"parts": [{"text": "a"}]}}
    with pytest.raises(UnsupportedError, match=r"requests\[1\]"):
        embed.parse(json.dumps({"requests": [one, one | {"taskType": "X"}]}).encode())
