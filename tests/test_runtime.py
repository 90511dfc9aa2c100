"""From names to models: the order in which they resolve, what is built once, and what a wrong one is told."""

from __future__ import annotations

import os
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.local_stub import WHERE, LocalStub
from trivet import registry, situations
from trivet.config import Config, ModelSettings, ProviderSettings
from trivet.errors import ConfigError, RequestError, TrivetError, UnknownModelError
from trivet.fake import Fake
from trivet.model import Model, Provider, bottom
from trivet.runtime import Runtime
from trivet.types import Chat, ChatResponse, Done, Embed, Fold, Image, user

AUTO = situations.names()


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)


def models(**tables: ModelSettings) -> Runtime:
    return Runtime(Config(models=tables))


def ask(text: str = "Hi", model: str | None = None) -> Chat:
    return Chat(messages=(user(text),), model=model)


async def answer(runtime: Runtime, model: str | None = None) -> str:
    response = await runtime.call(ask(model=model))
    assert isinstance(response, ChatResponse)
    return response.text


async def test_without_a_name_chat_means_local_smollm2() -> None:
    assert (await Runtime().call(ask())).model == "local/smollm2"


async def test_without_a_name_chat_means_models_default_where_there_is_one() -> None:
    runtime = models(default=ModelSettings(base="local/smollm2", system="Be brief."))
    assert await answer(runtime) == "2: Be brief. | Hi"


async def test_without_a_name_a_task_has_the_catalogues_first_and_else_is_told_to_name_one() -> None:
    runtime = models(default=ModelSettings(use=("local/smollm2",)))
    with pytest.raises(RequestError, match="local/minilm"):  # which the stub does not have
        await runtime.call(Embed(texts=("a",)))
    with pytest.raises(RequestError, match="local/antiberty"):
        await runtime.call(Embed(proteins=("EVQ",)))
    with pytest.raises(RequestError, match="no default model for 'embed' of images"):
        await runtime.call(Embed(images=(Image(data=b"png", media_type="image/png"),)))
    with pytest.raises(RequestError, match="no default model") as caught:
        await runtime.call(Fold(sequence="EVQLV"))
    assert (caught.value.status, caught.value.field) == (400, "model")


async def test_a_provider_is_split_off_at_the_first_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(LocalStub, "model", lambda self, name: seen.append(name) or Fake())
    Runtime().model("local/owner/name")
    assert seen == ["owner/name"]


async def test_an_exact_table_goes_before_everything_else() -> None:
    named = ModelSettings(base="local/stalls", system="S")
    runtime = models(**{"local/smollm2": named, "auto/quick": named, "x.gguf": ModelSettings(use=("local/cut",))})
    assert runtime.model("local/smollm2").about.name == "local/stalls"
    assert runtime.model("auto/quick").about.name == "local/stalls"
    assert runtime.model("x.gguf", paths=False).about.name == "local/cut"


async def test_wrappers_stand_around_each_other_outermost_first() -> None:
    runtime = models(
        outer=ModelSettings(base="alias", system="outer"),
        alias=ModelSettings(use=("inner",)),
        inner=ModelSettings(base="local/smollm2", system="inner"),
    )
    assert await answer(runtime, "outer") == "3: inner | outer | Hi"


async def test_the_response_names_the_model_that_answered() -> None:
    runtime = models(smart=ModelSettings(use=("local/smollm2",)))
    assert (await runtime.call(ask(model="smart"))).model == "local/smollm2"


async def test_a_pipeline_is_built_once() -> None:
    runtime = models(a=ModelSettings(base="b", system="x"), b=ModelSettings(use=("local/smollm2",)))
    assert runtime.model("a") is runtime.model("a")
    assert runtime.inner("b") is runtime.inner("local/smollm2")
    assert runtime.model() is runtime.model("local/smollm2")


