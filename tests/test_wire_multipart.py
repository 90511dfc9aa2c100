"""Forms with files (RFC 7578): what clients send is read, what is broken is refused, and what we write is read too."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError, TrivetError
from trivet.wire.multipart import LONGEST_HEAD, MOST_PARTS, Part, read, write

KIND = "multipart/form-data; boundary=b"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


def field(name: str = "a", data: bytes = b"1", *more: str) -> bytes:
    return "\r\n".join([f'Content-Disposition: form-data; name="{name}"', *more, "", ""]).encode() + data


def sent(**options: Any) -> tuple[bytes, str]:
    """What a client's own library makes of a form, and the header with it."""
    request = httpx2.Request("POST", "http://trivet.test", **options)
    return request.read(), request.headers["content-type"]


def test_a_form_of_httpx_is_read() -> None:
    body, kind = sent(data={"model": "m", "g[]": ["x", "y"]}, files={"file": ("ä b.wav", b"\r\n--\x00", "audio/wav")})
    assert read(body, kind) == [
        Part("model", b"m"),
        Part("g[]", b"x"),
        Part("g[]", b"y"),
        Part("file", b"\r\n--\x00", "ä b.wav", "audio/wav"),
    ]


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1), st.binary())))
def test_any_bytes_come_through_as_they_are(fields: list[tuple[str, bytes]]) -> None:
    files = [(name, ("f", data, "audio/wav")) for name, data in fields]
    if files:
        assert [(p.name, p.data) for p in read(*sent(files=files))] == fields


def test_a_form_as_curl_sends_it() -> None:
    """curl 8: `curl -F file=@a.wav -F model=m`, as its --trace-ascii shows it."""
    dashes = "------------------------d74496d66958873e"
    lines = [
        f"--{dashes}",
        'Content-Disposition: form-data; name="file"; filename="a.wav"',
        "Content-Type: application/octet-stream",
        "",
        "RIFF",
        f"--{dashes}",
        'Content-Disposition: form-data; name="model"',
        "",
        "m",
        f"--{dashes}--",
        "",
    ]
    told = read("\r\n".join(lines).encode(), f"multipart/form-data; boundary={dashes}")
    assert told == [Part("file", b"RIFF", "a.wav", "application/octet-stream"), Part("model", b"m")]


def test_a_quote_in_a_name_in_either_way_of_writing_it() -> None:
    assert [p.name for p in read(form(field("a%22b"), field('a\\"b')), KIND)] == ['a"b', 'a"b']


def test_a_filename_in_the_older_clients_encoding() -> None:
    head = b"Content-Disposition: form-data; name=file; filename*=utf-8''%C3%A4.wav\r\n\r\n1"
    assert read(form(head), KIND)[0].filename == "ä.wav"


def test_a_quoted_boundary_and_an_empty_form() -> None:
    assert read(b"--a b--", 'multipart/form-data; boundary="a b"') == []


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="a\tb"',
        "multipart/mixed; boundary=b",
        "",
    ],
)
def test_a_header_without_a_boundary_is_a_415(kind: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(form(field()), kind)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "does not begin"),
        (b"preamble\r\n" + form(field()), "does not begin"),
        (form(field(), end=b""), "is cut"),
        (form(field())[:-9], "is cut"),
        (form(field(), end=b"--b--\r\nmore"), "goes on"),
        (form(field()).replace(b"--b\r\n", b"--bb\r\n"), "no head"),
        (form(b"x: y\r\n\r\n1"), "no name"),
        (form(b'Content-Disposition: attachment; name="a"\r\n\r\n1'), "no name"),
        (form(b'Content-Disposition: form-data; name="\xff"\r\n\r\n1'), "not UTF-8"),
        (form(field("a", b"1", "Content-Transfer-Encoding: base64")), "encoded in 'base64'"),
        (form(field("a", b"1", "x: " + "y" * LONGEST_HEAD)), "no head"),
        (form(*[field()] * (MOST_PARTS + 1)), "more than 100"),
    ],
)
def test_what_is_no_whole_form_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read(body, KIND)


def test_as_many_fields_as_are_allowed() -> None:
    assert len(read(form(*[field()] * MOST_PARTS), KIND)) == MOST_PARTS


@given(
    st.binary(), st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b": ", b"name=a", b'"', field(), b"\r\n--b\r\n"]))
)
def test_no_bytes_are_more_than_a_refusal(noise: bytes, pieces: list[bytes]) -> None:
    for body in (noise, b"".join(pieces), b"--b\r\n" + noise, form(noise)):
        try:
            read(body, KIND)
        except TrivetError as error:
            assert isinstance(error, RequestError)  # noqa: PT017


def test_a_text_that_is_a_file_or_no_text_is_refused() -> None:
    with pytest.raises(RequestError, match="is a file") as caught:
        Part("model", b"m", "m.txt").text  # noqa: B018
    assert caught.value.field == "model"
    with pytest.raises(RequestError, match="not UTF-8"):
        Part("model", b"\xff").text  # noqa: B018


# --- forms of our own, to hosts -----------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="%\\"), min_size=1, max_size=20)
PARTS = st.lists(
    st.builds(
        Part, NAMES.filter(str.strip), st.binary(max_size=200), st.none() | NAMES, st.sampled_from([None, "audio/wav"])
    ),
    max_size=6,
)


@given(PARTS)
def test_a_form_is_read_as_it_was_written(parts: list[Part]) -> None:
    assert read(*write(parts)) == parts


def test_a_form_is_one_for_pythons_own_reader() -> None:
    body, kind = write([Part("model", b"m"), Part("file", b"\x00\r\n--x", "a.wav", "audio/wav")])
    parsed = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
    first, second = parsed.get_payload()
    assert (first.get_param("name", header="content-disposition"), first.get_payload()) == ("model", "m")
    assert (second.get_filename(), second.get_content_type()) == ("a.wav", "audio/wav")
    assert second.get_payload(decode=True) == b"\x00\r\n--x"
