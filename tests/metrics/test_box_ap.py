"""Average precision of boxes: COCO's rules one by one, and COCO's own program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import coco_sets

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import FoundBoxes, Truth, Truths, box_ap, read_coco

if TYPE_CHECKING:
    from pathlib import Path

COCO = skeletons.load("coco17")
NAMES = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
NAMES += ["ar1", "ar10", "ar", "ar_small", "ar_medium", "ar_large"]
BOX = (10.0, 20.0, 60.0, 80.0)
FAR = (210.0, 20.0, 260.0, 80.0)


def truth(*boxes: Any, crowds: tuple[int, ...] = ()) -> Truths:
    """People without a labelled joint, which boxes have nothing to do with."""
    box = np.array(boxes, float).reshape(-1, 4)
    count = len(box)
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    xy, seen = np.zeros((count, 17, 2)), np.zeros((count, 17), np.uint8)
    is_crowd = np.isin(np.arange(count), crowds)
    return Truths((Truth(1, "1.jpg", (480, 640), box, area, xy, seen, is_crowd, COCO),), COCO)


def found(*boxes: Any, score: tuple[float, ...]) -> dict[int, FoundBoxes]:
    return {1: FoundBoxes(np.array(boxes, float).reshape(-1, 4), np.array(score))}


def test_the_truth_itself_scores_one() -> None:
    figures = box_ap(truth(BOX, FAR), found(BOX, FAR, score=(0.9, 0.8)))
    assert figures.mean == figures.ap == figures.ap_medium == pytest.approx(1)
    assert figures.ap_small == figures.ap_large == -1
    assert figures.people == 2


def test_thresholds_are_of_intersection_over_union() -> None:
    # A box with so much of its height cut off covers that part of the union.
    for part, thresholds in ((0.96, 10), (0.73, 5), (0.51, 1), (0.49, 0)):
        cut = (10.0, 20.0, 60.0, 20.0 + 60.0 * part)
        assert box_ap(truth(BOX), found(cut, score=(1.0,))).ar == pytest.approx(thresholds / 10)


def test_in_a_crowd_only_the_found_box_has_to_be_inside() -> None:
    crowd, inside = (200.0, 0.0, 600.0, 400.0), (210.0, 10.0, 230.0, 50.0)
    there = truth(BOX, crowd, crowds=(1,))
    here = found(inside, inside, BOX, score=(0.9, 0.8, 0.1))
    assert box_ap(there, here).ap == pytest.approx(1)
    half_outside = (190.0, 10.0, 209.0, 50.0)
    assert box_ap(there, found(half_outside, BOX, score=(0.9, 0.1))).ap50 == pytest.approx(0.5)


def test_recall_is_also_that_of_the_one_and_the_ten_surest() -> None:
    boxes = [(20.0 * one, 0.0, 20.0 * one + 15, 30.0) for one in range(20)]
    figures = box_ap(truth(*boxes), found(*boxes, score=tuple(np.linspace(1, 0.1, 20))))
    assert (figures.ar1, figures.ar10, figures.ar) == pytest.approx((1 / 20, 10 / 20, 1))


def test_only_the_hundred_surest_of_a_picture_count() -> None:
    boxes = [(20.0 * one, 0.0, 20.0 * one + 15, 30.0) for one in range(101)]
    figures = box_ap(truth(*boxes), found(*boxes, score=tuple(np.linspace(0.1, 1, 101))))
    assert figures.ar == pytest.approx(100 / 101)


def test_boxes_without_an_area_overlap_with_nothing() -> None:
    point = (10.0, 20.0, 10.0, 20.0)
    assert box_ap(truth(point), found(point, score=(1.0,))).ap == 0
    assert box_ap(truth(point, crowds=(0,)), found(point, score=(1.0,))).ap == -1


def test_nobody_found_scores_zero_and_nobody_to_be_found_is_undefined() -> None:
    assert box_ap(truth(BOX), {}).ap == box_ap(truth(BOX), found(score=())).ar == 0
    figures = box_ap(truth(), found(BOX, score=(1.0,)))
    assert [getattr(figures, name) for name in NAMES] == [-1] * 12
    assert json.loads(json.dumps(figures.to_dict()))["ar10"] == -1


@pytest.mark.parametrize("batch", range(20))
def test_figures_are_those_of_cocos_own_program(batch: int, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the comparison needs pycocotools")
    for number in range(10):
        random = np.random.default_rng([7, batch, number])
        record = coco_sets.random_record(random, int(random.integers(1, 7)))
        for person in record["annotations"]:  # whole pixels, see random_boxes
            person["bbox"] = np.round(person["bbox"]).tolist()
        answers = coco_sets.random_boxes(random, record, most=130)
        results = [
            {"image_id": picture, "category_id": 1, "bbox": box.tolist(), "score": float(score)}
            for picture, boxes in answers.items()
            for box, score in zip(*boxes, strict=True)
        ]
        if not results:  # COCO's program cannot read an empty list
            continue
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(record))
        corners = {
            picture: FoundBoxes(np.column_stack([box[:, :2], box[:, :2] + box[:, 2:]]), score)
            for picture, (box, score) in answers.items()
        }
        figures = box_ap(read_coco(path), corners)
        program = coco_sets.coco_says(record, results, "bbox")
        # Sums of at most 1010 numbers of 0..1, in another order: 1010 * 2**-53.
        exact = {"rtol": 0, "atol": 1e-12}
        mine = [getattr(figures, name) for name in NAMES]
        np.testing.assert_allclose(mine, program.stats, **exact)
        precision = program.eval["precision"][:, :, 0, :, 2].transpose(2, 0, 1)
        np.testing.assert_allclose(figures.precision, precision, **exact)
        np.testing.assert_allclose(figures.recall, program.eval["recall"][:, 0, :, 2].T, **exact)


@pytest.mark.parametrize(
    ("box", "score", "message"),
    [
        ([(5, 5, 4, 9)], [1.0], "box: expected x1 y1 x2 y2 with x1 <= x2"),
        ([(0, 0, np.nan, 9)], [1.0], "box: expected finite values"),
        ([(0, 0, np.inf, 9)], [1.0], "box: expected finite values"),
        ([(0, 0, 4, 9)], [np.nan], "score: expected finite values"),
        ([(0, 0, 4, 9)], [1.0, 2.0], r"score: expected numbers \[1\]"),
        ([(0, 0, 4)], [1.0], r"box: expected numbers \[D, 4\]"),
    ],
)
def test_boxes_that_are_none_are_refused(box: Any, score: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        box_ap(truth(BOX), {1: FoundBoxes(np.array(box), np.array(score))})


def test_other_things_are_refused() -> None:
    with pytest.raises(InputTypeError, match="found: expected an object with `box`"):
        box_ap(truth(BOX), {1: np.zeros((1, 5))})  # type: ignore[dict-item]
    with pytest.raises(InputTypeError, match="box: expected numbers"):
        box_ap(truth(BOX), {1: FoundBoxes([["a"] * 4], [1.0])})
    with pytest.raises(InputError, match="found: expected numbers of the 1 images"):
        box_ap(truth(BOX), {2: FoundBoxes(np.zeros((0, 4)), np.zeros(0))})
