"""Prompts that no cache has seen, all of the same number of tokens."""

from __future__ import annotations

import random

from trivet.model import Model
from trivet.types import CountTokens, CountTokensResponse, Message, user

# Each is one token of SmolLM2's, with the space before it.
_WORDS = (
    "water river stone house garden forest mountain island ocean winter summer morning evening music letter paper "
    "window bridge market village teacher student doctor farmer soldier king queen child mother father brother sister "
    "horse bird fish tree flower bread milk sugar salt silver gold iron glass cotton leather road train ship engine "
    "wheel clock map book story poem song dance theatre science history language number circle square triangle line"
)
WORDS = _WORDS.split()


class Prompts:
    """Texts of `tokens` tokens in all, the chat template's own among them, drawn anew each time."""

    def __init__(self, template_tokens: int, seed: int) -> None:
        self._template = template_tokens
        self._random = random.Random(seed)

    def new(self, tokens: int) -> str:
        return " " + " ".join(self._random.choice(WORDS) for _ in range(tokens - self._template))


async def prompts(model: Model, seed: int) -> Prompts:
    """Raises ValueError where a word is not one token of the model's."""
    counts = [await count(model, " " + " ".join(words)) for words in (WORDS, WORDS[:1])]
    if counts[0] - counts[1] != len(WORDS) - 1:
        raise ValueError(f"{len(WORDS)} words are {counts[0] - counts[1] + 1} tokens: name other words")
    return Prompts(counts[1] - 1, seed)


async def count(model: Model, text: str) -> int:
    response = await model.call(CountTokens(messages=as_messages(text)))
    assert isinstance(response, CountTokensResponse)
    return response.input_tokens


def as_messages(text: str) -> tuple[Message, ...]:
    return (user(text),)
