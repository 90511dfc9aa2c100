"""Hosted models by name: `provider/name` with a table and without, accounts, and well-known names by their makers.

The hosts are the real rows; nothing is asked of them. Names and their makers are those of the installed genai-prices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.local_stub import WHERE
from tests.test_imports import loaded_by
from trivet import registry
from trivet.config import Config, ModelSettings, ProviderSettings, Secret, load
from trivet.errors import ConfigError, RequestError, UnknownModelError
from trivet.providers.hosted import Hosted
from trivet.runtime import MOST, Runtime
from trivet.types import Chat, user


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)


def accounts(**tables: ProviderSettings) -> Runtime:
    return Runtime(Config(providers=tables))


def provider(runtime: Runtime, name: str) -> Hosted:
    found = runtime.provider(name)
    assert isinstance(found, Hosted)
    return found


def name_of(runtime: Runtime, name: str) -> str:
    """The whole name of the model that the name is found to mean."""
    return runtime.model(name).about.name


# --- provider/name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "anthropic/claude-opus-4-7",
        "openai/gpt-5.5",
        "gemini/gemini-2.5-pro",
        "mistral/mistral-large-latest",
        "groq/openai/gpt-oss-120b",
        "ollama/llama3.2:1b",
    ],
)
async def test_a_kind_that_is_known_needs_no_table(name: str) -> None:
    assert name_of(Runtime(), name) == name


async def test_without_a_key_the_error_comes_when_it_is_asked_and_says_where_it_goes() -> None:
    request = Chat(messages=(user("Hi"),), model="anthropic/claude-opus-4-7")
    with pytest.raises(ConfigError, match=r"ANTHROPIC_API_KEY.*api_key under \[providers.anthropic\]"):
        await Runtime().call(request)


async def test_a_key_of_two_lines_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret\n")
    request = Chat(messages=(user("Hi"),), model="anthropic/claude-opus-4-7")
    with pytest.raises(ConfigError, match=r"ANTHROPIC_API_KEY has a line break") as caught:
        await Runtime().call(request)
    assert "secret" not in str(caught.value)


async def test_a_provider_takes_its_key_address_headers_and_times_from_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORK_KEY", "k-work")
    monkeypatch.setenv("WORK_TEAM", "t-1")
    path = tmp_path / "trivet.toml"
    path.write_text(
        '[providers.work]\nkind = "openai"\nbase_url = "https://llm.example.org/v1/"\napi_key = "env:WORK_KEY"\n'
        "connect_s = 1.5\nbetween_bytes_s = 20\n"
        '[providers.work.headers]\nx-team = "env:WORK_TEAM"\nx-plain = "as it is"\n'
    )
    work = provider(Runtime.load(path), "work")
    assert work.base == "https://llm.example.org/v1"
    sent = work.all_headers()
    assert (sent["authorization"], sent["x-team"], sent["x-plain"]) == ("Bearer k-work", "t-1", "as it is")
    assert [type(value) for value in sent.values()] == [str] * len(sent)
    assert (work.http.timeouts.connect_s, work.http.timeouts.between_bytes_s) == (1.5, 20)
    assert work.http.timeouts.first_byte_s == type(work.http.timeouts)().first_byte_s


async def test_a_secret_header_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK_TEAM", "sesame")
    path = tmp_path / "trivet.toml"
    path.write_text('[providers.work]\nkind = "openai"\nheaders = { x-team = "env:WORK_TEAM" }\n')
    assert "sesame" not in repr(load(path))


async def test_accounts_of_one_kind_stand_side_by_side() -> None:
    runtime = accounts(
        work=ProviderSettings(kind="anthropic", api_key=Secret("k-work")),
        home=ProviderSettings(kind="anthropic", api_key=Secret("k-home")),
    )
    assert provider(runtime, "work").key == "k-work"
    assert provider(runtime, "home").key == "k-home"
    assert name_of(runtime, "work/claude-opus-4-7") == "work/claude-opus-4-7"
    assert runtime.model("work/claude-opus-4-7") is not runtime.model("home/claude-opus-4-7")


async def test_a_table_of_the_kinds_own_name_needs_no_kind() -> None:
    assert provider(accounts(mistral=ProviderSettings(api_key=Secret("k"))), "mistral").key == "k"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("antropic", "kind: there is no kind of provider 'antropic'. Did you mean 'anthropic'?"),
        ("zzz", "kind: there is no kind of provider 'zzz'. There are: "),
        (None, "has no kind, and is not called like one. There are: "),
    ],
)
async def test_a_kind_that_is_unknown_is_told_the_nearest(kind: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        accounts(work=ProviderSettings(kind=kind)).model("work/x")
    assert str(caught.value).startswith(f"configuration: [providers.work] {said}")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("antropic/claude-opus-4-7", "anthropic/claude-opus-4-7"),
        ("gemni/gemini-1.5-flash", "gemini/gemini-1.5-flash"),  # the data's patterns would find this one anywhere
    ],
)
async def test_a_provider_that_is_misspelt_is_told_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        Runtime().model(name)
    assert caught.value.nearest == meant


@pytest.mark.parametrize("name", ["openai", "openai/", "work", "work/"])
async def test_a_provider_alone_is_no_model_and_the_error_says_how_to_ask_it(name: str) -> None:
    runtime = accounts(work=ProviderSettings(kind="anthropic"))
    with pytest.raises(UnknownModelError, match=f"is a provider: ask for {name.rstrip('/')}/MODEL"):
        runtime.model(name)


async def test_a_table_of_models_may_stand_on_a_hosted_model() -> None:
    runtime = Runtime(Config(models={"smart": ModelSettings(base="claude-opus-4-7", system="Be brief.")}))
    assert name_of(runtime, "smart") == "anthropic/claude-opus-4-7"
    assert runtime.problems() == {}


async def test_names_that_clients_make_up_do_not_pile_up() -> None:
    runtime = Runtime()
    for number in range(MOST + 10):
        runtime.model(f"openai/{number}", paths=False)
    assert len(runtime.built) == MOST


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kind = ""', "kind is empty"),
        ('base_url = "api.example.org"', "must begin with http:// or https://"),
        ('base_url = "https://"', "must begin with http:// or https:// and name a host"),
        ('base_url = "https://me:secret@example.org"', "a password in it"),
        ('base_url = "https://example.org/v1?key=secret"', "base_url goes on after its path"),
        ('api_key = ""', "api_key is empty"),
        ("connect_s = 0", "connect_s is 0"),
        ('headers = { "a b" = "c" }', "'a b', which is no header's name"),
        ('headers = { a = "b\\nc" }', "such as a line break"),
        ('headers = { a = "env:TRIVET_NO_SUCH" }', "headers.a: the environment variable TRIVET_NO_SUCH is not set"),
        ('api_key = "  "', "api_key is empty"),
        ('api_key = "env:BLANK"', "api_key: the environment variable BLANK is empty"),
        ('api_key = "env:TWO_LINES"', "the environment variable TWO_LINES has a line break"),
    ],
)
def test_a_wrong_value_in_a_providers_table_is_told(
    table: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWO_LINES", "secret\n")
    monkeypatch.setenv("BLANK", " ")
    path = tmp_path / "trivet.toml"
    path.write_text(f"[providers.work]\n{table}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "[providers.work]" in str(caught.value)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_providers_name_has_no_slash(tmp_path: Path) -> None:
    path = tmp_path / "trivet.toml"
    path.write_text('[providers."a/b"]\nkind = "openai"\n')
    with pytest.raises(ConfigError, match="no slash"):
        load(path)


# --- well-known names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("claude-opus-4-7", "anthropic"),
        ("claude-sonnet-4-5-20250929", "anthropic"),
        ("gpt-5.5", "openai"),
        ("gpt-4o", "openai"),
        ("o3", "openai"),
        ("text-embedding-3-large", "openai"),
        ("gemini-2.5-pro", "gemini"),
        ("gemini-embedding-001", "gemini"),
        ("mistral-large-latest", "mistral"),
        ("deepseek-chat", "deepseek"),
        ("grok-4", "xai"),
        ("command-r-plus", "cohere"),
        ("voyage-3-large", "voyage"),
        ("sonar", "perplexity"),
        ("llama-3.3-70b-versatile", "groq"),
    ],
)
async def test_a_well_known_name_is_its_makers_with_a_key_or_without(name: str, maker: str) -> None:
    assert name_of(Runtime(), name) == f"{maker}/{name}"


async def test_a_well_known_name_is_the_same_model_as_with_its_provider() -> None:
    runtime = Runtime()
    assert runtime.inner("gpt-5.5") is runtime.inner("openai/gpt-5.5")


async def test_the_maker_goes_before_others_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "CEREBRAS_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "k")
    assert name_of(Runtime(), "gpt-oss-120b") == "openai/gpt-oss-120b"
    assert name_of(Runtime(), "claude-opus-4-7") == "anthropic/claude-opus-4-7"


async def test_another_that_has_it_and_a_key_goes_before_a_maker_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", "k")
    assert name_of(Runtime(), "gpt-oss-120b") == "cerebras/gpt-oss-120b"


async def test_a_host_whose_entry_falls_back_on_the_makers_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data has Claude at googleapis.com, which is Vertex, and not where Gemini's API is."""
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    assert name_of(Runtime(), "claude-opus-4-7") == "anthropic/claude-opus-4-7"


