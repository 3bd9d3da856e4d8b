"""Poses: checked when made, and handy afterwards."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.poses import Poses

COCO = skeletons.load("coco17")


def make_poses(people: int = 3) -> Poses:
    random = np.random.default_rng(0)
    return Poses(
        xy=random.random((people, 17, 2), dtype=np.float32) * 100,
        score=random.random((people, 17), dtype=np.float32),
        box=random.random((people, 4), dtype=np.float32) * 100,
        skeleton=COCO,
    )


def test_nobody_is_an_ordinary_result() -> None:
    nobody = Poses.empty(COCO)
    assert len(nobody) == 0
    assert list(nobody) == []
    assert nobody.xy.shape == (0, 17, 2)
    assert nobody.to_dict() == {"skeleton": "coco17", "people": []}


def test_people_are_taken_by_index_slice_and_mask() -> None:
    poses = make_poses()
    assert len(poses) == 3
    np.testing.assert_array_equal(poses[1].xy, poses.xy[1:2])
    np.testing.assert_array_equal(poses[-1].box, poses.box[2:])
    np.testing.assert_array_equal(poses[np.int64(2)].score, poses.score[2:])
    np.testing.assert_array_equal(poses[:2].xy, poses.xy[:2])
    np.testing.assert_array_equal(poses[np.array([True, False, True])].xy, poses.xy[[0, 2]])
    np.testing.assert_array_equal(poses[np.array([2, 0])].xy, poses.xy[[2, 0]])
    assert [len(pose) for pose in poses] == [1, 1, 1]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_past_the_end_raises(index: int) -> None:
    with pytest.raises(IndexError):
        make_poses()[index]


@pytest.mark.parametrize(
    ("field", "value", "got"),
    [
        ("xy", np.zeros((3, 16, 2), np.float32), r"float32 \[3, 16, 2\]"),
        ("xy", np.zeros((17, 2), np.float32), r"float32 \[17, 2\]"),
        ("score", np.zeros((2, 17), np.float32), r"float32 \[2, 17\]"),
        ("box", np.zeros((3, 5), np.float32), r"float32 \[3, 5\]"),
    ],
)
def test_a_wrong_shape_says_what_was_expected_and_what_came(
    field: str, value: object, got: str
) -> None:
    fields: dict[str, Any] = {"xy": make_poses().xy, "score": make_poses().score}
    fields |= {"box": make_poses().box, "skeleton": COCO, field: value}
    with pytest.raises(InputError, match=rf"{field}: expected .*float32 \[.*\], got {got}"):
        Poses(**fields)


@pytest.mark.parametrize("value", [np.zeros((3, 17, 2)), [[0.0, 0.0]], None])
def test_a_wrong_kind_is_a_type_error(value: Any) -> None:
    with pytest.raises(InputTypeError, match=r"xy: expected a NumPy array float32 \[P, 17, 2\]"):
        Poses(xy=value, score=make_poses().score, box=make_poses().box, skeleton=COCO)


def test_an_unknown_joint_is_none_in_json() -> None:
    poses = make_poses(1)
    poses.xy[0, 4] = np.nan
    record = json.loads(json.dumps(poses.to_dict(), allow_nan=False))
    (person,) = record["people"]
    assert person["joints"]["right_ear"] is None
    assert person["joints"]["nose"] == pytest.approx([*poses.xy[0, 0], poses.score[0, 0]])
    assert person["box"] == pytest.approx(poses.box[0])
