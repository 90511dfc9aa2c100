"""A table: aligned where somebody looks at it, tab-separated lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

WORD = 24  # letters: what is longer, as a path, may be folded


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
    aligned there, and those in `whole` never folded. `tight` is for many narrow columns. A terminal that is too narrow
    wraps the lines itself: nothing is cut off."""
    rows = [[plain(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    around = (2 * len(columns) - 1) if tight else (3 * len(columns) + 1)  # blanks between and beside
    cells = [[column, *(row[n] for row in rows)] for n, column in enumerate(columns)]
    widths = _widths(cells, console.width - around, [column in whole for column in columns])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0) if tight else (0, 1), show_edge=not tight)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", justify="right" if column in right else "left", width=width)
    for row, colour in zip(rows, colours, strict=True):
        texts = [Text(cell) for cell in row]
        texts[-1].stylize(colour)
        table.add_row(*texts)
    console.width = max(console.width, sum(widths) + around)
    console.print(table, crop=False)


def _widths(cells: Sequence[Sequence[str]], room: int, whole: Sequence[bool]) -> list[int]:
    """Of the columns, each with its cells: the widest give way first, for as long as no word has to be broken."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in cells]
    words = [[cell_len(word) for cell in column for word in cell.split()] for column in cells]
    longest = [max((word for word in column if word <= WORD), default=1) for column in words]
    least = [width if w else word for width, word, w in zip(widths, longest, whole, strict=True)]
    while sum(widths) > room:
        wide = [n for n, width in enumerate(widths) if width > least[n]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def plain(text: str) -> str:
    """Without what would move a terminal's cursor, colour it or break a line: names are what clients have sent."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
