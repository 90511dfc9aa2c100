"""OpenAI embeddings asked of a host: `Embed` to its JSON, and its vectors back. The shapes are those of the published
API references of OpenAI, Voyage and Mistral."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.embedding_create_params import EmbeddingCreateParams

from trivet.errors import AuthError, ProviderError, RateLimitError, TransportError, UnsupportedError
from trivet.types import Embed, EmbedResponse, Source, Usage, replace
from trivet.wire import Target, openai_embeddings, source

TARGET = Target(model="v", provider="up", family="up")
TWO = Embed(texts=("a", "b"))


def client(**fields: Any) -> Embed:
    """A request as a client wrote it."""
    request = openai_embeddings.parse(json.dumps({"model": "own", "input": ["a", "b"]} | fields).encode()).request
    assert isinstance(request, Embed)
    return request


def sent(request: Embed, target: Target = TARGET) -> Any:
    return json.loads(source.body(request, target, openai_embeddings))


def item(index: int | None, *vector: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"object": "embedding", **place, "embedding": vector[0] if isinstance(vector[0], str) else list(vector)}


def read(*data: Any, request: Embed = TWO, **fields: Any) -> EmbedResponse:
    body = {"object": "list", "data": list(data), "model": "v-2", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    response = openai_embeddings.Reader(request, TARGET).whole(json.dumps(body | fields).encode())
    assert isinstance(response, EmbedResponse)
    return response


def packed(form: str, *vector: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}{form}", *vector)).decode()


# --- requests ----------------------------------------------------------------------------------------------


def test_vectors_are_asked_for_in_base64_only_where_the_host_has_it() -> None:
    assert openai_embeddings.write(TWO, TARGET) == {"model": "v", "input": ["a", "b"]}
    for target in (replace(TARGET, quirks={"base64": True}), replace(TARGET, family="openai")):
        assert openai_embeddings.write(TWO, target)["encoding_format"] == "base64"


def test_dimensions_have_the_hosts_name() -> None:
    target = replace(TARGET, quirks={"dimensions": "output_dimension"})
    short = replace(TWO, dimensions=2)
    assert openai_embeddings.write(short, TARGET)["dimensions"] == 2
    assert openai_embeddings.write(short, target) == {"model": "v", "input": ["a", "b"], "output_dimension": 2}
    assert sent(client(dimensions=2), target) == openai_embeddings.write(short, target)


def test_truncation_has_the_hosts_name() -> None:
    for theirs in ("truncation", "truncate"):  # Voyage's and Jina's
        target = replace(TARGET, quirks={"truncate": theirs})
        cut = replace(TWO, truncate=True)
        assert openai_embeddings.write(cut, target) == {"model": "v", "input": ["a", "b"], theirs: True}
        assert sent(client(truncate=True), target) == openai_embeddings.write(cut, target)


def test_truncation_is_refused_where_a_host_has_none_unless_a_client_of_its_protocol_wrote_it() -> None:
    with pytest.raises(UnsupportedError, match="truncate has no counterpart at up") as caught:
        openai_embeddings.write(replace(TWO, truncate=False), TARGET)
    assert caught.value.field == "truncate"
    assert sent(client(truncate=True))["truncate"] is True


def test_what_is_written_are_fields_of_the_sdks_and_reads_as_what_it_was_written_of() -> None:
    request = replace(TWO, model="v", dimensions=2, extra={"user": "ann"})
    written = openai_embeddings.write(request, replace(TARGET, family="openai"))
    assert set(written) == set(EmbeddingCreateParams.__annotations__)
    assert replace(openai_embeddings.parse(json.dumps(written).encode()).request, source=None) == request


def test_the_clients_own_body_goes_out_as_it_is_but_for_the_model() -> None:
    own = {"model": "own", "input": "a", "encoding_format": "float", "input_type": "query", "user": None}
    assert sent(client(**own)) == {**own, "model": "v"}


def test_a_field_of_another_protocol_is_refused_by_name() -> None:
    foreign = replace(TWO, extra={"taskType": "x"}, source=Source(protocol="gemini-embed", body=b"{}"))
    with pytest.raises(UnsupportedError, match="up is asked in") as caught:
        openai_embeddings.write(foreign, TARGET)
    assert caught.value.field == "taskType"


# --- answers -----------------------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_their_index() -> None:
    response = read(item(1, 0.5, 1), item(0, 0.25, -1), x=1)
    assert response.vectors == ((0.25, -1), (0.5, 1))
    assert (response.model, response.extra) == ("v-2", {"x": 1})
    assert response.usage == Usage(uncached_input_tokens=4, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)


def test_without_an_index_they_are_in_order() -> None:
    assert read(item(None, 1), item(None, 2)).vectors == ((1,), (2,))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4))
def test_base64_is_read_to_the_bit(vector: list[float]) -> None:
    one = replace(TWO, texts=("a",))
    assert read(item(0, packed("f", *vector)), request=one).vectors == (tuple(vector),)


@pytest.mark.parametrize(("dtype", "form", "vector"), [("int8", "b", (-128, 127)), ("ubinary", "B", (0, 255))])
def test_bytes_are_read_as_what_was_asked_for(dtype: str, form: str, vector: tuple[float, ...]) -> None:
    one = Embed(texts=("a",), extra={"output_dtype": dtype})
    assert read(item(0, packed(form, *vector)), request=one).vectors == (vector,)
    assert read(item(0, *vector), request=one).vectors == (vector,)


@pytest.mark.parametrize(("usage", "tokens"), [({"total_tokens": 3}, 3), (None, None), ({}, None)])
def test_usage_is_the_prompts(usage: Any, tokens: int | None) -> None:
    told = read(item(0, 1), item(1, 2), usage=usage).usage
    assert (told.input_tokens, told.output_tokens) == (tokens, 0)


def test_a_client_of_the_protocol_gets_the_hosts_bytes() -> None:
    raw = read(item(0, 1), item(1, 2), request=client(), x=1).raw
    assert raw is not None
    assert (raw.protocol, json.loads(raw.body)["x"]) == ("openai-embeddings", 1)


@pytest.mark.parametrize(
    "data",
    [
        [item(0, 1)],  # too few
        [item(0, 1), item(1, 2), item(2, 3)],  # too many
        [item(0, 1), item(0, 2)],  # twice the same
        [item(1, 1), item(2, 2)],  # none is the first
        [item(0, 1), item(None, 2)],
        [item(0, 1), item(1, 2, 3)],  # of two lengths
        [item(0, "AAA="), item(1, "AAA=")],  # no float32
        [item(0, "%"), item(1, "%")],
        [item(0, None), item(1, None)],
        [1, 2],
        [{"index": 0}, {"index": 1}],
    ],
)
def test_what_is_not_one_vector_for_each_text_is_an_error_of_the_host(data: list[Any]) -> None:
    with pytest.raises(ProviderError, match="up sent"):
        read(*data)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": 1}'])
def test_what_is_no_answer_is_an_error_of_the_host(body: bytes) -> None:
    with pytest.raises(ProviderError, match="up sent"):
        openai_embeddings.Reader(TWO, TARGET).whole(body)


def test_an_error_is_read() -> None:
    with pytest.raises(RateLimitError, match="slow"):
        read(error={"message": "slow", "code": 429})
    refused = openai_embeddings.read_error(401, {}, b'{"error": {"message": "key"}}', TARGET)
    assert isinstance(refused, AuthError)


def test_there_are_no_streams() -> None:
    with pytest.raises(TransportError):
        openai_embeddings.Reader(TWO, TARGET).end()
