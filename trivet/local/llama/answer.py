"""The engine's chunks, in the shape of OpenAI's, as events; and the response that they amount to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trivet.collect import Collector
from trivet.errors import ProviderError
from trivet.local.llama.schema import Witness
from trivet.local.llama.tools import CallReader
from trivet.types import (
    ChatResponse,
    CompleteResponse,
    Event,
    FinishReason,
    Start,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    replace,
)

Json = dict[str, Any]


class Answer:
    """One call's chunks. `grammar` is what holds the text, and `forced` says that the text then is a tool call;
    `logprobs` is how many alternatives the request asked for, and `notes` say what of it was not looked at."""

    def __init__(
        self,
        model: str,
        *,
        grammar: str | None = None,
        forced: bool = False,
        logprobs: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.model, self.grammar, self.forced, self.logprobs, self.notes = model, grammar, forced, logprobs, notes
        self.collector = Collector()
        self._choices: dict[int, _Choice] = {}
        self._usages: list[Json] = []
        self._started = self._counted = self._thought = False

    def events(self, chunk: Json) -> Iterator[Event]:
        if not self._started:
            self._started = True
            # The engine's ids look like OpenAI's: each protocol has its own instead.
            yield Start(model=self.model, notes=self.notes)
        progress = chunk.get("prompt_progress")
        if progress is not None:
            if progress["processed"] == progress["total"] and not self._counted:
                self._counted = True
                yield UsageUpdate(usage=_usage(progress["total"], progress["cache"], None))
            return
        if "usage" in chunk:  # one for each choice
            self._usages.append(chunk["usage"])
        for choice in chunk["choices"]:
            index = choice["index"]
            if index not in self._choices:
                self._choices[index] = _Choice(index, self.model, self.grammar, self.forced)
            state = self._choices[index]
            for event in state.events(choice, chunk, self.logprobs):
                self._thought = self._thought or isinstance(event, ThinkingDelta)
                self.collector.add(event)
                yield event

    def usage(self) -> Usage:
        """Several choices share the prompt, which counts once."""
        if not self._usages:
            return Usage()
        prompt = self._usages[0]["prompt_tokens"]
        cached = min(u["prompt_tokens_details"]["cached_tokens"] for u in self._usages)
        usage = _usage(prompt, cached, sum(u["completion_tokens"] for u in self._usages))
        return usage if self._thought else replace(usage, reasoning_tokens=0)  # how many they were, it does not tell

    def chat(self) -> ChatResponse:
        reasons, stops = self._ends()
        choices = self.collector.choices(reasons, stops)
        return ChatResponse(model=self.model, choices=choices, usage=self.usage(), notes=self.notes)

    def complete(self) -> CompleteResponse:
        reasons, stops = self._ends()
        choices = self.collector.text_choices(reasons, stops)
        return CompleteResponse(model=self.model, choices=choices, usage=self.usage())

    @property
    def complete_so_far(self) -> bool:
        """Whether every choice has told how it ended."""
        return bool(self._choices) and all(c.reason is not None for c in self._choices.values())

    def _ends(self) -> tuple[dict[int, FinishReason], dict[int, str | None]]:
        reasons = {i: c.reason or "stop" for i, c in self._choices.items()}
        return reasons, {i: c.stop for i, c in self._choices.items()}


class _Choice:
    """Where one choice has got to: which part grows, and how it ended."""

    def __init__(self, index: int, model: str, grammar: str | None, forced: bool) -> None:
        self.index, self.model = index, model
        self.reason: FinishReason | None = None
        self.stop: str | None = None
        self._part = -1
        self._growing: object = None
        self._call = CallReader() if forced else None
        self._witness = Witness(grammar) if grammar is not None else None
        self._id = ""

    def events(self, choice: Json, chunk: Json, logprobs: int | None) -> Iterator[Event]:
        delta = choice.get("delta") or {"content": choice.get("text")}
        self._id = chunk.get("id", "")
        probs = _logprobs(choice.get("logprobs"), logprobs)
        if delta.get("reasoning_content"):
            yield ThinkingDelta(text=delta["reasoning_content"], choice=self.index, part=self._at("thinking"))
        text = delta.get("content") or ""
        if self._witness is not None and not self._witness.right(text):
            raise self._not_held()
        if self._call is not None:
            yield from self._called(self._call.add(text))
        elif text or probs:
            yield TextDelta(text=text, choice=self.index, part=self._at("text"), logprobs=probs)
        for call in delta.get("tool_calls") or ():
            yield self._native(call)
        if choice.get("finish_reason"):
            yield from self._end(choice["finish_reason"], chunk.get("__verbose", {}))

    def _end(self, reason: str, verbose: Json) -> Iterator[Event]:
        self.reason = "length" if reason == "length" else "tool_calls" if reason == "tool_calls" else "stop"
        self.stop = verbose.get("stopping_word") or None
        whole = self.reason == "stop" and self.stop is None
        if self._witness is not None and whole and not self._witness.whole:
            raise self._not_held()
        if self._call is not None:
            yield from self._called(self._call.end(whole=whole))
            if whole:
                self.reason = "tool_calls"

    def _not_held(self) -> ProviderError:
        return ProviderError(
            f"{self.model}: llama.cpp let text through that the request's schema does not allow, as it does where "
            "the schema is too large for it: ask for fewer or shorter things",
            provider="local",
        )

    def _called(self, arguments: str) -> Iterator[Event]:
        """A call that the grammar holds. Its id and name come with the first piece."""
        if self._call is None or self._call.name is None:
            return
        if self._growing != "call":
            part = self._at("call")
            id = f"call_{self._id.removeprefix('chatcmpl-')[:24]}{self.index or ''}"
            yield ToolCallDelta(id=id, name=self._call.name, arguments=arguments, choice=self.index, part=part)
        elif arguments:
            yield ToolCallDelta(arguments=arguments, choice=self.index, part=self._part)

    def _native(self, call: Json) -> Event:
        function = call.get("function") or {}
        return ToolCallDelta(
            id=call.get("id"),
            name=function.get("name"),
            arguments=function.get("arguments") or "",
            choice=self.index,
            part=self._at(("tool", call.get("index", 0))),
        )

    def _at(self, growing: object) -> int:
        """The number of the part that grows: a new one whenever the kind changes."""
        if growing != self._growing:
            self._growing = growing
            self._part += 1
        return self._part


def _usage(prompt: int, cached: int, output: int | None) -> Usage:
    """The engine writes to its cache as it goes: no token is charged for it, so the third count is truly 0."""
    return Usage(
        uncached_input_tokens=prompt - cached, cache_read_tokens=cached, cache_write_tokens=0, output_tokens=output
    )


def _logprobs(found: Json | None, wanted: int | None) -> tuple[TokenLogprob, ...]:
    if found is None or wanted is None:
        return ()
    return tuple(_logprob(t, wanted) for t in found.get("content") or ())


def _logprob(token: Json, wanted: int) -> TokenLogprob:
    return TokenLogprob(
        token=token["token"],
        logprob=token["logprob"],
        bytes=tuple(token["bytes"]),
        top=tuple(_logprob(t, 0) for t in token.get("top_logprobs", ())[:wanted]),
    )
