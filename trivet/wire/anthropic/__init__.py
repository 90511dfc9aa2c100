"""Anthropic's messages. `count` is its count of tokens."""

from trivet.wire.anthropic.answer_out import Renderer
from trivet.wire.anthropic.errors import error
from trivet.wire.anthropic.request_in import PROTOCOL, parse

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]
