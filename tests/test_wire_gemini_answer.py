"""Answers written for Gemini's clients, read by google-genai's own types, which refuse unknown fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from trivet.errors import OverloadedError, RequestError, UnsupportedError
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Citation,
    CountTokensResponse,
    Done,
    EmbedResponse,
    Event,
    FinishReason,
    Image,
    Opaque,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    WholePart,
    assistant,
    user,
)
from trivet.wire import Incoming, Target, gemini
from trivet.wire.gemini import count, embed

INCOMING = Incoming(request=Chat(model="m", messages=(user("Hi"),)))
TARGET = Target(model="m", provider="google", family="gemini")
USAGE = Usage(
    uncached_input_tokens=40, cache_read_tokens=60, cache_write_tokens=0, output_tokens=30, reasoning_tokens=20
)


def response(*parts: Any, reason: FinishReason = "stop", **fields: Any) -> ChatResponse:
    extra = fields.pop("extra", {})
    choice = Choice(message=assistant(*parts), finish_reason=reason, extra=extra, logprobs=fields.pop("logprobs", None))
    return ChatResponse(**{"model": "m", "id": "r1", "usage": USAGE, "choices": (choice,), **fields})


def whole(told: ChatResponse) -> types.GenerateContentResponse:
    return types.GenerateContentResponse.model_validate_json(gemini.Renderer(INCOMING).whole(told))


def stream(*events: Event) -> list[Any]:
    renderer = gemini.Renderer(INCOMING, id="r1")
    sent = b"".join(renderer.event(event) for event in events)
    pieces = sent.removesuffix(b"\n\n").split(b"\n\n")
    assert all(piece.startswith(b"data: ") for piece in pieces)
    return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]


def parts_of(chunks: list[Any]) -> list[Any]:
    return [p for c in chunks for p in c["candidates"][0].get("content", {}).get("parts", []) if p != {"text": ""}]


def test_a_whole_answer() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a":1}')
    answer = whole(response(Thinking(text="Hm"), Text(text="Hello"), call, reason="tool_calls"))
    assert answer.model_version == "m"
    assert answer.response_id == "r1"
    (candidate,) = answer.candidates or []
    assert candidate.finish_reason == types.FinishReason.STOP
    assert candidate.content is not None
    thought, text, called = candidate.content.parts or []
    assert (thought.thought, thought.text, text.text) == (True, "Hm", "Hello")
    assert called.function_call == types.FunctionCall(id="c", name="f", args={"a": 1})


def test_usage_is_told_in_geminis_way() -> None:
    usage = whole(response("Hi")).usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (100, 60)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (10, 20, 130)
    assert whole(response("Hi", usage=Usage())).usage_metadata is None


@pytest.mark.parametrize(
    ("reason", "extra", "told"),
    [
        ("stop", {}, "STOP"),
        ("length", {}, "MAX_TOKENS"),
        ("refusal", {}, "SAFETY"),
        ("refusal", {"finishReason": "RECITATION"}, "RECITATION"),
    ],
)
def test_why_it_finished(reason: FinishReason, extra: Any, told: str) -> None:
    assert whole(response("Hi", reason=reason, extra=extra)).candidates[0].finish_reason == told  # type: ignore[index]


def test_a_refused_prompt_has_no_candidates() -> None:
    blocked = ChatResponse(
        model="m",
        choices=(Choice(message=assistant(), finish_reason="refusal"),),
        extra={"promptFeedback": {"blockReason": "SAFETY"}},
    )
    answer = whole(blocked)
    assert not answer.candidates
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY


def test_what_another_provider_says_beside_it_is_not_told() -> None:
    whole(response(Text(text="Hi", extra={"annotations": []}), extra={"stop_details": None}))


def test_another_providers_signature_comes_back_as_it_was() -> None:
    thoughts = (
        Thinking(text="Hm", signature="Eq+/=", provider="anthropic"),
        Thinking(redacted="XYZ", provider="anthropic"),
        Thinking(signature="QQ==", provider="gemini"),
        Text(text="Hello"),
    )
    content = whole(response(*thoughts)).candidates[0].content  # type: ignore[index]
    assert content is not None
    again = content.model_dump_json(exclude_none=True, by_alias=True)  # as the client sends it with the next turn
    request = gemini.parse(b'{"contents":[%s]}' % again.encode()).request
    assert isinstance(request, Chat)
    assert request.messages[0].content == thoughts


def test_citations_are_told_at_bytes() -> None:
    cited = Text(text="ü hello", citations=(Citation(url="https://x", title="X", start=2, end=7),))
    raw = json.loads(gemini.Renderer(INCOMING).whole(response("é", cited)))
    source = {"startIndex": 5, "endIndex": 10, "uri": "https://x", "title": "X"}
    assert raw["candidates"][0]["citationMetadata"] == {"citationSources": [source]}


def test_logprobs_are_told() -> None:
    token = TokenLogprob(token="a", logprob=-0.5, top=(TokenLogprob(token="b", logprob=float("-inf")),))
    result = whole(response("a", logprobs=(token,))).candidates[0].logprobs_result  # type: ignore[index]
    assert result is not None
    assert result.chosen_candidates is not None
    assert result.chosen_candidates[0].log_probability == -0.5
    assert result.top_candidates[0].candidates[0].log_probability == -9999  # type: ignore[index]


def test_a_block_of_another_providers_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="anthropic"):
        gemini.Renderer(INCOMING).whole(response(Opaque(provider="anthropic", raw={})))


def test_a_stream_tells_texts_as_they_come_and_calls_whole() -> None:
    chunks = stream(
        Start(model="m2", id="r2"),
        ThinkingDelta(text="Hm"),
        ThinkingDelta(signature="s", provider="anthropic"),
        TextDelta(text="Hel", part=1),
        TextDelta(text="lo", part=1),
        ToolCallDelta(id="c", name="f", part=2),
        ToolCallDelta(arguments='{"a":', part=2),
        ToolCallDelta(id="d", name="g", part=3),
        ToolCallDelta(arguments="1}", part=2),
        Done(response=response("ignored", reason="tool_calls")),
    )
    for chunk in chunks:
        types.GenerateContentResponse.model_validate(chunk)
        assert (chunk["modelVersion"], chunk["responseId"]) == ("m2", "r2")
    assert [p.get("text") or p.get("functionCall", {}).get("args") for p in parts_of(chunks)] == [
        "Hm",
        None,  # the signature
        "Hel",
        "lo",
        {"a": 1},
        {},
    ]
    assert [c["candidates"][0].get("finishReason") for c in chunks] == [None] * (len(chunks) - 1) + ["STOP"]
    assert "usageMetadata" in chunks[-1]


def test_geminis_signature_goes_with_the_part_after_it_in_a_stream_too() -> None:
    chunks = stream(
        ThinkingDelta(signature="QQ==", provider="gemini"),
        TextDelta(text="Hi", part=1),
        ThinkingDelta(signature="Qg==", provider="gemini", part=2),
        Done(response=response("ignored")),
    )
    assert parts_of(chunks) == [{"text": "Hi", "thoughtSignature": "QQ=="}, {"text": "", "thoughtSignature": "Qg=="}]


def test_choices_side_by_side_are_all_told() -> None:
    two = ChatResponse(model="m", choices=tuple(Choice(message=assistant("x"), finish_reason="stop") for _ in "ab"))
    chunks = stream(TextDelta(text="a"), TextDelta(text="b", choice=1), TextDelta(text="c"), Done(response=two))
    assert [c["candidates"][0]["index"] for c in chunks[:-1]] == [0, 1, 0]
    assert [c["index"] for c in chunks[-1]["candidates"]] == [0, 1]


def test_whole_parts_are_told_once() -> None:
    image = Image(data=b"A", media_type="image/png")
    code = Opaque(provider="gemini", raw={"executableCode": {"code": "1"}})
    chunks = stream(
        WholePart(value=image), WholePart(value=code, part=1), Done(response=response(image, code, "ignored"))
    )
    assert parts_of(chunks) == [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}}, code.raw]


def test_an_answer_without_deltas_is_streamed_in_one_piece() -> None:
    (chunk,) = stream(Done(response=response("Hello")))
    assert chunk["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]


def test_a_failure_in_mid_stream_is_what_the_client_looks_for() -> None:
    sent = gemini.Renderer(INCOMING).failure(OverloadedError("busy", retry_after_s=2))
    assert sent.startswith(b'data: {"error":')
    told = json.loads(sent.removeprefix(b"data: "))["error"]
    assert (told["code"], told["status"], told["message"]) == (503, "UNAVAILABLE", "busy")
    assert told["details"][0]["retryDelay"] == "2s"


def test_an_error_names_the_field() -> None:
    told = json.loads(gemini.error(RequestError("x is wrong", field="x")))["error"]
    assert (told["code"], told["status"]) == (400, "INVALID_ARGUMENT")
    assert told["details"][0]["fieldViolations"][0]["field"] == "x"


def test_what_is_written_reads_back() -> None:
    told = response(Thinking(text="Hm"), Text(text="Hello"), ToolCall(id="c", name="f"), reason="tool_calls")
    assert gemini.Reader(INCOMING.request, TARGET).whole(gemini.Renderer(INCOMING).whole(told)) == told


def test_counts_and_embeddings_are_written() -> None:
    counted = count.Renderer(INCOMING).whole(CountTokensResponse(model="m", input_tokens=5))
    assert types.CountTokensResponse.model_validate_json(counted).total_tokens == 5
    vectors = EmbedResponse(model="m", vectors=((1.0, 2.0),))
    one = json.loads(embed.Renderer(Incoming(request=INCOMING.request)).whole(vectors))
    batch = json.loads(embed.Renderer(Incoming(request=INCOMING.request, body={"requests": 1})).whole(vectors))
    assert one == {"embedding": {"values": [1.0, 2.0]}}
    assert batch == {"embeddings": [{"values": [1.0, 2.0]}]}
