"""Messages as the items of a request's input.

A message's texts, images and files are one item, in order; each result of a tool, thought, call and opaque block is an
item of its own, in its place. That a result is an error is said in its text, which begins with `Error: `, as the
protocol has no field for it. Items have no ids: nothing is looked up in a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.types import (
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    replace,
)
from trivet.wire.data_url import write_base64, write_data_url
from trivet.wire.openai_responses.citations import annotation
from trivet.wire.openai_responses.items_in import PROVIDER
from trivet.wire.openai_responses.items_out import thought
from trivet.wire.openai_responses.terms import Terms

Json = dict[str, Any]
Placed = tuple[str, Part]  # a part, after its path
_CONTENT = ("input_image", "input_file")  # opaque, and yet content of a message: files by their ids
_NOTHING = Text(text="")
_CHATS = (None, "file", "custom")  # kinds of opaque content that OpenAI's chat has, and not its responses


def write_input(messages: Sequence[Message], terms: Terms) -> list[Json]:
    """Raises `UnsupportedError` for what no item can say."""
    return [item for i, message in enumerate(messages) for item in _items(message, f"messages[{i}]", terms)]


def _items(message: Message, where: str, terms: Terms) -> list[Json]:
    if message.name is not None:
        raise terms.refuse("name of a message", f"{where}.name", "say it in the text")
    out: list[Json] = []
    content: list[Placed] = []  # of one item, until a part comes that is an item itself
    for place, part in _said(message, where):
        item = _item(part, place, terms)
        if content and (item is not None or _phase(part) != _phase(content[0][1])):
            out.append(_message(message.role, content, terms))
            content = []
        if item is None:
            content.append((place, part))
        else:
            out.append(item)
    if content or (not out and (message.role != "assistant" or message.extra)):
        out.append(_message(message.role, content, terms))
    if message.extra:  # that of the message among the items; a message that has one begins a turn
        at = next((n for n, item in enumerate(out) if item.get("type") == "message"), 0)
        out[at] = terms.merge(out[at], message.extra, where)
    return out


def _said(message: Message, where: str) -> Sequence[Placed]:
    """The parts and their paths. Without an answer's empty texts, where it has said anything else: a message of nothing
    would come between a call and its result."""
    placed = [(f"{where}.content[{n}]", part) for n, part in enumerate(message.content)]
    if message.role != "assistant":
        return placed
    return [(path, part) for path, part in placed if part != _NOTHING] or placed


def _item(part: Part, where: str, terms: Terms) -> Json | None:
    """The item that a part is by itself; None where it is content of a message."""
    if isinstance(part, ToolResult):
        return _result(part, where, terms)
    if isinstance(part, ToolCall):
        terms.no_cache(part.cache, where)
        call = {"type": "function_call", "call_id": terms.call_id(part.id), "name": part.name}
        return terms.merge({**call, "arguments": part.arguments}, part.extra, where)
    if isinstance(part, Thinking):
        terms.no_cache(part.cache, where)
        return terms.merge({"type": "reasoning", **thought(part, terms.family)}, part.extra, where)
    if isinstance(part, Opaque) and not (isinstance(part.raw, dict) and part.raw.get("type") in _CONTENT):
        return _opaque(part, where, terms)
    return None


def _opaque(part: Opaque, where: str, terms: Terms) -> Json:
    """As it was received. What a client wrote in this protocol was all OpenAI's, whoever is asked now."""
    raw: Json = part.raw if isinstance(part.raw, dict) else {}
    kind = raw.get("type")
    ours = part.provider == terms.family or (terms.own and part.provider == PROVIDER)
    if not ours or (kind in _CHATS and not terms.own):
        raise terms.refuse(f"block {kind!r} of {part.provider}", where, "leave it out, or ask its own provider")
    return raw


