"""The skeleton overlay: what it draws, where, and what it leaves alone."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pyposefast import skeletons
from pyposefast.drawing import draw_poses
from pyposefast.errors import InputError, InputTypeError
from pyposefast.poses import Poses

pytest.importorskip("cv2", reason="drawing needs OpenCV: the extra `cpu`")

COCO = skeletons.load("coco17")
GREY = np.full((200, 300, 3), 128, np.uint8)
GREY.setflags(write=False)  # whoever writes into the caller's picture fails here


def make_person(size: float = 1.0) -> Poses:
    """Return one person who faces the camera, `size` times 120 pixels high."""
    xy = np.full((1, 17, 2), np.nan, np.float32)
    places = {
        "left_shoulder": (60, 40), "right_shoulder": (30, 40), "left_elbow": (75, 60),
        "right_elbow": (15, 60), "left_hip": (55, 80), "right_hip": (35, 80),
        "left_knee": (57, 110), "right_knee": (33, 110),
    }  # fmt: skip
    for name, place in places.items():
        xy[0, COCO.index(name)] = place
    score = np.where(np.isfinite(xy[..., 0]), np.float32(0.9), np.float32(0))
    box = np.array([[0, 0, 90, 120]], np.float32)
    return Poses(xy * np.float32(size), score, box * np.float32(size), COCO)


def changed(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    different: npt.NDArray[np.bool_] = (image != GREY).any(-1)
    return different


def test_nobody_gives_an_equal_copy() -> None:
    drawn = draw_poses(GREY, Poses.empty(COCO))
    assert drawn is not GREY
    np.testing.assert_array_equal(drawn, GREY)


def test_limbs_are_drawn_where_they_are_and_nowhere_else() -> None:
    drawn = draw_poses(GREY, make_person())
    assert changed(drawn)[60, 57]  # between left shoulder and hip
    assert changed(drawn)[40, 45]  # between the shoulders
    assert not changed(drawn)[60, 45]  # the middle of the trunk
    assert not changed(drawn)[125:].any()
    assert not changed(drawn)[:, 90:].any()


@pytest.mark.parametrize("name", skeletons.names())
def test_every_skeleton_has_lines_between_the_joints_of_its_limbs_alone(name: str) -> None:
    skeleton = skeletons.load(name)
    count = len(skeleton.joints)
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    box = np.array([[50, 50, 150, 150]], np.float32)
    for first, second in itertools.combinations(range(count), 2):
        xy = np.full((1, count, 2), np.nan, np.float32)
        xy[0, [first, second]] = [[60, 100], [140, 100]]
        score = np.isfinite(xy[..., 0]).astype(np.float32)
        line = changed(draw_poses(GREY, Poses(xy, score, box, skeleton)))
        assert line[100, 60]  # the joint itself
        assert line[100, 100] == (frozenset((first, second)) in limbs)


def test_left_is_warm_and_right_is_cold() -> None:
    drawn = draw_poses(GREY, make_person()).astype(int)
    left, right = drawn[95, 56], drawn[95, 34]  # halfway down the thighs
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50


def test_width_follows_the_size_of_the_person() -> None:
    small, large = make_person(0.8), make_person(1.6)
    ratio = changed(draw_poses(GREY, large)).sum() / changed(draw_poses(GREY, small)).sum()
    assert 2.5 < ratio < 4.5  # twice as long and about twice as wide


def test_low_scores_are_thinner_and_then_gone() -> None:
    def area(score: float) -> int:
        poses = make_person(1.6)
        scores = np.where(poses.score > 0, np.float32(score), np.float32(0))
        return int(changed(draw_poses(GREY, replace(poses, score=scores), threshold=0.2)).sum())

    assert area(0.9) > 1.2 * area(0.25) > 0
    assert area(0.19) == 0


@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e30, -1e9])
def test_places_that_are_none_are_left_out(place: float) -> None:
    poses = make_person()
    xy = poses.xy.copy()
    xy[0, COCO.index("left_knee")] = place
    drawn = draw_poses(GREY, replace(poses, xy=xy))
    assert not changed(drawn)[95, 56]  # the thigh that ends nowhere
    assert changed(drawn)[95, 34]


def test_people_partly_outside_are_drawn_as_far_as_they_are_seen() -> None:
    poses = make_person()
    drawn = draw_poses(GREY, replace(poses, xy=poses.xy + np.float32(-45)))
    assert changed(drawn)[:80, :20].any()


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [9, 9, 1, 1]])
def test_a_box_without_area_is_no_reason_to_fail(box: list[float]) -> None:
    poses = replace(make_person(), box=np.array([box], np.float32))
    assert changed(draw_poses(GREY, poses)).any()


def test_any_strides_are_fine() -> None:
    expected = draw_poses(GREY, make_person())
    padded = np.full((200, 400, 3), 128, np.uint8)
    np.testing.assert_array_equal(draw_poses(padded[:, :300], make_person()), expected)
    np.testing.assert_array_equal(draw_poses(GREY[..., ::-1], make_person()), expected)


@pytest.mark.parametrize(
    ("image", "error", "match"),
    [
        (GREY.astype(np.float32), InputTypeError, "image: expected .*uint8.*got float32"),
        (GREY[..., 0], InputError, r"got uint8 \[200, 300\]"),
        (np.zeros((4, 4, 4), np.uint8), InputError, r"got uint8 \[4, 4, 4\]"),
        ([[1, 2]], InputTypeError, "got list"),
    ],
)
def test_what_is_no_picture_is_refused(image: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        draw_poses(image, make_person())


def test_a_threshold_must_be_a_number() -> None:
    with pytest.raises(InputError, match="threshold: "):
        draw_poses(GREY, make_person(), threshold=float("nan"))


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[cpu\]"'):
        draw_poses(GREY, make_person())
