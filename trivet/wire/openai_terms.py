"""What OpenAI's protocols share of the terms on which a provider takes a request: refusals, `extra`, cache marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from trivet.errors import UnsupportedError
from trivet.types import CacheMark, Extra, Request
from trivet.wire import Target
from trivet.wire.carry import LABELS


class SharedTerms:
    """Those of one request. `own` says that its client wrote it in this protocol, `foreign` that it wrote another."""

    protocol: ClassVar[str]
    called: ClassVar[str]  # the protocol, in errors
    labels: ClassVar[frozenset[str]] = LABELS  # what is in an `extra` of ours, and no field of the protocol's

    def __init__(self, request: Request, target: Target) -> None:
        self.target = target
        self.own = request.source is not None and request.source.protocol == self.protocol
        self.foreign = request.source is not None and not self.own

    def refuse(self, what: str, field: str, instead: str = "leave it out, or name another model") -> UnsupportedError:
        return UnsupportedError(
            f"{self.target.provider} takes no {what} ({field}) in {self.called}: {instead}", field=field
        )

    def check_root(self, schema: Mapping[str, Any]) -> None:
        """Raises where the answer is to be no object, which OpenAI itself does not take."""
        if self.target.family == "openai" and not self.own and schema and schema.get("type") != "object":
            raise UnsupportedError(
                f"the schema of the answer is none of type object, and {self.target.provider} takes no other: "
                "wrap it in an object that has it as a property",
                field="output.schema",
            )

    def merge(self, written: dict[str, Any], extra: Extra, where: str = "") -> dict[str, Any]:
        """With the `extra` of what was written, which only its own protocol can carry."""
        left = {name: value for name, value in extra.items() if name not in self.labels}
        for name in left if self.foreign else ():
            path = f"{where}.{name}" if where else name
            raise _no_counterpart(path, self.called, self.target)
        return merged(written, left) if left else written


def carried(request: Request, target: Target, protocol: str, called: str) -> Extra:
    """The request's own `extra`, which only the `protocol` that its client wrote it in can carry, `called` so in the
    `UnsupportedError` that is raised where it wrote another."""
    if request.source is not None and request.source.protocol != protocol:
        for name in request.extra:
            raise _no_counterpart(name, called, target)
    return request.extra


def _no_counterpart(path: str, called: str, target: Target) -> UnsupportedError:
    return UnsupportedError(
        f"{path} has no counterpart in {called}, which {target.provider} is asked in: leave it out, or name another "
        "model",
        field=path,
    )


def breakpoint(mark: CacheMark) -> dict[str, Any]:
    """The field that a cache mark is. Lifetimes here are the least that is kept: 30 minutes where none is given, else
    12 hours."""
    longer = {"ttl": "12h"} if mark.ttl == "1h" else {}
    return {"prompt_cache_breakpoint": {"mode": "explicit", **longer}}


def merged(written: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects in one another; a value of `more` goes before one of `written`."""
    out = dict(written)
    for name, value in more.items():
        old = out.get(name)
        out[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return out
