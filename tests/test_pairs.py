"""Every official client over every provider: client -> trivet -> provider, whole and streamed, with tools and without.

The provider's side is a second trivet over a `Fake`: a server whose protocols the official SDKs accept (which the
first half of these tests shows anew), and which hands over what it was asked as a value that can be compared whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.clients import CLIENTS, QUESTION, SYSTEM
from tests.servers import CEILING_S, serving
from trivet.fake import Fake
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.hosted import Hosted
from trivet.providers.openai import OpenAI
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Conversation, Request, ToolCall

CALLS = [
    ToolCall(id="call_1", name="weather", arguments='{"city":"Paris"}'),
    ToolCall(id="call_2", name="weather", arguments='{"city":"Rome"}'),
]
TOLD = [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]
FINISH = {
    "openai-chat": ("stop", "tool_calls"),
    "openai-responses": ("completed", "completed"),
    "anthropic": ("end_turn", "tool_use"),
    "gemini": ("STOP", "STOP"),
}

Make = Callable[[str], Hosted]


def settings(url: str, path: str, **more: Any) -> ProviderSettings:
    return ProviderSettings(base_url=url + path, api_key="k", **more)


PROVIDERS: dict[str, Make] = {
    "anthropic": lambda url: Anthropic(settings(url, "/v1"), name="up"),
    "openai": lambda url: OpenAI(settings(url, "/v1"), name="up"),
    "gemini": lambda url: Gemini(settings(url, "/v1beta"), name="up"),
    "compatible": lambda url: Compatible(settings(url, "/v1", kind="openai-compatible"), name="up"),
}


def reply(request: Request) -> Any:
    called = isinstance(request, Conversation) and request.tools
    return ["Let me ", "look.", *(CALLS if called else [])]


class Between(NamedTuple):
    """A trivet whose model `m` is the upstream's `m`, asked through a provider; `fake` is what answers there."""

    url: str
    fake: Fake


@pytest.fixture(scope="module", params=PROVIDERS)
def between(request: pytest.FixtureRequest) -> Iterator[Between]:
    fake = Fake(reply)
    with serving({"m": fake}) as upstream:
        provider = PROVIDERS[request.param](upstream.url)
        with serving({"m": provider.model("m")}) as served:
            yield Between(served.url, fake)
            asyncio.run_coroutine_threadsafe(provider.close(), served.loop).result(CEILING_S)


@pytest.mark.parametrize("tools", [False, True], ids=["plain", "tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_over_every_provider(client: str, between: Between, stream: bool, tools: bool) -> None:
    before = len(between.fake.requests)
    said = CLIENTS[client](between.url, stream, tools)
    assert said.text == "Let me look."
    assert said.calls == (TOLD if tools else [])
    assert said.finish == FINISH[client][tools]
    assert said.tokens == (3, 3)
    (asked,) = between.fake.requests[before:]
    assert isinstance(asked, Chat)
    assert [(m.role, m.text) for m in asked.messages] == [("system", SYSTEM), ("user", QUESTION)]
    assert [t.name for t in asked.tools] == (["weather"] if tools else [])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_keeps_its_schema_over_every_pair(client: str, between: Between) -> None:
    CLIENTS[client](between.url, False, True)
    asked = between.fake.requests[-1]
    assert isinstance(asked, Chat)
    tool = asked.tools[0]
    assert (tool.description, tool.parameters["required"]) == ("Looks.", ["city"])
    assert tool.parameters["properties"] == {"city": {"type": "string"}}
