"""PCP: by hand where the right value is plain to see, and against plain loops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from reference import metrics as reference

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import PCP, pcp

COCO = skeletons.load("coco17")
ARM = {"arm": ("left_shoulder", "left_elbow")}
SHOULDER, ELBOW = COCO.index("left_shoulder"), COCO.index("left_elbow")


def arm(first: Any, second: Any, **settings: Any) -> PCP:
    """One arm of 100 px, from (0, 0) to (100, 0), whose ends are found so far away."""
    truth = np.zeros((1, 17, 2))
    truth[0, ELBOW] = [100, 0]
    xy = truth.copy()
    xy[0, SHOULDER] += first
    xy[0, ELBOW] += second
    labelled = np.ones((1, 17), bool)
    return pcp(xy, truth=truth, labelled=labelled, skeleton=COCO, limbs=ARM, **settings)


# ---- worked by hand ------------------------------------------------------------------------------


def test_strict_needs_both_ends_within_half_of_the_limb() -> None:
    assert arm([0, 50], [0, -50]).mean == 1
    assert arm([0, 50.1], [0, 0]).mean == 0
    assert arm([0, 0], [50.1, 0]).mean == 0


def test_loose_needs_the_mean_of_both_errors() -> None:
    assert arm([0, 99], [0, 0], strict=False).mean == 1
    assert arm([0, 99], [0, 2], strict=False).mean == 0


def test_the_factor_can_be_another() -> None:
    assert arm([0, 20], [0, 20], factor=0.2).mean == 1
    assert arm([0, 20.1], [0, 20], factor=0.2).mean == 0


@pytest.mark.parametrize("strict", [True, False])
def test_an_end_that_was_not_found_is_wrong(*, strict: bool) -> None:
    for missing in (np.nan, np.inf, -np.inf):
        assert arm([missing, 0], [0, 0], strict=strict).mean == 0


def test_arms_and_legs_are_reported_by_name() -> None:
    random = np.random.default_rng(0)
    truth = random.uniform(0, 100, (3, 17, 2))
    labelled = np.ones((3, 17), bool)
    labelled[:, COCO.index("left_wrist")] = False
    figures = pcp(truth, truth=truth, labelled=labelled, skeleton=COCO)
    written = json.loads(json.dumps(figures.to_dict()))
    assert written["rule"] == "strict"
    assert written["limbs"]["right_lower_leg"] == {"share": 1, "count": 3}
    assert written["limbs"]["left_lower_arm"] == {"share": None, "count": 0}
    assert len(written["limbs"]) == 8
    assert written["mean"] == 1


def test_a_limb_of_no_length_is_left_out_and_counted() -> None:
    zeros = np.zeros((1, 17, 2))
    figures = pcp(zeros, truth=zeros, labelled=np.ones((1, 17), bool), skeleton=COCO, limbs=ARM)
    assert (figures.left_out, figures.count.tolist()) == (1, [0])
    assert np.isnan(figures.mean)


def test_nobody_gives_no_figure() -> None:
    empty = np.zeros((0, 17, 2))
    figures = pcp(empty, truth=empty, labelled=np.zeros((0, 17), bool), skeleton=COCO)
    assert np.isnan(figures.mean)
    assert figures.to_dict()["mean"] is None


# ---- against plain loops -------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_shares_are_those_of_plain_loops(seed: int, *, strict: bool) -> None:
    random = np.random.default_rng(seed)
    truth = random.uniform(0, 100, (50, 17, 2))
    xy = truth + random.normal(0, 20, truth.shape)
    xy[random.random((50, 17)) < 0.05] = np.nan
    labelled = random.random((50, 17)) > 0.2
    truth[~labelled] = np.nan
    figures = pcp(xy, truth=truth, labelled=labelled, skeleton=COCO, strict=strict)
    limbs = [(5, 7), (6, 8), (7, 9), (8, 10), (11, 13), (12, 14), (13, 15), (14, 16)]
    right, judged = reference.right_limbs(xy, truth, labelled, limbs, strict=strict, factor=0.5)
    np.testing.assert_array_equal(figures.per_limb, np.divide(right, judged))
    assert figures.count.tolist() == judged
    assert figures.mean == sum(right) / sum(judged)
    assert 0.2 < figures.mean < 0.95


# ---- what cannot be measured ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limbs": {}}, "limbs: expected at least one"),
        ({"limbs": ["arm"]}, "limbs: expected a dict"),
        ({"limbs": {"arm": ("left_shoulder",)}}, r"limbs\['arm'\]: expected two joints"),
        ({"limbs": {"arm": ("left_shoulder", "tail")}}, r"limbs\['arm'\]: expected some of"),
        ({"factor": -1}, "factor: expected"),
        ({"strict": "loose"}, "strict: expected True or False"),
    ],
)
def test_wrong_arguments_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    zeros, labelled = np.zeros((1, 17, 2)), np.ones((1, 17), bool)
    with pytest.raises((InputError, InputTypeError), match=f"^{message}"):
        pcp(zeros, truth=zeros, labelled=labelled, skeleton=COCO, **changes)


def test_a_skeleton_without_arms_and_legs_has_no_limbs() -> None:
    dot = skeletons.Skeleton("dot", ("nose",), (), (), (0.1,))
    zeros, labelled = np.zeros((1, 1, 2)), np.ones((1, 1), bool)
    with pytest.raises(InputError, match=r"limbs: expected at least one, got none, .* dot"):
        pcp(zeros, truth=zeros, labelled=labelled, skeleton=dot)
