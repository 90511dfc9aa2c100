"""Gemini's generateContent. `count` is its count of tokens, `embed` its embeddings, `front` what its paths say."""

from trivet.wire.gemini.answer_in import Reader
from trivet.wire.gemini.answer_out import Renderer
from trivet.wire.gemini.errors import error, read_error
from trivet.wire.gemini.request_in import PROTOCOL, parse
from trivet.wire.gemini.request_out import told, write

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]
