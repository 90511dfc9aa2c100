"""Values with every field filled, and each change to one field of them, at any depth: for what must not overlook a
field, not even one that is new. Which fields there are is read from the types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect as ms

from trivet.types import ToolChoice, Value

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@st.composite
def filled(draw: st.DrawFn, kind: type[Value]) -> Any:
    """A value whose fields all have something, and whose lists have one of everything that may stand in them. Fields of
    one type have the same, so that nothing is told apart by its content alone."""
    word = draw(WORDS)
    leaves: dict[type, Any] = {
        ms.StrType: word,
        ms.BytesType: draw(st.binary(min_size=1, max_size=8)),
        ms.IntType: draw(st.integers(1, 19)),  # within every bound that there is, and the next one, too
        ms.FloatType: draw(st.sampled_from([0.25, 0.5])),
        ms.BoolType: draw(st.booleans()),
        ms.AnyType: {word: [word]},
        ms.NoneType: None,
        ms.DictType: {word: word},
    }
    return _fill(ms.type_info(kind), leaves)


def _fill(info: ms.Type, leaves: dict[type, Any]) -> Any:
    if isinstance(info, ms.UnionType):
        return _fill(next(t for t in info.types if not isinstance(t, ms.NoneType)), leaves)
    if isinstance(info, ms.StructType):
        return built(info.cls, {f.name: _fill(f.type, leaves) for f in info.fields})
    if isinstance(info, ms.VarTupleType):
        inner = info.item_type
        return tuple(_fill(each, leaves) for each in (inner.types if isinstance(inner, ms.UnionType) else (inner,)))
    return info.values[0] if isinstance(info, ms.LiteralType) else leaves[type(info)]


def built(kind: type[Value], fields: dict[str, Any], keep: str | None = None) -> Any:
    """The value, without a field that another one excludes; `keep` stays."""
    if kind is ToolChoice and (keep == "name" or fields["mode"] == "named"):
        fields = fields | {"mode": "named", "name": fields["name"] or "some", "names": ()}
    for left_out in (None, *kind.__struct_fields__):
        if left_out is None or left_out != keep:
            try:
                return kind(**{name: value for name, value in fields.items() if name != left_out})
            except (ValueError, TypeError):
                continue
    raise AssertionError(f"there is no {kind.__name__} whose {keep} is {fields[str(keep)]!r}")


def changes(value: Any, kind: type[Value]) -> Iterator[tuple[tuple[type, str] | None, Any]]:
    """Each copy with one change, and whose field that is in which struct."""
    yield from _changes(value, ms.type_info(kind))


def _changes(value: Any, info: ms.Type) -> Iterator[tuple[tuple[type, str] | None, Any]]:
    if isinstance(info, ms.UnionType):
        structs = {t.cls: t for t in info.types if isinstance(t, ms.StructType)}
        info = structs.get(type(value)) or next(t for t in info.types if not isinstance(t, ms.NoneType))
    if isinstance(value, Value) and isinstance(info, ms.StructType):
        for field in info.fields:
            old = getattr(value, field.name)
            fields = {f.name: getattr(value, f.name) for f in info.fields}
            for where, new in _changes(old, field.type):
                changed = built(info.cls, fields | {field.name: new}, keep=field.name)
                yield where or (info.cls, field.name), changed
    elif isinstance(value, tuple) and isinstance(info, ms.VarTupleType):
        for i, item in enumerate(value):
            for where, new in _changes(item, info.item_type):
                yield where, (*value[:i], new, *value[i + 1 :])
        yield None, (*value, *value[:1])
    elif isinstance(info, ms.LiteralType):
        yield None, next((word for word in info.values if word != value), None)  # of one word, that it is not said
    else:
        yield None, _other(value, info)


def _other(value: Any, info: ms.Type) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {**value, "more": 1}
    if isinstance(value, str | bytes):
        return value + value[:1]
    if isinstance(value, int | float):
        return value + (1 if isinstance(value, int) else 0.125)
    assert value is None, value  # another field excludes it
    return b"x" if isinstance(info, ms.BytesType) else "x"


def fields_of(kind: type[Value]) -> set[tuple[type, str]]:
    """Every field of the struct, and of those in it; those of a field that is a struct stand for it."""
    found: set[tuple[type, str]] = set()
    todo, seen = [ms.type_info(kind)], set()
    while todo:
        info = todo.pop()
        if isinstance(info, ms.UnionType):
            todo += info.types
        elif isinstance(info, ms.VarTupleType):
            todo.append(info.item_type)
        elif isinstance(info, ms.StructType) and info.cls not in seen:
            seen.add(info.cls)
            todo += [field.type for field in info.fields]
            found |= {(info.cls, field.name) for field in info.fields if not _is_struct(field.type)}
    return found


def _is_struct(info: ms.Type) -> bool:
    return any(isinstance(t, ms.StructType) for t in (info.types if isinstance(info, ms.UnionType) else (info,)))
