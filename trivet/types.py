"""The vocabulary: messages and their parts, requests, responses, events.

Every value is immutable and keyword-only, and goes to JSON and back unchanged (`to_json`, `from_json`).
A request class is a *task*; `Request.__subclasses__` is the list of tasks, and nothing else needs one:
a wrapper looks at the fields that it cares about (`Conversation` has messages), never at the task's name.

To add a task: a subclass of `Request` with its `response_type`, a subclass of `Response`, and, where it
streams, events of its own that say whether they carry `content`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from trivet.errors import RequestError

Json = Any
Extra = Mapping[str, Json]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An immutable value. Use `replace(value, field=...)` for a changed copy. (Type checkers want
    `frozen` and `kw_only` said again by each subclass.)"""


# --- parts of a message ------------------------------------------------------------------------------------


class CacheMark(Value, frozen=True, kw_only=True):
    """The end of a prefix that the user wants the provider to cache, and for how long (Anthropic's `cache_control`)."""

    ttl: Literal["5m", "1h"] | None = None


class BasePart(Value, tag_field="type", frozen=True, kw_only=True):
    """What every part has. `extra` holds what its protocol said and trivet has no field for."""

    cache: CacheMark | None = None
    extra: Extra = {}


class Citation(Value, frozen=True, kw_only=True):
    """Where a text has something from. `quote` is what is said there; `start` and `end` are the characters of the
    text that stand on it. `raw` is the citation in its `provider`'s own words, to be sent back untouched."""

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    provider: str | None = None
    raw: Json = None


class Text(BasePart, tag="text", frozen=True, kw_only=True):
    text: str
    citations: tuple[Citation, ...] = ()


class Media(BasePart, frozen=True, kw_only=True):
    """Bytes (`data`) or an address (`url`), exactly one; `media_type` such as `image/png`."""

    data: bytes | None = None
    url: str | None = None
    media_type: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise ValueError(f"{type(self).__name__} takes exactly one of data and url")


class Image(Media, tag="image", frozen=True, kw_only=True):
    """`detail` is OpenAI's resolution hint."""

    detail: Literal["auto", "low", "high"] | None = None


class Audio(Media, tag="audio", frozen=True, kw_only=True):
    pass


class Document(Media, tag="document", frozen=True, kw_only=True):
    """A PDF or a text, with the `name` to show."""

    name: str | None = None


class Thinking(BasePart, tag="thinking", frozen=True, kw_only=True):
    """A model's reasoning. `signature` is the proof of it that `provider` (`anthropic`, `openai`, `gemini`) wants back
    untouched; `redacted` is reasoning that only that provider can read, in which case `text` is empty.

    Gemini signs other parts too: an empty thought with its signature stands before such a part."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None


class ToolCall(BasePart, tag="tool_call", frozen=True, kw_only=True):
    """`arguments` is JSON text exactly as the model wrote it: it may be cut short when the tokens ran out."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResult(BasePart, tag="tool_result", frozen=True, kw_only=True):
    """The answer to the `ToolCall` whose id is `call_id`. It stands in a user's message."""

    call_id: str
    content: tuple[Text | Image | Audio | Document, ...] = ()
    is_error: bool = False


class Opaque(BasePart, tag="opaque", frozen=True, kw_only=True):
    """A block that only `provider` understands (a server-side tool's), as received."""

    provider: str
    raw: Json


Part = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Opaque
Role = Literal["system", "developer", "user", "assistant"]


