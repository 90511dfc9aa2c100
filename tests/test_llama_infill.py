"""Completion before a suffix, by the tokens that a GGUF names for it. The model is tiny, random, and really loaded."""

from __future__ import annotations

import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import opening
from tests.small_weights import ARRAY, F32, pair, text
from trivet.errors import ContextLengthError, UnsupportedError
from trivet.local.llama import Llama
from trivet.types import Complete, CompleteResponse, Sampling

I32 = 5
NEW = ("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id")
OLD = ("prefix_token_id", "suffix_token_id", "middle_token_id")
# The vocabulary: three special tokens, a token for each byte, the three marks, and the space, which has its own letter.
BOS, EOS, BYTES, PRE, SUF, MID, SPACE = 1, 2, 3, 259, 260, 261, 262
VOCABULARY = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "<PRE>", "<SUF>", "<MID>", "\u2581"]
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # llama.cpp's kinds of token
WIDTH, INNER = 32, 64
ONE = Sampling(max_tokens=1, temperature=0.0)


def code_model(path: Path, keys: tuple[str, ...] = NEW, **metadata: Any) -> Path:
    """A GGUF of one layer, 32 wide, with random weights and a token for every byte; `keys` name <PRE>, <SUF>, <MID>."""
    size = len(VOCABULARY)
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[CONTROL] * 3, NORMAL]
    known: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.context_length": 512,
        "llama.embedding_length": WIDTH,
        "llama.block_count": 1,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": VOCABULARY,
        "tokenizer.ggml.scores": struct.pack(f"<IIQ{size}f", ARRAY, F32, size, *[0.0] * size),
        "tokenizer.ggml.token_type": struct.pack(f"<IIQ{size}i", ARRAY, I32, size, *kinds),
        "tokenizer.ggml.bos_token_id": BOS,
        "tokenizer.ggml.eos_token_id": EOS,
        "tokenizer.ggml.add_space_prefix": False,
        **{f"tokenizer.ggml.{key}": id for key, id in zip(keys, (PRE, SUF, MID), strict=False)},
        **metadata,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (WIDTH, size),
        "output_norm.weight": (WIDTH,),
        "output.weight": (WIDTH, size),
        **{f"blk.0.attn_{kind}.weight": (WIDTH, WIDTH) for kind in ("q", "k", "v", "output")},
        **{f"blk.0.{kind}_norm.weight": (WIDTH,) for kind in ("attn", "ffn")},
        **{f"blk.0.ffn_{kind}.weight": (WIDTH, INNER) for kind in ("gate", "up")},
        "blk.0.ffn_down.weight": (INNER, WIDTH),
    }
    draw = random.Random(7)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(known))
    head += b"".join(pair(key, value) for key, value in known.items())
    data = b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += struct.pack(f"<{count}f", *(draw.gauss(0, 0.3) for _ in range(count)))  # multiples of 32 bytes
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def spelled(letters: str) -> list[int]:
    return [SPACE if byte == 0x20 else BYTES + byte for byte in letters.encode()]


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Llama]:
    async with opening(code_model(tmp_path / "code.gguf")) as opened:
        yield opened


def watched(model: Llama) -> list[Any]:
    """The bodies that go to the engine from now on."""
    sent: list[Any] = []
    stream = model.engine.stream

    def watching(call: Any, body: Any, **rest: Any) -> Any:
        sent.append(body)
        return stream(call, body, **rest)

    model.engine.stream = watching  # type: ignore[method-assign]
    return sent


async def test_the_prompt_is_prefix_suffix_and_middle_each_behind_its_mark(model: Llama) -> None:
    sent = watched(model)
    response = await model.call(Complete(prompt="def f(", suffix="\n# ü", sampling=ONE))
    (body,) = sent
    assert body["prompt"] == [BOS, PRE, *spelled("def f("), SUF, *spelled("\n# ü"), MID]
    assert isinstance(response, CompleteResponse)
    assert response.usage.uncached_input_tokens == len(body["prompt"])  # as many as the engine has counted
    assert response.usage.output_tokens == 1


