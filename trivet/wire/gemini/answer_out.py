"""The answer to a Gemini request: whole, or as a stream whose events are each an answer of their own.

Function calls come whole, as the protocol has them. What an answer of another provider says in its own words
(`extra`) has no place here: Google's clients refuse fields that they do not know.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.errors import TrivetError, UnsupportedError
from trivet.types import (
    ChatResponse,
    Choice,
    Done,
    Event,
    Extra,
    Message,
    Part,
    Response,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    WholePart,
    replace,
)
from trivet.wire import Incoming, sse
from trivet.wire.carry import last_opaque
from trivet.wire.gemini import errors
from trivet.wire.gemini.parts_out import PartsOut, is_bare
from trivet.wire.gemini.signatures import write_signature
from trivet.wire.gemini.usage import write_usage
from trivet.wire.ids import fresh_id
from trivet.wire.in_turn import Finished, InTurn, Step

Json = dict[str, Any]
REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "refusal": "SAFETY"}
# What the official clients know: of a part beside its content, of a candidate, of an answer.
PART = {
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
}
CANDIDATE = {
    "avgLogprobs",
    "citationMetadata",
    "finishMessage",
    "finishReason",
    "groundingMetadata",
    "safetyRatings",
    "tokenCount",
    "urlContextMetadata",
}
LOWEST_LOGPROB = -9999.0  # for a token that has next to no chance; JSON has no infinity
ANSWER = {"createTime", "modelStatus", "promptFeedback"}


class Renderer:
    """One request's answer. `id` stands in for a fresh one, in tests."""

    def __init__(self, incoming: Incoming, *, id: str | None = None) -> None:
        self._id = id or fresh_id("")
        self._model = incoming.request.model or ""
        self._parts = PartsOut({}, lambda extra, where: _known(extra, PART))
        self._turns: dict[int, InTurn] = {}  # by choice
        self._blocks: set[int] = set()  # the choices whose stream tells opaque parts too
        self._signatures: dict[int, str] = {}  # of the part that comes next in a choice

    def whole(self, response: Response) -> bytes:
        """The JSON body. Raises `UnsupportedError` for a part that the protocol cannot carry."""
        assert isinstance(response, ChatResponse)
        self._id, self._model = response.id or self._id, response.model
        candidates = [] if _blocked(response) else [self._candidate(i, c) for i, c in enumerate(response.choices)]
        return msgspec.json.encode(self._answer(candidates, response))

    def event(self, event: Event) -> bytes:
        """The bytes for one event; those of `Done` end the stream."""
        if isinstance(event, Start):
            self._model, self._id = event.model, event.id or self._id
        elif isinstance(event, Step):
            turn = self._turns.setdefault(event.choice, InTurn())
            steps = turn.add(replace(event, choice=0))  # it tells no other
            return b"".join(self._step(event.choice, step) for step in steps)
        elif isinstance(event, Done):
            return self._end(event.response)
        return b""

    def failure(self, error: TrivetError) -> bytes:
        """An error in place of an answer, which clients raise."""
        return sse.event(errors.error(error))

    # --- the stream, in pieces ---------------------------------------------------------------------------------

    def _step(self, choice: int, step: Step | Finished) -> bytes:
        """Pieces of texts and thoughts as they come; calls, and the signatures of thoughts, when they are whole."""
        if isinstance(step, TextDelta):
            if not step.text and not step.logprobs:
                return b""
            return self._piece(choice, {"text": step.text}, _logprobs(step.logprobs))
        if isinstance(step, ThinkingDelta):
            if not step.text:
                return b""
            return self._dangling(choice) + self._piece(choice, {"text": step.text, "thought": True})
        if isinstance(step, WholePart):
            self._blocks.add(choice)
            return self._piece(choice, self._parts.part(step.value, "the answer"))
        if isinstance(step, ToolCall):
            return self._piece(choice, self._parts.part(step, "the answer"))
        if isinstance(step, Thinking) and (step.signature is not None or step.redacted is not None):
            return self._signed(choice, step)
        return b""

    def _signed(self, choice: int, thought: Thinking) -> bytes:
        """The signature of a thought that has been told; a bare one waits for the part that it signs."""
        if not is_bare(thought):
            signature = {"thoughtSignature": write_signature(thought, before=bool(thought.text))}
            return self._piece(choice, self._parts.part(replace(thought, text=""), "the answer") | signature)
        before = self._dangling(choice)
        assert thought.signature is not None
        self._signatures[choice] = thought.signature
        return before

    def _dangling(self, choice: int) -> bytes:
        return self._piece(choice, {"text": ""}) if choice in self._signatures else b""

    def _piece(self, choice: int, part: Json, fields: Json | None = None) -> bytes:
        signature = self._signatures.pop(choice, None)
        if signature is not None:
            part = part | {"thoughtSignature": signature}
        candidate = {"content": {"parts": [part], "role": "model"}, **(fields or {}), "index": choice}
        return sse.event(msgspec.json.encode(self._answer([candidate], None)))

    def _end(self, response: Response) -> bytes:
        """What is left to say: parts that no delta has told, why the answer ended, usage."""
        assert isinstance(response, ChatResponse)
        out = b""
        if not self._turns:
            self._model, self._id = response.model, response.id or self._id
        candidates = []
        for i, choice in enumerate([] if _blocked(response) else response.choices):
            told = self._turns.get(i)
            if told is not None:
                out += b"".join(self._step(i, step) for step in told.finish()) + self._dangling(i)
            try:
                left = choice if told is None else _untold(choice, i in self._blocks)
                candidates.append(self._candidate(i, left, ending=_ending(choice)))
            except UnsupportedError as e:
                return out + self.failure(e)
        return out + sse.event(msgspec.json.encode(self._answer(candidates, response)))

    # --- what both have ------------------------------------------------------------------------------------------

    def _answer(self, candidates: list[Json], response: ChatResponse | None) -> Json:
        answer: Json = {"candidates": candidates} if candidates else {}
        if response is not None:
            answer |= _known(response.extra, ANSWER)
            usage = write_usage(response.usage, response.extra.get("usageMetadata", {}))
            if usage is not None:
                answer["usageMetadata"] = usage
        return answer | {"modelVersion": self._model, "responseId": self._id}

    def _candidate(self, index: int, choice: Choice, *, ending: Json | None = None) -> Json:
        parts = self._parts.write(choice.message.content, f"choices[{index}].content")
        content = {"parts": parts or [{"text": ""}], "role": "model"}
        logprobs = _logprobs(choice.logprobs or ())
        return {"content": content, **(_ending(choice) if ending is None else ending), **logprobs, "index": index}


