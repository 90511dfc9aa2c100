"""The messages of an OpenAI chat request.

A `tool` message is a user's message with a `ToolResult`. A refusal in an assistant's turn is a `Text` whose
`extra` says `{"refusal": true}`: a label, as the text itself is there. What only OpenAI can resolve or read (file
ids, calls of custom tools) is an `Opaque` part, and so is content of a kind that some host has added. Annotations
become citations of the turn's text. Reasoning comes as `reasoning_content`, the extension that most compatible
servers share, or with its signatures as `reasoning_details`, which is OpenRouter's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trivet.errors import RequestError
from trivet.types import (
    Audio,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    replace,
)
from trivet.wire.data_url import is_data_url, read_base64, read_data_url
from trivet.wire.fields import Fields, convert, drop_defaults, need_object, rest
from trivet.wire.openai import read_cache_mark, refuse_deprecated
from trivet.wire.openai_chat.citations import read_citations
from trivet.wire.openai_chat.order import FRONT, Place, arrange, read_place
from trivet.wire.openai_chat.reasoning import KINDS, provider_of, read_call_signature
from trivet.wire.openai_chat.terms import PROVIDER

# The kinds of part that a role's message takes. OpenAI's tool messages take text alone; pictures are what
# compatible servers add, and tools that look at something need.
_TAKES = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text", "image_url"),
}
_AUDIO_TYPES = {"mp3": "audio/mpeg"}  # others are their own name


def read_messages(body: Fields) -> tuple[Message, ...]:
    """Takes `messages` from a request's body."""
    if not body.has("messages"):
        body.need("messages", list)
    messages = tuple(_message(m) for m in body.objects("messages"))
    if not messages:
        raise RequestError("messages is empty: a chat needs at least one message", field="messages")
    return messages


def _message(m: Fields) -> Message:
    role = m.need("role", str)
    if role == "function":
        path = m.at("role")
        raise RequestError(f'{path}: "function" is the older form: use "tool", with a tool_call_id', field=path)
    if role not in _TAKES:
        raise RequestError(f"{m.at('role')} is {role!r}, must be one of {', '.join(_TAKES)}", field=m.at("role"))
    name = m.take("name", str)
    content: tuple[Part, ...]
    if role == "tool":
        content = (_tool_result(m),)
    elif role == "assistant":
        content = _assistant(m)
    else:
        content = tuple(_content(m, role))
    ours: Role = "user" if role == "tool" else role  # type: ignore[assignment]  # the others are ours too
    return Message(role=ours, content=content, name=name, extra=m.rest())


def _tool_result(m: Fields) -> ToolResult:
    call_id = m.need("tool_call_id", str)
    return ToolResult(call_id=call_id, content=tuple(_content(m, "tool")))  # type: ignore[arg-type]  # see _TAKES


def _assistant(m: Fields) -> tuple[Part, ...]:
    """Reasoning, text, refusal, calls: the order in which a model writes them, where nothing says another."""
    refuse_deprecated(m, "function_call", "tool_calls")
    drop_defaults(m, {"annotations": []})  # an answer of ours, sent back as it came
    thinking, refusal = _thinking(m), m.take("refusal", str)
    calls = [_tool_call(c, i) for i, c in enumerate(m.objects("tool_calls"))]
    others = bool(thinking or refusal or calls or m.has("audio"))
    # An empty string beside calls is how many clients write "no text".
    said = _content(m, "assistant", optional=others)
    text = [p for p in said if isinstance(p, Text) and p != Text(text="")]  # all are texts: see _TAKES
    annotations = m.left.get("annotations")
    if isinstance(annotations, list) and len(text) == 1:
        del m.left["annotations"]
        text = [replace(text[0], citations=read_citations(annotations))]
    if refusal:
        text.append(Text(text=refusal, extra={"refusal": True}))
    turn = arrange(thinking, text, calls)
    return tuple(part for step in turn for part in (step if isinstance(step, list) else [step]))


def _thinking(m: Fields) -> list[tuple[Place, list[Part]]]:
    """Each thought with its place; a place alone has none."""
    plain = m.take("reasoning_content", str)
    details = m.left.get("reasoning_details")
    known = isinstance(details, list) and all(isinstance(d, dict) and d.get("type") in KINDS for d in details)
    if not details or not known:
        # Details of other kinds stay, for the message's extra.
        return [(FRONT, [Thinking(text=plain)])] if plain else []
    items = m.objects("reasoning_details")
    places = [read_place(d.left.get("id")) for d in items]
    thoughts = [_detail(d, place) for d, place in zip(items, places, strict=True)]
    if plain and plain != "".join(t.text for t in thoughts):
        path = m.at("reasoning_content")
        raise RequestError(f"{path} is not the text in reasoning_details: send one of them", field=path)
    nothing = Thinking()
    return [
        (place or FRONT, [] if place is not None and thought == nothing else [thought])
        for place, thought in zip(places, thoughts, strict=True)
    ]


