"""Coordinates straight from a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyposefast.decoders import Instances, Regression
from pyposefast.errors import InputError, InputTypeError
from pyposefast.skeletons import load

SIZE = (100, 200)  # height, width


def test_fractions_are_of_the_sides_and_count_from_the_edges() -> None:
    # The middle of 200 x 100 pixels is between pixels 99 and 100, and 49 and 50.
    points = Regression(2)(np.array([[[0.5, 0.5], [0.0, 1.0]]], np.float32), size=SIZE)
    np.testing.assert_allclose(points.xy, [[[99.5, 49.5], [-0.5, 99.5]]])
    assert points.score.tolist() == [[1.0, 1.0]]
    assert points.grid == SIZE


def test_y_may_come_first_with_a_score_behind() -> None:
    rows = np.array(
        [[[[0.25, 0.75, 0.9], [0.5, 0.5, 0.0]]]], np.float32
    )  # as MoveNet: [1, 1, K, 3]
    points = Regression(2, order="yx", per_joint=3)(rows, size=SIZE)
    np.testing.assert_allclose(points.xy[0, 0], [149.5, 24.5])
    assert points.found.tolist() == [[1, 0]]
    np.testing.assert_allclose(points.score, [[0.9, 0.0]], rtol=1e-6)


def test_pixels_logits_and_joints_that_are_not_ours() -> None:
    rows = np.zeros((2, 3 * 5), np.float32)  # as BlazePose: more joints than the skeleton's
    rows[:, 5:10] = [10, 20, 0, 2.0, -1.0]
    decode = Regression(2, units="pixels", per_joint=5, score="logit", score_at=3)
    points = decode(rows, size=SIZE, person_score=np.array([[0.75], [0.25]], np.float32))
    assert points.xy.shape == (2, 2, 2)
    np.testing.assert_allclose(points.xy[:, 1], [[9.5, 19.5]] * 2)
    np.testing.assert_allclose(points.score[0], [0.5, 1 / (1 + np.exp(-2.0))], rtol=1e-6)
    assert points.person_score is not None
    assert points.person_score.tolist() == [0.75, 0.25]


def test_centred_fractions_count_from_the_middle() -> None:
    points = Regression(1, units="centred")(np.array([[0.0, -0.5]], np.float32), size=SIZE)
    np.testing.assert_allclose(points.xy, [[[99.5, -0.5]]])


def test_places_in_the_world_come_along() -> None:
    world = np.arange(9, dtype=np.float32)[None]
    points = Regression(2)(np.zeros((1, 4), np.float32), size=SIZE, world=world)
    assert points.world_m is not None
    np.testing.assert_array_equal(points.world_m, [[[0, 1, 2], [3, 4, 5]]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_joint(bad: float) -> None:
    rows = np.array([[[0.5, 0.5, 0.9], [bad, 0.5, 0.9], [0.5, 0.5, bad]]], np.float32)
    points = Regression(3, per_joint=3)(rows, size=SIZE)
    assert points.found.tolist() == [[1, 0, 0]]
    assert np.isfinite(points.xy).all()
    assert points.score[0, 1:].tolist() == [0, 0]


def test_logits_of_any_size_do_not_warn() -> None:
    rows = np.array([[[0, 0, 1e30], [0, 0, -1e30], [0, 0, 0]]], np.float32)
    points = Regression(3, per_joint=3, score="logit")(rows, size=SIZE)
    np.testing.assert_allclose(points.score, [[1.0, 0.0, 0.5]])


def test_nobody_is_an_ordinary_result() -> None:
    points = Regression(17)(np.zeros((0, 17, 2), np.float32), size=SIZE)
    assert points.xy.shape == (0, 17, 2)


@pytest.mark.parametrize("shape", [(1, 3), (1, 5), (4,), (1, 0)])
def test_too_few_values_name_the_output(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="points: expected"):
        Regression(2)(np.zeros(shape, np.float32), size=SIZE)


@pytest.mark.parametrize(
    ("settings", "kind", "argument"),
    [
        ({"order": "zx"}, InputError, "order"),
        ({"units": "cm"}, InputError, "units"),
        ({"score": "maybe"}, InputError, "score"),
        ({"per_joint": 1}, InputError, "per_joint"),
        ({"per_joint": 3, "score_at": 3}, InputError, "score_at"),
        ({"threshold": "high"}, InputTypeError, "threshold"),
        ({"joints": 0}, InputError, "joints"),
    ],
)
def test_settings_are_checked_by_name(
    settings: dict[str, Any], kind: type[Exception], argument: str
) -> None:
    with pytest.raises(kind, match=f"^{argument}: "):
        Regression(**{"joints": 17, **settings})


def test_torch_outputs_are_read_too() -> None:
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    points = Regression(1)(torch.full((1, 2), 0.5), size=SIZE)
    np.testing.assert_allclose(points.xy, [[[99.5, 49.5]]])


def test_instances_go_back_to_the_picture_surest_first() -> None:
    skeleton = load("coco17")
    boxes = np.array([[[0, 0, 10, 20, 0.5], [5, 5, 6, 6, 0.1], [2, 2, 4, 8, 0.9]]], np.float32)
    joints = np.full((1, 3, 17, 3), 0.5, np.float32)
    joints[0, 2, 0] = [3, 4, 0.8]
    joints[0, 2, 1] = [3, np.nan, 0.8]
    twice = np.array([[[2.0, 0, 0.5], [0, 2.0, 0.5]]])  # pictures are twice as large
    (poses,) = Instances(skeleton)(boxes, joints, twice)
    np.testing.assert_allclose(poses.person_score, [0.9, 0.5])
    np.testing.assert_allclose(poses.box, [[4, 4, 8, 16], [0, 0, 20, 40]])
    np.testing.assert_allclose(poses.xy[0, 0], [5.5, 7.5])  # 3 -> 6 from the edge
    assert np.isnan(poses.xy[0, 1]).all()
    assert poses.score[0, 1] == 0


def test_instances_of_one_person_are_one_where_the_network_does_not_see_to_it() -> None:
    boxes = np.array([[[0, 0, 10, 20, 0.5], [0, 0, 10, 19, 0.9], [30, 0, 40, 20, 0.4]]], np.float32)
    joints = np.full((1, 3, 17, 3), 0.5, np.float32)
    as_it_is = np.eye(2, 3)[None]
    (all_of_them,) = Instances(load("coco17"))(boxes, joints, as_it_is)
    (poses,) = Instances(load("coco17"), overlap=0.45)(boxes, joints, as_it_is)
    assert len(all_of_them) == 3
    np.testing.assert_allclose(poses.person_score, [0.9, 0.4])


def test_instances_of_another_skeleton_are_refused() -> None:
    with pytest.raises(InputError, match=r"joints: expected \[N, n, 17, 3\]"):
        Instances(load("coco17"))(
            np.zeros((1, 1, 5), np.float32),
            np.zeros((1, 1, 14, 3), np.float32),
            np.zeros((1, 2, 3)),
        )