async def test_the_engine_itself_says_that_it_had_this_prompt(model: Llama) -> None:
    prompts = []
    await model.load()
    stream = model.engine.stream

    async def listening(*args: Any, **kwargs: Any) -> Any:
        async for chunk in stream(*args, **kwargs):
            prompts.append(chunk.get("__verbose", {}).get("prompt"))
            yield chunk

    model.engine.stream = listening  # type: ignore[method-assign]
    await model.call(Complete(prompt="a = ", suffix=";", sampling=ONE))
    assert prompts[-1] == "<s><PRE>a = <SUF>;<MID>"


async def test_marks_in_the_texts_themselves_are_text(model: Llama) -> None:
    sent = watched(model)
    await model.call(Complete(prompt="<SUF>", suffix="<MID>", sampling=ONE))
    assert sent[0]["prompt"] == [BOS, PRE, *spelled("<SUF>"), SUF, *spelled("<MID>"), MID]


async def test_either_text_may_be_empty(model: Llama) -> None:
    sent = watched(model)
    await model.call(Complete(prompt="", suffix="", sampling=ONE))
    assert sent[0]["prompt"] == [BOS, PRE, SUF, MID]


async def test_a_model_that_begins_texts_with_no_token_gets_none(tmp_path: Path) -> None:
    path = code_model(tmp_path / "code.gguf", **{"tokenizer.ggml.add_bos_token": False})
    async with opening(path) as model:
        sent = watched(model)
        await model.call(Complete(prompt="a", suffix="b", sampling=ONE))
    assert sent[0]["prompt"] == [PRE, *spelled("a"), SUF, *spelled("b"), MID]


async def test_nor_does_one_that_only_ends_them_with_one(tmp_path: Path) -> None:
    ends = {"tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.add_eos_token": True}
    async with opening(code_model(tmp_path / "code.gguf", **ends)) as model:
        sent = watched(model)
        await model.call(Complete(prompt="a", suffix="b", sampling=ONE))
    assert sent[0]["prompt"] == [PRE, *spelled("a"), SUF, *spelled("b"), MID]


async def test_the_names_of_older_files_are_known(tmp_path: Path) -> None:
    async with opening(code_model(tmp_path / "code.gguf", OLD)) as model:
        sent = watched(model)
        await model.call(Complete(prompt="a", suffix="b", sampling=ONE))
    assert sent[0]["prompt"] == [BOS, PRE, *spelled("a"), SUF, *spelled("b"), MID]


async def test_texts_longer_than_a_batch_of_prefill_go_in_whole(tmp_path: Path) -> None:
    async with opening(code_model(tmp_path / "code.gguf"), batch=32) as model:
        response = await model.call(Complete(prompt="p" * 200, suffix="s" * 200, sampling=ONE))
    assert response.usage.uncached_input_tokens == 404


async def test_texts_that_have_no_room_are_refused_with_their_number_of_tokens(model: Llama) -> None:
    with pytest.raises(ContextLengthError) as refused:
        await model.call(Complete(prompt="p" * 400, suffix="s" * 400, sampling=ONE))
    assert (refused.value.prompt_tokens, refused.value.context_tokens) == (804, 512)


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ((), "fim_pre_token_id and no tokenizer.ggml.fim_suf_token_id and no tokenizer.ggml.fim_mid_token_id"),
        (NEW[:2], "no tokenizer.ggml.fim_mid_token_id"),
    ],
)
async def test_a_file_that_does_not_name_them_is_refused_before_it_loads(
    tmp_path: Path, keys: tuple[str, ...], missing: str
) -> None:
    async with opening(code_model(tmp_path / "code.gguf", keys)) as model:
        with pytest.raises(UnsupportedError, match=missing) as refused:
            await model.call(Complete(prompt="a", suffix="b"))
        assert refused.value.field == "suffix"
        assert not model.engine.loaded
