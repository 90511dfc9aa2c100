"""What `import trivet` and `trivet --help` take beyond an interpreter that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.pairs import Row, at_most, rounds

ROUNDS = 30
TARGETS = {"import trivet": 80, "trivet --help": 200}  # ms


def start_up() -> list[Row]:
    runs = {
        "bare": ["-c", "pass"],
        "import trivet": ["-c", "import trivet"],
        "trivet --help": ["-m", "trivet", "--help"],
    }
    seconds = rounds("start-up", {name: _run(arguments) for name, arguments in runs.items()}, ROUNDS)
    bare = seconds["bare"]
    return [
        at_most(
            target,
            "ms",
            f"`{name}`, above a bare interpreter",
            [(own - least) * 1000 for own, least in zip(seconds[name], bare, strict=True)],
            f"{statistics.median(seconds[name]) * 1000:.0f} against {statistics.median(bare) * 1000:.0f} ms",
            digits=1,
        )
        for name, target in TARGETS.items()
    ]


def _run(arguments: list[str]) -> Callable[[], float]:
    def run() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    return run
