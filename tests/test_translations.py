"""The page that says what crosses from one protocol to another says what is so."""

from __future__ import annotations

from tests.translations import PAGE, page


def test_the_page_is_what_the_code_does() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.translations"
