"""Oracle of ``best_peaks`` and ``find_peaks``: which samples are peaks, in what order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.refine import refined, samples_of, second_peak

if TYPE_CHECKING:
    from reference.affine import Floats


@dataclass(frozen=True)
class BestPeaks:
    """As ``pyposefast.ops.BestPeaks``, with the bounds of a float32 evaluation."""

    xy: Floats  # [N, K, 2]
    score: Floats  # [N, K]
    count: Any  # [N, K]
    nonfinite: Any  # [N, K]
    bound: Floats  # [N, K, 2] of xy
    score_bound: Floats  # [N, K]
    is_sure: Any  # [N, K] bool


@dataclass(frozen=True)
class Peaks:
    """As ``pyposefast.ops.Peaks``, with the bounds of a float32 evaluation."""

    xy: Floats  # [N, K, M, 2]
    score: Floats  # [N, K, M]
    count: Any  # [N, K]
    total: Any  # [N, K]
    nonfinite: Any  # [N, K]
    bound: Floats  # [N, K, M, 2] of xy
    score_bound: Floats  # [N, K, M]
    is_sure: Any  # [N, K, M] bool


def best_sample(values: Floats) -> tuple[int, int] | None:
    """(y, x) of the largest finite sample, the first in raster order; None when there is none."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    y, x = np.unravel_index(np.argmax(np.where(finite, values, -np.inf)), values.shape)
    return int(y), int(x)


def neighbours(y: int, x: int, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The up to eight samples around (y, x) that are inside the map."""
    around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    return [(v, u) for v, u in around if 0 <= v < shape[0] and 0 <= u < shape[1]]


def local_maxima(values: Floats, threshold: float) -> list[tuple[int, int]]:
    """(y, x) of all local maxima above the threshold, best first, ties in raster order.

    A plateau is a set of 8-connected equal finite samples. It is a peak when no finite neighbour of
    any of its samples is greater, and counts once, at its first sample in raster order.
    """
    height, width = values.shape
    finite = np.pad(np.where(np.isfinite(values), values, -np.inf), 1, constant_values=-np.inf)
    around = [
        finite[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    beaten = np.max(around, axis=0) > values
    seen = np.zeros(values.shape, bool)
    peaks: list[tuple[int, int]] = []
    for y, x in np.argwhere(np.isfinite(values) & (values > threshold) & ~beaten).tolist():
        if seen[y, x]:
            continue
        seen[y, x] = True
        plateau, is_peak, first = [(y, x)], True, (y, x)
        while plateau:
            v, u = plateau.pop()
            is_peak &= not beaten[v, u]
            first = min(first, (v, u))
            for other in neighbours(v, u, (height, width)):
                if values[other] == values[y, x] and not seen[other]:
                    seen[other] = True
                    plateau.append(other)
        if is_peak:
            peaks.append(first)
    return sorted(peaks, key=lambda peak: (-values[peak], peak))


def best_peaks(
    maps: Any,
    *,
    refine: str = "quarter",
    threshold: float = 0.0,
    logits: bool = False,
    kernel: int = 11,
    offsets: Any = None,
    offset_scale: float = 7.2801 / 8,
) -> BestPeaks:
    """Maps are [N, K, H, W], always in this order."""
    n, k = maps.shape[:2]
    threshold = float(np.float32(threshold))
    result = BestPeaks(
        np.zeros((n, k, 2)),
        np.zeros((n, k)),
        np.zeros((n, k), np.int32),
        np.sum(~np.isfinite(maps), axis=(2, 3)).astype(np.int32),
        np.zeros((n, k, 2)),
        np.zeros((n, k)),
        np.ones((n, k), bool),
    )
    for index in np.ndindex(n, k):
        best = best_sample(maps[index])
        if best is None:
            continue
        samples = samples_of(maps[index], logits=logits)
        y, x = best
        score = samples.at(y, x)
        result.score[index] = score
        result.score_bound[index] = samples.relative_error * abs(score)
        if abs(score - threshold) <= result.score_bound[index] and logits:
            result.is_sure[index] = False
            continue
        if not score > threshold:
            continue
        result.count[index] = 1
        if refine == "second_peak":
            place, raw_score = second_peak(samples)
            result.score[index] = np.nan if raw_score is None else raw_score
            result.is_sure[index] = raw_score is not None
        else:
            offset = None if offsets is None else offsets[(*index, slice(None), y, x)]
            place = refined(samples, y, x, refine, kernel, offset, offset_scale)
        result.xy[index], result.bound[index] = place.xy, place.bound
        result.is_sure[index] &= place.is_sure
    return result


def find_peaks(
    maps: Any,
    *,
    capacity: int = 32,
    threshold: float = 0.1,
    refine: str = "log_parabola",
    logits: bool = False,
    kernel: int = 11,
    offsets: Any = None,
    offset_scale: float = 7.2801 / 8,
) -> Peaks:
    """Maps are [N, K, H, W], always in this order."""
    n, k = maps.shape[:2]
    threshold = float(np.float32(threshold))
    result = Peaks(
        np.zeros((n, k, capacity, 2)),
        np.zeros((n, k, capacity)),
        np.zeros((n, k), np.int32),
        np.zeros((n, k), np.int32),
        np.sum(~np.isfinite(maps), axis=(2, 3)).astype(np.int32),
        np.zeros((n, k, capacity, 2)),
        np.zeros((n, k, capacity)),
        np.ones((n, k, capacity), bool),
    )
    for index in np.ndindex(n, k):
        samples = samples_of(maps[index], logits=logits)
        # Which sample is higher is decided on the map itself: the sigmoid changes no order.
        peaks = local_maxima(np.asarray(maps[index], np.float64), -np.inf if logits else threshold)
        peaks = [peak for peak in peaks if samples.at(*peak) > threshold]
        result.total[index] = len(peaks)
        result.count[index] = min(len(peaks), capacity)
        for slot, (y, x) in enumerate(peaks[:capacity]):
            offset = None if offsets is None else offsets[(*index, slice(None), y, x)]
            place = refined(samples, y, x, refine, kernel, offset, offset_scale)
            at = (*index, slot)
            result.xy[at], result.bound[at], result.is_sure[at] = (
                place.xy,
                place.bound,
                place.is_sure,
            )
            result.score[at] = samples.at(y, x)
            result.score_bound[at] = samples.relative_error * abs(samples.at(y, x))
    return result
