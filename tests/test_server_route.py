"""What the server says of who was asked: in headers, in errors, in the log."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.servers import serving
from trivet.adapt.build import routed
from trivet.adapt.settings import RouteSettings
from trivet.errors import OverloadedError, RateLimitError, TransportError
from trivet.fake import Fake
from trivet.model import About, Model
from trivet.server.told import line

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def smart(*replies: Any) -> dict[str, Model]:
    models = [Fake(each, about=About(name=f"up/{n}", tasks=("chat",))) for n, each in enumerate(replies)]
    return {"smart": routed("smart", models, RouteSettings(retries=0)), "plain": Fake("Hello")}


def headers(url: str, model: str, **body: Any) -> tuple[int, httpx2.Headers]:
    answer = httpx2.post(f"{url}/v1/chat/completions", json={"model": model, **ASKED, **body})
    return answer.status_code, answer.headers


@pytest.mark.parametrize("stream", [False, True])
def test_headers_name_who_answered_and_the_attempts_before(stream: bool) -> None:
    with serving(smart([OverloadedError("too much:\nü → …")], "Hello")) as served:
        status, told = headers(served.url, "smart", stream=stream)
    first, second = told.get_list("x-trivet-route")
    assert (status, told["x-trivet-model"]) == (200, "up/1")
    assert first.startswith("up/0 failed after 0.")
    assert first.endswith(" s: too much: ü ? ...")
    assert second.startswith("up/1 answered after 0.")
    assert told["x-trivet-request-id"].startswith("req_")


def test_of_many_attempts_the_headers_have_the_first_and_the_last() -> None:
    with serving(smart(*[[OverloadedError(f"busy {n}")] for n in range(12)], "Hello")) as served:
        _, told = headers(served.url, "smart")
    lines = told.get_list("x-trivet-route")
    assert [line.partition(" ")[0] for line in lines] == [
        *("up/0", "up/1", "up/2", "up/3"), "5", "up/9", "up/10", "up/11", "up/12",
    ]  # fmt: skip
    assert lines[4] == "5 more, which the log has"


def test_a_clients_word_for_its_conversation_keeps_it_where_it_is() -> None:
    models = [Fake("Hello", about=About(name=f"up/{n}", tasks=("chat",))) for n in range(5)]
    smart = routed("smart", models, RouteSettings(policy="weighted"))
    with serving({"smart": smart}) as served:
        for n in range(9):
            body = {"model": "smart", "messages": [{"role": "user", "content": f"turn {n}"}]}
            httpx2.post(f"{served.url}/v1/chat/completions", json=body, headers={"x-trivet-session": "mine"})
    assert sorted(len(model.requests) for model in models) == [0, 0, 0, 0, 9]


@pytest.mark.parametrize("stream", [False, True])
def test_one_model_alone_is_named_too(stream: bool) -> None:
    with serving(smart("Hello")) as served:
        _, told = headers(served.url, "plain", stream=stream)
    assert told["x-trivet-model"] == "fake"
    assert told["x-trivet-route"].startswith("fake answered after")


@pytest.mark.parametrize("stream", [False, True])
def test_all_fail_with_the_most_telling_status_and_every_reason(stream: bool) -> None:
    with serving(smart([TransportError("no connection")], [RateLimitError("too many", retry_after_s=7)])) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.RateLimitError, match="up/0: no connection; up/1: too many") as caught:
            client.chat.completions.create(model="smart", messages=ASKED["messages"], stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert len(caught.value.response.headers.get_list("x-trivet-route")) == 2
    assert "x-trivet-model" not in caught.value.response.headers


def test_a_stream_that_fails_after_content_ends_with_an_error_and_asks_nobody_else() -> None:
    models = smart([["Hel", TransportError("gone")]], "Hello")
    with serving(models) as served:
        client = anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0)
        seen: list[str] = []

        def read() -> None:
            with client.messages.stream(model="smart", messages=ASKED["messages"], max_tokens=9) as stream:
                for piece in stream.text_stream:
                    seen.append(piece)

        with pytest.raises(anthropic.APIStatusError, match="gone"):
            read()
    assert seen == ["Hel"]


def test_the_log_has_the_attempts_and_no_word_of_the_conversation() -> None:
    lines: list[str] = []
    note: Any = lambda over: lines.extend([line(over, "text"), line(over, "json")])  # noqa: E731
    with serving(smart([OverloadedError("busy")], "Hello"), access_log=note) as served:
        headers(served.url, "smart")
    text, data = lines[0], json.loads(lines[1])
    assert "| up/0 failed after 0." in text
    assert "| up/1 answered after 0." in text
    assert [(a["model"], a["outcome"], a.get("reason")) for a in data["route"]] == [
        ("up/0", "failed", "busy"),
        ("up/1", "answered", None),
    ]
    assert (data["status"], data["path"]) == (200, "/v1/chat/completions")
    assert data["request_id"].startswith("req_")
    assert "Hi" not in text.split("|")[0]
