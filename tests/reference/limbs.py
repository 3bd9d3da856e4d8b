"""Oracle of `score_limbs`: one pair of joints at a time, in float64.

Besides its score a pair has a margin: how far, relative to what it is compared with, it is from
being decided the other way. Decisions with a margin near rounding may go either way.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

SAMPLES, MOST_SCORED, FEW_CANDIDATES = 5, 4, 8
LEAST_AGREEMENT = 0.8  # sum of the cosines at both ends
WEAK = 0.1  # a field below it is a direction only in part
LEAST_MISALIGNMENT = 1e-3


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Of one pair: the score, NaN when it is no link, and how close the decision was.

    ``slack`` is what rounding to float32 may do to the score.
    """

    score: float
    margin: float
    slack: float = 0.0


def nearest(field: Any, x: float, y: float) -> Any:
    _, height, width = field.shape
    return field[:, int(min(max(y, 0), height - 1) + 0.5), int(min(max(x, 0), width - 1) + 0.5)]


def bilinear(field: Any, x: float, y: float) -> Any:
    _, height, width = field.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    fx, fy = x - left, y - top
    upper = field[:, top, left] * (1 - fx) + field[:, top, right] * fx
    lower = field[:, bottom, left] * (1 - fx) + field[:, bottom, right] * fx
    return upper * (1 - fy) + lower * fy


def steepness(field: Any, x: float, y: float) -> float:
    """How much the field differs between the four samples around a place."""
    _, height, width = field.shape
    top, left = int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))
    return float(np.ptp(field[:, top : top + 2, left : left + 2], axis=(1, 2)).max())


def decision(*distances: float) -> tuple[bool, float]:
    """Whether all are above 0, and how clearly so."""
    passes = all(value > 0 for value in distances)
    # What fails for one clear reason fails, however close the other decisions are.
    return passes, min(distances) if passes else -min(distances)


def direction(sample: Any) -> Any:
    return sample / max(float(np.hypot(*sample)), WEAK)


def may_be_linked(field: Any, a: Any, b: Any, longest: float) -> tuple[bool, float]:
    """The first screen: what the field says at both ends."""
    length = float(np.hypot(*(b - a)))
    if length == 0:
        return False, np.inf
    most = longest * max(field.shape[1:])
    ends = direction(nearest(field, *a)) + direction(nearest(field, *b))
    return decision(ends @ (b - a) / length - LEAST_AGREEMENT, (most - length) / most)


def runs_along(field: Any, a: Any, b: Any, threshold: float) -> tuple[bool, float]:
    """The second: what it says in between."""
    unit = (b - a) / float(np.hypot(*(b - a)))
    places = [a + part * (b - a) for part in (0.5, 0.25, 0.75)]
    return decision(*(float(nearest(field, *place) @ unit) - threshold for place in places))


def judged(field: Any, a: Any, b: Any, threshold: float) -> Verdict:
    """The integral along a pair that has passed the screens."""
    step = b - a
    length = float(np.hypot(*step))
    unit = step / length
    places = [a + (i + 0.5) / SAMPLES * step for i in range(SAMPLES)]
    samples = [bilinear(field, *place) for place in places]
    along = np.array([sample @ unit for sample in samples])
    sizes = np.array([max(np.hypot(*sample), 1e-3) for sample in samples])
    margin = float(np.abs(along.min() - threshold))
    if not along.min() > threshold:
        return Verdict(np.nan, margin)
    off = max(1.0 - float((along / sizes).mean()), LEAST_MISALIGNMENT)
    # Places below 64 px are off by up to two roundings of 2**-19 px on each axis, which moves a
    # sample along its slopes; its direction follows as much as the sample is small. The dozen
    # operations behind that are good to 2**-24 each, and so are the logarithms.
    moved = np.array([4 * 2**-19 * steepness(field, *place) for place in places])
    blur = float((2 * moved / sizes).mean()) + 12 * 2**-24
    slack = 0.7 * blur / off + 2 * 2**-24 * (abs(np.log(off)) + np.log(length + 1)) + 2**-22
    return Verdict(-0.7 * np.log(off) - np.log(length), margin, slack)


def coarse(value: float) -> tuple[int, float]:
    """A positive number to 17 binary digits, as something to sort by."""
    mantissa, exponent = np.frexp(value)
    return int(exponent), float(np.floor(mantissa * 2**17))


def links(
    field: Any, firsts: Any, seconds: Any, *, threshold: float, longest: float
) -> list[dict[int, Verdict]]:
    """For each first joint [A, 2] the verdict on every second joint [B, 2] that may be its partner.

    Args:
        field: [2, H, W], x and y component.
        firsts: places in map pixels.
        seconds: the same.
        threshold: of the field along the pair.
        longest: part of the larger side.
    """
    field = np.asarray(field, np.float64)
    found = []
    for a in np.asarray(firsts, np.float64):
        places = dict(enumerate(np.asarray(seconds, np.float64)))
        checked = {j: may_be_linked(field, a, b, longest) for j, b in places.items()}
        row = {j: Verdict(np.nan, margin) for j, (passes, margin) in checked.items() if not passes}
        passed = [j for j in places if j not in row]
        passed.sort(key=lambda j: (coarse(float(np.sum((places[j] - a) ** 2))), j))
        for j in passed if len(places) <= FEW_CANDIDATES else passed[:MOST_SCORED]:
            passes, margin = runs_along(field, a, places[j], threshold)
            verdict = judged(field, a, places[j], threshold) if passes else Verdict(np.nan, margin)
            closest = min(verdict.margin, margin, checked[j][1])
            row[j] = dataclasses.replace(verdict, margin=closest)
        found.append(row)
    return found
