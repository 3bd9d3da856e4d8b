"""Average precision of joints: COCO's rules one by one, and COCO's own program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import coco_sets
from reference.coco_sets import SHAPE

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import KeypointAP, Truth, Truths, keypoint_ap, read_coco
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from pathlib import Path

COCO = skeletons.load("coco17")
SIGMAS = np.array(COCO.sigmas)
FIGURES = ("", "50", "75", "_medium", "_large")
NAMES = [f"ap{figure}" for figure in FIGURES] + [f"ar{figure}" for figure in FIGURES]
ONE = pytest.approx(1, rel=1e-15)  # COCO adds 2**-52 to what it divides by


def truth(*people: Any, area: float = 2500, crowds: tuple[int, ...] = ()) -> Truths:
    """People whose joints are all labelled; crowds have none."""
    xy = np.array(people).reshape(-1, 17, 2)
    box = np.concatenate([xy.min(1), xy.max(1)], axis=-1)
    is_crowd = np.isin(np.arange(len(xy)), crowds)
    seen = np.repeat(2 * ~is_crowd[:, None], 17, axis=1).astype(np.uint8)
    one = Truth(1, "1.jpg", (480, 640), box, np.full(len(xy), area), xy, seen, is_crowd, COCO)
    return Truths((one,), COCO)


def found(*people: Any, score: tuple[float, ...]) -> dict[int, Poses]:
    return {1: poses(np.array(people).reshape(-1, 17, 2), np.array(score))}


def poses(xy: Any, score: Any, skeleton: skeletons.Skeleton = COCO) -> Poses:
    return Poses(
        xy=np.asarray(xy, np.float32),
        score=np.full(xy.shape[:2], 0.5, np.float32),
        box=np.zeros((len(xy), 4), np.float32),
        skeleton=skeleton,
        person_score=np.asarray(score, np.float32),
    )


def ap50(there: Truths, here: dict[int, Poses]) -> float:
    return keypoint_ap(there, here).ap50


# ---- the rules, worked by hand -------------------------------------------------------------------


def test_the_truth_itself_scores_one() -> None:
    there = truth(SHAPE, SHAPE + 200)
    figures = keypoint_ap(there, found(SHAPE, SHAPE + 200, score=(0.3, 0.2)))
    # float32 places are off by up to 2e-5 pixels, which no threshold notices.
    assert figures.mean == figures.ap == figures.ap50 == pytest.approx(1)
    assert figures.ar == figures.ap_medium == pytest.approx(1)
    assert figures.ap_large == figures.ar_large == -1  # nobody is large
    assert figures.people == 2


def test_similarity_falls_off_as_published() -> None:
    # All joints off by the same part of their own sigma: OKS = exp(-part^2 / 8), because the
    # published constant is twice the sigma.
    there = truth(SHAPE, area=2500)
    for oks, at in ((0.76, 0.75), (0.74, 0.70), (0.51, 0.50), (0.49, None)):
        part = np.sqrt(-8 * np.log(oks))
        away = SHAPE + SIGMAS[:, None] * [[50 * part, 0]]
        figures = keypoint_ap(there, found(away, score=(1.0,)))
        thresholds = 0 if at is None else round((at - 0.5) / 0.05) + 1
        assert figures.ar == pytest.approx(thresholds / 10)


def test_one_wrong_person_costs_only_where_he_is_surer() -> None:
    there, far = truth(SHAPE), SHAPE + 500
    assert ap50(there, found(SHAPE, far, score=(0.9, 0.1))) == pytest.approx(1)
    assert ap50(there, found(SHAPE, far, score=(0.1, 0.9))) == pytest.approx(0.5)


def test_a_second_answer_for_the_same_person_is_wrong() -> None:
    there = truth(SHAPE, SHAPE + 500)
    here = found(SHAPE, SHAPE, SHAPE + 500, score=(0.9, 0.8, 0.7))
    assert ap50(there, here) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_people_found_in_a_crowd_count_neither_way() -> None:
    there = truth(SHAPE, SHAPE + 500, crowds=(1,))
    assert ap50(there, found(SHAPE, SHAPE + 500, SHAPE + 510, score=(0.1, 0.8, 0.9))) == ONE
    assert keypoint_ap(there, {}).people == 1


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_joint_that_was_not_found_counts_as_missed(missing: float) -> None:
    half = SHAPE + 1000
    half[:9] = missing
    assert keypoint_ap(truth(SHAPE + 1000), found(half, score=(1.0,))).ar == 0  # OKS is 8/17
    half[8] = SHAPE[8] + 1000
    assert keypoint_ap(truth(SHAPE + 1000), found(half, score=(1.0,))).ar == pytest.approx(0.1)


def test_only_the_twenty_surest_of_a_picture_count() -> None:
    people = [SHAPE + 100 * one for one in range(21)]
    figures = keypoint_ap(truth(*people), found(*people, score=tuple(np.linspace(0.5, 0.1, 21))))
    assert figures.ar == pytest.approx(20 / 21)


def test_nobody_found_scores_zero_and_nobody_to_be_found_is_undefined() -> None:
    assert keypoint_ap(truth(SHAPE), found(score=())).ap == 0
    assert keypoint_ap(truth(SHAPE), {}).ar == 0
    for nobody in (truth(), truth(SHAPE, crowds=(0,)), Truths((), COCO)):
        figures = keypoint_ap(nobody, found(SHAPE, score=(1.0,)) if len(nobody) else {})
        assert [getattr(figures, name) for name in NAMES] == [-1] * 10


def test_precision_over_recall_is_given_for_plots() -> None:
    there = truth(SHAPE, SHAPE + 500)
    figures = keypoint_ap(there, found(SHAPE, SHAPE + 900, score=(0.9, 0.8)))
    assert figures.areas == ("all", "medium", "large")
    np.testing.assert_allclose(figures.thresholds, np.arange(0.5, 0.99, 0.05))
    np.testing.assert_allclose(figures.precision[0, 0], np.arange(101) <= 50, rtol=1e-15)
    np.testing.assert_allclose(figures.score[0, 0, [50, 51]], [0.9, 0], rtol=2**-23)
    assert figures.recall[0, 0] == 0.5
    assert json.loads(json.dumps(figures.to_dict()))["ap50"] == pytest.approx(51 / 101)


def test_who_is_surest_is_said_in_the_call() -> None:
    there = truth(SHAPE)
    here = Poses(
        xy=np.array([SHAPE, SHAPE + 500], np.float32),
        score=np.array([[0.9] * 17, [0.1] * 17], np.float32),
        box=np.zeros((2, 4), np.float32),
        skeleton=COCO,
        person_score=np.array([0.1, 0.9], np.float32),
    )
    assert keypoint_ap(there, {1: here}, score="person").ap50 == pytest.approx(0.5)
    assert keypoint_ap(there, {1: here}, score="joints").ap50 == ONE
    assert keypoint_ap(there, {1: here}, score=lambda all_: -all_.person_score).ap50 == ONE


def test_joints_are_told_apart_by_name() -> None:
    other = skeletons.load("openpose_coco18")
    places = other.indices_in(COCO)
    xy = np.full((1, 18, 2), 1e6)
    for joint, place in enumerate(places):
        if place is not None:
            xy[0, joint] = SHAPE[place]
    assert keypoint_ap(truth(SHAPE), {1: poses(xy, [1.0], other)}).ap == ONE


def test_figures_can_be_those_of_some_joints() -> None:
    half = SHAPE + 1000
    half[:9] = np.nan
    there, here = truth(SHAPE + 1000), found(half, score=(1.0,))
    assert keypoint_ap(there, here, joints=COCO.joints[9:]).ap == pytest.approx(1)
    assert keypoint_ap(there, here, joints=COCO.joints[:9]).ap == 0


def test_sigmas_can_be_given() -> None:
    here = found(SHAPE + 3, score=(1.0,))
    # OKS = exp(-(3² + 3²) / (2 sigma)² / 2500 / 2), once far above and once far below 0.5.
    assert keypoint_ap(truth(SHAPE), here, sigmas=[0.5] * 17).ap == ONE
    assert keypoint_ap(truth(SHAPE), here, sigmas=[0.005] * 17).ap == 0


# ---- COCO's own program --------------------------------------------------------------------------


@pytest.mark.parametrize("batch", range(20))
def test_figures_are_those_of_cocos_own_program(batch: int, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the comparison needs pycocotools")
    compared = 0
    for number in range(15):
        random = np.random.default_rng([batch, number])
        record = coco_sets.random_record(random, int(random.integers(1, 7)))
        answers = coco_sets.random_people(random, record, most=60)
        results = [
            {
                "image_id": picture,
                "category_id": 1,
                "keypoints": np.column_stack([np.nan_to_num(xy.astype(float)), np.full(17, 2)])
                .ravel()
                .tolist(),
                "score": float(score),
            }
            for picture, people in answers.items()
            for xy, score in zip(*people, strict=True)
        ]
        if not results:  # COCO's program cannot read an empty list
            continue
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(record))
        figures = keypoint_ap(
            read_coco(path), {picture: poses(*people) for picture, people in answers.items()}
        )
        program = coco_sets.coco_says(record, results, "keypoints")
        compare(figures, program)
        compared += 1
    assert compared > 10


def compare(figures: KeypointAP, program: Any) -> None:
    # Sums of at most 1010 numbers of 0..1, in another order: 1010 * 2**-53.
    exact = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose([getattr(figures, name) for name in NAMES], program.stats, **exact)
    precision = program.eval["precision"][:, :, 0, :, 0].transpose(2, 0, 1)
    np.testing.assert_allclose(figures.precision, precision, **exact)
    np.testing.assert_allclose(figures.recall, program.eval["recall"][:, 0, :, 0].T, **exact)
    scores = program.eval["scores"][:, :, 0, :, 0].transpose(2, 0, 1)
    np.testing.assert_array_equal(figures.score, scores)


def test_the_random_sets_are_neither_easy_nor_hopeless(tmp_path: Path) -> None:
    path, figures = tmp_path / "truth.json", []
    for batch in range(20):
        random = np.random.default_rng([batch, 0])
        record = coco_sets.random_record(random, int(random.integers(1, 7)))
        path.write_text(json.dumps(record))
        answers = coco_sets.random_people(random, record, most=60)
        here = {picture: poses(*people) for picture, people in answers.items()}
        figures.append(keypoint_ap(read_coco(path), here).ap)
    assert 0.1 < np.median(figures) < 0.9
    assert len({round(figure, 6) for figure in figures}) > 10


# ---- what cannot be measured ---------------------------------------------------------------------


def test_answers_for_unknown_pictures_are_refused() -> None:
    with pytest.raises(InputError, match=r"found: expected numbers of the 1 images .* image 7"):
        keypoint_ap(truth(SHAPE), {7: Poses.empty(COCO)})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_without_an_order_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="score: expected finite values"):
        keypoint_ap(truth(SHAPE), found(SHAPE, score=(bad,)))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"score": "box"}, "score"),
        ({"score": lambda _: [1.0, 2.0]}, "score"),
        ({"joints": ["tail"]}, "joints"),
        ({"joints": []}, "joints"),
        ({"joints": "nose"}, "joints"),
        ({"sigmas": [0.1]}, "sigmas"),
        ({"sigmas": [0.0] * 17}, "sigmas"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], names: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=f"^{names}: expected"):
        keypoint_ap(truth(SHAPE), found(SHAPE, score=(1.0,)), **settings)


def test_what_is_no_poses_is_refused() -> None:
    with pytest.raises(InputTypeError, match="found: expected Poses"):
        keypoint_ap(truth(SHAPE), {1: SHAPE})  # type: ignore[dict-item]
    with pytest.raises(InputTypeError, match="found: expected a mapping"):
        keypoint_ap(truth(SHAPE), [Poses.empty(COCO)])  # type: ignore[arg-type]
