"""Every error in the shape of the route's protocol, as the official clients' own exceptions."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2
import openai
import pytest

from tests.servers import Served, serving
from trivet import errors
from trivet.fake import Fake
from trivet.model import About

MESSAGES = [{"role": "user", "content": "Hi"}]
RAISED = {
    "unsupported": errors.UnsupportedError("messages[0].content[0]: no images here", field="messages[0].content[0]"),
    "long": errors.ContextLengthError("too long: 9 tokens of 8", prompt_tokens=9, context_tokens=8),
    "auth": errors.AuthError("the provider refused trivet's key"),
    "rate": errors.RateLimitError("slow down"),
    "budget": errors.BudgetError("no money left"),
    "weights": errors.WeightsError("weights are missing: trivet pull small"),
    "overloaded": errors.OverloadedError("too busy"),
    "provider": errors.ProviderError("the provider failed"),
}
OPENAI = {
    "unsupported": (400, openai.BadRequestError),
    "long": (400, openai.BadRequestError),
    "auth": (502, openai.InternalServerError),
    "rate": (429, openai.RateLimitError),
    "budget": (429, openai.RateLimitError),
    "weights": (503, openai.InternalServerError),
    "overloaded": (503, openai.InternalServerError),
    "provider": (502, openai.InternalServerError),
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    fakes = {name: Fake(lambda request, error=error: error) for name, error in RAISED.items()}
    embedder = Fake(about=About(name="embedder", tasks=("embed",), where="test"))
    with serving({**fakes, "local/small": Fake(), "embedder": embedder}, keys=["right"]) as served:
        yield served


@pytest.fixture
def to_openai(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="right", max_retries=0)


@pytest.fixture
def to_anthropic(served: Served) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key="right", max_retries=0)


@pytest.mark.parametrize("name", RAISED)
def test_each_error_is_openais(to_openai: openai.OpenAI, name: str) -> None:
    status, kind = OPENAI[name]
    with pytest.raises(kind) as caught:
        to_openai.chat.completions.create(model=name, messages=MESSAGES)
    assert caught.value.status_code == status
    assert caught.value.body["message"] == RAISED[name].message


@pytest.mark.parametrize("name", RAISED)
def test_each_error_is_anthropics(to_anthropic: anthropic.Anthropic, name: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        to_anthropic.messages.create(model=name, max_tokens=9, messages=MESSAGES)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["message"] == RAISED[name].message


def test_a_field_at_fault_is_named(to_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        to_openai.chat.completions.create(model="unsupported", messages=MESSAGES)
    assert caught.value.param == "messages[0].content"  # which is a string there


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "temperature": "hot"}, "temperature"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ("/v1/completions", {"prompt": {}}, "prompt"),
        ("/v1/embeddings", {"input": [1.5]}, "input[0]"),
        ("/v1/responses", {"input": "Hi", "temperature": "hot"}, "temperature"),
    ],
)
def test_a_wrong_type_is_a_400_that_names_the_field(served: Served, path: str, body: dict, field: str) -> None:
    answer = httpx2.post(served.url + path, json={"model": "local/small", **body}, headers={"x-api-key": "right"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_wrong_type_is_a_400_in_anthropics_shape(served: Served, path: str) -> None:
    body = {"model": "local/small", "max_tokens": 9, "messages": [{"role": "user", "content": 3}]}
    answer = httpx2.post(served.url + path, json=body, headers={"x-api-key": "right"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]
    assert "messages[0].content" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_malformed_json_is_a_400(served: Served, body: bytes) -> None:
    headers = {"x-api-key": "right", "content-type": "application/json"}
    answer = httpx2.post(f"{served.url}/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_model_is_a_404_that_names_the_nearest(
    to_openai: openai.OpenAI, to_anthropic: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.NotFoundError, match="local/small") as caught:
        to_openai.chat.completions.create(model="local/smal", messages=MESSAGES)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(anthropic.NotFoundError, match="local/small"):
        to_anthropic.messages.create(model="local/smal", max_tokens=9, messages=MESSAGES)
    with pytest.raises(openai.NotFoundError, match="local/small"):
        to_openai.models.retrieve("local/smal")
    with pytest.raises(anthropic.NotFoundError, match="local/small"):
        to_anthropic.models.retrieve("local/smal")


def test_a_task_that_the_model_does_not_have_is_a_400(to_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="embedder has no task 'chat'"):
        to_openai.chat.completions.create(model="embedder", messages=MESSAGES, stream=True)


def test_a_wrong_key_is_a_401(served: Served) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="wrong").models.list()
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"] == "Bearer"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        anthropic.Anthropic(base_url=served.url, api_key="wrong").models.list()
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_a_foreign_origin_is_a_403(to_openai: openai.OpenAI, to_anthropic: anthropic.Anthropic) -> None:
    foreign = {"origin": "https://example.com"}
    with pytest.raises(openai.PermissionDeniedError, match=r"example\.com"):
        to_openai.chat.completions.create(model="local/small", messages=MESSAGES, extra_headers=foreign)
    with pytest.raises(anthropic.PermissionDeniedError, match=r"example\.com"):
        to_anthropic.messages.create(model="local/small", max_tokens=9, messages=MESSAGES, extra_headers=foreign)


@pytest.mark.parametrize(
    ("name", "times"), [("weights", 1), ("auth", 1), ("budget", 1), ("overloaded", 2), ("rate", 2)]
)
def test_the_clients_ask_again_only_where_that_may_help(served: Served, name: str, times: int) -> None:
    model = served.runtime.models[name]
    assert isinstance(model, Fake)
    model.requests.clear()
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="right", max_retries=1)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model=name, messages=MESSAGES)
    assert len(model.requests) == times
