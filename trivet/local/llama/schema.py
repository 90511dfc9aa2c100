"""JSON Schemas as grammars for the engine.

llama.cpp's own converter passes over many keywords in silence. The engine is built with llguidance (MIT), which knows
far more of them, and the same library here tells beforehand what it does not: such a schema the engine would answer as
if there were none. The text comes as `json.dumps` writes it, since white space of the model's choice can go on forever;
and where a schema lists an object's properties and says nothing of others, there are no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from trivet.errors import RequestError, UnsupportedError

_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_PREFIX = "%llguidance {}\nstart: %json "
_JOINED = {"allOf", "anyOf", "oneOf", "$ref"}  # beside these, properties may be listed in several places
_VALUES = {"const", "enum", "default", "examples"}  # what is in these is no schema
_OTHERS = {"additionalProperties", "patternProperties", "unevaluatedProperties"}
_BEYOND_IT = re.compile(r"unimplemented|unknown format|not supported|not present in a registry", re.I)


def grammar(schema: Mapping[str, Any], where: str, model: str) -> str:
    """The grammar of JSON that `schema` accepts, in llguidance's syntax.

    Raises `UnsupportedError` for what the grammar cannot hold, and `RequestError` for what is no schema. `where` is the
    schema's path in the request.
    """
    from llguidance import LLMatcher

    check_bounds(schema, where)
    plain = _plain(schema)
    text = json.dumps({**plain, "x-guidance": _STYLE})
    problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(text))
    if not problem:
        if Witness(made := _PREFIX + text).never:
            raise RequestError(
                f"{where} is no JSON Schema that an answer can have: it goes round in a circle", field=where
            )
        return made
    said = " ".join(problem.split())
    if _BEYOND_IT.search(problem):
        raise UnsupportedError(
            f"{model}: its grammar does not hold {where} ({said}), so that an answer could break it: "
            "leave that out and check it afterwards, or name another model",
            field=where,
        )
    raise RequestError(f"{where} is not a JSON Schema that an answer can have: {said}", field=where)


class Witness:
    """Reads an answer as it comes, to tell whether a grammar of `grammar` really holds it.

    The engine answers a grammar that is too much for it, such as a list of up to 100,000 items, as if there were none,
    without a word. The library reads a thousand bytes in a fifth of a millisecond.
    """

    def __init__(self, grammar: str) -> None:
        from llguidance import LLMatcher, LLTokenizer

        schema = LLMatcher.grammar_from_json_schema(grammar.removeprefix(_PREFIX))
        self._matcher = LLMatcher(LLTokenizer("byte"), schema, log_level=0)

    @property
    def never(self) -> bool:
        """Whether no answer at all can be right."""
        self._matcher.compute_logit_bias()
        return bool(self._matcher.is_error())

    def right(self, text: str) -> bool:
        """Whether the answer can go on with `text`."""
        data = list(text.encode())
        return bool(self._matcher.try_consume_tokens(data) == len(data)) and not self._matcher.is_error()

    @property
    def whole(self) -> bool:
        """Whether the answer can end here."""
        return bool(self._matcher.is_accepting())


def check_bounds(schema: Any, path: str) -> None:
    """Raises `RequestError` for a least number above the most, on which llama.cpp's own converter takes all memory. It
    sees the tools that a model is free to call."""
    todo = [schema]
    while todo:
        value = todo.pop()
        if isinstance(value, Mapping):
            for kind in ("Length", "Items"):
                low, high = value.get(f"min{kind}"), value.get(f"max{kind}")
                if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                    raise RequestError(f"{path}: min{kind} {low} is above max{kind} {high}", field=path)
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


def moved(schema: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    """The schema for another place in a document, where its root stands at `prefix`: its references point there."""
    out: Mapping[str, Any] = _plain(schema, f"#/{prefix}")
    return out


def _plain(value: Any, root: str = "#", *, closed: bool = True) -> Any:
    """With references from `root`; without what would give them another base, or the library other orders. `closed`
    objects have no properties but those listed."""
    if isinstance(value, list | tuple):
        return [_plain(v, root, closed=closed) for v in value]
    if not isinstance(value, Mapping):
        return value
    closed = closed and not value.keys() & _JOINED
    dropped = {"x-guidance", *(["$id"] if isinstance(value.get("$id"), str) else [])}  # a property may have this name
    out = {k: v if k in _VALUES else _plain(v, root, closed=closed) for k, v in value.items() if k not in dropped}
    ref = out.get("$ref")
    if isinstance(ref, str) and ref.startswith("#"):
        out["$ref"] = root + ref[1:]
    if closed and out.get("type") == "object" and "properties" in out and not out.keys() & _OTHERS:
        out["additionalProperties"] = False
    return out
