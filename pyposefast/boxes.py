"""Boxes of the same person, and which of them to keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def suppress(boxes: npt.NDArray[np.floating[Any]], overlap: float) -> npt.NDArray[np.intp]:
    """Return which boxes are left when each drops the later ones that overlap it too much.

    Args:
        boxes: [n, 4] x1 y1 x2 y2, best first.
        overlap: intersection over union, above which two boxes are one person.
    """
    if overlap >= 1:
        return np.arange(len(boxes))
    boxes = boxes.astype(np.float64)
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    is_left = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if not is_left[index]:
            continue
        rest = boxes[index + 1 :]
        corner = np.minimum(boxes[index, 2:], rest[:, 2:])
        sides = np.maximum(corner - np.maximum(boxes[index, :2], rest[:, :2]), 0)
        common = sides[:, 0] * sides[:, 1]
        union = area[index] + area[index + 1 :] - common
        is_left[index + 1 :] &= ~(common > overlap * union)
    return np.flatnonzero(is_left)
