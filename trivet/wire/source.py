"""Same protocol in and out: what a client wrote goes to the provider as it was, but for what wrappers have changed.

What they changed is found by comparing the request with what its source was parsed to. Where nothing is, the client's
own bytes go out, value by value, unknown fields included, with the model's name exchanged. Where something is, the
request is written before and after the change, and what differs between the two is put in its place.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from trivet.errors import UnsupportedError
from trivet.types import Request, Source, replace
from trivet.wire import Back, Target

_OURS = ("model", "context", "source")
_TURNS = ("messages", "input", "contents")  # where protocols have the turns of a conversation
_parsed: WeakKeyDictionary[Source, tuple[Any, ...]] = WeakKeyDictionary()
_encoder = msgspec.json.Encoder()
_Object = dict[str, msgspec.Raw]


def remember(request: Request) -> None:
    """Keeps what a source was parsed to for as long as the source lives, so that nobody need parse it again."""
    if request.source is not None:
        _parsed[request.source] = _fields(type(request))(request)


def body(request: Request, target: Target, wire: Back) -> bytes:
    """The JSON body that asks `target` in the protocol `wire`. Raises `UnsupportedError` for what it cannot carry."""
    source = request.source
    if source is None or source.protocol != wire.PROTOCOL:
        return _encoder.encode(wire.write(request, target))
    fields, before = _fields(type(request)), _parsed.get(source)
    if before is None:
        before = fields(wire.parse(source.body).request)
    own: _Object = msgspec.json.decode(source.body, type=_Object)
    if fields(request) != before:  # which looks first whether they are the same objects
        old = replace(request, **dict(zip(_names(type(request)), before, strict=True)))
        hinted = getattr(wire, "hinted", None)
        changed = None if hinted is None else hinted(own, request, old)
        if changed is None:
            own, changed = _changed(request, old, own, target, wire)
        own = own | changed
    for name, value in wire.told(own, target).items():
        if value is msgspec.UNSET:
            own.pop(name, None)
        else:
            own[name] = _raw(value)
    return _encoder.encode(own)


def _changed(after: Request, before: Request, own: _Object, target: Target, wire: Back) -> tuple[_Object, _Object]:
    """The client's fields without those that are gone, and the fields that are new or different."""
    new = wire.write(after, target)
    try:
        old = wire.write(before, target)
    except UnsupportedError:  # what cannot be sent is what was taken out
        old = {}
    kept = {name: value for name, value in own.items() if name in new or name not in old}
    differ = {n for n, v in new.items() if n not in old or old[n] != v}
    if getattr(after, "messages", ()) != getattr(before, "messages", ()):
        differ |= {n for n in _TURNS if n in new and n in old and _elsewhere(own.get(n), old[n])}
    return kept, {n: _merged(own.get(n), old.get(n), v) for n, v in new.items() if n in differ}


def _elsewhere(own: msgspec.Raw | None, old: Any) -> bool:
    """Whether we write some of these turns in another field, as a system prompt that the client has among them: it
    would be said there and here."""
    items = _items(own)
    return items is not None and isinstance(old, list) and len(items) != len(old)


def _merged(own: msgspec.Raw | None, old: Any, new: Any) -> msgspec.Raw:
    """A field's new value. Of a list (messages, tools) whose items are the client's one by one, those at its beginning
    and end that have not changed stay the client's own bytes."""
    items = _items(own)
    if items is None or not isinstance(old, list) or not isinstance(new, list) or len(items) != len(old):
        return _raw(new)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = [_raw(value) for value in new[head : len(new) - tail]]
    return _raw([*items[:head], *middle, *items[len(items) - tail :]])


def _items(own: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """A field's items, None where it is no list."""
    try:
        return None if own is None else msgspec.json.decode(own, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        return None


def differing(after: Request, before: Request) -> set[str]:
    """The names of the fields that are not the same."""
    pairs = ((name, getattr(after, name), getattr(before, name)) for name in _names(type(after)))
    return {name for name, new, old in pairs if new is not old and new != old}


def _names(kind: type[Request]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name not in _OURS)


@functools.cache
def _fields(kind: type[Request]) -> Callable[[Request], tuple[Any, ...]]:
    """What gives a request's fields, in the order of `_names`."""
    return operator.attrgetter(*_names(kind))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(value))
