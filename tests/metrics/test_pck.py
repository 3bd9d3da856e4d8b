"""PCK, PCKh and PDJ: by hand where the right value is plain to see, and against plain loops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from reference import metrics as reference

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import PCK, box_size, head_size, pck, pckh, pdj, torso_size

COCO, MPII = skeletons.load("coco17"), skeletons.load("mpii16")
SHOULDER, HIP = COCO.index("left_shoulder"), COCO.index("right_hip")


def people(count: int, seed: int = 0, joints: int = 17) -> dict[str, Any]:
    """Found joints near the true ones, some missing, some without a label."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0, 200, (count, joints, 2))
    xy = truth + random.normal(0, 15, truth.shape)
    missing = random.random((count, joints))
    xy[missing < 0.05] = np.nan
    xy[missing > 0.97] = np.inf
    labelled = random.random((count, joints)) > 0.2
    truth[~labelled & (random.random((count, joints)) < 0.5)] = np.nan
    return {"xy": xy, "truth": truth, "labelled": labelled}


def one_person(away: float, **changes: Any) -> dict[str, Any]:
    """Joints 10 px apart on a line, all found so many pixels too low."""
    truth = np.zeros((1, 17, 2))
    truth[0, :, 0] = 10 * np.arange(17)
    settings = {"truth": truth, "labelled": np.ones((1, 17), bool), "skeleton": COCO}
    return {"xy": truth + np.array([0, away]), **settings, **changes}


def measured(**settings: Any) -> PCK:
    return pck(settings.pop("xy"), **settings)


# ---- worked by hand ------------------------------------------------------------------------------


def test_a_joint_is_right_up_to_the_factor_of_the_size_and_there_too() -> None:
    assert measured(**one_person(20), scale=[100], factor=0.2).mean == 1
    assert measured(**one_person(20), scale=[100], factor=0.19).mean == 0
    assert measured(**one_person(20.001), scale=[100], factor=0.2).mean == 0


def test_every_judged_joint_weighs_the_same() -> None:
    # Person 0 has one label, right; person 1 all seventeen, wrong.
    labelled = np.zeros((2, 17), bool)
    labelled[0, 3] = labelled[1] = True
    truth = np.zeros((2, 17, 2))
    xy = truth + np.array([[[0, 0]], [[50, 0]]])
    figures = pck(xy, truth=truth, labelled=labelled, scale=[10, 10], skeleton=COCO)
    assert figures.mean == pytest.approx(1 / 18)
    assert figures.per_joint[3] == 0.5
    assert figures.count.tolist() == [1] * 3 + [2] + [1] * 13


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_joint_that_was_not_found_is_wrong(missing: float) -> None:
    settings = one_person(0)
    settings["xy"][0, 4, 1] = missing
    figures = measured(**settings, scale=[100], factor=1e6)
    assert figures.mean == pytest.approx(16 / 17)
    assert figures.error[0, 4] == np.inf


def test_joints_without_a_label_are_not_judged_wherever_they_are() -> None:
    settings = one_person(0)
    settings["labelled"][0, 4] = False
    settings["truth"][0, 4] = np.nan
    figures = measured(**settings, scale=[100])
    assert figures.mean == 1
    assert figures.count[4] == 0
    assert np.isnan(figures.per_joint[4])


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf])
def test_people_without_a_size_are_left_out_and_counted(size: float) -> None:
    figures = measured(**one_person(0), scale=[size])
    assert np.isnan(figures.mean)
    assert figures.left_out == 1
    assert figures.count.sum() == 0
    assert figures.to_dict()["mean"] is None


def test_nobody_gives_no_figure() -> None:
    empty = np.zeros((0, 17, 2))
    labelled = np.zeros((0, 17), bool)
    figures = pck(empty, truth=empty, labelled=labelled, scale=[], skeleton=COCO)
    assert np.isnan(figures.mean)
    assert np.isnan(figures.curve).all()
    assert figures.left_out == 0
    assert "NaN" not in json.dumps(figures.to_dict())


