"""The functions of `import trivet`: ordinary calls, each one request to a model through the bridge.

Everywhere, `model` is a name (see `trivet.Runtime.model`), a path to weights, or a `Model` of one's own; `config` a
`trivet.toml` or a `Config`, ./trivet.toml being the default where it is there. Raises `TrivetError`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack, cast

from trivet.config import Config, nearest
from trivet.errors import RequestError, TrivetError
from trivet.model import About, Model
from trivet.sync import Bridge, Stream, bridge
from trivet.types import (
    Audio,
    Chat,
    ChatResponse,
    Complete,
    CompleteResponse,
    Conversation,
    CountTokens,
    CountTokensResponse,
    Document,
    Embed,
    EmbedResponse,
    Event,
    Image,
    Message,
    Output,
    Part,
    Request,
    Response,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    check,
    replace,
    task_name,
    user,
)

__all__ = ["SamplingOptions", "chat", "complete", "count_tokens", "embed", "map", "stream"]

Prompting = str | Text | Image | Audio | Document | Message | Sequence[Message]
ConfigLike = Config | str | os.PathLike[str]


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


def chat(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    system: str | None = None,
    tools: Iterable[Tool] = (),
    tool_choice: ToolChoice | str | None = None,
    output: Output | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
    **sampling: Unpack[SamplingOptions],
) -> ChatResponse:
    """Answers a question or a conversation.

    `tool_choice` may be a `ToolChoice`, "auto", "none", "required" or the name of a tool; `output` an `Output` or
    the JSON Schema that the answer must have. ::

        trivet.chat("Hi").text
        trivet.chat([trivet.user("Hi"), trivet.assistant("Hello!"), trivet.user("Bye")], temperature=0)
    """
    request = _chat("chat", messages, system, tools, tool_choice, output, sampling)
    return cast(ChatResponse, _call(request, model, config))


def stream(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    system: str | None = None,
    tools: Iterable[Tool] = (),
    tool_choice: ToolChoice | str | None = None,
    output: Output | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
    **sampling: Unpack[SamplingOptions],
) -> Stream:
    """The same as `chat`, piece by piece: iterate over it for strings, then take its `response`.

    The request is under way at once; leaving the loop, or `close()`, cancels it.
    """
    request = _chat("stream", messages, system, tools, tool_choice, output, sampling)
    if request.sampling.n > 1:
        raise RequestError(f"stream gives one answer, and n is {request.sampling.n}: use trivet.chat", field="n")
    over = bridge()
    return Stream(over, lambda: _events(over, _named(request, model), model, config))


def complete(
    prompt: str,
    *,
    suffix: str | None = None,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
    **sampling: Unpack[SamplingOptions],
) -> CompleteResponse:
    """Goes on from `prompt`, as plain text without a chat's template."""
    request = check(Complete(prompt=prompt, suffix=suffix, sampling=_sampling("complete", sampling)))
    return cast(CompleteResponse, _call(request, model, config))


def embed(
    texts: str | Iterable[str],
    *,
    model: str | Model | None = None,
    dimensions: int | None = None,
    config: ConfigLike | None = None,
) -> EmbedResponse:
    """One vector per text, in order: `.vectors`."""
    request = check(Embed(texts=(texts,) if isinstance(texts, str) else tuple(texts), dimensions=dimensions))
    return cast(EmbedResponse, _call(request, model, config))


def count_tokens(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    system: str | None = None,
    tools: Iterable[Tool] = (),
    tool_choice: ToolChoice | str | None = None,
    output: Output | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
) -> CountTokensResponse:
    """How many tokens a `chat` of the same arguments would have as its prompt: `.input_tokens`."""
    whole = _chat("count_tokens", messages, system, tools, tool_choice, output, {})
    fields = {name: getattr(whole, name) for name in Conversation.__struct_fields__}
    return cast(CountTokensResponse, _call(CountTokens(**fields), model, config))


def map(
    requests: Iterable[str | Request],
    *,
    concurrency: int = 8,
    model: str | Model | None = None,
    system: str | None = None,
    progress: bool | None = None,
    config: ConfigLike | None = None,
    **sampling: Unpack[SamplingOptions],
) -> list[Any]:
    """Many requests at once, at most `concurrency` under way. Gives their responses in order, and in the place of
    one that failed its `TrivetError`. A string is a question for `chat`, with `system` and the sampling options given
    here; other requests have their own. `model` is for requests that name none.

    `progress` says whether to show a bar on standard error, None being: where that is a terminal.
    """
    if isinstance(requests, str):  # whose letters would be the questions
        raise TypeError("requests are a list of questions, and this is one string: use trivet.chat, or [question]")
    todo = [_request(item, i, system, sampling) for i, item in enumerate(requests)]
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}, must be at least 1")
    over = bridge()
    with _bar(len(todo), progress) as advance:

        async def one(request: Request) -> Response | TrivetError:
            try:
                return await _answer(over, request, model, config)
            except TrivetError as error:
                return error

        return over.run(lambda: _each(todo, one, concurrency, advance))


