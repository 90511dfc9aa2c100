"""Cohere's rerank, before a client: version 2, and what version 1 has beside it, which other hosts speak too.

https://docs.cohere.com/reference/rerank, https://docs.cohere.com/v1/reference/rerank
"""

from __future__ import annotations

from typing import Any

import msgspec

from trivet.errors import RequestError, TrivetError
from trivet.types import Done, Event, Rerank, RerankResponse, Response, Source
from trivet.wire import Incoming, openai_errors, sse
from trivet.wire.fields import Fields, convert, read_object
from trivet.wire.ids import fresh_id
from trivet.wire.openai_errors import error

__all__ = ["PROTOCOL", "Renderer", "error", "parse"]

PROTOCOL = "cohere-rerank"


def parse(body: bytes) -> Incoming:
    """A request's JSON body as a `Rerank`. Version 1 takes it without a `model`, and documents as objects with their
    `text`; it repeats them where `return_documents` is said. Raises `RequestError` with the path of the field at
    fault."""
    data = read_object(body)
    top = data.take("top_n", int)
    if top is not None and top < 1:
        raise RequestError(f"top_n is {top}, must be at least 1", field="top_n")
    query, documents = data.need("query", str), _documents(data)
    if not query.strip():
        raise RequestError("query is empty: send what the documents are to answer", field="query")
    repeated = data.take("return_documents", bool, False)
    request = Rerank(
        model=data.take("model", str),
        query=query,
        documents=documents,
        top=top,
        source=Source(protocol=PROTOCOL, body=body),
        extra=data.rest(),  # last: what nothing above has taken
    )
    return Incoming(request=request, body={"return_documents": repeated})


def _documents(data: Fields) -> tuple[str, ...]:
    told = data.need("documents", list)
    if not told:
        raise RequestError("documents is empty: send at least one", field="documents")
    paths = [f"documents[{i}]" for i in range(len(told))]
    return tuple(
        convert(document, str, path) if not isinstance(document, dict) else Fields(document, path).need("text", str)
        for document, path in zip(told, paths, strict=True)
    )


class Renderer:
    """One request's answer."""

    def __init__(self, incoming: Incoming) -> None:
        assert isinstance(incoming.request, Rerank)
        self._documents = incoming.request.documents if incoming.body["return_documents"] else None

    def whole(self, response: Response) -> bytes:
        """The JSON body. Its `meta` says in a warning where the scores are no cross-encoder's, and has no tokens where
        they are unknown."""
        assert isinstance(response, RerankResponse)
        results: list[dict[str, Any]] = [
            {"index": ranked.index, "relevance_score": ranked.score} for ranked in response.results
        ]
        if self._documents is not None:
            for result in results:
                result["document"] = {"text": self._documents[result["index"]]}
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if response.usage.input_tokens is not None:
            meta["tokens"] = {"input_tokens": response.usage.input_tokens}
        if warnings := _warnings(response):
            meta["warnings"] = warnings
        body = {**response.extra, "id": response.id or fresh_id("rerank_"), "results": results, "meta": meta}
        return msgspec.json.encode(body)

    def event(self, event: Event) -> bytes:
        """The protocol has no streams: the whole answer at once."""
        return self.whole(event.response) if isinstance(event, Done) else b""

    def failure(self, error: TrivetError) -> bytes:
        return sse.event(openai_errors.error(error))


def _warnings(response: RerankResponse) -> list[str]:
    if response.method == "cross-encoder":
        return list(response.notes)
    return [f"{response.model} is no cross-encoder: its scores are {response.method}", *response.notes]
