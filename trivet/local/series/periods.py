"""The periods of a series, and what each future step has in the same phase of them.

The method is TinyCast's (arXiv:2608.15767, Apache-2.0 code at raws-labs/tinycast), which Fracast's weights were trained
with. It is done in 32 bits, step by step as there: a period that rounds otherwise gives another forecast.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "periods", "phases", "seasonal"]

Floats = NDArray[np.float32]
PHASES = 16  # of a period, in which values are averaged


def periods(values: Floats, *, most: int, alpha: float) -> NDArray[np.int64]:
    """The lengths of the `most` strongest periods in `values` (L,), in steps, the strongest first; 0 where there is no
    further one.

    A period is a peak of the periodogram that white noise exceeds with a probability of `alpha`, by Bonferroni over its
    frequencies; it is from 2 to L / 2 steps long."""
    length = len(values)
    size = 1 << math.ceil(math.log2(length))  # of the Fourier transform
    spectrum = np.fft.rfft(values - values.mean(), n=size)[1:]  # without the mean: (size / 2,), frequencies 1, 2, …
    power = spectrum.real**2 + spectrum.imag**2
    share = power / max(power.sum(), np.float32(1e-12))

    peak = np.zeros(len(share), bool)
    peak[1:-1] = (share[1:-1] > share[:-2]) & (share[1:-1] > share[2:])
    peak[: size // (length // 2) - 1] = False
    peak[size // 2 :] = False
    peak &= share >= math.log(len(share) / alpha) / len(share)

    strongest = np.argsort(np.where(peak, -share, np.inf), kind="stable")[:most]
    lengths = np.round(np.float32(size) / (strongest + 1).astype(np.float32)).astype(np.int64)
    return np.where(peak[strongest], lengths, 0)


def phases(length: int, found: NDArray[np.int64]) -> Floats:
    """Sine and cosine of each place's phase in each period (length, 2 × periods); 0 where a period is 0."""
    places = np.arange(length, dtype=np.float32)[:, None]
    angle = np.float32(2 * math.pi) * places / np.maximum(found, 1).astype(np.float32)  # (length, periods)
    pairs = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * (found > 0)[:, None]  # (length, periods, 2)
    return pairs.reshape(length, -1).astype(np.float32)


def seasonal(values: Floats, known: NDArray[np.bool_], period: int, steps: int) -> Floats:
    """What the `steps` after `values` (L,) would be, were each the mean of all known values in its phase of the period:
    (steps,). A phase without a known value has the mean of all of them; so has everything where the period is 0."""
    length = len(values)
    place = np.arange(length + steps, dtype=np.float32)
    primary = np.float32(max(period, 1))
    phase = np.minimum((place % primary / primary * PHASES).astype(np.int64), PHASES - 1)
    past = phase[:length][known]
    counts = np.bincount(past, minlength=PHASES)
    sums = np.bincount(past, weights=values[known], minlength=PHASES)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), values[known].mean())
    return means[phase[length:]].astype(np.float32)
