"""Messages as a host of this protocol takes them.

Results of tools become `tool` messages, and what stands beside them in a user's turn a message after these. That a
result is an error is said in its text, which begins with `Error: `, as the protocol has no field for it. Images in a
result follow in a user's message where the host has no place for them in the result.

An assistant's turn has its thinking, its text and its calls, in this order, whatever order they came in: `reordered`
says so. The details of its thoughts say where they stood, for a host that is trivet too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.errors import UnsupportedError
from trivet.types import (
    Audio,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trivet.wire import Target
from trivet.wire.data_url import write_base64, write_data_url
from trivet.wire.openai_chat.citations import write_citations
from trivet.wire.openai_chat.order import FRONT, Place, place_id, placed, reorders
from trivet.wire.openai_chat.reasoning import call_signature, detail, signs_call
from trivet.wire.openai_chat.terms import PROTOCOL, PROVIDER, REFUSAL, Terms

Json = dict[str, Any]
_AUDIO = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav"}


def write_messages(messages: Sequence[Message], terms: Terms) -> list[Json]:
    out: list[Json] = []
    late: list[Json] = []  # media of results, which wait until the last of the results is told
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        results = [p for p in message.content if isinstance(p, ToolResult)]
        rest = [p for p in message.content if not isinstance(p, ToolResult)]
        if late and not results:
            out.append({"role": "user", "content": late})
            late = []
        if message.role == "assistant":
            out.append(_assistant(message, where, terms))
            continue
        out += [_result(r, late, where, terms) for r in results]
        if rest or not results:
            role = "system" if message.role == "developer" and not _developer(terms) else message.role
            content = _content(rest, where, terms)
            if late:
                content = [*late, *([{"type": "text", "text": content}] if isinstance(content, str) else content)]
                late = []
            out.append(_named({"role": role, "content": content}, message, where, terms))
        else:
            out[-1] = _named(out[-1], message, where, terms)
    return [*out, {"role": "user", "content": late}] if late else out


def reordered(request: Conversation, target: Target) -> tuple[str, ...]:
    """A note of the model's turns that are told in another order than they had. A client's own words are not."""
    if request.source is not None and request.source.protocol == PROTOCOL:
        return ()
    count = sum(reorders(m) for m in request.messages)
    note = f"told to {target.provider} in another order, as thinking, then text, then tool calls: {count} of its turns"
    return (note,) if count else ()


def _developer(terms: Terms) -> bool:
    return bool(terms.quirks.get("developer_role", True))


def _named(written: Json, message: Message, where: str, terms: Terms) -> Json:
    """With the message's name and its extra fields."""
    if message.name is not None:
        terms.need("name", f"{where}.name")
        written["name"] = message.name
    return terms.merge(written, message.extra, where)


def _result(result: ToolResult, late: list[Json], where: str, terms: Terms) -> Json:
    here: list[Part] = []
    for part in result.content:
        if isinstance(part, Text) or terms.own or terms.quirks.get("tool_images"):
            here.append(part)
            continue
        if not any(p.get("text", "").startswith(f"From the result of {result.call_id}") for p in late):
            late.append({"type": "text", "text": f"From the result of {result.call_id}:"})
        late.append(_part(part, where, terms))
    if len(here) < len(result.content) and not here:
        here = [Text(text="The result is in the next message.")]
    if result.is_error:
        first = here[0] if here and isinstance(here[0], Text) else None
        marked = Text(text="Error") if first is None else _prefixed(first)
        here = [marked, *(here if first is None else here[1:])]
    content = _content(here or [Text(text="")] if not terms.own else here, where, terms)
    if mark := terms.cache(result.cache, where):
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content[-1] = {**content[-1], **mark}
    written = {"role": "tool", "tool_call_id": terms.call_id(result.call_id), "content": content}
    return terms.merge(written, result.extra, where)


def _prefixed(text: Text) -> Text:
    return Text(text=f"Error: {text.text}", cache=text.cache, extra=text.extra)


# --- an assistant's turn -----------------------------------------------------------------------------------


def _assistant(message: Message, where: str, terms: Terms) -> Json:
    parts = message.content
    calls: list[Json] = []
    texts: list[Text] = []
    for n, part in enumerate(parts):
        if isinstance(part, Thinking):
            continue
        if isinstance(part, ToolCall):
            calls.append(_call(part, parts[n - 1] if n else None, where, terms))
        elif isinstance(part, Text):
            texts.append(part)
        elif isinstance(part, Opaque) and part.provider == PROVIDER and part.raw.get("type") == "custom":
            calls.append({**part.raw, "id": terms.call_id(part.raw.get("id", ""))})
        else:
            raise _not_here(part, where, terms)
    written: Json = {"role": "assistant", **_said(texts, where, terms)}
    if calls:
        written["tool_calls"] = calls
        written.setdefault("content", None)
    elif "content" not in written and "refusal" not in written:
        written["content"] = ""
    written |= _thinking([(t, place) for t, place in placed(parts) if t is not None], where, terms)
    if annotations := _annotations(texts, where, terms):
        written["annotations"] = annotations
    written = _named(written, message, where, terms)
    if "id" in (written.get("audio") or ()):
        written["audio"] = {"id": written["audio"]["id"]}  # an answer's sound, which goes back by its id alone
    return written


