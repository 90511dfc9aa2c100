"""Reading the text in an image, asked of a model that chats and sees: no host has a protocol of its own for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from trivet.errors import ProviderError
from trivet.model import About, Wrapper
from trivet.types import (
    Chat,
    ChatResponse,
    Done,
    Event,
    Line,
    Read,
    ReadResponse,
    Request,
    replace,
    task_name,
    user,
)

__all__ = ["Reading"]

NOTHING = "[no text]"
ASKED = (
    "Write down the text in this image, exactly as it stands there: line by line, from top to bottom, without "
    "translating or correcting it, and with nothing before or after it. If there is no text in the image, write "
    f"{NOTHING}"
)
_FENCE = "```"


class Reading(Wrapper):
    """A `Read` becomes a chat about its image, where the model has no such task and chats. The answer is text alone,
    without boxes and scores, and says so in its notes.

    Raises `ProviderError` where the model refuses."""

    @property
    def about(self) -> About:
        about = self.inner.about
        return replace(about, tasks=(*about.tasks, task_name(Read))) if _becomes_chat(about) else about

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        if isinstance(request, Read) and _becomes_chat(about := self.inner.about):
            return _lines(self.inner.stream(_chat(request)), about.name)
        return self.inner.stream(request)


def _becomes_chat(about: About) -> bool:
    return task_name(Read) not in about.tasks and task_name(Chat) in about.tasks and "image" in about.inputs


def _chat(request: Read) -> Chat:
    return Chat(
        model=request.model, context=request.context, messages=(user(request.image, ASKED),), extra=request.extra
    )


async def _lines(chat: AsyncGenerator[Event, None], name: str) -> AsyncGenerator[Event, None]:
    """The events of such a chat with the model called `name`; the last has the lines."""
    async with aclosing(chat) as events:
        async for event in events:
            if isinstance(event, Done):
                assert isinstance(event.response, ChatResponse)
                event = replace(event, response=_read(event.response, name))
            yield event


def _read(response: ChatResponse, name: str) -> ReadResponse:
    """What it has written, as lines. Raises `ProviderError` where it has refused."""
    text = response.text.strip()
    if response.finish_reason == "refusal":
        error = ProviderError(f"{name} refuses to read the image: {text or 'it does not say why'}. Name another model.")
        error.retry = False  # it would again
        raise error
    notes = [f"{name} has read it as a chat: it tells neither boxes nor scores"]
    if response.finish_reason == "length":
        notes.append("The text is cut: the model has written as much as it may")
    lines = text.splitlines()
    if len(lines) > 1 and lines[0].startswith(_FENCE) and lines[-1] == _FENCE:  # as many put around whatever they quote
        lines = lines[1:-1]
    found = [line.strip() for line in lines if line.strip()]
    return ReadResponse(
        model=response.model,
        id=response.id,
        usage=response.usage,
        cost=response.cost,
        lines=() if found == [NOTHING] else tuple(Line(text=line) for line in found),
        notes=(*response.notes, *notes),
        extra=response.extra,
    )
