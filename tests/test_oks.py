"""The benchmarks' average precision: COCO's rules one by one, and COCO's own program."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oks import Found, Truth, evaluate, read_truths

from pyposefast import skeletons

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SIGMAS = skeletons.load("coco17").sigmas
SHAPE = np.random.default_rng(0).uniform([0, 0], [40, 90], (17, 2))  # one pose, [K, 2]


def truth(*people: Floats, area: float = 2500, crowds: tuple[int, ...] = ()) -> Truth:
    """People whose joints are all labelled; crowds have none."""
    count = len(people)
    joints = np.zeros((count, 17, 3))
    box = np.zeros((count, 4))
    for one, xy in enumerate(people):
        joints[one, :, :2] = xy
        joints[one, :, 2] = one not in crowds
        box[one] = [*xy.min(0), *np.ptp(xy, axis=0)]
    is_crowd = np.isin(np.arange(count), crowds)
    return Truth(joints, box, np.full(count, area), is_crowd)


def found(*people: Floats, score: tuple[float, ...]) -> Found:
    return Found(np.array(people).reshape(-1, 17, 2), np.array(score))


def ap50(there: Truth, here: Found) -> float:
    return evaluate({1: there}, {1: here}, SIGMAS).ap50


def test_the_truth_itself_scores_one() -> None:
    figures = evaluate(
        {1: truth(SHAPE, SHAPE + 200)}, {1: found(SHAPE, SHAPE + 200, score=(0.3, 0.2))}, SIGMAS
    )
    assert figures.ap == figures.ap50 == figures.ar == figures.ap_medium == pytest.approx(1)
    assert np.isnan(figures.ap_large)  # nobody is large


def test_similarity_falls_off_as_published() -> None:
    # All joints off by the same part of their own sigma: OKS = exp(-part^2 / 8), because the
    # published constant is twice the sigma.
    there = truth(SHAPE, area=2500)
    for oks, at in ((0.76, 0.75), (0.74, 0.70), (0.51, 0.50), (0.49, None)):
        part = np.sqrt(-8 * np.log(oks))
        away = SHAPE + np.array(SIGMAS)[:, None] * [[50 * part, 0]]
        figures = evaluate({1: there}, {1: found(away, score=(1.0,))}, SIGMAS)
        thresholds = 0 if at is None else round((at - 0.5) / 0.05) + 1
        assert figures.ar == pytest.approx(thresholds / 10)


def test_one_wrong_person_costs_only_where_he_is_surer() -> None:
    there, far = truth(SHAPE), SHAPE + 500
    assert ap50(there, found(SHAPE, far, score=(0.9, 0.1))) == pytest.approx(1)
    assert ap50(there, found(SHAPE, far, score=(0.1, 0.9))) == pytest.approx(0.5)


def test_a_second_answer_for_the_same_person_is_wrong() -> None:
    there = truth(SHAPE, SHAPE + 500)
    assert ap50(there, found(SHAPE, SHAPE, SHAPE + 500, score=(0.9, 0.8, 0.7))) == pytest.approx(
        (51 + 50 * 2 / 3) / 101
    )


def test_people_found_in_a_crowd_count_neither_way() -> None:
    there = truth(SHAPE, SHAPE + 500, crowds=(1,))
    people = found(SHAPE, SHAPE + 500, SHAPE + 510, score=(0.1, 0.8, 0.9))
    assert ap50(there, people) == pytest.approx(1)


def test_a_joint_that_was_not_found_counts_as_missed() -> None:
    half = SHAPE + 1000
    half[:9] = np.nan
    figures = evaluate({1: truth(SHAPE + 1000)}, {1: found(half, score=(1.0,))}, SIGMAS)
    assert figures.ar == 0  # OKS is 8/17, under the lowest threshold
    half[8] = SHAPE[8] + 1000
    figures = evaluate({1: truth(SHAPE + 1000)}, {1: found(half, score=(1.0,))}, SIGMAS)
    assert figures.ar == pytest.approx(0.1)


def test_only_the_twenty_surest_of_a_picture_count() -> None:
    people = [SHAPE + 100 * one for one in range(21)]
    scores = tuple(np.linspace(0.5, 0.1, 21))
    figures = evaluate({1: truth(*people)}, {1: found(*people, score=scores)}, SIGMAS)
    assert figures.ar == pytest.approx(20 / 21)


def test_nobody_found_scores_zero() -> None:
    figures = evaluate({1: truth(SHAPE)}, {1: found(score=())}, SIGMAS)
    assert (figures.ap, figures.ar) == (0, 0)


# ---- COCO's own program --------------------------------------------------------------------------


def random_record(seed: int) -> tuple[dict[str, Any], dict[int, Found]]:
    """Pictures with crowds, unlabelled and small people, and answers with misses and ties."""
    random = np.random.default_rng([12, seed])
    annotations: list[dict[str, Any]] = []
    answers: dict[int, Found] = {}
    pictures = range(1, 9)
    for picture in pictures:
        poses = []
        for _ in range(random.integers(0, 12)):
            size = random.uniform(0.3, 3)
            xy = SHAPE * size + random.uniform(0, 600, 2)
            labels = random.choice([0, 1, 2], 17) * (random.random() > 0.2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": 1,
                    "iscrowd": int(random.random() < 0.15),
                    "area": float(random.uniform(0.3, 0.8) * np.ptp(xy, axis=0).prod()),
                    "bbox": [*xy.min(0).tolist(), *np.ptp(xy, axis=0).tolist()],
                    "num_keypoints": int((labels > 0).sum()),
                    "keypoints": np.column_stack([xy * (labels > 0)[:, None], labels])
                    .ravel()
                    .tolist(),
                }
            )
            for _ in range(random.integers(0, 4)):
                near = xy + random.normal(0, random.choice([0.5, 3, 10]) * size, (17, 2))
                near[random.random(17) < 0.1] = np.nan
                poses.append(near)
        scores = np.round(random.uniform(0, 1, len(poses)), 1)
        answers[picture] = Found(np.array(poses).reshape(-1, 17, 2), scores)
    record = {
        "info": {},
        "images": [{"id": picture, "file_name": f"{picture}.jpg"} for picture in pictures],
        "categories": [{"id": 1, "name": "person", "keypoints": ["joint"] * 17}],
        "annotations": annotations,
    }
    return record, answers


@pytest.mark.parametrize("seed", range(6))
def test_figures_are_those_of_cocos_own_program(seed: int, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="the comparison needs pycocotools")
    from pycocotools.cocoeval import COCOeval

    record, answers = random_record(seed)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(record))
    files, truths = read_truths(path)
    assert files == {picture: f"{picture}.jpg" for picture in answers}
    results = [
        {
            "image_id": picture,
            "category_id": 1,
            "keypoints": np.column_stack([np.nan_to_num(xy), np.full(17, 2)]).ravel().tolist(),
            "score": float(score),
        }
        for picture, people in answers.items()
        for xy, score in zip(people.xy, people.score, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO(str(path))
        program = COCOeval(there, there.loadRes(results), "keypoints")
        program.evaluate()
        program.accumulate()
        program.summarize()
    figures = astuple(evaluate(truths, answers, SIGMAS))
    assert 0.1 < figures[0] < 0.9  # neither all right nor all wrong
    np.testing.assert_allclose(figures, program.stats, rtol=0, atol=1e-12)