async def test_an_account_of_the_makers_kind_counts_as_the_maker() -> None:
    runtime = accounts(work=ProviderSettings(kind="anthropic", api_key=Secret("k")))
    assert name_of(runtime, "claude-opus-4-7") == "work/claude-opus-4-7"


async def test_several_accounts_are_an_ambiguity_that_names_them() -> None:
    work = ProviderSettings(kind="anthropic", api_key=Secret("k"))
    with pytest.raises(RequestError) as caught:
        accounts(work=work, home=work).model("claude-opus-4-7")
    assert (caught.value.status, caught.value.field) == (400, "model")
    assert "work/claude-opus-4-7, home/claude-opus-4-7" in str(caught.value)
    assert '[models."claude-opus-4-7"]' in str(caught.value)


async def test_an_ambiguity_under_a_table_names_the_table() -> None:
    work = ProviderSettings(kind="anthropic", api_key=Secret("k"))
    runtime = Runtime(
        Config(providers={"a": work, "b": work}, models={"smart": ModelSettings(use=("claude-opus-4-7",))})
    )
    with pytest.raises(ConfigError, match=r"\[models.smart\] use: .*a/claude-opus-4-7, b/claude-opus-4-7"):
        runtime.model("smart")


async def test_a_configured_provider_that_lists_a_name_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = accounts(gpu=ProviderSettings(kind="vllm", base_url="http://gpu.example.org:8000/v1"))
    provider(runtime, "gpu")._listed = ("Qwen/Qwen3-8B", "house-model")
    assert name_of(runtime, "house-model") == "gpu/house-model"
    assert name_of(runtime, "Qwen/Qwen3-8B") == "gpu/Qwen/Qwen3-8B"


