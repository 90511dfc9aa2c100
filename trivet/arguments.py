"""From the arguments of `trivet.chat` and its siblings to a request. TypeError for what no such function takes, as
any Python function would raise it; RequestError for a wrong value."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, cast

from trivet import attach, functions, pixels
from trivet.config import nearest
from trivet.errors import RequestError
from trivet.types import (
    Audio,
    Chat,
    Context,
    Document,
    Effort,
    Image,
    Message,
    Output,
    Part,
    Reasoning,
    Request,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    check,
    replace,
    user,
)

__all__ = [
    "AskOptions",
    "Attach",
    "ChatOptions",
    "ConversationOptions",
    "Prompting",
    "SamplingOptions",
    "Tools",
    "chat_request",
    "map_request",
    "sampling",
    "spelled_out",
]

F = TypeVar("F", bound=Callable[..., Any])
Prompting = str | Text | Image | Audio | Document | Message | Sequence[Message]
Tools = Iterable[Tool | functions.Function]
_One = pixels.Pixels | str | os.PathLike[str] | bytes | Image | Audio | Document
Attach = _One | Iterable[_One]

_LABELS = ("user", "cache_key", "service_tier", "extra")


class SamplingOptions(TypedDict, total=False):
    """`trivet.Sampling`, as keyword arguments."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    seed: int | None
    stop: str | Sequence[str]
    max_tokens: int | None
    logprobs: int | None
    n: int


class ChatOptions(SamplingOptions, total=False):
    """And what else `trivet.Chat` has that is seldom said; `extra` are fields in the provider's own words. `cache` is a
    word on trivet's own cache of answers, where the model has one: `off` for a fresh answer, `on` for one of before."""

    user: str | None
    cache_key: str | None
    service_tier: str | None
    cache: Literal["off", "on"] | None
    extra: Mapping[str, Any]


class ConversationOptions(TypedDict, total=False):
    """What may be said of a conversation beside its messages; `trivet.chat` tells what each is."""

    system: str | None
    attach: Attach
    tools: Tools
    tool_choice: ToolChoice | str | None
    reasoning: Reasoning | str | int | None


class AskOptions(ConversationOptions, ChatOptions, total=False):
    """All that a chat may be asked with, but for its output."""


_DEFAULTS: Mapping[str, Any] = {"attach": (), "tools": (), "stop": (), "n": 1, "extra": {}}  # the others' is None


def spelled_out(options: type) -> Callable[[F], F]:
    """Gives a function the names in `options`, a TypedDict, in the place of its `**options`: for `help` and notebooks,
    which see no further than the signature."""

    def spell(function: F) -> F:
        own = inspect.signature(function)
        parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        for name, kind in options.__annotations__.items():
            told = getattr(kind, "__forward_arg__", kind)
            default = _DEFAULTS.get(name)
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=told))
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return spell


def chat_request(
    function: str,
    messages: Prompting,
    options: Mapping[str, Any],
    output: Output | Mapping[str, Any] | None = None,
    *,
    takes: type = AskOptions,
) -> Chat:
    """`function` is the name of the caller, for its errors, and `takes` the TypedDict of its `options`."""
    _known(function, options, tuple(takes.__annotations__))
    turns = _with(_messages(messages), _parts(options.get("attach", ())))
    if (system := options.get("system")) is not None:
        turns = (Message(role="system", content=(Text(text=system),)), *turns)
    return check(
        Chat(
            messages=turns,
            tools=_tools(options.get("tools", ())),
            tool_choice=_tool_choice(options.get("tool_choice")),
            output=Output(schema=output) if isinstance(output, Mapping) else output,
            reasoning=_reasoning(options.get("reasoning")),
            sampling=sampling(function, {k: v for k, v in options.items() if k in SamplingOptions.__annotations__}),
            context=Context(cache=options.get("cache")),
            **{name: options[name] for name in _LABELS if name in options},
        )
    )


