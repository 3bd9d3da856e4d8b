"""Networks that say who is where in so many words: a box and all joints of each person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.arrays import shape_of, to_host
from pyposefast.boxes import suppress
from pyposefast.errors import InputError
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from pyposefast.arrays import Array
    from pyposefast.skeletons import Skeleton


class Instances:
    """Reads people off boxes and joints that come together, as RTMO gives them."""

    __slots__ = ("_overlap", "_skeleton", "_threshold")

    def __init__(self, skeleton: Skeleton, *, threshold: float = 0.3, overlap: float = 1.0) -> None:
        """Keep the settings.

        Args:
            skeleton: whose joints they are.
            threshold: people whose box is surer are kept.
            overlap: of two boxes that overlap more (intersection over union), the less sure one is
                dropped. 1 keeps all, for networks that suppress by themselves.
        """
        self._skeleton = skeleton
        self._threshold = arguments.number(threshold, "threshold")
        self._overlap = arguments.number(overlap, "overlap", 0.0, 1.0)

    def __call__(
        self, boxes: Array, joints: Array, inverse: npt.NDArray[np.float64]
    ) -> list[Poses]:
        """Decode the outputs of a network for N pictures.

        Args:
            boxes: [N, n, 5] x1 y1 x2 y2 in pixels of the input, counted from its edges, and score.
            joints: [N, n, K, 3] x, y and score.
            inverse: [N, 2, 3], input pixels -> image pixels.

        Returns:
            The people of each picture, surest first.
        """
        k = len(self._skeleton.joints)
        shape, of_boxes = shape_of(joints, "joints"), shape_of(boxes, "boxes")
        if len(shape) != 4 or shape[2:] != (k, 3):  # noqa: PLR2004
            raise InputError("joints", f"[N, n, {k}, 3]", str(list(shape)))
        if len(of_boxes) != 3 or of_boxes[:2] != shape[:2] or of_boxes[2] < 5:  # noqa: PLR2004
            raise InputError("boxes", f"[{shape[0]}, {shape[1]}, 5]", str(list(of_boxes)))
        rows, points = to_host(boxes, "boxes"), to_host(joints, "joints")
        return [
            self._people(rows[index], points[index], inverse[index]) for index in range(len(rows))
        ]

    def _people(
        self,
        rows: npt.NDArray[Any],
        points: npt.NDArray[Any],
        inverse: npt.NDArray[np.float64],
    ) -> Poses:
        sure = np.flatnonzero(np.isfinite(rows).all(-1) & (rows[:, 4] > self._threshold))
        order = sure[np.argsort(-rows[sure, 4], kind="stable")]
        order = order[suppress(rows[order, :4], self._overlap)]
        turn, shift = inverse[:, :2].T, inverse[:, 2]
        # Edge coordinates, all of them; joints are of pixels whose centres are whole numbers.
        box = (rows[order, :4].reshape(-1, 2, 2) - 0.5) @ turn + shift + 0.5
        xy = (points[order, :, :2] - 0.5) @ turn + shift
        score = points[order, :, 2]
        is_found = np.isfinite(xy).all(-1) & np.isfinite(score) & (score > 0)
        return Poses(
            np.where(is_found[..., None], xy, np.nan).astype(np.float32),
            np.where(is_found, score, 0).astype(np.float32),
            box.reshape(-1, 4).astype(np.float32),
            self._skeleton,
            rows[order, 4].astype(np.float32),
        )
