"""OpenAI embeddings: a client's JSON to `Embed`, and vectors back, as numbers or in base64."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse, EmbeddingCreateParams

from tests.openai_in_memory import InMemory
from trivet.errors import RequestError
from trivet.types import Done, Embed, EmbedResponse, Usage
from trivet.wire import openai_embeddings

USAGE = Usage(uncached_input_tokens=2, cache_read_tokens=1, cache_write_tokens=0)
RESPONSE = EmbedResponse(model="local/m", vectors=((0.5, -1.0), (0.25, 3.0)), usage=USAGE)


def parse(**fields: Any) -> Embed:
    request = openai_embeddings.parse(json.dumps({"model": "m", "input": "a"} | fields).encode()).request
    assert isinstance(request, Embed)
    return request


def whole(response: EmbedResponse, **fields: Any) -> dict[str, Any]:
    incoming = openai_embeddings.parse(json.dumps({"model": "m", "input": "a"} | fields).encode())
    return json.loads(openai_embeddings.Renderer(incoming).whole(response))


def test_one_text_and_several_are_read() -> None:
    assert parse(input="a").texts == ("a",)
    assert parse(input=["a", "b"]).texts == ("a", "b")


@pytest.mark.parametrize("told", [True, False])
def test_truncation_is_read(told: bool) -> None:
    assert parse(truncate=told).truncate is told


def test_another_protocols_word_for_truncation_goes_to_extra() -> None:
    request = parse(truncate="END")  # Cohere's
    assert (request.truncate, request.extra) == (None, {"truncate": "END"})


def test_dimensions_are_read() -> None:
    assert parse(dimensions=64).dimensions == 64


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 5]}, "input[1]"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError, match=field.partition("[")[0]) as caught:
        parse(**fields)
    assert caught.value.field == field


def test_token_ids_are_refused_with_what_to_send() -> None:
    with pytest.raises(RequestError, match="send the texts themselves"):
        parse(input=[[1, 2]])


# A value that is no default, for each field of the SDK's parameters: see the same table for chat.
FIELDS: dict[str, Any] = {
    "input": "b",
    "model": "other",
    "dimensions": 5,
    "encoding_format": "base64",
    "user": "ann",
}


def test_every_field_of_the_sdk_has_a_value_in_the_table() -> None:
    assert set(FIELDS) == set(EmbeddingCreateParams.__annotations__)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    def seen(fields: dict[str, Any]) -> Any:
        incoming = openai_embeddings.parse(json.dumps({"model": "m", "input": "a"} | fields).encode())
        request = incoming.request
        return [getattr(request, f) for f in request.__struct_fields__ if f != "source"], incoming.base64

    assert seen({name: FIELDS[name]}) != seen({})


def test_a_field_that_nobody_knows_goes_to_extra() -> None:
    assert parse(input_type="query").extra == {"input_type": "query"}


def test_an_answer_has_every_field_that_the_protocol_requires() -> None:
    body = whole(RESPONSE)
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]},
            {"object": "embedding", "index": 1, "embedding": [0.25, 3.0]},
        ],
        "model": "local/m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    CreateEmbeddingResponse.model_validate(body, strict=True)


def test_unknown_usage_is_null_and_never_0() -> None:
    assert whole(EmbedResponse(model="m", vectors=((1.0,),)))["usage"] is None


def test_base64_is_little_endian_float32() -> None:
    data = whole(RESPONSE, encoding_format="base64")["data"]
    assert base64.b64decode(data[1]["embedding"]) == struct.pack("<ff", 0.25, 3.0)


def test_the_sdk_reads_what_it_asks_for_by_itself() -> None:
    # It asks for base64 where its user asks for nothing.
    loop = InMemory(openai_embeddings, RESPONSE)
    response = loop.client.embeddings.create(model="m", input=["a", "b"])
    assert loop.incoming is not None
    assert loop.incoming.base64
    assert [d.embedding for d in response.data] == [[0.5, -1.0], [0.25, 3.0]]
    assert response.usage.prompt_tokens == 3


def test_the_sdk_raises_a_refusal_that_names_the_field() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        InMemory(openai_embeddings, RESPONSE).client.embeddings.create(model="m", input=[1, 2])
    assert caught.value.param == "input"


def test_done_is_the_whole_answer_as_the_protocol_has_no_streams() -> None:
    incoming = openai_embeddings.parse(b'{"model": "m", "input": "a"}')
    renderer = openai_embeddings.Renderer(incoming)
    assert renderer.event(Done(response=RESPONSE)) == renderer.whole(RESPONSE)


LOOP = InMemory(openai_embeddings, RESPONSE)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_texts_that_the_sdk_sends_are_read_whole(texts: list[str]) -> None:
    LOOP.client.embeddings.create(model="m", input=texts)
    assert LOOP.incoming is not None
    request = LOOP.incoming.request
    assert isinstance(request, Embed)
    assert request.texts == tuple(texts)
