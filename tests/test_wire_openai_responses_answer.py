"""The whole answer to an OpenAI Responses request, held against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response as SdkResponse

from tests.openai_in_memory import InMemory
from trivet.errors import UnsupportedError
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
    TokenLogprob,
    ToolCall,
    Usage,
    assistant,
)
from trivet.wire import openai_responses

USAGE = Usage(
    uncached_input_tokens=3, cache_read_tokens=20, cache_write_tokens=100, output_tokens=5, reasoning_tokens=2
)
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "http://x"}
CITED = Citation(url="http://x", title="t", start=0, end=1, provider="openai", raw=CITATION)
FOREIGN = Citation(title="d", quote="q", provider="anthropic", raw={"type": "char_location"})
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def response(*content: str | Part, finish: Any = "stop", usage: Usage = USAGE, **more: Any) -> ChatResponse:
    choice = Choice(message=assistant(*content), finish_reason=finish, **more)
    return ChatResponse(model="m", id="resp_1", choices=(choice,), usage=usage)


def renderer(**fields: Any) -> openai_responses.Renderer:
    body = json.dumps({"model": "asked", "input": "Hi"} | fields).encode()
    return openai_responses.Renderer(openai_responses.parse(body), id="resp_0", created=1700000000)


def whole(answer: ChatResponse, **fields: Any) -> dict[str, Any]:
    """The body of a whole answer, which the SDK's type must accept."""
    body = renderer(**fields).whole(answer)
    SdkResponse.model_validate_json(body, strict=True)
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_whole_answer_has_every_field_that_the_protocol_has() -> None:
    assert whole(response("Hello")) == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "completed_at": 1700000000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "m",
        "output": [
            {
                "id": "msg_0_0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 123,
            "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 128,
        },
        "user": None,
    }


def test_the_requests_fields_are_said_again() -> None:
    text = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"}
    fields = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "text": text,
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [TOOL],
        "top_p": 0.9,
        "truncation": "auto",
        "user": "ann",
    }
    body = whole(response("x"), **fields)
    assert {name: body[name] for name in fields} == fields
    assert whole(response("x"), text={"verbosity": "low"})["text"] == {"format": {"type": "text"}, "verbosity": "low"}


def test_an_answer_is_not_stored_even_where_the_request_asks_for_it() -> None:
    assert whole(response("x"), store=True)["store"] is False


def test_usage_is_null_where_a_total_is_unknown_and_so_is_a_detail() -> None:
    assert whole(response("x", usage=Usage(uncached_input_tokens=3, output_tokens=5)))["usage"] is None
    known = Usage(uncached_input_tokens=3, cache_read_tokens=0, cache_write_tokens=0, output_tokens=5)
    usage = json.loads(renderer().whole(response("x", usage=known)))["usage"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": None}
    assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_a_finish_reason_is_a_status(finish: Any, status: str, details: Any) -> None:
    body = whole(response(Thinking(text="hm"), "x", ToolCall(id="c", name="f"), finish=finish))
    assert (body["status"], body["incomplete_details"]) == (status, details)
    assert [i.get("status") for i in body["output"]] == [None, "completed", status]
    assert (body["completed_at"] is None) == (status == "incomplete")


def test_every_part_is_an_item_in_its_place() -> None:
    body = whole(
        response(
            Thinking(text="hm", signature="s"),
            Thinking(text="", signature="t"),
            Thinking(redacted="d"),
            Opaque(provider="openai", raw=SEARCH),
            Text(text="x", citations=(CITED,), extra={"phase": "commentary"}),
            ToolCall(id="c1", name="f", arguments='{"a":'),
        )
    )
    text = {"type": "output_text", "text": "x", "annotations": [CITATION], "logprobs": []}
    assert body["output"] == [
        {
            "id": "rs_0_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "s",
        },
        {
            "id": "rs_0_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": ""}],
            "encrypted_content": "t",
        },
        {"id": "rs_0_2", "type": "reasoning", "summary": [], "encrypted_content": "d"},
        SEARCH,
        {
            "id": "msg_0_4",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "phase": "commentary",
            "content": [text],
        },
        {
            "id": "fc_0_5",
            "type": "function_call",
            "status": "completed",
            "call_id": "c1",
            "name": "f",
            "arguments": '{"a":',
        },
    ]


def test_a_signature_that_is_not_openais_says_whose_it_is() -> None:
    said = (Thinking(text="hm", signature="s", provider="gemini"), Thinking(redacted="d", provider="anthropic"))
    told = [item["encrypted_content"] for item in whole(response(*said))["output"]]
    assert told == ["trivet:gemini:s", "trivet:anthropic:d"]


