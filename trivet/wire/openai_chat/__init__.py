"""OpenAI's chat completions, which most other hosts speak too."""

from functools import partial

from trivet.strict import obstacle
from trivet.wire import openai_errors
from trivet.wire.openai import hinted
from trivet.wire.openai_chat.answer_in import Reader
from trivet.wire.openai_chat.answer_out import Renderer
from trivet.wire.openai_chat.messages_out import reordered
from trivet.wire.openai_chat.request_in import parse
from trivet.wire.openai_chat.request_out import told, write
from trivet.wire.openai_chat.terms import PROTOCOL, takes_mark
from trivet.wire.openai_errors import error

__all__ = [
    "PROTOCOL",
    "Reader",
    "Renderer",
    "error",
    "hinted",
    "obstacle",
    "parse",
    "read_error",
    "reordered",
    "takes_mark",
    "told",
    "write",
]

read_error = partial(openai_errors.read_error, protocol=PROTOCOL)
