"""`auto/SITUATION`: what is known of models, which of those that are available suit what, and the route over them.

No host is asked. Names and prices where none are given are those of the installed genai-prices.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from tests.listing_host import listing_host
from tests.local_stub import WHERE
from tests.test_discovery import SERVERS, closed_port, move
from tests.test_imports import loaded_by
from trivet import registry, situations
from trivet.adapt.attempts import beneath
from trivet.adapt.effort import DefaultEffort
from trivet.catalog import names as well_known
from trivet.catalog.known import Known, about, known, plain
from trivet.catalog.needs import NONE, Needs, parse
from trivet.catalog.situations import EMBEDDED, OWN, Candidate, _match, _tables, ranked
from trivet.config import Config, ModelSettings, ProviderSettings
from trivet.errors import AuthError, RequestError, UnknownModelError
from trivet.fake import Fake
from trivet.model import About, Model, Provider
from trivet.providers.hosted import Hosted
from trivet.runtime import Runtime
from trivet.types import Chat, Embed, Image, Reasoning, Text, user

ANTHROPIC, OPENAI = "https://api.anthropic.com/v1", "https://api.openai.com/v1"
TASKS = ("chat", "complete", "count_tokens")
QUESTION = Chat(messages=(user("Hi"),))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    nothing = closed_port()
    for name in SERVERS:
        move(monkeypatch, name, f"http://127.0.0.1:{nothing}/v1")
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in Runtime().hosted().values():
        if variable := getattr(provider, "key_variable", None):
            monkeypatch.setenv(variable, "made-up")


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """One that is closed after the requests made of it."""
    async with Runtime() as made:
        yield made


def chosen(runtime: Runtime, name: str, needs: str = "") -> list[str]:
    words = needs.split(",") if needs else []
    return [c.candidate.name for c in situations.choices(runtime, situations.situation(name), parse(words))]


def lists(runtime: Runtime, **models: tuple[str, ...]) -> Runtime:
    """As if these hosts had been asked, and listed these models."""
    for name, listed in models.items():
        provider = runtime.provider(name)
        assert isinstance(provider, Hosted)
        provider._listed = listed
    return runtime


# --- what is known ---------------------------------------------------------------------------------------------


def test_context_and_price_are_those_of_genai_prices() -> None:
    found = known("claude-opus-4-5", ANTHROPIC)  # $5 and $25 a million tokens
    assert (found.context_tokens, found.usd_3to1) == (200_000, (3 * 5 + 25) / 4)


def test_an_embedders_price_is_that_of_its_input() -> None:
    assert known("text-embedding-3-small", OPENAI).usd_3to1 == 0.02


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:8000/v1"])
def test_on_a_server_of_ones_own_neither_price_nor_context_is_known(url: str) -> None:
    found = known("claude-opus-4-5", url)
    assert (found.context_tokens, found.usd_3to1) == (None, None)


def test_what_nobody_has_told_is_none() -> None:
    assert known("my-own", ANTHROPIC) == Known()


@pytest.mark.parametrize(
    ("name", "total_b", "active_b"),
    [
        ("llama3.2:1b", 1, None),
        ("Qwen/Qwen3-235B-A22B", 235, 22),
        ("qwen/qwen3.8-2.4t-a95b", 2400, 95),
        ("meta-llama/llama-4-maverick-17b-128e-instruct", 400, 17),  # of which 17 is not the total
        ("mixtral-8x7b-32768", 46.7, 12.9),
        ("acme-8x3b", None, None),
        ("openai/gpt-oss-20b", 21, 3.6),
        ("gpt-5.5", None, None),
    ],
)
def test_sizes_are_read_from_names_and_the_table(name: str, total_b: float | None, active_b: float | None) -> None:
    found = known(name)
    assert (found.total_b, found.active_b) == (total_b, active_b)


@pytest.mark.parametrize(
    ("name", "image", "audio", "tools", "reasoning"),
    [
        ("claude-opus-5-5", True, False, True, True),
        ("anthropic/claude-3-haiku", True, False, True, False),
        ("gemini-3.8-flash", True, True, True, True),
        ("gpt-3.5-turbo", False, False, None, False),
        ("o3-mini", False, False, True, True),
        ("llama-3.3-70b-versatile", False, False, None, False),
        ("deepseek-r1-distill-llama-70b", False, False, None, True),
        ("qwen3:8b", None, None, True, True),
    ],
)
def test_abilities_are_those_of_the_table_and_unknown_is_none(
    name: str, image: bool | None, audio: bool | None, tools: bool | None, reasoning: bool | None
) -> None:
    found = known(name)
    assert (found.image, found.audio, found.tools, found.reasoning) == (image, audio, tools, reasoning)


def test_what_a_model_tells_of_itself_is_put_right_by_what_is_known() -> None:
    told = About(name="x", tasks=("chat", "embed"), inputs=("text", "image", "audio", "document"))
    found = about(told, Known(image=False, document=True, tools=False, embeds=False, context_tokens=10))
    assert found == About(
        name="x", tasks=("chat",), inputs=("text", "audio", "document"), context_tokens=10, tools=False
    )
    assert about(told, Known()) == told


def test_an_embedder_only_embeds() -> None:
    told = About(name="x", tasks=("chat", "embed"))
    assert about(told, known("text-embedding-3-large")).tasks == ("embed",)


def test_names_are_compared_without_makers_hosts_and_punctuation() -> None:
    assert plain("accounts/fireworks/models/deepseek-v3p2") == "deepseek-v3.2"
    assert plain("Qwen3:8B") == "qwen3-8b"


def test_a_host_without_a_list_has_what_the_data_says_it_takes() -> None:
    google = well_known.listed("https://generativelanguage.googleapis.com/v1beta")
    assert "gemini-2.5-flash" in google
    assert not [name for name in google if name.startswith("claude")]  # which Vertex has, at another address of theirs
    assert well_known.listed("https://api.fireworks.ai/inference/v1") == ()  # it has other names for them


# --- needs -----------------------------------------------------------------------------------------------------


def test_needs_are_abilities_and_room() -> None:
    assert parse(["vision", " Tools", "200k", "1m"]) == Needs(abilities=("image", "tools"), context_tokens=1_000_000)


@pytest.mark.parametrize(("word", "said"), [("visoin", "Did you mean 'vision'?"), ("zzz", "There are vision, ")])
def test_an_unknown_need_is_told_the_nearest(word: str, said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        parse([word])


def test_what_is_not_known_does_not_meet_a_need() -> None:
    assert parse(["vision"]).unmet(Known())
    assert parse(["100k"]).unmet(Known())
    assert not parse(["vision", "100k"]).unmet(Known(image=True, context_tokens=100_000))


# --- the table -------------------------------------------------------------------------------------------------


def test_every_family_is_used_and_every_one_that_is_used_is_there() -> None:
    used = {family for s in situations.names() for tier in situations.situation(s).tiers for family in tier.families}
    assert used - {OWN, EMBEDDED} == set(_tables()["families"])


@pytest.mark.parametrize("family", sorted(_tables()["families"]))
def test_every_family_has_a_model_somewhere(family: str) -> None:
    """What matches nothing that any host has is misspelt."""
    from genai_prices.data import providers

    assert any(_match(family, model.id) for provider in providers for model in provider.models)


@pytest.mark.parametrize(
    ("family", "newest_first"),
    [
        (
            "claude-opus",
            ["claude-opus-5-5", "anthropic/claude-opus-5", "claude-opus-4-5-20251101", "claude-3-opus-latest"],
        ),
        ("claude-opus", ["claude-opus-4-5", "claude-opus-4-20250514"]),
        ("gpt", ["gpt-6.1-sol", "gpt-6-sol", "gpt-5.5-2026-04-23", "gpt-5", "gpt-4-0613"]),
        ("grok", ["grok-4.7", "grok-4.20", "grok-4-0709"]),  # 4.20 was before 4.3
        ("gemini", ["gemini-4-argon", "gemini-3.1-pro-preview", "gemini-2.5-pro-preview-03-25"]),
        ("llama", ["llama-4-maverick", "llama-3.3-70b-versatile", "meta-llama/Meta-Llama-3-70B-Instruct-Turbo"]),
        ("mistral-large", ["mistral-large-4", "mistral-large-2512", "mistral-large-latest"]),
    ],
)
def test_versions_are_read_from_names(family: str, newest_first: list[str]) -> None:
    found = [_match(family, name) for name in newest_first]
    versions = [each[0] for each in found if each is not None]
    assert len(versions) == len(newest_first)
    assert versions == sorted(set(versions), reverse=True)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("claude-opus", "anthropic/claude-opus-5.5:batch"),
        ("claude-opus", "claude-opus-5-5-fast"),
        ("gpt", "gpt-5.4-mini"),
        ("gpt", "gpt-5.5-pro"),
        ("gemini-flash", "gemini-3.8-flash-tts"),
        ("llama", "llama-guard-3-8b"),
        ("qwen", "qwen3-coder-30b-a3b-instruct"),
    ],
)
def test_other_lines_are_other_families(family: str, name: str) -> None:
    assert _match(family, name) is None


def candidate(name: str, **what: object) -> Candidate:
    model = name.partition("/")[2]
    settings = {"tasks": TASKS, "where": "hosted", "known": known(model), **what}
    return Candidate(name=name, model=model, **settings)  # type: ignore[arg-type]


def order(name: str, *candidates: Candidate, needs: Needs = NONE) -> list[str]:
    return [c.candidate.name for c in ranked(situations.situation(name), candidates, needs)]


def test_the_newest_of_each_family_goes_before_the_one_before_it() -> None:
    names = [
        "a/claude-opus-4-8",
        "a/claude-opus-5",
        "o/gpt-5.5",
        "a/claude-opus-5-5",
        "a/claude-sonnet-5",
        "o/gpt-6-sol",
    ]
    found = ["a/claude-opus-5-5", "o/gpt-6-sol", "a/claude-opus-5", "o/gpt-5.5", "a/claude-sonnet-5"]
    assert order("quality", *map(candidate, names)) == found


def test_of_one_model_at_several_hosts_ones_own_server_goes_first_then_the_maker_then_the_cheaper() -> None:
    names = order(
        "open",
        candidate("dear/mistral-large-4", known=Known(usd_3to1=3)),
        candidate("cheap/mistral-large-4", known=Known(usd_3to1=1)),
        candidate("unknown/mistral-large-4"),
        candidate("mistral/mistral-large-4", maker=True, known=Known(usd_3to1=2)),
        candidate("vllm/mistral-large-4", where="self-served"),
    )
    assert [name.partition("/")[0] for name in names] == ["vllm", "mistral", "cheap", "dear", "unknown"]


def test_of_one_version_at_one_host_the_larger_goes_and_the_name_without_a_date() -> None:
    assert order("open", candidate("g/qwen3-8b"), candidate("g/qwen3-32b")) == ["g/qwen3-32b"]
    assert order("quality", candidate("o/gpt-5.5-2026-04-23"), candidate("o/gpt-5.5")) == ["o/gpt-5.5"]


def test_cheap_is_by_price_and_an_unknown_price_comes_last() -> None:
    names = order(
        "cheap",
        candidate("a/claude-haiku-5-5", known=Known(usd_3to1=0.3)),
        candidate("m/mistral-small-2603"),
        candidate("o/gpt-6-luna", known=Known(usd_3to1=0.2)),
    )
    assert names == ["o/gpt-6-luna", "a/claude-haiku-5-5", "m/mistral-small-2603"]


def test_what_stands_in_for_something_better_says_so() -> None:
    (choice,) = ranked(situations.situation("quality"), [candidate("g/llama-3.3-70b-versatile")])
    assert choice.reason == "no flagship is available; open or small model: the newest Llama"


def test_what_no_chat_comes_from_is_never_chosen_for_one() -> None:
    own = [candidate(f"ollama/{name}", where="self-served") for name in ("nomic-embed-text", "llama-guard3:8b", "x:7b")]
    assert order("quality", *own) == ["ollama/x:7b"]


def test_needs_leave_out_what_is_not_known_to_meet_them() -> None:
    models = candidate("a/claude-opus-5-5"), candidate("d/deepseek-v4-pro")
    assert order("quality", *models, needs=parse(["vision"])) == ["a/claude-opus-5-5"]


# --- what is available -----------------------------------------------------------------------------------------


def test_every_situation_is_a_name_whatever_is_available() -> None:
    every = ("quality", "cheap", "open", "code", "vision", "embedding", "device", "reasoning", "private")
    assert Runtime().names() == ("local/smollm2", *(f"auto/{name}" for name in every))


@pytest.mark.parametrize("name", ["quality", "cheap", "open", "code", "device", "reasoning", "private"])
def test_without_keys_and_servers_the_embedded_model_answers(name: str) -> None:
    runtime = Runtime()
    assert chosen(runtime, name) == ["local/smollm2"]
    assert [m.about.name for m in beneath(runtime.model(f"auto/{name}")) if isinstance(m, Fake)] == ["local/smollm2"]


def test_the_last_resort_says_that_it_is_one() -> None:
    (choice,) = situations.choices(Runtime(), situations.situation("quality"))
    assert choice.reason.startswith("the last resort, since no flagship")


@pytest.mark.parametrize(("name", "variable"), [("vision", "ANTHROPIC_API_KEY"), ("embedding", "OPENAI_API_KEY")])
async def test_where_nothing_can_answer_the_error_says_what_would(runtime: Runtime, name: str, variable: str) -> None:
    auto = runtime.inner(f"auto/{name}")
    assert auto.about.name == f"auto/{name}"
    with pytest.raises(UnknownModelError, match=f"auto/{name}: no model for it is available.*{variable}.*Ollama"):
        await auto.call(QUESTION)


async def test_in_a_chain_a_situation_that_nothing_is_available_for_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"chain": ModelSettings(use=("auto/vision", "local/smollm2"))}
    async with Runtime(Config(models=tables)) as runtime:
        response = await runtime.model("chain").call(QUESTION)
    assert [(a.model, a.outcome) for a in response.route] == [("auto/vision", "skipped"), ("local/smollm2", "answered")]


def test_an_unknown_situation_is_told_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="Did you mean 'auto/quality'") as caught:
        Runtime().model("auto/qualty")
    assert caught.value.nearest == "auto/quality"


@pytest.mark.usefixtures("every_key")
@pytest.mark.parametrize("name", [name.removeprefix("auto/") for name in situations.names()])
def test_with_every_key_each_has_a_choice_of_which_it_can_be_said_why(name: str) -> None:
    choices = situations.choices(Runtime(), situations.situation(name))
    assert choices
    assert all(choice.reason for choice in choices)
    assert len({choice.candidate.name for choice in choices}) == len(choices)


def test_a_key_makes_its_hosts_models_available_by_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    first, second, *_ = chosen(Runtime(), "quality")
    assert (first[:22], second[:22]) == ("anthropic/claude-opus-",) * 2
    assert chosen(Runtime(), "cheap")[0].startswith("anthropic/claude-haiku-")


def test_what_a_host_lists_goes_before_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    runtime = lists(Runtime(), anthropic=("claude-opus-4-5-20251101",))
    assert chosen(runtime, "quality") == ["anthropic/claude-opus-4-5-20251101"]


def test_an_embedding_has_no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of two models do not compare."""
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    monkeypatch.setenv("GEMINI_API_KEY", "made-up")
    assert len(chosen(Runtime(), "embedding")) > 1
    assert Runtime().model("auto/embedding").about.name == "auto/embedding"
    assert len(routes(Runtime(), "embedding")) == 1


