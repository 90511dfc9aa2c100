"""What a price may also depend on, beside tokens: the tier that answered, and a provider's own tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trivet.types import Audio, ChatResponse, Conversation, Opaque, Part, Request, Response, ToolResult

__all__ = ["own_tools", "service_tier", "units"]

_USUAL = {"standard", "default", "auto", "standard_only", ""}
# What is left of these fields when our own tools are taken out lets the provider run tools of its own.
_FIELDS = ("tools", "web_search_options", "plugins", "mcp_servers", "search_parameters", "container")


def service_tier(request: Request, response: Response | None) -> str | None:
    """The tier that answered, by the answer; where that does not tell, the one asked for. None is the usual one."""
    told: Any = getattr(request, "service_tier", None)
    if response is not None and response.extra:
        extra = response.extra
        beyond = extra.get("anthropic_usage")
        by_use = beyond.get("service_tier") if isinstance(beyond, Mapping) else None
        told = extra.get("service_tier") or by_use or told
    return None if not isinstance(told, str) or told.lower() in _USUAL else told.lower()


def own_tools(request: Request) -> str | None:
    """The first field that lets the provider run tools of its own, None where none does."""
    if not request.extra:
        return None
    return next((name for name in _FIELDS if request.extra.get(name)), None)


def units(request: Request, response: Response) -> tuple[dict[str, int], str | None]:
    """Counts beside `Usage` that a price may be for, and what has been used whose count is not told (None: nothing).

    Without audio in the prompt there are no tokens of audio in it; without tools of the provider's own, no searches."""
    found = {"web_searches": 0}
    if not isinstance(request, Conversation) or not any(isinstance(p, Audio) for p in _parts(request)):
        found["audio_input_tokens"] = 0
    said = [part for c in response.choices for part in c.message.content] if isinstance(response, ChatResponse) else []
    if not any(isinstance(part, Audio) for part in said):
        found["audio_output_tokens"] = 0
    if own_tools(request) is None:
        return found, None
    beyond = response.extra.get("anthropic_usage") if response.extra else None
    ran = beyond.get("server_tool_use") if isinstance(beyond, Mapping) else None
    if isinstance(ran, Mapping):
        searches = ran.get("web_search_requests")
        others = [name for name, n in ran.items() if n and name not in ("web_search_requests", "web_fetch_requests")]
        found["web_searches"] = searches if isinstance(searches, int) else 0
        return found, others[0] if others else None  # a fetch costs its tokens and nothing beyond them
    if any(isinstance(part, Opaque) or getattr(part, "citations", ()) for part in said):
        return found, "the provider's own tools"
    return found, None  # they were there, and nothing says that one has run


def _parts(request: Conversation) -> Iterator[Part]:
    for message in request.messages:
        for part in message.content:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content
