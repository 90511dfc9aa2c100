"""Which of the engine's slots has which conversation's beginning.

Left to itself the engine gives a request the idle slot whose content begins most like it, were it but a tenth. With a
system prompt in common, that is another conversation's slot, which thereby loses all it had beyond it; it is not saved
before, as more than half of it stays. So it is told not to (`slot_prompt_similarity` 0): it takes the idle slot that
was longest unused, saves what that has to RAM, and looks there for the beginning of the request. And a conversation
whose slot is still its own is sent to it, as what is in RAM is little for a large model, and a turn behind.

Another conversation's slot is taken where it gives much more than is lost with it: a long document, of which somebody
asks something else. What is in a slot is not in RAM, so that the document would be read once for each slot.

Measured with SmolLM2, 4 slots, a system prompt of 160 tokens in common, conversations taking turns: the share of their
prompts that was read from the cache at the second, third and fourth turn. All of the turn before would be 88, 89, 90 %.

    conversations           2             4             8         4 at once     8 at once
    by likeness         54 48 90 %    54 47 90 %    53 47 90 %    88 89 90 %    62 63 90 %
    longest unused      88 77 80 %    88 89 90 %    88 89 90 %    79 79 78 %    83 89 90 %
    and by session      88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %
    and what is worth   88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %

The same with 500 tokens in common, which is often worth taking: 94, 94, 95 %, and with 8 conversations 86, 94, 95 %.
The first token after a document of 1,000 tokens, of which something else was asked before, comes in a fiftieth of the
time.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

# Letters that a slot has to have in common with a request of another conversation, and how many for each that is lost.
# So a turn that was lost costs at most an eighth of what it gave, and not again once the conversations are longer.
_WORTH, _FOR_EACH = 1_000, 8
LETTERS = 4  # of a token, about
_HEAD = 200  # letters, or tokens, by which a plain prompt is known
_SAMPLE = 256  # letters, by which an image is


class Held(NamedTuple):
    """Whose turn a slot had last, of which prompt, and about how many letters were made of it."""

    session: Hashable = None
    prompt: str = ""
    made: int = 0


class Sessions:
    """The slots of an engine, in the order in which it takes them: the longest unused first."""

    def __init__(self, slots: int) -> None:
        self._held: dict[int, Held] = dict.fromkeys(range(slots), Held())
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def take(self, asked: Held, number: int = 1) -> tuple[list[int], bool]:
        """The slots that a request will have, and whether the engine is to be told so: where one is idle and still has
        the session, or is worth it. Else they are those that the engine will take by itself, as far as can be told."""
        with self._lock:
            idle = [slot for slot in self._held if slot not in self._busy]
            told = (self._own(asked.session, idle) or self._like(asked.prompt, idle)) if number == 1 else []
            slots = told or idle[:number]
            for slot in slots:
                self._busy.add(slot)
                self._held[slot] = asked
            return slots, bool(told)

    def _own(self, session: Hashable, idle: Sequence[int]) -> list[int]:
        return [slot for slot in idle if session is not None and self._held[slot].session == session]

    def _like(self, prompt: str, idle: Sequence[int]) -> list[int]:
        """The slot that begins most like the prompt, where it gives much more than is lost with it."""
        if len(prompt) < _WORTH:
            return []
        common = {slot: _common(prompt, self._held[slot].prompt) for slot in idle}
        best = max(idle, key=lambda slot: common[slot], default=None)
        if best is None or common[best] < _WORTH:
            return []
        held = self._held[best]
        lost = len(held.prompt) + held.made - common[best]
        return [best] if common[best] >= _FOR_EACH * lost else []

    def give(self, slots: Sequence[int], held: Held, actual: int | None) -> None:
        """The request is over; `actual` is the slot that the engine says it has had, where it has said so."""
        with self._lock:
            self._busy.difference_update(slots)
            if actual is not None and [actual] != list(slots):  # it has taken another: this one has something else
                for slot in slots:
                    if self._held[slot].session == held.session:
                        self._held[slot] = Held()
                slots = [actual]
            for slot in slots:
                self._held.pop(slot, None)
                self._held[slot] = held


def held(body: Mapping[str, Any], name: str | None) -> Held:
    """What a slot has that was asked so; see `session` and `prompt`."""
    return Held(session(body, name), prompt(body))


def session(body: Mapping[str, Any], name: str | None) -> Hashable:
    """What all turns of a conversation begin with, as the engine is told it: up to the first question. `name` is the
    client's own word for it."""
    if "prompt" in body:
        prompt = body["prompt"]
        return name, prompt[:_HEAD] if isinstance(prompt, str) else tuple(prompt[:_HEAD])
    beginning: list[Hashable] = []
    for message in body["messages"]:
        content = message.get("content")
        beginning.append(tuple(map(_known_by, content)) if isinstance(content, list) else content)
        if message["role"] == "user":
            break
    return name, *beginning


def prompt(body: Mapping[str, Any]) -> str:
    """What the engine is to read, in its order: two that begin alike begin alike to it, too."""
    if "prompt" in body:
        return body["prompt"] if isinstance(body["prompt"], str) else ""
    said = [f"{body.get('lora')}{body.get('tools')}"]
    for message in body["messages"]:
        content = message.get("content")
        parts = map(_known_by, content) if isinstance(content, list) else (content or "",)
        said.append(f"{message['role']}: {''.join(parts)}{message.get('tool_calls') or ''}")
    return "\n".join(said)


def _common(a: str, b: str) -> int:
    """How many letters they have in common from their beginning on."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # all before `low` is alike, and not all before `high` + 1
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _known_by(part: Mapping[str, Any]) -> str:
    """A text as it is. Of an image, which is megabytes, letters from all over, as JPEGs of pages with the same margin
    end alike; and the end, where a PNG has the checksum of its pixels."""
    if "text" in part:
        text: str = part["text"]
        return text
    url: str = part["image_url"]["url"]
    return url[:: len(url) // _SAMPLE + 1] + url[-64:]