def routes(runtime: Runtime, name: str) -> list[str]:
    """The targets of the route, in their order."""
    auto = runtime.inner(f"auto/{name}")
    assert isinstance(auto, situations.Auto)
    return [target.name for target in auto.route().targets]  # type: ignore[attr-defined]


def test_at_most_four_stand_in_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.setenv(variable, "made-up")
    runtime = Runtime()
    assert routes(runtime, "quality") == chosen(runtime, "quality")[:4]


# --- device and private: this machine ----------------------------------------------------------------------------


def test_device_takes_small_ones_of_ones_own_server_here_and_the_embedded_ones() -> None:
    runtime = lists(Runtime(), ollama=("llama3.2:1b", "llama3.3:70b", "qwen3:4b", "who-knows"))
    assert chosen(runtime, "device") == ["ollama/qwen3:4b", "ollama/llama3.2:1b", "local/smollm2"]


def test_private_takes_the_largest_of_ones_own_server_here_and_the_embedded_ones() -> None:
    runtime = lists(Runtime(), ollama=("llama3.2:1b", "llama3.3:70b"))
    assert chosen(runtime, "private") == ["ollama/llama3.3:70b", "ollama/llama3.2:1b", "local/smollm2"]


@pytest.mark.usefixtures("every_key")
def test_no_key_makes_private_or_device_leave_the_machine() -> None:
    assert chosen(Runtime(), "private") == chosen(Runtime(), "device") == ["local/smollm2"]


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "kimi-k2-thinking:cloud"])
def test_private_leaves_out_ollamas_cloud_models(model: str) -> None:
    assert chosen(lists(Runtime(), ollama=(model,)), "private") == ["local/smollm2"]


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("ollama", "http://10.0.0.5:11434/v1"),  # another machine
        ("openai-compatible", "http://127.0.0.1:4000/v1"),  # may be a gateway to anywhere
        ("openai", "http://127.0.0.1:4000/v1"),
    ],
)
def test_private_leaves_out_servers_that_are_elsewhere_or_may_ask_elsewhere(kind: str, url: str) -> None:
    settings = ProviderSettings(kind=kind, base_url=url, api_key="made-up")
    runtime = lists(Runtime(Config(providers={"box": settings})), box=("qwen3:8b",))
    assert chosen(runtime, "private") == ["local/smollm2"]
    assert "box/qwen3:8b" in chosen(runtime, "open")