class Message(Value, frozen=True, kw_only=True):
    """One turn. System prompts are messages too, in their place; `developer` is OpenAI's word for one."""

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    extra: Extra = {}

    @property
    def text(self) -> str:
        """The text parts, joined without a separator."""
        return "".join(p.text for p in self.content if isinstance(p, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(p for p in self.content if isinstance(p, ToolCall))


def system(text: str) -> Message:
    return Message(role="system", content=(Text(text=text),))


def user(*content: str | Part) -> Message:
    """A user's message from strings and parts, in order."""
    return Message(role="user", content=tuple(Text(text=c) if isinstance(c, str) else c for c in content))


def assistant(*content: str | Part) -> Message:
    return Message(role="assistant", content=tuple(Text(text=c) if isinstance(c, str) else c for c in content))


# --- what a request may ask for ----------------------------------------------------------------------------


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
    """`auto`: the model decides; `none`: no call; `required`: some call; `named`: the tool called `name`.
    `parallel` says whether several calls in one turn are welcome, None being the provider's default."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    parallel: bool | None = None

    def __post_init__(self) -> None:
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


class Context(Value, frozen=True, kw_only=True):
    """What wrappers need to know of a request; never rendered to a provider.

    `deadline_s` is on the event loop's clock. `session` is the client's word for a conversation. `whole` says that
    nobody reads the answer before its end, so that a provider may be asked for it in one piece. `headers` are those of
    the client's that may go on to a provider which knows them, by lower-case name.
    """

    id: str | None = None
    key: str | None = None
    session: str | None = None
    deadline_s: float | None = None
    reservation: str | None = None
    whole: bool = False
    headers: Mapping[str, str] = {}


class Source(Value, weakref=True, frozen=True, kw_only=True):
    """What was received, as it was: the protocol's name and the bytes.

    Of a request, the JSON body that its client wrote. A provider of the same protocol sends it, with the model's name
    exchanged. Wrappers do not touch it: what they changed is found by comparing, field by field (`trivet.wire.source`).
    Of an answer or an event (`raw`), what the provider sent, which a server of the same protocol passes on: whoever
    changes such a value drops its `raw`.
    """

    protocol: str
    body: bytes


# --- usage -------------------------------------------------------------------------------------------------


class Usage(Value, omit_defaults=False, frozen=True, kw_only=True):
    """Tokens. The three input counts are disjoint and add up to the prompt; None is unknown, never 0.

    The rest are parts of these: `cache_write_1h_tokens` of the cache writes (what is kept for an hour, the others being
    kept for five minutes), `audio_input_tokens` of the prompt, `reasoning_tokens` and `audio_output_tokens` of the
    output.
    """

    uncached_input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None

    @property
    def input_tokens(self) -> int | None:
        """The whole prompt, or None where one of its three counts is unknown."""
        return _sum(_sum(self.uncached_input_tokens, self.cache_read_tokens), self.cache_write_tokens)

    @property
    def total_tokens(self) -> int | None:
        return _sum(self.input_tokens, self.output_tokens)

    def __add__(self, other: Usage) -> Usage:
        """The sum, in which unknown plus anything stays unknown."""
        return Usage(**{f: _sum(getattr(self, f), getattr(other, f)) for f in self.__struct_fields__})


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


class TokenLogprob(Value, frozen=True, kw_only=True):
    """A token, the natural logarithm of its probability, and the most likely alternatives at its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


# --- responses ---------------------------------------------------------------------------------------------

FinishReason = Literal["stop", "length", "tool_calls", "refusal"]


class Response(Value, tag_field="task", frozen=True, kw_only=True):
    """`model` is the name of the model that answered; `id` is the provider's, where it gave one. `notes` say what was
    done differently from what was asked, for people to read."""

    model: str
    id: str | None = None
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()
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


# --- requests ----------------------------------------------------------------------------------------------


class Request(Value, tag_field="task", frozen=True, kw_only=True):
    """What a model is asked. `model` is the name asked for; `extra` holds fields of the client's protocol that
    have no field here: a model that does not know them refuses them."""

    response_type: ClassVar[type[Response]]

    model: str | None = None
    context: Context = Context()
    source: Source | None = None
    extra: Extra = {}


class Conversation(Request, frozen=True, kw_only=True):
    """What tasks over messages share: the wrappers that change prompts, tools or outputs look for this."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    output: Output | None = None
    reasoning: Reasoning | None = None


class Chat(Conversation, tag="chat", frozen=True, kw_only=True):
    """`user` and `cache_key` are labels: of the person who asks, and of prompts that share a prefix. `service_tier` is
    the provider's word for how fast and how dear."""

    response_type = ChatResponse

    sampling: Sampling = Sampling()
    user: str | None = None
    cache_key: str | None = None
    service_tier: str | None = None


class CountTokens(Conversation, tag="count_tokens", frozen=True, kw_only=True):
    """How many tokens a `Chat` of the same fields would have as its prompt."""

    response_type = CountTokensResponse


class Complete(Request, tag="complete", frozen=True, kw_only=True):
    """Go on from `prompt`; with a `suffix`, fill in what is between them."""

    response_type = CompleteResponse

    prompt: str
    suffix: str | None = None
    sampling: Sampling = Sampling()


class Embed(Request, tag="embed", frozen=True, kw_only=True):
    """One vector per text; `dimensions` asks for shorter vectors than the model's own."""

    response_type = EmbedResponse

    texts: tuple[str, ...]
    dimensions: int | None = None


def task_name(request: Request | type[Request]) -> str:
    """`chat` for a `Chat`: the task's tag, as `About.tasks` lists it."""
    cls = request if isinstance(request, type) else type(request)
    return str(cls.__struct_config__.tag)


def tasks() -> dict[str, type[Request]]:
    """Every task by name: the leaves under `Request`."""
    found: dict[str, type[Request]] = {}
    todo: list[type[Request]] = [Request]
    while todo:
        cls = todo.pop()
        subclasses = cls.__subclasses__()
        todo += subclasses
        if not subclasses:
            found[task_name(cls)] = cls
    return found


# --- events ------------------------------------------------------------------------------------------------


class Event(Value, tag_field="event", frozen=True, kw_only=True):
    """One step of an answer. `content` says whether it carries some of the answer: after the first that does,
    nothing is retried. `raw` is what the provider sent, in whole server-sent events, for a server of the same
    protocol to pass on; where several events came of the same bytes, the first has them and the others have none
    (`body=b""`). Whoever changes an event drops it."""

    content: ClassVar[bool] = False

    raw: Source | None = None


class Start(Event, tag="start", frozen=True, kw_only=True):
    """The first event: who answers. `notes` are the response's, as far as they are known by now."""

    model: str
    id: str | None = None
    notes: tuple[str, ...] = ()


class Aside(Event, tag="aside", frozen=True, kw_only=True):
    """What a provider's stream says and trivet has no event for (a ping, the end of a block): only its `raw`."""


class TextDelta(Event, tag="text", frozen=True, kw_only=True):
    """Text for part `part` of choice `choice`. `logprobs` are those of the tokens in `text`; `citations` are of the
    part, and may come with an empty text."""

    content = True

    text: str
    choice: int = 0
    part: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    citations: tuple[Citation, ...] = ()


class ThinkingDelta(Event, tag="thinking", frozen=True, kw_only=True):
    content = True

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    choice: int = 0
    part: int = 0


class ToolCallDelta(Event, tag="tool_call", frozen=True, kw_only=True):
    """`id` and `name` come with a call's first delta; `arguments` is the next piece of JSON text. Calls side
    by side are kept apart by `part`."""

    content = True

    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0
    part: int = 0


class WholePart(Event, tag="part", frozen=True, kw_only=True):
    """A part that comes in one piece: an image, a block of a server-side tool."""

    content = True

    value: Part
    choice: int = 0
    part: int = 0


class UsageUpdate(Event, tag="usage", frozen=True, kw_only=True):
    """What is known of the usage so far; each replaces the one before."""

    usage: Usage


AnyResponse = ChatResponse | CompleteResponse | CountTokensResponse | EmbedResponse
AnyRequest = Chat | Complete | CountTokens | Embed


class Done(Event, tag="done", frozen=True, kw_only=True):
    """The last event: the whole response."""

    response: AnyResponse


AnyEvent = Start | Aside | TextDelta | ThinkingDelta | ToolCallDelta | WholePart | UsageUpdate | Done

# --- JSON --------------------------------------------------------------------------------------------------

V = TypeVar("V", bound=Value)
replace = msgspec.structs.replace
_encoder = msgspec.json.Encoder(order="deterministic")


def to_json(value: Value) -> bytes:
    """Deterministic to the byte. Bytes become base64; fields at their defaults are left out."""
    return _encoder.encode(value)


def from_json(data: bytes | str, kind: type[V]) -> V:
    """Back from `to_json`. A wrong value raises a `RequestError` that says where."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as e:
        raise _refused(e, kind) from None


def check(value: V) -> V:
    """A copy of a value that Python code made, with every type and bound checked; `RequestError` says where."""
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes,))
        return msgspec.convert(plain, type(value), builtin_types=(bytes,))
    except (msgspec.ValidationError, TypeError, ValueError) as e:
        raise _refused(e, type(value)) from None


def _refused(error: Exception, kind: type) -> RequestError:
    """`Expected `float`, got `str` - at `$.sampling.temperature`` -> a message with the field's path in front."""
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".") or None
    return RequestError(f"{kind.__name__}{'.' + path if path else ''}: {what}", field=path)
