"""OpenAI's Responses."""

from collections.abc import Mapping

from trivet.errors import TrivetError
from trivet.strict import obstacle
from trivet.wire import Target, openai_errors
from trivet.wire.openai import hinted
from trivet.wire.openai_errors import error
from trivet.wire.openai_responses.answer_in import Reader
from trivet.wire.openai_responses.answer_out import Renderer
from trivet.wire.openai_responses.request_in import PROTOCOL, parse, thoughts_by_id
from trivet.wire.openai_responses.request_out import told, write
from trivet.wire.openai_responses.terms import takes_mark

__all__ = [
    "PROTOCOL",
    "Reader",
    "Renderer",
    "error",
    "hinted",
    "obstacle",
    "parse",
    "read_error",
    "takes_mark",
    "thoughts_by_id",
    "told",
    "write",
]


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> TrivetError:
    """The provider's answer with a status of 400 or more. `headers` by lower-case name."""
    return openai_errors.read_error(status, headers, body, target, protocol=PROTOCOL)
