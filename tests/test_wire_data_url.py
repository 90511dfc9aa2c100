"""Bytes inside JSON: base64 and data URLs."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError
from trivet.wire import data_url
from trivet.wire.data_url import is_data_url, read_base64, read_data_url


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    assert is_data_url(url)
    assert read_data_url(url, "url") == (data, "image/png")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:text/plain,a%20b", (b"a b", "text/plain")),
        ("data:,a", (b"a", None)),
        ("DATA:Text/Plain;charset=utf-8;BASE64,YQ==", (b"a", "text/plain")),
        ("data:image/png;base64,Y\r\nQ==\n", (b"a", "image/png")),
    ],
)
def test_the_other_forms_of_a_data_url_are_read(url: str, expected: tuple[bytes, str | None]) -> None:
    assert read_data_url(url, "url") == expected


@pytest.mark.parametrize("text", ["?", "YQ", "YQ=", "é", "YQ==YQ=="])
def test_wrong_base64_is_refused_with_the_fields_path(text: str) -> None:
    with pytest.raises(RequestError, match=r"messages\[0\]") as caught:
        read_base64(text, "messages[0]")
    assert caught.value.field == "messages[0]"


@pytest.mark.parametrize("ending", ["YWJj", "YQ==", "YWI="])
def test_long_base64_is_read_in_pieces_to_the_same_bytes(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_url, "PIECE", 8)
    for words in range(6):
        text = "dHJp" * words + ending
        assert read_base64(text, "data") == base64.b64decode(text)


@pytest.mark.parametrize("text", ["YWJjYWI=YWJj", "YWI=YWJjYWJj", "YWJjYWJjYWJ?", "YWJjYWJjYW", "YWJjYWJjY==="])
def test_long_base64_that_is_wrong_in_any_piece_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_url, "PIECE", 8)
    with pytest.raises(RequestError, match="not valid base64"):
        read_base64(text, "data")


def test_a_data_url_without_a_comma_is_refused() -> None:
    with pytest.raises(RequestError, match="comma"):
        read_data_url("data:image/png;base64", "url")
