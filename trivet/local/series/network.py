"""Fracast's network, forward only, in numpy: 85,001 weights, some 50 ms for a forecast on one core.

One block, a causal convolution and a gated layer, goes over the series ten times, reaching twice as far each time; what
it is told about that reach makes it another block (FiLM). Each of the 48 steps ahead then asks a summary of the past,
and a second such block goes on from the last places over what the season would bring. The shapes and the order of the
operations are those of `fracast` 0.1.0 (Apache-2.0, github.com/ztxtech/fracast-0), whose results it has to 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trivet.local.series.periods import Floats, periods, phases, seasonal
from trivet.local.series.values import CONTEXT, HORIZON

__all__ = ["LEVELS", "forward"]

# Shapes: L is CONTEXT, H is HORIZON.
LEVELS = tuple(tenth / 10 for tenth in range(1, 10))  # Q: of the quantiles
WIDTH = 64  # D: numbers at each place
REACHES = tuple(2**stage for stage in range(10))  # how far apart what a convolution sees is, for each pass
REACHES_AHEAD = REACHES[:6]
SEEN_AHEAD = 128  # last places of the past that the block over the future goes on from
PERIODS = 4
ALPHA = 0.05
BLOCK = 16  # rows of a product at a time

Weights = Mapping[str, Floats]


def forward(weights: Weights, values: Floats, known: NDArray[np.bool_]) -> Floats:
    """The quantiles (H, Q) of the steps after `values` (L,), scaled to 0 … 1, and 0 where it is not `known` (L,)."""
    found = periods(np.where(known, values, values[known].mean()), most=PERIODS, alpha=ALPHA)
    past = _encode(weights, values, known, found)  # (L, D)
    ahead = _recency(np.arange(CONTEXT, CONTEXT + HORIZON))  # (H, 5)

    summary = np.concatenate([past.mean(axis=0), past[-1]])  # (2 D,)
    asked = np.concatenate([ahead, np.broadcast_to(summary, (HORIZON, 2 * WIDTH))], axis=1)  # (H, 5 + 2 D)
    x = _linear(weights, "head.summary_proj", asked) + weights["head.queries"]  # (H, D)
    x = _norm(weights, "head.decoder_norms.0", x + _gated(weights, "head.decoder_ffns.0", x))
    for n, reach in enumerate((1, 2)):
        x = _norm(weights, f"head.fc_blocks.{n}.norm", x + _convolve(weights, f"head.fc_blocks.{n}", x, reach))

    season = seasonal(values, known, int(found[0]), HORIZON)[:, None]  # (H, 1)
    future = _linear(weights, "head.future_conv.in_proj", np.concatenate([season, ahead], axis=1))  # (H, D)
    y = np.concatenate([past[-SEEN_AHEAD:], future])
    for reach in REACHES_AHEAD:
        y = _block(weights, "head.future_conv.block", y, reach)
    x = x + _linear(weights, "head.future_conv.out_proj", y[-HORIZON:])
    return _linear(weights, "head.out_proj", x)


def _encode(weights: Weights, values: Floats, known: NDArray[np.bool_], found: NDArray[np.int64]) -> Floats:
    """What the model makes of the past: (L, D)."""
    told = np.column_stack([values, known.astype(np.float32), _recency(np.arange(CONTEXT))])  # (L, 7)
    x = _linear(weights, "core.in_proj", told) + _linear(weights, "core.periodic.proj", phases(CONTEXT, found))
    for stage, reach in enumerate(REACHES):
        angle = stage / 2.0 ** np.arange(4, dtype=np.float32) * np.float32(math.pi)
        about = np.concatenate([np.sin(angle), np.cos(angle)])  # (8,)
        scale, shift = np.split(_linear(weights, "core.scale.to_gb", about), 2)  # (D,) each
        x = _block(weights, "core.block", x * (1 + scale) + shift, reach)
    return _norm(weights, "core.norm", x)


def _recency(places: NDArray[np.int64]) -> Floats:
    """How far each place is from the last of the past, in five ways that stay bounded: (places, 5)."""
    away = (places.astype(np.float32) - np.float32(CONTEXT - 1)) / np.float32(CONTEXT)
    far = np.abs(away)
    logarithm = np.sign(away) * np.log1p(far) / np.float32(math.log(2))
    return np.stack([away, logarithm, np.exp(-0.5 * far), np.exp(-2 * far), np.exp(-8 * far)], axis=1)


def _block(weights: Weights, name: str, x: Floats, reach: int) -> Floats:
    """Convolution and gated layer, each added to what came in and normalised: (places, D) to the same."""
    mixed = _linear(weights, f"{name}.pw", _convolve(weights, name, x, reach))
    x = _norm(weights, f"{name}.norm1", x + mixed)
    return _norm(weights, f"{name}.norm2", x + _gated(weights, f"{name}.ffn", x))


def _convolve(weights: Weights, name: str, x: Floats, reach: int) -> Floats:
    """Each of the D numbers by itself, over its own place and the ones `reach` and 2 × `reach` before: (places, D).
    Before the first place there is nothing."""
    kernel = weights[f"{name}.dw_weight"][:, 0]  # (D, 3), the own place last
    out = x * kernel[:, 2] + weights[f"{name}.dw_bias"]
    for back, column in ((reach, 1), (2 * reach, 0)):
        out[back:] += x[:-back] * kernel[:, column]
    return out


def _gated(weights: Weights, name: str, x: Floats) -> Floats:
    """SwiGLU: one half of a wide layer decides how much of the other passes."""
    gate, value = np.split(_linear(weights, f"{name}.up", x), 2, axis=-1)
    return _linear(weights, f"{name}.down", gate * (0.5 + 0.5 * np.tanh(0.5 * gate)) * value)  # the sigmoid, as tanh


def _linear(weights: Weights, name: str, x: Floats) -> Floats:
    """Products in blocks of few rows, which numpy's BLAS does not share out among threads. With threads a forecast is
    no faster on a quiet machine, and takes four times as long on a busy one (measured: 560 ms in place of 130)."""
    if x.ndim == 1:
        return np.asarray(weights[f"{name}.weight"] @ x + weights[f"{name}.bias"], np.float32)
    product = x.reshape(-1, BLOCK, x.shape[1]) @ weights[f"{name}.weight"].T  # 2,048, 176 and 48 rows are whole blocks
    return np.asarray(product.reshape(len(x), -1) + weights[f"{name}.bias"], np.float32)


def _norm(weights: Weights, name: str, x: Floats) -> Floats:
    """RMSNorm. What keeps it from dividing by 0 is the least that 32 bits tell from 0 beside 1."""
    size = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.finfo(np.float32).eps)
    return np.asarray(x / size * weights[f"{name}.weight"], np.float32)
