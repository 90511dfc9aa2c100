"""`trivet forecast`: what it reads and refuses, and what it prints and draws. The model is the real one; the series are
statsmodels' (see tests/references/series/README.md)."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

import trivet
from tests.terminal import on_terminal
from trivet.cli import forecast_plot, main
from trivet.cli.forecast_input import Series, read
from trivet.cli.forecast_times import Times
from trivet.errors import RequestError
from trivet.local import pull, weights
from trivet.times import Step
from trivet.types import ForecastResponse

REFERENCES = Path(__file__).parent / "references" / "series"
ELEC, CO2 = str(REFERENCES / "elec_equip.csv"), str(REFERENCES / "co2.csv")
Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def _weights() -> Iterator[None]:
    pull.pull("fracast", weights.home(None))
    yield
    trivet.close()


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    pipe(monkeypatch, "")


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))


def table(stamps: Sequence[object], head: str = "date,y") -> str:
    return "\n".join([head, *(f"{stamp},{n % 7}" for n, stamp in enumerate(stamps))]) + "\n"


def given_file(text: str, **options: str | None) -> Series:
    Path("data.csv").write_text(text, "utf-8")
    return read("data.csv", options.get("column"), options.get("time"))


# --- what it prints ----------------------------------------------------------------------------------------


def test_a_pipe_gets_csv_with_the_times_that_come_next(capsys: Printed) -> None:
    assert main(["forecast", ELEC, "--horizon", "3", "--quantiles", "0.9,0.1"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["timestamp"] for row in rows] == ["2016-06-01", "2016-07-01", "2016-08-01"]
    assert list(rows[0]) == ["step", "timestamp", "point", "q0.1", "q0.9"]
    assert all(float(row["q0.1"]) <= float(row["point"]) <= float(row["q0.9"]) for row in rows)


def test_json_has_the_numbers_as_they_are_and_the_notes(capsys: Printed) -> None:
    assert main(["forecast", CO2, "--horizon", "2", "--fill", "linear", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    values = read(CO2, None, None).values
    response = trivet.forecast(values, 2, fill="linear")
    assert [row["point"] for row in told["rows"]] == list(response.point)
    assert told["rows"][0]["quantiles"] == {level: series[0] for level, series in response.quantiles.items()}
    assert (told["model"], told["column"], told["rows"][0]["timestamp"]) == ("local/fracast", "co2", "2002-01-05")
    assert "2,048 were used" in told["notes"][0]
    assert (told["task"], told["cost"]["usd"]) == ("forecast", 0)


def test_notes_stand_beside_csv(capsys: Printed) -> None:
    assert main(["forecast", CO2, "--horizon", "2", "--fill", "linear"]) == 0
    out, err = capsys.readouterr()
    assert "trivet: Of 2,284 values the last 2,048 were used" in err
    assert "note" not in out


def test_numbers_can_be_piped_in(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, "\n".join(map(str, range(30))))
    assert main(["forecast", "--horizon", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step,point,q0.1,q0.5,q0.9"
    assert 28 < float(lines[1].split(",")[1]) < 32


@pytest.mark.parametrize("columns", [60, 100])
def test_a_terminal_shows_a_picture_and_a_table(columns: int) -> None:
    shown = on_terminal(Path.cwd(), columns, "forecast", ELEC, "--horizon", "4")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(1 for line in lines if re.search(r"[\u2801-\u28ff]{3}", line)) >= 8
    assert lines[0].startswith("STS.M.I7.W.TOVT.NS0016.4.000: the next 4 steps")
    assert "history" in shown
    assert "quantiles 0.1 to 0.9" in shown
    assert re.search(r"┤.*\n", shown)
    assert re.search(r"4 +2016-09-01 +\d", shown)


def test_a_narrow_terminal_gets_whole_numbers() -> None:
    shown = on_terminal(Path.cwd(), 40, "forecast", ELEC, "--horizon", "2")
    assert re.search(r"2 +2016-07-01( +\d+\.\d{3}){4}", shown)


@pytest.mark.parametrize(
    ("arguments", "status", "what"),
    [
        (["nosuch.csv"], 1, "There is no file 'nosuch.csv' in "),
        (["."], 1, ". is a folder: name a CSV file in it"),
        ([ELEC, "--horizon", "49"], 1, "sees 48 steps ahead"),
        ([ELEC, "--column", "sts"], 1, "no such column. It has "),
        ([ELEC, "--time", "DATES"], 1, "no such column. Did you mean 'DATE'?"),
        ([CO2], 1, "59 of the 2284 values of the series are missing, the first of them value 7: with --fill linear"),
        ([ELEC, "--quantiles", "a"], 2, "numbers with commas between"),
        ([ELEC, "--plot", "out.jpg"], 2, "must end in .png or .svg"),
        ([ELEC, "--plot", "none/out.png"], 1, "There is no folder none to write out.png into"),
        ([ELEC, "--horizon", "0"], 2, "0 is no whole number of 1 or more"),
        ([], 1, "There is nothing in standard input"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], status: int, what: str, capsys: Printed) -> None:
    try:
        ended: object = main(["forecast", *arguments])
    except SystemExit as end:
        ended = end.code
    assert ended == status
    assert what in capsys.readouterr().err


# --- what it reads -----------------------------------------------------------------------------------------

DAY = date(2024, 1, 1)
WEEKDAYS = [day for n in range(40) if (day := DAY + timedelta(days=n)).weekday() < 5]
MONTH_ENDS = [date(2023, month % 12 + 1, 1) - timedelta(days=1) for month in range(1, 12)]
SUMMER_TIME = [
    f"{DAY.replace(month=3) + timedelta(days=24 + n)}T00:00:00{'+01:00' if n < 7 else '+02:00'}" for n in range(12)
]


@pytest.mark.parametrize(
    ("stamps", "ahead"),
    [
        ([DAY + timedelta(days=n) for n in range(9)], ["2024-01-10", "2024-01-11"]),
        ([DAY + timedelta(days=7 * n) for n in range(9)], ["2024-03-04", "2024-03-11"]),
        (WEEKDAYS[:10], ["2024-01-15", "2024-01-16"]),
        ([f"{DAY.year}-{month:02}" for month in range(1, 13)], ["2025-01", "2025-02"]),
        (MONTH_ENDS[:10], ["2023-11-30", "2023-12-31"]),
        (["2024-06-28", "2024-07-31", "2024-08-30", "2024-09-30"], ["2024-10-31", "2024-11-29"]),  # working days
        (["2024-05-01", "2024-06-03", "2024-07-01", "2024-08-01"], ["2024-09-02", "2024-10-01"]),
        ([f"{year}-Q{quarter}" for year in (2020, 2021) for quarter in (1, 2, 3, 4)], ["2022-Q1", "2022-Q2"]),
        ([date(year, 2, 1) for year in range(2010, 2020)], ["2020-02-01", "2021-02-01"]),
        (
            [datetime(2024, 1, 1) + timedelta(minutes=15 * n) for n in range(9)],
            ["2024-01-01 02:15", "2024-01-01 02:30"],
        ),
        (SUMMER_TIME, ["2024-04-06 00:00+02:00", "2024-04-07 00:00+02:00"]),
        ([f"{n % 12 + 1}/1/{2022 + n // 12}" for n in range(14)], ["2023-03-01", "2023-04-01"]),
        ([f"{day}.1.2023" for day in range(1, 13)], ["2023-01-13", "2023-01-14"]),
        ([f"202401{day:02}" for day in range(1, 13)], ["2024-01-13", "2024-01-14"]),
    ],
)
def test_times_go_on_at_their_step(stamps: Sequence[object], ahead: list[str]) -> None:
    times = given_file(table(stamps)).times
    assert times is not None
    assert [times.text(stamp) for stamp in times.ahead(2)] == ahead


def test_years_may_be_numbers() -> None:
    times = given_file(table(range(2000, 2012), "year,y")).times
    assert times is not None
    assert [times.text(stamp) for stamp in times.ahead(2)] == ["2012", "2013"]


def without(stamps: Sequence[object], place: int) -> list[object]:
    return [*stamps[:place], *stamps[place + 1 :]]


@pytest.mark.parametrize(
    ("stamps", "what"),
    [
        (without([DAY + timedelta(days=n) for n in range(9)], 5), "Line 7: 2024-01-07 .* after 2024-01-05, .* 1 day:"),
        (without([date(2023, month, 1) for month in range(1, 13)], 3), "Line 5: 2023-05-01 .* and steps are months"),
        (without(WEEKDAYS, 6), "Line 8: 2024-01-10 .* after 2024-01-08, and steps are working days"),
        ([DAY, DAY, *(DAY + timedelta(days=n) for n in range(1, 9))], "Line 3: 2024-01-01 .* is there twice"),
        ([DAY + timedelta(days=n) for n in (0, 1, 2, 4, 3, 5, 6)], "Line 5: 2024-01-05 .* after 2024-01-03"),
        ([DAY - timedelta(days=n) for n in range(9)], "Line 3: 2023-12-31 .* is before 2024-01-01, on line 2: sort"),
        ([f"{day}/1/2024" for day in range(1, 13)], "day/month or month/day"),
        ([DAY, "soon", *(DAY + timedelta(days=n) for n in range(1, 9))], "Line 3: 'soon' .* is no time"),
        ([DAY, "2024-01-02T00:00Z", "2024-01-03T00:00Z"], "times of several kinds"),
    ],
)
def test_irregular_times_are_refused_with_their_line(stamps: Sequence[object], what: str) -> None:
    with pytest.raises(RequestError, match=what):
        given_file(table(stamps))


def test_times_can_be_left_aside() -> None:
    assert given_file(table([DAY, DAY, DAY]), time="none").times is None


@given(st.integers(1, 30), st.sampled_from([1, 2, 3, 6, 12]), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_months_go_on_as_they_have_come(count: int, months: int, first: date) -> None:
    def nth(n: int) -> date:
        month = first.year * 12 + first.month - 1 + n * months
        begin = date(month // 12, month % 12 + 1, 1)
        after = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
        return min(begin + timedelta(days=first.day - 1), after - timedelta(days=1))

    from trivet.cli.forecast_times import parsed, regular

    cells = [nth(n).isoformat() for n in range(12)]
    assume(len({cell[-2:] for cell in cells}) > 1 or first.day <= 28 or months == 12)
    ways = parsed(cells)
    assert ways is not None
    times = regular(ways, range(2, 14), "date")
    assert [times.text(stamp) for stamp in times.ahead(count)] == [nth(12 + n).isoformat() for n in range(count)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2\t3,4;5", [1, 2, 3, 4, 5]),
        ("1\n2\n\n4\n", [1, 2, None, 4]),
        ("1\nNaN\n3e2", [1, None, 300]),
        ("y\n1\n\n3\n", [1, None, 3]),
        ("y;z\n1;a\n2;b\n", [1, 2]),
        ('"y, of all","t"\n1,a\n2,b\n', [1, 2]),
        ("\ufeffy\r\n1\r\n2\r\n", [1, 2]),
    ],
)
def test_values_are_found(text: str, values: list[float | None]) -> None:
    assert given_file(text).values == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("t;y\n1;1,5\n2;2,25\n3;-3\n4;\n", [1.5, 2.25, -3, None]),
        ("t;y\n1;1.234,5\n2;2.000\n", [1234.5, 2000]),
        ('t,y\n1,"1,234.5"\n2,"2,000"\n3,7\n', [1234.5, 2000, 7]),
        ('t,y\n1,"1,234,567"\n', [1234567]),
    ],
)
def test_commas_in_numbers_are_decimal_or_part_thousands(text: str, values: list[float | None]) -> None:
    assert given_file(text, column="y").values == values


def test_a_comma_that_may_be_either_is_refused() -> None:
    with pytest.raises(RequestError, match=r"Line 2: '1,234' in column 'y' can be one with thousands or with decimals"):
        given_file("t;y\n1;1,234\n2;2,345\n", column="y")


def test_a_column_is_named_where_several_can_be_meant() -> None:
    text = "date,a,b\n2024-01-01,1,2\n2024-01-02,3,4\n"
    with pytest.raises(RequestError, match="has the columns 'a', 'b': name one with --column"):
        given_file(text)
    assert given_file(text, column="b").values == [2, 4]


def test_a_name_that_two_columns_have_is_no_name() -> None:
    with pytest.raises(RequestError, match=r"--column .a.: data\.csv has several columns of that name"):
        given_file("a,a\n1,2\n", column="a")


def test_a_separator_at_the_end_of_each_line_makes_no_column() -> None:
    assert given_file("date;y;\n2024-01-01;1;\n2024-01-02;2;\n").values == [1, 2]


def test_columns_without_names_have_numbers() -> None:
    assert given_file("1,10\n2,20\n3,30\n", column="2").values == [10, 20, 30]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "There is nothing in data.csv"),
        ("date,y\n", "has the columns 'date', 'y', and no rows"),
        ("y\n1\n2 apples\n", "Line 3: '2 apples' in column 'y' is no number"),
        ("a,a\n1,2\n", "has the columns 'a', 'a': name one"),
        ("a,b\n1,2,3\n", "Line 2 has 3 cells, and the table 2 columns"),
    ],
)
def test_what_is_no_table_is_refused(text: str, what: str) -> None:
    with pytest.raises(RequestError, match=what):
        given_file(text)


# --- the picture -------------------------------------------------------------------------------------------


def answer(steps: int, **quantiles: float) -> ForecastResponse:
    """A forecast of 5, and its quantiles."""
    levels = {name.replace("q", "0."): (value,) * steps for name, value in quantiles.items()}
    return ForecastResponse(model="local/test", point=(5.0,) * steps, quantiles=levels)


def test_svg_has_history_forecast_bands_axes_and_legend(capsys: Printed) -> None:
    assert main(["forecast", ELEC, "--quantiles", "0.1,0.25,0.5,0.75,0.9", "--plot", "out.svg"]) == 0
    assert capsys.readouterr().err.startswith("Drawn: out.svg")
    root = ET.parse("out.svg").getroot()  # well-formed
    tag = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{tag}text")]
    assert {"history", "forecast (median)", "quantiles 0.1 to 0.9", "quantiles 0.25 to 0.75", "2016"} <= set(texts)
    bands = [points(element) for element in root.iter(f"{tag}polygon")][:2]
    [ahead] = [points(e) for e in root.iter(f"{tag}polyline") if e.get("stroke") == forecast_plot.AHEAD][:1]
    assert len(ahead) == 13  # the last value, and twelve steps
    for band in bands:
        assert len(band) == 25  # there and back
        for step in range(1, 13):
            assert band[step][1] <= ahead[step][1] <= band[-step][1] or math.isclose(band[step][0], ahead[step][0])
    for x, y in (point for band in bands for point in band):
        assert 0 <= x <= forecast_plot.WIDTH
        assert 0 <= y <= forecast_plot.HEIGHT


def points(element: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in element.attrib["points"].split())]


def test_png_is_a_picture_in_the_forecasts_colours(capsys: Printed) -> None:
    assert main(["forecast", ELEC, "--plot", "out.PNG"]) == 0
    with Image.open("out.PNG") as image:
        assert (image.format, image.size) == ("PNG", (1920, 1080))
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
    assert {(0x25, 0x63, 0xEB), (0x33, 0x41, 0x55), (255, 255, 255)} <= colours
    assert len(colours) > 100  # edges are smooth


def test_names_are_text_and_nothing_else() -> None:
    from trivet.cli.forecast_draw import svg

    series = Series([1.0, 2.0, 3.0], "<b>&")
    drawn = svg(forecast_plot.picture(series, answer(2)))
    assert ET.fromstring(drawn) is not None
    assert "&lt;b&gt;&amp;: the next 2 steps" in drawn


def test_a_gap_breaks_the_line() -> None:
    picture = forecast_plot.picture(Series([1.0, 2.0, None, 4.0, 5.0]), answer(2, q1=4.0, q9=6.0))
    past = [s for s in picture.shapes if isinstance(s, forecast_plot.Line) and s.colour == forecast_plot.PAST]
    assert [len(line.points) for line in past[:2]] == [2, 2]


def test_a_constant_has_an_axis() -> None:
    what = forecast_plot.shown(Series([5.0] * 9), answer(2), 5, 100)
    assert what.low < 5 < what.high


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9), st.integers(2, 12))
def test_ticks_are_few_equally_far_apart_and_written_apart(low: float, span: float, most: int) -> None:
    high = low + span
    assume(high > low and span > 1e-9 * abs(low))
    values, written = forecast_plot.ticks(low, high, most)
    assert 1 <= len(values) <= most
    assert len(set(written)) == len(written)
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value in values)
    steps = [b - a for a, b in itertools.pairwise(values)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (74, 133, ["80", "90", "100", "110", "120", "130"]),
        (0.0011, 0.0019, ["0.0012", "0.0014", "0.0016", "0.0018"]),
        (0, 3.1e8, ["0", "50M", "100M", "150M", "200M", "250M", "300M"]),
        (-6, 6, ["-6", "-4", "-2", "0", "2", "4", "6"]),
        (5, 5 + 1e-7, ["5", "5.00000002", "5.00000004", "5.00000006", "5.00000008", "5.0000001"]),
        (0, 15, ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5", "15.0"]),
    ],
)
def test_ticks_are_round(low: float, high: float, written: list[str]) -> None:
    assert forecast_plot.ticks(low, high, 7)[1] == written


@pytest.mark.parametrize(
    ("stamps", "labels"),
    [
        ([datetime(2020 + n // 12, n % 12 + 1, 1) for n in range(60)], ["2021", "2022", "2023", "2024"]),
        ([datetime(2024, 1, 1) + timedelta(days=n) for n in range(100)], ["Feb 2024", "Mar 2024", "Apr 2024"]),
        ([datetime(2024, 1, 1) + timedelta(hours=n) for n in range(72)], ["02 Jan", "03 Jan"]),
    ],
)
def test_marks_of_time_stand_where_years_months_and_days_begin(stamps: list[datetime], labels: list[str]) -> None:
    marks = forecast_plot.time_ticks(stamps, 6, str)
    assert [label for _, label in marks] == labels


def test_times_without_a_step_are_not_asked_for() -> None:
    assert given_file("date,y\n2024-01-01,1\n").times is None
    assert Times([1.0, 2.0], Step(1.0)).ahead(1) == [3.0]
