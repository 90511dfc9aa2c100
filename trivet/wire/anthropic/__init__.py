"""Anthropic's messages. `count` is its count of tokens."""

from collections.abc import Mapping

from trivet.errors import TrivetError
from trivet.wire import Target
from trivet.wire.anthropic import errors
from trivet.wire.anthropic.answer_in import Reader
from trivet.wire.anthropic.answer_out import Renderer
from trivet.wire.anthropic.errors import error
from trivet.wire.anthropic.marks_out import hinted
from trivet.wire.anthropic.request_in import PROTOCOL, parse
from trivet.wire.anthropic.request_out import told, write

__all__ = ["PROTOCOL", "Reader", "Renderer", "error", "hinted", "parse", "read_error", "told", "write"]


def read_error(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> TrivetError:
    """The provider's answer with a status of 400 or more."""
    return errors.read_error(status, headers, body, target, protocol=PROTOCOL)
