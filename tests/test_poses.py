"""Poses: checked when made, and handy afterwards."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.poses import Boxes, Poses

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_person_scores_the_mean_of_the_joints_unless_told() -> None:
    poses = make_poses()
    np.testing.assert_array_equal(poses.person_score, poses.score.mean(axis=1))
    own = Poses(poses.xy, poses.score, poses.box, COCO, np.float32([0.1, 0.2, 0.3]))
    assert own[1:].person_score.tolist() == pytest.approx([0.2, 0.3])
    with pytest.raises(InputError, match=r"person_score: expected .*\[3\]"):
        Poses(poses.xy, poses.score, poses.box, COCO, np.zeros(2, np.float32))


def test_places_in_the_world_come_along() -> None:
    poses = make_poses()
    world = np.arange(3 * 17 * 3, dtype=np.float32).reshape(3, 17, 3)
    world[2, 1] = np.nan
    placed = replace(poses, world_m=world)
    np.testing.assert_array_equal(placed[np.array([2, 0])].world_m, world[[2, 0]])
    people = placed.to_dict()["people"]
    assert people[0]["world_m"]["left_eye"] == [3.0, 4.0, 5.0]
    assert people[2]["world_m"]["left_eye"] is None
    assert "world_m" not in poses.to_dict()["people"][0]
    with pytest.raises(InputError, match="world_m"):
        replace(poses, world_m=world[:2])


def test_coco_reads_its_records(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    poses = make_poses(2)
    poses.xy[0, 3] = np.nan
    records = poses.to_coco(7)
    assert records[0]["keypoints"][9:12] == [0.0, 0.0, 0.0]
    x1, y1, x2, y2 = poses.box[1].tolist()
    assert records[1]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1])
    truth = {"images": [{"id": 7}], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for name, content in (("truth.json", truth), ("found.json", records)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    found = coco.COCO(tmp_path / "truth.json").loadRes(str(tmp_path / "found.json"))
    assert [each["score"] for each in found.anns.values()] == pytest.approx(poses.person_score)


def test_supervision_gets_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("supervision")
    library.KeyPoints = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", library)
    poses = make_poses(2)
    poses.xy[1, 0] = np.nan
    points = poses.to_supervision()
    np.testing.assert_array_equal(points.xy[0], poses.xy[0])
    assert points.xy[1, 0].tolist() == [0, 0]
    assert points.confidence[1, 0] == 0
    assert points.class_id.tolist() == [0, 0]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        poses.to_supervision()


def test_poses_draw_themselves() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: the extra `cpu`")
    black = np.zeros((100, 100, 3), np.uint8)
    assert make_poses(1).draw(black, threshold=0.0).any()
    assert not black.any()


def test_boxes_are_checked_when_made() -> None:
    boxes = Boxes(np.zeros((2, 4), np.float32), np.zeros(2, np.float32))
    assert len(boxes) == 2
    with pytest.raises(InputError, match="score"):
        Boxes(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))
    with pytest.raises(InputError, match="axis"):
        Boxes(boxes.box, boxes.score, np.zeros((2, 2), np.float32))
