"""What COCO's average precision of joints and of boxes have in common: matching and counting.

In every image the surest of those found come first, and each takes the most similar true one that
is still free. Then all images together are walked down from the surest, and precision is read off
at 101 recalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.metrics.tables import Bools, Floats

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # [T], of the similarity from which on a match is right
RECALLS = np.linspace(0.0, 1.0, 101)  # [R], at which precision is read
UNDEFINED = -1.0  # as COCO has it: there was nobody to be found
SMALL, MEDIUM, LARGEST = 32.0**2, 96.0**2, 1e5**2  # square pixels
_TINY = float(np.spacing(1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The D people found in one image, surest first, and what became of them."""

    score: Floats  # [D]
    is_matched: Bools  # [A, T, D], for each range of areas and each threshold
    is_ignored: Bools  # [A, T, D], counts neither as right nor as wrong
    wanted: tuple[int, ...]  # A, how many true people should have been found


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Precision over recall; ``UNDEFINED`` in a range of areas where nobody should be found."""

    precision: Floats  # [A, T, R]
    score: Floats  # [A, T, R], of whom the recall was reached with; 0 where it was not
    recall: Floats  # [A, T], the highest that was reached


def surest(score: Floats, most: int) -> list[int]:
    """Return at most so many indices, highest score first, equal ones in their order."""
    order: list[int] = np.argsort(-score, kind="stable")[:most].tolist()
    return order


def match(
    similarity: Floats,
    *,
    score: Floats,
    found_area: Floats,
    truth_area: Floats,
    left_out: Bools,
    is_crowd: Bools,
    areas: Sequence[tuple[float, float]],
) -> Matches:
    """Give everybody found the most similar true one, at every threshold and range of areas.

    Those who do not count are a second choice, and a crowd is never used up. Among equals the last
    one is taken, which is COCO's rule.

    Args:
        similarity: [D, G], the surest found first.
        score: [D], descending.
        found_area: [D]; who is outside of a range and unmatched is not counted as wrong.
        truth_area: [G]; true ones outside of a range do not count.
        left_out: [G], true ones that do not count anyway.
        is_crowd: [G].
        areas: A ranges of square pixels, both ends included.
    """
    low, high = (np.array(end)[:, None] for end in zip(*areas, strict=True))  # [A, 1]
    ignored = left_out | (truth_area < low) | (truth_area > high)  # [A, G]
    outside = (found_area < low) | (found_area > high)  # [A, D]
    count, truths = similarity.shape
    is_matched = np.zeros((len(areas), len(THRESHOLDS), count), np.bool_)
    is_ignored = np.repeat(outside[:, None], len(THRESHOLDS), axis=1)
    free = np.ones((len(areas), len(THRESHOLDS), truths), np.bool_)
    passes = similarity[:, None] >= THRESHOLDS[:, None]  # [D, T, G]
    # Most of what a detector finds is like nobody at all: they take no turn.
    for one in np.flatnonzero(passes.any(axis=(1, 2))).tolist():
        fits = free & passes[one]  # [A, T, G]
        counting = fits & ~ignored[:, None]
        fits = np.where(counting.any(axis=-1, keepdims=True), counting, fits)
        backwards = np.where(fits, similarity[one], -1.0)[..., ::-1]
        best = truths - 1 - backwards.argmax(axis=-1)  # [A, T]
        hit = fits.any(axis=-1)  # [A, T]
        area, threshold = np.nonzero(hit)
        taken = best[hit]
        is_matched[:, :, one] = hit
        is_ignored[area, threshold, one] = ignored[area, taken]
        free[area, threshold, taken] = is_crowd[taken]
    wanted = tuple((~ignored).sum(axis=-1).tolist())
    return Matches(score, is_matched, is_ignored, wanted)


def curves(matches: Sequence[Matches], *, areas: int, most: int) -> Curves:
    """Walk down all images together, taking at most so many people of each.

    Args:
        matches: of every image, in the images' order, which decides among equal scores.
        areas: A.
        most: of the people found in an image, the surest.
    """
    shape = (areas, len(THRESHOLDS), len(RECALLS))
    precision, scores = np.full(shape, UNDEFINED), np.full(shape, UNDEFINED)
    recall = np.full(shape[:2], UNDEFINED)
    score = np.concatenate([np.zeros(0), *(one.score[:most] for one in matches)])
    order = np.argsort(-score, kind="stable")
    nobody = np.zeros((*shape[:2], 0), np.bool_)
    matched = [nobody, *(one.is_matched[..., :most] for one in matches)]
    ignored = [nobody, *(one.is_ignored[..., :most] for one in matches)]
    is_matched = np.concatenate(matched, axis=-1)[..., order]  # [A, T, all found]
    counts = ~np.concatenate(ignored, axis=-1)[..., order]
    for area in range(areas):
        wanted = sum(one.wanted[area] for one in matches)
        if wanted == 0:
            continue
        for row in range(len(THRESHOLDS)):
            right = np.cumsum(is_matched[area, row] & counts[area, row])
            wrong = np.cumsum(~is_matched[area, row] & counts[area, row])
            exact = right / (right + wrong + _TINY)
            envelope = np.maximum.accumulate(exact[::-1])[::-1]  # the best from each recall on
            places = np.searchsorted(right / wanted, RECALLS, side="left")
            reached = places < len(order)
            precision[area, row] = scores[area, row] = 0.0
            precision[area, row, reached] = envelope[places[reached]]
            scores[area, row, reached] = score[order[places[reached]]]
            recall[area, row] = right[-1] / wanted if len(order) else 0.0
    return Curves(precision, scores, recall)


def mean(values: Floats) -> float:
    """Return the mean of what is defined, and ``UNDEFINED`` of nothing."""
    defined = values[values > UNDEFINED]
    return float(defined.mean()) if defined.size else UNDEFINED


def to_dict(measured: Any, names: str) -> dict[str, Any]:
    """Return plain lists and numbers for JSON: the named figures, and the curves over all areas.

    Args:
        measured: a ``KeypointAP`` or a ``BoxAP``.
        names: of its figures.
    """
    figures: dict[str, Any] = {name: getattr(measured, name) for name in names.split()}
    figures["people"] = measured.people
    figures["curves"] = {
        "threshold": [round(value, 2) for value in measured.thresholds.tolist()],
        "recall": [round(value, 2) for value in measured.recalls.tolist()],
        "precision": measured.precision[0].tolist(),
    }
    return figures
