"""Rerank, asked of a host: Cohere's version 2, which Jina and servers of one's own speak too, and Voyage's.

Hosts differ (`Target.quirks`): `top_n` is the host's name for how many to tell; `return_documents` says that it sends
the documents back unless it is told not to.

https://docs.cohere.com/reference/rerank, https://docs.voyageai.com/reference/reranker-api, https://jina.ai/reranker
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from trivet.errors import TransportError
from trivet.types import Event, Ranked, Rerank, RerankResponse, Response, Usage
from trivet.wire import Target, cohere_rerank, openai_errors, sse
from trivet.wire.cohere_rerank import parse
from trivet.wire.openai_received import Received
from trivet.wire.openai_terms import carried

__all__ = ["PROTOCOL", "Reader", "parse", "read_error", "told", "write"]

# Not the client's own protocol: it may ask in version 1, and its answer has no documents from the host.
PROTOCOL = "rerank"
read_error = partial(openai_errors.read_error, protocol=PROTOCOL)
_TAKEN = ("id", "object", "model", "results", "data", "usage", "meta")


def write(request: Rerank, target: Target) -> dict[str, Any]:
    """The JSON object to send. Raises `UnsupportedError` for fields of another protocol."""
    extra = carried(request, target, cohere_rerank.PROTOCOL, "rerank")
    body: dict[str, Any] = {"model": target.model, "query": request.query, "documents": list(request.documents)}
    if request.top is not None:
        body[target.quirks.get("top_n", "top_n")] = request.top
    if target.quirks.get("return_documents"):
        body["return_documents"] = False
    return {**body, **extra}


def told(own: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Every body is written here."""
    return {"model": target.model}


class Reader:
    """One request's answer. The protocol has no streams."""

    def __init__(self, request: Rerank, target: Target) -> None:
        self._received = Received(request, target, PROTOCOL)
        self._documents, self._model = len(request.documents), target.model

    def whole(self, body: bytes) -> Response:
        """Raises `ProviderError` for what is no answer: scores, each of another one of the documents."""
        data = self._received.object(body)
        try:
            told = data["results"] if "results" in data else data["data"]
            results = [Ranked(index=_index(item["index"]), score=float(item["relevance_score"])) for item in told]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._received.broken("scores in no shape that trivet knows", body) from None
        places = {ranked.index for ranked in results}
        if len(places) < len(results) or not places <= set(range(self._documents)):
            raise self._received.broken(f"scores of other documents than the {self._documents} that it was sent", body)
        meta: Any = data.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        extra = {name: value for name, value in data.items() if name not in _TAKEN and value is not None}
        return RerankResponse(
            model=data.get("model") or self._model,
            id=data.get("id"),
            usage=_usage(data.get("usage"), meta),
            results=tuple(sorted(results, key=lambda ranked: -ranked.score)),
            notes=tuple(str(warning) for warning in meta.get("warnings") or ()),
            extra=extra,
        )

    def event(self, event: sse.Event) -> Iterable[Event]:
        return ()

    def end(self) -> Iterable[Event]:
        raise TransportError(f"{self._received.target.provider} streams scores, which its protocol does not")


def _index(told: Any) -> int:
    if type(told) is not int:
        raise TypeError
    return told


def _usage(told: Any, meta: Mapping[str, Any]) -> Usage:
    """The prompt is all there is. Voyage and Jina tell it as the total, Cohere as tokens of its `meta` where it counts
    them: what it charges are searches."""
    count = None
    if isinstance(told, dict):
        count = told.get("total_tokens", told.get("prompt_tokens"))
    elif isinstance(tokens := meta.get("tokens"), dict):
        count = tokens.get("input_tokens")
    if not isinstance(count, int | float):
        return Usage(output_tokens=0)
    return Usage.of_input(int(count))
