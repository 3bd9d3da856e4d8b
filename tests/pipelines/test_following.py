"""The detector now and then; in between, people are looked for where they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyposefast.errors import InputError
from pyposefast.pipelines.following import Following, carry, follow
from pyposefast.poses import Boxes, Poses
from pyposefast.skeletons import load

SKELETON = load("coco17")
PICTURE = np.zeros((100, 200, 3), np.uint8)


def poses(places: Any, score: float = 0.9) -> Poses:
    xy = np.asarray(places, np.float32).reshape(-1, 17, 2)
    box = np.zeros((len(xy), 4), np.float32)
    return Poses(xy, np.full(xy.shape[:2], score, np.float32), box, SKELETON)


def person(x: float = 50.0, y: float = 40.0, size: float = 20.0) -> np.ndarray[Any, Any]:
    """Return joints [17, 2] that fill a square."""
    steps = np.linspace(-0.5, 0.5, 17)[:, None]
    return np.array([x, y]) + size * np.concatenate([steps, steps[::-1]], axis=1)


class Recorded:
    """A pipeline that finds one person who walks, and writes down what it was asked."""

    def __init__(self, *, is_seen: bool = True) -> None:
        self.detections = 0
        self.boxes: list[np.ndarray[Any, Any]] = []
        self.is_seen = is_seen

    def boxes_of(self, _: Any) -> list[Boxes]:
        self.detections += 1
        return [Boxes(np.array([[0, 0, 90, 90]], np.float32), np.ones(1, np.float32))]

    def people(self, _: Any, boxes: Any) -> list[Poses]:
        self.boxes.append(boxes[0].box)
        return [poses(person(50.0 + 2 * len(self.boxes)) if self.is_seen else [])]


def test_the_detector_runs_on_every_nth_frame() -> None:
    pipeline = Recorded()
    run = Following(pipeline, 3)
    for _ in range(4):
        assert len(run([PICTURE, PICTURE])) == 2
    assert pipeline.detections == 3  # frames 0, 3 and 6 of 8
    # Frame 1 is looked at where frame 0 found somebody: at 52, 40, joints of 20 px, and a margin.
    np.testing.assert_allclose(pipeline.boxes[1], [[40, 28, 65, 53]], atol=0.01)


def test_while_nobody_is_known_the_detector_keeps_looking() -> None:
    pipeline = Recorded(is_seen=False)
    run = Following(pipeline, 10)
    run([PICTURE] * 4)
    assert pipeline.detections == 4


def test_boxes_end_with_the_picture_and_need_joints_that_are_sure() -> None:
    at_edge = person(195, 95, 30)
    unsure = poses(np.stack([at_edge, person()]))
    unsure.score[1, 2:] = 0.1
    found = carry(unsure, (100, 200))
    np.testing.assert_allclose(found.box, [[176.75, 76.75, 200, 100]], atol=0.01)


def test_joints_that_were_not_found_do_not_count() -> None:
    places = person()
    places[4] = np.nan
    assert np.isfinite(carry(poses(places), (100, 200)).box).all()
    assert len(carry(poses(np.full((17, 2), np.nan)), (100, 200))) == 0
    assert len(carry(poses([]), (100, 200))) == 0


def test_somebody_who_left_the_picture_is_let_go() -> None:
    assert len(carry(poses(person(260, 40)), (100, 200))) == 0


def test_one_is_no_following_and_several_workers_cannot() -> None:
    pipeline = Recorded()
    assert follow(pipeline, 1, {"workers": 4}) is pipeline
    with pytest.raises(InputError, match="workers: expected 1 with detect_every"):
        follow(pipeline, 2, {"workers": 4})
    with pytest.raises(InputError, match="detect_every"):
        follow(pipeline, 0, {})
