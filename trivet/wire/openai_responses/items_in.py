"""The input of an OpenAI Responses request: a text, or items, read as messages.

What the protocol splits over several items (reasoning, text, calls) is one turn of the model's, hence one message.
Reasoning with a summary that the client can read has its `encrypted_content` as the signature; without one it is
`redacted`. Items that only OpenAI understands are `Opaque` parts, as received, in their place.

An item's `id` and `status`, and the `logprobs` of a text, say how an earlier answer came about: nothing depends on
them but OpenAI's own store, and OpenAI gets the body as the client sent it. They are taken and not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trivet.errors import RequestError
from trivet.types import Document, Image, Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult, replace
from trivet.wire.carry import LABELS
from trivet.wire.data_url import is_data_url, read_base64, read_data_url
from trivet.wire.fields import Fields, drop_defaults
from trivet.wire.openai import read_cache_mark
from trivet.wire.openai_responses.citations import citation
from trivet.wire.thinking import untag

PROVIDER = "openai"  # whose opaque parts and signatures these are
SAID = LABELS | {"summary"}  # what is put into a part's `extra` here, and has a place of its own in items

_INPUTS = ("input_text", "input_image", "input_file")
# The kinds of content that a role's message takes. Clients write an earlier answer as either kind of text.
_TAKES = {
    "system": _INPUTS,
    "developer": _INPUTS,
    "user": _INPUTS,
    "assistant": ("output_text", "refusal", "input_text"),
}


def read_input(body: Fields) -> list[Message]:
    """Takes `input` from a request's body. There may be none where a provider's own state has it."""
    if isinstance(body.left.get("input"), str):
        return [Message(role="user", content=(Text(text=body.need("input", str)),))]
    messages: list[Message] = []
    for item in body.objects("input"):
        message = _item(item)
        if messages and _goes_on(messages[-1], message):
            messages[-1] = replace(messages[-1], content=messages[-1].content + message.content)
        else:
            messages.append(message)
    return messages


def _goes_on(before: Message, message: Message) -> bool:
    """Whether this item is of the turn that the one before it is of."""
    return before.role == message.role == "assistant" and not message.extra


def places(items: list[Fields]) -> list[tuple[int, int]]:
    """Where `read_input` puts each item: the number of its message, and that of its first part there."""
    out: list[tuple[int, int]] = []
    before: Message | None = None
    for item in items:
        message = _item(item)
        number, first = out[-1] if out else (-1, 0)
        goes_on = before is not None and _goes_on(before, message)
        out.append((number, first + len(before.content)) if before is not None and goes_on else (number + 1, 0))
        before = message
    return out


def _item(item: Fields) -> Message:
    raw = dict(item.left)
    kind = item.take("type", str) or ("message" if item.has("role") else "item_reference")
    if kind == "message":
        return _message(item)
    if kind == "item_reference":
        item.need("id", str)
    reader = _READERS.get(kind)
    part = None if reader is None else reader(item)
    if part is None:
        part = Opaque(provider=PROVIDER, raw=raw)
    # What comes back to the model, from a tool or from whom it asked for leave, is a user's.
    users = isinstance(part, ToolResult) or kind.endswith(("_output", "_response"))
    return Message(role="user" if users else "assistant", content=(part,))


def _message(m: Fields) -> Message:
    path, role = m.at("role"), m.need("role", str)
    if role not in _TAKES:
        raise RequestError(f"{path} is {role!r}, must be one of {', '.join(_TAKES)}", field=path)
    _drop_report(m)
    content = _content(m, "content", role)
    if role == "assistant" and m.has("phase"):  # each text keeps it, as several items may become one message
        phase = m.need("phase", str)
        content = tuple(replace(part, extra={**part.extra, "phase": phase}) for part in content)
    return Message(role=role, content=content, extra=m.rest())  # type: ignore[arg-type]  # one of the four


def _drop_report(item: Fields) -> None:
    item.take("id", str)
    item.take("status", str)


# --- items: each as a part, or None where no part of ours can hold it ------------------------------------------


def _function_call(item: Fields) -> ToolCall:
    _drop_report(item)
    drop_defaults(item, {"caller": {"type": "direct"}, "async": False})
    return ToolCall(
        id=item.need("call_id", str),
        name=item.need("name", str),
        arguments=item.need("arguments", str),
        extra=item.rest(),
    )


def _function_call_output(item: Fields) -> ToolResult | None:
    _drop_report(item)
    drop_defaults(item, {"caller": {"type": "direct"}})
    call_id = item.need("call_id", str)
    content = _content(item, "output", "user")
    if any(isinstance(part, Opaque) for part in content):
        return None
    return ToolResult(call_id=call_id, content=content, extra=item.rest())  # type: ignore[arg-type]  # see _TAKES


def _reasoning(item: Fields) -> Thinking:
    """The thought itself where it is open, in which case its summary stands in `extra`; else the summary."""
    _drop_report(item)
    encrypted, raw = item.take("encrypted_content", str), item.left.get("summary")
    summary = [_piece(s, "summary_text") for s in item.objects("summary")]
    content = [_piece(s, "reasoning_text") for s in item.objects("content")]
    signature, provider = (None, None) if encrypted is None else untag(encrypted, PROVIDER)
    if encrypted is not None and not summary and not content:
        return Thinking(redacted=signature, provider=provider, extra=item.rest())
    extra = {"summary": raw, **item.rest()} if summary and content else item.rest()
    text = "\n\n".join(content or summary)
    return Thinking(text=text, signature=signature, provider=provider, extra=extra)


def _piece(s: Fields, kind: str) -> str:
    path, found = s.at("type"), s.take("type", str, kind)
    if found != kind:
        raise RequestError(f"{path} is {found!r}, must be {kind}", field=path)
    text = s.need("text", str)
    for unknown in s.rest():
        raise RequestError(f"{s.at(unknown)} is unknown: leave it out", field=s.at(unknown))
    return text


_READERS: dict[str, Callable[[Fields], Part | None]] = {
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "reasoning": _reasoning,
}


# --- content ---------------------------------------------------------------------------------------------------


def _content(item: Fields, name: str, role: str) -> tuple[Part, ...]:
    """A string is one text."""
    if isinstance(item.left.get(name), str):
        return (Text(text=item.need(name, str)),)
    values = item.need(name, list[Any])
    path = item.at(name)
    return tuple(_part(Fields(v, f"{path}[{i}]"), role) for i, v in enumerate(values))


def _part(p: Fields, role: str) -> Part:
    raw, path, kind = dict(p.left), p.at("type"), p.need("type", str)
    if kind not in _TAKES[role]:
        takes = ", ".join(_TAKES[role])
        raise RequestError(f"{path} is {kind!r}: the content of a message from {role} may have {takes}", field=path)
    if p.has("file_id"):  # a file of OpenAI's own
        p.need("file_id", str)
        return Opaque(provider=PROVIDER, raw=raw)
    return _PARTS[kind](p)


def _text(p: Fields) -> Text:
    p.take("logprobs", list[Any])
    citations = tuple(citation(a.left, PROVIDER) for a in p.objects("annotations"))
    return Text(text=p.need("text", str), citations=citations, cache=read_cache_mark(p), extra=p.rest())


def _refusal(p: Fields) -> Text:
    return Text(text=p.need("refusal", str), extra={"refusal": True, **p.rest()})


def _image(p: Fields) -> Image:
    url = p.need("image_url", str)
    data, media_type = read_data_url(url, p.at("image_url")) if is_data_url(url) else (None, None)
    detail: Any = p.take("detail", str) if p.left.get("detail") in ("auto", "low", "high") else None
    return Image(
        data=data,
        url=url if data is None else None,
        media_type=media_type,
        detail=detail,
        cache=read_cache_mark(p),
        extra=p.rest(),
    )


def _file(p: Fields) -> Document:
    drop_defaults(p, {"detail": "auto"})
    url, text, name = p.take("file_url", str), p.take("file_data", str), p.take("filename", str)
    if (url is None) == (text is None):
        raise RequestError(f"{p.path} must have exactly one of file_data, file_url and file_id", field=p.path)
    data: bytes | None = None
    media_type: str | None = None
    if text is not None:
        path = p.at("file_data")
        data, media_type = read_data_url(text, path) if is_data_url(text) else (read_base64(text, path), None)
    return Document(data=data, url=url, media_type=media_type, name=name, cache=read_cache_mark(p), extra=p.rest())


_PARTS: dict[str, Callable[[Fields], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
}
