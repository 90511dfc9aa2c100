"""A tiny CLIP that was trained on digits, by `examples/digits_clip.py`, and is asked about others: the threshold is
that of issue 6. `references/digits_clip/README.md` says where the model and the digits come from."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivet
from tests.servers import ROOT

FOLDER = Path(__file__).parent / "references" / "digits_clip"
HELD_OUT = np.load(FOLDER / "held_out.npz")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LEAST = 0.90
SCRIPT = ROOT / "examples" / "digits_clip.py"
NEEDED = ("torch", "sklearn", "safetensors", "tokenizers", "onnxruntime", "PIL")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights folder of its own: a path is remembered with its digest."""
    at = tmp_path_factory.mktemp("digits")
    (at / "trivet.toml").write_text(f"[local]\nhome = {str(at / 'home')!r}\n[ledger]\nenabled = false\n")
    return str(at / "trivet.toml")


@pytest.mark.parametrize("labels", [WORDS, tuple("0123456789")], ids=["words", "numerals"])
def test_held_out_digits_are_told_by_words_that_label_them(labels: tuple[str, ...], config: str) -> None:
    right = 0
    for digit, name in zip(HELD_OUT["digits"], HELD_OUT["names"], strict=True):
        answer = trivet.classify(digit / 16, labels, model=str(FOLDER), config=config)
        right += answer.labels[0].label == labels[name]
    assert len(HELD_OUT["names"]) == 360
    assert right / 360 >= LEAST


def test_pictures_and_words_are_in_one_space(config: str) -> None:
    digits = [digit / 16 for digit in HELD_OUT["digits"]]
    pictures = np.array(trivet.embed(images=digits, model=str(FOLDER), config=config).vectors)
    said = [f"this is a handwritten {word}" for word in WORDS]
    words = np.array(trivet.embed(said, model=str(FOLDER), config=config).vectors)
    assert ((pictures @ words.T).argmax(1) == HELD_OUT["names"]).mean() >= LEAST


def test_a_word_that_is_wrong_is_not_chosen(config: str) -> None:
    """Of a digit's own name and another's: the accuracy is not of the labels' order."""
    sevens = HELD_OUT["digits"][HELD_OUT["names"] == 7]
    for labels in (("seven", "two"), ("two", "seven")):
        asked = [trivet.classify(seven / 16, labels, model=str(FOLDER), config=config) for seven in sevens]
        assert sum(answer.labels[0].label == "seven" for answer in asked) / len(sevens) >= LEAST


def able(python: str | Path) -> bool:
    """Whether an interpreter has what the script and trivet need; trivet itself it finds by PYTHONPATH."""
    found = "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))"
    asked = subprocess.run([python, "-c", found, *NEEDED, "msgspec", "aiohttp"], capture_output=True, timeout=30)
    return asked.returncode == 0


def interpreter() -> str | None:
    """One with torch: `TRIVET_TORCH_PYTHON`, that of `make digits-clip`, or this one."""
    named = os.environ.get("TRIVET_TORCH_PYTHON")
    if named is not None:
        return named
    for python in (ROOT / ".venv-torch" / "bin" / "python", Path(sys.executable)):
        if python.is_file() and able(python):
            return str(python)
    return None


@pytest.mark.timeout(300)
def test_the_script_trains_one_that_tells_held_out_digits(tmp_path: Path) -> None:
    python = interpreter()
    if python is None:
        pytest.skip("no interpreter with torch and scikit-learn is here: `make digits-clip` makes one in .venv-torch")
    own = {"PYTHONPATH": str(ROOT), "TRIVET_HOME": str(tmp_path / "home"), "TRIVET_STATE": str(tmp_path / "state")}
    command = [python, str(SCRIPT), str(tmp_path / "model")]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stderr
    shares = [float(share) / 100 for share in re.findall(r"Held-out digits, zero-shot, .*: ([\d.]+)%", done.stdout)]
    assert len(shares) == 3
    assert min(shares) >= LEAST
    assert "Training on 1,437 digits; 360 others are held out." in done.stdout
    assert "Trained here, on 1,437 digits" in done.stdout
    assert "pretrained" not in done.stdout
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert names >= {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"}
    shown = shlex.split(done.stdout.splitlines()[-1])
    asked = subprocess.run(shown, env=os.environ | own, capture_output=True, text=True, timeout=60, check=True)
    assert asked.stdout.split()[1] == "seven"


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
def test_without_torch_the_script_says_what_to_install() -> None:
    done: Any = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == 'torch is not installed. Install what training takes: pip install "trivet[train]"\n'
