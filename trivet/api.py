"""The functions of `import trivet` over words: ordinary calls, each one request to a model through the bridge.

Everywhere, `model` is a name (see `trivet.Runtime.model`), a path to weights, or a `Model` of one's own; `config` a
`trivet.toml` or a `Config`, ./trivet.toml being the default where it is there. Raises `TrivetError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Unpack, cast, overload

from trivet import functions
from trivet.arguments import (
    AskOptions,
    ChatOptions,
    ConversationOptions,
    Prompting,
    SamplingOptions,
    chat_request,
    map_request,
    sampling,
    spelled_out,
)
from trivet.calls import ConfigLike, answer, bar, call, each, events, named
from trivet.errors import RequestError, TrivetError
from trivet.into import Answer, ask
from trivet.model import About, Model
from trivet.sync import Stream, bridge
from trivet.types import (
    ChatResponse,
    Complete,
    CompleteResponse,
    Conversation,
    CountTokens,
    CountTokensResponse,
    Output,
    Request,
    Response,
    ToolCall,
    ToolResult,
    check,
)

__all__ = ["about", "chat", "complete", "count_tokens", "map", "run_tool", "stream"]

T = TypeVar("T")


@overload
def chat(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    output: Output | Mapping[str, Any] | None = None,
    into: None = None,
    config: ConfigLike | None = None,
    **options: Unpack[AskOptions],
) -> ChatResponse: ...


@overload
def chat(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    into: type[T],
    config: ConfigLike | None = None,
    **options: Unpack[AskOptions],
) -> Answer[T]: ...


@overload
def chat(  # a type that is no class: int | None, Literal["a", "b"]
    messages: Prompting,
    *,
    model: str | Model | None = None,
    into: Any,
    config: ConfigLike | None = None,
    **options: Unpack[AskOptions],
) -> Answer[Any]: ...


@spelled_out(AskOptions)
def chat(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    output: Output | Mapping[str, Any] | None = None,
    into: Any = None,
    config: ConfigLike | None = None,
    **options: Unpack[AskOptions],
) -> ChatResponse:
    """Answers a question or a conversation. ::

        trivet.chat("Hi").text
        trivet.chat([trivet.user("Hi"), trivet.assistant("Hello!"), trivet.user("Bye")], temperature=0)
        trivet.chat("What is this?", attach="photo.jpg").text
        trivet.chat("Who wrote Faust, and when?", into=Book).value

    `system`: the system prompt. `attach`: paths, URLs or bytes of images, audio and documents, put before the last
    message's text. `tools`: `Tool` values, and functions (see `trivet.functions`). `tool_choice`: a `ToolChoice`,
    "auto", "none", "required" or the name of a tool. `output`: an `Output`, or the JSON Schema that the answer must
    have. `into`: in place of it, a type (dataclass, msgspec struct, TypedDict, pydantic model, list[int], …) that the
    answer's `value` then has; a model that cannot hold its schema is told it, and one whose answer does not fit is
    asked once more, which `notes` say. `reasoning`: a `Reasoning`, an effort ("low", "high", …) or a budget in tokens.
    `cache`: "off" for a fresh answer where `[models.NAME]` has a cache of answers, "on" to take and keep one though the
    request is not deterministic. The others are those of `Sampling`, and `user`, `cache_key`, `service_tier` and
    `extra` (fields in the provider's own words) of `Chat`.
    """
    request = chat_request("chat", messages, options, output)
    if into is None:
        return cast(ChatResponse, call(request, model, config))
    over = bridge()
    return over.run(lambda: ask(lambda each: answer(over, each, model, config), request, into))


@spelled_out(AskOptions)
def stream(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    output: Output | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
    **options: Unpack[AskOptions],
) -> Stream:
    """The same as `chat`, piece by piece: iterate over it for strings, then take its `response`.

    The request is under way at once; leaving the loop, or `close()`, cancels it.
    """
    request = chat_request("stream", messages, options, output)
    if request.sampling.n > 1:
        raise RequestError(f"stream gives one answer, and n is {request.sampling.n}: use trivet.chat", field="n")
    over = bridge()
    return Stream(over, lambda: events(over, named(request, model), model, config))


def run_tool(call: ToolCall, tools: Iterable[functions.Function]) -> ToolResult:
    """Calls the function that a model asked for, async or not, in a thread of trivet's. Its result goes back in a
    user's message; see `trivet.functions.run`. ::

        trivet.user(*(trivet.run_tool(call, tools) for call in response.tool_calls))
    """
    return bridge().run(lambda: functions.run(call, tools))


@spelled_out(SamplingOptions)
def complete(
    prompt: str,
    *,
    suffix: str | None = None,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
    **options: Unpack[SamplingOptions],
) -> CompleteResponse:
    """Goes on from `prompt`, as plain text without a chat's template."""
    request = check(Complete(prompt=prompt, suffix=suffix, sampling=sampling("complete", options)))
    return cast(CompleteResponse, call(request, model, config))


@spelled_out(ConversationOptions)
def count_tokens(
    messages: Prompting,
    *,
    model: str | Model | None = None,
    output: Output | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
    **options: Unpack[ConversationOptions],
) -> CountTokensResponse:
    """How many tokens a `chat` of the same arguments would have as its prompt: `.input_tokens`."""
    whole = chat_request("count_tokens", messages, options, output, takes=ConversationOptions)
    fields = {name: getattr(whole, name) for name in Conversation.__struct_fields__}
    return cast(CountTokensResponse, call(CountTokens(**fields), model, config))


@spelled_out(ChatOptions)
def map(
    requests: Iterable[str | Request],
    *,
    concurrency: int = 8,
    model: str | Model | None = None,
    system: str | None = None,
    progress: bool | None = None,
    config: ConfigLike | None = None,
    **options: Unpack[ChatOptions],
) -> list[Any]:
    """Many requests at once, at most `concurrency` under way. Gives their responses in order, and in the place of
    one that failed its `TrivetError`. A string is a question for `chat`, with `system` and the options given
    here; other requests have their own. `model` is for requests that name none.

    `progress` says whether to show a bar on standard error, None being: where that is a terminal.
    """
    if isinstance(requests, str):  # whose letters would be the questions
        raise TypeError("requests are a list of questions, and this is one string: use trivet.chat, or [question]")
    todo = [map_request(item, i, system, options) for i, item in enumerate(requests)]
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}, must be at least 1")
    over = bridge()
    with bar(len(todo), progress) as advance:

        async def one(request: Request) -> Response | TrivetError:
            try:
                return await answer(over, request, model, config)
            except TrivetError as error:
                return error

        return over.run(lambda: each(todo, one, concurrency, advance))


def about(model: str | Model | None = None, *, config: ConfigLike | None = None) -> About:
    """What a model is, by its name."""

    over = bridge()

    async def look() -> About:
        return (model if isinstance(model, Model) else over.runtime(config).model(model)).about

    return over.run(look)
