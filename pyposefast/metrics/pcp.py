"""PCP, the share of limbs whose two ends are near enough for the limb's own length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import tables
from pyposefast.metrics.pck import checked, distances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyposefast.metrics.tables import Floats
    from pyposefast.skeletons import Skeleton

LIMBS = {  # of the eight that are always reported
    "left_upper_arm": ("left_shoulder", "left_elbow"),
    "right_upper_arm": ("right_shoulder", "right_elbow"),
    "left_lower_arm": ("left_elbow", "left_wrist"),
    "right_lower_arm": ("right_elbow", "right_wrist"),
    "left_upper_leg": ("left_hip", "left_knee"),
    "right_upper_leg": ("right_hip", "right_knee"),
    "left_lower_leg": ("left_knee", "left_ankle"),
    "right_lower_leg": ("right_knee", "right_ankle"),
}


@dataclass(frozen=True, slots=True, eq=False)
class PCP:
    """Shares of limbs that are right, 0..1; NaN where none was judged."""

    is_strict: bool
    factor: float  # of a limb's length
    mean: float  # over all judged limbs of all people, each weighing the same
    per_limb: Floats  # [L]
    count: npt.NDArray[np.int64]  # [L], how many were judged
    left_out: int  # limbs with both labels, but of no length
    limbs: tuple[str, ...]  # L names

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON, None where none was judged."""
        return {
            "name": "PCP",
            "rule": "strict" if self.is_strict else "loose",
            "factor": self.factor,
            "mean": tables.plain(self.mean),
            "limbs": {
                limb: {"share": tables.plain(share), "count": int(count)}
                for limb, share, count in zip(self.limbs, self.per_limb, self.count, strict=True)
            },
            "left_out": self.left_out,
        }


def pcp(
    xy: npt.ArrayLike,
    *,
    truth: npt.ArrayLike,
    labelled: npt.ArrayLike,
    skeleton: Skeleton,
    strict: bool = True,
    factor: float = 0.5,
    limbs: Mapping[str, tuple[str, str]] | None = None,
) -> PCP:
    """Return the share of limbs that are right.

    Strict: each of the two ends is within ``factor`` times the limb's true length of its own place.
    Loose: the mean of both errors is. Limbs with an unlabelled end are not judged; one with an end
    that was not found is wrong.

    Args:
        xy: [P, K, 2] joints that were found, in pixels; NaN and infinite ones were not.
        truth: [P, K, 2] where they really are.
        labelled: [P, K] bool, whether that is known.
        skeleton: the names of the K joints.
        strict: which of the two rules.
        factor: of the limb's length.
        limbs: the joints at both ends of each limb, by its name; by default upper and lower arms
            and legs, as far as the skeleton has them.

    Raises:
        InputError: shapes that do not fit, a labelled joint without a finite place, a joint that
            the skeleton does not have, no limb at all.
        InputTypeError: an argument is of another kind.
    """
    found, place, known = checked(xy, truth, labelled, skeleton)
    arguments.flag(strict, "strict")
    arguments.number(factor, "factor", 0.0)
    ends = _ends(skeleton, limbs)
    first, second = np.array(list(ends.values())).T  # [L]
    both = known[:, first] & known[:, second]  # [P, L]
    length = np.where(both, distances(place[:, first], place[:, second]), 0.0)
    judged = both & (length > 0)
    # Places without a label may be anything, NaN too, and are not looked at.
    error = distances(found, np.where(known[..., None], place, 0.0))  # [P, K]
    if strict:
        off = np.maximum(error[:, first], error[:, second])
    else:
        off = (error[:, first] + error[:, second]) / 2
    right = judged & (off <= factor * length)
    count = judged.sum(axis=0)
    per_limb = np.divide(right.sum(axis=0), count, out=np.full(len(ends), np.nan), where=count > 0)
    return PCP(
        is_strict=bool(strict),
        factor=float(factor),
        mean=float(right.sum() / count.sum()) if count.any() else float("nan"),
        per_limb=per_limb,
        count=count,
        left_out=int((both & ~judged).sum()),
        limbs=tuple(ends),
    )


def _ends(
    skeleton: Skeleton, limbs: Mapping[str, tuple[str, str]] | None
) -> dict[str, tuple[int, int]]:
    """Return the places of the two joints of each limb, by its name."""
    ends = {}
    if limbs is None:
        limbs = {name: pair for name, pair in LIMBS.items() if set(pair) <= set(skeleton.joints)}
    elif not hasattr(limbs, "items"):
        raise InputTypeError("limbs", "a dict of pairs of joints", type(limbs).__name__)
    for name, pair in limbs.items():
        places = tables.joint_places(skeleton, pair, f"limbs[{name!r}]")
        if len(places) != 2:  # noqa: PLR2004
            raise InputError(f"limbs[{name!r}]", "two joints", repr(pair))
        ends[name] = (places[0], places[1])
    if not ends:
        raise InputError("limbs", "at least one", f"none, with the skeleton {skeleton.name}")
    return ends
