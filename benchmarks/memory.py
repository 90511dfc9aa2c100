"""The memory of `trivet serve` beyond that of the engine alone, after the same requests.

Resident memory (RSS) of each process. Only one of the two is there at a time; the file of weights that they map
counts in full in both, so it cancels out.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.over_http import serving
from benchmarks.pairs import Row, at_most, rounds
from benchmarks.prompts import Prompts
from benchmarks.sides import AT_ONCE, body
from trivet.local.llama import Llama
from trivet.local.settings import LocalSettings

MB = 1_000_000


def memory(model: Llama, name: str, prompts: Prompts) -> list[Row]:
    mb = rounds(
        "memory", {"bare": lambda: bare(model, prompts), "serve": lambda: served(name, model.settings, prompts)}
    )
    return [
        at_most(
            80,
            "MB",
            "server memory beyond the engine's",
            [own - least for own, least in zip(mb["serve"], mb["bare"], strict=True)],
            f"{statistics.median(mb['serve']):.0f} against {statistics.median(mb['bare']):.0f} MB resident",
        )
    ]


def requests(prompts: Prompts) -> list[list[str]]:
    """What both are asked: three one by one, then eight at once."""
    return [[prompts.new(100)] for _ in range(3)] + [[prompts.new(100) for _ in range(AT_ONCE)]]


def served(name: str, settings: LocalSettings, prompts: Prompts) -> float:
    with serving(name, settings) as http:
        for together in requests(prompts):
            http.at_once(together, 16)
        return resident(http.pid)


def bare(model: Llama, prompts: Prompts) -> float:
    asked = [[body(prompt, 16) for prompt in together] for together in requests(prompts)]
    order = {
        "path": str(model.path),
        "threads": model.settings.threads,
        "parameters": parameters(model),
        "requests": asked,
    }
    command = [sys.executable, str(Path(__file__).with_name("bare.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "done\n":
                raise RuntimeError("the process with the bare engine failed")
            return resident(process.pid)
        finally:
            process.kill()


def parameters(model: Llama) -> dict[str, Any]:
    """The engine's parameters that trivet sets, by their difference from what they are otherwise."""
    import xllamacpp

    ours, default = model.engine._params(xllamacpp), xllamacpp.CommonParams()
    simple = (bool, int, float, str, list)
    names = [n for n in dir(default) if not n.startswith("_") and isinstance(getattr(default, n), simple)]
    return {n: getattr(ours, n) for n in names if getattr(ours, n) != getattr(default, n)}


def resident(pid: int) -> float:
    """In MB."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        kib = int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])
    else:
        kib = int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)], text=True))
    return kib * 1024 / MB
