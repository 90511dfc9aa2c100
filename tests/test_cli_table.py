"""Tables in terminals: what gives way where they are too narrow."""

from __future__ import annotations

from trivet.cli.table import _widths

CELLS = (("name", "local/whisper-tiny.en", "/a/very/long/path/of/somebody.gguf"), ("licence", "for local demos only"))


def test_a_table_that_fits_is_as_wide_as_its_cells() -> None:
    assert _widths(CELLS, 80, (False, False)) == [34, 20]


def test_the_widest_give_way_first_and_words_stay_whole() -> None:
    assert _widths(CELLS, 45, (False, False)) == [25, 20]
    assert _widths(CELLS, 10, (False, False)) == [len("local/whisper-tiny.en"), len("licence")]


def test_whole_columns_never_give_way() -> None:
    assert _widths(CELLS, 10, (True, True)) == [34, 20]
