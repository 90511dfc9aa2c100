"""Gemini's answers, read. The answers are written after google-genai's own types, and read by them too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from trivet.errors import (
    AuthError,
    ContextLengthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    RequestError,
    TransportError,
    TrivetError,
    UnknownModelError,
)
from trivet.types import (
    Aside,
    CacheMark,
    Chat,
    ChatResponse,
    CountTokens,
    Done,
    Embed,
    Event,
    Opaque,
    Source,
    Start,
    Text,
    TextDelta,
    Thinking,
    TokenLogprob,
    ToolCall,
    Usage,
    WholePart,
    assistant,
    replace,
    user,
)
from trivet.wire import Target, gemini, sse
from trivet.wire.gemini import count, embed

TARGET = Target(model="gemini-2.5-pro", provider="google", family="gemini", stream=True)
ASKED = Chat(messages=(user("Hi"),))
OWN = Chat(messages=(user("Hi"),), source=Source(protocol="gemini", body=b"{}"))


def answer(*parts: Any, reason: str | None = "STOP", candidate: Any = None, **fields: Any) -> dict[str, Any]:
    one = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **(candidate or {})}
    if reason is not None:
        one["finishReason"] = reason
    told = {"candidates": [one], "modelVersion": "gemini-2.5-pro", "responseId": "r1", **fields}
    types.GenerateContentResponse.model_validate(told)
    return told


def whole(told: Any, request: Chat = ASKED) -> ChatResponse:
    return gemini.Reader(request, TARGET).whole(json.dumps(told).encode())


def stream(*told: Any, request: Chat = ASKED) -> list[Event]:
    reader, events = gemini.Reader(request, TARGET), []
    for one in told:
        data = json.dumps(one).encode()
        events += list(reader.event(sse.Event(data=data, raw=b"data: " + data + b"\r\n\r\n")))
    return [*events, *reader.end()]


def done(*told: Any) -> ChatResponse:
    last = stream(*told)[-1]
    assert isinstance(last, Done)
    assert isinstance(last.response, ChatResponse)
    return last.response


CALL = {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}


def test_a_whole_answer_is_read() -> None:
    response = whole(
        answer(
            {"text": "Hm", "thought": True},
            {"text": "Hello", "thoughtSignature": "QQ=="},
            CALL,
            {"executableCode": {"language": "PYTHON", "code": "1"}},
        )
    )
    assert response.message.content == (
        Thinking(text="Hm"),
        Thinking(signature="QQ==", provider="gemini"),
        Text(text="Hello"),
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        Opaque(provider="gemini", raw={"executableCode": {"language": "PYTHON", "code": "1"}}),
    )
    assert (response.model, response.id, response.finish_reason) == ("gemini-2.5-pro", "r1", "tool_calls")


def test_a_stream_adds_up_to_the_whole_answer() -> None:
    pieces = [
        answer({"text": "H", "thought": True}, reason=None),
        answer({"text": "m", "thought": True}, reason=None),
        answer({"text": "Hel"}, reason=None, usageMetadata={"promptTokenCount": 3, "totalTokenCount": 4}),
        answer({"text": "lo"}, CALL, reason=None),
        answer(
            {"text": "", "thoughtSignature": "QQ=="},
            usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8},
        ),
    ]
    response = done(*pieces)
    assert response.message.content == (
        Thinking(text="Hm"),
        Text(text="Hello"),
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        Thinking(signature="QQ==", provider="gemini"),
    )
    assert response.usage.output_tokens == 5
    assert isinstance(stream(*pieces)[0], Start)
    assert sum(isinstance(event, Done) for event in stream(*pieces)) == 1


def test_candidates_are_kept_apart() -> None:
    both = answer({"text": "a"})
    both["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1, "finishReason": "MAX_TOKENS"})
    response = done(both, both)
    assert [c.message.text for c in response.choices] == ["aa", "bb"]
    assert [c.finish_reason for c in response.choices] == ["stop", "length"]


def test_calls_without_ids_get_the_same_ids_each_time_and_different_ones() -> None:
    bare = {"functionCall": {"name": "f", "args": {}}}
    first, second = whole(answer(bare, bare)).tool_calls
    assert first.id != second.id
    assert whole(answer(bare, bare)).tool_calls == (first, second)
    assert whole(answer(bare, responseId="r2")).tool_calls[0].id != first.id


def test_without_an_id_of_the_answer_they_differ_from_turn_to_turn_and_are_the_same_when_read_again() -> None:
    bare = answer({"functionCall": {"name": "f", "args": {}}}, responseId=None)
    later = replace(ASKED, messages=(*ASKED.messages, assistant("a"), user("r")))
    ids = [whole(bare, request).tool_calls[0].id for request in (ASKED, later, ASKED, later)]
    assert ids == ids[:2] * 2
    assert ids[0] != ids[1]


@pytest.mark.parametrize("reason", [r.value for r in types.FinishReason])
def test_every_reason_to_finish_is_ours_and_its_own(reason: str) -> None:
    (choice,) = whole(answer({"text": "a"}, reason=reason)).choices
    assert choice.finish_reason == {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}.get(
        reason, "refusal"
    )
    assert choice.extra.get("finishReason", reason) == reason


def test_a_refused_prompt_is_a_refusal() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    for response in (whole(blocked), done(blocked)):
        assert response.finish_reason == "refusal"
        assert response.extra["promptFeedback"] == {"blockReason": "SAFETY"}


def test_no_count_is_less_than_nothing() -> None:
    told = {"promptTokenCount": 3, "cachedContentTokenCount": 9, "totalTokenCount": 2}
    usage = whole(answer({"text": "a"}, usageMetadata=told)).usage
    assert (usage.uncached_input_tokens, usage.cache_read_tokens, usage.output_tokens) == (0, 9, 0)


def test_usage_is_three_counts_that_do_not_overlap() -> None:
    told = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 137,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
    }
    assert whole(answer({"text": "a"}, usageMetadata=told)).usage == Usage(
        uncached_input_tokens=47,
        cache_read_tokens=60,
        cache_write_tokens=0,
        output_tokens=30,
        reasoning_tokens=20,
        audio_input_tokens=10,
    )
    assert whole(answer({"text": "a"})).usage == Usage()


def test_sources_are_citations_at_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "hello"}, "groundingChunkIndices": [0]}
        ],
    }
    told = [answer({"text": "ü hel"}, reason=None), answer({"text": "lo"}, candidate={"groundingMetadata": grounding})]
    (part,) = done(*told).message.content
    assert isinstance(part, Text)
    (citation,) = part.citations
    assert (citation.url, citation.title, citation.start, citation.end) == ("https://x", "X", 2, 7)
    assert any(isinstance(e, TextDelta) and e.citations for e in stream(*told))
    quoted = {"citationMetadata": {"citationSources": [{"startIndex": 0, "endIndex": 2, "uri": "https://y"}]}}
    (part,) = done({"candidates": [{**answer({"text": "ü hel"})["candidates"][0], **quoted}]}).message.content
    assert isinstance(part, Text)
    assert [(c.url, c.start, c.end) for c in part.citations] == [("https://y", 0, 1)]


def test_logprobs_are_read() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5, "tokenId": 5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.0}]}],
    }
    (choice,) = done(answer({"text": "a"}, candidate={"logprobsResult": result})).choices
    top = (TokenLogprob(token="b", logprob=-1.0),)
    assert choice.logprobs == (TokenLogprob(token="a", logprob=-0.5, top=top),)


def test_an_image_comes_in_one_piece() -> None:
    events = stream(answer({"inlineData": {"mimeType": "image/png", "data": "QQ=="}}))
    assert [e.value.media_type for e in events if isinstance(e, WholePart)] == ["image/png"]  # type: ignore[union-attr]


def test_what_nobody_can_read_stays_as_it_is() -> None:
    response = gemini.Reader(ASKED, TARGET).whole(
        b'{"candidates":[{"content":{"parts":[{"text":5},{"hologram":{}}]},"finishReason":"STOP"}]}'
    )
    assert [p.raw for p in response.message.content if isinstance(p, Opaque)] == [{"text": 5}, {"hologram": {}}]


def test_bytes_are_kept_for_a_client_of_the_same_protocol_and_no_other() -> None:
    told = [answer({"text": "a"}, reason=None), {"newField": 1}, answer({"text": "b"})]
    events = stream(*told, request=OWN)
    raw = b"".join(e.raw.body for e in events if e.raw is not None)
    assert raw == b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)
    assert any(isinstance(e, Aside) for e in events)
    assert all(e.raw is None for e in stream(*told))
    assert whole(told[2], OWN).raw == Source(protocol="gemini", body=json.dumps(told[2]).encode())
    assert whole(told[2]).raw is None


def test_a_cut_stream_is_an_error() -> None:
    with pytest.raises(TransportError):
        stream(answer({"text": "a"}, reason=None))
    with pytest.raises(TransportError):
        stream()


def test_an_error_in_mid_stream_is_raised() -> None:
    told = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    with pytest.raises(OverloadedError, match="overloaded"):
        stream(answer({"text": "a"}, reason=None), told)


def test_what_was_left_out_is_said() -> None:
    request = Chat(messages=(user(Text(text="Hi", cache=CacheMark())),))
    assert whole(answer({"text": "a"}), request).notes


def fail(status: int, message: str = "no", headers: Any = None, **fields: Any) -> TrivetError:
    body = json.dumps({"error": {"code": status, "message": message, "status": "X", **fields}}).encode()
    return gemini.read_error(status, headers or {}, body, TARGET)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestError),
        (401, AuthError),
        (403, AuthError),
        (404, UnknownModelError),
        (429, RateLimitError),
        (500, ProviderError),
        (503, OverloadedError),
        (504, ProviderError),
        (529, OverloadedError),
    ],
)
def test_errors_are_read_by_their_status(status: int, kind: type[TrivetError]) -> None:
    error = fail(status)
    assert type(error) is kind
    assert (error.raw is None) == (kind is AuthError)


def test_a_wrong_key_is_told_by_its_reason_and_not_repeated() -> None:
    error = fail(400, "API key AIzaXYZ not valid", details=[{"reason": "API_KEY_INVALID"}])
    assert isinstance(error, AuthError)
    assert "AIza" not in error.message
    assert error.status == 502


def test_a_prompt_that_is_too_long_says_its_numbers() -> None:
    # As Google's API words it.
    error = fail(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")
    assert isinstance(error, ContextLengthError)
    assert (error.prompt_tokens, error.context_tokens) == (1200000, 1048576)
    short = fail(400, "The input token count exceeds the maximum number of tokens allowed 1048576.")
    assert isinstance(short, ContextLengthError)
    assert (short.prompt_tokens, short.context_tokens) == (None, 1048576)


def test_when_to_ask_again_and_which_field_is_wrong() -> None:
    later = fail(429, details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}])
    assert isinstance(later, RateLimitError)
    assert later.retry_after_s == 12.5
    header = fail(429, headers={"retry-after": "3"})
    assert isinstance(header, RateLimitError)
    assert header.retry_after_s == 3
    wrong = fail(400, details=[{"fieldViolations": [{"field": "contents[0]", "description": "x"}]}])
    assert isinstance(wrong, RequestError)
    assert wrong.field == "contents[0]"


def test_a_body_that_is_no_error_of_geminis_says_so() -> None:
    error = gemini.read_error(404, {}, b"<html>", TARGET)
    assert type(error) is ProviderError
    assert "base_url" in error.message
    assert error.raw is None  # a client of Gemini's protocol reads that message, and no web page


def test_counts_and_embeddings_are_read() -> None:
    counted = count.Reader(CountTokens(messages=(user("Hi"),)), TARGET).whole(b'{"totalTokens":5}')
    assert counted.input_tokens == 5
    two = Embed(texts=("a", "b"))
    vectors = embed.Reader(two, TARGET).whole(b'{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}').vectors
    assert vectors == ((1.0, 2.0), (3.0, 4.0))
    with pytest.raises(ProviderError):
        embed.Reader(two, TARGET).whole(b'{"embeddings":[{"values":[1,2]}]}')
    with pytest.raises(ProviderError):
        count.Reader(CountTokens(messages=(user("Hi"),)), TARGET).whole(b"[]")
