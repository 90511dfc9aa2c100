"""`python -m benchmarks [NAME ...]`: the subjects by name, or all of them, and then the results are written down."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import trivet
from benchmarks import cancel, speed
from benchmarks.counted import counted
from benchmarks.gateway import gateway
from benchmarks.loop import loop
from benchmarks.machine import machine
from benchmarks.memory import memory
from benchmarks.over_http import Http, serving
from benchmarks.pairs import Row
from benchmarks.prompts import Prompts, prompts
from benchmarks.report import page, table
from benchmarks.routing import routing
from benchmarks.sides import Async, Bare, Side, Sync
from benchmarks.start_up import start_up
from benchmarks.texts import texts
from benchmarks.transcription import transcription
from benchmarks.wrappers import wrappers
from trivet.local.llama import Llama
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings

RESULTS = Path(__file__).with_name("results.md")
MODEL = "smollm2"
SUBJECTS = (
    "start-up",
    "gateway",
    "routing",
    "wrappers",
    "counted",
    "texts",
    "transcription",
    "loop",
    "decode",
    "prefill",
    "at-once",
    "cancel",
    "memory",
)
WITHOUT_MODEL: dict[str, Callable[[], list[Row]]] = {
    "start-up": start_up,
    "gateway": gateway,
    "routing": routing,
    "wrappers": wrappers,
    "counted": counted,
    "texts": texts,
    "transcription": transcription,
    "loop": loop,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUBJECTS))
    parser.add_argument("--threads", type=int, help="the engine's threads, on both sides (default: its own choice)")
    arguments = parser.parse_args()
    names = tuple(arguments.names) or SUBJECTS
    if unknown := set(names) - set(SUBJECTS):
        parser.error(f"there is no subject {', '.join(sorted(unknown))}: there are {', '.join(SUBJECTS)}")
    begin, found = time.perf_counter(), machine(arguments.threads)
    rows = [row for name, measure in WITHOUT_MODEL.items() if name in names for row in measure()]
    if not set(names) <= WITHOUT_MODEL.keys():
        rows += on_weights(names, arguments.threads)
    if set(names) == set(SUBJECTS):
        RESULTS.write_text(page(rows, found, time.perf_counter() - begin))
    print(table(rows))


def on_weights(names: tuple[str, ...], threads: int | None) -> list[Row]:
    """The subjects that take an embedded model."""
    model = Local(LocalSettings(threads=threads)).model(MODEL)
    assert isinstance(model, Llama)
    with asyncio.Runner() as runner:
        runner.run(model.load())
        drawn = runner.run(prompts(model, seed=time.time_ns()))
        rows = with_model(names, model, drawn, runner)
        runner.run(model.close())
    trivet.close()
    if "memory" in names:
        rows += memory(model, f"local/{MODEL}", drawn)
    return rows


def with_model(names: tuple[str, ...], model: Llama, drawn: Prompts, runner: asyncio.Runner) -> list[Row]:
    rows: list[Row] = []
    compared: dict[str, Callable[..., list[Row]]] = {
        "decode": speed.decode,
        "prefill": speed.prefill,
        "at-once": speed.at_once,
    }
    asked = [name for name in compared if name in names]
    if asked:
        with serving(f"local/{MODEL}", model.settings) as http:
            sides = all_sides(model, http, runner)
            for name in asked:
                rows += compared[name](sides, drawn)
    if "cancel" in names:
        rows += runner.run(cancel.in_decode(model, drawn))
        rows += runner.run(cancel.in_prefill(model, drawn))
    return rows


def all_sides(model: Llama, http: Http, runner: asyncio.Runner) -> dict[str, Side]:
    return {
        "bare": Bare(model.engine._server),
        "Python, async": Async(model, runner.run),
        "Python, sync": Sync(model),
        "HTTP": http,
    }


main()
