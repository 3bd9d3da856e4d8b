"""How a result of the library may differ from an oracle's, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reference.crop import rounded

if TYPE_CHECKING:
    from reference.affine import Floats
    from reference.peaks import BestPeaks, Peaks

# The promise of `crop`, as a part of the value range, whatever the option.
CROP_ERROR = 1e-5


def crop_excess(got: Any, expected: Floats, value_range: float) -> float:
    """How far `got` is beyond what is allowed, as a part of that; at most 0 when all is well.

    Args:
        got: pixels of any dtype.
        expected: the oracle's values before rounding to that dtype.
        value_range: largest minus smallest value that a pixel can have, after normalisation.
    """
    allowed = CROP_ERROR * value_range
    if got.dtype == np.uint8:
        # Equal, but for values so near to a rounding tie that the allowed error crosses it.
        low, high = rounded(expected - allowed, "uint8"), rounded(expected + allowed, "uint8")
        return -1.0 if ((got >= low) & (got <= high)).all() else float(np.inf)
    if got.dtype == np.float16:
        # Rounding is monotone: the value before it was allowed if the result lies between those of
        # the ends.
        low, high = rounded(expected - allowed, "float16"), rounded(expected + allowed, "float16")
        return -1.0 if ((got >= low) & (got <= high)).all() else float(np.inf)
    error = np.abs(got.astype(np.float64) - expected)
    # Half a unit in the last place of the result itself, for values far larger than the range.
    error -= 2.0**-24 * np.abs(expected)
    return float(error.max(initial=0.0) / allowed - 1)


def peak_differences(got: Any, expected: BestPeaks | Peaks) -> list[str]:
    """What is wrong with a library's result, in words; an empty list when nothing is."""
    wrong = []
    for name in ("count", "total", "nonfinite"):
        if hasattr(expected, name) and (name != "count" or hasattr(expected, "total")):
            one, other = getattr(got, name), getattr(expected, name)
            wrong += [
                f"{name}{at}: {one[at]}, expected {other[at]}"
                for at in map(tuple, np.argwhere(one != other))
            ]
    if not hasattr(expected, "total"):
        wrong += [
            f"count{at}: {got.count[at]}, expected {expected.count[at]}"
            for at in map(tuple, np.argwhere((got.count != expected.count) & expected.is_sure))
        ]
    place_error = np.abs(got.xy - expected.xy)
    wrong += [
        f"xy{at}: {got.xy[at]}, expected {expected.xy[at]} within {expected.bound[at]}"
        for at in map(
            tuple,
            np.argwhere(~(place_error <= expected.bound).all(axis=-1) & expected.is_sure),
        )
    ]
    # One rounding to float32, besides the oracle's own bound.
    allowed = expected.score_bound + 2.0**-24 * np.abs(expected.score)
    score_error = np.abs(got.score - expected.score)
    wrong += [
        f"score{at}: {got.score[at]}, expected {expected.score[at]} within {allowed[at]}"
        for at in map(tuple, np.argwhere(~(score_error <= allowed) & expected.is_sure))
    ]
    return wrong