def _said(texts: list[Text], where: str, terms: Terms) -> Json:
    """Text and refusal: each a string where that says all there is."""
    plain, refusals = [t for t in texts if not _refuses(t)], [t for t in texts if _refuses(t)]
    if not texts:
        return {}
    if len(refusals) <= 1 and len(plain) <= 1 and texts == [*plain, *refusals] and not (refusals and _odd(refusals[0])):
        content = _content(plain, where, terms) if plain else None
        return {"content": content, **({"refusal": refusals[0].text} if refusals else {})}
    return {"content": [_refusal(t, where, terms) if _refuses(t) else _part(t, where, terms) for t in texts]}


def _refuses(text: Text) -> bool:
    return text.extra.get(REFUSAL) is True


def _odd(text: Text) -> bool:
    return len(text.extra) > 1 or text.cache is not None or not text.text


def _refusal(text: Text, where: str, terms: Terms) -> Json:
    terms.no_cache(text.cache, where)
    return terms.merge({"type": "refusal", "refusal": text.text}, text.extra, where)


def _thinking(told: list[tuple[Thinking, Place]], where: str, terms: Terms) -> Json:
    """Those that the host may have back. What may not go is left out before, where people are told of it."""
    if not told:
        return {}
    thoughts = [thought for thought, _ in told]
    for thought in thoughts:
        terms.no_cache(thought.cache, where)
    signed = any(t.signature is not None or t.redacted is not None for t in thoughts)
    name = terms.quirks.get("reasoning_content", "reasoning_content" if terms.own else None)
    sends = bool(name) and (terms.own or terms.quirks.get("send_thinking", False))
    if signed and not (terms.own or terms.quirks.get("reasoning_details", True)):
        raise terms.refuse("signed thinking back", f"{where}.content", "leave it out, or ask over another protocol")
    if not signed and not sends:
        raise terms.refuse("thinking back", f"{where}.content", "leave it out")
    text = "".join(t.text for t in thoughts)
    written: Json = {name: text} if sends and text else {}
    apart = any(place != FRONT for _, place in told)
    by_details = apart and bool(terms.own or terms.quirks.get("reasoning_details"))
    if signed or by_details or any(t.extra for t in thoughts) or len(thoughts) > 1 or not text:
        details = [
            terms.merge(detail(t, i, place_id(place) if apart else None), t.extra, where)
            for i, (t, place) in enumerate(told)
        ]
        written["reasoning_details"] = details
    return written


def _call(call: ToolCall, before: Part | None, where: str, terms: Terms) -> Json:
    terms.no_cache(call.cache, where)
    written: Json = {
        "id": terms.call_id(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if isinstance(before, Thinking) and signs_call(before):
        written |= call_signature(before.signature)
    return terms.merge(written, call.extra, where)


def _annotations(texts: list[Text], where: str, terms: Terms) -> list[Json]:
    annotations = write_citations(texts)
    if not terms.own and any(a.get("type") == "citation" for a in annotations):
        raise terms.refuse("citation without an address", f"{where}.content", "leave it out")
    return annotations


# --- content -----------------------------------------------------------------------------------------------


def _content(parts: Sequence[Part], where: str, terms: Terms) -> Any:
    """A string where a single text says no more than itself."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        only = _part(parts[0], where, terms)
        return only["text"] if len(only) == 2 else [only]
    return [_part(p, where, terms) for p in parts]


def _part(part: Part, where: str, terms: Terms) -> Json:
    if isinstance(part, Text):
        written: Json = {"type": "text", "text": part.text}
    elif isinstance(part, Image):
        address = part.url or write_data_url(part.data or b"", part.media_type)
        detail = {} if part.detail is None else {"detail": part.detail}
        written = {"type": "image_url", "image_url": {"url": address, **detail}}
    elif isinstance(part, Audio):
        written = _audio(part, where, terms)
    elif isinstance(part, Document):
        written = _document(part, where, terms)
    elif isinstance(part, Opaque) and part.provider == PROVIDER and (terms.own or part.raw.get("type") == "file"):
        return dict(part.raw)
    else:
        raise _not_here(part, where, terms)
    terms.need(written["type"], where)
    return terms.merge({**written, **terms.cache(part.cache, where)}, part.extra, where)


def _audio(part: Audio, where: str, terms: Terms) -> Json:
    if part.data is None or part.media_type is None:
        raise terms.refuse("audio but as bytes with their media type", f"{where}.content")
    form = _AUDIO.get(part.media_type, part.media_type.partition("/")[2])
    return {"type": "input_audio", "input_audio": {"data": write_base64(part.data), "format": form}}


def _document(part: Document, where: str, terms: Terms) -> Json:
    """A file; of a plain text its words, below its name."""
    if part.data is None:
        raise terms.refuse("documents by address", f"{where}.content", "send the bytes")
    if (part.media_type or "").startswith("text/") and not terms.own:
        head = "" if part.name is None else f"{part.name}:\n\n"
        return {"type": "text", "text": head + part.data.decode(errors="replace")}
    data = write_base64(part.data) if part.media_type is None else write_data_url(part.data, part.media_type)
    name = part.name if part.name is not None or terms.own else "document.pdf"
    return {"type": "file", "file": {"file_data": data, **({} if name is None else {"filename": name})}}


def _not_here(part: Part, where: str, terms: Terms) -> UnsupportedError:
    kind = str(part.__struct_config__.tag)
    whose = f" of {part.provider}" if isinstance(part, Opaque) else ""
    return terms.refuse(f"part of type {kind!r}{whose} there", f"{where}.content", "leave it out")
