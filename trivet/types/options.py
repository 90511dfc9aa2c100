"""What a request may ask for: tools, structured output, how tokens are drawn, how much to think."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from trivet.types.messages import CacheMark
from trivet.types.value import Extra, Json, Value


class Tool(Value, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is the JSON Schema of its arguments, an object. `result` is that
    of what it gives back: a hint, told where the protocol has a place for it."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Json] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    result: Mapping[str, Json] | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    extra: Extra = {}


class ToolChoice(Value, frozen=True, kw_only=True):
    """`auto`: the model decides; `none`: no call; `required`: some call; `named`: the tool called `name`. With `auto`
    and `required`, `names` are the only tools that may be called; where it is empty, all may.
    `parallel` says whether several calls in one turn are welcome, None being the provider's default."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    names: tuple[str, ...] = ()
    parallel: bool | None = None

    def __post_init__(self) -> None:
        if self.names and self.mode not in ("auto", "required"):
            raise ValueError('a tool choice has names only where its mode is "auto" or "required"')
        if (self.mode == "named") != (self.name is not None):
            raise ValueError('a tool choice has a name exactly when its mode is "named"')


class Output(Value, frozen=True, kw_only=True):
    """Structured output: any JSON object where `schema` is None, else JSON that the schema accepts."""

    schema: Mapping[str, Json] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Sampling(Value, frozen=True, kw_only=True):
    """How tokens are drawn. None means: as the model does by default.

    `max_tokens` bounds the output of each of the `n` choices. `logprobs` is the number of alternatives to
    report for each token beside the one drawn; 0 reports that one alone, None reports nothing.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    n: int = 1

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 0, None)
        _within("top_p", self.top_p, 0, 1)
        _within("top_k", self.top_k, 0, None)
        _within("frequency_penalty", self.frequency_penalty, -2, 2)
        _within("presence_penalty", self.presence_penalty, -2, 2)
        _within("max_tokens", self.max_tokens, 1, None)
        _within("logprobs", self.logprobs, 0, 20)
        _within("n", self.n, 1, 128)
        if any(not isinstance(s, str) or not s for s in self.stop):
            raise ValueError("stop sequences are strings that are not empty")


def _within(name: str, value: float | None, low: float, high: float | None) -> None:
    if value is None or not isinstance(value, int | float):  # a wrong type is for `check` and the decoder to refuse
        return
    if not (low <= value and (high is None or value <= high)):
        bound = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} is {value}, must be {bound}")


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(Value, frozen=True, kw_only=True):
    """How much the model may think before it answers. None means: as it does by default.

    `effort` is a level, `budget_tokens` a bound; `adaptive` leaves the amount to the model. `summary` is how the
    thoughts are told: `omitted` is not at all. `extra` holds what its protocol said and trivet has no field for."""

    effort: Effort | None = None
    budget_tokens: int | None = None
    adaptive: bool | None = None
    summary: Literal["auto", "concise", "detailed", "omitted"] | None = None
    extra: Extra = {}
