"""Vectors of texts by the real all-MiniLM-L6-v2, beside those of sentence-transformers, and documents in their order.

`references/minilm.json` says where the vectors come from; thresholds are those of issue 6.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet import catalog
from trivet.errors import ConfigError, RequestError, UnsupportedError, WeightsError
from trivet.local import pull, safetensors, weights
from trivet.local.provider import Local
from trivet.local.texts import bert
from trivet.local.texts.embedder import Embedder
from trivet.model import Model
from trivet.types import Chat, Embed, Image, Request, Rerank, user

REFERENCE = json.loads((Path(__file__).parent / "references" / "minilm.json").read_text("utf-8"))
TEXTS, TOKENS = tuple(REFERENCE["texts"]), REFERENCE["tokens"]
VECTORS = np.frombuffer(base64.b64decode(REFERENCE["vectors"]), "<f2").reshape(len(TEXTS), 384).astype("f4")
SHORT = [i for i, tokens in enumerate(TOKENS) if tokens <= 256]
LONG = [i for i, tokens in enumerate(TOKENS) if tokens > 256]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    pull.pull("minilm", weights.home())
    local = Local()
    yield local.model("minilm")
    asyncio.run(local.close())


def ask(model: Model, request: Request) -> Any:
    return asyncio.run(model.call(request))


def embed(model: Model, *texts: str, **changes: Any) -> np.ndarray[Any, Any]:
    return np.array(ask(model, Embed(texts=texts, **changes)).vectors)


def cosines(a: Any, b: Any) -> Any:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def unopened(tmp_path: Path) -> Embedder:
    """One whose weights are not there: what it refuses, it refuses without them."""
    (tmp_path / "config.json").write_bytes((weights.home() / "minilm" / "config.json").read_bytes())
    return Embedder(tmp_path, name="local/minilm")


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_the_reference_has_texts_of_every_length() -> None:
    assert len(set(TEXTS)) == 200
    assert {min(TOKENS), 255, 256, 257} <= set(TOKENS)
    assert "" in TEXTS
    assert all(any(letter in text for text in TEXTS) for letter in "한😀م在\t")


def test_vectors_are_those_of_sentence_transformers(model: Model) -> None:
    found = embed(model, *(TEXTS[i] for i in SHORT))
    assert cosines(found, VECTORS[SHORT]).min() >= 0.9999


def test_with_truncation_all_200_are_for_it_cuts_long_texts(model: Model) -> None:
    response = ask(model, Embed(texts=TEXTS, truncate=True))
    assert cosines(np.array(response.vectors), VECTORS).min() >= 0.9999
    assert response.usage.input_tokens == sum(min(tokens, 256) for tokens in TOKENS)
    assert response.notes == (
        f"{len(LONG)} of 200 texts are longer than the 256 tokens that local/minilm takes at once: "
        "what is beyond was left out, as `truncate` asks",
    )


def test_a_batch_gives_the_vectors_of_one_by_one_in_their_order(model: Model) -> None:
    texts = TEXTS[::8]
    together = embed(model, *texts)
    alone = np.concatenate([embed(model, text) for text in texts])
    assert abs(together - alone).max() <= 1e-5


def test_vectors_have_384_numbers_and_length_1(model: Model) -> None:
    found = embed(model, "", "a text", "word " * 300, dimensions=384)
    assert found.shape == (3, 384)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_every_token_of_a_long_text_counts(model: Model) -> None:
    begin = "the sea was calm and grey " * 60
    one, other = embed(model, begin + "until the storm", begin + "and interest rates rose")
    assert abs(one - other).max() > 0.001
    cut = embed(model, begin + "until the storm", begin + "and interest rates rose", truncate=True)
    assert (cut[0] == cut[1]).all()


def test_the_vector_of_a_long_text_is_the_mean_over_its_parts(model: Model) -> None:
    ids = np.array([embed(model, "time " * 254), embed(model, "car " * 254)])
    whole = embed(model, "time " * 254 + "car " * 254)
    # Both parts have as many tokens, and of each the states are about as long.
    assert cosines(whole, ids.mean(0))[0] > 0.999


def test_a_long_text_is_told_in_the_notes_and_a_short_one_is_not(model: Model) -> None:
    response = ask(model, Embed(texts=("short", "word " * 300)))
    assert response.notes == (
        "1 of 2 texts is longer than the 256 tokens that local/minilm takes at once: "
        "a vector is the mean over all parts of its text",
    )
    assert ask(model, Embed(texts=("word " * 254,))).notes == ()


def test_usage_has_the_tokens_that_went_through_the_network(model: Model) -> None:
    usage = ask(model, Embed(texts=tuple(TEXTS[i] for i in SHORT[::4]))).usage
    assert usage.input_tokens == sum(TOKENS[i] for i in SHORT[::4])
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens) == (0, 0, 0)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_text_has_a_vector(model: Model, text: str) -> None:
    assert abs(np.linalg.norm(embed(model, text)) - 1) < 1e-5


def test_half_a_character_is_refused_by_its_place(model: Model) -> None:
    with pytest.raises(RequestError, match="text 1 "):
        embed(model, "whole", "half \ud83d")


def test_a_short_text_need_not_wait_for_the_end_of_a_long_request(model: Model) -> None:
    done: list[str] = []

    async def asked(name: str, *texts: str) -> None:
        await model.call(Embed(texts=texts))
        done.append(name)

    async def both() -> None:
        await model.call(Embed(texts=("loaded",)))
        many = asyncio.create_task(asked("many", *["word " * 250] * 20))
        await asyncio.sleep(0)  # it has begun
        await asked("one", "a short text")
        await many

    asyncio.run(both())
    assert done == ["one", "many"]


# --- documents in their order -----------------------------------------------------------------------------------------


DOCUMENTS = ("Cars are fast.", "Mix flour, water and yeast, and bake it.", "The bank raised its rates.")


def test_the_document_that_answers_comes_first(model: Model) -> None:
    response = ask(model, Rerank(query="How do I bake bread?", documents=DOCUMENTS))
    assert response.results[0].index == 1
    assert [r.score for r in response.results] == sorted((r.score for r in response.results), reverse=True)
    assert response.method == "embedding similarity"


def test_scores_are_the_cosines_of_the_vectors(model: Model) -> None:
    query, *documents = embed(model, "How do I bake bread?", *DOCUMENTS)
    for result in ask(model, Rerank(query="How do I bake bread?", documents=DOCUMENTS)).results:
        assert result.score == pytest.approx(float(documents[result.index] @ query), abs=1e-5)


def test_top_is_how_many_are_told(model: Model) -> None:
    assert len(ask(model, Rerank(query="bread", documents=DOCUMENTS, top=2)).results) == 2


def test_a_long_document_is_as_good_as_its_best_part(model: Model) -> None:
    filler = "The bank raised its rates. " * 84  # 7 tokens each: more than two parts
    query = "How do I bake bread?"
    response = ask(model, Rerank(query=query, documents=(filler + DOCUMENTS[1], filler)))
    assert response.results[0].index == 0
    assert response.results[0].score > response.results[1].score + 0.05
    assert "that of its best part" in response.notes[0]


# --- refused before the weights load ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        (Embed(), "texts", "texts is empty"),
        (Embed(texts=("a",), dimensions=256), "dimensions", "384"),
        (Embed(images=(Image(data=b"x", media_type="image/png"),)), "images", "not images"),
        (Embed(proteins=("EVQL",)), "proteins", "not proteins"),
        (Embed(texts=("a",), extra={"input_type": "query"}), "input_type", "does not know input_type"),
        (Embed(texts=("a",), extra={"truncate": "END"}), "truncate", "does not know truncate"),
        (Rerank(query="a", documents=()), "documents", "documents is empty"),
        (Chat(messages=(user("hi"),)), "model", "no task 'chat'"),
    ],
)
def test_what_it_cannot_do_is_refused_without_weights(
    model: Model, request_: Request, field: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        ask(unopened(tmp_path), request_)
    assert caught.value.field == field


def test_another_model_may_have_the_length_that_is_asked_for(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError):  # which falls back
        ask(unopened(tmp_path), Embed(texts=("a",), dimensions=1536))


def test_a_missing_extra_is_named_with_its_command(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(ConfigError, match=r'pip install "trivet\[onnx\]"'):
        ask(unopened(tmp_path), Embed(texts=("a",)))


# --- weights ----------------------------------------------------------------------------------------------------------


def test_it_is_what_embeds_where_no_model_is_named() -> None:
    entry = catalog.for_task("embed")
    assert entry is not None
    assert entry.name == "minilm"


@pytest.mark.parametrize("length", [0, 4, 8, 5_000, 1_000_000])
def test_safetensors_that_are_cut_short_say_so(model: Model, length: int, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    with (weights.home() / "minilm" / "model.safetensors").open("rb") as whole:
        cut.write_bytes(whole.read(length))
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        safetensors.read(cut)


def test_a_configuration_of_another_network_is_refused(model: Model, tmp_path: Path) -> None:
    told = json.loads((weights.home() / "minilm" / "config.json").read_bytes())
    path = tmp_path / "config.json"
    path.write_text(json.dumps(told | {"position_embedding_type": "relative_key"}))
    with pytest.raises(WeightsError, match="another network"):
        bert.Config.read(path)


def test_tensors_of_another_network_are_refused(model: Model) -> None:
    config = bert.Config.read(weights.home() / "minilm" / "config.json")
    with pytest.raises(WeightsError, match="no tensor 'embeddings"):
        bert.Bert({}, config, threads=1)


@given(st.lists(st.integers(2, 300), max_size=60))
def test_batches_have_every_row_once_and_stay_below_their_size(lengths: list[int]) -> None:
    rows = [[0] * length for length in lengths]
    found = bert.batches(rows)
    assert sorted(place for batch in found for place in batch) == list(range(len(rows)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= bert.TOKENS
