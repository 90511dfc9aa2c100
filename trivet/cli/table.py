"""A table: aligned where somebody looks at it, tab-separated lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def show(
    columns: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str], *, right: Sequence[str] = ()
) -> None:
    """Prints the rows under their columns. The last cell of each row has the row's colour; the columns in `right` are
    aligned there."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    for row, colour in zip(rows, colours, strict=True):
        cells = [Text(cell) for cell in row]
        cells[-1].stylize(colour)
        table.add_row(*cells)
    Console().print(table)
