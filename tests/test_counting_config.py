"""What trivet.toml says of counting, and what comes of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from trivet.adapt.cache import Cache
from trivet.adapt.prompt_cache import NoPromptCache, PromptCache
from trivet.config import Config, load
from trivet.errors import ConfigError
from trivet.ledger.meter import Meter
from trivet.ledger.priced import Priced
from trivet.model import Model, Wrapper
from trivet.runtime import Runtime
from trivet.types import Chat, Complete, Sampling, user

PROVIDER = '[providers.up]\nkind = "anthropic"\napi_key = "k"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "trivet.toml"
    path.write_text(text)
    return path


def layers(model: Model) -> list[type[Model]]:
    """A model's wrappers, the outermost first, down to a provider's model or a route."""
    found = [type(model)]
    while isinstance(model, Wrapper):
        model = model.inner
        found.append(type(model))
    return found


async def test_every_key_of_these_tables(tmp_path: Path) -> None:
    config = load(
        written(
            tmp_path,
            '[ledger]\npath = "a.db"\nretention_days = 30\nflush_s = 1\n'
            '[budgets]\npath = "b.db"\nmax_tokens = 10\nmedia_tokens = 5\nallow_unbounded = true\n'
            'on_store_failure = "allow"\n'
            '[prices."up/m"]\ninput = 0.1\noutput = 2\ncache_read = "0.01"\nrequest = 0.005\n'
            '[cache]\npath = "c.db"\nmax_mb = 1\nmax_age_s = 60\nacross_keys = true\n'
            "[telemetry]\ncontent = true\n",
        )
    )
    assert (config.ledger.path, config.budgets.path, config.cache.path) == (
        *(str(tmp_path / name) for name in ("a.db", "b.db", "c.db")),
    )
    price = config.prices["up/m"]
    assert (price.input, price.cache_read, price.request) == (Decimal("0.1"), Decimal("0.01"), Decimal("0.005"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[ledger]\nflush = 1\n", "flush_s"),
        ("[ledger]\nretention_days = 0\n", "retention_days is 0"),
        ('[budgets]\non_store_failure = "maybe"\n', "on_store_failure"),
        ('[prices."up/m"]\ninput = "cheap"\n', r"prices.up/m\] input"),
        ("[prices]\ninput = 1\n", "prices"),
        ("[cache]\nmax_mb = 0\n", "max_mb is 0"),
        ('[ledger]\npath = "a.db"\n[cache]\npath = "a.db"\n', "files of their own"),
        ('[models.a]\nuse = ["local/x"]\ncache = "sometimes"\n', "cache"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load(written(tmp_path, text))


async def test_a_name_is_metered_once_and_each_providers_model_is_priced(tmp_path: Path) -> None:
    config = load(written(tmp_path, f'{PROVIDER}[models.a]\nbase = "up/claude-opus-4-7"\nsystem = "Hi"\n'))
    async with Runtime(config) as runtime:
        kinds = layers(runtime.model("a"))
        assert [kinds.count(kind) for kind in (Meter, Priced, PromptCache)] == [1, 1, 1]
        assert kinds.index(Meter) < kinds.index(Priced) < kinds.index(PromptCache)


async def test_nothing_is_metered_where_the_ledger_is_off(tmp_path: Path) -> None:
    config = load(written(tmp_path, f"{PROVIDER}[ledger]\nenabled = false\n"))
    async with Runtime(config) as runtime:
        assert {Meter, Priced}.isdisjoint(layers(runtime.model("up/claude-opus-4-7")))


async def test_prompt_caches_are_off_by_name_alone(tmp_path: Path) -> None:
    models = '[models.off]\nuse = ["up/m"]\nprompt_cache = false\n[models.on]\nuse = ["up/m"]\n'
    async with Runtime(load(written(tmp_path, PROVIDER + models))) as runtime:
        assert NoPromptCache in layers(runtime.model("off"))
        assert NoPromptCache not in layers(runtime.model("on"))


async def test_a_cache_of_answers_stands_where_the_name_has_one(tmp_path: Path) -> None:
    models = '[models.a]\nuse = "up/m"\ncache = true\n[models.b]\nuse = "up/m"\ncache = "all"\n[models.c]\nuse = "a"\n'
    text = f'{PROVIDER}[cache]\npath = "c.db"\n{models}'
    async with Runtime(load(written(tmp_path, text))) as runtime:
        modes = {}
        for name in "abc":
            model = runtime.model(name)
            while not isinstance(model, Cache):
                assert isinstance(model, Wrapper)
                model = model.inner
            modes[name] = model.mode
        assert modes == {"a": "deterministic", "b": "all", "c": "deterministic"}
        assert Cache not in layers(runtime.model("up/m"))


async def test_settings_that_are_the_same_go_on_with_their_files_after_a_reload(tmp_path: Path) -> None:
    ledger = '[ledger]\npath = "l.db"\n'
    old = Runtime(load(written(tmp_path, PROVIDER + ledger)))
    same = Runtime(load(written(tmp_path, f'{PROVIDER}{ledger}[models.a]\nuse = ["up/m"]\n')))
    counting = old.counting
    same.inherit(old)
    assert same.counting is counting
    other = Runtime(load(written(tmp_path, f'{PROVIDER}[ledger]\npath = "other.db"\n')))
    other.inherit(same)
    assert other.counting is not counting
    for runtime in (old, same, other):
        await runtime.close()


@pytest.mark.parametrize(
    "request_",
    [
        Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=3)),
        Complete(prompt="Hi", sampling=Sampling(max_tokens=3)),
    ],
)
async def test_what_an_embedded_model_costs_is_0_and_said(tmp_path: Path, request_: Chat | Complete) -> None:
    config = Config()
    async with Runtime(config) as runtime:
        response = await runtime.call(request_)
    assert response.cost is not None
    assert (response.cost.usd, response.cost.source) == (0, "embedded")
