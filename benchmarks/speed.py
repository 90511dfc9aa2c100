"""Decode, prefill, eight at once, and the first token after a prefix that has been seen."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

from benchmarks.pairs import Row, at_least, rounds
from benchmarks.prompts import Prompts
from benchmarks.sides import AT_ONCE, Side

# The least that each side must have of the bare engine's speed; None has no target.
LEAST: Mapping[str, float | None] = {
    "bare": None,
    "bare again": None,
    "Python, async": 0.97,
    "Python, sync": 0.97,
    "HTTP": 0.95,
}

PREFIX = 1000  # tokens


def decode(sides: Mapping[str, Side], prompts: Prompts) -> list[Row]:
    tokens = 128
    runs = {name: _answer(side, prompts, 48, tokens) for name, side in sides.items()}
    again = {"bare again": _answer(sides["bare"], prompts, 48, tokens)}  # how far chance alone goes
    return compared(f"decode of {tokens} tokens", rounds("decode", runs | again), tokens)


def at_once(sides: Mapping[str, Side], prompts: Prompts) -> list[Row]:
    tokens = 32

    def run(side: Side) -> Callable[[], float]:
        return lambda: side.at_once([prompts.new(48) for _ in range(AT_ONCE)], tokens)

    seconds = rounds("8 at once", {name: run(side) for name, side in sides.items()})
    return compared(f"{AT_ONCE} at once, {tokens} tokens each", seconds, AT_ONCE * tokens)


def prefill(sides: Mapping[str, Side], prompts: Prompts) -> list[Row]:
    """Cold prompts; and after each that the Python API was given, the same once more with a little behind it."""
    colds: list[float] = []
    warms: list[float] = []

    def cold_then_seen() -> float:
        prompt = prompts.new(PREFIX)
        colds.append(sides["Python, async"].answer(prompt, 1))
        warms.append(sides["Python, async"].answer(prompt + " and then?", 1))
        return colds[-1]

    runs = {name: _answer(side, prompts, PREFIX, 1) for name, side in sides.items()}
    seconds = rounds("prefill", runs | {"Python, async": cold_then_seen})
    del colds[0], warms[0]  # of the round that does not count
    seen = at_least(
        20,
        f"first token, {PREFIX:,}-token prefix already seen against cold",
        [cold / warm for cold, warm in zip(colds, warms, strict=True)],
        f"{statistics.median(warms) * 1000:.0f} ms against {statistics.median(colds) * 1000:.0f} ms",
    )
    return [*compared(f"prefill of {PREFIX:,} tokens, cold", seconds, PREFIX), seen]


def _answer(side: Side, prompts: Prompts, length: int, tokens: int) -> Callable[[], float]:
    return lambda: side.answer(prompts.new(length), tokens)


def compared(what: str, seconds: Mapping[str, list[float]], tokens: int) -> list[Row]:
    """A row for each side that is not the bare engine itself."""
    rates = {name: tokens / statistics.median(s) for name, s in seconds.items()}
    rows = []
    for name in [n for n in seconds if n != "bare"]:
        ratios = [bare / own for bare, own in zip(seconds["bare"], seconds[name], strict=True)]
        detail = f"{rates[name]:.1f} against {rates['bare']:.1f} tokens/s"
        rows.append(at_least(LEAST[name], f"{what}: {name}", ratios, detail))
    return rows
