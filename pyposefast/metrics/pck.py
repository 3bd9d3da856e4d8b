"""Shares of joints that are near enough: PCK, PCKh and PDJ, which differ in what "near" is.

A joint is right when it is no further from its true place than a factor times the size of the
person. Joints without a label are not judged, nor are people without a size; a joint that was not
found is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import tables
from pyposefast.skeletons import Skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.metrics.tables import Bools, Floats

TORSO = ("left_shoulder", "right_hip")  # its diagonal is PDJ's size of a person
HEAD_PART = 0.6  # of the diagonal of MPII's box of the head: PCKh's size of a person
NOT_IN_PCKH = ("pelvis", "thorax")  # MPII's mean is without them
_CURVE = (0.5, 51)  # up to which factor, in how many steps


@dataclass(frozen=True, slots=True, eq=False)
class PCK:
    """Shares of joints that are right, 0..1; NaN where none was judged."""

    name: str  # of the measure
    factor: float  # of a person's size, up to which a joint is right
    mean: float  # over all judged joints of all people, each weighing the same
    per_joint: Floats  # [K]
    count: npt.NDArray[np.int64]  # [K], how many were judged
    left_out: int  # people with labelled joints, but without a size
    joints: tuple[str, ...]  # K
    in_mean: Bools  # [K]
    factors: Floats  # [F], of the curves
    curve: Floats  # [F], the mean at each factor
    curve_per_joint: Floats  # [F, K]
    headlines: tuple[float, ...]  # factors that the measure is usually reported at
    error: Floats  # [P, K], in sizes of the person; inf not found, NaN not judged

    def at(self, factor: float) -> float:
        """Return the mean at another factor."""
        arguments.number(factor, "factor", 0.0)
        judged = self.error[:, self.in_mean]
        return _share(judged[~np.isnan(judged)], factor)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON, None where none was judged."""
        return {
            "name": self.name,
            "factor": self.factor,
            "mean": tables.plain(self.mean),
            "at": {f"{factor:g}": tables.plain(self.at(factor)) for factor in self.headlines},
            "joints": {
                joint: {"share": tables.plain(share), "count": int(count)}
                for joint, share, count in zip(self.joints, self.per_joint, self.count, strict=True)
            },
            "left_out": self.left_out,
            "curve": {
                "factor": [round(value, 6) for value in self.factors.tolist()],
                "mean": [tables.plain(value) for value in self.curve.tolist()],
            },
        }


def pck(
    xy: npt.ArrayLike,
    *,
    truth: npt.ArrayLike,
    labelled: npt.ArrayLike,
    scale: npt.ArrayLike,
    skeleton: Skeleton,
    factor: float = 0.2,
    joints: Sequence[str] | None = None,
    not_in_mean: Sequence[str] = (),
    factors: Sequence[float] | None = None,
    headlines: Sequence[float] | None = None,
    name: str = "PCK",
) -> PCK:
    """Return the share of joints that are within ``factor * scale`` of their true place.

    Args:
        xy: [P, K, 2] joints that were found, in pixels; NaN and infinite ones were not.
        truth: [P, K, 2] where they really are.
        labelled: [P, K] bool, whether that is known.
        scale: [P] size of each person in the same pixels, see ``torso_size``, ``box_size`` and
            ``head_size``. Whose size is 0, NaN or infinite is not judged, but counted.
        skeleton: the names of the K joints.
        factor: of the size.
        joints: names of those that are judged, in any order; by default all. ``Pairs.joints``
            leaves out those that a network does not know.
        not_in_mean: names of those that are judged, but left out of the mean.
        factors: of the curves, ascending; by default 0, 0.01 ... 0.5.
        headlines: factors that ``to_dict`` reports the mean at; by default ``factor``.
        name: of the measure, for tables and plots.

    Raises:
        InputError: shapes that do not fit, a labelled joint without a finite place, a negative
            size, a joint that the skeleton does not have.
        InputTypeError: an argument is of another kind.
    """
    found, place, known = checked(xy, truth, labelled, skeleton)
    sizes = tables.floats(scale, "scale", (len(found),))
    if (sizes < 0).any():
        raise InputError("scale", "sizes from 0, or NaN", f"{np.nanmin(sizes):g}")
    arguments.number(factor, "factor", 0.0)
    judged = np.zeros(known.shape, np.bool_)
    chosen = skeleton.joints if joints is None else joints
    places = tables.joint_places(skeleton, chosen, "joints")
    judged[:, places] = known[:, places]
    has_size = np.isfinite(sizes) & (sizes > 0)
    left_out = int((judged.any(axis=-1) & ~has_size).sum())
    judged &= has_size[:, None]
    error: Floats = np.full(judged.shape, np.nan)
    away = distances(found[judged], place[judged])
    error[judged] = away / np.broadcast_to(sizes[:, None], judged.shape)[judged]
    in_mean = np.ones(len(skeleton.joints), np.bool_)
    if len(not_in_mean):
        in_mean[tables.joint_places(skeleton, not_in_mean, "not_in_mean")] = False
    steps = np.linspace(0.0, *_CURVE) if factors is None else _steps(factors)
    curve = np.stack([_shares(error[:, joint], steps) for joint in range(error.shape[1])], axis=-1)
    return PCK(
        name=name,
        factor=float(factor),
        mean=_share(error[:, in_mean], factor),
        per_joint=np.array([_share(column, factor) for column in error.T]),
        count=judged.sum(axis=0),
        left_out=left_out,
        joints=skeleton.joints,
        in_mean=in_mean,
        factors=steps,
        curve=_shares(error[:, in_mean], steps),
        curve_per_joint=curve,
        headlines=tuple(
            arguments.number(one, "headlines", 0.0)
            for one in ((factor,) if headlines is None else headlines)
        ),
        error=error,
    )


