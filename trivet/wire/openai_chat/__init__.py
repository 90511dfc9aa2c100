"""OpenAI's chat completions, which most other hosts speak too."""

from trivet.wire.openai_chat.answer_out import Renderer
from trivet.wire.openai_chat.request_in import PROTOCOL, parse
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]
