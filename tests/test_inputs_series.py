"""Series as people have them: lists, arrays, and pandas' with their times. test_inputs_polars.py has polars'."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trivet import RequestError, inputs

NAN = float("nan")


def days(n: int, freq: str = "D", start: str = "2024-01-01") -> pd.Series:
    return pd.Series(np.arange(1.0, n + 1), index=pd.date_range(start, periods=n, freq=freq))


@pytest.mark.parametrize(
    "given",
    [
        [1, None, 3.0],
        (1, NAN, 3),
        np.array([1, NAN, 3]),
        pd.Series([1, NAN, 3]),
        pd.Series([1, pd.NA, 3], dtype="Int64"),
        pd.Series([1, NAN, 3], index=pd.date_range("2024-01-01", periods=3, freq="h")),
        pd.Index([1, NAN, 3]),
        pd.array([1, None, 3], dtype="Int64"),
        np.ma.array([1, 2, 3], mask=[False, True, False]),
        pd.DataFrame({"y": [1, NAN, 3]}),
        pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=3), "y": [1, NAN, 3]}),
        iter([1, None, 3]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_series_is_numbers_and_none_where_one_is_missing(given: Any) -> None:
    assert inputs.series(given) == (1.0, None, 3.0)


@pytest.mark.parametrize(
    "freq", ["s", "15min", "h", "D", "2D", "W", "B", "MS", "ME", "BMS", "BME", "QS", "QE", "YS", "YE", "2MS"]
)
def test_the_frequencies_of_pandas_are_equal_distances(freq: str) -> None:
    assert len(inputs.series(days(60, freq))) == 60


def test_periods_and_time_deltas_are_times_too() -> None:
    assert len(inputs.series(pd.Series([1.0, 2, 3], index=pd.period_range("2024-01", periods=3, freq="M")))) == 3
    deltas = pd.to_timedelta([0, 1, 3], unit="h")
    with pytest.raises(RequestError, match="not at equal distances"):
        inputs.series(pd.Series([1.0, 2, 3], index=deltas))


def test_a_day_on_which_the_clocks_change_is_a_day_and_an_hour_an_hour() -> None:
    for freq in ("D", "h", "B", "W"):
        index = pd.date_range("2024-03-29", periods=80, freq=freq, tz="Europe/Berlin")
        assert len(inputs.series(pd.Series(range(80), index=index))) == 80
    index = pd.date_range("2024-10-26", periods=60, freq="h", tz="Europe/Berlin")
    assert len(inputs.series(pd.Series(range(60), index=index))) == 60


@pytest.mark.parametrize("freq", ["h", "D", "B", "W", "MS", "ME", "QE"])
def test_a_time_that_is_left_out_is_seen(freq: str) -> None:
    whole = days(30, freq)
    with pytest.raises(RequestError, match=r"not at equal distances.*resample.*fill=\"linear\""):
        inputs.series(whole.drop(whole.index[17]))


@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-01-05", "2024-01-06", "2024-01-07", "2024-01-08", "2024-01-12", "2024-01-15"],  # weekends, then none
        [
            "2024-01-06",
            "2024-01-07",
            "2024-01-08",
            "2024-01-09",
            "2024-01-10",
            "2024-01-11",
            "2024-01-12",
            "2024-01-15",
        ],
        ["2024-01-01 00:00", "2024-02-01 06:00", "2024-03-01 00:00", "2024-04-01 00:00"],  # one month begins late
        ["2024-01-10", "2024-02-10", "2024-03-11", "2024-04-10"],
    ],
)
def test_what_only_looks_like_working_days_or_months_is_irregular(stamps: list[str]) -> None:
    index = pd.to_datetime(stamps)
    with pytest.raises(RequestError, match="not at equal distances"):
        inputs.series(pd.Series(np.arange(float(len(index))), index=index))


@pytest.mark.parametrize("column", [False, True])
def test_a_period_that_is_left_out_is_seen(column: bool) -> None:
    periods = pd.period_range("2024-01", periods=6, freq="M").delete(3)
    values = np.arange(5.0)
    given = pd.DataFrame({"t": periods, "y": values}) if column else pd.Series(values, index=periods)
    with pytest.raises(RequestError, match="from 2024-03-01 00:00:00 to 2024-05-01 00:00:00 it is 61 days"):
        inputs.series(given)


@pytest.mark.parametrize(
    ("freq", "said"),
    [
        ("D", "from 2024-01-04 00:00:00 to 2024-01-06 00:00:00 it is 2 days, and as a rule 1 day"),
        ("h", "from 2024-01-01 03:00:00 to 2024-01-01 05:00:00 it is 2 h, and as a rule 1 h"),
        ("MS", "from 2024-04-01 00:00:00 to 2024-06-01 00:00:00 it is 61 days, and as a rule 31 days"),
    ],
)
def test_the_place_where_times_are_irregular_is_named(freq: str, said: str) -> None:
    whole = days(12, freq)
    with pytest.raises(RequestError, match=said):
        inputs.series(whole.drop(whole.index[4]))


@pytest.mark.parametrize(
    ("freq", "at"), [("s", 4), ("15min", 4), ("h", 4), ("D", 4), ("B", 8), ("MS", 4), ("QS", 4), ("YS", 4)]
)
def test_what_is_advised_makes_times_regular(freq: str, at: int) -> None:
    whole = days(30, freq)
    series = whole.drop(whole.index[at])
    with pytest.raises(RequestError, match=r"such as series\.resample\(") as caught:
        inputs.series(series)
    advised = re.search(r"resample\(\"(.*?)\"\)", str(caught.value))
    assert advised is not None
    assert inputs.series(series.resample(advised[1]).mean()) == (*whole[:at], None, *whole[at + 1 :])


STAMPS = ("2024-01-01", "2024-01-02", "2024-01-05")
THIRD: dict[type, Any] = {str: "2024-01-03", date: date(2024, 1, 3), datetime: datetime(2024, 1, 3)}


@pytest.mark.parametrize(
    "index",
    [list(STAMPS), [date.fromisoformat(stamp) for stamp in STAMPS], pd.to_datetime(STAMPS).to_pydatetime().tolist()],
    ids=["texts", "dates", "datetimes"],
)
@pytest.mark.parametrize("column", [False, True])
def test_times_are_seen_in_whatever_way_they_are_written(index: list[Any], column: bool) -> None:
    def made(index: list[Any]) -> Any:
        index = pd.Index(index, dtype=object)
        return pd.DataFrame({"ds": index, "y": [1.0, 2, 3]}) if column else pd.Series([1.0, 2, 3], index=index)

    assert inputs.series(made([*index[:2], THIRD[type(index[0])]])) == (1, 2, 3)
    with pytest.raises(RequestError, match=r"from 2024-01-02.* to 2024-01-05.* it is 3 days, and as a rule 1 day"):
        inputs.series(made(index))


def test_labels_that_are_no_times_are_not_looked_at() -> None:
    zoned = [datetime(2024, 1, 1), datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 6)]  # not to be compared
    for labels in (["a", "b", "c"], ["2024-01-01", "2024-01-05", "total"], [1, 5, 7], [None, "2024-01-01", 3], zoned):
        assert inputs.series(pd.Series([1.0, 2, 3], index=pd.Index(labels, dtype=object))) == (1, 2, 3)


def test_an_index_of_several_levels_may_be_several_series() -> None:
    index = pd.MultiIndex.from_product([["shop", "web"], pd.date_range("2024-01-01", periods=2)])
    for each in (pd.Series([1.0, 2, 3, 4], index=index), pd.DataFrame({"y": [1.0, 2, 3, 4]}, index=index)):
        with pytest.raises(RequestError, match=r"several levels.*choose one, such as series.xs\(KEY\)"):
            inputs.series(each)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (["2024-01-02", "2024-01-01", "2024-01-03"], r"not in order.*sort_index"),
        (["2024-01-01", "2024-01-01", "2024-01-02"], "is there twice, at .0. and .1."),
        (["2024-01-01", None, "2024-01-03"], r"The time at \[1\] is missing"),
    ],
)
def test_times_that_cannot_be_are_refused(index: list[str | None], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        inputs.series(pd.Series([1.0, 2, 3], index=pd.to_datetime(index)))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], RequestError, "The series is empty"),
        (pd.Series([], dtype=float), RequestError, "The series is empty"),
        ([None, NAN], RequestError, "has 2 values, and each is missing"),
        ([1, math.inf], RequestError, r"has inf at \[1\]"),
        ([1, "2"], TypeError, r"\[1\] is '2' of type str"),
        ([1, True], TypeError, "True of type bool"),
        ("123", TypeError, "a series is a list of numbers"),
        (5, TypeError, "a series is a list of numbers"),
        ({1.0, 2.0}, TypeError, "a series is a list of numbers"),
        (bytearray(b"abc"), TypeError, "a series is a list of numbers"),
        (np.zeros((3, 2)), RequestError, "The array is 3 x 2"),
        (np.array(5.0), RequestError, "The array is one number"),
        (np.array([True]), TypeError, r"\[0\] is np.True_ of type numpy.bool"),
        (np.array([1 + 2j]), TypeError, "of type numpy.complex128"),
        (np.array(["2024-01-01"], "datetime64[D]"), TypeError, "of type numpy.datetime64"),
        ([[1.0], [2.0]], TypeError, r"\[0\] is \[1.0\] of type list"),
        ([np.zeros(1)], TypeError, "of type numpy.ndarray"),
        ([10**400], TypeError, r"\[0\] is 1000.* of type int"),
        (days(3).head(0).reset_index(), RequestError, "The series is empty"),
        (pd.DataFrame({"a": [1], "b": [2]}), RequestError, r"columns a, b, .*frame\['b'\]"),
    ],
)
def test_what_is_no_series_says_what_it_was(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        inputs.series(given)
