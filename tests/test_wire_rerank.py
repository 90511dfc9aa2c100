"""Cohere's rerank, held against its published reference and the types of its official client (cohere-python:
`V2RerankResponse`, `V2RerankResponseResultsItem`, `RerankResponseResultsItem` and `ApiMeta`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trivet.errors import RequestError
from trivet.types import Done, Ranked, Rerank, RerankResponse, Usage
from trivet.wire import Incoming, cohere_rerank
from trivet.wire.words import retell

# docs.cohere.com/reference/rerank, its example
ASKED = {
    "model": "rerank-v3.5",
    "query": "What is the capital of the United States?",
    "documents": [
        "Carson City is the capital city of the American state of Nevada.",
        "Washington, D.C. is the capital of the United States.",
    ],
    "top_n": 1,
}
ANSWER = RerankResponse(model="m", results=(Ranked(index=1, score=0.999), Ranked(index=0, score=0.25)))


def incoming(**fields: Any) -> Incoming:
    return cohere_rerank.parse(json.dumps(ASKED | fields).encode())


def parse(**fields: Any) -> Rerank:
    request = incoming(**fields).request
    assert isinstance(request, Rerank)
    return request


def whole(response: RerankResponse, **fields: Any) -> dict[str, Any]:
    return json.loads(cohere_rerank.Renderer(incoming(**fields)).whole(response))


def test_the_references_example_is_read() -> None:
    request = parse()
    assert (request.model, request.query, request.top) == (ASKED["model"], ASKED["query"], 1)
    assert list(request.documents) == ASKED["documents"]
    assert request.extra == {}


def test_the_first_version_takes_objects_and_no_model() -> None:
    request = parse(documents=[{"text": "a", "title": "A"}, "b"], model=None)
    assert (request.documents, request.model) == (("a", "b"), None)


def test_what_trivet_has_no_field_for_is_kept_for_a_model_that_knows_it() -> None:
    assert parse(max_tokens_per_doc=9, priority=1).extra == {"max_tokens_per_doc": 9, "priority": 1}


def test_without_a_bound_all_are_told() -> None:
    assert parse(top_n=None).top is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": None}, "query"),
        ({"query": " "}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": ["a", {"title": "A"}]}, "documents[1].text"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "all"}, "top_n"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        incoming(**fields)
    assert caught.value.field == field


def test_the_answer_has_the_references_shape() -> None:
    told = whole(ANSWER)
    assert told["results"] == [
        {"index": 1, "relevance_score": 0.999},
        {"index": 0, "relevance_score": 0.25},
    ]
    assert set(told) == {"id", "results", "meta"}
    assert told["meta"] == {"api_version": {"version": "2"}}


def test_ids_are_the_models_or_fresh_ones() -> None:
    assert whole(ANSWER)["id"] != whole(ANSWER)["id"]
    assert whole(RerankResponse(model="m", id="r-1", results=()))["id"] == "r-1"


def test_documents_are_repeated_where_the_first_version_asks_for_it() -> None:
    told = whole(ANSWER, return_documents=True)["results"]
    assert [r["document"]["text"] for r in told] == [ASKED["documents"][1], ASKED["documents"][0]]


def test_tokens_are_told_where_they_are_known() -> None:
    usage = Usage(uncached_input_tokens=7, cache_read_tokens=0, cache_write_tokens=0)
    assert whole(RerankResponse(model="m", results=(), usage=usage))["meta"]["tokens"] == {"input_tokens": 7}


def test_scores_that_are_no_cross_encoders_say_so() -> None:
    told = whole(RerankResponse(model="minilm", results=(), method="embedding similarity", notes=("a note",)))
    assert told["meta"]["warnings"] == [
        "minilm is no cross-encoder: its scores are embedding similarity",
        "a note",
    ]


def test_the_whole_answer_comes_at_once() -> None:
    renderer = cohere_rerank.Renderer(incoming())
    assert json.loads(renderer.event(Done(response=ANSWER)))["results"][0]["index"] == 1


def test_a_refusal_of_the_model_names_the_clients_own_field() -> None:
    error = RequestError("top is too many", field="top")
    retell(error, parse())
    assert (error.field, error.message) == ("top_n", "top_n is too many")
