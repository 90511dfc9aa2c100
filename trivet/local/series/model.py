"""Fracast as a model: how a series goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from trivet.errors import UnsupportedError
from trivet.local import safetensors
from trivet.local.loaded import Loaded, needed
from trivet.local.series.values import CONTEXT, HORIZON, usable
from trivet.types import Done, Event, Forecast, ForecastResponse, Request

if TYPE_CHECKING:
    from trivet.local.series.periods import Floats

__all__ = ["Fracast"]

LOWEST, HIGHEST = 0.1, 0.9


class Fracast(Loaded[Mapping[str, Any]]):
    """Forecasts up to 48 steps of one series from its last 2,048 values, with quantiles from 0.1 to 0.9.

    The model has nine quantiles, and those between are interpolated. It learned each for itself, so they may cross:
    then they are sorted, and `notes` say so."""

    tasks = ("forecast",)
    inputs = ("series",)
    extra = "series"

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        asked = cast(Forecast, request)
        # Looking at a long series takes longer than an event loop may be held up: in the thread as well, and first.
        yield Done(response=await self.in_thread(lambda: self._forecast(self._values(asked), asked)))

    def _values(self, request: Forecast) -> list[float]:
        """The series, where the request can be answered."""
        if request.horizon > HORIZON:
            raise UnsupportedError(
                f"{self.name} sees {HORIZON} steps ahead, and horizon is {request.horizon}: ask for {HORIZON} or fewer",
                field="horizon",
            )
        beyond = [level for level in request.quantiles if not LOWEST <= level <= HIGHEST]
        if beyond:
            raise UnsupportedError(
                f"{self.name} knows quantiles from {LOWEST} to {HIGHEST}, and {beyond[0]} is asked for: "
                f"leave it out, or ask for {LOWEST if beyond[0] < LOWEST else HIGHEST}",
                field="quantiles",
            )
        return usable(request.series, request.fill)

    def load(self) -> Mapping[str, Floats]:
        np = needed("numpy", self.extra)
        return {name: np.array(tensor) for name, tensor in safetensors.read(self.path / "model.safetensors").items()}

    def _forecast(self, values: list[float], request: Forecast) -> ForecastResponse:
        np = needed("numpy", self.extra)
        from trivet.local.series.network import LEVELS, forward

        last = np.asarray(values[-CONTEXT:], np.float64)
        low, span = last.min(), last.max() - last.min()  # where all values are the same, so is the forecast
        scaled, known = np.zeros(CONTEXT, np.float32), np.zeros(CONTEXT, bool)
        scaled[-len(last) :], known[-len(last) :] = (last - low) / (span or 1.0), True
        ahead = forward(self.weights(), scaled, known)[: request.horizon].astype(np.float64) * span + low  # (steps, Q)

        crossed = int((np.diff(ahead) < 0).any(axis=1).sum())
        ahead = np.sort(ahead)
        series = {
            level: tuple(float(np.interp(level, LEVELS, step)) for step in ahead) for level in (0.5, *request.quantiles)
        }
        return ForecastResponse(
            model=self.name,
            point=series[0.5],
            quantiles={str(level): series[level] for level in request.quantiles},
            notes=_notes(len(values), crossed, len(ahead), request),
        )


def _notes(given: int, crossed: int, steps: int, request: Forecast) -> tuple[str, ...]:
    notes = []
    if given > CONTEXT:
        notes.append(f"Of {given:,} values the last {CONTEXT:,} were used: the model takes no more.")
    if crossed:
        notes.append(f"The model's quantiles crossed at {crossed} of {steps} steps, and were sorted there.")
    if request.season is not None:
        notes.append(f"season={request.season} was not used: the model finds seasons by itself.")
    return tuple(notes)
