"""The provider `local`: names and paths to models, and when their weights are looked at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engines import smollm2
from trivet.errors import UnknownModelError, WeightsError
from trivet.local import weights
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.types import Chat, Sampling, user

HI = Chat(messages=(user("Hi"),), sampling=Sampling(max_tokens=1))
_REAL = smollm2()  # before a test moves TRIVET_HOME
SMALL: dict[str, Any] = {"context": 256, "slots": 1, "threads": 1}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights that has the real ones, and no digest that is remembered."""
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    folder = tmp_path / "smollm2"
    folder.mkdir()
    (folder / _REAL.name).hardlink_to(_REAL)
    return tmp_path


def test_a_name_is_one_model_and_an_unknown_one_is_refused(home: Path) -> None:
    local = Local(LocalSettings(**SMALL))
    assert local.names()[0] == "smollm2"
    assert local.model("smollm2") is local.model("smollm2")
    assert local.model("smollm2").about.name == "local/smollm2"
    with pytest.raises(UnknownModelError):
        local.model("smollm3")


def test_a_path_is_one_model_however_it_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = Local(LocalSettings(**SMALL))
    monkeypatch.chdir(home / "smollm2")
    name = _REAL.name
    assert local.at(f"./{name}") is local.at(str(home / "smollm2" / name))


def test_missing_weights_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="trivet pull smollm2"):
        Local().model("smollm2")


async def test_digests_are_computed_at_the_first_request_and_off_the_event_loop(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[threading.Thread] = []
    digest = weights.digest

    def noting(path: Path, home: Path) -> str:
        hashed.append(threading.current_thread())
        return digest(path, home)

    monkeypatch.setattr(weights, "digest", noting)
    local = Local(LocalSettings(**SMALL))
    model = local.model("smollm2")
    assert hashed == []
    await model.call(HI)
    assert hashed
    assert threading.main_thread() not in hashed
    await local.close()


async def test_altered_weights_are_refused_by_the_first_request_and_mended_ones_answer(home: Path) -> None:
    file = home / "smollm2" / _REAL.name
    data = bytearray(_REAL.read_bytes())
    data[-1] ^= 1
    file.unlink()
    file.write_bytes(data)
    local = Local(LocalSettings(**SMALL))
    model = local.model("smollm2")
    with pytest.raises(WeightsError, match=r"altered.*trivet pull smollm2"):
        await model.call(HI)
    file.unlink()
    file.hardlink_to(_REAL)
    await model.call(HI)
    await local.close()


async def test_a_draft_is_verified_too(home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "draft.gguf"
    bad.write_bytes(_REAL.read_bytes()[:1_000_000])
    local = Local(LocalSettings(**SMALL, draft=str(bad)))
    with pytest.raises(WeightsError, match=r"draft\.gguf"):
        await local.model("smollm2").call(HI)
    await local.close()
