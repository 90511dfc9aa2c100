"""A GGUF that reads query and document together, behind the contract."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from trivet.errors import ContextLengthError, RequestError, WeightsError
from trivet.local import gguf
from trivet.local.llama.body import refuse_extras
from trivet.local.llama.engine import EMBED_TOKENS, Engine
from trivet.local.settings import LocalSettings
from trivet.local.slots import Slots
from trivet.model import About, Model
from trivet.types import Done, Event, Request, Rerank, RerankResponse, Start, Usage, to_json

SHARES = ("qwen3", "qwen3vl")  # whose numbers llama.cpp makes shares of 1, "yes" first


class Reranker(Model):
    """A GGUF file with a classifier's weights (`Header.ranks`), loaded at the first request; see `Llama`.

    A score is the sigmoid of the network's number, which is what sentence-transformers gives, or the share of its "yes"
    where it has that. One document after the other: between two, a request can be cancelled."""

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
        self.shares = self.header.architecture in SHARES
        labels = self.header.labels or ("",)
        if len(labels) > 1 and not self.shares:
            raise WeightsError(
                f"{self.path} gives {len(labels)} numbers for a pair ({', '.join(map(str, labels))}), a reranker gives "
                "one: name a file of a model that was made for reranking"
            )
        trained = self.header.context_length or EMBED_TOKENS
        room = min(self.settings.context or EMBED_TOKENS, trained)  # the setting may be meant for a chat model
        called = name or str(path)
        self.engine = Engine(
            self.path, self.settings, name=called, context=room, most=trained, ranking=True, verify=verify
        )

    @property
    def about(self) -> About:
        return About(
            name=self.engine.name,
            tasks=("rerank",),
            context_tokens=self.engine.context,
            tools=False,
            where="embedded",
            license=self.header.licence,
        )

    @property
    def revision(self) -> str:
        """What its answers hang on beside the request; see `Llama`."""
        from importlib.metadata import version

        file = self.path.stat()
        return f"{file.st_size} {file.st_mtime_ns} {version('xllamacpp')} {to_json(self.settings).decode()}"

    @property
    def slots(self) -> Slots:
        """How many requests it takes at once, and how many it has."""
        return self.engine.slots

    def engine_for(self, request: Request) -> Engine:
        """What `[local] memory` loads and unloads."""
        return self.engine

    async def load(self) -> None:
        """Loads the weights now instead of at the first request. Raises `WeightsError`."""
        await self.engine.load()

    async def close(self) -> None:
        await self.engine.close()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Raises `ContextLengthError` for a document that does not fit beside the query: none is cut short."""
        self.require(request)
        assert isinstance(request, Rerank)
        refuse_extras(request, self.engine.name)
        if not request.documents:
            raise RequestError("documents is empty: send at least one", field="documents")
        scores, tokens = [], 0
        for i, document in enumerate(request.documents):
            try:
                answer = await self.engine.rank(request.query, document)
            except ContextLengthError as error:
                raise self._too_long(i, error) from None
            scores.append(self._score(answer["results"][0]["relevance_score"]))
            tokens += answer["usage"]["prompt_tokens"]
        yield Start(model=self.engine.name)
        yield Done(
            response=RerankResponse(
                model=self.engine.name,
                results=request.ranked(scores),
                method="cross-encoder",
                usage=Usage.of_input(tokens),
            )
        )

    def _score(self, number: float | None) -> float:
        if number is None:
            raise self.engine.no_number()
        return number if self.shares else 1 / (1 + math.exp(-min(max(number, -700.0), 700.0)))

    def _too_long(self, place: int, error: ContextLengthError) -> ContextLengthError:
        engine, field = self.engine, f"documents[{place}]"
        more = ", or raise [local] context" if engine.context < engine.most else ""
        return ContextLengthError(
            f"{field} and the query have {error.prompt_tokens:,} tokens together, and {engine.name} has room for "
            f"{engine.context:,}: send the document in parts{more}",
            prompt_tokens=error.prompt_tokens,
            context_tokens=engine.context,
            field=field,
        )
