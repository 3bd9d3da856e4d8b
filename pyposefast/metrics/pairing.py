"""Who was found in whose place: the rows that measures of joints compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import tables
from pyposefast.metrics.similarity import box_overlap, joints_of, object_keypoint_similarity
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyposefast.metrics.tables import Bools, Floats
    from pyposefast.metrics.truth import Truth, Truths
    from pyposefast.skeletons import Skeleton


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The P true people of all images, crowds among them, and who was found in their place."""

    xy: Floats  # [P, K, 2], image pixels; NaN where the joint or the whole person was not found
    truth: Floats  # [P, K, 2]; means nothing where there is no label
    labelled: Bools  # [P, K]; nothing is labelled of a crowd
    box: Floats  # [P, 4], the true boxes, x1 y1 x2 y2
    image_id: npt.NDArray[np.int64]  # [P]
    index: npt.NDArray[np.int64]  # [P], of the found person in his image; -1 nobody
    joints: tuple[str, ...]  # those of the K that all the networks know
    skeleton: Skeleton  # the names and the order of the K joints: the truths'


def pair_people(
    truths: Truths,
    found: Mapping[int, Poses],
    *,
    by: Literal["oks", "box", "row"] = "oks",
    least: float = 0.0,
) -> Pairs:
    """Find out, image by image, who of the people found stands for which of the true ones.

    The most similar pair of an image comes first, then the most similar one of those who are left,
    and so on; among equals the first true one, then the first one found. Scores play no part, and
    whoever is found in nobody's place is left out: that is what average precision is for.

    Args:
        truths: the people who are there.
        found: the people found in each image, by ``image_id``. In an image that is absent, nobody
            was found.
        by: "oks" goes by the joints that both have; true people without a label and crowds are in
            no pair. "box" goes by the overlap of the boxes, crowds left out. "row" takes the rows
            as they are: for poses that were made from the true boxes, in their order.
        least: pairs have to be more similar than this, 0..1.

    Raises:
        InputError: images that the truths do not have; with "row", another number of people; no
            joint that all have.
        InputTypeError: an argument is of another kind.
    """
    truths.check_images_of(found)
    arguments.word(by, "by", ("oks", "box", "row"))
    arguments.number(least, "least", 0.0, 1.0)
    rows = []
    known = np.ones(len(truths.skeleton.joints), np.bool_)
    for truth in truths:
        poses = found.get(truth.image_id)
        if poses is None:
            rows.append(_Rows(np.full_like(truth.xy, np.nan), np.full(len(truth), -1)))
            continue
        if not isinstance(poses, Poses):
            raise InputTypeError("found", "Poses for each image", type(poses).__name__)
        known &= [place is not None for place in truths.skeleton.indices_in(poses.skeleton)]
        rows.append(_pair(truth, poses, by, least))
    if not known.any():
        expected = f"poses with some of {', '.join(truths.skeleton.joints)}"
        raise InputError("found", expected, "none that all have")
    shape = (0, len(known))
    return Pairs(
        xy=np.concatenate([np.zeros((*shape, 2)), *(row.xy for row in rows)]),
        truth=np.concatenate([np.zeros((*shape, 2)), *(truth.xy for truth in truths)]),
        labelled=np.concatenate(
            [
                np.zeros(shape, np.bool_),
                *(truth.is_labelled & ~truth.is_crowd[:, None] for truth in truths),
            ]
        ),
        box=np.concatenate([np.zeros((0, 4)), *(truth.box for truth in truths)]),
        image_id=np.concatenate(
            [np.zeros(0, np.int64), *(np.full(len(truth), truth.image_id) for truth in truths)]
        ),
        index=np.concatenate([np.zeros(0, np.int64), *(row.index for row in rows)]),
        joints=tuple(np.array(truths.skeleton.joints)[known].tolist()),
        skeleton=truths.skeleton,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The part of one image."""

    xy: Floats  # [G, K, 2]
    index: npt.NDArray[np.int64]  # [G]


def _pair(truth: Truth, poses: Poses, by: str, least: float) -> _Rows:
    xy = joints_of(poses, truth.skeleton)
    if by == "row":
        if len(poses) != len(truth):
            expected = f"the {len(truth)} people of image {truth.image_id}, row for row"
            raise InputError("found", expected, f"{len(poses)} people")
        return _Rows(xy, np.arange(len(truth)))
    # Pair by pair, all numbers of all joints at once: so much scratch has to be meant.
    arguments.room(len(poses) * xy.shape[1] * len(truth) * 32, "found", "keep the surest people")
    similarity = _by_box(truth, poses) if by == "box" else _by_joints(truth, poses, xy)
    index = _greedy(similarity, least)
    paired = np.full_like(truth.xy, np.nan)
    paired[index >= 0] = xy[index[index >= 0]]
    return _Rows(paired, index)


def _by_joints(truth: Truth, poses: Poses, xy: Floats) -> Floats:
    """Return OKS [D, G] on the joints that both have; 0 where there is nothing to compare."""
    places = truth.skeleton.indices_in(poses.skeleton)
    known = [joint for joint, place in enumerate(places) if place is not None]
    if not known:
        return np.zeros((len(poses), len(truth)))
    sigmas = np.array(truth.skeleton.sigmas)[known]
    similarity = object_keypoint_similarity(xy[:, known], truth, sigmas=sigmas, joints=known)
    labelled = truth.is_labelled[:, known].any(axis=-1)
    return np.where(labelled & ~truth.is_crowd, similarity, 0.0)


def _by_box(truth: Truth, poses: Poses) -> Floats:
    box = tables.boxes(poses.box, "box")
    return np.where(truth.is_crowd, 0.0, box_overlap(box, truth.box, truth.is_crowd))


def _greedy(similarity: Floats, least: float) -> npt.NDArray[np.int64]:
    """Return for each of G columns the row [G] that it is paired with, the best pair first."""
    found, truths = similarity.shape
    index = np.full(truths, -1)
    free = np.ones(found, np.bool_)
    column, row = np.nonzero(least < similarity.T)
    for place in np.argsort(-similarity[row, column], kind="stable").tolist():
        if index[column[place]] < 0 and free[row[place]]:
            index[column[place]] = row[place]
            free[row[place]] = False
    return index
