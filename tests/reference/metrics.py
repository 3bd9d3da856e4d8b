"""Oracles of PCK, PDJ, PCP and of who stands for whom: one joint, limb or pair at a time.

Written from the definitions: a joint is right within a factor of the person's size (torso: left
shoulder to right hip; box: the longer side; head: 0.6 of the diagonal of its box); a limb by both
its ends (strict) or by their mean error (loose), within half of its length.
"""

from __future__ import annotations

import math
from typing import Any


def distance(a: Any, b: Any) -> float:
    if not (math.isfinite(a[0]) and math.isfinite(a[1])):
        return math.inf
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def torso(truth: Any, labelled: Any, left_shoulder: int, right_hip: int) -> float | None:
    if not (labelled[left_shoulder] and labelled[right_hip]):
        return None
    return distance(truth[left_shoulder], truth[right_hip])


def longer_side(box: Any) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def head(box: Any) -> float:
    return 0.6 * distance(box[:2], box[2:])


def right_joints(
    xy: Any, truth: Any, labelled: Any, sizes: Any, factor: float
) -> tuple[list[int], list[int]]:
    """Of each joint, how many people have it right, and how many were judged."""
    joints = len(xy[0]) if len(xy) else 0
    right, judged = [0] * joints, [0] * joints
    for person, size in enumerate(sizes):
        if size is None or not math.isfinite(size) or size <= 0:
            continue
        for joint in range(joints):
            if not labelled[person][joint]:
                continue
            judged[joint] += 1
            if distance(xy[person][joint], truth[person][joint]) <= factor * size:
                right[joint] += 1
    return right, judged


def right_limbs(
    xy: Any, truth: Any, labelled: Any, limbs: Any, *, strict: bool, factor: float
) -> tuple[list[int], list[int]]:
    """Of each limb, how many people have it right, and how many were judged."""
    right, judged = [0] * len(limbs), [0] * len(limbs)
    for person in range(len(xy)):
        for limb, (a, b) in enumerate(limbs):
            if not (labelled[person][a] and labelled[person][b]):
                continue
            length = distance(truth[person][a], truth[person][b])
            if length == 0:
                continue
            judged[limb] += 1
            first = distance(xy[person][a], truth[person][a])
            second = distance(xy[person][b], truth[person][b])
            if strict:
                is_right = first <= factor * length and second <= factor * length
            else:
                is_right = (first + second) / 2 <= factor * length
            right[limb] += is_right
    return right, judged


def oks(xy: Any, truth: Any, labelled: Any, area: float, sigmas: Any) -> float:
    """Mean over labelled joints of exp(-d² / (2 s² k²)), s² the area, k twice the sigma."""
    total, count = 0.0, 0
    for joint, sigma in enumerate(sigmas):
        if not labelled[joint]:
            continue
        count += 1
        away = distance(xy[joint], truth[joint])
        total += math.exp(-(away**2) / (2 * area * (2 * sigma) ** 2))
    return total / count if count else 0.0


def overlap(a: Any, b: Any) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def best_first(similarity: Any, truths: int, found: int) -> list[int]:
    """Whom each true person is paired with, -1 nobody: always the best pair of all that are left.

    ``similarity(truth, found)`` of both their numbers; pairs of 0 are none.
    """
    partner = [-1] * truths
    left = [(t, f) for t in range(truths) for f in range(found) if similarity(t, f) > 0]
    while left:
        best = left[0]
        for pair in left:
            if similarity(*pair) > similarity(*best):
                best = pair
        partner[best[0]] = best[1]
        left = [(t, f) for t, f in left if t != best[0] and f != best[1]]
    return partner
