"""Fracast: the same numbers as the original's, better than what it has to beat, and refusals before anything loads.

The thresholds are those of issue 6; the series are statsmodels' (see tests/references/series/README.md)."""

from __future__ import annotations

import asyncio
import csv
import itertools
import json
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet import catalog
from trivet.errors import RequestError, UnsupportedError, WeightsError
from trivet.local import pull, weights
from trivet.local.provider import Local
from trivet.local.series import Fracast
from trivet.local.series.values import usable
from trivet.model import Model
from trivet.types import Forecast, ForecastResponse

REFERENCES = Path(__file__).parent / "references" / "series"
NINE = tuple(tenth / 10 for tenth in range(1, 10))


def column(name: str) -> list[float | None]:
    with (REFERENCES / name).open() as file:
        return [float(row[1]) if row[1] else None for row in list(csv.reader(file))[1:]]


def walk(steps: int) -> list[float]:
    """A random walk; the numbers are a linear congruential generator's."""
    seed, at, out = 1, 0.0, [0.0]
    for _ in range(steps):
        seed = (seed * 1103515245 + 12345) % 2**31
        at += seed / 2**31 - 0.5
        out.append(at)
    return out


ELEC = [value for value in column("elec_equip.csv") if value is not None]
CO2 = usable(column("co2.csv"), "linear")
SINE = [100 + 10 * math.sin(2 * math.pi * step / 12) for step in range(240)]
SERIES: dict[str, list[float]] = {
    "elec_equip": ELEC,
    "co2": CO2,
    "sine": SINE,
    "walk": walk(700),
    "eight values": [3, 1, 4, 1, 5, 9, 2, 6],
    "large": [1e6 * (step + 20 * math.sin(step / 7)) for step in range(300)],
}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    home = weights.home(None)
    pull.pull("fracast", home)
    provider = Local()
    yield provider.model("fracast")
    asyncio.run(provider.close())


def ask(model: Model, series: Sequence[float | None], horizon: int = 12, **options: Any) -> ForecastResponse:
    response = asyncio.run(model.call(Forecast(series=tuple(series), horizon=horizon, **options)))
    assert isinstance(response, ForecastResponse)
    return response


# --- the numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERIES)
def test_the_quantiles_are_those_of_the_original(model: Model, name: str) -> None:
    series = SERIES[name]
    last = series[-2048:]
    span = max(last) - min(last)
    original = [sorted(step) for step in json.loads((REFERENCES / "fracast.json").read_text())[name]]
    response = ask(model, series, 48, quantiles=NINE)
    for level, quantile in enumerate(NINE):
        ours = response.quantiles[str(quantile)]
        assert max(abs(a - b[level]) for a, b in zip(ours, original, strict=True)) <= 1e-5 * span


def test_the_forecast_does_not_depend_on_the_unit(model: Model) -> None:
    small = ask(model, [value * 1e-9 for value in ELEC]).point
    assert small == pytest.approx([value * 1e-9 for value in ask(model, ELEC).point], rel=1e-5)


def test_a_shorter_horizon_has_the_same_first_steps(model: Model) -> None:
    assert ask(model, SINE, 5).point == ask(model, SINE, 48).point[:5]


def test_a_constant_goes_on(model: Model) -> None:
    response = ask(model, [7.0] * 30)
    assert (set(response.point), set(response.quantiles["0.1"]), response.notes) == ({7.0}, {7.0}, ())


def naive(history: Sequence[float], season: int, horizon: int) -> list[float]:
    """Seasonal-naive: each step is as it was a season before."""
    return [history[len(history) - season + step % season] for step in range(horizon)]


def rolling(model: Model, series: Sequence[float], season: int, horizon: int) -> tuple[float, float, float]:
    """Over six origins that each lie a horizon further: the mean absolute error of the forecast and of seasonal-naive,
    and how much of what came is between the quantiles 0.1 and 0.9."""
    ours, theirs, inside = [], [], []
    for origin in range(len(series) - 6 * horizon, len(series), horizon):
        history, actual = series[:origin], series[origin : origin + horizon]
        response = ask(model, history, horizon)
        low, high = response.quantiles["0.1"], response.quantiles["0.9"]
        ours += [abs(a - b) for a, b in zip(response.point, actual, strict=True)]
        theirs += [abs(a - b) for a, b in zip(naive(history, season, horizon), actual, strict=True)]
        inside += [a <= b <= c for a, b, c in zip(low, actual, high, strict=True)]
    return statistics.mean(ours), statistics.mean(theirs), statistics.mean(inside)


@pytest.mark.parametrize(
    ("name", "season", "horizon"), [("elec_equip", 12, 12), ("co2", 52, 48)], ids=["elec_equip", "co2"]
)
def test_it_errs_less_than_seasonal_naive(
    model: Model, name: str, season: int, horizon: int, record_property: Any
) -> None:
    ours, theirs, coverage = rolling(model, SERIES[name], season, horizon)
    record_property("coverage of the band from 0.1 to 0.9", coverage)
    print(f"{name}: mean absolute error {ours:.3f}, seasonal-naive {theirs:.3f}, {coverage:.0%} between 0.1 and 0.9")
    assert ours < theirs


# --- quantiles ---------------------------------------------------------------------------------------------


