"""The answer to an Anthropic request: whole, and as an error, held against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import anthropic as sdk
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types.shared import ErrorResponse

from tests.anthropic_in_memory import InMemory
from trivet.errors import (
    BudgetError,
    OverloadedError,
    RequestError,
    TransportError,
    TrivetError,
    UnknownModelError,
    UnsupportedError,
)
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Citation,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    Usage,
    assistant,
    user,
)
from trivet.wire import Target, anthropic

INCOMING = anthropic.parse(b'{"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}')
USAGE = Usage(
    uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100, output_tokens=5, reasoning_tokens=2
)
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
CITED = Citation(quote="x", provider="anthropic", raw=CITATION)
ELSEWHERE = Citation(url="http://y", title="Y", start=0, end=1, provider="openai", raw={"type": "url_citation"})
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}


def response(*content: str | Part, finish: Any = "stop", usage: Usage = USAGE, **more: Any) -> ChatResponse:
    choice = Choice(message=assistant(*content), finish_reason=finish, **more)
    return ChatResponse(model="m", id="msg_1", choices=(choice,), usage=usage)


def whole(answer: ChatResponse) -> dict[str, Any]:
    """The body of a whole answer, which the SDK's type must accept."""
    body = anthropic.Renderer(INCOMING, id="msg_0").whole(answer)
    SdkMessage.model_validate_json(body, strict=True)
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_whole_answer_has_every_field_that_the_protocol_has() -> None:
    assert whole(response("Hello")) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 20,
            "cache_creation": None,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2},
            "server_tool_use": None,
            "service_tier": None,
            "inference_geo": None,
        },
    }
    assert set(whole(response("Hello"))) == set(SdkMessage.model_fields)
    assert set(whole(response("Hello"))["usage"]) | {"speed"} == set(sdk.types.Usage.model_fields)


def test_unknown_counts_are_null_and_never_0() -> None:
    body = json.loads(anthropic.Renderer(INCOMING).whole(response("Hello", usage=Usage())))
    assert set(body["usage"].values()) == {None}


def test_a_prompt_that_is_not_split_is_all_input_and_the_caches_counts_are_null() -> None:
    usage = Usage(prompt_tokens=12, output_tokens=4)
    body = anthropic.Renderer(INCOMING).whole(response("Hello", usage=usage))
    told = json.loads(body)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["cache_creation_input_tokens"]) == (
        12,
        None,
        None,
    )
    target = Target(model="m", provider="up", family="anthropic", stream=False)
    assert anthropic.Reader(Chat(messages=(user("Hi"),)), target).whole(body).usage == usage


def test_cache_writes_are_told_by_how_long_they_are_kept() -> None:
    usage = Usage(uncached_input_tokens=3, cache_write_tokens=100, cache_write_1h_tokens=60, output_tokens=1)
    body = whole(response("Hello", usage=usage))
    assert body["usage"]["cache_creation"] == {"ephemeral_1h_input_tokens": 60, "ephemeral_5m_input_tokens": 40}


def test_what_a_usage_says_beyond_tokens_goes_out_with_it() -> None:
    beyond = {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}, "service_tier": "priority"}
    answer = ChatResponse(model="m", choices=response("x").choices, usage=USAGE, extra={"anthropic_usage": beyond})
    body = whole(answer)
    assert (body["usage"]["server_tool_use"], body["usage"]["service_tier"]) == tuple(beyond.values())
    assert "anthropic_usage" not in body


def test_a_stop_reason_that_only_the_protocol_has_comes_back_as_it_was() -> None:
    body = whole(response("x", extra={"stop_reason": "pause_turn"}))
    assert body["stop_reason"] == "pause_turn"


def test_the_models_own_id_is_used_where_it_has_one_and_else_a_fresh_one() -> None:
    nameless = ChatResponse(model="m", choices=response("x").choices, usage=USAGE)
    assert whole(nameless)["id"] == "msg_0"
    first, second = (json.loads(anthropic.Renderer(INCOMING).whole(nameless))["id"] for _ in range(2))
    assert first != second
    assert first.startswith("msg_")


@pytest.mark.parametrize(
    ("finish", "more", "reason", "stop"),
    [
        ("stop", {}, "end_turn", None),
        ("stop", {"stop_sequence": "END"}, "stop_sequence", "END"),
        ("length", {}, "max_tokens", None),
        ("tool_calls", {}, "tool_use", None),
        ("refusal", {}, "refusal", None),
    ],
)
def test_a_stop_reason_is_the_protocols(finish: Any, more: dict[str, Any], reason: str, stop: str | None) -> None:
    body = whole(response("x", finish=finish, **more))
    assert (body["stop_reason"], body["stop_sequence"]) == (reason, stop)


def test_a_text_that_is_itself_the_refusal_stops_as_one() -> None:
    body = whole(response(Text(text="No.", extra={"refusal": True})))
    assert body["content"] == [{"type": "text", "text": "No.", "citations": None}]
    assert body["stop_reason"] == "refusal"


