"""COCO's average precision of joints: people found in images are matched to true ones by OKS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputTypeError
from pyposefast.metrics import average_precision, tables
from pyposefast.metrics.average_precision import LARGEST, MEDIUM, SMALL
from pyposefast.metrics.similarity import joints_of, object_keypoint_similarity
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyposefast.metrics.tables import Floats
    from pyposefast.metrics.truth import Truth, Truths

MOST_PEOPLE = 20  # of an image, the surest; COCO leaves the others out
AREAS = {"all": (0.0, LARGEST), "medium": (SMALL, MEDIUM), "large": (MEDIUM, LARGEST)}

# From the people of an image to how sure each is [P].
ScoreRule: TypeAlias = Literal["person", "joints"] | Callable[[Poses], npt.ArrayLike]


@dataclass(frozen=True, slots=True, eq=False)
class KeypointAP:
    """COCO's ten figures, 0..1, and the curves they come from; -1 where nobody was to be found.

    "Medium" people cover 32² to 96² square pixels, "large" ones more. The axes of the curves are A
    areas (all, medium, large), T similarities (0.50, 0.55 ... 0.95), R recalls (0, 0.01 ... 1).
    """

    ap: float  # mean over T and R
    ap50: float  # at the similarity of 0.50 alone
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float  # mean over T of the highest recall
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float
    people: int  # who were to be found, in all images
    areas: tuple[str, ...]  # A
    thresholds: Floats  # [T], OKS
    recalls: Floats  # [R]
    precision: Floats  # [A, T, R]
    score: Floats  # [A, T, R], of the last person needed for the recall; 0 where it is not reached
    recall: Floats  # [A, T], the highest

    @property
    def mean(self) -> float:
        """The figure to sort by: ``ap``."""
        return self.ap

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON: the figures, and the curves over all areas."""
        names = "ap ap50 ap75 ap_medium ap_large ar ar50 ar75 ar_medium ar_large"
        return average_precision.to_dict(self, names)


def keypoint_ap(
    truths: Truths,
    found: Mapping[int, Poses],
    *,
    score: ScoreRule = "person",
    joints: Sequence[str] | None = None,
    sigmas: Sequence[float] | None = None,
) -> KeypointAP:
    """Measure average precision and recall of joints by the rules of COCO's own evaluation.

    Joints are told apart by name. One that a network does not know, or has not found, is at (0, 0)
    as in COCO's files, which have no word for that: the figures are those that COCO's program
    prints for the same people written to a file.

    Args:
        truths: the people who are there. Crowds and people without a labelled joint count neither
            for nor against anybody who is found on them.
        found: the people found in each image, by ``image_id``. In an image that is absent, nobody
            was found.
        score: what orders the people of all images: "person" is ``Poses.person_score``, "joints"
            the mean of the joints' scores, and a function gives its own [P].
        joints: names of the joints that are compared; by default all that the truths have.
        sigmas: of these joints; by default those of the truths' skeleton.

    Raises:
        InputError: images that the truths do not have, joints that they do not have, or a score
            that is not finite.
        InputTypeError: an argument is of another kind.
    """
    truths.check_images_of(found)
    skeleton = truths.skeleton
    places = tables.joint_places(skeleton, skeleton.joints if joints is None else joints, "joints")
    spread = [skeleton.sigmas[place] for place in places] if sigmas is None else sigmas
    scales = tables.not_negative(spread, "sigmas", (len(places),))
    for scale in scales.tolist():
        arguments.number(scale, "sigmas", arguments.FLOAT32_TINY)
    matches = []
    for truth in truths:
        poses = found.get(truth.image_id, Poses.empty(skeleton))
        if not isinstance(poses, Poses):
            raise InputTypeError("found", "Poses for each image", type(poses).__name__)
        if len(truth) or len(poses):
            matches.append(_match(truth, poses, _scores(poses, score), scales, places))
    curves = average_precision.curves(matches, areas=len(AREAS), most=MOST_PEOPLE)
    mean, precision, recall = average_precision.mean, curves.precision, curves.recall
    at75 = int(np.abs(average_precision.THRESHOLDS - 0.75).argmin())
    return KeypointAP(
        ap=mean(precision[0]),
        ap50=mean(precision[0, 0]),
        ap75=mean(precision[0, at75]),
        ap_medium=mean(precision[1]),
        ap_large=mean(precision[2]),
        ar=mean(recall[0]),
        ar50=float(recall[0, 0]),
        ar75=float(recall[0, at75]),
        ar_medium=mean(recall[1]),
        ar_large=mean(recall[2]),
        people=sum(one.wanted[0] for one in matches),
        areas=tuple(AREAS),
        thresholds=average_precision.THRESHOLDS.copy(),
        recalls=average_precision.RECALLS.copy(),
        precision=precision,
        score=curves.score,
        recall=recall,
    )


def _scores(poses: Poses, rule: ScoreRule) -> Floats:
    """Return how sure each of the people is, [P]."""
    if callable(rule):
        given = rule(poses)
    elif arguments.word(rule, "score", ("person", "joints")) == "person":
        given = poses.person_score
    else:
        given = poses.score.mean(axis=-1, dtype=np.float64)
    return tables.finite(given, "score", (len(poses),))


def _match(
    truth: Truth, poses: Poses, score: Floats, sigmas: Floats, joints: list[int]
) -> average_precision.Matches:
    kept = average_precision.surest(score, MOST_PEOPLE)
    xy = np.nan_to_num(
        joints_of(poses[np.array(kept, np.intp)], truth.skeleton)[:, joints], nan=0.0
    )
    sides = np.ptp(xy, axis=1)  # [D, 2], of the box around the joints
    labelled = truth.is_labelled[:, joints]
    return average_precision.match(
        object_keypoint_similarity(xy, truth, sigmas=sigmas, joints=joints),
        score=score[kept],
        found_area=sides.prod(axis=-1),
        truth_area=truth.area,
        left_out=truth.is_crowd | ~labelled.any(axis=-1),
        is_crowd=truth.is_crowd,
        areas=tuple(AREAS.values()),
    )
