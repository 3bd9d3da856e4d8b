"""Networks that say where the joints are in so many words: coordinates, nothing to look for.

What such networks give is small, so it is read on the host, whatever made it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.arrays import shape_of, to_host
from pyposefast.decoders.points import Points
from pyposefast.errors import InputError

if TYPE_CHECKING:
    from pyposefast.arrays import Array

Order = Literal["xy", "yx"]
Units = Literal["pixels", "fraction", "centred"]
Score = Literal["plain", "logit", "none"]
_MOST_PER_JOINT = 64


class Regression:
    """Reads joints off coordinates. Never changes after it was made: threads may share one."""

    __slots__ = ("_joints", "_order", "_per_joint", "_score", "_score_at", "_threshold", "_units")

    def __init__(
        self,
        joints: int,
        *,
        order: Order = "xy",
        units: Units = "fraction",
        per_joint: int = 2,
        score: Score | None = None,
        score_at: int | None = None,
        threshold: float = 0.0,
    ) -> None:
        """Check and keep the settings.

        Args:
            joints: K; an output may hold more, which are left out.
            order: of the first two values of a joint.
            units: "pixels" of the network's input, counted from its edges; "fraction" of its
                sides; or "centred" fractions, counted from its middle, as DeepPose has them.
            per_joint: values of a joint, coordinates included.
            score: of a joint, among its values: as it is, before its sigmoid, or none, so that
                every joint has 1. By default as it is where a joint has more than two values.
            score_at: which of the values, by default the third.
            threshold: joints at or below it were not found.
        """
        self._joints = arguments.integer(joints, "joints", 1, 1 << 16)
        self._order = arguments.word(order, "order", get_args(Order))
        self._units = arguments.word(units, "units", get_args(Units))
        self._per_joint = arguments.integer(per_joint, "per_joint", 2, _MOST_PER_JOINT)
        usual = "none" if per_joint == 2 else "plain"  # noqa: PLR2004
        self._score = arguments.word(score or usual, "score", get_args(Score))
        last = self._per_joint - 1
        self._score_at = arguments.integer(
            min(2, last) if score_at is None else score_at, "score_at", 0, last
        )
        self._threshold = arguments.number(threshold, "threshold")

    def __call__(
        self,
        points: Array,
        *,
        size: tuple[int, int],
        person_score: Array | None = None,
        world: Array | None = None,
    ) -> Points:
        """Decode the coordinates of P regions.

        Args:
            points: [P, ...] with at least K times ``per_joint`` values for each region.
            size: height and width of the network's input.
            person_score: [P, ...] one value for each region: whether somebody is there.
            world: [P, ...] x, y, z in metres of at least K joints.

        Returns:
            Places in pixels of the network's input, on the host.
        """
        values = self._rows(points, "points", self._per_joint)  # [P, K, per_joint]
        xy = values[..., 1::-1] if self._order == "yx" else values[..., :2]
        xy = self._pixels(xy.astype(np.float64), size)
        score = self._scores(values)
        # A place that is no number is no place, and its score says nothing.
        is_found = np.isfinite(xy).all(-1) & np.isfinite(score) & (score > self._threshold)
        return Points(
            xy=np.where(is_found[..., None], xy, 0.0).astype(np.float32),
            score=np.where(is_found, score, np.float32(0)),
            found=is_found.astype(np.int32),
            grid=size,
            person_score=_one_each(person_score, len(values)),
            world_m=None if world is None else self._rows(world, "world", 3),
        )

    def _rows(self, array: Array, argument: str, width: int) -> npt.NDArray[np.float32]:
        """Return [P, K, width] of an output that may hold more joints, in whatever shape."""
        shape = shape_of(array, argument)
        each = math.prod(shape[1:])
        if len(shape) < 2 or each % width or each < self._joints * width:  # noqa: PLR2004
            expected = f"[P, ...] with {width} values for each of {self._joints} joints or more"
            raise InputError(argument, expected, str(list(shape)))
        rows = to_host(array, argument).astype(np.float32, copy=False)
        return rows.reshape(shape[0], each // width, width)[:, : self._joints]

    def _pixels(self, xy: npt.NDArray[np.float64], size: tuple[int, int]) -> Any:
        """Return places whose pixels have their centres at whole numbers."""
        sides = np.array([size[1], size[0]], np.float64)
        if self._units == "centred":
            xy = xy + 0.5
        return (xy if self._units == "pixels" else xy * sides) - 0.5

    def _scores(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._score == "none":
            return np.ones(values.shape[:2], np.float32)
        score = values[..., self._score_at]
        return _sigmoid(score) if self._score == "logit" else score


def _one_each(array: Array | None, count: int) -> npt.NDArray[np.float32] | None:
    if array is None:
        return None
    values = to_host(array, "person_score").astype(np.float32, copy=False)
    if values.size != count:
        raise InputError("person_score", f"{count} values", str(list(values.shape)))
    return values.reshape(count)


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # Without the exponential of a large number, which would warn.
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
