"""How many tokens a request has: at most, for what must not be overrun, and about, for what nobody has told."""

from __future__ import annotations

import functools
from typing import NamedTuple

import msgspec

from trivet.types import Conversation, Media, Message, Opaque, Part, Request, Text, Thinking, ToolResult, to_json

__all__ = ["Size", "byte_length", "input_tokens", "most_output_tokens", "output_tokens", "size"]

# A token stands for at least one byte of UTF-8 in every tokenizer that falls back on bytes, as those of all hosts do.
# What templates put around a message, a tool, and a whole request with tools (Anthropic's own prompt for them has up to
# 804 tokens: docs.claude.com, "Tool use", pricing), generously:
_MESSAGE, _TOOL, _REQUEST, _WITH_TOOLS = 32, 64, 64, 1024
# Of English prose and of code four bytes are about one token, and so is a letter of Korean or Chinese, of three bytes.
_BYTES_OF_A_TOKEN = 4
_FILES = (b'"file_id"', b'"fileUri"')  # in what only its provider reads


class Size(NamedTuple):
    """`bytes` of text, and what stands around it in tokens; `media` is how many images, audio and documents."""

    bytes: int
    around: int
    media: int

    def most_tokens(self, media_tokens: int) -> int:
        return self.bytes + self.around + self.media * media_tokens

    def about_tokens(self, media_tokens: int) -> int:
        return -(-self.bytes // _BYTES_OF_A_TOKEN) + self.around // 8 + self.media * media_tokens


def size(request: Request) -> Size:
    if isinstance(request, Conversation):
        return _conversation(request)
    length = media = 0
    for name in _fields(type(request)):
        value = getattr(request, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str):
                length += byte_length(one)
            elif isinstance(one, Media):
                media += 1
    prompts = request.extra.get("prompt")
    if prompts is not None:  # several, or token ids
        length += len(to_json(request))
    return Size(length, _REQUEST, media)


@functools.cache
def _fields(kind: type[Request]) -> tuple[str, ...]:
    """Those that are the task's own: texts, images, sounds and what it is to do with them."""
    return tuple(name for name in kind.__struct_fields__ if name not in Request.__struct_fields__)


def input_tokens(request: Request) -> int:
    """About how many tokens its prompt has. Media count as 1,000 each."""
    return size(request).about_tokens(1000)


def output_tokens(length: int) -> int:
    """About how many tokens so many bytes of an answer are."""
    return -(-length // _BYTES_OF_A_TOKEN)


def most_output_tokens(request: Request) -> int | None:
    """What the request bounds its output by, all choices together; None where it does not."""
    sampling = getattr(request, "sampling", None)
    if sampling is None:
        return 0
    prompts, best_of = request.extra.get("prompt"), request.extra.get("best_of")
    several = len(prompts) if isinstance(prompts, list) else 1
    each = max(sampling.n, best_of) if isinstance(best_of, int) else sampling.n  # all of them are charged for
    return None if sampling.max_tokens is None else sampling.max_tokens * each * several


def _conversation(request: Conversation) -> Size:
    length, media = 0, 0
    for message in request.messages:
        if message.name is not None or message.extra:
            length += byte_length(message.name or "") + _beyond(message)
        for part in message.content:
            if type(part) is Text and not part.extra:
                length += byte_length(part.text)
            else:
                more, of_media = _part(part)
                length, media = length + more, media + of_media
    around = _REQUEST + _MESSAGE * len(request.messages)
    if request.tools:
        length += sum(len(to_json(tool)) for tool in request.tools)
        around += _WITH_TOOLS + _TOOL * len(request.tools)
    if request.output is not None:
        length += len(to_json(request.output))
    return Size(length + _beyond(request), around, media)


def _part(part: Part) -> tuple[int, int]:
    """Bytes of text, and media."""
    length, media = _content(part)
    return length + _beyond(part), media


def _beyond(value: Request | Message | Part) -> int:
    """Bytes of what a protocol has said and trivet has no field for, as a document's title and context: it may be shown
    to the model."""
    return len(msgspec.json.encode(value.extra)) if value.extra else 0


def _content(part: Part) -> tuple[int, int]:
    """A document that is a text counts as one, and a file by its id as a medium."""
    if isinstance(part, Media):
        is_text = part.data is not None and (part.media_type or "").startswith("text/")
        return (len(part.data or b""), 0) if is_text else (0, 1)
    if isinstance(part, ToolResult):
        found = [_part(inner) for inner in part.content]
        return len(part.call_id) + sum(b for b, _ in found), sum(m for _, m in found)
    if isinstance(part, Text):
        return byte_length(part.text), 0
    if isinstance(part, Thinking):
        return byte_length(part.text) + len(part.signature or "") + len(part.redacted or ""), 0
    told = to_json(part)
    return len(told), 1 if isinstance(part, Opaque) and any(name in told for name in _FILES) else 0


def byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
