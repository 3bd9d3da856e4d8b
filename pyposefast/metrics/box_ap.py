"""COCO's average precision of boxes: what a detector finds, matched to true people by overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pyposefast.errors import InputTypeError
from pyposefast.metrics import average_precision, tables
from pyposefast.metrics.average_precision import LARGEST, MEDIUM, SMALL
from pyposefast.metrics.similarity import box_overlap

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from pyposefast.metrics.tables import Floats
    from pyposefast.metrics.truth import Truth, Truths

MOST_BOXES = 100  # of an image, the surest; COCO leaves the others out
AREAS = {
    "all": (0.0, LARGEST),
    "small": (0.0, SMALL),
    "medium": (SMALL, MEDIUM),
    "large": (MEDIUM, LARGEST),
}


class Boxes(Protocol):
    """The boxes found in one image, as any detector may return them."""

    @property
    def box(self) -> npt.ArrayLike:
        """[D, 4], x1 y1 x2 y2, edge coordinates."""

    @property
    def score(self) -> npt.ArrayLike:
        """[D], how sure the detector is."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """The boxes found in one image, where there is nothing else that could say so."""

    box: npt.ArrayLike  # [D, 4], x1 y1 x2 y2, edge coordinates
    score: npt.ArrayLike  # [D]


@dataclass(frozen=True, slots=True, eq=False)
class BoxAP:
    """COCO's twelve figures, 0..1, and the curves they come from; -1 where nobody was to be found.

    "Small" people cover up to 32² square pixels, "medium" ones up to 96², "large" ones more. The
    axes of the curves are A areas (all, small, medium, large), T overlaps (0.50, 0.55 ... 0.95) and
    R recalls (0, 0.01 ... 1).
    """

    ap: float  # mean over T and R
    ap50: float  # at the overlap of 0.50 alone
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float  # mean over T of the highest recall, with the surest box of an image alone
    ar10: float  # with the ten surest
    ar: float  # with the hundred surest, as all other figures
    ar_small: float
    ar_medium: float
    ar_large: float
    people: int  # who were to be found, in all images
    areas: tuple[str, ...]  # A
    thresholds: Floats  # [T], intersection over union
    recalls: Floats  # [R]
    precision: Floats  # [A, T, R]
    score: Floats  # [A, T, R], of the last box needed for the recall; 0 where it is not reached
    recall: Floats  # [A, T], the highest

    @property
    def mean(self) -> float:
        """The figure to sort by: ``ap``."""
        return self.ap

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON: the figures, and the curves over all areas."""
        names = "ap ap50 ap75 ap_small ap_medium ap_large ar1 ar10 ar ar_small ar_medium ar_large"
        return average_precision.to_dict(self, names)


def box_ap(truths: Truths, found: Mapping[int, Boxes]) -> BoxAP:
    """Measure average precision and recall of boxes by the rules of COCO's own evaluation.

    Args:
        truths: the people who are there, with and without joints. Boxes on a crowd count neither
            for nor against the detector.
        found: the boxes found in each image, by ``image_id``; in an image that is absent, none.
            For Poses this is ``FoundBoxes(poses.box, poses.person_score)``.

    Raises:
        InputError: images that the truths do not have; boxes that are inside out; values that are
            not finite.
        InputTypeError: an argument is of another kind.
    """
    truths.check_images_of(found)
    nothing = FoundBoxes(np.zeros((0, 4)), np.zeros(0))
    matches = []
    for truth in truths:
        boxes = found.get(truth.image_id, nothing)
        if not (hasattr(boxes, "box") and hasattr(boxes, "score")):
            expected = "an object with `box` [D, 4] and `score` [D] for each image"
            raise InputTypeError("found", expected, type(boxes).__name__)
        box = tables.boxes(boxes.box, "box", "D")
        score = tables.finite(boxes.score, "score", (len(box),))
        if len(truth) or len(box):
            matches.append(_match(truth, box, score))
    curves, few, one = (
        average_precision.curves(matches, areas=len(AREAS), most=most)
        for most in (MOST_BOXES, 10, 1)
    )
    mean, precision, recall = average_precision.mean, curves.precision, curves.recall
    at75 = int(np.abs(average_precision.THRESHOLDS - 0.75).argmin())
    return BoxAP(
        ap=mean(precision[0]),
        ap50=mean(precision[0, 0]),
        ap75=mean(precision[0, at75]),
        ap_small=mean(precision[1]),
        ap_medium=mean(precision[2]),
        ap_large=mean(precision[3]),
        ar1=mean(one.recall[0]),
        ar10=mean(few.recall[0]),
        ar=mean(recall[0]),
        ar_small=mean(recall[1]),
        ar_medium=mean(recall[2]),
        ar_large=mean(recall[3]),
        people=sum(image.wanted[0] for image in matches),
        areas=tuple(AREAS),
        thresholds=average_precision.THRESHOLDS.copy(),
        recalls=average_precision.RECALLS.copy(),
        precision=precision,
        score=curves.score,
        recall=recall,
    )


def _match(truth: Truth, box: Floats, score: Floats) -> average_precision.Matches:
    kept = average_precision.surest(score, MOST_BOXES)
    box, score = box[kept], score[kept]
    return average_precision.match(
        box_overlap(box, truth.box, truth.is_crowd),
        score=score,
        found_area=(box[:, 2:] - box[:, :2]).prod(axis=-1),
        truth_area=truth.area,
        left_out=truth.is_crowd,
        is_crowd=truth.is_crowd,
        areas=tuple(AREAS.values()),
    )