def test_every_part_is_a_block_in_its_place() -> None:
    body = whole(
        response(
            Thinking(text="hm", signature="s"),
            Thinking(redacted="d"),
            Opaque(provider="anthropic", raw=SEARCH),
            Text(text="x", citations=(CITED,)),
            ToolCall(id="t1", name="f", arguments='{"b": 1, "a": [2]}'),
            ToolCall(id="t2", name="g"),
        )
    )
    assert body["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        SEARCH,
        {"type": "text", "text": "x", "citations": [CITATION]},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": [2]}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ]


def test_thinking_without_a_signature_has_an_empty_one() -> None:
    assert whole(response(Thinking(text="hm")))["content"][0]["signature"] == ""


def test_an_empty_text_is_no_block() -> None:
    assert whole(response(""))["content"] == []


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nothing"])
def test_arguments_that_are_no_object_are_kept_as_text(arguments: str) -> None:
    (block,) = whole(response(ToolCall(id="t", name="f", arguments=arguments), finish="length"))["content"]
    assert block["input"] == {"INVALID_JSON": arguments}


def test_what_a_provider_said_beyond_the_protocol_goes_out_beside_it() -> None:
    choice = Choice(message=assistant("x"), finish_reason="refusal", extra={"stop_details": {"type": "refusal"}})
    container = {"id": "c", "expires_at": "2026-01-01T00:00:00Z"}
    answer = ChatResponse(model="m", choices=(choice,), usage=USAGE, extra={"container": container, "id": "no"})
    body = json.loads(anthropic.Renderer(INCOMING, id="msg_0").whole(answer))
    assert (body["container"], body["stop_details"], body["id"]) == (container, {"type": "refusal"}, "msg_0")


@pytest.mark.parametrize("part", [Image(url="http://x"), Opaque(provider="openai", raw={})])
def test_a_part_that_the_protocol_cannot_carry_is_an_error_and_does_not_vanish(part: Part) -> None:
    with pytest.raises(UnsupportedError):
        whole(response("x", part))


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RequestError("x"), "invalid_request_error"),
        (UnknownModelError("x"), "not_found_error"),
        (RequestError("x", status=413), "request_too_large"),
        (TrivetError("x", status=401), "authentication_error"),
        (TrivetError("x", status=402), "billing_error"),
        (TrivetError("x", status=403), "permission_error"),
        (TrivetError("x", status=405), "invalid_request_error"),
        (BudgetError("x"), "rate_limit_error"),
        (TrivetError("x"), "api_error"),
        (TransportError("x"), "api_error"),
        (OverloadedError("x"), "overloaded_error"),
        (TrivetError("x", status=529), "overloaded_error"),
        (TrivetError("x", status=504), "timeout_error"),
    ],
)
def test_an_error_has_the_protocols_type(error: TrivetError, kind: str) -> None:
    body = json.loads(anthropic.error(error))
    assert body["error"]["type"] == kind
    assert set(body) == {"type", "error", "request_id"}
    if kind != "request_too_large":  # which the protocol's pages have, and the SDK's types have not
        ErrorResponse.model_validate(body)


def test_an_error_says_which_request_it_answers() -> None:
    error = TrivetError("x")
    assert json.loads(anthropic.error(error))["request_id"] is None
    error.answers = "req_1"
    assert json.loads(anthropic.error(error))["request_id"] == "req_1"


def test_an_error_names_the_field_because_the_protocol_has_no_place_for_it() -> None:
    message = json.loads(anthropic.error(RequestError("too hot", field="temperature")))["error"]["message"]
    assert message == "temperature: too hot"
    message = json.loads(anthropic.error(RequestError("temperature is 5", field="temperature")))["error"]["message"]
    assert message == "temperature is 5"


def test_a_refused_request_is_a_bad_request_of_the_sdk() -> None:
    client = InMemory(anthropic, response("x"))
    messages: Any = [{"role": "nobody", "content": "x"}]
    with pytest.raises(sdk.BadRequestError, match=r"messages\[0\]\.role"):
        client.client.messages.create(model="m", max_tokens=9, messages=messages)


def test_an_answer_sent_back_as_the_client_got_it_is_read_as_it_was() -> None:
    content = (
        Thinking(text="hm", signature="s", provider="anthropic"),
        Thinking(redacted="d", provider="openai"),
        Thinking(signature="g", provider="gemini"),
        Text(text="x", citations=(CITED, ELSEWHERE)),
        ToolCall(id="t1", name="f", arguments='{"a":1}'),
    )
    client = InMemory(anthropic, response(*content))
    got = client.client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    client.client.messages.create(model="m", max_tokens=9, messages=[got.to_param()])
    assert client.incoming is not None
    assert client.incoming.request.messages == (Message(role="assistant", content=content),)  # type: ignore[attr-defined]
