"""`trivet forecast`: how a column of a table goes on, as numbers and as a picture."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Any

from trivet.cli import examples, media, stdin

if TYPE_CHECKING:
    from trivet.cli.forecast_input import Series
    from trivet.types import ForecastResponse


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "forecast",
        help="tell how a series goes on",
        description="Tell how a column of a CSV file goes on, with quantiles: as a picture and a table in a terminal, "
        "as CSV in a pipe. Times of the rows, where a column has them, must be at equal steps. Numbers without a table "
        "can be piped in.",
        epilog=examples(
            "trivet forecast sales.csv --column visitors --horizon 12",
            "trivet forecast sales.csv --column visitors --plot out.png > ahead.csv",
            "seq 1 60 | trivet forecast -",
        ),
    )
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="a CSV file; - is standard input")
    parser.add_argument("--column", metavar="NAME", help="the values (default: the only column that can be meant)")
    parser.add_argument(
        "--time", metavar="NAME", help="the times (default: the first column that has some); none for none"
    )
    parser.add_argument("--horizon", type=media.count, default=12, metavar="N", help="steps ahead (default: 12)")
    parser.add_argument(
        "--quantiles",
        default="0.1,0.5,0.9",
        metavar="LEVELS",
        help="from 0 to 1, commas between (default: 0.1,0.5,0.9)",
    )
    parser.add_argument("--fill", choices=["linear"], help="put missing values on a straight line between the others")
    parser.add_argument(
        "--season", type=media.count, metavar="N", help="steps of a season, such as 12 of months (default: find out)"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw a picture: FILE ends in .png or .svg")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import forecast
    from trivet.cli import forecast_input
    from trivet.errors import RequestError

    if args.plot is not None and not args.plot.lower().endswith((".png", ".svg")):
        args.usage(f"--plot {args.plot}: its name must end in .png or .svg")
    if args.file == "-" and stdin.is_terminal():
        args.usage("there is no series: name a CSV file, or pipe numbers in")
    levels = _levels(args)
    if args.plot is not None:
        media.writable(args.plot)
    series = forecast_input.read(args.file, args.column, args.time)
    options = {"quantiles": levels, "fill": args.fill, "season": args.season}
    try:
        response = forecast(series.values, args.horizon, model=args.model, config=args.config, **options)
    except RequestError as error:
        raise RequestError(str(error).replace('fill="linear"', "--fill linear")) from None
    if args.plot is not None:
        _draw(args.plot, series, response)
    if args.json:
        _print_json(series, response)
    elif sys.stdout.isatty():
        _show(series, response, picture=args.plot is None)
    else:
        _print_csv(series, response)
    media.notes(response)
    return 0


def _levels(args: argparse.Namespace) -> tuple[float, ...]:
    try:
        levels = sorted({float(level) for level in args.quantiles.split(",") if level.strip()})
    except ValueError:
        args.usage(f"--quantiles {args.quantiles}: numbers with commas between, such as 0.1,0.5,0.9")
    return tuple(levels)


def _draw(path: str, series: Series, response: ForecastResponse) -> None:
    from pathlib import Path

    from trivet.cli import forecast_draw, forecast_plot

    picture = forecast_plot.picture(series, response)
    if path.lower().endswith(".svg"):
        Path(path).expanduser().write_text(forecast_draw.svg(picture), "utf-8")
    else:
        Path(path).expanduser().write_bytes(forecast_draw.png(picture))
    print(f"Drawn: {path}", file=sys.stderr)


# --- numbers --------------------------------------------------------------------------------------------------


def _rows(series: Series, response: ForecastResponse) -> list[dict[str, Any]]:
    """A row for each step: `step`, `timestamp` where there are times, `point`, and each quantile as `q0.1`."""
    rows: list[dict[str, Any]] = [{"step": n + 1} for n in range(len(response.point))]
    if series.times is not None:
        for row, stamp in zip(rows, series.times.ahead(len(rows)), strict=True):
            row["timestamp"] = series.times.text(stamp)
    for name, values in [("point", response.point), *((f"q{q}", v) for q, v in response.quantiles.items())]:
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def _digits(series: Series, response: ForecastResponse) -> int:
    """After the point, for numbers as exact as a ten-thousandth of all that they cover: the model is not so exact."""
    numbers = [*(value for value in series.values if value is not None), *response.point]
    span = (max(numbers) - min(numbers)) or abs(numbers[0]) or 1.0
    return max(0, min(12, 4 - math.floor(math.log10(span))))


def _as_text(row: dict[str, Any], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" if isinstance(value, float) else str(value) for value in row.values()]


def _print_csv(series: Series, response: ForecastResponse) -> None:
    import csv

    rows, digits = _rows(series, response), _digits(series, response)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(_as_text(row, digits) for row in rows)


def _print_json(series: Series, response: ForecastResponse) -> None:
    rows = _rows(series, response)
    for row in rows:
        row["quantiles"] = {name: row.pop(f"q{name}") for name in response.quantiles}
    media.as_json(response, without=["point", "quantiles"], column=series.name or None, rows=rows)


def _show(series: Series, response: ForecastResponse, *, picture: bool) -> None:
    from trivet.cli import table

    if picture:
        from trivet.cli import forecast_terminal

        forecast_terminal.show(series, response)
    rows, digits = _rows(series, response), _digits(series, response)
    columns = list(rows[0])
    table.show(
        columns,
        [_as_text(row, digits) for row in rows],
        ["none" for _ in rows],
        right=[column for column in columns if column != "timestamp"],
        whole=columns,
        tight=True,
    )
