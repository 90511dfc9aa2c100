"""The vocabulary: messages and their parts, requests, responses, events.

Every value is immutable and keyword-only, and goes to JSON and back unchanged (`to_json`, `from_json`).
A request class is a *task*; `Request.__subclasses__` is the list of tasks, and nothing else needs one:
a wrapper looks at the fields that it cares about (`Conversation` has messages), never at the task's name.

To add a task: a subclass of `Request` with its `response_type`, a subclass of `Response`, and, where it
streams, events of its own that say whether they carry `content`.
"""

from __future__ import annotations

from trivet.types.cost import Cost
from trivet.types.events import (
    AnyEvent,
    Aside,
    Done,
    Event,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageUpdate,
    WholePart,
)
from trivet.types.messages import (
    Audio,
    BasePart,
    CacheMark,
    Citation,
    Document,
    Image,
    Media,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from trivet.types.options import Effort, Output, Reasoning, Sampling, Tool, ToolChoice
from trivet.types.requests import (
    AnyRequest,
    Chat,
    Complete,
    Context,
    Conversation,
    CountTokens,
    Embed,
    Request,
    task_name,
    tasks,
)
from trivet.types.responses import (
    AnyResponse,
    Attempt,
    ChatResponse,
    Choice,
    CompleteResponse,
    CountTokensResponse,
    EmbedResponse,
    FinishReason,
    Response,
    TextChoice,
    TokenLogprob,
)
from trivet.types.source import Source
from trivet.types.usage import Usage
from trivet.types.value import Extra, Json, Value, check, from_json, replace, to_json

__all__ = [
    "AnyEvent",
    "AnyRequest",
    "AnyResponse",
    "Aside",
    "Attempt",
    "Audio",
    "BasePart",
    "CacheMark",
    "Chat",
    "ChatResponse",
    "Choice",
    "Citation",
    "Complete",
    "CompleteResponse",
    "Context",
    "Conversation",
    "Cost",
    "CountTokens",
    "CountTokensResponse",
    "Document",
    "Done",
    "Effort",
    "Embed",
    "EmbedResponse",
    "Event",
    "Extra",
    "FinishReason",
    "Image",
    "Json",
    "Media",
    "Message",
    "Opaque",
    "Output",
    "Part",
    "Reasoning",
    "Request",
    "Response",
    "Role",
    "Sampling",
    "Source",
    "Start",
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
    "ToolResult",
    "Usage",
    "UsageUpdate",
    "Value",
    "WholePart",
    "assistant",
    "check",
    "from_json",
    "replace",
    "system",
    "task_name",
    "tasks",
    "to_json",
    "user",
]
