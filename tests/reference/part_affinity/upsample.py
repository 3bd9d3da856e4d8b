"""Cubic up-sampling by a whole factor: Keys' kernel, half-pixel centres, clamped border; float64.

Every sum is taken from the outside in, so that a mirrored map gives exactly the mirrored result. A
peak in the middle of a cell lies halfway between two up-sampled pixels, and these two are then
equal to the last bit, as the rule says, and not one a rounding above the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reference.affine import Floats

FACTOR = 8
OPENCV_A = -0.75  # the slope of cv::resize's kernel; -0.5 would be Catmull-Rom's


def cubic_weight(distance: Any, a: float = OPENCV_A) -> Floats:
    """Keys' kernel at a distance (px) of at most 2."""
    d = np.abs(np.asarray(distance, np.float64))
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, far)


def taps(u: Any, size: int, factor: int = FACTOR, a: float = OPENCV_A) -> tuple[Any, Floats]:
    """The four samples of an axis of `size` that up-sampled pixel u mixes, and their weights.

    Both are [4, ...] for u [...].
    """
    x = (np.asarray(u) + 0.5) / factor - 0.5
    before = np.floor(x).astype(np.int64)
    index = np.stack([before - 1, before, before + 1, before + 2])
    weight = np.stack([cubic_weight(x - k, a) for k in index])
    return np.clip(index, 0, size - 1), weight


def mixed(weight: Floats, values: Floats) -> Floats:
    """Sum of four weighted values [4, ...], the same when both are mirrored."""
    outer = weight[0] * values[0] + weight[3] * values[3]
    return outer + (weight[1] * values[1] + weight[2] * values[2])


def upsampled_value(
    values: Any, y8: Any, x8: Any, factor: int = FACTOR, a: float = OPENCV_A
) -> Floats:
    """What pixel (y8, x8) of the up-sampled map [H, W] would be; for arrays of pixels too."""
    values = np.asarray(values, np.float64)
    row, row_weight = taps(y8, values.shape[0], factor, a)
    column, column_weight = taps(x8, values.shape[1], factor, a)
    along_x = [mixed(column_weight, np.stack([values[r, c] for c in column])) for r in row]
    return mixed(row_weight, np.stack(along_x))


def upsampled(values: Any, factor: int = FACTOR, a: float = OPENCV_A) -> Floats:
    """The whole map: [H, W] to [factor H, factor W]."""
    height, width = np.shape(values)
    values = np.asarray(values, np.float64)
    column, column_weight = taps(np.arange(factor * width), width, factor, a)
    along_x = mixed(column_weight[:, None], np.stack([values[:, c] for c in column]))
    row, row_weight = taps(np.arange(factor * height), height, factor, a)
    return mixed(row_weight[..., None], np.stack([along_x[r] for r in row]))


def native(u: Any, factor: int = FACTOR) -> Any:
    """The place on the map of place u on the up-sampled map."""
    return (u + 0.5) / factor - 0.5