def _detail(d: Fields, place: Place | None) -> Thinking:
    drop_defaults(d, {"index": int(d.path.rpartition("[")[2][:-1])})
    if place is not None:  # one of ours, whose index clients may have counted anew
        d.take("index", int)
        d.take("id", str)
    if d.need("type", str) == "reasoning.encrypted":
        provider = provider_of(d.take("format", str))
        return Thinking(redacted=d.need("data", str), provider=provider, extra=d.rest())
    text, signature = d.take("text", str, ""), d.take("signature", str)
    if signature is None:
        return Thinking(text=text, extra=d.rest())
    provider = provider_of(d.take("format", str))
    return Thinking(text=text, signature=signature, provider=provider, extra=d.rest())


def _tool_call(c: Fields, position: int) -> list[Part]:
    """A call, and before it the signature that Gemini has put on it."""
    if c.left.get("type") == "custom":
        return [Opaque(provider=PROVIDER, raw=dict(c.left))]
    signature = read_call_signature(c.left)
    if signature is not None:
        _without_signature(c)
        return [Thinking(signature=signature, provider="gemini"), *_tool_call(c, position)]
    # Some clients leave the type out, and some keep the index that the call had in a stream.
    drop_defaults(c, {"type": "function", "index": position})
    if c.has("type"):
        path = c.at("type")
        raise RequestError(f"{path} is {c.left['type']!r}, must be function or custom", field=path)
    function = need_object(c, "function")
    call = ToolCall(
        id=c.need("id", str),
        name=function.need("name", str),
        arguments=function.need("arguments", str),
        extra=rest(c, function=function),
    )
    return [call]


def _without_signature(c: Fields) -> None:
    """Takes Gemini's signature out of a call, and leaves what else stands there."""
    content = c.left.pop("extra_content")
    google = {k: v for k, v in content["google"].items() if k != "thought_signature"}
    if left := {k: v for k, v in {**content, "google": google}.items() if v}:
        c.left["extra_content"] = left


# --- content -----------------------------------------------------------------------------------------------


def _content(m: Fields, role: str, *, optional: bool = False) -> list[Part]:
    """A message's parts. A string is one text. Only an assistant's message that says something else has none."""
    if optional and not m.has("content"):
        m.take("content", str)
        return []
    if isinstance(m.left.get("content"), str):
        return [Text(text=m.need("content", str))]
    values = m.need("content", list[Any])
    path = m.at("content")
    return [_part(Fields(v, f"{path}[{i}]"), role) for i, v in enumerate(values)]


def _part(p: Fields, role: str) -> Part:
    whole = dict(p.left)
    path, kind = p.at("type"), p.need("type", str)
    if kind not in _TAKES[role]:
        if role in ("user", "tool") and kind not in _READERS:
            return Opaque(provider=PROVIDER, raw=whole)  # `video_url` and its like, which some hosts have
        takes = ", ".join(_TAKES[role])
        raise RequestError(f"{path} is {kind!r}: the content of a message from {role} may have {takes}", field=path)
    return _READERS[kind](p)


def _text(p: Fields) -> Text:
    return Text(text=p.need("text", str), cache=read_cache_mark(p), extra=p.rest())


def _refusal(p: Fields) -> Text:
    return Text(text=p.need("refusal", str), extra={"refusal": True, **p.rest()})


def _image(p: Fields) -> Image:
    image = need_object(p, "image_url")
    url = image.need("url", str)
    data, media_type = read_data_url(url, image.at("url")) if is_data_url(url) else (None, None)
    detail = image.take("detail", str) if image.left.get("detail") in ("auto", "low", "high") else None
    return Image(
        data=data,
        url=url if data is None else None,
        media_type=media_type,
        detail=detail,  # type: ignore[arg-type]  # one of the three
        cache=read_cache_mark(p),
        extra=rest(p, image_url=image),
    )


def _audio(p: Fields) -> Audio:
    audio = need_object(p, "input_audio")
    data = read_base64(audio.need("data", str), audio.at("data"))
    kind = audio.need("format", str)
    media_type = _AUDIO_TYPES.get(kind, f"audio/{kind}")
    return Audio(data=data, media_type=media_type, cache=read_cache_mark(p), extra=rest(p, input_audio=audio))


def _file(p: Fields) -> Document | Opaque:
    """A PDF in the request itself; a file's id is the provider's own state."""
    whole = {"type": "file", **p.left}
    file = need_object(p, "file")
    if file.has("file_id"):
        convert(file.left["file_id"], str, file.at("file_id"))
        return Opaque(provider=PROVIDER, raw=whole)
    text = file.need("file_data", str)
    path = file.at("file_data")
    data, media_type = read_data_url(text, path) if is_data_url(text) else (read_base64(text, path), None)
    name = file.take("filename", str)
    return Document(data=data, media_type=media_type, name=name, cache=read_cache_mark(p), extra=rest(p, file=file))


_READERS: dict[str, Callable[[Fields], Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
