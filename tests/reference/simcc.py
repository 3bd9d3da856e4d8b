"""Oracle of ``decode_simcc``: two vectors of bins per joint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reference.peaks import BestPeaks, best_sample
from reference.refine import (
    CLIP_LIMITS,
    LOG_ERROR,
    TINY,
    UNIT,
    Samples,
    blur_matrix,
    log_parabola,
    parabola_step,
)

if TYPE_CHECKING:
    from reference.affine import Floats


def simcc_step(vector: Floats, peak: int, refine: str, kernel: int) -> tuple[float, float, bool]:
    """Sub-bin step at the best bin: step, its bound, whether it is sure."""
    if refine == "none":
        return 0.0, 0.0, True
    length = len(vector)
    if refine == "log_parabola":
        place = log_parabola(Samples(vector[None]), 0, peak)
        return float(place.xy[0]) - peak, float(place.bound[0]), place.is_sure
    # "dark": DARK in one dimension, on bins blurred beyond both ends.
    matrix = blur_matrix(length, kernel, "zero", pad=1)[peak : peak + 3]
    bad = ~np.isfinite(vector)
    if (bad & (matrix > 0).any(axis=0)).any():
        return 0.0, 0.0, True  # a blur with a hole in it says nothing
    finite = np.where(bad, 0.0, vector)
    blurred = matrix @ finite
    error = ((kernel + 8) * UNIT) * (matrix @ np.abs(finite)) + 4 * kernel * TINY
    lowest = CLIP_LIMITS["dark"][0]
    logs = np.log(np.maximum(blurred, lowest))
    errors = np.log(np.maximum(blurred + error, lowest)) - np.log(
        np.maximum(blurred - error, lowest)
    )
    step, bound, is_sure = parabola_step(*logs, errors + LOG_ERROR * np.abs(logs))
    # Further than a quarter of the kernel, the blur no longer covers the target.
    is_sure = is_sure and abs(4 * abs(step) - kernel) > 4 * bound
    return (step if 4 * abs(step) <= kernel else 0.0), bound, is_sure


def decode_simcc(
    x: Any,
    y: Any,
    *,
    split: float = 2.0,
    refine: str = "dark",
    kernel: int = 31,
    score: str = "mean",
    threshold: float = 0.0,
) -> BestPeaks:
    """Vectors [N, K, Wx] and [N, K, Hy] -> places in input pixels.

    A vector without finite bins says nothing, nor does one whose finite bins are all equal, unless
    there is but one bin: score 0.
    """
    n, k = x.shape[:2]
    threshold = float(np.float32(threshold))
    bad = sum(np.sum(~np.isfinite(vectors), axis=2) for vectors in (x, y))
    result = BestPeaks(
        np.zeros((n, k, 2)),
        np.zeros((n, k)),
        np.zeros((n, k), np.int32),
        np.asarray(bad).astype(np.int32),
        np.zeros((n, k, 2)),
        np.zeros((n, k)),
        np.ones((n, k), bool),
    )
    for index in np.ndindex(n, k):
        pair = [np.asarray(vectors[index], np.float64) for vectors in (x, y)]
        finite = [vector[np.isfinite(vector)] for vector in pair]
        is_flat = [
            len(all_bins) > 1 and np.ptp(values) == 0 if len(values) else True
            for all_bins, values in zip(pair, finite, strict=True)
        ]
        if any(is_flat):
            continue
        tops = [float(values.max()) for values in finite]
        value = min(tops) if score == "min" else (tops[0] + tops[1]) / 2
        result.score[index] = value
        result.score_bound[index] = 0.0 if score == "min" else UNIT * abs(value) + TINY
        if abs(value - threshold) <= result.score_bound[index] and value != threshold:
            result.is_sure[index] = False
            continue
        if not value > threshold:
            continue
        result.count[index] = 1
        for axis, vector in enumerate(pair):
            best = best_sample(vector[None])
            assert best is not None
            step, bound, is_sure = simcc_step(vector, best[1], refine, kernel)
            place = (best[1] + step) / split
            result.xy[(*index, axis)] = place
            result.bound[(*index, axis)] = bound / split + 4 * UNIT * abs(place)
            result.is_sure[index] &= is_sure
    return result