def test_private_leaves_out_a_server_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    runtime = lists(Runtime(), ollama=("qwen3:8b",))
    assert chosen(runtime, "private") == ["local/smollm2"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert chosen(runtime, "private") == ["ollama/qwen3:8b", "local/smollm2"]


def test_private_is_not_led_away_by_a_table_of_the_same_name() -> None:
    tables = {"local/smollm2": ModelSettings(use=("openai/gpt-5.5",))}
    models = list(beneath(Runtime(Config(models=tables)).model("auto/private")))
    assert [m.about.where for m in models if isinstance(m, Fake)] == ["test"]
    assert not [m for m in models if m.about.where == "hosted"]


# --- the route ---------------------------------------------------------------------------------------------------


class Scripted(Provider):
    """A host whose models answer what they are told to."""

    listed: ClassVar[tuple[str, ...]] = ("claude-opus-4-7", "claude-opus-4-5", "deepseek-v4-pro")
    replies: ClassVar[dict[str, object]] = {}
    made: ClassVar[dict[str, Fake]] = {}

    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        self.name = name

    def names(self) -> tuple[str, ...]:
        return self.listed

    def model(self, name: str) -> Model:
        inputs = ("text", "image", "audio", "document")
        told = About(name=f"{self.name}/{name}", tasks=TASKS, inputs=inputs)
        return self.made.setdefault(name, Fake(self.replies.get(name, name), about=told))  # type: ignore[arg-type]

    async def close(self) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    monkeypatch.setitem(registry.PROVIDERS, "anthropic", "tests.test_situations:Scripted")
    from tests.test_situations import Scripted as imported  # pytest may have this file under another name

    monkeypatch.setattr(imported, "replies", {})
    monkeypatch.setattr(imported, "made", {})
    return imported


async def test_the_newest_answers_and_its_name_is_told(runtime: Runtime, scripted: type[Scripted]) -> None:
    response = await runtime.model("auto/quality").call(QUESTION)
    assert [(a.model, a.outcome) for a in response.route] == [("anthropic/claude-opus-4-7", "answered")]


async def test_servers_on_this_machine_are_asked_at_the_first_request(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is as `trivet choose` says, in a process that has asked nobody."""
    served = Fake(about=About(name="ollama/qwen3:8b", tasks=TASKS))
    monkeypatch.setattr(Hosted, "model", lambda provider, name: served)
    with listing_host("qwen3:8b") as host:
        move(monkeypatch, "ollama", host.base)
        auto = runtime.inner("auto/private")
        assert host.asked == []
        for _ in range(2):
            assert (await auto.call(QUESTION)).route[-1].model == "ollama/qwen3:8b"
    assert host.asked == [("/v1/models", None)]


def test_another_trivet_is_no_server_of_models() -> None:
    """It may have hosts behind it, and us."""
    runtime = lists(Runtime(), **{"llama-server": ("local/smollm2", "auto/quality", "qwen3:8b")})
    assert chosen(runtime, "private") == ["local/smollm2"]


async def test_where_one_fails_the_next_answers(runtime: Runtime, scripted: type[Scripted]) -> None:
    scripted.replies["claude-opus-4-7"] = AuthError("no such key")
    response = await runtime.model("auto/quality").call(QUESTION)
    assert [(a.model, a.outcome) for a in response.route] == [
        ("anthropic/claude-opus-4-7", "failed"),
        ("anthropic/claude-opus-4-5", "answered"),
    ]


async def test_a_model_that_is_known_to_lack_vision_is_skipped_for_an_image(
    runtime: Runtime, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted, "listed", ("deepseek-v4-pro", "mistral-large-4"))
    image = Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png")
    request = Chat(messages=(user(Text(text="What is this?"), image),))
    response = await runtime.model("auto/quality").call(request)
    assert [(a.model, a.outcome, a.reason) for a in response.route] == [
        ("anthropic/deepseek-v4-pro", "skipped", "takes no image input"),
        ("anthropic/mistral-large-4", "answered", None),
    ]


def test_a_route_of_ones_own_knows_what_its_models_take_and_cost() -> None:
    use = ("openai/gpt-3.5-turbo", "anthropic/claude-opus-4-5")
    route = Runtime(Config(models={"two": ModelSettings(use=use)})).inner("two")
    first, second = route.targets  # type: ignore[attr-defined]
    assert (first.about.inputs, first.about.context_tokens, first.price_usd) == (("text",), 16_385, 0.75)
    assert (second.about.inputs, second.about.context_tokens, second.price_usd) == (
        ("text", "image", "document"),
        200_000,
        10,
    )


async def test_reasoning_asks_for_its_effort_where_the_request_does_not_say(
    runtime: Runtime, scripted: type[Scripted]
) -> None:
    auto = runtime.inner("auto/reasoning")
    await auto.call(QUESTION)
    await auto.call(Chat(messages=(user("Hi"),), reasoning=Reasoning(effort="low")))
    asked = scripted.made["claude-opus-4-7"].requests
    assert [request.reasoning for request in asked] == [Reasoning(effort="high"), Reasoning(effort="low")]  # type: ignore[attr-defined]


async def test_only_models_of_the_first_tier_are_asked_for_an_effort(
    runtime: Runtime, scripted: type[Scripted]
) -> None:
    scripted.replies |= {name: AuthError("no") for name in ("claude-opus-4-7", "claude-opus-4-5")}
    await runtime.model("auto/reasoning").call(QUESTION)
    assert [request.reasoning for request in scripted.made["deepseek-v4-pro"].requests] == [None]  # type: ignore[attr-defined]


async def test_a_list_that_changes_changes_the_choice(
    runtime: Runtime, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = runtime.inner("auto/quality")
    await auto.call(QUESTION)
    route = auto.route()  # type: ignore[attr-defined]
    assert auto.route() is route  # type: ignore[attr-defined]
    monkeypatch.setattr(scripted, "listed", (*scripted.listed, "claude-opus-5-5"))
    response = await auto.call(QUESTION)
    assert response.route[-1].model == "anthropic/claude-opus-5-5"
    assert runtime.inner("auto/quality") is auto


async def test_a_key_that_appears_changes_the_choice(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert routes(runtime, "quality") == ["local/smollm2"]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    assert routes(runtime, "quality")[0].startswith("anthropic/claude-opus-")


async def test_another_policy_takes_the_tables_place(runtime: Runtime, scripted: type[Scripted]) -> None:
    """What measures models gives them another order."""

    def oldest(situation: object, available: object, needs: object) -> list[object]:
        return list(ranked(situation, available, needs))[::-1]  # type: ignore[arg-type]

    auto = situations.Auto(runtime, situations.situation("quality"), policy=oldest)  # type: ignore[arg-type]
    assert (await auto.call(QUESTION)).route[-1].model == "anthropic/deepseek-v4-pro"


async def test_a_table_may_stand_on_a_situation(scripted: type[Scripted]) -> None:
    tables = {
        "smart": ModelSettings(use=("auto/quality", "local/smollm2")),
        "terse": ModelSettings(base="auto/cheap", system="Be terse."),
    }
    async with Runtime(Config(models=tables)) as runtime:
        assert runtime.problems() == {}
        assert (await runtime.model("smart").call(QUESTION)).route[-1].model == "anthropic/claude-opus-4-7"


def test_the_data_is_not_loaded_to_list_the_names() -> None:
    assert "genai_prices" not in loaded_by("from trivet.runtime import Runtime; Runtime().names()")


def test_an_effort_leaves_other_tasks_alone() -> None:
    request = Embed(texts=("a",))
    assert DefaultEffort(Fake(), "high").edit(request) is request
