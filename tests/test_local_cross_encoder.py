"""A cross-encoder by its folder. No real one is to be had as a package, so the network here is made by the test and is
trained on nothing: its number for a pair is the sum of its words' worths in the document."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from trivet.errors import ContextLengthError, RequestError, WeightsError
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.local.texts.cross_encoder import CrossEncoder, files
from trivet.types import Request, Rerank

WORTH = {"[PAD]": 9.0, "[CLS]": 0.0, "[SEP]": 0.0, "bread": 2.0, "flour": 1.0, "cars": -1.0, "the": 0.0}


def folder(at: Path, *, most: int = 16, numbers: int = 1, also: tuple[str, ...] = ()) -> Path:
    """model.onnx and tokenizer.json of the network described above, with `numbers` for a pair."""
    names = ("input_ids", "attention_mask", "token_type_ids", *also)
    table = np.array([[worth] * numbers for worth in WORTH.values()], np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["worth"]),  # (rows, tokens, numbers)
        helper.make_node("Mul", ["attention_mask", "token_type_ids"], ["counts"]),
        helper.make_node("Cast", ["counts"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counted", "last"], ["weights"]),
        helper.make_node("Mul", ["worth", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "second"], ["logits"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", numbers])
    constants = {"table": table, "last": np.array([2]), "second": np.array([1])}
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "pairs", inputs, [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), at / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORTH)}, unk_token="the"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(most)
    tokenizer.save(str(at / "tokenizer.json"))
    return at


def ask(model: CrossEncoder, request: Request) -> Any:
    async def asked() -> Any:
        try:
            return await model.call(request)
        finally:
            await model.close()

    return asyncio.run(asked())


def rerank(at: Path, query: str, *documents: str, **changes: Any) -> Any:
    return ask(CrossEncoder(at, name="mine"), Rerank(query=query, documents=documents, **changes))


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))


def test_documents_come_in_the_order_of_the_networks_numbers(tmp_path: Path) -> None:
    response = rerank(folder(tmp_path), "bread", "cars", "flour bread", "flour")
    assert [(r.index, r.score) for r in response.results] == [
        (1, pytest.approx(sigmoid(3))),
        (2, pytest.approx(sigmoid(1))),
        (0, pytest.approx(sigmoid(-1))),
    ]
    assert response.method == "cross-encoder"
    assert response.notes == ()


def test_what_pads_a_batch_changes_no_score(tmp_path: Path) -> None:
    together = rerank(folder(tmp_path), "bread", "flour the the the the the", "cars")
    alone = rerank(tmp_path, "bread", "cars")
    assert together.results[1].score == alone.results[0].score


def test_top_is_how_many_are_told_and_usage_is_of_all(tmp_path: Path) -> None:
    response = rerank(folder(tmp_path), "bread", "cars", "flour bread", top=1)
    assert [r.index for r in response.results] == [1]
    assert response.usage.input_tokens == 5 + 6  # [CLS] bread [SEP] cars [SEP]


def test_a_long_document_is_as_good_as_its_best_part(tmp_path: Path) -> None:
    response = rerank(folder(tmp_path, most=8), "bread", "the the the the flour bread the the", "cars")
    assert response.results[0].index == 0
    assert response.results[0].score == pytest.approx(sigmoid(3))  # the second part of four words
    assert response.notes == (
        "1 of 2 documents do not fit into the 8 tokens that mine takes at once: "
        "the score of one is that of its best part",
    )


def test_a_query_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextLengthError, match="query leaves no room"):
        rerank(folder(tmp_path, most=8), "the " * 20, "bread")


def test_a_network_that_gives_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="gives 3 numbers for a pair, a cross-encoder gives one"):
        rerank(folder(tmp_path, numbers=3), "bread", "cars")


def test_a_network_that_takes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="takes pixel_values"):
        rerank(folder(tmp_path, also=("pixel_values",)), "bread", "cars")


def test_no_documents_are_refused_before_the_weights_load(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="documents is empty"):
        rerank(tmp_path, "bread")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named_by_its_folder(name: str, tmp_path: Path) -> None:
    (folder(tmp_path) / name).write_bytes(b"{")
    with pytest.raises(WeightsError, match="is not loaded"):
        rerank(tmp_path, "bread", "cars")


def test_a_folder_is_one_by_its_two_files(tmp_path: Path) -> None:
    assert files(tmp_path) == ()
    assert files(folder(tmp_path)) == (tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "onnx" / "model.onnx")
    assert files(tmp_path) == (tmp_path / "onnx" / "model.onnx", tmp_path / "tokenizer.json")


def test_it_is_named_by_its_folder_and_must_stay_as_it_was_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIVET_HOME", raising=False)
    (mine := tmp_path / "mine").mkdir()
    folder(mine)
    settings = LocalSettings(home=str(tmp_path / "home"))
    request = Rerank(query="bread", documents=("cars", "flour"))
    first = Local(settings).at(str(mine))
    assert isinstance(first, CrossEncoder)
    assert [r.index for r in ask(first, request).results] == [1, 0]
    folder(mine, most=17)
    changed = Local(settings).at(str(mine))
    assert isinstance(changed, CrossEncoder)
    with pytest.raises(WeightsError, match="has changed since it was first used"):
        ask(changed, request)


def test_a_folder_of_something_else_is_refused_with_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no folder that is known here"):
        Local(LocalSettings(home=str(tmp_path))).at(str(tmp_path))
