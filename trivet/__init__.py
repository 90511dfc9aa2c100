"""trivet: one interface to every foundation model.

::

    import trivet
    print(trivet.chat("Hi").text)

Names are imported when they are first used: `import trivet` itself loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trivet.adapt.build import routed
    from trivet.adapt.settings import RouteSettings
    from trivet.api import chat, complete, count_tokens, embed, map, run_tool, stream
    from trivet.arguments import ChatOptions, SamplingOptions
    from trivet.attach import audio, document, image
    from trivet.config import Config
    from trivet.errors import (
        AuthError,
        BudgetError,
        ConfigError,
        ContextLengthError,
        MissingKeyError,
        OverloadedError,
        ProviderError,
        RateLimitError,
        RequestError,
        ToolError,
        TransportError,
        TrivetError,
        UnknownModelError,
        UnsupportedError,
        WeightsError,
    )
    from trivet.fake import CUT, STALL, Fake
    from trivet.into import Answer
    from trivet.model import About, Model, Provider, Wrapper
    from trivet.runtime import Runtime
    from trivet.sync import Stream, close
    from trivet.types import (
        Aside,
        Attempt,
        Audio,
        CacheMark,
        Chat,
        ChatResponse,
        Choice,
        Citation,
        Complete,
        CompleteResponse,
        Context,
        Conversation,
        CountTokens,
        CountTokensResponse,
        Document,
        Done,
        Embed,
        EmbedResponse,
        Event,
        Image,
        Message,
        Opaque,
        Output,
        Part,
        Reasoning,
        Request,
        Response,
        Sampling,
        Source,
        Start,
        Text,
        TextChoice,
        TextDelta,
        Thinking,
        ThinkingDelta,
        TokenLogprob,
        Tool,
        ToolCall,
        ToolCallDelta,
        ToolChoice,
        ToolResult,
        Usage,
        UsageUpdate,
        WholePart,
        assistant,
        from_json,
        replace,
        system,
        to_json,
        user,
    )

__all__ = [
    "CUT",
    "STALL",
    "About",
    "Answer",
    "Aside",
    "Attempt",
    "Audio",
    "AuthError",
    "BudgetError",
    "CacheMark",
    "Chat",
    "ChatOptions",
    "ChatResponse",
    "Choice",
    "Citation",
    "Complete",
    "CompleteResponse",
    "Config",
    "ConfigError",
    "Context",
    "ContextLengthError",
    "Conversation",
    "CountTokens",
    "CountTokensResponse",
    "Document",
    "Done",
    "Embed",
    "EmbedResponse",
    "Event",
    "Fake",
    "Image",
    "Message",
    "MissingKeyError",
    "Model",
    "Opaque",
    "Output",
    "OverloadedError",
    "Part",
    "Provider",
    "ProviderError",
    "RateLimitError",
    "Reasoning",
    "Request",
    "RequestError",
    "Response",
    "RouteSettings",
    "Runtime",
    "Sampling",
    "SamplingOptions",
    "Source",
    "Start",
    "Stream",
    "Text",
    "TextChoice",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolError",
    "ToolResult",
    "TransportError",
    "TrivetError",
    "UnknownModelError",
    "UnsupportedError",
    "Usage",
    "UsageUpdate",
    "WeightsError",
    "WholePart",
    "Wrapper",
    "assistant",
    "audio",
    "chat",
    "close",
    "complete",
    "count_tokens",
    "document",
    "embed",
    "from_json",
    "image",
    "map",
    "replace",
    "routed",
    "run_tool",
    "stream",
    "system",
    "to_json",
    "user",
]

# Where the names are, cheapest first: `trivet.Text` must not load what only `trivet.chat` needs.
_MODULES = (
    *("types", "errors", "model", "config", "runtime", "fake", "attach", "into"),
    *("adapt.settings", "adapt.build", "sync", "arguments", "api"),
)

if not TYPE_CHECKING:  # a checker would take any name from a module that has __getattr__

    def __getattr__(name: str) -> object:
        if name in __all__:
            from importlib import import_module

            for module in _MODULES:
                found = import_module(f"trivet.{module}")
                if hasattr(found, name):
                    globals()[name] = getattr(found, name)
                    return globals()[name]
        raise AttributeError(f"module 'trivet' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
