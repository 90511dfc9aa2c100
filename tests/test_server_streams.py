"""Streams on the wire: what the head says, when it is sent, and how a stream ends that cannot go on."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncGenerator, Iterator
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest

from tests.servers import CEILING_S, Served, Watched, ask, serving
from trivet.errors import OverloadedError, RateLimitError, TransportError
from trivet.fake import CUT, STALL, Fake
from trivet.server.routes import POST
from trivet.types import Event, Request
from trivet.wire import openai_chat

MESSAGES = [{"role": "user", "content": "Hi"}]
SCRIPTS = {
    "pieces": lambda request: ["one", " two"],
    "early": lambda request: [RateLimitError("slow down", retry_after_s=7)],
    "empty": lambda request: [],
    "early-cut": lambda request: [CUT],
    "late": lambda request: ["one", TransportError("the upstream is gone")],
    "late-overload": lambda request: ["one", OverloadedError("too much")],
    "cut": lambda request: ["one", CUT],
    "bug": lambda request: [ZeroDivisionError("secret detail")],
    "late-bug": lambda request: ["one", ZeroDivisionError("secret detail")],
}


class Closes(Fake):
    """Takes its time to close itself when its answer is over, and then fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.closed_whole = False

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        try:
            async for event in super().stream(request):
                yield event
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            self.closed_whole = True
            if self.error:
                raise self.error


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving({name: Fake(script) for name, script in SCRIPTS.items()}) as served:
        yield served


def to_openai(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="ignored", max_retries=0)


def to_anthropic(served: Served) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key="ignored", max_retries=0)


def chat(served: Served, model: str) -> httpx2.Response:
    body = {"model": model, "messages": MESSAGES, "stream": True}
    return httpx2.post(f"{served.url}/v1/chat/completions", json=body)


def test_the_head_of_a_stream(served: Served) -> None:
    answer = chat(served, "pieces")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-trivet-request-id"].startswith("req_")


def test_each_event_is_sent_as_it_comes() -> None:
    """The second piece never comes, and the first one is with the client all the same."""
    watched = Watched(Fake(lambda request: ["one", STALL]))
    with serving({"m": watched}) as served:
        body = {"model": "m", "messages": MESSAGES, "stream": True}
        with httpx2.stream("POST", f"{served.url}/v1/chat/completions", json=body, timeout=CEILING_S) as answer:
            text = ""
            for chunk in answer.iter_text():
                text += chunk
                if '"one"' in text:
                    break
        watched.wait_over()


def test_each_piece_is_a_chunk_of_its_own(served: Served) -> None:
    first, second, *_ = chunks(served, "pieces")
    assert b'"one"' in first
    assert b'" two"' not in first
    assert b'" two"' in second


def chunks(served: Served, model: str) -> list[bytes]:
    """The chunks of HTTP's chunked encoding, as they are on the wire."""
    with ask(served.url, {"model": model, "messages": MESSAGES, "stream": True}) as sock:
        file = sock.makefile("rb")
        while file.readline().strip():
            pass
        found = []
        while size := int(file.readline(), 16):
            found.append(file.read(size))
            file.readline()
        return found


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_first_content_is_a_status(served: Served, stream: bool) -> None:
    """The fake has sent its `Start` by then: that does not count."""
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        to_openai(served).chat.completions.create(model="early", messages=MESSAGES, stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.RateLimitError, match="slow down"):
        to_openai(served).responses.create(model="early", input="Hi", stream=stream)
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        to_anthropic(served).messages.create(model="early", max_tokens=9, messages=MESSAGES, stream=stream)


class Talkative:
    """A protocol that has something to say for every event, the `Start` too."""

    parse, error = staticmethod(openai_chat.parse), staticmethod(openai_chat.error)

    class Renderer(openai_chat.Renderer):
        def event(self, event: Event) -> bytes:
            return type(event).__name__.encode() + b" "


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [("pieces", 200, "Start TextDelta TextDelta Done "), ("empty", 200, "Start Done "), ("early", 429, None)],
)
def test_what_comes_before_content_is_held_back(
    served: Served, monkeypatch: pytest.MonkeyPatch, model: str, status: int, text: str | None
) -> None:
    monkeypatch.setitem(POST, "/v1/chat/completions", Talkative)
    answer = chat(served, model)
    assert answer.status_code == status
    if text is not None:
        assert answer.text == text


@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_that_ends_before_its_answer_is_a_502(served: Served, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError, match="ended before its answer was complete") as caught:
        to_openai(served).chat.completions.create(model="early-cut", messages=MESSAGES, stream=stream)
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("model", "says"),
    [("late", "the upstream is gone"), ("late-overload", "too much"), ("cut", "ended before its answer was complete")],
)
def test_an_error_after_content_ends_an_openai_stream_with_an_error_event(
    served: Served, model: str, says: str
) -> None:
    stream = to_openai(served).chat.completions.create(model=model, messages=MESSAGES, stream=True)
    pieces = []
    with pytest.raises(openai.APIError, match=says):
        pieces.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "one" in pieces


def test_an_error_after_content_ends_an_anthropic_stream_with_an_error_event(served: Served) -> None:
    texts = []
    asked = to_anthropic(served).messages.stream(model="late", max_tokens=9, messages=MESSAGES)
    with asked as stream, pytest.raises(anthropic.APIStatusError, match="the upstream is gone"):
        texts.extend(stream.text_stream)
    assert texts == ["one"]


def test_an_error_after_content_leaves_the_connection_whole(served: Served) -> None:
    """HTTP's own end is there, so a proxy does not take it for a broken upstream, and the connection is used again."""
    place = urlsplit(served.url)
    connection = http.client.HTTPConnection(place.netloc, timeout=CEILING_S)
    body = json.dumps({"model": "late", "messages": MESSAGES, "stream": True})
    for _ in range(2):
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        text = connection.getresponse().read()
        assert b"the upstream is gone" in text
        assert b"[DONE]" not in text
    connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_bug_is_a_500_that_tells_no_details(served: Served, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        to_openai(served).chat.completions.create(model="bug", messages=MESSAGES, stream=stream)
    assert caught.value.status_code == 500
    assert "secret detail" not in str(caught.value)
    assert str(caught.value.request_id) in str(caught.value)  # what to look for in the log
    assert "ZeroDivisionError: secret detail" in caplog.text
    assert "Traceback" in caplog.text
    with pytest.raises(anthropic.InternalServerError):
        to_anthropic(served).messages.create(model="bug", max_tokens=9, messages=MESSAGES, stream=stream)


def test_a_bug_after_content_ends_the_stream_and_tells_no_details(served: Served) -> None:
    text = chat(served, "late-bug").text
    assert '"one"' in text
    assert "an error inside trivet" in text
    assert "secret detail" not in text
    assert "[DONE]" not in text


def test_a_model_closes_itself_in_peace_when_its_answer_is_over() -> None:
    """Nobody has left, although ASGI says `http.disconnect` then."""
    closes = Closes()
    watched = Watched(closes)
    with serving({"m": watched}) as served:
        assert "[DONE]" in chat(served, "m").text
        watched.wait_over()
    assert closes.closed_whole


@pytest.mark.parametrize("error", [TransportError("late"), ZeroDivisionError("late")])
def test_an_error_after_the_answer_is_not_sent(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(Closes(error))
    with serving({"m": watched}) as served:
        assert chat(served, "m").text.endswith("data: [DONE]\n\n")
        watched.wait_over()
    assert "ASGI" not in caplog.text  # what uvicorn would say of a second end
    assert ("ZeroDivisionError" in caplog.text) == isinstance(error, ZeroDivisionError)
