"""Series and texts of polars, by polars itself."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from trivet import RequestError, inputs

pl = pytest.importorskip("polars")


def dates(*days: int) -> Any:
    return pl.Series("time", [date(2024, 1, day) for day in days])


def hours(zone: str | None, start: datetime, n: int) -> Any:
    return pl.datetime_range(start, start + timedelta(hours=n), "1h", eager=True, time_zone=zone).alias("time")


def values(times: Any) -> Any:
    return pl.DataFrame({"time": times, "y": range(len(times))})


@pytest.mark.parametrize(
    "given",
    [
        pl.Series([1.0, None, 3.0]),
        pl.Series([1.0, float("nan"), 3.0]),
        pl.Series([1, None, 3]),
        pl.Series(["1", None, "3"]).cast(pl.Decimal(10, 2)),
        pl.DataFrame({"y": [1, None, 3]}),
        pl.DataFrame({"time": dates(1, 2, 3), "y": [1, None, 3]}),
    ],
)
def test_a_series_is_numbers_and_none_where_one_is_missing(given: Any) -> None:
    assert inputs.series(given) == (1.0, None, 3.0)


@pytest.mark.parametrize(
    "times",
    [
        pl.date_range(date(2020, 1, 31), date(2022, 1, 31), "1mo", eager=True),
        pl.date_range(date(2020, 1, 1), date(2030, 1, 1), "1q", eager=True),
        hours(None, datetime(2024, 1, 1), 100),
        hours("Europe/Berlin", datetime(2024, 3, 30), 60),  # the clocks are put forward
        hours("Europe/Berlin", datetime(2024, 10, 26), 60),  # … and back: 2 o'clock is there twice
        pl.Series([timedelta(hours=1), timedelta(hours=2), timedelta(hours=3)]),
        pl.Series(["2024-01-01", "2024-01-02", "2024-01-03"]),
    ],
)
def test_times_at_equal_distances_are_taken(times: Any) -> None:
    assert len(inputs.series(values(times))) == len(times)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (dates(1, 2, 5), r'from 2024-01-02 to 2024-01-05 it is 3 days.*frame.upsample\("time", every="1d"\)'),
        (hours(None, datetime(2024, 1, 1), 9).gather([0, 1, 2, 4]), 'it is 2 h, and as a rule 1 h.*every="1h"'),
        (pl.Series(["2024-01-01", "2024-01-02", "2024-01-05"]), "not at equal distances"),
        (dates(3, 2, 1), r"not in order: 2024-01-03 stands before 2024-01-02. Sort them: frame.sort"),
        (dates(1, 1, 2), "is there twice"),
        (pl.Series([date(2024, 1, 1), None, date(2024, 1, 3)]), r"The time at \[1\] is missing"),
    ],
)
def test_times_that_cannot_be_are_refused(times: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        inputs.series(values(times))


def test_what_is_advised_makes_times_regular() -> None:
    frame = values(dates(1, 2, 5)).with_columns(pl.col("time").set_sorted())
    assert inputs.series(frame.upsample("time", every="1d")) == (0.0, 1.0, None, None, 2.0)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (pl.DataFrame({"y": [1]}).lazy(), TypeError, r"a LazyFrame has no values yet: give frame.collect\(\)"),
        (pl.DataFrame({"time": dates(1), "a": ["x"], "y": [1]}), RequestError, r"such as frame\['y'\]"),
        (values(dates(1)).head(0), RequestError, "The series is empty"),
        (pl.Series(["a"]), TypeError, r"\[0\] is 'a' of type str"),
        (pl.Series([True]), TypeError, "True of type bool"),
    ],
)
def test_what_is_no_series_says_what_it_was(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        inputs.series(given)


def test_texts_and_proteins_are_columns_too() -> None:
    assert inputs.texts(pl.Series(["a", "b"]), "texts") == ("a", "b")
    assert inputs.proteins(pl.Series(["EVQ", "diq"])) == ("EVQ", "DIQ")
