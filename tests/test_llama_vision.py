"""Images in a chat with an embedded model: the real SmolLM2, with a projector whose numbers are known
(`small_projector`): a picture of colours is read as the words for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines import opened
from tests.small_projector import projector, seen
from trivet.local.llama import Llama
from trivet.types import (
    Chat,
    ChatResponse,
    Part,
    Sampling,
    user,
)

COLD = Sampling(temperature=0, max_tokens=6, logprobs=0)
WORDS = ("red", "blue", "green", "white")


@pytest.fixture(scope="module")
def mmproj(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf")


@pytest.fixture(scope="module")
def sighted(mmproj: Path) -> Iterator[Llama]:
    """One slot, so that every request finds in it what the one before has left."""
    with opened(projector=str(mmproj)) as model:
        yield model


async def ask(model: Llama, *content: str | Part, **fields: Any) -> ChatResponse:
    response = await model.call(Chat(messages=(user(*content),), **{"sampling": COLD} | fields))
    assert isinstance(response, ChatResponse)
    return response


def probabilities(response: ChatResponse) -> list[tuple[str, float]]:
    (choice,) = response.choices
    assert choice.logprobs is not None
    return [(t.token, t.logprob) for t in choice.logprobs]


def same(one: ChatResponse, other: ChatResponse) -> bool:
    """Whether two answers are the same, token for token and to a thousandth of each one's probability."""
    a, b = probabilities(one), probabilities(other)
    return [t for t, _ in a] == [t for t, _ in b] and np.allclose([p for _, p in a], [p for _, p in b], atol=1e-3)


# --- what it sees ------------------------------------------------------------------------------------------


async def test_a_picture_of_colours_is_read_as_their_words(sighted: Llama) -> None:
    picture = await ask(sighted, "Repeat:", seen(*WORDS), " end")
    assert same(picture, await ask(sighted, "Repeat: red blue green white end"))
    assert not same(picture, await ask(sighted, "Repeat: white green blue red end"))