def test_pdj_measures_in_torsos_from_left_shoulder_to_right_hip() -> None:
    # 5 to 12 on the line: a torso of 70 px, of which 0.2 are 14.
    assert (SHOULDER, HIP) == (5, 12)
    assert pdj(**one_person(13.9)).mean == 1
    figures = pdj(**one_person(14.1))
    assert (figures.name, figures.factor, figures.mean) == ("PDJ", 0.2, 0)
    settings = one_person(0)
    settings["labelled"][0, HIP] = False
    assert pdj(**settings).left_out == 1
    settings = one_person(0)
    settings["truth"][0, HIP] = settings["truth"][0, SHOULDER]
    assert pdj(**settings).left_out == 1  # a torso of no length


def test_pckh_measures_in_heads_and_leaves_pelvis_and_thorax_out_of_the_mean() -> None:
    truth = np.zeros((1, 16, 2))
    xy = truth + np.array([14.9, 0])
    for joint in ("pelvis", "thorax"):
        xy[0, MPII.index(joint)] = 1000
    # A diagonal of 50, of which 0.6 are 30; within half of that.
    settings = {"truth": truth, "labelled": np.ones((1, 16), bool), "skeleton": MPII}
    figures = pckh(xy, head_box=[(0, 0, 30, 40)], **settings)
    assert (figures.name, figures.mean, figures.at(0.1)) == ("PCKh", 1, 0)
    assert figures.per_joint[MPII.index("thorax")] == 0
    assert figures.to_dict()["at"] == {"0.5": 1, "0.1": 0}
    assert pckh(xy + np.array([0.2, 0]), head_box=[(0, 0, 30, 40)], **settings).mean == 0
    assert pckh(xy, head_box=[(0, 0, 0, 0)], **settings).left_out == 1
    assert pckh(xy, head_box=[[np.nan] * 4], **settings).left_out == 1


def test_sizes_of_boxes_are_their_longer_sides() -> None:
    assert box_size([(0, 0, 30, 40), (5, 5, 95, 6), (1, 1, 1, 1)]).tolist() == [40, 90, 0]
    assert box_size(np.zeros((0, 4))).shape == (0,)


def test_curves_climb_to_what_can_be_reached() -> None:
    settings = one_person(0)
    settings["xy"][0, :, 1] = np.arange(17) / 100 * 50  # errors of 0, 0.01 ... 0.16 sizes
    settings["xy"][0, 16] = np.nan
    figures = measured(**settings, scale=[50], factors=np.arange(0.005, 0.3, 0.01))
    assert (np.diff(figures.curve) >= 0).all()
    np.testing.assert_allclose(figures.curve, np.minimum(np.arange(1, 31), 16) / 17)
    assert figures.curve_per_joint[:, 16].tolist() == [0] * 30
    assert figures.curve_per_joint[:, 3].tolist() == [0] * 3 + [1] * 27


def test_joints_that_a_network_does_not_know_can_be_left_out() -> None:
    settings = one_person(0)
    settings["xy"][0, :5] = np.nan
    assert measured(**settings, scale=[50]).mean == pytest.approx(12 / 17)
    figures = measured(**settings, scale=[50], joints=COCO.joints[:4:-1])
    assert figures.mean == 1
    assert figures.count.tolist() == [0] * 5 + [1] * 12


# ---- against plain loops -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_shares_are_those_of_plain_loops(seed: int) -> None:
    all_ = people(40, seed)
    torsos = [
        reference.torso(truth, labelled, SHOULDER, HIP)
        for truth, labelled in zip(all_["truth"], all_["labelled"], strict=True)
    ]
    figures = pdj(**all_, skeleton=COCO)
    assert 0.2 < figures.mean < 0.9
    assert figures.left_out == sum(
        size is None and bool(labelled.any())
        for size, labelled in zip(torsos, all_["labelled"], strict=True)
    )
    for place, factor in enumerate(figures.factors):
        right, judged = reference.right_joints(
            all_["xy"], all_["truth"], all_["labelled"], torsos, factor
        )
        assert figures.curve[place] == sum(right) / sum(judged)
        np.testing.assert_array_equal(figures.curve_per_joint[place], np.divide(right, judged))
        assert figures.at(factor) == figures.curve[place]
    assert figures.mean == figures.curve[20]
    assert figures.count.tolist() == judged


