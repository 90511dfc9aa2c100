"""What a client has been passed of a provider's own stream: the output of a response that fails after it."""

from __future__ import annotations

import msgspec

from trivet.collect import Collector
from trivet.types import Event
from trivet.wire import sse
from trivet.wire.openai_responses.items_out import Item, write_item

# As they stand in an event's JSON, where a quote inside a string has a backslash before it.
_ADDED, _DONE = b'"response.output_item.added"', b'"response.output_item.done"'


class Passed:
    """Items that are done are the provider's own, word for word; that under way is what its pieces have told. Items
    come one after the other: of several side by side, those are lost that another's end has overtaken."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._added = b""
        self._pieces = Collector()

    def note(self, event: Event, body: bytes) -> None:
        """An event, and the bytes that the client got of it."""
        if _DONE in body:
            self._done.append(body)
            self._added, self._pieces = b"", Collector()
            return
        if _ADDED in body:
            self._added = body
        self._pieces.add(event)

    def output(self, id: str) -> list[Item]:
        """The items so far; `id` is for those whose own is not known."""
        items = [item for body in self._done if (item := _item(body))]
        begun = _item(self._added)
        for i, part in enumerate(self._pieces.content()):
            item = write_item(part, f"{id}_{len(items)}", "incomplete")
            if i == 0 and begun.get("type") == item["type"] and "id" in begun:
                item = {**item, "id": begun["id"]}
            items.append(item)
        return items


def _item(body: bytes) -> Item:
    """The item that an event is about."""
    for event in sse.Parser().feed(body):
        item = msgspec.json.decode(event.data).get("item")
        if isinstance(item, dict):
            return item
    return {}