def _result(result: ToolResult, where: str, terms: Terms) -> Json:
    parts: list[Part] = list(result.content)
    if result.is_error:
        first = parts[0] if parts and isinstance(parts[0], Text) else None
        said = Text(text="Error") if first is None else replace(first, text=f"Error: {first.text}")
        parts = [said, *(parts if first is None else parts[1:])]
    output: Any = _string(parts)
    if output is None:
        added = result.is_error and len(parts) > len(result.content)  # what says so, where there is no text to say it
        output = [_input(part, f"{where}.content[{n - added}]", terms) for n, part in enumerate(parts)]
    if result.cache is not None:
        output = [{"type": "input_text", "text": output}] if isinstance(output, str) else output
        output[-1] = {**output[-1], **terms.cache(result.cache)}
    written = {"type": "function_call_output", "call_id": terms.call_id(result.call_id), "output": output}
    return terms.merge(written, result.extra, where)


# --- messages ----------------------------------------------------------------------------------------------


def _phase(part: Part) -> Any:
    return part.extra.get("phase")


def _message(role: str, placed: Sequence[Placed], terms: Terms) -> Json:
    phase = _phase(placed[0][1]) if placed else None
    content: Any = _string([part for _, part in placed])
    if content is None:
        write = _output if role == "assistant" else _input
        content = [write(part, path, terms) for path, part in placed]
    told = {"type": "message", "role": role, "content": content}
    return told if phase is None else {**told, "phase": phase}


def _string(parts: Sequence[Part]) -> str | None:
    """A single text that says no more than itself."""
    text = parts[0] if len(parts) == 1 else None
    if not isinstance(text, Text) or text.citations or text.cache is not None or text.extra.keys() - {"phase"}:
        return None
    return text.text


def _output(part: Part, where: str, terms: Terms) -> Json:
    """A part of what the model has said before: it has said nothing but texts."""
    if not isinstance(part, Text):
        raise _not_here(part, where, terms)
    terms.no_cache(part.cache, where)
    if part.extra.get("refusal"):
        return terms.merge({"type": "refusal", "refusal": part.text}, part.extra, where)
    told = [annotation(c, part.text, terms.family) for c in part.citations]
    if any("provider" in a for a in told):
        raise terms.refuse("citation without an address", where)
    return terms.merge({"type": "output_text", "text": part.text, "annotations": told}, part.extra, where)


def _input(part: Part, where: str, terms: Terms) -> Json:
    written: Json
    if isinstance(part, Opaque):  # a file by its id
        return _opaque(part, where, terms)
    if isinstance(part, Text):
        if part.citations:
            raise terms.refuse("citation in what it is told", where)
        written = {"type": "input_text", "text": part.text}
    elif isinstance(part, Image):
        detail = {} if part.detail is None else {"detail": part.detail}
        written = {
            "type": "input_image",
            "image_url": part.url or write_data_url(part.data or b"", part.media_type),
            **detail,
        }
    elif isinstance(part, Document):
        written = {"type": "input_file", **_file(part, terms)}
    else:
        raise _not_here(part, where, terms)
    return terms.merge({**written, **terms.cache(part.cache)}, part.extra, where)


def _file(part: Document, terms: Terms) -> Json:
    """A file's bytes need a name, which its client may not have told."""
    if part.data is None:
        return {"file_url": part.url, **({} if part.name is None else {"filename": part.name})}
    kind = part.media_type
    plain = "document.txt" if kind is not None and kind.startswith("text/") else "document.pdf"
    name = part.name if part.name is not None or terms.own else plain
    data = (
        write_base64(part.data)
        if kind is None and terms.own
        else write_data_url(part.data or b"", kind or "application/pdf")
    )
    return {**({} if name is None else {"filename": name}), "file_data": data}


def _not_here(part: Part, where: str, terms: Terms) -> Exception:
    kind = str(part.__struct_config__.tag)
    return terms.refuse(f"part of type {kind!r} there", where, "leave it out, or name another model")
