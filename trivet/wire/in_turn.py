"""Deltas told part after part, for protocols whose streams finish one block before the next begins."""

from __future__ import annotations

import msgspec

from trivet.collect import Collector
from trivet.types import Text, TextDelta, Thinking, ThinkingDelta, ToolCall, ToolCallDelta, WholePart

Delta = TextDelta | ThinkingDelta | ToolCallDelta
Step = Delta | WholePart
Finished = Text | Thinking | ToolCall


class InTurn:
    """Takes deltas as they come and gives them back sorted by part, each part's last followed by the whole part.

    A text or a thought is finished when another part begins; what comes for it later is a part of its own. A tool
    call is finished when another part begins and its arguments are JSON: models that write several calls side by
    side have the later ones held back until then. A whole part is told as it is, with nothing after it. No more than
    one choice is told.
    """

    def __init__(self) -> None:
        self._parts: dict[int, list[Step]] = {}  # not finished, in order of appearance; only the first is told

    def add(self, delta: Step) -> list[Step | Finished]:
        """What can be told after `delta`."""
        if delta.choice != 0:
            return []
        self._parts.setdefault(delta.part, []).append(delta)
        out: list[Step | Finished] = [delta] if delta.part == next(iter(self._parts)) else []
        while len(self._parts) > 1 and _finished(self._first()):
            out += self._next()
        return out

    def finish(self) -> list[Step | Finished]:
        """All that is left to tell."""
        out: list[Step | Finished] = []
        while self._parts:
            out += self._next()
        return out

    def _first(self) -> list[Step]:
        return next(iter(self._parts.values()))

    def _next(self) -> list[Step | Finished]:
        """The end of the part that is being told, and what is there of the one after it."""
        first = self._parts.pop(next(iter(self._parts)))
        end = [] if isinstance(first[0], WholePart) else [_whole(first)]
        return [*end, *(self._first() if self._parts else [])]


def _finished(deltas: list[Step]) -> bool:
    if not isinstance(deltas[0], ToolCallDelta):
        return True
    try:
        msgspec.json.decode("".join(d.arguments for d in deltas if isinstance(d, ToolCallDelta)))
    except msgspec.DecodeError:
        return False
    return True


def _whole(deltas: list[Step]) -> Finished:
    collector = Collector()
    for delta in deltas:
        collector.add(delta)
    part = collector.content()[0]
    assert isinstance(part, Text | Thinking | ToolCall)
    return part
