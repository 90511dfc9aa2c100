"""Which of the engine's slots has which conversation's beginning.

Left to itself the engine gives a request the idle slot whose content begins most like it, were it but a tenth. With a
system prompt in common, that is another conversation's slot, which thereby loses all it had beyond it; it is not saved
before, as more than half of it stays. So it is told not to (`slot_prompt_similarity` 0): it takes the idle slot that
was longest unused, saves what that has to RAM, and looks there for the beginning of the request. And a conversation
whose slot is still its own is sent to it, as what is in RAM is little for a large model, and a turn behind.

Measured with SmolLM2, 4 slots, a system prompt of 160 tokens in common, conversations taking turns: the share of their
prompts that was read from the cache at the second, third and fourth turn. All of the turn before would be 88, 89, 90 %.

    conversations           2             4             8         4 at once     8 at once
    by likeness         54 48 90 %    54 47 90 %    53 47 90 %    88 89 90 %    62 63 90 %
    longest unused      88 77 80 %    88 89 90 %    88 89 90 %    79 79 78 %    83 89 90 %
    and by session      88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %    88 89 90 %
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

_HEAD = 200  # letters, or tokens, by which a plain prompt is known
_SAMPLE = 256  # letters, by which an image is


class Sessions:
    """The slots of an engine, in the order in which it takes them: the longest unused first."""

    def __init__(self, slots: int) -> None:
        self._held: dict[int, Hashable] = dict.fromkeys(range(slots))
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def take(self, session: Hashable, number: int = 1) -> tuple[list[int], bool]:
        """The slots that a request will have, and whether the engine is to be told so: where one is idle and still has
        the session. Else they are those that the engine will take by itself, as far as can be told."""
        with self._lock:
            idle = [slot for slot in self._held if slot not in self._busy]
            own = [s for s in idle if session is not None and self._held[s] == session] if number == 1 else []
            slots = own or idle[:number]
            for slot in slots:
                self._busy.add(slot)
                self._held[slot] = session
            return slots, bool(own)

    def give(self, slots: Sequence[int], session: Hashable, actual: int | None) -> None:
        """The request is over; `actual` is the slot that the engine says it has had, where it has said so."""
        with self._lock:
            self._busy.difference_update(slots)
            if actual is not None and [actual] != list(slots):  # it has taken another: this one has something else
                for slot in slots:
                    if self._held[slot] == session:
                        self._held[slot] = None
                slots = [actual]
            for slot in slots:
                self._held.pop(slot, None)
                self._held[slot] = session


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


def _known_by(part: Mapping[str, Any]) -> str:
    """A text as it is. Of an image, which is megabytes, letters from all over, as JPEGs of pages with the same margin
    end alike; and the end, where a PNG has the checksum of its pixels."""
    if "text" in part:
        text: str = part["text"]
        return text
    url: str = part["image_url"]["url"]
    return url[:: len(url) // _SAMPLE + 1] + url[-64:]
