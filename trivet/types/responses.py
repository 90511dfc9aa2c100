"""Answers: a response per task."""

from __future__ import annotations

from typing import Literal

from trivet.types.cost import Cost
from trivet.types.messages import Message, ToolCall
from trivet.types.source import Source
from trivet.types.usage import Usage
from trivet.types.value import Extra, Value

FinishReason = Literal["stop", "length", "tool_calls", "refusal"]


class TokenLogprob(Value, frozen=True, kw_only=True):
    """A token, the natural logarithm of its probability, and the most likely alternatives at its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


class Attempt(Value, frozen=True, kw_only=True):
    """What came of one target of a route, and of one try at it. `model` is its name here (`openai/gpt-5.5`).

    `answered` is the one whose answer this is; `failed` was asked and answered with an error; `skipped` was not asked;
    `cancelled` was asked as well, and was slower. `reason` says why it is not the answer, or that it is one of before,
    kept in a cache; `took_s` is how long it was
    asked, None where it was not."""

    model: str
    outcome: Literal["answered", "failed", "skipped", "cancelled"]
    reason: str | None = None
    took_s: float | None = None


class Response(Value, tag_field="task", frozen=True, kw_only=True):
    """`model` is the name of the model that answered; `id` is the provider's, where it gave one. `notes` say what was
    done differently from what was asked, for people to read; `route` has the attempts in their order, where the name
    stands for a choice. `cost` is that of everything that was asked for it; None where nobody has counted, as where a
    model is asked without a runtime. `cache` is what trivet's own cache of answers had
    to say: `hit` is an answer from it; None where it was not asked."""

    model: str
    id: str | None = None
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()
    route: tuple[Attempt, ...] = ()
    cost: Cost | None = None
    cache: Literal["hit", "stored", "miss"] | None = None
    extra: Extra = {}
    raw: Source | None = None


class Choice(Value, frozen=True, kw_only=True):
    """One answer. `stop_sequence` is the one of the request's that ended it."""

    message: Message
    finish_reason: FinishReason
    stop_sequence: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    extra: Extra = {}


class ChatResponse(Response, tag="chat", frozen=True, kw_only=True):
    choices: tuple[Choice, ...]

    @property
    def message(self) -> Message:
        return self.choices[0].message

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    @property
    def finish_reason(self) -> FinishReason:
        return self.choices[0].finish_reason


class TextChoice(Value, frozen=True, kw_only=True):
    text: str
    finish_reason: FinishReason
    stop_sequence: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None


class CompleteResponse(Response, tag="complete", frozen=True, kw_only=True):
    choices: tuple[TextChoice, ...]

    @property
    def text(self) -> str:
        return self.choices[0].text

    @property
    def finish_reason(self) -> FinishReason:
        return self.choices[0].finish_reason


class CountTokensResponse(Response, tag="count_tokens", frozen=True, kw_only=True):
    input_tokens: int


class EmbedResponse(Response, tag="embed", frozen=True, kw_only=True):
    """`vectors` has one row per input, each with the model's number of dimensions."""

    vectors: tuple[tuple[float, ...], ...]
