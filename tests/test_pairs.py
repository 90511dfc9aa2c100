"""Every official client over every provider: client -> trivet -> provider, whole and streamed, with tools and without.

The provider's side is a second trivet over a `Fake`: a server whose protocols the official SDKs accept (which the
first half of these tests shows anew), and which hands over what it was asked as a value that can be compared whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.gemini import Gemini
from trivet.providers.openai import OpenAI

from tests.clients import CLIENTS, QUESTION, SYSTEM
from tests.servers import Served, serving
from trivet.fake import Fake
from trivet.model import Model
from trivet.providers.hosted import Hosted
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, Conversation, Request, Tool, ToolCall

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


@contextmanager
def between(make: Make, upstream: Served) -> Iterator[Served]:
    """A trivet whose model `m` is the upstream's `m`, asked through a provider."""
    provider = make(upstream.url)
    model: Model = provider.model("m")
    with serving({"m": model}) as served:
        yield served
        asyncio.run_coroutine_threadsafe(provider.close(), served.loop).result(30)


def reply(request: Request) -> Any:
    called = isinstance(request, Conversation) and request.tools
    return ["Let me ", "look.", *(CALLS if called else [])]


@pytest.mark.parametrize("tools", [False, True], ids=["plain", "tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_over_every_provider(client: str, provider: str, stream: bool, tools: bool) -> None:
    fake = Fake(reply)
    with serving({"m": fake}) as upstream, between(PROVIDERS[provider], upstream) as served:
        said = CLIENTS[client](served.url, stream, tools)
    assert said.text == "Let me look."
    assert said.calls == (TOLD if tools else [])
    assert said.finish == FINISH[client][tools]
    assert said.tokens == (3, 3)
    (asked,) = fake.requests
    assert isinstance(asked, Chat)
    assert [(m.role, m.text) for m in asked.messages] == [("system", SYSTEM), ("user", QUESTION)]
    assert [t.name for t in asked.tools] == (["weather"] if tools else [])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_keeps_its_schema_over_every_pair(client: str, provider: str) -> None:
    fake = Fake(reply)
    with serving({"m": fake}) as upstream, between(PROVIDERS[provider], upstream) as served:
        CLIENTS[client](served.url, False, True)
    (asked,) = fake.requests
    assert isinstance(asked, Chat)
    tool: Tool = asked.tools[0]
    assert (tool.description, tool.parameters["required"]) == ("Looks.", ["city"])
    assert tool.parameters["properties"] == {"city": {"type": "string"}}
