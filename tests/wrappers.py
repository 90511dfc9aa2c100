"""What every wrapper is put through, over every task: `test_wrappers.py` runs it. A new wrapper is a line in
`WRAPPERS`, a new task a line in `REQUESTS`."""

from __future__ import annotations

from collections.abc import Callable

from trivet.adapt.prompt import Prompt
from trivet.adapt.several import Several
from trivet.model import Model, Wrapper
from trivet.types import Chat, Complete, CountTokens, Embed, Request, user

WRAPPERS: dict[str, Callable[[Model], Model]] = {
    "plain": Wrapper,
    "prompt": lambda inner: Prompt(inner, "You are terse."),
    "several": Several,
    "two prompts": lambda inner: Prompt(Prompt(inner, "inner"), "outer"),
}

REQUESTS: dict[str, Request] = {
    "chat": Chat(messages=(user("Hi"),)),
    "complete": Complete(prompt="Once"),
    "count_tokens": CountTokens(messages=(user("Hi"),)),
    "embed": Embed(texts=("a", "b")),
}
