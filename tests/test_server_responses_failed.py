"""OpenAI's responses on both sides, and a stream that fails under way: what the client got of it is not lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.servers import serving
from tests.test_server_passes import Said, post
from tests.test_wire_openai_responses_reader import (
    ASKED,
    TARGET,
    added,
    call,
    created,
    delta,
    done,
    message,
    output_text,
    reasoning,
    response,
    sent,
)
from trivet.errors import TransportError, TrivetError
from trivet.types import Chat, Event, Source, replace
from trivet.wire import openai_responses, sse

ASK = {"model": "m", "input": "Hi", "stream": True}
OWN = replace(ASKED, source=Source(protocol="openai-responses", body=json.dumps(ASK).encode()))
THOUGHT, TEXT, CALL = reasoning("Hm.", encrypted="s"), message(output_text("Hello")), call("c1", '{"a": 1}')
BEGUN = {**TEXT, "content": [], "status": "in_progress"}


def read(*told: sse.Event, request: Chat = OWN) -> Iterator[Event | Exception]:
    """What a provider's stream amounts to, to its error."""
    reader = openai_responses.Reader(request, TARGET)
    try:
        for event in told:
            yield from reader.event(event)
    except TrivetError as error:
        yield error
    else:
        yield TransportError("the connection broke")


def asked(*told: sse.Event, request: Chat = OWN) -> tuple[bytes, list[dict[str, Any]]]:
    with serving({"m": Said(*read(*told, request=request))}) as served:
        body = post(served.url, ASK, "/v1/responses")[2]
    return body, [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]


FAILED = sent(
    "response.failed",
    response=response(THOUGHT, TEXT, status="failed", error={"code": "server_error", "message": "oh"}, novelty=1),
)


def test_a_response_that_its_provider_ends_as_failed_goes_on_as_it_is() -> None:
    told = [created(), done(0, THOUGHT), added(1, BEGUN), delta("output_text", "Hello", 1), done(1, TEXT), FAILED]
    assert asked(*told)[0] == b"".join(event.raw for event in told)


def test_before_any_content_it_is_a_status() -> None:
    with serving({"m": Said(*read(created(), FAILED))}) as served:
        status, _, body = post(served.url, ASK, "/v1/responses")
    assert status >= 500
    assert json.loads(body)["error"]["code"] == "server_error"


def test_a_client_of_another_protocol_gets_an_error_of_its_own() -> None:
    told = [created(), added(0, BEGUN), delta("output_text", "Hello"), FAILED]
    events = [replace(e, raw=None) if isinstance(e, Event) else e for e in read(*told, request=ASKED)]
    assert isinstance(events[-1], TrivetError)
    assert events[-1].ending is None
    with serving({"m": Said(*events)}) as served:
        body = post(served.url, {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True})[2]
    assert b"response.failed" not in body
    assert b"oh" in body


@pytest.mark.parametrize(
    ("told", "output"),
    [
        ([done(0, THOUGHT), added(1, CALL), done(1, CALL)], [THOUGHT, CALL]),
        (
            [done(0, THOUGHT), added(1, BEGUN), delta("output_text", "Hel", 1), delta("output_text", "lo", 1)],
            [THOUGHT, {**TEXT, "status": "incomplete"}],
        ),
        (
            [added(0, call("c1", "")), *(delta("function_call_arguments", piece) for piece in ('{"a', '": 1'))],
            [{**call("c1", '{"a": 1'), "status": "incomplete"}],
        ),
    ],
)
def test_a_stream_that_is_cut_fails_with_all_that_was_told(told: list[sse.Event], output: list[Any]) -> None:
    body, shown = asked(created(), *told)
    assert body.startswith(b"".join(event.raw for event in (created(), *told)))
    assert [e["type"] for e in shown[-2:]] == ["error", "response.failed"]
    failed = shown[-1]["response"]
    assert (failed["status"], failed["id"]) == ("failed", "resp_1")
    assert failed["output"] == output


def test_the_clients_own_accumulation_sees_them_in_the_failed_response() -> None:
    told = [created(), done(0, THOUGHT), added(1, BEGUN), delta("output_text", "Hello", 1), FAILED]
    with serving({"m": Said(*read(*told))}) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0)
        events = list(client.responses.create(model="m", input="Hi", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.output_text == "Hello"
