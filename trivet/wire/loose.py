"""Schemas that are to hold, for a protocol whose strict mode takes only some: the others are told without strict, with
a note, where their client wrote another protocol, which has not these rules. What a client or a user wrote as strict
for this one stays as it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trivet.types import Conversation, replace

Obstacle = Callable[[Mapping[str, Any]], str | None]
"""What a strict mode has against a schema, None where it takes it."""


def loosen(request: Conversation, obstacle: Obstacle, who: str) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation with strict only where `who` takes it, and notes of the rest. The same object comes back where
    that is everywhere."""
    notes: list[str] = []
    output = request.output
    if output is not None and output.strict and output.schema is not None and (why := obstacle(output.schema)):
        request = replace(request, output=replace(output, strict=False))
        notes.append(f"the answer's schema is not strict for {who}, whose strict mode does not take it: {why}")
    loose = [t.name for t in request.tools if t.strict and obstacle(t.parameters)]
    if loose:
        tools = tuple(replace(t, strict=False) if t.name in loose else t for t in request.tools)
        request = replace(request, tools=tools)
        notes.append(f"tools not strict for {who}, whose strict mode does not take their schemas: {', '.join(loose)}")
    return request, tuple(notes)
