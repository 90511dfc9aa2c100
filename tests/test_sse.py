"""Server-sent events, read. The expected values are those of the examples and rules in WHATWG HTML, section 9.2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import TransportError
from trivet.wire import sse
from trivet.wire.sse import Event, Parser

MIB = 2**20


def parsed(*chunks: bytes) -> list[tuple[str | None, bytes]]:
    return [(event.name, event.data) for event in fed(chunks)]


def fed(chunks: Iterable[bytes]) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(None, b"YHOO\n+2\n10")]),
        (b"data:test\n\ndata: test\n\n", [(None, b"test"), (None, b"test")]),
        (b"data:  first space only\n\n", [(None, b" first space only")]),
        (b"data\n\ndata\ndata\n\ndata:", [(None, b""), (None, b"\n")]),
        (b"event: add\ndata: 1\n\ndata: 2\n\n", [("add", b"1"), (None, b"2")]),
        (b"event: add\n\ndata: 2\n\n", [(None, b"2")]),
        (b"event: a\nevent:b\ndata: 1\n\n", [("b", b"1")]),
        (b"event:\ndata: 1\n\n", [(None, b"1")]),
        (b": comment\n\ndata: 1\nid: 7\nretry: 10\nother: x\nno colon\n\n", [(None, b"1")]),
        (b"data: a:b: c\n\n", [(None, b"a:b: c")]),
        (
            b"data: 1\r\n\r\ndata: 2\r\rdata: 3\r\n\rdata: 4\n\r\n",
            [(None, b"1"), (None, b"2"), (None, b"3"), (None, b"4")],
        ),
        (b"data: 1\rdata: 2\r\ndata: 3\n\n", [(None, b"1\n2\n3")]),
        (b"\n\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n", [(None, b"1"), (None, b"2")]),
        (b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n", [(None, b"1")]),
        (b"\xef\xbb\xbf\ndata: 1\n\n", [(None, b"1")]),
        (b" data: 1\n\nDATA: 2\n\n", []),
        ("data: grüße \u2028\x85 🙂\n\n".encode(), [(None, "grüße \u2028\x85 🙂".encode())]),
    ],
)
def test_streams_are_read_by_the_rules(stream: bytes, events: list[tuple[str | None, bytes]]) -> None:
    assert parsed(stream) == events
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == events


def test_an_event_cut_off_at_the_end_is_none() -> None:
    assert parsed(b"data: 1\n\ndata: 2\n") == [(None, b"1")]


def test_raw_is_the_bytes_of_the_event_with_what_came_before_it() -> None:
    events = fed([b": one\n\n: two\ndata: 1\n\ndata: 2\r\n\r\n"])
    assert [event.raw for event in events] == [b": one\n\n: two\ndata: 1\n\n", b"data: 2\r\n\r\n"]


def test_an_event_that_ends_in_a_carriage_return_waits_for_no_further_byte() -> None:
    parser = Parser()
    assert [event.data for event in parser.feed(b"data: 1\r\n\r")] == [b"1"]
    assert [(event.data, event.raw) for event in parser.feed(b"\ndata: 2\r\n\r\n")] == [(b"2", b"\ndata: 2\r\n\r\n")]


def test_what_event_writes_is_read_back() -> None:
    assert parsed(sse.event(b'{"a":1}', "delta") + sse.event(b"[DONE]")) == [("delta", b'{"a":1}'), (None, b"[DONE]")]


ends = [b"\n", b"\r", b"\r\n"]
pieces = st.sampled_from([*ends, b"data: ", b"data", b"event: ", b":", b" ", b"id: 1", b"x", "ü🙂".encode(), b"\xff"])
streams = st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(pieces, max_size=40).map(b"".join)).map(b"".join)


def by_the_book(stream: bytes) -> list[tuple[str | None, bytes]]:
    """The specification's own steps, line by line, with nothing done for speed."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[tuple[str | None, bytes]] = []
    name, data = "", b""
    for line in lines:
        if not line:
            if data:
                events.append((name or None, data.removesuffix(b"\n")))
            name, data = "", b""
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return events


@given(streams, st.lists(st.integers(0, 200), max_size=12))
def test_any_bytes_cut_anywhere_are_the_events_that_the_specification_makes_of_them(
    stream: bytes, cuts: list[int]
) -> None:
    at = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(at)]
    events = fed(chunks)
    assert [(event.name, event.data) for event in events] == by_the_book(stream)
    assert stream.startswith(b"".join(event.raw for event in events)), "no byte is lost, doubled or moved"


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n"])
def test_a_line_of_10_mb_is_read_with_work_in_proportion(ending: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0

    class Counted(bytearray):
        def find(self, what: Any, begin: Any = 0, end: Any = None) -> int:
            nonlocal looked_at
            looked_at += len(self) - begin
            return super().find(what, begin)

    class Blank:
        def search(self, text: bytearray, begin: int) -> Any:
            nonlocal looked_at
            looked_at += len(text) - begin
            return blank.search(text, begin)

        def finditer(self, text: bytes) -> Any:
            nonlocal looked_at
            looked_at += len(text)
            return blank.finditer(text)

    blank = sse._BLANK
    monkeypatch.setattr(sse, "_BLANK", Blank())
    parser, stream = Parser(), b"event: image\r\ndata: ".replace(b"\r\n", ending[: len(ending) // 2])
    stream += b"x" * (10 * MIB) + ending
    parser._rest = Counted()
    events = [event for i in range(0, len(stream), 1000) for event in parser.feed(stream[i : i + 1000])]
    assert [(event.name, len(event.data), event.raw == stream) for event in events] == [("image", 10 * MIB, True)]
    assert looked_at < 3 * len(stream)


def test_an_event_without_an_end_is_refused_when_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", MIB)
    parser = Parser()
    parser.feed(b"data: " + b"x" * (MIB - 6))
    with pytest.raises(TransportError, match="larger than 1 MiB"):
        parser.feed(b"x")


def test_a_whole_event_is_refused_when_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", MIB)
    with pytest.raises(TransportError, match="larger than 1 MiB"):
        Parser().feed(b"data: " + b"x" * MIB + b"\n\n")


def test_comments_without_an_end_are_refused_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", 100)
    parser = Parser()
    for _ in range(12):
        assert parser.feed(b": ping\n\n") == []
    with pytest.raises(TransportError, match="larger than"):
        parser.feed(b": ping\n\n")