def _known(extra: Extra, names: set[str]) -> Json:
    return {name: value for name, value in extra.items() if name in names}


def _blocked(response: ChatResponse) -> bool:
    """Whether Gemini refused the prompt itself, which has no candidates."""
    return "promptFeedback" in response.extra and not any(c.message.content for c in response.choices)


def _untold(choice: Choice, blocks: bool) -> Choice:
    """The choice with nothing but what its stream has not told: opaque parts at the end, unless it tells `blocks`."""
    left = [] if blocks else last_opaque(choice.message.content)
    return replace(choice, message=Message(role="assistant", content=tuple(left)), logprobs=None)


def _ending(choice: Choice) -> Json:
    """Why the answer ended, and its sources."""
    reason = REASONS[choice.finish_reason]
    if any(isinstance(p, Text) and p.extra.get("refusal") for p in choice.message.content):
        reason = "SAFETY"  # the text itself is the refusal, as OpenAI has it
    known = _known(choice.extra, CANDIDATE)
    sources = {} if known.keys() & {"citationMetadata", "groundingMetadata"} else _sources(choice.message.content)
    return {"finishReason": reason} | sources | known


def _sources(parts: tuple[Part, ...]) -> Json:
    """Citations as Gemini's, whose places are bytes of the whole text."""
    found, base = [], 0
    for part in parts:
        if not isinstance(part, Text):
            continue
        for c in part.citations:
            start, end = (None if at is None else base + len(part.text[:at].encode()) for at in (c.start, c.end))
            fields = {"startIndex": start, "endIndex": end, "uri": c.url, "title": c.title}
            found.append({name: value for name, value in fields.items() if value is not None})
        base += len(part.text.encode())
    return {"citationMetadata": {"citationSources": found}} if found else {}


def _logprobs(tokens: tuple[TokenLogprob, ...]) -> Json:
    if not tokens:
        return {}
    result: Json = {"chosenCandidates": [_token(t) for t in tokens]}
    if any(t.top for t in tokens):
        result["topCandidates"] = [{"candidates": [_token(top) for top in t.top]} for t in tokens]
    return {"logprobsResult": result}


def _token(t: TokenLogprob) -> Json:
    return {"token": t.token, "logProbability": max(t.logprob, LOWEST_LOGPROB)}
