"""A GGUF model behind the contract."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from trivet.errors import ConfigError, RequestError, TransportError, UnsupportedError, WeightsError
from trivet.local import gguf
from trivet.local.llama import body as bodies
from trivet.local.llama import infill, projector
from trivet.local.llama.answer import Answer
from trivet.local.llama.engine import EMBED_TOKENS, Engine, template
from trivet.local.llama.images import Shown, shown
from trivet.local.llama.sessions import held
from trivet.local.settings import LocalSettings
from trivet.local.slots import Slots
from trivet.model import About, Model
from trivet.types import (
    Chat,
    Complete,
    CountTokens,
    CountTokensResponse,
    Done,
    Embed,
    EmbedResponse,
    Event,
    Request,
    Start,
    Usage,
    to_json,
)

CONTEXT_STEP = 256  # the engine rounds a slot's context up to a multiple of this
MOST_CONTEXT = 8192  # unless a setting says more: the memory of the context is taken when the weights load


class Llama(Model):
    """A GGUF file, loaded at the first request.

    `name` is what `about` and the responses say. `verify` is called before the weights load, on the engine's thread,
    and raises `WeightsError` where they are not what they should be (`trivet.local.weights`).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: LocalSettings | None = None,
        *,
        name: str | None = None,
        verify: Callable[[], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self.settings = settings or LocalSettings()
        self.header = gguf.read(self.path)
        if self.header.architecture == gguf.PROJECTOR:
            raise WeightsError(f"{self.path} is a projector: name its model's GGUF, and keep the projector beside that")
        self.projector = projector.find(self.path, self.header, self.settings.projector)
        trained = self.header.context_length or MOST_CONTEXT
        wanted = self.settings.context or min(trained, MOST_CONTEXT)
        if wanted > trained:
            raise ConfigError(f"[local] context is {wanted:,}, and {self.path.name} was trained for {trained:,}")
        self.context = -(-wanted // CONTEXT_STEP) * CONTEXT_STEP
        chosen = self.settings.chat_template
        self.template = self.header.chat_template if chosen is None else template(chosen)
        make = functools.partial(Engine, self.path, self.settings, name=name or str(path), verify=verify)
        self.engine = make(context=self.context, most=trained, projector=self.projector)
        room = min(self.context, EMBED_TOKENS)
        self._embedder = make(context=room, most=room, embedding=True)
        self._adapter: int | None = None

    @property
    def about(self) -> About:
        return About(
            name=self.engine.name,
            tasks=("chat", "complete", "count_tokens", "embed") if self.template else ("complete", "embed"),
            inputs=("text", "image") if self.projector.file and self.template else ("text",),
            context_tokens=self.context,
            tools=bool(self.engine.caps.get("supports_tools")) if self.engine.caps else None,
            where="embedded",
            license=self.header.licence,
        )

    @property
    def revision(self) -> str:
        """What its answers hang on beside the request: files, the engine, and how that runs. For a cache of answers."""
        from importlib.metadata import version

        files = [f.stat() for f in (self.path, self.projector.file) if f is not None]
        stated, engine = " ".join(f"{f.st_size} {f.st_mtime_ns}" for f in files), version("xllamacpp")
        settings = to_json(self.settings).decode()
        template = hashlib.sha256((self.template or "").encode()).hexdigest()
        adapter = None if self._adapter is None else self.engine.adapters[self._adapter]
        return f"{stated} {engine} {settings} {template} {adapter}"

    @property
    def slots(self) -> Slots:
        """How many requests it takes at once, and how many it has."""
        return self.engine.slots

    def adapted(self, path: str | os.PathLike[str]) -> Model:
        """A sibling that shares the weights, with a LoRA adapter (GGUF) switched on. The engine takes adapters
        only when it loads: raises `ConfigError` afterwards."""
        if self.engine.loaded:
            raise ConfigError(f"{self.engine.name} is loaded: name its adapters before its first request")
        if not Path(path).is_file():
            raise ConfigError(f"there is no adapter at {path}: name a GGUF file")
        sibling = object.__new__(_Adapted)
        sibling.__dict__.update(self.__dict__)
        sibling._adapter = len(self.engine.adapters)
        self.engine.adapters.append(str(path))
        return sibling

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        answers: Mapping[type[Request], Callable[[Any], AsyncGenerator[Event, None]]] = {
            Chat: self._chat,
            Complete: self._complete,
            CountTokens: self._count,
            Embed: self._embed,
        }
        async with aclosing(answers[type(request)](request)) as events:
            async for event in events:
                yield event

    def engine_for(self, request: Request) -> Engine:
        """What `[local] memory` loads and unloads: chats and embeddings have an engine each."""
        return self._embedder if isinstance(request, Embed) else self.engine

    async def load(self) -> None:
        """Loads the weights now instead of at the first request. Raises `WeightsError`."""
        await self.engine.load()

    async def close(self) -> None:
        await self.engine.close()
        await self._embedder.close()

    # --- tasks -----------------------------------------------------------------------------------------

    async def _chat(self, request: Chat) -> AsyncGenerator[Event, None]:
        images = await shown(request.messages, self.projector, self.engine.name)
        limits = await self._limits(images)
        # On a thread: a schema of two hundred properties takes 15 ms.
        body, answer = await asyncio.to_thread(self._begun, request, limits, images.notes)
        async with aclosing(self._run("chat", body, request, answer)) as events:
            async for event in events:
                yield event
        yield Done(response=answer.chat())

    def _begun(self, request: Chat, limits: bodies.Limits, notes: tuple[str, ...]) -> tuple[dict[str, Any], Answer]:
        body = bodies.chat(request, limits)
        forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
        held, probs = body.get("grammar"), request.sampling.logprobs
        return body, Answer(self.engine.name, grammar=held, forced=forced, logprobs=probs, notes=notes)

    async def _complete(self, request: Complete) -> AsyncGenerator[Event, None]:
        tokens = None
        if request.suffix is not None:
            infill.refuse(self.header, self.engine.name, sees=self.projector.file is not None)
            tokens = await infill.prompt(self.engine, self.header, request.prompt, request.suffix)
        body = bodies.complete(request, await self._limits(), tokens)
        answer = Answer(self.engine.name, logprobs=request.sampling.logprobs)
        async with aclosing(self._run("complete", body, request, answer)) as events:
            async for event in events:
                yield event
        yield Done(response=answer.complete())

    async def _run(
        self, call: Any, body: dict[str, Any], request: Chat | Complete, answer: Answer
    ) -> AsyncGenerator[Event, None]:
        body |= self._loras()
        slots, asked = request.sampling.n, held(body, request.context.session)
        async with aclosing(self.engine.stream(call, body, slots=slots, held=asked)) as chunks:
            async for chunk in chunks:
                for event in answer.events(chunk):
                    yield event
        if not answer.complete_so_far:
            raise TransportError(f"{self.engine.name}: the engine stopped before its answer was complete; ask again")

    async def _count(self, request: CountTokens) -> AsyncGenerator[Event, None]:
        images = await shown(request.messages, self.projector, self.engine.name)
        body = await asyncio.to_thread(bodies.conversation, request, await self._limits(images))
        body.pop("grammar", None)  # it decides the answer, not the prompt
        counted = await self.engine.ask("/v1/chat/completions/input_tokens", body)
        tokens = counted["input_tokens"]
        yield Done(response=CountTokensResponse(model=self.engine.name, input_tokens=tokens, notes=images.notes))

    async def _embed(self, request: Embed) -> AsyncGenerator[Event, None]:
        """The mean of the last layer's states, at length 1. One text at a time: between two it can be cancelled."""
        bodies.refuse_extras(request, self.engine.name)
        own = self.header.embedding_length
        if request.dimensions is not None and request.dimensions != own:
            raise UnsupportedError(
                f"{self.engine.name} makes vectors of {own} dimensions and cannot shorten them: leave `dimensions` out",
                field="dimensions",
            )
        if request.truncate:
            raise UnsupportedError(f"{self.engine.name} cuts no text short: leave `truncate` out", field="truncate")
        vectors, tokens = [], 0
        for i, text in enumerate(request.texts):
            if not text:
                raise RequestError(f"input[{i}] is empty: there is nothing to embed", field=f"input[{i}]")
            counted = await self._embedder.ask("/tokenize", {"content": text, "add_special": True})
            if len(counted["tokens"]) > self._embedder.context:
                raise self._embedder.too_long(len(counted["tokens"]))
            answer = await self._embedder.embed(text)
            vector = tuple(answer["data"][0]["embedding"])
            if None in vector:
                raise self._embedder.no_number()
            vectors.append(vector)
            tokens += answer["usage"]["prompt_tokens"]
        usage = Usage.of_input(tokens)
        yield Start(model=self.engine.name)
        yield Done(response=EmbedResponse(model=self.engine.name, vectors=tuple(vectors), usage=usage))

    async def _limits(self, images: Shown = Shown()) -> bodies.Limits:  # noqa: B008, it is immutable
        await self.engine.load()
        slots, drafts = self.engine.slots.total, self.settings.draft is not None
        return bodies.Limits(self.engine.name, slots, self.engine.caps, self.template, images.urls, drafts=drafts)

    def _loras(self) -> dict[str, Any]:
        """A scale for every adapter, in every request: one that says nothing gets answers from the cache of whichever
        adapter was on before (llama.cpp's own flaw)."""
        count = len(self.engine.adapters)
        return {"lora": [{"id": i, "scale": float(i == self._adapter)} for i in range(count)]} if count else {}


class _Adapted(Llama):
    """A sibling with an adapter; closing it leaves the shared weights to the model that it came from."""

    async def close(self) -> None:
        pass
