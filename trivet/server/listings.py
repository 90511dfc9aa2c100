"""What GET answers: the models, in the shapes of OpenAI, Anthropic and Gemini, and the server's health."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trivet
from trivet.model import bottom

if TYPE_CHECKING:
    from trivet.runtime import Runtime

_STARTED = int(time.time())


def openai_model(name: str) -> dict[str, Any]:
    """`created` must be there, in seconds since 1970: the time at which the name began to exist, here."""
    owner = name.partition("/")[0] if "/" in name else "trivet"
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": owner}


def openai_models(names: tuple[str, ...]) -> dict[str, Any]:
    return {"object": "list", "data": [openai_model(name) for name in names]}


def anthropic_model(name: str) -> dict[str, Any]:
    """`created_at` may be the epoch where the date is unknown, says the protocol."""
    unknown = ("capabilities", "deprecated_at", "line", "max_input_tokens", "max_tokens", "retires_at")
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        **dict.fromkeys(unknown),
    }


def anthropic_models(names: tuple[str, ...]) -> dict[str, Any]:
    """All of them, on one page."""
    first, last = (names[0], names[-1]) if names else (None, None)
    data = [anthropic_model(name) for name in names]
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def gemini_model(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens", "embedContent"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def gemini_models(names: tuple[str, ...]) -> dict[str, Any]:
    """All of them, on one page."""
    return {"models": [gemini_model(name) for name in names]}


Shape = tuple[Callable[[str], dict[str, Any]], Callable[[tuple[str, ...]], dict[str, Any]]]
SHAPES: dict[str, Shape] = {
    "openai": (openai_model, openai_models),
    "anthropic": (anthropic_model, anthropic_models),
    "gemini": (gemini_model, gemini_models),
}


def slots(runtime: Runtime) -> dict[str, Any]:
    """How busy each model is that has been asked for and tells: it has `slots` with `busy` and `total`."""
    told = {name: getattr(bottom(model), "slots", None) for name, model in runtime.built.items()}
    return {name: {"busy": s.busy, "total": s.total} for name, s in told.items() if s is not None}


def details(runtime: Runtime) -> dict[str, Any]:
    """What only those may know who may ask."""
    counting = runtime.counting.problems() or "well"
    names = list(runtime.names())
    return {"version": trivet.__version__, "models": names, "slots": slots(runtime), "counting": counting}
