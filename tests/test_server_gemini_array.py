"""Gemini's `streamGenerateContent` without `alt=sse`: one JSON array, streamed, whose elements are what the events of
the same stream would have as their data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.servers import serving
from tests.test_server_passes import Said, post
from trivet.errors import RateLimitError, TransportError
from trivet.model import Model
from trivet.types import (
    ChatResponse,
    Choice,
    Done,
    Source,
    Start,
    TextDelta,
    Usage,
    assistant,
)
from trivet.wire.json_array import JsonArray

BODY = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
PATH = "/v1beta/models/m:streamGenerateContent"
ANSWER = ChatResponse(
    model="m",
    id="r-1",
    usage=Usage(uncached_input_tokens=1, cache_read_tokens=0, cache_write_tokens=0, output_tokens=2),
    choices=(Choice(message=assistant("Hello"), finish_reason="stop"),),
)


def asked(model: Model, path: str = PATH) -> tuple[int, str, bytes]:
    with serving({"m": model}) as served:
        status, headers, body = post(served.url, BODY, path)
    return status, headers["content-type"], body


def raw(body: bytes) -> Source:
    return Source(protocol="gemini", body=body)


def data(events: bytes) -> list[Any]:
    return [json.loads(line.removeprefix(b"data: ")) for line in events.splitlines() if line]


@pytest.mark.parametrize("query", ["", "?alt=json", "?key=x"])
def test_its_elements_are_the_data_of_the_events(query: str) -> None:
    events = (Start(model="m", id="r-1"), TextDelta(text="Hel"), TextDelta(text="lo"), Done(response=ANSWER))
    status, kind, body = asked(Said(*events), PATH + query)
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == data(asked(Said(*events), PATH + "?alt=sse")[2])
    texts = [answer["candidates"][0]["content"]["parts"][0]["text"] for answer in json.loads(body)]
    assert texts == ["Hel", "lo", ""]


def test_an_answer_that_is_there_at_once_is_an_array_of_one() -> None:
    (answer,) = json.loads(asked(Said(Done(response=ANSWER)))[2])
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]
    assert answer["usageMetadata"]["totalTokenCount"] == 3


def test_what_a_provider_sent_goes_on_in_it_as_it_is() -> None:
    events = (
        Start(model="m", raw=raw(b': hello\r\ndata: {"a":  1}\r\n\r\n')),
        TextDelta(text="x", raw=raw(b'data: {"b":\ndata: "\\n]"}\n\n')),
        TextDelta(text="y", raw=raw(b"")),
        Done(response=ANSWER, raw=raw(b'data: {"c": 3}\n\n')),
    )
    assert asked(Said(*events))[2] == b'[{"a":  1},\r\n{"b":\n"\\n]"},\r\n{"c": 3}]'


def test_an_error_after_content_is_the_last_element() -> None:
    status, kind, body = asked(Said(TextDelta(text="Hel"), TransportError("the connection broke")))
    assert (status, kind) == (200, "application/json")
    first, last = json.loads(body)
    assert first["candidates"][0]["content"]["parts"] == [{"text": "Hel"}]
    assert last.keys() == {"error"}
    assert "the connection broke" in last["error"]["message"]


def test_an_error_before_it_is_the_only_element_and_a_status() -> None:
    for error in (RateLimitError("slow"), RateLimitError("slow", provider="p", provider_status=429)):
        if error.provider:
            error.raw = raw(b'{"error": {"message": "slow", "x": 1}}')
        status, kind, body = asked(Said(error))
        assert (status, kind) == (429, "application/json")
        (told,) = json.loads(body)
        assert told["error"]["message"] == "slow"
        assert told["error"].get("x") == (1 if error.provider else None)
    status, _, body = asked(Said(), "/v1beta/models/nobody:streamGenerateContent")
    assert (status, json.loads(body)[0]["error"]["code"]) == (404, 404)


def test_every_piece_goes_out_when_it_is_there() -> None:
    array = JsonArray()
    assert array.feed(b"data: 1\n\n") == b"[1"
    assert array.feed(b": nothing\n\n") == b""
    assert array.feed(b"data: 2\n\ndata: 3\n\n", last=True) == b",\r\n2,\r\n3]"
    assert JsonArray().feed(b"", last=True) == b"[]"
