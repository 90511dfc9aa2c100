"""Reading the text in an image, asked of a model that chats and sees: no host has a protocol of its own for it.

The answer is text alone. It has no boxes and no scores, and says so in its notes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from trivet.errors import ProviderError
from trivet.types import Chat, ChatResponse, Done, Event, Line, Read, ReadResponse, replace, user

__all__ = ["as_chat", "as_lines", "told"]

NOTHING = "[no text]"
ASKED = (
    "Write down the text in this image, exactly as it stands there: line by line, from top to bottom, without "
    "translating or correcting it, and with nothing before or after it. If there is no text in the image, write "
    f"{NOTHING}"
)
_FENCE = "```"
# What hosts want to be told of an image, and a client need not have said: the formats that all of them take.
_BEGINNINGS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def as_chat(request: Read) -> Chat:
    image = request.image
    if image.data is not None and image.media_type is None:
        kinds = (kind for begin, kind in _BEGINNINGS.items() if image.data.startswith(begin))
        image = replace(image, media_type=next(kinds, None))
    return Chat(model=request.model, context=request.context, messages=(user(image, ASKED),), extra=request.extra)


async def told(chat: AsyncGenerator[Event, None], name: str) -> AsyncGenerator[Event, None]:
    """The events of such a chat with the model called `name`; the last has the lines."""
    async with aclosing(chat) as events:
        async for event in events:
            if isinstance(event, Done):
                assert isinstance(event.response, ChatResponse)
                event = replace(event, response=as_lines(event.response, name))
            yield event


def as_lines(response: ChatResponse, name: str) -> ReadResponse:
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
