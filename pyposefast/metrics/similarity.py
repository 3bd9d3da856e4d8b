"""How alike two people are: by their joints (OKS) or by their boxes (overlap), as COCO has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.metrics.tables import Bools, Floats
    from pyposefast.metrics.truth import Truth
    from pyposefast.poses import Poses
    from pyposefast.skeletons import Skeleton

_TINY = float(np.spacing(1.0))  # what COCO adds to areas, which may be 0


def joints_of(poses: Poses, skeleton: Skeleton) -> Floats:
    """Return the people's joints [P, K, 2] float64 in the order of another skeleton.

    NaN is a joint that was not found, which infinite coordinates say too, or one that the poses'
    own skeleton does not have.
    """
    places = skeleton.indices_in(poses.skeleton)
    known = [joint for joint, place in enumerate(places) if place is not None]
    xy = np.full((len(poses), len(places), 2), np.nan)
    xy[:, known] = poses.xy[:, [place for place in places if place is not None]]
    xy[~np.isfinite(xy).all(axis=-1)] = np.nan
    return xy


def object_keypoint_similarity(
    xy: Floats, truth: Truth, *, sigmas: Floats, joints: Sequence[int]
) -> Floats:
    """Return OKS [D, G] of found people with true ones.

    The distance to somebody without labels is that to his box, enlarged by its own size on every
    side, so that whoever is found there can be put down to him.

    Args:
        xy: [D, J, 2] the found people's joints; NaN is as far as can be.
        truth: the G people of the image.
        sigmas: [J] of the joints.
        joints: the J joints of the truth that are compared.
    """
    place = truth.xy[:, joints]  # [G, J, 2]
    labelled = truth.is_labelled[:, joints]  # [G, J]
    with_labels: Bools = np.asarray(labelled.any(axis=-1))  # [G]
    away = xy[:, None] - np.where(labelled[..., None], place, 0.0)  # [D, G, J, 2]
    if not with_labels.all():
        low, high = truth.box[~with_labels, None, :2], truth.box[~with_labels, None, 2:]
        size = high - low
        before, behind = low - size - xy[:, None], xy[:, None] - (high + size)
        away[:, ~with_labels] = np.maximum(0.0, before) + np.maximum(0.0, behind)
    counted = labelled | ~with_labels[:, None]  # [G, J]
    squares = (away**2).sum(axis=-1)  # [D, G, J]
    exponent = squares / (2.0 * sigmas) ** 2 / (truth.area[:, None] + _TINY) / 2.0
    alike = np.nan_to_num(np.exp(-exponent), nan=0.0)
    similarity: Floats = (alike * counted).sum(axis=-1) / counted.sum(axis=-1)
    return similarity


def box_overlap(box: Floats, truth_box: Floats, is_crowd: Bools) -> Floats:
    """Return the overlap [D, G] of found boxes [D, 4] with true ones [G, 4].

    It is the intersection over the union, and over the found box alone where the truth is a crowd:
    a person in a crowd is right wherever in it he is.
    """
    low = np.maximum(box[:, None, :2], truth_box[None, :, :2])
    high = np.minimum(box[:, None, 2:], truth_box[None, :, 2:])
    both = np.maximum(high - low, 0.0).prod(axis=-1)  # [D, G]
    own = (box[:, 2:] - box[:, :2]).prod(axis=-1)[:, None]
    theirs = (truth_box[:, 2:] - truth_box[:, :2]).prod(axis=-1)
    either = np.where(is_crowd, own, own + theirs - both)
    overlap: Floats = np.divide(both, either, out=np.zeros_like(both), where=both > 0)
    return overlap
