"""OpenAI's plain completions, which many hosts of open models speak too."""

from trivet.wire.openai_completions.answer_in import Reader, read_error
from trivet.wire.openai_completions.answer_out import Renderer
from trivet.wire.openai_completions.request_in import PROTOCOL, parse
from trivet.wire.openai_completions.request_out import told, write
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "parse", "read_error", "told", "write"]