async def test_a_tag_of_ollamas_is_never_sent_to_the_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "k")
    runtime = Runtime()
    with pytest.raises(UnknownModelError):
        runtime.model("deepseek-r1:7b")
    runtime.found(["ollama"])
    provider(runtime, "ollama")._listed = ("deepseek-r1:7b",)
    assert name_of(runtime, "deepseek-r1:7b") == "ollama/deepseek-r1:7b"


async def test_a_name_that_nobody_lists_is_unknown_even_where_it_looks_like_a_makers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a typo asks would otherwise be sent to whoever makes names of that form."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    runtime = Runtime(Config(models={"claude-house": ModelSettings(use=("local/smollm2",))}))
    with pytest.raises(UnknownModelError) as caught:
        runtime.model("claude-huose")
    assert caught.value.nearest == "claude-house"


async def test_a_well_known_name_that_is_misspelt_is_told_the_nearest() -> None:
    with pytest.raises(UnknownModelError) as caught:
        Runtime().model("claude-opus-47")
    assert caught.value.nearest == "claude-opus-4-7"


@pytest.mark.parametrize("name", ["local/smollm2", "anthropic/claude-opus-4-7", "smart"])
def test_the_data_is_not_loaded_for_names_that_need_none_of_it(name: str) -> None:
    code = f"""
from trivet import registry
registry.PROVIDERS["local"] = {WHERE!r}
from trivet.config import Config, ModelSettings
from trivet.runtime import Runtime
runtime = Runtime(Config(models={{"smart": ModelSettings(use=("openai/gpt-5.5",))}}))
runtime.model({name!r}), runtime.names()
"""
    assert not {"genai_prices", "pydantic"} & loaded_by(code)


def test_names_lists_what_is_configured_and_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = accounts(work=ProviderSettings(kind="openai"))
    runtime.found(["ollama"])
    provider(runtime, "work")._listed = ("gpt-5.5",)
    provider(runtime, "ollama")._listed = ("llama3.2:1b",)
    provider(runtime, "groq")._listed = ("unasked",)
    assert runtime.names()[:3] == ("local/smollm2", "work/gpt-5.5", "ollama/llama3.2:1b")
    assert "groq/unasked" not in runtime.names()


async def test_a_makers_name_is_found_behind_a_proxy_of_ones_own_too() -> None:
    work = ProviderSettings(kind="anthropic", api_key=Secret("k"), base_url="http://proxy.internal/v1")
    assert name_of(accounts(work=work), "claude-opus-4-7") == "work/claude-opus-4-7"
