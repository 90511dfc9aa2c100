"""Requests: a class per task, and what wrappers need to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from trivet.types.messages import Image, Message
from trivet.types.options import Output, Reasoning, Sampling, Tool, ToolChoice
from trivet.types.responses import ChatResponse, CompleteResponse, CountTokensResponse, EmbedResponse, Response
from trivet.types.source import Source
from trivet.types.value import Extra, Value


class Context(Value, frozen=True, kw_only=True):
    """What wrappers need to know of a request; never rendered to a provider. Of requests side by side, each has an `id`
    of its own; `reservation` is the id of the one whose account a request belongs to.

    `deadline_s` is on the event loop's clock. `session` is the client's word for a conversation. `whole` says that
    nobody reads the answer before its end, so that a provider may be asked for it in one piece. `prompt_cache` says
    whether the provider's prompt cache is to be used as well as it can. `cache` is the client's
    word on trivet's own cache of answers: `off` wants a fresh answer, `on` takes a cached one even where the request is
    not deterministic. `headers` are those of the client's that may go on to a provider which knows them, by lower-case
    name.
    """

    id: str | None = None
    key: str | None = None
    session: str | None = None
    deadline_s: float | None = None
    reservation: str | None = None
    whole: bool = False
    prompt_cache: bool = True
    cache: Literal["off", "on"] | None = None
    headers: Mapping[str, str] = {}


class Request(Value, tag_field="task", frozen=True, kw_only=True):
    """What a model is asked. `model` is the name asked for; `extra` holds fields of the client's protocol that
    have no field here: a model that does not know them refuses them."""

    response_type: ClassVar[type[Response]]

    model: str | None = None
    context: Context = Context()
    source: Source | None = None
    extra: Extra = {}


class Conversation(Request, frozen=True, kw_only=True):
    """What tasks over messages share: the wrappers that change prompts, tools or outputs look for this."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    output: Output | None = None
    reasoning: Reasoning | None = None


class Chat(Conversation, tag="chat", frozen=True, kw_only=True):
    """`user` and `cache_key` are labels: of the person who asks, and of prompts that share a prefix. `service_tier` is
    the provider's word for how fast and how dear."""

    response_type = ChatResponse

    sampling: Sampling = Sampling()
    user: str | None = None
    cache_key: str | None = None
    service_tier: str | None = None


class CountTokens(Conversation, tag="count_tokens", frozen=True, kw_only=True):
    """How many tokens a `Chat` of the same fields would have as its prompt."""

    response_type = CountTokensResponse


class Complete(Request, tag="complete", frozen=True, kw_only=True):
    """Go on from `prompt`; with a `suffix`, fill in what is between them."""

    response_type = CompleteResponse

    prompt: str
    suffix: str | None = None
    sampling: Sampling = Sampling()


class Embed(Request, tag="embed", frozen=True, kw_only=True):
    """One vector for each of `texts`, `images` or `proteins` (sequences of amino acids): one kind at a time, which is
    for the model to see to. `dimensions` asks for shorter vectors than the model's own. `truncate` says whether what a
    text has beyond the model's length is left out; None is the model's own way."""

    response_type = EmbedResponse

    texts: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    proteins: tuple[str, ...] = ()
    dimensions: int | None = None
    truncate: bool | None = None

    @property
    def given(self) -> str:
        """Which of the three it has: the field's name."""
        return next((kind for kind in ("images", "proteins") if getattr(self, kind)), "texts")


def task_name(request: Request | type[Request]) -> str:
    """`chat` for a `Chat`: the task's tag, as `About.tasks` lists it."""
    cls = request if isinstance(request, type) else type(request)
    return str(cls.__struct_config__.tag)


def tasks() -> dict[str, type[Request]]:
    """Every task by name: the leaves under `Request`."""
    found: dict[str, type[Request]] = {}
    todo: list[type[Request]] = [Request]
    while todo:
        cls = todo.pop()
        subclasses = cls.__subclasses__()
        todo += subclasses
        if not subclasses:
            found[task_name(cls)] = cls
    return found
