"""A block of a stream, put together from its pieces, whatever its type."""

from __future__ import annotations

from typing import Any

import msgspec


class Growing:
    """Starts as its `content_block_start` says it, and takes its deltas. `json` is the text of its input."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.kind = start.get("type")
        self._json: list[str] = []
        self._texts: dict[str, list[str]] = {}  # by field, joined once at the end
        self._others: dict[str, Any] = {}

    @property
    def json(self) -> str:
        return "".join(self._json)

    def add(self, delta: dict[str, Any]) -> None:
        """Of a delta that is not known, texts are taken for pieces, and all else for the whole value."""
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._json.append(delta["partial_json"])
        elif kind == "citations_delta":
            self._others.setdefault("citations", list(self.start.get("citations") or ())).append(delta["citation"])
        elif kind == "signature_delta":
            self._others["signature"] = delta["signature"]
        else:
            for name, value in delta.items():
                if isinstance(value, str) and name != "type":
                    self._texts.setdefault(name, [self.start.get(name) or ""]).append(value)
                elif name != "type":
                    self._others[name] = value

    def whole(self) -> dict[str, Any]:
        """The block as it would stand in a whole answer. An input that was cut short stands under the protocol's key
        for one."""
        block = {**self.start, **self._others, **{name: "".join(texts) for name, texts in self._texts.items()}}
        if self._json:
            try:
                block["input"] = msgspec.json.decode(self.json or "{}")
            except msgspec.DecodeError:
                block["input"] = {"INVALID_JSON": self.json}
        return block
