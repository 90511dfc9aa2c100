"""Plain Python functions as tools: the signature and the docstring are all that a model needs to know. ::

    def weather(city: str, days: int = 1) -> str:
        '''The weather in a city.

        Args:
            city: its name, in English
        '''

A parameter with a default is optional. Its description is what the docstring says under `Args:`, or a string in its
`Annotated`. Functions may be async.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from trivet import typed
from trivet.errors import ToolError
from trivet.types import Audio, Document, Image, Text, Tool, ToolCall, ToolResult

__all__ = ["Function", "run", "tool"]

Function = Callable[..., Any]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ARGS = re.compile(r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+\S.*(?:\n|\Z)|[ \t]*\n)+)", re.M)
_ARG = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)")
_PLAIN = (str, int, float, bool, type(None))


def tool(function: Function) -> Tool:
    """The function as a tool: its name, its docstring, the JSON Schema of its parameters.

    Raises TypeError for parameters without a type, of a type that JSON cannot have, or that have no name to a caller
    (`*args`, `**kwargs`, positional only).
    """
    described, texts = _docstring(function)
    schema = typed.schema(_arguments(function))
    schema.pop("title", None)
    for name, parameter in inspect.signature(function).parameters.items():
        shown = schema["properties"][name]
        text = texts.get(name) or _annotation_text(_hints(function)[name])
        if text:
            shown["description"] = text
        if parameter.default is not parameter.empty and isinstance(parameter.default, _PLAIN):
            shown.setdefault("default", parameter.default)
    return Tool(name=function.__name__, description=described, parameters=schema)


async def run(call: ToolCall, functions: Iterable[Function]) -> ToolResult:
    """Calls the function that a model has asked for, and gives the result to send back in a user's message.

    An ordinary function runs in a thread. What it returns is the result's text, or as JSON where it is no string;
    parts (`trivet.image(...)`), alone or in a list, stay what they are. Where the model named no such function, or gave
    arguments that do not fit, the result is an error that tells it so. Raises ToolError where the function itself
    fails.
    """
    known = {function.__name__: function for function in functions}
    function = known.get(call.name)
    if function is None:
        return _mistake(call, f"There is no tool {call.name!r}. There are: {', '.join(known) or 'none'}.")
    try:
        arguments = typed.decode(call.arguments or "{}", _arguments(function))
    except typed.Misfit as error:
        return _mistake(call, f"The arguments of {call.name} are wrong: {error}")
    named = {name: getattr(arguments, name) for name in arguments.__struct_fields__}
    try:
        if inspect.iscoroutinefunction(function):
            result = await function(**named)
        else:
            result = await asyncio.to_thread(function, **named)
        return ToolResult(call_id=call.id, content=_content(result))
    except Exception as error:
        raise ToolError(f"The tool {call.name} failed: {type(error).__name__}: {error}") from error


def _mistake(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text=text),), is_error=True)


def _content(result: object) -> tuple[Text | Image | Audio | Document, ...]:
    parts = result if isinstance(result, list | tuple) and result else [result]
    if all(isinstance(part, Text | Image | Audio | Document) for part in parts):
        return tuple(typing.cast(Any, parts))
    return (Text(text=result if isinstance(result, str) else typed.encode(result)),)


def _arguments(function: Function) -> type[msgspec.Struct]:
    """The function's parameters as a type with a field for each."""
    if not inspect.isroutine(function):
        raise TypeError(f"tools are functions and trivet.Tool values, and one is of type {type(function).__name__}")
    where = f"{function.__name__}()"
    hints = _hints(function)
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in _BY_NAME:
            raise TypeError(f"{where} cannot be a tool: a model names each argument, and {parameter} cannot be named")
        if name not in hints:
            raise TypeError(f"{where} cannot be a tool: its parameter {name!r} has no type. Write `{name}: str`, say")
        fields.append((name, typed.adapted(hints[name]), *_default(parameter)))
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _default(parameter: inspect.Parameter) -> tuple[Any, ...]:
    """The default itself, which need not be a value that can be copied or written down."""
    default = parameter.default
    return () if default is parameter.empty else (msgspec.field(default_factory=lambda: default),)


def _hints(function: Function) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        where = f"{function.__name__}()"
        raise TypeError(f"{where} cannot be a tool: an annotation names what is not there: {error}") from None


def _annotation_text(hint: Any) -> str | None:
    """The description in an `Annotated`: a string, or what has one (pydantic's `Field`, `Doc`)."""
    for note in getattr(hint, "__metadata__", ()):
        text = note if isinstance(note, str) else getattr(note, "description", getattr(note, "documentation", None))
        if isinstance(text, str):
            return text
    return None


def _docstring(function: Function) -> tuple[str | None, dict[str, str]]:
    """What the docstring says of the function, and of each parameter under `Args:`."""
    text = inspect.getdoc(function) or ""
    found = _ARGS.search(text)
    if found is None:
        return text.strip() or None, {}
    lines = [line for line in found[1].splitlines() if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    texts: dict[str, str] = {}
    name = None
    for line in lines:
        entry = _ARG.match(line.strip()) if line[indent] not in " \t" else None
        if entry is not None:
            name = entry[1]
            texts[name] = entry[2]
        elif name is not None:
            texts[name] += f" {line.strip()}"
    rest = f"{text[: found.start()].rstrip()}\n\n{text[found.end() :].lstrip()}".strip()
    return rest or None, {name: text.strip() for name, text in texts.items()}
