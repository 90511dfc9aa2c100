"""The table of compatible hosts, and the provider that a row makes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.upstream import Reply, sse, upstream
from trivet import registry
from trivet.errors import ConfigError, ProviderError, RequestError, UnsupportedError
from trivet.providers import hosts
from trivet.providers.compatible import Compatible
from trivet.providers.hosts import HOSTS, Host
from trivet.providers.settings import ProviderSettings
from trivet.types import (
    Audio,
    Chat,
    ChatResponse,
    Complete,
    Embed,
    EmbedResponse,
    Request,
    Rerank,
    Sampling,
    Source,
    Speak,
    Thinking,
    Transcribe,
    assistant,
    replace,
    user,
)
from trivet.wire import Target, multipart, openai_chat, openai_responses, rerank_out, source
from trivet.wire.openai_audio import transcriptions_out

SECRET = "sk-secret"
HI = Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=9))
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}

# The names in `Target.quirks` that somebody reads.
QUIRKS = {
    "max_tokens",
    "seed",
    "developer_role",
    "stream_options",
    "reasoning_content",
    "send_thinking",
    "reasoning_details",
    "reasoning",
    "tool_call_id",
    "tool_images",
    "cache",
    "json_schema",
    "json_object",
    "no",
    "base64",
    "dimensions",
    "truncate",
    "encrypted_reasoning",
    "top_n",
    "return_documents",
    "least_audio_s",
    "one_prompt",
}
NOT_OF_CHATS = {
    *("base64", "dimensions", "truncate", "encrypted_reasoning", "top_n", "return_documents", "least_audio_s"),
    "one_prompt",
}


def made(name: str, **settings: Any) -> Compatible:
    host = HOSTS[settings.get("kind", name)]
    base_url = settings.pop("base_url", None) or (None if host.base_url else "http://127.0.0.1:9/v1")
    return Compatible(ProviderSettings(base_url=base_url, **settings), name=name)


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Host:
    return HOSTS[request.param]


def test_no_two_rows_have_a_name_and_none_has_another_providers() -> None:
    assert len(hosts._ROWS) == len(HOSTS)
    assert not set(HOSTS) & {"local", "openai", "anthropic", "gemini"}


def test_a_row_is_well_formed(host: Host) -> None:
    assert host.name == host.name.lower()
    assert host.tasks
    assert set(host.quirks) <= QUIRKS
    assert (host.base_url is None) <= (host.example is not None)
    url = urlsplit(host.base_url or host.example or "")
    assert url.hostname
    assert not url.path.endswith("/")
    if host.where == "hosted":
        assert url.scheme == "https"
        assert (host.needs_key, host.port) == (True, None)
        assert host.key_variable is not None
        assert host.key_variable.endswith("_API_KEY")
    else:
        assert not host.needs_key
        assert host.port is None or (url.hostname, url.port) == ("127.0.0.1", host.port)


def test_every_quirk_that_is_read_is_said_where_quirks_are_listed() -> None:
    assert openai_chat.terms.__doc__ is not None
    assert all(f"`{quirk}`" in openai_chat.terms.__doc__ for quirk in QUIRKS - NOT_OF_CHATS)
    assert "`least_audio_s`" in (transcriptions_out.__doc__ or "")
    assert all(f"`{quirk}`" in (rerank_out.__doc__ or "") for quirk in ("top_n", "return_documents"))


def test_every_row_is_a_kind_of_provider(host: Host) -> None:
    assert registry.load(host.name) is Compatible


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
def test_the_makers_are_kinds_of_their_own(name: str) -> None:
    kind = registry.load(name)
    assert kind is not None
    assert kind.__module__ == f"trivet.providers.{name}"


def test_a_row_has_the_tasks_that_it_says(host: Host) -> None:
    about = made(host.name).model("m").about
    assert about.tasks == tuple(sorted(host.tasks))
    assert (about.name, about.where) == (f"{host.name}/m", host.where)


def test_a_row_can_write_a_request_for_each_of_its_tasks(host: Host) -> None:
    provider = made(host.name)
    asked: dict[str, Request] = {
        "chat": HI,
        "complete": Complete(prompt="Once"),
        "embed": Embed(texts=("a",)),
        "rerank": Rerank(query="q", documents=("a",)),
        "transcribe": Transcribe(audio=Audio(data=b"RIFF")),
        "speak": Speak(text="Hi", voice="alloy"),
    }
    for task in host.tasks:
        request = asked[task]
        route = provider.route(request)
        target = Target(
            model="m", provider=host.name, family=provider.family, stream=route.streams, quirks=provider.quirks
        )
        if task == "transcribe":
            form = {part.name: part.data for part in multipart.read(*route.wire.encode(request, target))}
            assert (form["model"], form["stream"], form["file"]) == (b"m", b"true", b"RIFF")
            continue
        body = json.loads(source.body(request, target, route.wire))
        assert body["model"] == "m"
        if task != "speak":  # which is sound, and comes in pieces by itself
            assert body.get("stream", False) is route.streams
        if task == "chat" and route.wire is openai_chat:
            assert body[host.quirks.get("max_tokens", "max_completion_tokens")] == 9


@pytest.mark.parametrize("name", [host.name for host in HOSTS.values() if host.base_url is None])
def test_a_host_without_a_usual_address_says_what_to_write(name: str) -> None:
    with pytest.raises(ConfigError, match=r'work has no usual address: write base_url = "http.*\[providers.work\]'):
        Compatible(ProviderSettings(kind=name), name="work")


def test_a_kind_without_a_row_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"no host 'acme'.*openai-compatible.*\[providers.acme\]"):
        Compatible(ProviderSettings(), name="acme")


def test_the_kind_goes_before_the_name() -> None:
    provider = Compatible(ProviderSettings(kind="groq"), name="work")
    assert (provider.base, provider.key_variable, provider.family) == (
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        "groq",
    )


def test_a_key_is_asked_for_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="MISTRAL_API_KEY"):
        made("mistral").all_headers()
    monkeypatch.setenv("MISTRAL_API_KEY", SECRET)
    assert made("mistral").all_headers()["authorization"] == f"Bearer {SECRET}"


def test_a_server_of_ones_own_needs_no_key_and_takes_one() -> None:
    assert "authorization" not in made("vllm").all_headers()
    assert made("vllm", api_key=SECRET).all_headers()["authorization"] == f"Bearer {SECRET}"


def test_azure_is_told_its_key_in_its_own_header_or_a_token_in_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    headers = made("azure", api_key=SECRET).all_headers()
    assert headers["api-key"] == SECRET
    assert "authorization" not in headers
    token = made("azure", headers={"Authorization": "Bearer token"})
    assert token.all_headers()["authorization"] == "Bearer token"
    assert token.model("m").about.where == "hosted"
    with pytest.raises(ConfigError, match="AZURE_OPENAI_API_KEY"):
        made("azure").all_headers()


# --- over HTTP ---------------------------------------------------------------------------------------------


async def test_a_chat_is_asked_and_answered() -> None:
    async with upstream(Reply(200, [json.dumps(ANSWER).encode()])) as up:
        provider = made("mistral", base_url=f"{up.url}/v1/", api_key=SECRET)
        response = await provider.model("small").call(HI)
        await provider.close()
    assert isinstance(response, ChatResponse)
    assert response.text == "Hello"
    (asked,) = up.asked
    assert (asked.path, asked.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {SECRET}")
    assert asked.json == {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.mark.parametrize("extra", [{"model": "other"}, {"stream": True}])
async def test_extra_does_not_say_who_answers_nor_how(extra: dict[str, Any]) -> None:
    async with upstream(Reply(200, [json.dumps(ANSWER).encode()])) as up:
        provider = made("mistral", base_url=f"{up.url}/v1/", api_key=SECRET)
        with pytest.raises(RequestError, match="which trivet says itself"):
            await provider.model("small").call(replace(HI, extra=extra))
        await provider.close()
    assert up.asked == []


async def test_vectors_are_asked_for_and_put_in_order() -> None:
    data = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]
    body = {"data": data, "model": "v", "usage": {"total_tokens": 3}}
    async with upstream(Reply(200, [json.dumps(body).encode()])) as up:
        provider = made("voyage", base_url=f"{up.url}/v1", api_key=SECRET)
        response = await provider.model("v").call(Embed(texts=("a", "b"), dimensions=2))
        await provider.close()
    assert isinstance(response, EmbedResponse)
    assert response.vectors == ((1, 0), (0, 1))
    (asked,) = up.asked
    assert asked.path == "/v1/embeddings"
    assert asked.json == {"model": "v", "input": ["a", "b"], "encoding_format": "base64", "output_dimension": 2}


async def test_a_completion_is_streamed() -> None:
    chunk = {"id": "1", "object": "text_completion", "created": 1, "model": "m"}
    pieces = sse({**chunk, "choices": [{"index": 0, "text": "upon", "finish_reason": "stop"}]}, "[DONE]")
    async with upstream(Reply(200, pieces)) as up:
        provider = made("vllm", base_url=f"{up.url}/v1")
        events = [event async for event in provider.model("m").stream(Complete(prompt="Once"))]
        await provider.close()
    assert [type(e).__name__ for e in events] == ["Start", "TextDelta", "Done"]
    assert up.asked[0].path == "/v1/completions"


async def test_a_task_that_the_host_has_not_is_refused_before_it_is_asked() -> None:
    with pytest.raises(UnsupportedError, match="groq/m has no task 'embed'"):
        await made("groq", api_key=SECRET).model("m").call(Embed(texts=("a",)))


@pytest.mark.parametrize(
    ("kind", "source_protocol", "path"),
    [
        ("azure", "openai-responses", "responses"),
        ("azure", "openai-chat", "chat/completions"),
        ("azure", None, "chat/completions"),
        ("mistral", "openai-responses", "chat/completions"),
        ("perplexity", "openai-chat", "responses"),
        ("perplexity", None, "responses"),
    ],
)
def test_a_chat_is_asked_in_the_clients_protocol_where_the_host_speaks_it(
    kind: str, source_protocol: str | None, path: str
) -> None:
    bodies = {
        "openai-chat": (openai_chat, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'),
        "openai-responses": (openai_responses, b'{"model": "m", "input": "Hi"}'),
    }
    wire, body = bodies.get(source_protocol or "", (None, b""))
    request = HI if wire is None else wire.parse(body).request
    assert made(kind).route(request).path == path


@pytest.mark.parametrize(
    ("name", "stays"), [("deepseek", True), ("vllm", True), ("openrouter", True), ("mistral", False), ("groq", False)]
)
def test_thinking_that_nobody_signed_goes_back_where_the_host_takes_it(name: str, stays: bool) -> None:
    request = Chat(messages=(user("Hi"), assistant(Thinking(text="Hm"), "Hello"), user("Again")))
    kept, notes = made(name).thoughts(request)
    assert (kept == request, notes == ()) == (stays, stays)


def test_openrouter_takes_the_signatures_of_every_maker() -> None:
    signed = Thinking(text="Hm", signature="s", provider="anthropic")
    request = Chat(messages=(user("Hi"), assistant(signed, "Hello"), user("Again")))
    assert made("openrouter").thoughts(request) == (request, ())
    assert made("vllm").thoughts(request)[1]


def test_azures_chat_completions_get_no_signatures_and_its_responses_openais_own() -> None:
    signed = Thinking(text="Hm", signature="s", provider="openai")
    request = Chat(messages=(user("Hi"), assistant(signed, "Hello"), user("Again")))
    kept, (note,) = made("azure").thoughts(request)
    assert kept.messages[1].content == assistant("Hello").content
    assert "azure's chat completions" in note
    own = replace(request, source=Source(protocol="openai-responses", body=b"{}"))
    assert made("azure").thoughts(own) == (own, ())


# --- lists -------------------------------------------------------------------------------------------------


async def refreshed(name: str, reply: Reply) -> tuple[str, ...]:
    async with upstream(reply) as up:
        provider = made(name, base_url=f"{up.url}/v1", api_key=SECRET)
        try:
            return await provider.refresh()
        finally:
            await provider.close()


@pytest.mark.parametrize(
    ("name", "body"), [("vllm", {"object": "list", "data": [{"id": "a"}]}), ("together", [{"id": "a"}])]
)
async def test_what_a_host_lists_is_read(name: str, body: Any) -> None:
    assert await refreshed(name, Reply(200, [json.dumps(body).encode()])) == ("a",)


async def test_a_host_without_a_list_is_asked_whether_it_answers() -> None:
    assert await refreshed("voyage", Reply(404, [b"{}"])) == ()
    assert await refreshed("azure", Reply(200, [b'{"data": [{"id": "all-there-is"}]}'])) == ()
    with pytest.raises(ProviderError) as caught:
        await refreshed("voyage", Reply(401, [b"{}"]))
    assert caught.value.provider_status == 401
