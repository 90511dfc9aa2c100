"""Names as labels of metrics, of which there must not be any number."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["OTHER", "Names"]

OTHER = "other"


class Names:
    """Names that are configured, which `known` says, or that have answered, `most` of them in all. Any other is
    `other`: a client may ask for any name at a host."""

    def __init__(self, known: Callable[[str], bool], most: int = 1_000) -> None:
        self._known = known
        self._most = most
        self._names: set[str] = set()

    def label(self, name: str, *, answered: bool) -> str:
        if name not in self._names:
            if len(self._names) >= self._most or not (answered or self._known(name)):
                return OTHER
            self._names.add(name)
        return name