def test_quantiles_that_cross_are_sorted_and_the_answer_says_so(model: Model) -> None:
    response = ask(model, CO2, 48, quantiles=NINE)
    steps = list(zip(*(response.quantiles[str(level)] for level in NINE), strict=True))
    assert all(list(step) == sorted(step) for step in steps)
    crossed = sum(step != sorted(step) for step in json.loads((REFERENCES / "fracast.json").read_text())["co2"])
    assert crossed > 0
    assert f"quantiles crossed at {crossed} of 48 steps, and were sorted" in " ".join(response.notes)


def test_quantiles_that_do_not_cross_need_no_note(model: Model) -> None:
    assert ask(model, ELEC, 2).notes == ()


def test_levels_between_the_nine_lie_between_their_quantiles(model: Model) -> None:
    told = ask(model, ELEC, 4, quantiles=(0.1, 0.125, 0.2, 0.5)).quantiles
    for low, between, high in zip(told["0.1"], told["0.125"], told["0.2"], strict=True):
        assert between == pytest.approx(0.75 * low + 0.25 * high)
    assert told["0.5"] == ask(model, ELEC, 4).point


def test_no_quantiles_leave_the_point(model: Model) -> None:
    response = ask(model, ELEC, 4, quantiles=())
    assert (len(response.point), response.quantiles) == (4, {})


@pytest.mark.parametrize(("level", "near"), [(0.05, "0.1"), (0.95, "0.9")])
def test_a_level_outside_is_refused(unloaded: Fracast, level: float, near: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{level} is asked for: leave it out, or ask for {near}") as caught:
        ask(unloaded, ELEC, quantiles=(0.5, level))
    assert caught.value.field == "quantiles"


# --- what it is given --------------------------------------------------------------------------------------


@pytest.fixture
def unloaded(tmp_path: Path) -> Fracast:
    """Without weights: whatever tries to load them fails, with another error."""
    return Fracast(tmp_path, name="local/fracast")


@pytest.mark.parametrize(
    ("series", "what"),
    [
        ([], "is empty"),
        ([1.0, 2.0, 3.0], "has 3 values: a forecast needs at least 8"),
        ([None] * 9, "All 9 values of the series are missing"),
        ([None, math.nan, *ELEC], "begins with 2 missing values"),
        ([*ELEC, None], "ends with a missing value"),
        ([*ELEC, None, 3.0], 'the first of them value 258: with fill="linear"'),
        ([1.0, math.inf, *ELEC], "Value 2 of the series is infinite"),
        ([1.0, 2e300, *ELEC], "Value 2 of the series is 2e.300, beyond"),
    ],
)
def test_a_series_that_is_no_use_is_refused_before_anything_loads(unloaded: Fracast, series: Any, what: str) -> None:
    with pytest.raises(RequestError, match=what) as caught:
        ask(unloaded, series)
    assert caught.value.field == "series"


@pytest.mark.parametrize("series", [[None, *ELEC], [*ELEC, math.nan]], ids=["before", "after"])
def test_fill_does_not_reach_beyond_the_ends(unloaded: Fracast, series: Any) -> None:
    with pytest.raises(RequestError, match="only gaps between values can be filled"):
        ask(unloaded, series, fill="linear")


def test_what_is_right_goes_on_to_the_weights(unloaded: Fracast) -> None:
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        ask(unloaded, ELEC)


def test_a_horizon_beyond_the_models_is_refused(unloaded: Fracast) -> None:
    with pytest.raises(UnsupportedError, match="sees 48 steps ahead, and horizon is 49") as caught:
        ask(unloaded, ELEC, 49)
    assert caught.value.field == "horizon"


def test_a_gap_is_filled_where_that_is_asked_for(model: Model) -> None:
    line = [float(step) for step in range(40)]
    gaps = [None if step in (5, 6, 7, 20) else value for step, value in enumerate(line)]
    assert ask(model, gaps, fill="linear").point == pytest.approx(ask(model, line).point)


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=8, max_size=40))
def test_filling_keeps_what_is_known_and_stays_between_its_neighbours(series: list[float | None]) -> None:
    filled = usable([1.0, *series, 2.0], "linear")
    whole = [1.0, *series, 2.0]
    known = [place for place, value in enumerate(whole) if value is not None]
    assert all(filled[place] == whole[place] for place in known)
    for left, right in itertools.pairwise(known):
        low, high = sorted((filled[left], filled[right]))
        assert all(low - 1e-9 <= value <= high + 1e-9 for value in filled[left : right + 1])


def test_what_the_model_has_no_room_for_is_told(model: Model) -> None:
    long = ask(model, CO2)
    assert "Of 2,284 values the last 2,048 were used" in long.notes[0]
    assert long.point == ask(model, CO2[-2048:]).point


def test_a_season_that_is_given_is_told_to_be_of_no_use(model: Model) -> None:
    assert "season=12 was not used" in ask(model, ELEC, 2, season=12).notes[0]


def test_the_catalogue_knows_it() -> None:
    entry = catalog.for_task("forecast")
    assert entry is not None
    assert (entry.name, entry.licence) == ("fracast", "Apache-2.0")


async def test_the_loop_goes_on_while_it_forecasts(model: Model) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await model.call(Forecast(series=tuple(CO2 * 20), horizon=48))
    ticking.cancel()
    assert ticks > 100
