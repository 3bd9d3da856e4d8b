"""COCO's average precision of keypoints, by the rules of its own evaluation.

People found in a picture are matched to true ones by object keypoint similarity (OKS), the surest
first. Crowds, people without a labelled joint and those outside of an area range count neither for
nor against anybody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of OKS
RECALLS = np.linspace(0, 1, 101)  # at which precision is averaged
MOST_PEOPLE = 20  # per picture; less sure ones are left out
AREAS = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_TINY = float(np.spacing(1))


@dataclass(frozen=True)
class Truth:
    """The G people who are really in a picture."""

    joints: Floats  # [G, K, 3]: x, y in pixels, then 0 for joints without a label
    box: Floats  # [G, 4]: x, y, width, height, as COCO writes boxes
    area: Floats  # [G], of the person's outline, in square pixels
    is_crowd: Bools  # [G]


@dataclass(frozen=True)
class Found:
    """The P people whom a decoder has found in a picture."""

    xy: Floats  # [P, K, 2], NaN for joints that were not found
    score: Floats  # [P], orders the people of all pictures


@dataclass(frozen=True)
class Figures:
    """What COCO prints; NaN where there is nobody to be found."""

    ap: float  # mean over the thresholds
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float


@dataclass(frozen=True)
class _Matches:
    """The people found in one picture, surest first, and what became of them."""

    score: Floats  # [P]
    is_right: Bools  # [T, P], matched at a threshold
    is_ignored: Bools  # [T, P], counted neither as right nor as wrong
    wanted: int  # how many people should have been found


def read_truths(path: Path) -> tuple[dict[int, str], dict[int, Truth]]:
    """Return the file names and the people of each picture, both by the picture's number."""
    record = json.loads(path.read_text(encoding="utf-8"))
    joints = len(record["categories"][0]["keypoints"])
    people: dict[int, list[Any]] = {image["id"]: [] for image in record["images"]}
    for person in record["annotations"]:
        people[person["image_id"]].append(person)
    truths = {
        image: Truth(
            np.array([one["keypoints"] for one in those], float).reshape(-1, joints, 3),
            np.array([one["bbox"] for one in those], float).reshape(-1, 4),
            np.array([one["area"] for one in those], float),
            np.array([one["iscrowd"] for one in those], bool),
        )
        for image, those in people.items()
    }
    return {image["id"]: image["file_name"] for image in record["images"]}, truths


def evaluate(
    truths: Mapping[int, Truth], found: Mapping[int, Found], sigmas: Sequence[float]
) -> Figures:
    """Return precision and recall over all pictures of `truths`."""
    ordered = [(truths[image], _surest(found[image])) for image in sorted(truths)]
    similarities = [_similarity(truth, people, np.array(sigmas)) for truth, people in ordered]
    precision: dict[str, Floats] = {}
    recall: dict[str, Floats] = {}
    for name, area in AREAS.items():
        matches = [
            _match(truth, people, oks, area)
            for (truth, people), oks in zip(ordered, similarities, strict=True)
        ]
        precision[name], recall[name] = _accumulate(matches)
    return Figures(
        *(
            float(value)
            for figure in (precision, recall)
            for value in (
                figure["all"].mean(),
                figure["all"][0],
                figure["all"][5],
                figure["medium"].mean(),
                figure["large"].mean(),
            )
        )
    )


def _surest(found: Found) -> Found:
    """Return the people whom COCO looks at; joints that were not found are at its 0, 0."""
    order = np.argsort(-found.score, kind="stable")[:MOST_PEOPLE]
    return Found(np.nan_to_num(found.xy[order], nan=0.0), found.score[order])


def _similarity(truth: Truth, found: Found, sigmas: Floats) -> Floats:
    """Return OKS [P, G]. The distance to somebody without labels is that to the doubled box."""
    oks = np.zeros((len(found.xy), len(truth.joints)))
    for one, (joints, box, area) in enumerate(
        zip(truth.joints, truth.box, truth.area, strict=True)
    ):
        has_label = joints[:, 2] > 0
        if has_label.any():
            away = found.xy - joints[:, :2]  # [P, K, 2]
        else:
            has_label[:] = True
            low, high = box[:2] - box[2:], box[:2] + 2 * box[2:]
            away = np.maximum(0, low - found.xy) + np.maximum(0, found.xy - high)
        exponent = (away**2).sum(-1) / (2 * sigmas) ** 2 / (area + _TINY) / 2
        oks[:, one] = np.exp(-exponent[:, has_label]).mean(-1)
    return oks


def _match(truth: Truth, found: Found, oks: Floats, area: tuple[float, float]) -> _Matches:
    """Give every person found the most similar true one who is still free, surest first.

    Somebody who does not count is a second choice, and a crowd is never used up.
    """
    smallest, largest = area
    ignored = truth.is_crowd | ~(truth.joints[..., 2] > 0).any(-1)
    ignored |= (truth.area < smallest) | (truth.area > largest)
    sides = np.ptp(found.xy, axis=1) if len(found.xy) else np.zeros((0, 2))
    outside = (sides.prod(-1) < smallest) | (sides.prod(-1) > largest)  # [P]
    shape = (len(THRESHOLDS), len(found.xy))
    is_right, is_ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    for row, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(truth.joints), bool)
        for person, similarity in enumerate(oks):
            fits = (free | truth.is_crowd) & (similarity >= min(threshold, 1 - 1e-10))
            fits = fits & ~ignored if (fits & ~ignored).any() else fits
            if not fits.any():
                is_ignored[row, person] = outside[person]
                continue
            candidates = np.flatnonzero(fits)
            best = candidates[similarity[fits] == similarity[fits].max()][-1]  # COCO: the last one
            free[best] = False
            is_right[row, person] = True
            is_ignored[row, person] = ignored[best]
    return _Matches(found.score, is_right, is_ignored, int((~ignored).sum()))


def _accumulate(matches: list[_Matches]) -> tuple[Floats, Floats]:
    """Return mean precision [T] and recall [T] over all pictures; NaN if nobody is wanted."""
    wanted = sum(one.wanted for one in matches)
    if wanted == 0:
        return np.full(len(THRESHOLDS), np.nan), np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate([one.score for one in matches]), kind="stable")
    is_right = np.concatenate([one.is_right for one in matches], axis=1)[:, order]
    counts = ~np.concatenate([one.is_ignored for one in matches], axis=1)[:, order]
    right = np.cumsum(is_right & counts, axis=1)  # [T, P]
    wrong = np.cumsum(~is_right & counts, axis=1)
    precision, recall = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    if order.size == 0:
        return precision, recall
    for row in range(len(THRESHOLDS)):
        reached = right[row] / wanted
        exact = right[row] / (right[row] + wrong[row] + _TINY)
        envelope = np.maximum.accumulate(exact[::-1])[::-1]  # the best from each recall on
        places = np.searchsorted(reached, RECALLS, side="left")
        inside = places < len(envelope)
        precision[row] = envelope[places[inside]].sum() / len(RECALLS)
        recall[row] = reached[-1]
    return precision, recall
