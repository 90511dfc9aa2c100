"""A table: aligned where somebody looks at it, tab-separated lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def show(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    colours: Sequence[str],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    tight: bool = False,
) -> None:
    """Prints the rows under their columns. The last cell of each row has the row's colour; the columns in `right` are
    aligned there, and those in `whole` never folded. `tight` is for many narrow columns."""
    rows = [[plain(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0) if tight else (0, 1), show_edge=not tight)
    for column in columns:
        table.add_column(
            column, overflow="fold", justify="right" if column in right else "left", no_wrap=column in whole
        )
    for row, colour in zip(rows, colours, strict=True):
        cells = [Text(cell) for cell in row]
        cells[-1].stylize(colour)
        table.add_row(*cells)
    Console().print(table)


def plain(text: str) -> str:
    """Without what would move a terminal's cursor, colour it or break a line: names are what clients have sent."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
