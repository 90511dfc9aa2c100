"""The bytes that a request, an answer or an event came from."""

from __future__ import annotations

from trivet.types.value import Value


class Source(Value, weakref=True, frozen=True, kw_only=True):
    """What was received, as it was: the protocol's name and the bytes.

    Of a request, the JSON body that its client wrote. A provider of the same protocol sends it, with the model's name
    exchanged. Wrappers do not touch it: what they changed is found by comparing, field by field (`trivet.wire.source`).
    Of an answer or an event (`raw`), what the provider sent, which a server of the same protocol passes on: whoever
    changes such a value drops its `raw`.
    """

    protocol: str
    body: bytes
