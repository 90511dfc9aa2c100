"""A reranker in a GGUF by its path. No real one is to be had as a package, so the network here is made by the test and
is trained on nothing: a BERT of one layer, whose numbers numpy works out a second time."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivet
from tests.small_weights import ARRAY, gguf_header
from trivet.cli import main
from trivet.errors import ContextLengthError, ProviderError, RequestError, UnsupportedError, WeightsError
from trivet.local.llama import Llama, Reranker
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.types import Embed, Request, Rerank

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁bread", "▁flour", "▁cars", "▁the", "▁bake")
CLS, SEP = 2, 3
WIDTH, WIDER, HEADS, MOST = 32, 64, 2, 64
DOCUMENTS = ("cars the cars", "the flour", "bake the bread", "bread")
Array = np.ndarray[Any, np.dtype[np.float32]]


def tensors(numbers: int = 1) -> dict[str, Array]:
    """Weights as llama.cpp names them (src/llama-arch.cpp), each (out, in)."""
    drawn = np.random.default_rng(1)

    def normal(*shape: int) -> Array:
        return (0.3 * drawn.standard_normal(shape)).astype(np.float32)

    found = {"token_embd.weight": normal(len(WORDS), WIDTH), "token_types.weight": normal(2, WIDTH)}
    found["position_embd.weight"] = normal(MOST, WIDTH)
    linear = {f"blk.0.attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
    linear |= {"blk.0.ffn_up": (WIDER, WIDTH), "blk.0.ffn_down": (WIDTH, WIDER)}
    linear |= {"cls": (WIDTH, WIDTH), "cls.output": (numbers, WIDTH)}
    for name, (out, into) in linear.items():
        found |= {f"{name}.weight": normal(out, into), f"{name}.bias": normal(out)}
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        found |= {f"{name}.weight": 1 + normal(WIDTH), f"{name}.bias": normal(WIDTH)}
    found["token_embd.weight"] *= 10  # so that words count for more than their places
    found["cls.output.weight"] *= 5
    return found


def write(folder: Path, *, pooling: int | None = 4, numbers: int = 1, **metadata: Any) -> Path:
    """`pooling` as in the file's header, None being that it has nothing of it."""
    kinds = struct.pack(f"<IIQ{len(WORDS)}i", ARRAY, 5, len(WORDS), 3, 2, 3, 3, *[1] * (len(WORDS) - 4))
    bert = {"context_length": MOST, "embedding_length": WIDTH, "feed_forward_length": WIDER, "block_count": 1}
    bert |= {"attention.head_count": HEADS, "attention.layer_norm_epsilon": 1e-12, "attention.causal": False}
    bert |= {} if pooling is None else {"pooling_type": pooling}
    ids = {"unknown": 1, "cls": CLS, "bos": CLS, "eos": SEP, "seperator": SEP, "padding": 0}  # misspelt there, too
    header = {"general.architecture": "bert", "tokenizer.ggml.model": "bert", "tokenizer.ggml.pre": "jina-v2-en"}
    header |= {f"bert.{key}": value for key, value in bert.items()}
    header |= {"tokenizer.ggml.tokens": WORDS, "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.token_type_count": 2}
    header |= {f"tokenizer.ggml.{kind}_token_id": number for kind, number in ids.items()}
    header |= {f"tokenizer.ggml.add_{kind}_token": kind != "sep" for kind in ("bos", "eos", "sep")}
    listed, data = [], b""
    for name, array in tensors(numbers).items():
        listed.append((name, array.shape[::-1], 0, len(data)))
        data += array.tobytes() + bytes(-array.nbytes % 32)
    head = gguf_header(header | metadata, listed)
    path = folder / "reranker.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def score(query: str, document: str) -> float:
    """The same network, once more."""
    w = tensors()
    words = [WORDS.index(f"▁{word}") for word in query.split()], [WORDS.index(f"▁{word}") for word in document.split()]
    ids = [CLS, *words[0], SEP, *words[1], SEP]

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / centred.std(-1, keepdims=True) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def heads(name: str) -> Any:
        return linear(x, f"blk.0.attn_{name}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)

    x = w["token_embd.weight"][ids] + w["token_types.weight"][0] + w["position_embd.weight"][: len(ids)]
    x = norm(x, "token_embd_norm")
    seen = np.exp(heads("q") @ heads("k").transpose(0, 2, 1) / (WIDTH / HEADS) ** 0.5)
    seen = (seen / seen.sum(-1, keepdims=True) @ heads("v")).transpose(1, 0, 2).reshape(len(ids), WIDTH)
    x = norm(x + linear(seen, "blk.0.attn_output"), "blk.0.attn_output_norm")
    wide = linear(x, "blk.0.ffn_up")
    wide = wide / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (wide + 0.044715 * wide**3)))  # ggml's GELU
    x = norm(x + linear(wide, "blk.0.ffn_down"), "blk.0.layer_output_norm")
    return float(1 / (1 + np.exp(-linear(np.tanh(linear(x[0], "cls")), "cls.output")[0])))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the digests of these files are recorded."""
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[Reranker]:
    found = Reranker(path, name="mine")
    yield found
    asyncio.run(found.close())


def ask(model: Reranker, request: Request) -> Any:
    return asyncio.run(model.call(request))


def test_scores_are_those_of_the_network_and_the_best_comes_first(model: Reranker) -> None:
    response = ask(model, Rerank(query="bake bread", documents=DOCUMENTS))
    expected = [score("bake bread", document) for document in DOCUMENTS]
    assert max(expected) - min(expected) > 0.3  # they are told apart
    for result in response.results:
        assert result.score == pytest.approx(expected[result.index], abs=2e-3)  # ggml's GELU is a table of float16
    assert [r.index for r in response.results] == sorted(range(4), key=lambda place: -expected[place])
    assert response.method == "cross-encoder"
    assert response.model == "mine"


def test_a_score_does_not_hang_on_the_other_documents(model: Reranker) -> None:
    together = ask(model, Rerank(query="bread", documents=DOCUMENTS))
    alone = {i: ask(model, Rerank(query="bread", documents=(d,))).results[0].score for i, d in enumerate(DOCUMENTS)}
    assert {r.index: r.score for r in together.results} == pytest.approx(alone, abs=1e-6)


def test_top_is_how_many_are_told_and_usage_is_of_all(model: Reranker) -> None:
    response = ask(model, Rerank(query="bread", documents=("cars", "the flour"), top=1))
    assert len(response.results) == 1
    assert response.usage.input_tokens == 5 + 6  # [CLS] bread [SEP] cars [SEP]
    assert response.usage.output_tokens == 0


@pytest.mark.parametrize("words", [MOST, 20 * MOST])  # more than the network takes, and than a batch
def test_a_pair_that_is_too_long_is_refused_by_its_place(model: Reranker, words: int) -> None:
    with pytest.raises(ContextLengthError, match=r"documents\[1\] and the query have") as caught:
        ask(model, Rerank(query="bread", documents=("cars", "the " * words, "flour")))
    assert (caught.value.field, caught.value.prompt_tokens, caught.value.context_tokens) == (
        "documents[1]",
        words + 4,
        MOST,
    )


@pytest.mark.parametrize(
    ("pooling", "request_"), [(4, Rerank(query="bread", documents=("cars",))), (1, Embed(texts=("cars",)))]
)
def test_weights_whose_numbers_are_none_are_told_as_that(tmp_path: Path, pooling: int, request_: Request) -> None:
    """A file whose numbers are damaged: its header says nothing of it."""
    path = write(tmp_path, pooling=pooling)
    whole = path.read_bytes()
    bias = tensors()["blk.0.ffn_down.bias"].tobytes()
    path.write_bytes(whole.replace(bias, np.full(WIDTH, np.nan, np.float32).tobytes()))
    assert path.read_bytes() != whole
    model = (Reranker if pooling == 4 else Llama)(path, name="mine")

    async def asked() -> None:
        with pytest.raises(ProviderError, match=r"mine: llama\.cpp gave no number: the weights may be damaged"):
            await model.call(request_)
        await model.close()

    asyncio.run(asked())


def test_what_the_engine_raises_is_told_with_the_models_name(tmp_path: Path) -> None:
    """A token that the file names and does not have."""
    model = Reranker(write(tmp_path, **{"tokenizer.ggml.bos_token_id": 70_000}), name="mine")

    async def asked() -> None:
        with pytest.raises(ProviderError, match=r"mine: llama\.cpp failed: Invalid token"):
            await model.call(Rerank(query="bread", documents=("cars",)))
        await model.close()

    asyncio.run(asked())


def test_what_it_cannot_do_is_refused_without_loading(path: Path) -> None:
    model = Reranker(path, name="mine")
    for request, wrong in [
        (Rerank(query="a", documents=()), RequestError),
        (Rerank(query="a", documents=("b",), extra={"rank_fields": ["x"]}), UnsupportedError),
        (Embed(texts=("a",)), UnsupportedError),
    ]:
        with pytest.raises(wrong):
            ask(model, request)
    assert not model.engine.loaded


def test_a_request_that_is_left_asks_for_no_more_documents(model: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rank = model.engine.rank

    async def counted(query: str, document: str) -> Any:
        asked.append(document)
        running.cancel()
        return await rank(query, document)

    async def left() -> None:
        nonlocal running
        running = asyncio.create_task(model.call(Rerank(query="bread", documents=DOCUMENTS)))
        with pytest.raises(asyncio.CancelledError):
            await running
        await model.engine.slots.take(model.engine.slots.total)  # once the engine has let go
        model.engine.slots.give(model.engine.slots.total)

    running: asyncio.Task[Any]
    monkeypatch.setattr(model.engine, "rank", counted)
    asyncio.run(left())
    assert asked == [DOCUMENTS[0]]


# --- which files are rerankers ----------------------------------------------------------------------------------------


def opened(path: Path, settings: LocalSettings | None = None) -> Any:
    return Local(settings).at(str(path))


def test_a_path_is_a_reranker_where_its_file_says_so(path: Path) -> None:
    assert opened(path).about.tasks == ("rerank",)
    assert opened(path).about.context_tokens == MOST


def test_an_older_file_that_says_nothing_of_pooling_is_known_by_its_classifier(tmp_path: Path) -> None:
    assert isinstance(opened(write(tmp_path, pooling=None)), Reranker)


def test_a_file_that_makes_vectors_is_none(tmp_path: Path) -> None:
    model = opened(write(tmp_path, pooling=1))
    assert isinstance(model, Llama)
    assert "rerank" not in model.about.tasks


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gives 3 numbers for a pair \(joy, fear, anger\)"):
        opened(write(tmp_path, numbers=3, **{"bert.classifier.output_labels": ["joy", "fear", "anger"]}))


def test_a_context_that_is_meant_for_a_chat_model_leaves_it_what_it_was_trained_for(path: Path) -> None:
    model = opened(path, LocalSettings(context=8192))
    assert model.about.context_tokens == MOST
    assert len(ask(model, Rerank(query="bread", documents=("cars",))).results) == 1
    asyncio.run(model.close())


def test_another_file_under_the_same_name_has_another_revision(tmp_path: Path) -> None:
    before = Reranker(write(tmp_path)).revision
    assert Reranker(write(tmp_path, **{"general.name": "another"})).revision != before


def test_it_is_asked_from_python_and_the_command_line_by_its_path(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = trivet.rerank("bake bread", DOCUMENTS, model=str(path), top=1).results[0]
    assert main(["rerank", "--model", str(path), "--top", "1", "bake bread", *DOCUMENTS]) == 0
    assert DOCUMENTS[best.index] in capsys.readouterr().out


def test_it_is_listed_with_its_task(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "--quiet", str(path)]) == 0
    capsys.readouterr()
    assert main(["models", "--json"]) == 0
    (own,) = [row for row in json.loads(capsys.readouterr().out) if row["path"] == str(path)]
    assert (own["task"], own["here"]) == ("rerank", True)