# --- from arguments to a request ---------------------------------------------------------------------------


def _chat(
    function: str,
    messages: Prompting,
    system: str | None,
    tools: Iterable[Tool],
    tool_choice: ToolChoice | str | None,
    output: Output | Mapping[str, Any] | None,
    sampling: Mapping[str, Any],
) -> Chat:
    turns = _messages(messages)
    if system is not None:
        turns = (Message(role="system", content=(Text(text=system),)), *turns)
    return check(
        Chat(
            messages=turns,
            tools=tuple(tools),
            tool_choice=_tool_choice(tool_choice),
            output=Output(schema=output) if isinstance(output, Mapping) else output,
            sampling=_sampling(function, sampling),
        )
    )


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


def _tool_choice(given: ToolChoice | str | None) -> ToolChoice | None:
    if not isinstance(given, str):
        return given
    if given in ("auto", "none", "required"):
        return ToolChoice(mode=cast(Any, given))
    return ToolChoice(mode="named", name=given)


def _sampling(function: str, given: Mapping[str, Any]) -> Sampling:
    """Raises TypeError for a name that there is not, as a function does, and RequestError for a wrong value."""
    options = dict(given)
    for name in options:
        if name not in Sampling.__struct_fields__:
            meant = nearest(name, Sampling.__struct_fields__)
            hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(Sampling.__struct_fields__)}"
            raise TypeError(f"{function}() has no argument {name!r}: {hint}")
    stop = options.get("stop", ())
    options["stop"] = (stop,) if isinstance(stop, str) else tuple(stop or ())
    try:
        return check(Sampling(**options))
    except ValueError as error:
        raise RequestError(str(error), field=str(error).split()[0]) from None


def _request(item: object, i: int, system: str | None, sampling: Mapping[str, Any]) -> Request:
    if isinstance(item, str):
        return _chat("map", item, system, (), None, None, sampling)
    if isinstance(item, Request):
        return item
    raise TypeError(f"requests are strings and values such as trivet.Chat(...), and [{i}] is {type(item).__name__}")


# --- on the bridge's loop ----------------------------------------------------------------------------------


def _call(request: Request, model: str | Model | None, config: ConfigLike | None) -> Response:
    over = bridge()
    return over.run(lambda: _answer(over, request, model, config))


async def _answer(over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None) -> Response:
    request = _named(request, model)
    return await _model(over, request, model, config).call(request)


def _events(
    over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None
) -> AsyncGenerator[Event, None]:
    return _model(over, request, model, config).stream(request)


def _named(request: Request, model: str | Model | None) -> Request:
    if not isinstance(model, str | Model | None):  # or the default model would answer in its place
        raise TypeError(
            f"model is a name, a path as a string, or a trivet.Model, and this is of type {type(model).__name__}"
        )
    return replace(request, model=model) if isinstance(model, str) and request.model is None else request


def _model(over: Bridge, request: Request, model: str | Model | None, config: ConfigLike | None) -> Model:
    if isinstance(model, Model) and request.model is None:
        return model
    return over.runtime(config).model(request.model, task=task_name(request))


def about(model: str | Model | None = None, *, config: ConfigLike | None = None) -> About:
    """What a model is, by its name."""

    over = bridge()

    async def look() -> About:
        return (model if isinstance(model, Model) else over.runtime(config).model(model)).about

    return over.run(look)


async def _each(
    todo: Sequence[Request],
    one: Callable[[Request], Awaitable[Response | TrivetError]],
    concurrency: int,
    advance: Callable[[], None],
) -> list[Any]:
    """The answer to each, in order. Workers take the next request as they get free."""
    answers: list[Any] = [None] * len(todo)
    left = iter(enumerate(todo))

    async def work() -> None:
        for i, request in left:
            answers[i] = await one(request)
            advance()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(todo))):
                group.create_task(work())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return answers


@contextmanager
def _bar(total: int, progress: bool | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, which moves on with each call of what it gives."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=total)
        yield lambda: bars.advance(task)
