"""The ops: typed functions over the compiled module; arrays in, arrays of the same kind out."""

from __future__ import annotations

from pyposefast.ops.affines import (
    Affines,
    axis_affines,
    box_affines,
    joint_affines,
    letterbox_affines,
    scale_affines,
    transform_points,
)
from pyposefast.ops.assignment import Assignment, assign
from pyposefast.ops.crop import Crops, crop_images
from pyposefast.ops.grouping import People, group_people
from pyposefast.ops.limbs import Links, score_limbs
from pyposefast.ops.peaks import (
    BestPeaks,
    Peaks,
    Refine,
    average_flip,
    best_peaks,
    decode_simcc,
    find_peaks,
    published_peaks,
)

__all__ = [
    "Affines",
    "Assignment",
    "BestPeaks",
    "Crops",
    "Links",
    "Peaks",
    "People",
    "Refine",
    "assign",
    "average_flip",
    "axis_affines",
    "best_peaks",
    "box_affines",
    "crop_images",
    "decode_simcc",
    "find_peaks",
    "group_people",
    "joint_affines",
    "letterbox_affines",
    "published_peaks",
    "scale_affines",
    "score_limbs",
    "transform_points",
]
