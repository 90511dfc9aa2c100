"""A stream of server-sent events as one JSON array, as Gemini tells a stream that is not asked for with `alt=sse`."""

from __future__ import annotations

from trivet.wire import sse

CONTENT_TYPE = b"application/json"


class JsonArray:
    """The events' data are its elements. What comes in is cut between events, and may be a provider's own bytes."""

    def __init__(self) -> None:
        self._parser = sse.Parser()
        self._begun = False

    def feed(self, events: bytes, *, last: bool = False) -> bytes:
        """The array's next bytes; those that end it with the `last`."""
        out = []
        for event in self._parser.feed(events):
            if event.data:
                out.append(b",\r\n" if self._begun else b"[")
                out.append(event.data)
                self._begun = True
        if last:
            out.append(b"]" if self._begun else b"[]")
        return b"".join(out)
