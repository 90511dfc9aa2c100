"""What `trivet forecast` reads: a column of a table, or plain numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trivet.cli import forecast_times, stdin
from trivet.cli.forecast_times import Times
from trivet.errors import RequestError

__all__ = ["Series", "read"]

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}
_TIME_NAMES = {"date", "time", "datetime", "timestamp"}  # what is there must be times
_COUNTED = {"", "year", "ds", "t", "step", "index"}  # numbers there are times


class Series(NamedTuple):
    """`name` is its column's, empty for plain numbers; `times` are None where the table has none."""

    values: list[float | None]
    name: str = ""
    times: Times | None = None


class _Table(NamedTuple):
    """`lines` are the rows' numbers in the file."""

    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def cells(self, column: str) -> list[str]:
        place = self.columns.index(column)
        return _without_commas([row[place].strip() if place < len(row) else "" for row in self.rows])


def read(path: str, column: str | None, time: str | None) -> Series:
    """The series in a CSV file, or on standard input where `path` is `-`. Raises `RequestError`, with the line."""
    text = stdin.text() if path == "-" else _text(Path(path).expanduser())
    where = "standard input" if path == "-" else path
    if not text.strip():
        raise RequestError(f"There is nothing in {where}: give a CSV file, or numbers.")
    if column is None and _is_plain(text.strip()):
        return Series(_plain(text))
    table = _table(text)
    if not table.rows:
        raise RequestError(f"{where} has the columns {', '.join(map(repr, table.columns))}, and no rows.")
    if all(_number_or_missing(name) for name in table.columns):
        table = _Table([str(n + 1) for n in range(len(table.columns))], [table.columns, *table.rows], [1, *table.lines])
    if time is None:
        time = _time(table, column)
    elif time == "none" and time not in table.columns:
        time = None
    else:
        time = _named(table, time, "--time", where)
    name = _named(table, column, "--column", where) if column is not None else _only(table, time, where)
    if time == name:
        raise RequestError(f"Column {name!r} cannot be both times and values: --column names the values.")
    return Series(
        [_value(cell, line, name) for cell, line in zip(table.cells(name), table.lines, strict=True)],
        name,
        _times(table, time) if time is not None and len(table.rows) > 1 else None,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise RequestError(f"There is no file {str(path)!r} in {Path.cwd()}: check the path") from None
    except IsADirectoryError:
        raise RequestError(f"{path} is a folder: name a CSV file in it") from None
    except UnicodeDecodeError as error:
        told = f"{path} is not UTF-8 text (byte {error.start} is wrong)"
        raise RequestError(f"{told}: save the table as CSV in UTF-8, and give that") from None


def _table(text: str) -> _Table:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=header.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    columns = [name.strip() for name in next(reader)]
    rows, lines = [], []
    for row in reader:
        if row or len(columns) == 1:  # an empty line of a single column is a value that is missing
            rows.append(row)
            lines.append(reader.line_num)
        if len(row) > len(columns):
            raise RequestError(f"Line {reader.line_num} has {len(row)} cells, and the table {len(columns)} columns.")
    return _Table(columns, rows, lines)


def _is_plain(text: str) -> bool:
    """Whether these are numbers without a table: all in one line, or one in each."""
    first, *more = re.split(r"[,;]\s*|[ \t]+", text.split("\n", 1)[0].strip())
    return _number_or_missing(first) and ("\n" not in text if more else True) and all(map(_number_or_missing, more))


def _plain(text: str) -> list[float | None]:
    """Numbers with commas, blanks or line ends between them. An empty line between others is a missing one."""
    cells: list[tuple[str, int]] = []
    for number, line in enumerate(text.strip("\n").split("\n"), 1):
        cells += [(cell, number) for cell in re.split(r"[,;]\s*|\s+", line.strip())]
    return [_value(cell, line, "") for cell, line in cells]


_BY_THREE = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")  # 1,234.5
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")  # 1.234,5


def _without_commas(cells: list[str]) -> list[str]:
    """Numbers as Python writes them, where commas in a column are decimal ones, or part thousands. Where they can be
    both, as in 1,234 alone, they are left to be refused."""
    if not any("," in cell for cell in cells):
        return cells
    thousands = all(_BY_THREE.fullmatch(cell) or _number_or_missing(cell) or not cell for cell in cells)
    decimal = all(_COMMA.fullmatch(cell) or cell.lower() in _MISSING for cell in cells)
    if thousands == decimal:
        return cells
    return [cell.replace(",", "") if thousands else cell.replace(".", "").replace(",", ".") for cell in cells]


def _number_or_missing(cell: str) -> bool:
    return cell.lower() in _MISSING - {""} or _float(cell) is not None


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _value(cell: str, line: int, name: str) -> float | None:
    if cell.lower() in _MISSING:
        return None
    value = _float(cell)
    if value is None:
        where = f"Line {line}: {cell!r}{f' in column {name!r}' if name else ''}"
        if _BY_THREE.fullmatch(cell) and _COMMA.fullmatch(cell):
            raise RequestError(f"{where} can be one with thousands or with decimals: write it without a comma.")
        raise RequestError(f"{where} is no number; one that is missing is left empty.")
    return None if math.isnan(value) else value


def _named(table: _Table, name: str, option: str, where: str) -> str:
    if table.columns.count(name) > 1:
        raise RequestError(f"{option} {name!r}: {where} has several columns of that name: give them different ones.")
    if name in table.columns:
        return name
    from trivet.config import nearest

    meant = nearest(name, table.columns)
    hint = f"Did you mean {meant!r}?" if meant else f"It has {', '.join(map(repr, table.columns))}."
    raise RequestError(f"{option} {name!r}: {where} has no such column. {hint}")


def _time(table: _Table, values: str | None) -> str | None:
    """The first column of times. One of numbers is one if its name says so."""
    for column in table.columns:
        cells = table.cells(column)
        if column == values or not cells:
            continue
        ways = forecast_times.parsed(cells)
        numbers = ways is not None and isinstance(ways[0][0][0], float)
        if column.lower() in _TIME_NAMES or (ways and (not numbers or column.lower() in _COUNTED)):
            return column
    return None


def _usable(cells: Sequence[str]) -> int:
    return sum(cell.lower() in _MISSING or _float(cell) is not None for cell in cells)


def _only(table: _Table, time: str | None, where: str) -> str:
    """The one column that can be meant. One without a name has nothing in it: it comes of a separator at each end."""
    others = [column for column in table.columns if column != time and (column or any(table.cells(column)))]
    numbers = [column for column in others if _usable(table.cells(column)) == len(table.rows)]
    if len(others) == 1:
        return others[0]
    if len(numbers) == 1:
        return numbers[0]
    raise RequestError(f"{where} has the columns {', '.join(map(repr, others))}: name one with --column.")


def _times(table: _Table, name: str) -> Times:
    cells = table.cells(name)
    ways = forecast_times.parsed(cells)
    if ways is None:
        odd = next((n for n, cell in enumerate(cells) if forecast_times.parsed([cell]) is None), None)
        where = f"Line {table.lines[odd]}: {cells[odd]!r}" if odd is not None else "What is"
        raise RequestError(f"{where} in column {name!r} is no time as the others are: write them as 2026-11-29 12:00.")
    return forecast_times.regular(ways, table.lines, name)
