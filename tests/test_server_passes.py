"""Same protocol on both sides: what the provider sent reaches the client byte for byte, errors and streams included."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from tests.servers import CEILING_S, serving
from trivet.errors import RateLimitError, TransportError
from trivet.model import About, Model
from trivet.types import (
    Aside,
    ChatResponse,
    Choice,
    Done,
    Event,
    Request,
    Source,
    Start,
    TextDelta,
    assistant,
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = ChatResponse(model="m", choices=(Choice(message=assistant("Hello"), finish_reason="stop"),))


class Said(Model):
    """Yields the events that it is given, and notes the requests."""

    def __init__(self, *events: Event | Exception) -> None:
        self.events: Sequence[Event | Exception] = events
        self.requests: list[Request] = []

    @property
    def about(self) -> About:
        return About(name="said", tasks=("chat",), where="test")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event


def raw(body: bytes, protocol: str = "openai-chat") -> Source:
    return Source(protocol=protocol, body=body)


def post(url: str, body: Any, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, dict[str, str], bytes]:
    told = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), told)
    try:
        with urllib.request.urlopen(request, timeout=CEILING_S) as reply:
            return reply.status, dict(reply.headers), reply.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_a_whole_answer_of_the_clients_protocol_goes_on_as_it_is() -> None:
    whole = ANSWER.__class__(model="m", choices=ANSWER.choices, raw=raw(b'{"x":  1}'))
    with serving({"m": Said(Done(response=whole))}) as served:
        assert post(served.url, CHAT)[2] == b'{"x":  1}'


def test_a_whole_answer_of_another_protocol_is_rendered() -> None:
    whole = ANSWER.__class__(model="m", choices=ANSWER.choices, raw=raw(b'{"x":  1}', "anthropic"))
    with serving({"m": Said(Done(response=whole))}) as served:
        assert json.loads(post(served.url, CHAT)[2])["choices"][0]["message"]["content"] == "Hello"


def test_a_stream_of_the_clients_protocol_goes_on_byte_for_byte() -> None:
    events = [
        Start(model="m", raw=raw(b"data: 1\n\n")),
        Aside(raw=raw(b": ping\n\n")),
        TextDelta(text="Hello", raw=raw(b"data: 2\n\n")),
        Done(response=ANSWER, raw=raw(b"data: [DONE]\n\n")),
    ]
    with serving({"m": Said(*events)}) as served:
        assert post(served.url, {**CHAT, "stream": True})[2] == b"data: 1\n\n: ping\n\ndata: 2\n\ndata: [DONE]\n\n"


def test_a_cut_stream_ends_with_an_error_of_the_clients_protocol() -> None:
    events = [
        Start(model="m", raw=raw(b"data: 1\n\n")),
        TextDelta(text="Hello", raw=raw(b"data: 2\n\n")),
        TransportError("the connection broke"),
    ]
    with serving({"m": Said(*events)}) as served:
        body = post(served.url, {**CHAT, "stream": True})[2]
    assert body.startswith(b"data: 1\n\ndata: 2\n\ndata: {")
    assert b"the connection broke" in body
    assert b"[DONE]" not in body


def test_a_cut_response_that_was_passed_on_begins_once_and_fails_under_its_own_id() -> None:
    def responses(body: bytes) -> Source:
        return raw(body, "openai-responses")

    events = [
        Start(model="theirs", id="resp_1", raw=responses(b"data: 1\n\n")),
        Aside(raw=responses(b"data: 2\n\n")),
        TextDelta(text="Hello", raw=responses(b"data: 3\n\n")),
        TransportError("the connection broke"),
    ]
    with serving({"m": Said(*events)}) as served:
        body = post(served.url, {"model": "m", "input": "Hi", "stream": True}, "/v1/responses")[2]
    assert body.startswith(b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    assert [(e["type"], e["sequence_number"]) for e in told] == [("error", 3), ("response.failed", 4)]
    assert (told[1]["response"]["id"], told[1]["response"]["model"]) == ("resp_1", "theirs")


def test_an_error_before_the_first_content_is_the_providers_own_status_and_body() -> None:
    error = RateLimitError("slow down", provider="p", provider_status=429, retry_after_s=7)
    error.raw = raw(b'{"error": {"message": "slow down", "x": 1}}')
    with serving({"m": Said(Start(model="m", raw=raw(b"data: 1\n\n")), error)}) as served:
        status, headers, body = post(served.url, {**CHAT, "stream": True})
    assert (status, body, headers["retry-after"]) == (429, b'{"error": {"message": "slow down", "x": 1}}', "7")


def test_an_error_of_another_protocol_is_told_in_the_clients() -> None:
    error = RateLimitError("slow down", provider="p", provider_status=429)
    error.raw = raw(b"{}", "anthropic")
    with serving({"m": Said(error)}) as served:
        assert json.loads(post(served.url, CHAT)[2])["error"]["message"] == "slow down"


def test_what_was_done_differently_is_said_in_a_header() -> None:
    noted = ANSWER.__class__(model="m", choices=ANSWER.choices, notes=("left out: x",))
    with serving({"m": Said(Start(model="m", notes=("left out: x",)), Done(response=noted))}) as served:
        assert post(served.url, CHAT)[1]["x-trivet-note"] == "left out: x"
        assert post(served.url, {**CHAT, "stream": True})[1]["x-trivet-note"] == "left out: x"


def test_a_header_of_the_client_that_came_in_several_goes_on_as_one_list() -> None:
    model = Said(Done(response=ANSWER))
    with serving({"m": model}) as served:
        body = json.dumps(CHAT).encode()
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=CEILING_S)
        connection.putrequest("POST", "/v1/chat/completions")
        for name, value in (("anthropic-beta", "x-1"), ("Anthropic-Beta", "x-2, x-3")):
            connection.putheader(name, value)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        assert connection.getresponse().status == 200
        connection.close()
    assert model.requests[0].context.headers == {"anthropic-beta": "x-1,x-2, x-3"}


def test_only_listed_headers_of_the_client_go_on_and_never_its_key() -> None:
    model = Said(Done(response=ANSWER))
    with serving({"m": model}) as served:
        post(served.url, CHAT, anthropic_beta="x-1", authorization="Bearer secret", x_api_key="secret")
    assert model.requests[0].context.headers == {"anthropic-beta": "x-1"}
