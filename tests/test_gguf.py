"""The header of a GGUF file, real, small, and hostile."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.small_weights import ARRAY, STRING, U32, gguf, gguf_header, text
from trivet.errors import WeightsError
from trivet.local import gguf as reader
from trivet.local.weights import find, home


def read(folder: Path, data: bytes) -> reader.Header:
    path = folder / "x.gguf"
    path.write_bytes(data)
    return reader.read(path)


def test_the_shipped_model_says_what_it_is() -> None:
    # The numbers are those of the model card of SmolLM2-135M-Instruct and of its config.json.
    path = find("smollm2", home())
    header = reader.read(path)
    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert header.embedding_length == 576
    assert header.vocabulary == 49152
    assert header.licence == "apache-2.0"
    assert header.eos_token_ids == (2,)
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template
    assert header.size == header.padded_size == path.stat().st_size


def test_what_a_file_does_not_say_is_none(tmp_path: Path) -> None:
    header = read(tmp_path, gguf(metadata={}))
    assert header.architecture is header.name is header.licence is header.chat_template is None
    assert header.context_length is header.vocabulary is header.pooling is header.bos_token_id is None
    assert header.eos_token_ids == ()
    assert header.fim_token_ids == {}


def test_the_size_counts_header_padding_and_the_last_tensor(tmp_path: Path) -> None:
    data = gguf()
    assert read(tmp_path, data).size == len(data)


# Bytes that 256 weights take, from the structs in ggml-common.h (QK_K = 256).
@pytest.mark.parametrize(
    ("kind", "size"),
    [(0, 1024), (1, 512), (2, 144), (3, 160), (8, 272), (12, 144), (14, 210), (30, 512), (39, 136)],
    ids=["F32", "F16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K", "BF16", "MXFP4"],
)
def test_the_size_follows_the_tensor_type(tmp_path: Path, kind: int, size: int) -> None:
    head = gguf_header(tensors=[("w", (256,), kind, 0)])
    header = read(tmp_path, head)
    assert header.size == len(head) + (-len(head) % 32) + size


def test_an_unknown_tensor_type_makes_the_size_unknown(tmp_path: Path) -> None:
    header = read(tmp_path, gguf(tensors=[("w", (256,), 99, 0), ("v", (32,), 0, 0)]))
    assert header.tensors == 2
    assert header.size is header.padded_size is None


def test_the_file_may_set_its_alignment(tmp_path: Path) -> None:
    head = gguf_header(metadata={"general.alignment": 64}, tensors=[("w", (1,), 0, 0)])
    header = read(tmp_path, head)
    assert header.size == len(head) + (-len(head) % 64) + 4
    assert header.padded_size == len(head) + (-len(head) % 64) + 64


def test_short_lists_are_kept_and_long_ones_only_counted(tmp_path: Path) -> None:
    tokens = [f"token {i}" for i in range(1000)]
    header = read(tmp_path, gguf(metadata={"tokenizer.ggml.tokens": tokens, "langs": ["en", "de"], "types": [1] * 500}))
    assert header.metadata == {"langs": ("en", "de")}
    assert header.lengths == {"tokenizer.ggml.tokens": 1000, "langs": 2, "types": 500}
    assert header.vocabulary == 1000


def test_tokens_that_end_a_turn_are_each_named_once(tmp_path: Path) -> None:
    ids = {"eos": 2, "eot": 5, "eom": 2}
    header = read(tmp_path, gguf(metadata={f"tokenizer.ggml.{k}_token_id": v for k, v in ids.items()}))
    assert header.eos_token_ids == (2, 5)


@pytest.mark.parametrize("keys", [("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle")])
def test_fill_in_the_middle_tokens_are_found_under_new_and_old_names(tmp_path: Path, keys: tuple[str, ...]) -> None:
    metadata = {f"tokenizer.ggml.{key}_token_id": i for i, key in enumerate(keys)}
    assert read(tmp_path, gguf(metadata=metadata)).fim_token_ids == {"prefix": 0, "suffix": 1, "middle": 2}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.gguf does not exist"):
        reader.read(tmp_path / "none.gguf")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip", b"\x80\x04 a pickle", b"GGU"])
def test_another_kind_of_file_is_not_read(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(WeightsError, match="is not a GGUF file"):
        read(tmp_path, data)


def list_of(kind: int, number: int) -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, number)


HUGE = 2**63 + 1


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (gguf(version=1), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE), "keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, HUGE), "bytes of text"),
        (gguf(metadata={"k": struct.pack("<IQ", STRING, 2**62)}), "bytes of text"),
        (gguf(metadata={"k": list_of(STRING, HUGE)}), "items in a list"),
        (gguf(metadata={"k": list_of(U32, 15_000_000)}), "ends inside it"),
        (gguf(metadata={"k": list_of(STRING, 1000) + struct.pack("<Q", HUGE)}), "ends inside it"),
        (gguf(metadata={"k": list_of(ARRAY, 1000)}), "list of type 9"),
        (gguf(metadata={"k": list_of(ARRAY, 1)}), "value of type 9"),
        (gguf(metadata={"k": struct.pack("<I", 77)}), "value of type 77"),
        (gguf(metadata={"general.alignment": 24}), "alignment is 24"),
        (gguf(metadata={"general.alignment": "32"}), "alignment is '32'"),
        (gguf(tensors=[("w", (1, 1, 1, 1, 1), 0, 0)]), "5 dimensions"),
        (gguf(tensors=[("w", (33,), 2, 0)]), "rows of 33"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_what_is_wrong(tmp_path: Path, data: bytes, wrong: str) -> None:
    with pytest.raises(WeightsError, match=wrong) as caught:
        read(tmp_path, data)
    assert "x.gguf has a damaged GGUF header" in str(caught.value)


def test_a_header_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = gguf_header(metadata={"a": "text", "b": 1, "c": [1] * 100, "d": ["x"] * 100, "e": ["y"], "f": True})
    read(tmp_path, whole)
    for length in range(len(whole)):
        with pytest.raises(WeightsError):
            read(tmp_path, whole[:length])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_ends_in_a_header_or_a_weights_error(tmp_path: Path, data: Any) -> None:
    whole = bytearray(gguf(metadata={"name": "x", "list": ["a"] * 70, "n": 3}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 513))] = data.draw(st.integers(0, 255))
    try:
        header = read(tmp_path, bytes(whole))
    except WeightsError:
        return
    assert header.size is None or header.size >= 0


def test_text_that_is_not_utf8_does_not_stop_the_reader(tmp_path: Path) -> None:
    bad = struct.pack("<I", STRING) + struct.pack("<Q", 2) + b"\xff\xfe"
    assert read(tmp_path, gguf(metadata={"general.name": bad})).name == "\ufffd\ufffd"
    assert text("é") == b"\x02" + bytes(7) + b"\xc3\xa9"
