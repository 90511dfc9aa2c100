"""The pages tell the truth: the README's commands and code run, and ARCHITECTURE.md knows every file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, start_trivet

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
PYTHON = [code for kind, code in BLOCKS if kind == "python"]
SHELL = [line for kind, code in BLOCKS if kind == "sh" for line in re.sub(r"\\\n", " ", code).splitlines()]
# What runs this test, what is in test_cli_demo.py, and a conversation, in test_cli.py.
ELSEWHERE = ("make serve", "make test", "make demo", "trivet chat   ")


@pytest.fixture(scope="module", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A ledger and keys of its own: where a key was added, no server takes anybody without one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIVET_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_trivet(cwd=tmp_path_factory.mktemp("readme")) as server:
        yield server.url


def run(command: list[str], url: str) -> str:
    """In the project's folder, with the server's address in place of the README's, and `trivet` on the path."""
    done = subprocess.run(
        [part.replace("http://127.0.0.1:8484", url) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_two_commands_stand_at_the_top() -> None:
    assert [line.split("#")[0].strip() for line in SHELL[:2]] == ["make serve", "make test"]


@pytest.mark.parametrize(
    "code", PYTHON, ids=[re.findall(r"import (\w+)", code)[0] + str(i) for i, code in enumerate(PYTHON)]
)
def test_python_blocks_run_and_print(code: str, url: str) -> None:
    assert run([sys.executable, "-c", code], url).strip()


@pytest.mark.parametrize("line", [line for line in SHELL if not line.startswith(ELSEWHERE)])
def test_shell_lines_run_and_print(line: str, url: str) -> None:
    assert run(["bash", "-c", line], url).strip()


def test_the_configuration_is_right(tmp_path: Path) -> None:
    blocks = [code for kind, code in BLOCKS if kind == "toml"]  # of one file
    assert len(blocks) == 2
    (tmp_path / "trivet.toml").write_text("\n".join(blocks))
    out = run([sys.executable, "-m", "trivet", "config", "check", str(tmp_path / "trivet.toml")], "")
    assert "medical" in out
    assert "faq" in out


def test_the_architectures_tree_has_every_file_and_no_other() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text().split("```")[1]
    told, folders = set(), [""]
    for indent, name in re.findall(r"^( *)(\S+)", tree, re.M):
        folders[len(indent) // 2 :] = [name]
        if not name.endswith("/"):
            told.add("".join(folders))
    kinds = ("py", "toml", "txt")
    found = {p.relative_to(ROOT).as_posix() for kind in kinds for p in (ROOT / "trivet").rglob(f"*.{kind}")}
    assert told == {path for path in found if not Path(path).stem.startswith("__")}


def test_no_page_names_a_registry_or_a_path_of_one_machine() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("requirements/*")):
        assert not re.search(r"pythonhosted|pypi\.org|(?<![\w.])/(?:work|root|home)/", page.read_text()), page.name