async def test_a_path_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    runtime = Runtime()
    model = runtime.model("./x.gguf")
    assert model.about.name == os.path.join(tmp_path, "x.gguf")
    assert model is runtime.model("x.gguf") is runtime.model("~/x.gguf") is runtime.model(str(tmp_path / "x.gguf"))


@pytest.mark.parametrize("name", ["./x.gguf", "/x/y.gguf", "../x", "~/x", "/etc/passwd", "local/x.gguf"])
async def test_a_path_is_no_name_over_http(name: str) -> None:
    with pytest.raises(UnknownModelError):
        Runtime().model(name, paths=False)


async def test_a_path_in_a_table_is_fine_over_http(tmp_path: Path) -> None:
    runtime = models(mine=ModelSettings(base=str(tmp_path / "x.gguf"), system="S"))
    assert runtime.model("mine", paths=False).about.name.endswith("x.gguf")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("smollm2", "local/smollm2"), ("local/smolm2", "local/smollm2"), ("medicl", "medical"), ("zzz", None)],
)
async def test_an_unknown_name_is_told_the_nearest(name: str, meant: str | None) -> None:
    runtime = models(medical=ModelSettings(use=("local/smollm2",)))
    with pytest.raises(UnknownModelError) as caught:
        runtime.model(name)
    assert (caught.value.status, caught.value.nearest) == (404, meant)
    assert (repr(meant) if meant else "There are: local/smollm2, medical, auto/") in str(caught.value)


async def test_a_name_of_a_megabyte_is_unknown_without_being_looked_for_or_told_whole() -> None:
    async with Runtime() as runtime:
        for name in ("x" * 1_000_000, "openai/" + "x" * 1_000_000):
            with pytest.raises(UnknownModelError, match="1,000,0") as caught:
                runtime.model(name)
            assert len(caught.value.message) < 200
        assert not runtime.built


@pytest.mark.parametrize("name", ["", "/", "local/", "nobody/x", "auto/quick"])
async def test_a_name_that_leads_nowhere_is_unknown(name: str) -> None:
    with pytest.raises(UnknownModelError):
        Runtime().model(name, paths=False)


async def test_an_unknown_name_that_a_folder_has_is_told_how_to_name_that_and_not_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(UnknownModelError, match=r"There is a folder of that name: call it \./digits$"):
        Runtime().model("digits")
    with pytest.raises(UnknownModelError) as told:
        Runtime().model("digits", paths=False)
    assert "folder" not in str(told.value)


async def test_an_unknown_base_names_its_table_and_the_nearest() -> None:
    runtime = models(
        a=ModelSettings(base="b", system="x"), b=ModelSettings(base="smollm2", system="x"), c=ModelSettings(use=("d",))
    )
    for name in ("a", "b"):
        with pytest.raises(ConfigError) as caught:
            runtime.model(name)
        assert str(caught.value) == (
            "configuration: [models.b] base: No model is named 'smollm2'. Did you mean 'local/smollm2'?"
        )
    with pytest.raises(ConfigError, match=r"\[models.c\] use: "):
        runtime.model("c")


async def test_a_configured_provider_that_nothing_implements_is_told_so() -> None:
    runtime = Runtime(Config(providers={"work": ProviderSettings(kind="abacus")}))
    with pytest.raises(ConfigError, match=r"\[providers.work\] kind: there is no kind of provider 'abacus'"):
        runtime.model("work/large")
    assert list(runtime.problems()) == ["providers.work"]
    assert runtime.names() == ("local/smollm2", *AUTO)


async def test_a_provider_may_not_be_of_kind_local() -> None:
    runtime = Runtime(Config(providers={"work": ProviderSettings(kind="local")}))
    with pytest.raises(ConfigError, match=r"configured in \[local\]"):
        runtime.model("work/x")