def pckh(
    xy: npt.ArrayLike,
    *,
    truth: npt.ArrayLike,
    labelled: npt.ArrayLike,
    head_box: npt.ArrayLike,
    skeleton: Skeleton,
    factor: float = 0.5,
    joints: Sequence[str] | None = None,
) -> PCK:
    """Return MPII's measure: sizes are 0.6 times the diagonal of the head's box.

    The mean is without pelvis and thorax, as MPII reports it, and ``to_dict`` has it at 0.5 and at
    0.1.

    Args:
        xy: [P, K, 2], as in ``pck``.
        truth: [P, K, 2], as in ``pck``.
        labelled: [P, K] bool, as in ``pck``.
        head_box: [P, 4] x1 y1 x2 y2; NaN where there is none.
        skeleton: the names of the K joints.
        factor: of the size.
        joints: names of those that are judged.
    """
    return pck(
        xy,
        truth=truth,
        labelled=labelled,
        scale=head_size(head_box),
        skeleton=skeleton,
        factor=factor,
        joints=joints,
        not_in_mean=[joint for joint in NOT_IN_PCKH if joint in skeleton.joints],
        headlines=(0.5, 0.1),
        name="PCKh",
    )


def pdj(
    xy: npt.ArrayLike,
    *,
    truth: npt.ArrayLike,
    labelled: npt.ArrayLike,
    skeleton: Skeleton,
    factor: float = 0.2,
    joints: Sequence[str] | None = None,
    factors: Sequence[float] | None = None,
) -> PCK:
    """Return the share of detected joints: sizes are the diagonal of the torso, see ``torso_size``.

    Args:
        xy: [P, K, 2], as in ``pck``.
        truth: [P, K, 2], as in ``pck``.
        labelled: [P, K] bool, as in ``pck``.
        skeleton: the names of the K joints.
        factor: of the size.
        joints: names of those that are judged.
        factors: of the curves, as in ``pck``.
    """
    return pck(
        xy,
        truth=truth,
        labelled=labelled,
        scale=torso_size(truth, labelled=labelled, skeleton=skeleton),
        skeleton=skeleton,
        factor=factor,
        joints=joints,
        factors=factors,
        name="PDJ",
    )


def torso_size(truth: npt.ArrayLike, *, labelled: npt.ArrayLike, skeleton: Skeleton) -> Floats:
    """Return the distances from the left shoulder to the right hip [P], NaN without labels."""
    _, place, known = checked(truth, truth, labelled, skeleton)
    shoulder, hip = tables.joint_places(skeleton, TORSO, "skeleton")
    size = np.full(len(place), np.nan)
    both = known[:, shoulder] & known[:, hip]
    size[both] = distances(place[both, shoulder], place[both, hip])
    return size


def box_size(box: npt.ArrayLike) -> Floats:
    """Return the longer sides [P] of boxes [P, 4]."""
    sizes = tables.boxes(box, "box")
    return np.asarray(np.maximum(sizes[:, 2] - sizes[:, 0], sizes[:, 3] - sizes[:, 1]))


def head_size(head_box: npt.ArrayLike) -> Floats:
    """Return 0.6 times the diagonals [P] of boxes of heads [P, 4]; NaN where there is no box."""
    box = tables.floats(head_box, "head_box", ("P", 4))
    has_box = ~np.isnan(box).any(axis=-1)
    size = np.full(len(box), np.nan)
    sides = tables.boxes(box[has_box], "head_box")
    size[has_box] = HEAD_PART * distances(sides[:, :2], sides[:, 2:])
    return size


def checked(
    xy: npt.ArrayLike, truth: npt.ArrayLike, labelled: npt.ArrayLike, skeleton: Skeleton
) -> tuple[Floats, Floats, Bools]:
    """Return matched arrays, if they fit each other and every labelled joint has a place."""
    if not isinstance(skeleton, Skeleton):
        raise InputTypeError("skeleton", "a Skeleton", type(skeleton).__name__)
    joints = len(skeleton.joints)
    found = tables.floats(xy, "xy", ("P", joints, 2))
    place = tables.floats(truth, "truth", (len(found), joints, 2))
    known = tables.bools(labelled, "labelled", (len(found), joints))
    tables.finite(place[known], "truth", ("labelled joints", 2))
    return found, place, known


def distances(first: Floats, second: Floats) -> Floats:
    """Return those between points [..., 2]; infinite from a point that was not found."""
    away = np.where(np.isfinite(first), first, np.inf) - second
    return np.asarray(np.hypot(away[..., 0], away[..., 1]))


def _share(errors: Floats, factor: float) -> float:
    return float(_shares(errors, np.array([float(factor)]))[0])


def _shares(errors: Floats, factors: Floats) -> Floats:
    """Return the part [F] of what was judged that is up to each factor; NaN of nothing."""
    judged = np.sort(errors[~np.isnan(errors)], axis=None)
    if judged.size == 0:
        return np.full(len(factors), np.nan)
    return np.asarray(np.searchsorted(judged, factors, side="right") / judged.size)


def _steps(factors: Sequence[float]) -> Floats:
    steps = tables.not_negative(factors, "factors", ("F",))
    if len(steps) == 0 or not (np.diff(steps) > 0).all():
        raise InputError("factors", "one or more ascending factors", str(steps.tolist())[:80])
    return steps
