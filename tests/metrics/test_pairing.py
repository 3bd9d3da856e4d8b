"""Who stands for whom: by hand, and against plain loops that always take the best pair left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import metrics as reference

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import Truth, Truths, pair_people, pck
from pyposefast.poses import Poses

COCO = skeletons.load("coco17")
SHAPE = np.random.default_rng(0).uniform([0, 0], [40, 90], (17, 2))  # one pose, [K, 2]


def boxes_around(xy: Any) -> Any:
    return np.concatenate([np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)], axis=-1)


def truth(*people: Any, image_id: int = 1, unlabelled: Any = (), crowds: Any = ()) -> Truth:
    xy = np.array(people, float).reshape(-1, 17, 2)
    rows = np.arange(len(xy))
    seen = np.repeat(2 * ~np.isin(rows, unlabelled)[:, None], 17, axis=1)
    area = np.full(len(xy), 2500.0)
    is_crowd = np.isin(rows, crowds)
    box = boxes_around(xy)
    return Truth(
        image_id,
        f"{image_id}.jpg",
        (480, 640),
        box,
        area,
        xy,
        seen.astype(np.uint8),
        is_crowd,
        COCO,
    )


def poses(*people: Any, skeleton: skeletons.Skeleton = COCO) -> Poses:
    xy = np.array(people, np.float32).reshape(-1, len(skeleton.joints), 2)
    return Poses(xy, np.ones(xy.shape[:2], np.float32), boxes_around(xy), skeleton)


@pytest.mark.parametrize("by", ["oks", "box"])
def test_the_most_similar_pair_comes_first(by: Any) -> None:
    # The first one found is like both, the second one only like the first true one.
    there = Truths((truth(SHAPE, SHAPE + np.array([8, 0])),), COCO)
    pairs = pair_people(
        there, {1: poses(SHAPE + np.array([7, 0]), SHAPE + np.array([-1, 0]))}, by=by
    )
    assert pairs.index.tolist() == [1, 0]
    np.testing.assert_allclose(pairs.xy[0], SHAPE + np.array([-1, 0]), rtol=2**-22, atol=2**-22)
    assert pairs.joints == COCO.joints


@pytest.mark.parametrize("by", ["oks", "box"])
def test_whom_nobody_found_stands_there_with_nan(by: Any) -> None:
    there = Truths((truth(SHAPE, SHAPE + 300), truth(SHAPE, image_id=2)), COCO)
    pairs = pair_people(there, {1: poses(SHAPE + 300)}, by=by)
    assert pairs.index.tolist() == [-1, 0, -1]
    assert pairs.image_id.tolist() == [1, 1, 2]
    assert np.isnan(pairs.xy[[0, 2]]).all()
    assert pairs.labelled.all()


@pytest.mark.parametrize("by", ["oks", "box"])
def test_nobody_is_paired_with_a_crowd(by: Any) -> None:
    there = Truths((truth(SHAPE, SHAPE + 1, crowds=[0]),), COCO)
    pairs = pair_people(there, {1: poses(SHAPE)}, by=by)
    assert pairs.index.tolist() == [-1, 0]
    assert pairs.labelled.any(axis=1).tolist() == [False, True]


def test_people_without_labels_can_be_paired_by_their_boxes_alone() -> None:
    there = Truths((truth(SHAPE, unlabelled=[0]),), COCO)
    assert pair_people(there, {1: poses(SHAPE)}, by="oks").index.tolist() == [-1]
    assert pair_people(there, {1: poses(SHAPE)}, by="box").index.tolist() == [0]


def test_rows_are_taken_as_they_are() -> None:
    there = Truths((truth(SHAPE, SHAPE + 300),), COCO)
    pairs = pair_people(there, {1: poses(SHAPE + 300, SHAPE)}, by="row")
    assert pairs.index.tolist() == [0, 1]
    with pytest.raises(InputError, match="found: expected the 2 people of image 1"):
        pair_people(there, {1: poses(SHAPE)}, by="row")


@pytest.mark.parametrize("by", ["oks", "box"])
def test_pairs_have_to_be_more_alike_than_asked_for(by: Any) -> None:
    there = Truths((truth(SHAPE),), COCO)
    assert pair_people(there, {1: poses(SHAPE + 5)}, by=by, least=0.1).index.tolist() == [0]
    assert pair_people(there, {1: poses(SHAPE + 5)}, by=by, least=0.95).index.tolist() == [-1]


def test_joints_are_told_apart_by_name() -> None:
    mpii = skeletons.load("mpii16")
    xy = np.full((16, 2), 7.0)
    for joint, place in enumerate(mpii.indices_in(COCO)):
        if place is not None:
            xy[joint] = SHAPE[place]
    pairs = pair_people(Truths((truth(SHAPE),), COCO), {1: poses(xy, skeleton=mpii)})
    assert set(pairs.joints) == set(COCO.joints[5:])  # no faces
    assert np.isnan(pairs.xy[0, :5]).all()
    figures = pck(
        pairs.xy,
        truth=pairs.truth,
        labelled=pairs.labelled,
        scale=[10.0],
        skeleton=COCO,
        joints=pairs.joints,
    )
    assert (figures.mean, figures.count.sum()) == (1, 12)


def test_nobody_on_either_side_is_ordinary() -> None:
    for there in (Truths((), COCO), Truths((truth(),), COCO)):
        found = {1: poses(SHAPE)} if len(there) else {}
        pairs = pair_people(there, found)
        assert pairs.xy.shape == pairs.truth.shape == (0, 17, 2)
        assert pairs.box.shape == (0, 4)
    pairs = pair_people(Truths((truth(SHAPE),), COCO), {1: Poses.empty(COCO)})
    assert pairs.index.tolist() == [-1]


def test_two_boxes_of_no_area_are_not_alike() -> None:
    point = np.zeros((17, 2))
    pairs = pair_people(Truths((truth(point),), COCO), {1: poses(point)}, by="box")
    assert pairs.index.tolist() == [-1]


@pytest.mark.parametrize("by", ["oks", "box"])
@pytest.mark.parametrize("seed", range(10))
def test_pairs_are_those_of_plain_loops(seed: int, by: Any) -> None:
    random = np.random.default_rng(seed)
    people = SHAPE + random.uniform(0, 60, (6, 1, 2))
    one = truth(*people)
    found = poses(*(people[random.integers(0, 6, 7)] + random.normal(0, 4, (7, 17, 2))))

    def alike(true: int, other: int) -> float:
        if by == "box":
            return reference.overlap(found.box[other].astype(float), one.box[true])
        return reference.oks(
            found.xy[other].astype(float), one.xy[true], np.ones(17), 2500.0, COCO.sigmas
        )

    pairs = pair_people(Truths((one,), COCO), {1: found}, by=by)
    assert pairs.index.tolist() == reference.best_first(alike, 6, 7)


def test_wrong_arguments_are_refused_by_name() -> None:
    there = Truths((truth(SHAPE),), COCO)
    with pytest.raises(InputError, match="by: expected one of oks, box, row"):
        pair_people(there, {}, by="pck")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="least: expected"):
        pair_people(there, {}, least=np.nan)
    with pytest.raises(InputError, match="found: expected numbers of the 1 images"):
        pair_people(there, {3: poses(SHAPE)})
    with pytest.raises(InputTypeError, match="found: expected Poses"):
        pair_people(there, {1: SHAPE})  # type: ignore[dict-item]
    dot = skeletons.Skeleton("dot", ("antenna",), (), (), (0.1,))
    with pytest.raises(InputError, match="found: expected poses with some of nose"):
        pair_people(there, {1: poses([[1, 1]], skeleton=dot)})
