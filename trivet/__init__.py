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
    from trivet.api import chat, complete, count_tokens, map, run_tool, stream
    from trivet.api_media import classify, embed, forecast, mask, read, rerank, speak, transcribe
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
    from trivet.sync import AudioStream, SegmentStream, Stream, close
    from trivet.types import (
        Act,
        ActResponse,
        Aside,
        Attempt,
        Audio,
        AudioDelta,
        CacheMark,
        Chat,
        ChatResponse,
        Choice,
        Citation,
        Classify,
        ClassifyResponse,
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
        Fold,
        FoldResponse,
        Forecast,
        ForecastResponse,
        Image,
        Label,
        Line,
        Mask,
        MaskResponse,
        Message,
        Opaque,
        Output,
        Part,
        Place,
        Ranked,
        Read,
        ReadResponse,
        Reasoning,
        Request,
        Rerank,
        RerankResponse,
        Residue,
        Response,
        Sampling,
        Segment,
        SegmentDelta,
        Source,
        Speak,
        SpeakResponse,
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
        Transcribe,
        TranscribeResponse,
        Usage,
        UsageUpdate,
        WholePart,
        Word,
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
    "Act",
    "ActResponse",
    "Answer",
    "Aside",
    "Attempt",
    "Audio",
    "AudioDelta",
    "AudioStream",
    "AuthError",
    "BudgetError",
    "CacheMark",
    "Chat",
    "ChatOptions",
    "ChatResponse",
    "Choice",
    "Citation",
    "Classify",
    "ClassifyResponse",
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
    "Fold",
    "FoldResponse",
    "Forecast",
    "ForecastResponse",
    "Image",
    "Label",
    "Line",
    "Mask",
    "MaskResponse",
    "Message",
    "MissingKeyError",
    "Model",
    "Opaque",
    "Output",
    "OverloadedError",
    "Part",
    "Place",
    "Provider",
    "ProviderError",
    "Ranked",
    "RateLimitError",
    "Read",
    "ReadResponse",
    "Reasoning",
    "Request",
    "RequestError",
    "Rerank",
    "RerankResponse",
    "Residue",
    "Response",
    "RouteSettings",
    "Runtime",
    "Sampling",
    "SamplingOptions",
    "Segment",
    "SegmentDelta",
    "SegmentStream",
    "Source",
    "Speak",
    "SpeakResponse",
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
    "Transcribe",
    "TranscribeResponse",
    "TransportError",
    "TrivetError",
    "UnknownModelError",
    "UnsupportedError",
    "Usage",
    "UsageUpdate",
    "WeightsError",
    "WholePart",
    "Word",
    "Wrapper",
    "assistant",
    "audio",
    "chat",
    "classify",
    "close",
    "complete",
    "count_tokens",
    "document",
    "embed",
    "forecast",
    "from_json",
    "image",
    "map",
    "mask",
    "read",
    "replace",
    "rerank",
    "routed",
    "run_tool",
    "speak",
    "stream",
    "system",
    "to_json",
    "transcribe",
    "user",
]

# Where the names are, cheapest first: `trivet.Text` must not load what only `trivet.chat` needs.
_MODULES = (
    *("types", "errors", "model", "config", "runtime", "fake", "attach", "into"),
    *("adapt.settings", "adapt.build", "sync", "arguments", "api", "api_media"),
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
