"""Where OpenAI is asked what."""

from __future__ import annotations

from typing import Any

import pytest

from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Complete, Embed, Request, Sampling, Source, Thinking, assistant, replace, user

CHAT = (user("Hi"),)


def source(protocol: str) -> Source:
    return Source(protocol=protocol, body=b'{"model": "m"}')


def path(request: Request) -> str:
    return OpenAI(ProviderSettings(api_key="k"), name="openai").route(request).path


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"source": source("anthropic")},
        {"source": source("openai-responses")},
        {"source": source("openai-responses"), "sampling": Sampling(seed=1)},
        {"sampling": Sampling(temperature=0.5, max_tokens=9, logprobs=2)},
    ],
)
def test_a_chat_goes_to_responses(fields: dict[str, Any]) -> None:
    assert path(Chat(messages=CHAT, **fields)) == "responses"


@pytest.mark.parametrize(
    "fields",
    [
        {"source": source("openai-chat")},
        {"sampling": Sampling(n=2)},
        {"sampling": Sampling(seed=1)},
        {"sampling": Sampling(stop=("x",)), "source": source("anthropic")},
        {"sampling": Sampling(frequency_penalty=0.5)},
        {"extra": {"modalities": ["text", "audio"]}},
    ],
)
def test_what_only_chat_completions_can_say_goes_there(fields: dict[str, Any]) -> None:
    assert path(Chat(messages=CHAT, **fields)) == "chat/completions"


def test_the_other_tasks_have_a_place_each() -> None:
    assert path(Complete(prompt="x")) == "completions"
    assert path(Embed(texts=("x",))) == "embeddings"


def test_headers_have_the_key_the_organisation_and_those_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    headers = OpenAI(ProviderSettings(headers={"x-team": "a"}), name="openai").all_headers()
    assert headers["authorization"] == "Bearer from the environment"
    assert (headers["openai-organization"], headers["x-team"]) == ("org-1", "a")
    assert "openai-project" not in headers


def test_reasoning_goes_back_to_responses_alone() -> None:
    signed = Thinking(text="hm", signature="s", provider="openai")
    chat = Chat(messages=(*CHAT, assistant(signed, "Hello"), user("Again")))
    openai = OpenAI(ProviderSettings(api_key="k"), name="openai")
    assert openai.thoughts(chat) == (chat, ())
    kept, (note,) = openai.thoughts(replace(chat, sampling=Sampling(stop=("x",))))
    assert [m.text for m in kept.messages] == ["Hi", "Hello", "Again"]
    assert not any(isinstance(p, Thinking) for m in kept.messages for p in m.content)
    assert "chat completions" in note