@pytest.mark.parametrize("seed", range(5))
def test_sizes_are_those_of_plain_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 100, (20, 2))
    box = np.concatenate([low, low + random.uniform(0, 50, (20, 2))], axis=-1)
    # One root and one product in another order, each good to 2**-53.
    close = {"rtol": 4 * 2**-53, "atol": 0}
    np.testing.assert_allclose(head_size(box), [reference.head(one) for one in box], **close)
    np.testing.assert_array_equal(box_size(box), [reference.longer_side(one) for one in box])
    all_ = people(20, seed)
    sizes = torso_size(all_["truth"], labelled=all_["labelled"], skeleton=COCO)
    for size, truth, labelled in zip(sizes, all_["truth"], all_["labelled"], strict=True):
        expected = reference.torso(truth, labelled, SHOULDER, HIP)
        assert np.isnan(size) if expected is None else size == pytest.approx(expected, rel=1e-15)


# ---- properties ----------------------------------------------------------------------------------


def test_moving_everything_moves_no_figure() -> None:
    all_ = people(30)
    there = pdj(**all_, skeleton=COCO)
    moved = pdj(all_["xy"] + 64, truth=all_["truth"] + 64, labelled=all_["labelled"], skeleton=COCO)
    assert moved.mean == there.mean


def test_inputs_are_left_alone() -> None:
    all_ = people(30)
    before = {key: value.copy() for key, value in all_.items()}
    pdj(**all_, skeleton=COCO)
    for key, value in before.items():
        np.testing.assert_array_equal(all_[key], value)


# ---- what cannot be measured ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xy": np.zeros((1, 16, 2))}, r"xy: expected numbers \[P, 17, 2\], got float64 \[1, 16"),
        ({"truth": np.zeros((2, 17, 2))}, "truth: expected"),
        ({"labelled": np.ones((1, 17))}, "labelled: expected bool"),
        ({"xy": np.array([["a"]])}, "xy: expected numbers"),
        ({"xy": [[1.0], [1.0, 2.0]]}, "xy: expected numbers"),
        ({"truth": np.full((1, 17, 2), np.nan)}, "truth: expected finite values"),
        ({"truth": np.full((1, 17, 2), 1e300)}, "truth: expected finite values"),
        ({"scale": [-1.0]}, "scale: expected sizes from 0"),
        ({"scale": [1.0, 2.0]}, r"scale: expected numbers \[1\]"),
        ({"factor": -0.1}, "factor: expected"),
        ({"factor": np.nan}, "factor: expected"),
        ({"factors": []}, "factors: expected"),
        ({"factors": [0.2, 0.1]}, "factors: expected"),
        ({"headlines": [np.inf]}, "headlines: expected"),
        ({"joints": ["tail"]}, "joints: expected"),
        ({"joints": ["nose", "nose"]}, "joints: expected"),
        ({"not_in_mean": ["tail"]}, "not_in_mean: expected"),
        ({"skeleton": "coco17"}, "skeleton: expected a Skeleton"),
    ],
)
def test_wrong_arguments_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=f"^{message}"):
        measured(**{"scale": [10.0], **one_person(0), **changes})


def test_boxes_that_are_inside_out_are_refused() -> None:
    with pytest.raises(InputError, match="head_box: expected x1 y1 x2 y2"):
        head_size([(5, 5, 4, 9)])
    with pytest.raises(InputError, match="box: expected finite"):
        box_size([(0, 0, np.nan, 9)])


def test_a_torso_needs_its_joints() -> None:
    dot = skeletons.Skeleton("dot", ("nose",), (), (), (0.1,))
    with pytest.raises(InputError, match=r"skeleton: expected .* 'left_shoulder'"):
        torso_size(np.zeros((1, 1, 2)), labelled=np.ones((1, 1), bool), skeleton=dot)