def map_request(item: object, i: int, system: str | None, options: Mapping[str, Any]) -> Request:
    """The `i`-th of `trivet.map`'s requests."""
    if isinstance(item, str):
        _known("map", options, tuple(ChatOptions.__annotations__))
        return chat_request("map", item, {**options, "system": system})
    if isinstance(item, Request):
        return item
    raise TypeError(f"requests are strings and values such as trivet.Chat(...), and [{i}] is {type(item).__name__}")


def sampling(function: str, given: Mapping[str, Any]) -> Sampling:
    _known(function, given, tuple(SamplingOptions.__annotations__))
    options = dict(given)
    stop = options.get("stop", ())
    options["stop"] = (stop,) if isinstance(stop, str) else tuple(stop or ())
    try:
        return check(Sampling(**options))
    except ValueError as error:
        raise RequestError(str(error), field=str(error).split()[0]) from None


def _known(function: str, options: Iterable[str], names: Sequence[str]) -> None:
    for name in options:
        if name not in names:
            meant = nearest(name, names)
            hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(names)}"
            raise TypeError(f"{function}() has no argument {name!r}: {hint}")


def _messages(given: object) -> tuple[Message, ...]:
    if isinstance(given, str | Part):
        return (user(given),)
    if isinstance(given, Message):
        return (given,)
    turns = tuple(given) if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes) else (given,)
    for turn in turns:
        if not isinstance(turn, Message):
            raise TypeError(
                f"messages are a string, or trivet.user(...), trivet.assistant(...) and trivet.system(...), "
                f"and one is of type {type(turn).__name__}"
            )
    if not turns:
        raise RequestError("There is no message to answer.", field="messages")
    return turns


def _parts(attached: Attach) -> tuple[Part, ...]:
    one = isinstance(attached, str | os.PathLike | bytes | Image | Audio | Document) or pixels.are(attached)
    items = (attached,) if one or not isinstance(attached, Iterable) else tuple(cast(Iterable[Any], attached))
    return tuple(item if isinstance(item, Image | Audio | Document) else attach.attach(item) for item in items)


def _with(turns: tuple[Message, ...], parts: tuple[Part, ...]) -> tuple[Message, ...]:
    """What is attached stands before the question, where models read it best."""
    if not parts:
        return turns
    last = turns[-1]
    if last.role != "user":
        raise RequestError(f"`attach` adds to a user's message, and the last one is the {last.role}'s", field="attach")
    return (*turns[:-1], replace(last, content=(*parts, *last.content)))


def _tools(given: Tools) -> tuple[Tool, ...]:
    if isinstance(given, Tool) or callable(given):
        name = given.name if isinstance(given, Tool) else getattr(given, "__name__", "it")
        raise TypeError(f"tools are several, and this is {name} alone: write tools=[{name}]")
    return tuple(t if isinstance(t, Tool) else functions.tool(t) for t in given)


def _tool_choice(given: ToolChoice | str | None) -> ToolChoice | None:
    if not isinstance(given, str):
        return given
    if given in ("auto", "none", "required"):
        return ToolChoice(mode=cast(Any, given))
    return ToolChoice(mode="named", name=given)


def _reasoning(given: Reasoning | str | int | None) -> Reasoning | None:
    """An effort by its name; a budget, in tokens, by its number."""
    if given is None or isinstance(given, Reasoning):
        return given
    if isinstance(given, str):
        efforts = typing.get_args(Effort)
        if given not in efforts:
            raise RequestError(f"reasoning is {given!r}, and there are: {', '.join(efforts)}", field="reasoning")
        return Reasoning(effort=cast(Effort, given))
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 1:
            raise RequestError(f'reasoning is {given}, a budget is at least 1 token; "none" is none', field="reasoning")
        return Reasoning(budget_tokens=given)
    raise TypeError(
        f"reasoning is an effort, a number of tokens or a trivet.Reasoning, and this is of type {type(given).__name__}"
    )
