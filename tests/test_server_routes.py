"""Which routes there are, and what each answers, to the official clients where they have the route."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import anthropic
import httpx2
import openai
import pytest

import trivet
from tests.servers import Served, serving
from trivet.fake import Fake

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving({"local/small": Fake("Hello"), "medical": Fake(lambda request: ["Hel", "lo"])}) as served:
        yield served


@pytest.fixture
def to_openai(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="ignored", max_retries=0)


@pytest.fixture
def to_anthropic(served: Served) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key="ignored", max_retries=0)


@pytest.fixture
def http(served: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.url) as client:
        yield client


def test_chat_completions(to_openai: openai.OpenAI) -> None:
    answer = to_openai.chat.completions.create(model="medical", messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello"


def test_chat_completions_streamed(to_openai: openai.OpenAI) -> None:
    chunks = list(to_openai.chat.completions.create(model="medical", messages=MESSAGES, stream=True))
    pieces = [c.choices[0].delta.content for c in chunks if c.choices]
    assert [p for p in pieces if p] == ["Hel", "lo"]


def test_completions(to_openai: openai.OpenAI) -> None:
    assert to_openai.completions.create(model="medical", prompt="Hi").choices[0].text == "Hello"


def test_completions_streamed(to_openai: openai.OpenAI) -> None:
    chunks = list(to_openai.completions.create(model="medical", prompt="Hi", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == "Hello"


def test_responses(to_openai: openai.OpenAI) -> None:
    assert to_openai.responses.create(model="medical", input="Hi").output_text == "Hello"


def test_responses_streamed(to_openai: openai.OpenAI) -> None:
    events = list(to_openai.responses.create(model="medical", input="Hi", stream=True))
    assert [e.delta for e in events if e.type == "response.output_text.delta"] == ["Hel", "lo"]
    assert events[-1].type == "response.completed"


def test_embeddings(to_openai: openai.OpenAI) -> None:
    answer = to_openai.embeddings.create(model="medical", input=["a", "bcd"])
    assert [row.embedding for row in answer.data] == [[1.0, 1.0], [3.0, 1.0]]


def test_messages(to_anthropic: anthropic.Anthropic) -> None:
    answer = to_anthropic.messages.create(model="medical", max_tokens=9, messages=MESSAGES)
    assert answer.content[0].text == "Hello"


def test_messages_streamed(to_anthropic: anthropic.Anthropic) -> None:
    with to_anthropic.messages.stream(model="medical", max_tokens=9, messages=MESSAGES) as stream:
        assert list(stream.text_stream) == ["Hel", "lo"]
        assert stream.get_final_message().stop_reason == "end_turn"


def test_count_tokens(to_anthropic: anthropic.Anthropic) -> None:
    assert to_anthropic.messages.count_tokens(model="medical", messages=MESSAGES).input_tokens == 3


def test_models_are_listed_for_openai(to_openai: openai.OpenAI) -> None:
    models = list(to_openai.models.list())
    assert [(m.id, m.object, m.owned_by) for m in models] == [
        ("local/small", "model", "local"),
        ("medical", "model", "trivet"),
    ]


def test_models_are_listed_for_anthropic(to_anthropic: anthropic.Anthropic) -> None:
    assert [(m.id, m.display_name) for m in to_anthropic.models.list()] == [
        ("local/small", "local/small"),
        ("medical", "medical"),
    ]


def test_one_model_by_a_name_with_a_slash(to_openai: openai.OpenAI, to_anthropic: anthropic.Anthropic) -> None:
    assert to_openai.models.retrieve("local/small").id == "local/small"
    assert to_anthropic.models.retrieve("local/small").id == "local/small"


def test_one_model_with_its_slash_encoded(http: httpx2.Client) -> None:
    assert http.get("/v1/models/local%2Fsmall").json()["id"] == "local/small"


def test_health(http: httpx2.Client) -> None:
    answer = http.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "live": True,
        "ready": True,
        "problem": None,
        "in_flight": 0,
        "version": trivet.__version__,
        "models": ["local/small", "medical"],
        "slots": {},
        "counting": "well",
    }


def test_health_says_how_busy_a_model_is_that_tells() -> None:
    model = Fake()
    model.slots = SimpleNamespace(busy=1, total=4)  # type: ignore[attr-defined]
    with serving({"m": model}) as served:
        assert httpx2.get(f"{served.url}/health").json()["slots"] == {"m": {"busy": 1, "total": 4}}


def test_health_without_the_key_says_no_more_than_whether_it_is_alive() -> None:
    with serving({"m": Fake()}, keys=["k"]) as served:
        assert httpx2.get(f"{served.url}/health").json() == {"status": "ready", "live": True, "ready": True}
        assert httpx2.get(f"{served.url}/health", headers={"x-api-key": "k"}).json()["models"] == ["m"]


def test_head_is_answered_as_get_is(http: httpx2.Client) -> None:
    assert http.head("/health").status_code == 200
    assert http.head("/v1/models").status_code == 200


def test_an_unknown_route_is_told_which_there_are(http: httpx2.Client) -> None:
    answer = http.post("/chat/completions", json={})
    assert answer.status_code == 404
    message = answer.json()["error"]["message"]
    assert "/chat/completions" in message
    for route in ("GET /v1/models", "GET /health", "POST /v1/chat/completions", "POST /v1/messages/count_tokens"):
        assert route in message


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", "/v1/messages", "POST"), ("POST", "/health", "GET, HEAD")]
)
def test_a_wrong_method_is_a_405(http: httpx2.Client, method: str, path: str, allowed: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert method in answer.json()["error"]["message"]


def test_the_runtime_is_asked_by_task_and_takes_no_paths(served: Served, to_openai: openai.OpenAI) -> None:
    to_openai.embeddings.create(model="medical", input="a")
    assert served.runtime.asked == {"name": "medical", "paths": False, "task": "embed"}


def test_the_request_carries_its_id_down_and_not_the_clients() -> None:
    fake = Fake()
    with serving({"m": fake}) as served:
        body = {"model": "m", "messages": MESSAGES}
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json=body, headers={"x-request-id": "mine"})
    assert fake.requests[0].context.id == answer.headers["x-trivet-request-id"]
    assert answer.headers["x-trivet-request-id"].startswith("req_")


def test_every_answer_has_an_id_of_its_own(http: httpx2.Client) -> None:
    ids = {
        http.get(path).headers["x-trivet-request-id"] for path in ("/health", "/v1/models", "/nowhere", "/v1/messages")
    }
    assert len(ids) == 4


def test_the_clients_know_the_id(to_openai: openai.OpenAI, to_anthropic: anthropic.Anthropic) -> None:
    answer = to_openai.chat.completions.create(model="medical", messages=MESSAGES)
    assert str(answer._request_id).startswith("req_")
    message = to_anthropic.messages.create(model="medical", max_tokens=9, messages=MESSAGES)
    assert str(message._request_id).startswith("req_")