class Acme(Provider):
    def __init__(self, settings: ProviderSettings, *, name: str) -> None:
        self.settings = settings
        self.name = name

    def names(self) -> tuple[str, ...]:
        return ("large",)

    def model(self, name: str) -> Model:
        return LocalStub(None).model("smollm2")  # type: ignore[arg-type]

    async def close(self) -> None:
        pass


async def test_a_provider_of_another_package_is_found_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "kinds", lambda: {"local": WHERE, "acme": "test_runtime:Acme"})
    settings = ProviderSettings(kind="acme", base_url="http://x")
    runtime = Runtime(Config(providers={"work": settings}))
    assert runtime.names() == ("local/smollm2", "work/large", *AUTO)
    assert await answer(runtime, "work/large") == "1: Hi"
    assert runtime.provider("work").name == "work"  # type: ignore[union-attr]
    assert await answer(runtime, "acme/any") == "1: Hi"


async def test_entry_points_are_kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "acme-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: acme\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[trivet.providers]\nacme = test_runtime:Acme\nlocal = evil:Local\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.kinds()["acme"] == "test_runtime:Acme"
    assert registry.kinds()["local"] == WHERE
    assert registry.load("acme").__name__ == "Acme"  # type: ignore[union-attr]


async def test_a_provider_that_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("no_such_module:X", "test_runtime:Nothing"):
        monkeypatch.setitem(registry.PROVIDERS, "local", where)
        with pytest.raises(ConfigError, match=f"cannot be loaded from {where}"):
            Runtime().model("local/smollm2")


async def test_names_are_the_providers_and_every_table() -> None:
    runtime = models(medical=ModelSettings(use=("local/smollm2",)), **{"local/smollm2": ModelSettings(use=("x/y",))})
    assert runtime.names() == ("local/smollm2", "medical", *AUTO)


async def test_local_settings_reach_the_provider(tmp_path: Path) -> None:
    path = tmp_path / "trivet.toml"
    path.write_text("[local]\nslots = 7\n")
    runtime = Runtime.load(path)
    runtime.model()
    assert runtime._providers["local"].settings.slots == 7  # type: ignore[attr-defined]


async def test_load_finds_the_file_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Runtime.load().config == Config()
    (tmp_path / "trivet.toml").write_text("[server]\nport = 1\n")
    assert Runtime.load().config.server.port == 1


async def test_stream_passes_events_on_and_closing_reaches_the_model() -> None:
    runtime = Runtime()
    async with aclosing(runtime.stream(ask("Hi"))) as events:
        assert isinstance([e async for e in events][-1], Done)
    async with aclosing(runtime.stream(ask(model="local/stalls"))) as events:
        async for event in events:
            if event.content:
                break
    assert bottom(runtime.model("local/stalls")).log == ["start", "closed"]  # type: ignore[attr-defined]


async def test_closing_closes_the_providers_and_ends_the_runtime() -> None:
    async with Runtime() as runtime:
        runtime.model()
        provider = runtime._providers["local"]
    await runtime.close()
    assert provider.closed == 1  # type: ignore[attr-defined]
    with pytest.raises(TrivetError, match="closed"):
        runtime.model()


async def test_one_provider_that_fails_to_close_does_not_keep_the_others_open() -> None:
    class Broken(Acme):
        async def close(self) -> None:
            raise OSError("no")

    runtime = Runtime()
    runtime.model()
    provider = runtime._providers["local"]
    runtime._providers = {
        "first": Broken(ProviderSettings(), name="first"),
        "local": provider,
        "last": Broken(ProviderSettings(), name="last"),
    }
    with pytest.raises(OSError, match="no"):
        await runtime.close()
    assert provider.closed == 1  # type: ignore[attr-defined]


async def test_problems_tells_every_wrong_table() -> None:
    runtime = models(
        good=ModelSettings(use=("local/smollm2",)),
        bad=ModelSettings(use=("nobody/x",)),
        above=ModelSettings(base="bad", system="x"),
    )
    assert list(runtime.problems()) == ["models.bad", "models.above"]
