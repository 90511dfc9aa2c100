"""OpenAI's Responses."""

from trivet.wire.openai_errors import error
from trivet.wire.openai_responses.answer_out import Renderer
from trivet.wire.openai_responses.request_in import PROTOCOL, parse

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]