def test_a_citation_that_is_not_openais_has_an_address_or_its_providers_own_words() -> None:
    cited = (Citation(url="http://y", provider="gemini"), FOREIGN)
    body = json.loads(renderer().whole(response(Text(text="word", citations=cited))))
    assert body["output"][0]["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 4, "title": "http://y", "url": "http://y"},
        {
            "type": "file_citation",
            "file_id": "",
            "filename": "d",
            "index": 4,
            "quote": "q",
            "provider": "anthropic",
            "raw": {"type": "char_location"},
        },
    ]


def test_a_text_that_is_itself_the_refusal_is_one_and_complete() -> None:
    body = whole(response(Text(text="No.", extra={"refusal": True}), finish="refusal"))
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert body["status"] == "completed"


def test_logprobs_stand_with_the_first_text_and_have_bytes_and_no_infinity() -> None:
    top = TokenLogprob(token="y", logprob=float("-inf"), bytes=(121,))
    token = TokenLogprob(token="é", logprob=-0.5, top=(top,))
    body = whole(response(Thinking(text="hm"), "é", "z", logprobs=(token,)))
    first, second = (item["content"][0]["logprobs"] for item in body["output"][1:])
    assert second == []
    assert first == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "y", "logprob": -9999.0, "bytes": [121]}],
        }
    ]


def test_the_models_own_id_is_used_where_it_has_one_and_else_a_fresh_one() -> None:
    nameless = ChatResponse(model="m", choices=response("x").choices, usage=USAGE)
    assert whole(nameless)["id"] == "resp_0"
    incoming = openai_responses.parse(b'{"model": "m", "input": "Hi"}')
    first, second = (json.loads(openai_responses.Renderer(incoming).whole(nameless)) for _ in range(2))
    assert first["id"] != second["id"]
    assert first["id"].startswith("resp_")
    assert first["output"][0]["id"] != second["output"][0]["id"]


def test_what_a_provider_said_beyond_the_protocol_goes_out_beside_it() -> None:
    answer = ChatResponse(
        model="m", choices=response("x").choices, usage=USAGE, extra={"service_tier": "flex", "object": "no"}
    )
    body = whole(answer)
    assert (body["service_tier"], body["object"]) == ("flex", "response")


@pytest.mark.parametrize("part", [Image(url="http://x"), Opaque(provider="anthropic", raw={})])
def test_a_part_that_the_protocol_cannot_carry_is_an_error_and_does_not_vanish(part: Part) -> None:
    with pytest.raises(UnsupportedError):
        whole(response("x", part))


def test_the_same_answer_gives_the_same_bytes() -> None:
    answer = response("x", ToolCall(id="1", name="f", arguments='{"b":1,"a":2}'))
    assert renderer().whole(answer) == renderer().whole(answer)


def test_the_sdk_reads_a_whole_answer() -> None:
    sdk = InMemory(openai_responses, response(Thinking(text="hm"), "Hello ", "you"))
    got = sdk.client.responses.create(model="m", input="Hi")
    assert (got.output_text, got.status, got.id) == ("Hello you", "completed", "resp_1")


def test_a_refused_request_is_a_bad_request_of_the_sdk_that_names_the_field() -> None:
    sdk = InMemory(openai_responses, response("x"))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.client.responses.create(model="m", input="Hi", temperature=-1)
    assert caught.value.param == "temperature"


def test_an_answer_sent_back_as_the_client_got_it_is_read_as_it_was() -> None:
    content = (
        Thinking(text="hm", signature="s", provider="openai"),
        Thinking(text="", signature="t", provider="gemini"),
        Thinking(redacted="d", provider="anthropic"),
        Text(text="x", citations=(CITED, FOREIGN), extra={"phase": "commentary"}),
        Text(text="No.", extra={"refusal": True}),
        ToolCall(id="c1", name="f", arguments='{"a": '),
    )
    token = TokenLogprob(token="x", logprob=-0.5)
    sdk = InMemory(openai_responses, response(*content, logprobs=(token,)))
    got = sdk.client.responses.create(model="m", input="Hi")
    sdk.client.responses.create(model="m", input=[item.to_dict() for item in got.output])  # type: ignore[misc]
    assert sdk.incoming is not None
    assert isinstance(sdk.incoming.request, Chat)
    assert sdk.incoming.request.messages == (Message(role="assistant", content=content),)
