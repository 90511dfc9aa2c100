"""What a price may also depend on, beside tokens: the tier that answered, media, and a provider's own tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trivet.ledger.prices import TEXT_ANSWER, TEXT_PROMPT
from trivet.types import (
    Audio,
    ChatResponse,
    Conversation,
    Document,
    Image,
    Opaque,
    Part,
    Request,
    Response,
    Speak,
    Text,
    ToolResult,
    Transcribe,
    TranscribeResponse,
)

__all__ = ["TEXT", "elsewhere", "inference_geo", "of_prompt", "own_tools", "service_tier", "units"]

_NOT_AN_HOUR = {"cache_write_1h_tokens": 0}  # of what is written to a cache: no mark asks for so long
TEXT: Mapping[str, int | None] = {**TEXT_PROMPT, **TEXT_ANSWER, **_NOT_AN_HOUR}  # as nearly all requests are
_USUAL = {"standard", "default", "auto", "standard_only", ""}
# What is left of these fields when our own tools are taken out lets the provider run tools of its own.
_FIELDS = ("tools", "web_search_options", "plugins", "mcp_servers", "search_parameters", "container")
# What a request may stand on that is not in it: prompts that the provider keeps, however long they are (OpenAI's and
# Gemini's), and models at other prices that may answer in its place (openrouter.ai/docs/features/model-routing).
_KEPT, _OTHERS = ("previous_response_id", "conversation", "prompt", "cachedContent"), "models"
_KINDS: Mapping[type[Part], str] = {Audio: "audio", Image: "image", Document: "document"}
# Parts of a prompt that only the provider can read (a file by its id) may be anything.
_OF_KIND = {
    "audio": ("input_audio_tokens", "input_audio_seconds", "audio_seconds"),
    "image": ("input_image_tokens", "input_pixels"),
    "document": ("input_document_pages", "input_annotated_document_pages"),
    "opaque": ("input_video_tokens",),
}


def service_tier(request: Request, response: Response | None) -> str | None:
    """The tier that answered, by the answer; where that does not tell, the one asked for. None is the usual one."""
    told: Any = getattr(request, "service_tier", None)
    if request.extra and request.extra.get("speed") == "fast":  # Anthropic's, at a price of its own
        told = "fast"
    if response is not None and response.extra:
        beyond = response.extra.get("anthropic_usage")
        by_use = beyond if isinstance(beyond, Mapping) else {}
        told = "fast" if by_use.get("speed") == "fast" else by_use.get("service_tier") or told
        told = response.extra.get("service_tier") or told
    return None if not isinstance(told, str) or told.lower() in _USUAL else told.lower()


def inference_geo(request: Request, response: Response | None) -> str | None:
    """Where Anthropic has answered, or is to answer, which it may charge more for."""
    beyond = response.extra.get("anthropic_usage") if response is not None and response.extra else None
    told = beyond.get("inference_geo") if isinstance(beyond, Mapping) else None
    told = told or (request.extra.get("inference_geo") if request.extra else None)
    return told if isinstance(told, str) else None


def own_tools(request: Request) -> str | None:
    """The first field that lets the provider run tools of its own, None where none does."""
    if not request.extra:
        return None
    return next((name for name in _FIELDS if request.extra.get(name)), None)


def elsewhere(request: Request, prompt: Mapping[str, int | None]) -> str | None:
    """The first field by which the request stands on what is not in it, None where it is whole. `prompt` are those of
    `of_prompt`."""
    if request.extra:
        names = (*_KEPT, _OTHERS) if isinstance(request, Conversation) else (_OTHERS,)
        if (found := next((name for name in names if request.extra.get(name)), None)) is not None:
            return found
    if prompt is TEXT or not isinstance(request, Conversation):
        return None
    raw = (part.raw for message in request.messages for part in message.content if isinstance(part, Opaque))
    refers = any(isinstance(item, Mapping) and item.get("type") == "item_reference" for item in raw)
    return "item_reference" if refers else None


def units(
    request: Request, response: Response, prompt: Mapping[str, int | None]
) -> tuple[Mapping[str, int | None], str | None]:
    """Counts beside `Usage` that a price may be for, as `Prices.cost` takes them, and what has been used whose count is
    not told (None: nothing). `prompt` are those of `of_prompt`."""
    if prompt is TEXT and not request.extra and type(response) is ChatResponse and len(response.choices) == 1:
        content = response.choices[0].message.content
        if len(content) == 1 and type(content[0]) is Text:  # as most are
            return TEXT, None
    if isinstance(response, TranscribeResponse):
        return {**prompt, **_seconds(response)}, None
    said = [part for c in response.choices for part in c.message.content] if isinstance(response, ChatResponse) else []
    text = all(type(part) is Text for part in said) or not any(isinstance(p, Audio | Image | Opaque) for p in said)
    if text and prompt is TEXT and not request.extra:
        return TEXT, None
    found = dict(prompt)
    if not text:
        found = {name: count for name, count in found.items() if name not in TEXT_ANSWER}
    if request.extra and request.extra.get(_OTHERS):
        return found, f"the one of `{_OTHERS}` that has answered"
    return found, None if own_tools(request) is None else _ran(response, said, found)


def of_prompt(request: Request) -> Mapping[str, int | None]:
    """What is known of these counts before the answer: those of what the prompt does not have."""
    if isinstance(request, Speak):  # what it says is of no kind that is counted
        return {**TEXT_PROMPT, **_NOT_AN_HOUR, "input_characters": len(request.text)}
    kinds = _kinds(request)
    if not kinds:
        return TEXT
    found: dict[str, int | None] = dict(TEXT_ANSWER)
    if "hour" not in kinds:
        found |= _NOT_AN_HOUR
    if "opaque" not in kinds:
        found |= {name: 0 for kind, names in _OF_KIND.items() if kind not in kinds for name in names}
    return found


def _seconds(response: TranscribeResponse) -> Mapping[str, Any]:
    """How much sound is charged for, where the host tells that, else how much there was."""
    told = response.extra.get("usage") if response.extra else None
    seconds = told.get("seconds") if isinstance(told, Mapping) else response.duration_s
    return {} if seconds is None else {"audio_seconds": seconds}


def _ran(response: Response, said: Iterable[Part], found: dict[str, int | None]) -> str | None:
    """What tools of the provider's have run whose count is not told; searches that are told go into `found`."""
    beyond = response.extra.get("anthropic_usage") if response.extra else None
    ran = beyond.get("server_tool_use") if isinstance(beyond, Mapping) else None
    if isinstance(ran, Mapping):
        found["web_searches"] = ran.get("web_search_requests") or 0
        others = (name for name, n in ran.items() if n and name not in ("web_search_requests", "web_fetch_requests"))
        return next(others, None)  # a fetch costs its tokens and nothing beyond them
    if any(isinstance(part, Opaque) or getattr(part, "citations", ()) for part in said):
        return "the provider's own tools"
    return None  # they were there, and nothing says that one has run


def _kinds(request: Request) -> set[str]:
    """Which kinds of parts beside text the prompt has; `hour` where a mark wants its prefix kept for so long."""
    if isinstance(request, Transcribe):
        return {"audio"}
    if not isinstance(request, Conversation):
        return set()
    kinds: set[str] = set()
    for message in request.messages:
        for part in message.content:
            if part.cache is not None and part.cache.ttl == "1h":
                kinds.add("hour")
            if type(part) is not Text:
                inner = part.content if isinstance(part, ToolResult) else (part,)
                kinds.update(_kind(each) for each in inner)
    if any(tool.cache is not None and tool.cache.ttl == "1h" for tool in request.tools):
        kinds.add("hour")
    if request.extra and "cache_control" in request.extra:
        kinds.add("hour")
    return kinds - {"text"}


def _kind(part: Part) -> str:
    return _KINDS.get(type(part)) or ("opaque" if isinstance(part, Opaque) else "text")
