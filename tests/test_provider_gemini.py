"""The Gemini provider against trivet's own server, which speaks Gemini to the official client too (test_e2e_gemini)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from tests.listing_host import listing_host
from tests.servers import Served, serving
from trivet.errors import AuthError, UnknownModelError
from trivet.fake import Fake
from trivet.providers.gemini import Gemini
from trivet.providers.settings import ProviderSettings
from trivet.types import Chat, ChatResponse, Done, Source, Start, TextDelta, ThinkingDelta, user
from trivet.wire import gemini

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(
        {"m": Fake(lambda request: "Hello there"), "x/y": Fake(lambda request: "Slash")}, keys=["k"]
    ) as served:
        yield served


@pytest.fixture
async def provider(served: Served) -> AsyncIterator[Gemini]:
    provider = Gemini(ProviderSettings(base_url=f"{served.url}/v1beta", api_key="k"), name="gemini")
    yield provider
    await provider.close()


async def test_a_whole_answer(provider: Gemini) -> None:
    response = await provider.model("m").call(Chat(messages=(user("Hi"),)))
    assert isinstance(response, ChatResponse)
    assert response.text == "Hello there"


async def test_a_model_whose_name_has_a_slash(provider: Gemini) -> None:
    response = await provider.model("x/y").call(Chat(messages=(user("Hi"),)))
    assert isinstance(response, ChatResponse)
    assert response.text == "Slash"


async def test_a_stream(provider: Gemini) -> None:
    async with aclosing(provider.model("m").stream(Chat(messages=(user("Hi"),)))) as stream:
        events = [event async for event in stream]
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Done)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello there"


async def test_a_client_of_the_same_protocol_gets_its_bytes(provider: Gemini) -> None:
    body = b'{"contents":[{"parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Hm","thought":true}]}]}'
    request = gemini.parse(body).request
    async with aclosing(provider.model("m").stream(request)) as stream:
        events = [event async for event in stream]
    raw = b"".join(e.raw.body for e in events if isinstance(e.raw, Source))
    assert raw.startswith(b"data: {")
    assert raw.endswith(b"}\n\n")
    last = events[-1]
    assert isinstance(last, Done)
    assert last.response.notes == ()  # its own thought went along
    assert not any(isinstance(e, ThinkingDelta) for e in events)


async def test_the_list_of_models(provider: Gemini) -> None:
    assert await provider.refresh() == ("m", "x/y")


async def test_a_wrong_key_is_told_where_it_answers_with_400() -> None:
    """As Google does, with the reason in an ErrorInfo; the shape is that of google.rpc.Status."""
    error = b'{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}'
    with listing_host(status=400, body=error) as host:
        provider = Gemini(ProviderSettings(base_url=host.base, api_key="sesame"), name="gemini")
        with pytest.raises(AuthError, match=r"refuses the key .* under \[providers.gemini\], or GEMINI_API_KEY$"):
            await provider.refresh()
        await provider.close()


def test_a_list_of_several_pages() -> None:
    provider = Gemini(ProviderSettings(), name="gemini")
    page = b'{"models":[{"name":"models/a"}],"nextPageToken":"t/1"}'
    assert list(provider.listed(page)) == ["a"]
    assert provider.next_page(page) == "models?pageSize=1000&pageToken=t%2F1"
    assert provider.next_page(b'{"models":[]}') is None


async def test_errors(provider: Gemini, served: Served) -> None:
    with pytest.raises(UnknownModelError):
        await provider.model("nope").call(Chat(messages=(user("Hi"),)))
    wrong = Gemini(ProviderSettings(base_url=f"{served.url}/v1beta", api_key="other"), name="gemini")
    with pytest.raises(AuthError):
        await wrong.model("m").call(Chat(messages=(user("Hi"),)))
    await wrong.close()


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_the_key_is_found_under_both_of_its_names(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv(variable, "secret")
    provider = Gemini(ProviderSettings(), name="gemini")
    assert (provider.key, provider.key_variable) == ("secret", variable)
    assert provider.all_headers()["x-goog-api-key"] == "secret"
