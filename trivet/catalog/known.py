"""What is known of a model before it is asked: context and price from genai-prices, what it can do and how large it is
by `known.toml` and its name. Unknown is None, never False and never 0."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from trivet.catalog import names
from trivet.model import About
from trivet.types import Value, replace

__all__ = ["KINDS", "Known", "about", "known", "plain"]

KINDS = ("image", "audio", "document")  # of input, beside text

_TOTAL = re.compile(r"(?:^|[-_x])(\d+(?:\.\d+)?)([bt])(?![a-z0-9])")  # `-70b`, `-2.4t`
_ACTIVE = re.compile(r"-a(\d+(?:\.\d+)?)b(?![a-z0-9])")  # `-a22b`
_EXPERTS = re.compile(r"\d+(?:b-\d+e|x\d+)")  # `17b-128e`, `8x7b`: no number there is the total


class _Facts(Value, frozen=True, kw_only=True):
    """What a name alone tells."""

    image: bool | None = None
    audio: bool | None = None
    document: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    chats: bool | None = None
    embeds: bool | None = None
    total_b: float | None = None
    active_b: float | None = None


class Known(_Facts, frozen=True, kw_only=True):
    """`context_tokens` is the longest prompt; `image`, `audio` and `document` are whether it takes them as input.
    `total_b` and `active_b` are parameters in billions: of a mixture of experts only the active ones work on a token.
    `usd_3to1` is the price in USD of a million tokens, three of four of them input and one output; of an embedder it is
    that of its input, and it leaves out what is paid for by the request, and higher prices for long prompts."""

    context_tokens: int | None = None
    usd_3to1: float | None = None


class _Row(_Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `known.toml` says of all models whose names match."""

    names: str


def known(model: str, url: str = "") -> Known:
    """What is known of the model that the host at `url` calls `model`. A server of one's own has no price here."""
    found = _of_name(plain(model))
    info = names.entry(model, url) if url else None
    if info is None:
        return found
    return replace(found, context_tokens=info.context_window, usd_3to1=_blend(info, embeds=found.embeds is True))


def about(told: About, known: Known) -> About:
    """What a model tells of itself, with what is known beside that: a hosted model claims every kind of input, and
    nothing else."""
    tasks = told.tasks
    if known.embeds is not None:
        tasks = tuple(
            task for task in tasks if (task == "embed") == known.embeds or (task != "embed" and not known.embeds)
        )
    if known.image is False:
        tasks = tuple(task for task in tasks if task != "read")
    return replace(
        told,
        tasks=tasks or told.tasks,
        inputs=tuple(kind for kind in told.inputs if getattr(known, kind, None) is not False),
        context_tokens=known.context_tokens if told.context_tokens is None else told.context_tokens,
        tools=known.tools if told.tools is None else told.tools,
    )


def plain(model: str) -> str:
    """A name as the tables have it: `accounts/fireworks/models/deepseek-v3p2` is `deepseek-v3.2`, and Ollama's
    `qwen3:8b` is `qwen3-8b`."""
    last = model.lower().rpartition("/")[2].replace(":", "-")
    return re.sub(r"(?<=\d)p(?=\d)", ".", last)


@functools.lru_cache(maxsize=4096)
def _of_name(name: str) -> Known:
    found: dict[str, Any] = {}
    for row, pattern in _rows():
        if pattern.fullmatch(name):
            for field in _Facts.__struct_fields__:
                if found.get(field) is None:
                    found[field] = getattr(row, field)
    if found.get("total_b") is None and not _EXPERTS.search(name) and (size := _TOTAL.search(name)):
        found["total_b"] = float(size[1]) * (1000 if size[2] == "t" else 1)
    if found.get("active_b") is None and (active := _ACTIVE.search(name)):
        found["active_b"] = float(active[1])
    return Known(**found)


@functools.cache
def _rows() -> Sequence[tuple[_Row, re.Pattern[str]]]:
    tables = tomllib.loads(Path(__file__).with_name("known.toml").read_text("utf-8"))["rows"]
    rows = [msgspec.convert(table, _Row) for table in tables]
    return [(row, re.compile(row.names)) for row in rows]


def _blend(info: Any, *, embeds: bool) -> float | None:
    """At today's prices, which may change on a day that the data knows."""
    from datetime import UTC, datetime

    prices = info.get_prices(datetime.now(UTC))
    paid = [getattr(prices, name) for name in ("input_mtok", "output_mtok")]
    into, out = (getattr(price, "base", price) for price in paid)  # the price of short prompts, where there are tiers
    if embeds and into is not None:
        return float(into)
    return None if into is None or out is None else float(3 * into + out) / 4
