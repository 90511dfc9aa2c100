"""Answers that were given before, to requests that ask for exactly the same.

Kept are whole answers: no errors, no refusals, nothing that was cut or cancelled. An answer that ran out of tokens is
whole where the request itself says how many there are, and not where somebody else's bound has cut it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trivet.adapt.attempts import beneath
from trivet.errors import TrivetError
from trivet.model import Model, Wrapper
from trivet.types import (
    AnyResponse,
    Attempt,
    ChatResponse,
    CompleteResponse,
    Context,
    Cost,
    CountTokens,
    Done,
    Embed,
    Event,
    Request,
    Response,
    Source,
    Start,
    Text,
    Thinking,
    ToolCall,
    Value,
    WholePart,
    replace,
)
from trivet.wire.deltas import deltas

if TYPE_CHECKING:
    from trivet.adapt.cache_store import CacheStore

__all__ = ["Cache", "deterministic", "replayed"]

FORMAT = 1  # of what is kept: with another number, nothing that was kept before is found
FREE = Cost(usd=Decimal(), source="response cache")
BEFORE = "given before, from the response cache"
# What a client's own bytes say beside the question: the rest of them counts, as a provider may get them as they are.
_ASIDE = ("model", "stream", "stream_options")
_encoder = msgspec.msgpack.Encoder(order="deterministic")  # bytes stay bytes: an image takes a tenth of the time
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Cache(Wrapper):
    """Gives what `inner` has answered before, from `store`; asks it otherwise, and keeps what it says.

    **Which requests.** With "deterministic" those whose answer should be the same again: embeddings, counts of tokens,
    and whatever is drawn with `temperature` 0 or `top_k` 1. A seed alone does not count, as providers promise nothing
    for it; neither does a request with fields that trivet does not know (a provider's own tools look at the world) or
    with media behind an address, where there may be something else by now. With "all", and where `context.cache` is
    "on", any request. Where it is "off", none: what HTTP's `no-store` stands behind, too, must not be kept.

    **What is the same.** Every field, labels as `user` too, so that people whom a client tells apart get answers of
    their own; the headers that go on to a provider; what the client wrote, but for whether it streams; the key,
    unless `across_keys`; and the pipeline: names and revisions of all models below, and what wrappers below add to
    requests. `revision` stands for what is not seen in these. After a change to any of it nothing is found.

    **What is given.** The answer, streamed or whole as it is asked for, with the usage of the first time (which a
    ledger does not count again), at cost 0, without its id (clients take two messages of one id for the same one), and
    without its `raw`. `response.cache` is `hit`; of a fresh answer, `stored` or `miss`; None of other requests.

    A store that does not work is a miss, and fails no request. Of requests side by side, each is asked."""

    def __init__(
        self,
        inner: Model,
        store: CacheStore,
        *,
        mode: Literal["deterministic", "all"] = "deterministic",
        across_keys: bool = False,
        revision: str = "",
    ) -> None:
        super().__init__(inner)
        self.store, self.mode, self.across_keys, self.revision = store, mode, across_keys, revision

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        key = self.key(request) if self._concerns(request) else None
        return self.inner.stream(request) if key is None else self._through(request, key)

    def _concerns(self, request: Request) -> bool:
        word = request.context.cache
        return word != "off" and (word == "on" or self.mode == "all" or deterministic(request))

    async def _through(self, request: Request, key: bytes) -> AsyncGenerator[Event, None]:
        kept = self._kept(request, key)
        if kept is not None:
            for event in replayed(kept, whole=request.context.whole):
                yield event
            return
        async with aclosing(self.inner.stream(request)) as events:
            async for event in events:
                yield self._keep(event, request, key) if isinstance(event, Done) else event

    def key(self, request: Request) -> bytes | None:
        """What stands for the request: 32 bytes. None where it has values that cannot be written down."""
        context = request.context
        asked = Context(key=None if self.across_keys else context.key, headers=context.headers)
        try:
            digest = hashlib.sha256(self._pipeline)
            digest.update(_encoder.encode(replace(request, context=asked, source=None)))
            for said in _said(request.source):
                digest.update(b"%d:" % len(said))  # where each ends
                digest.update(said)
        except (TrivetError, TypeError, ValueError, OverflowError, RecursionError):
            return None
        return digest.digest()

    @functools.cached_property
    def _pipeline(self) -> bytes:
        below = [_told(model) for model in beneath(self.inner)]
        return _encoder.encode([FORMAT, self.across_keys, self.revision, below])

    def _kept(self, request: Request, key: bytes) -> AnyResponse | None:
        body = self.store.get(key)
        if body is None:
            return None
        try:
            response: AnyResponse = _decoder(type(request).response_type).decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None  # another trivet's: the fresh answer takes its place
        return replace(response, cache="hit", cost=FREE)

    def _keep(self, done: Done, request: Request, key: bytes) -> Done:
        """The end of a fresh answer, which says whether it is kept. Its bytes are the provider's still."""
        response = done.response
        if response.cache == "hit":  # a cache below has it, and knows how old it is
            return done
        stored = _is_whole(response, request) and self._stores(response, key)
        return replace(done, response=replace(response, cache="stored" if stored else "miss"))

    def _stores(self, response: Response, key: bytes) -> bool:
        answered = response.route[-1].model if response.route else self.inner.about.name
        route = (Attempt(model=answered, outcome="answered", reason=BEFORE),)
        try:
            body = _encoder.encode(replace(response, id=None, raw=None, cost=None, cache=None, route=route))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False
        return self.store.put(key, body)


def deterministic(request: Request) -> bool:
    """Whether the same request should get the same answer again."""
    if isinstance(request, Embed | CountTokens):
        return True
    sampling = getattr(request, "sampling", None)
    if sampling is None or not (sampling.temperature == 0 or sampling.top_k == 1) or request.extra:
        return False
    return not any(_is_elsewhere(part) for message in getattr(request, "messages", ()) for part in message.content)


def replayed(response: AnyResponse, *, whole: bool = False) -> Iterator[Event]:
    """The events of an answer that was kept; only the last where it is asked for as a `whole`."""
    if not whole:
        yield Start(model=response.model, notes=response.notes, route=response.route, cache="hit")
        if isinstance(response, ChatResponse | CompleteResponse):
            told = [*deltas(response), *_in_one_piece(response)]
            yield from sorted(told, key=lambda event: (event.choice, event.part))
    yield Done(response=response)


def _in_one_piece(response: ChatResponse | CompleteResponse) -> Iterator[WholePart]:
    """The parts that have no deltas."""
    if isinstance(response, ChatResponse):
        for i, choice in enumerate(response.choices):
            for n, part in enumerate(choice.message.content):
                if not isinstance(part, Text | Thinking | ToolCall):
                    yield WholePart(value=part, choice=i, part=n)


def _is_elsewhere(part: Any) -> bool:
    """Whether some of a part is to be fetched."""
    return getattr(part, "url", None) is not None or any(map(_is_elsewhere, getattr(part, "content", ())))


def _is_whole(response: Response, request: Request) -> bool:
    """Whether every choice has come to the end that it was to have."""
    bounded = getattr(getattr(request, "sampling", None), "max_tokens", None) is not None
    ends = ("stop", "tool_calls", "length") if bounded else ("stop", "tool_calls")
    for choice in getattr(response, "choices", ()):
        if choice.finish_reason not in ends:
            return False
        message = getattr(choice, "message", None)
        if message is not None and any(part.extra.get("refusal") for part in message.content):
            return False
    return True


def _said(source: Source | None) -> Iterator[bytes | msgspec.Raw]:
    """What a client wrote, piece by piece: the fields of a JSON object by name, else the whole of it."""
    if source is None:
        return
    yield source.protocol.encode()
    try:
        fields = _fields.decode(source.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        yield source.body
        return
    for name in sorted(fields):
        if name not in _ASIDE:
            yield name.encode()
            yield fields[name]


def _told(model: Model) -> tuple[Any, ...]:
    """What of a model decides over its answers: its name, its revision and whom it asks, where it has these; of a
    wrapper, what it adds to requests."""
    kind = type(model).__qualname__
    if not isinstance(model, Wrapper):
        base = getattr(getattr(model, "provider", None), "base", None)
        return (kind, model.about.name, getattr(model, "revision", None), base)
    adds = {n: v for n, v in vars(model).items() if isinstance(v, Value | str) and not n.startswith("_")}
    return (kind, adds)


@functools.cache
def _decoder(kind: type[Response]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)
