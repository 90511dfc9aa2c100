"""How long the event loop stands still while an embedded model is first used, and while it answers.

Each model has a fresh process, prepared as `trivet serve` is before it listens, whose loop should turn every
millisecond: what counts is the longest that it did not, as far as something of this process ran in that time. A process
beside it that does nothing else turns as well, and says how long the machine itself lets one wait."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from benchmarks.pairs import Row, at_most, progress
from trivet.types import (
    AnyRequest,
    Audio,
    Chat,
    Classify,
    Embed,
    Forecast,
    Image,
    Mask,
    Read,
    Request,
    Rerank,
    Sampling,
    Speak,
    Transcribe,
    to_json,
    user,
)

RUNS = 5
TARGET_MS = 10
TURN_S = 0.001
AGAIN = 5  # requests once it is loaded

# A process that does nothing but turn: for each line that it gets, the longest that it stood still since the last.
BESIDE = """
import asyncio, sys, time

async def turn():
    longest, last, loop = 0.0, time.perf_counter(), asyncio.get_running_loop()
    asked = asyncio.Queue()
    loop.add_reader(sys.stdin.fileno(), lambda: asked.put_nowait(sys.stdin.readline()))
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
        if not asked.empty():
            if not asked.get_nowait():
                return
            print(longest, flush=True)
            longest = 0.0

asyncio.run(turn())
"""


def loop() -> list[Row]:
    asked = requests()
    found: dict[str, list[Mapping[str, float]]] = {what: [] for what in asked}
    for i in range(RUNS):
        progress("event loop", i, RUNS)
        for what, (name, request) in asked.items():
            found[what].append(_run(name, request))
    progress("event loop", RUNS, RUNS)
    return [row for what, runs in found.items() for row in _rows(what, runs)]


def _rows(what: str, runs: list[Mapping[str, float]]) -> list[Row]:
    def median(field: str) -> float:
        return statistics.median(run[field] for run in runs)

    return [
        at_most(
            TARGET_MS,
            "ms",
            f"the event loop stands still: {what}, {when}",
            [run[field] for run in runs],
            f"{median(f'{field}_beside'):.1f} ms in a process that does nothing; "
            f"{took} {median(f'{field}_took'):.0f} ms",
            digits=1,
        )
        for field, when, took in (("first", "first use", "took"), ("again", "in use", f"{AGAIN} requests took"))
    ]


def _run(name: str, request: Request) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loop", name], input=to_json(request), stdout=subprocess.PIPE, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def requests() -> Mapping[str, tuple[str, Request]]:
    """By what is shown: the model in the catalogue, and a usual request."""
    from trivet.cli import demo_samples as samples
    from trivet.local.provider import Local

    said = Speak(text=samples.SENTENCE, format="wav")
    with asyncio.Runner() as runner:
        local = Local()
        spoken: Any = runner.run(local.model("piper-joe").call(said))
        runner.run(local.close())
    question = (user(samples.QUESTION),)
    masked = "".join("_" if i in samples.MASKED else letter for i, letter in enumerate(samples.HEAVY))
    return {
        "SmolLM2, a chat": ("smollm2", Chat(messages=question, sampling=Sampling(temperature=0, max_tokens=16))),
        "SmolLM2, a text embedded": ("smollm2", Embed(texts=(samples.TEXTS[0],))),
        "MiniLM, texts embedded": ("minilm", Embed(texts=samples.TEXTS)),
        "MiniLM, reranking": ("minilm", Rerank(query=samples.QUERY, documents=samples.DOCS)),
        "AntiBERTy": ("antiberty", Mask(sequence=masked)),
        "EfficientNet": ("efficientnet", Classify(image=Image(data=_picture((400, 400)), media_type="image/png"))),
        "RapidOCR": ("rapidocr", Read(image=Image(data=_picture((560, 200)), media_type="image/png"))),
        "Whisper": ("whisper-tiny.en", Transcribe(audio=Audio(data=spoken.audio, media_type="audio/wav"))),
        "Piper": ("piper-joe", said),
        "Fracast": ("fracast", Forecast(series=tuple(float(i % 12) for i in range(120)), horizon=12)),
    }


def _picture(size: tuple[int, int]) -> bytes:
    from PIL import Image as Pillow
    from PIL import ImageDraw

    image, out = Pillow.new("RGB", size, "white"), io.BytesIO()
    ImageDraw.Draw(image).text((60, 70), "Everything is a model.", fill="black", font_size=40)
    image.save(out, "PNG")
    return out.getvalue()


# --- in the process of one model ----------------------------------------------------------------------------


class Turning:
    """A loop's turns: `longest` is the most that one came late since it was last asked, in ms."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._late = 0.0
        self._next()

    def _next(self) -> None:
        self._due, self._cpu = time.perf_counter() + TURN_S, time.process_time()
        self._loop.call_later(TURN_S, self._turn)

    def _turn(self) -> None:
        # A turn is late as well where others have the cores: not by more than what ran here instead.
        self._late = max(self._late, min(time.perf_counter() - self._due, time.process_time() - self._cpu))
        self._next()

    async def longest(self) -> float:
        await asyncio.sleep(2 * TURN_S)  # the turn that is late by now
        late, self._late = self._late, 0.0
        return late * 1e3


async def measured(name: str, request: Request, beside: Callable[[], float]) -> Mapping[str, float]:
    from trivet.config import Config
    from trivet.ledger.settings import LedgerSettings
    from trivet.runtime import Runtime

    runtime = Runtime(Config(ledger=LedgerSettings(enabled=False)))
    runtime.prepare()
    gc.collect()
    gc.freeze()
    turning = Turning()
    figures: dict[str, float] = {}
    for field, times in (("first", 1), ("again", AGAIN)):
        beside()
        await turning.longest()
        begin = time.perf_counter()
        for _ in range(times):
            await runtime.model(f"local/{name}").call(request)
        figures[f"{field}_took"] = (time.perf_counter() - begin) * 1e3
        figures[field] = await turning.longest()
        figures[f"{field}_beside"] = beside() * 1e3
    await runtime.close()
    return figures


def main() -> None:
    import uvloop

    from trivet.server.run import GARBAGE, SWITCH_S

    gc.set_threshold(GARBAGE)
    sys.setswitchinterval(SWITCH_S)
    request: Request = msgspec.json.decode(sys.stdin.buffer.read(), type=AnyRequest)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BESIDE], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def beside() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(measured(sys.argv[1], request, beside))))
        asked.close()


if __name__ == "__main__":
    main()
