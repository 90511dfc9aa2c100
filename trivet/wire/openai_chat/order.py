"""The order of a model's turn, for which this protocol has no word: a message has its text, its calls and its thoughts
each by themselves.

Where a turn is not thoughts, then text, then calls, the items of `reasoning_details` say where they stand: in their
`id`, a field that clients hand back as it came. It counts the characters of text and the calls before it, as in
`trivet:12:1`. Text that goes on after a call, with no thought between, has an item of its own there, with nothing in
it. A client that drops these items loses the order and nothing else; places beyond what it sends back are its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from trivet.types import Citation, Message, Opaque, Part, Text, Thinking, ToolCall, replace
from trivet.wire.openai_chat.reasoning import claimed

T = TypeVar("T")
C = TypeVar("C")
Place = tuple[int, int]  # how many characters of text, and how many calls, stand before it

FRONT: Place = (0, 0)
_PLACE = re.compile(r"trivet:(\d{1,9}):(\d{1,9})")


def place_id(place: Place) -> str:
    return f"trivet:{place[0]}:{place[1]}"


def read_place(id: object) -> Place | None:
    """None for an id that is not ours."""
    found = _PLACE.fullmatch(id) if isinstance(id, str) else None
    return None if found is None else (int(found[1]), int(found[2]))


def is_place(detail: object) -> bool:
    """Whether it is a place, and no thought."""
    told = detail if isinstance(detail, dict) else {}
    return read_place(told.get("id")) is not None and not any(told.get(k) for k in ("text", "signature", "data"))


def placed(parts: Sequence[Part]) -> list[tuple[Thinking | None, Place]]:
    """The thoughts of a turn, each with its place; None is a place where text goes on after a call."""
    out: list[tuple[Thinking | None, Place]] = []
    said = calls = known = 0
    for n, part in enumerate(parts):
        if isinstance(part, Thinking) and not claimed(parts, n):
            out.append((part, (said, calls)))
            known = calls
        elif isinstance(part, ToolCall | Opaque):
            calls += 1
        elif isinstance(part, Text) and part.text:
            if calls > known:
                out.append((None, (said, calls)))
                known = calls
            said += len(part.text)
    return out


def reorders(message: Message) -> bool:
    """Whether it is a turn of the model's whose order the protocol has no words for."""
    return message.role == "assistant" and any(place != FRONT for _, place in placed(message.content))


def arrange(thoughts: Sequence[tuple[Place, T]], texts: Sequence[Text], calls: Sequence[C]) -> list[T | Text | C]:
    """All of a turn, in order: the thoughts at their places, and between these first the text and then the calls."""
    out: list[T | Text | C] = []
    said = made = 0
    for (text_before, calls_before), thought in sorted(thoughts, key=lambda t: t[0]):
        out += _cut(texts, said, text_before)
        out += calls[made:calls_before]
        said, made = max(said, text_before), max(made, calls_before)
        out.append(thought)
    return [*out, *_cut(texts, said, sum(len(t.text) for t in texts)), *calls[made:]]


def _cut(texts: Sequence[Text], start: int, end: int) -> list[Text]:
    """What stands between these characters of all of the text."""
    out: list[Text] = []
    begin = 0
    for text in texts:
        here, until = max(start - begin, 0), min(end - begin, len(text.text))
        if here < until:
            out.append(text if until - here == len(text.text) else _piece(text, here, until))
        begin += len(text.text)
    return out


def _piece(text: Text, start: int, end: int) -> Text:
    """With the citations that begin in it; a cache mark is of the last piece, where the text ends."""
    cited = tuple(_shifted(c, start) for c in text.citations if start <= (c.start or 0) < end)
    cache = text.cache if end == len(text.text) else None
    return replace(text, text=text.text[start:end], citations=cited, cache=cache)


def _shifted(citation: Citation, by: int) -> Citation:
    if by == 0 or citation.start is None:
        return citation
    return replace(
        citation,
        start=citation.start - by,
        end=None if citation.end is None else citation.end - by,
        raw=None,  # which counts from elsewhere
    )
