"""Skeleton overlay: Poses over a picture. The only file that draws with OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast.errors import InputError, InputTypeError
from pyposefast.extras import opencv

if TYPE_CHECKING:
    from pyposefast.poses import Poses
    from pyposefast.skeletons import Side

# The person's own left is warm and the right is cold, on every picture.
_COLOURS: dict[Side, tuple[int, int, int]] = {
    "left": (255, 140, 66),
    "right": (64, 156, 255),
    "centre": (120, 224, 143),
}
_RIM = (24, 26, 34)  # around every line, so that it shows on bright and on dark clothes
_LINE_PART = 0.017  # width of a line over the size of the person (square root of the box's area)
_WIDEST_PART_OF_LIMB = 0.30  # short limbs get thin lines, else faces become blots
_SURE = 0.5  # scores from here on are drawn at full width
_UNSURE_WIDTH = 0.45  # width of a line at the threshold
_OPACITY = 0.9
_RIM_PART = 0.24  # width of the rim over the width of the line
_SHIFT = 4  # OpenCV takes places in 1/16 pixel: overlays do not jitter in videos
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_UNIT_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=-1)  # [24, 2]


def draw_poses(
    image: npt.NDArray[np.uint8], poses: Poses, *, threshold: float = 0.2
) -> npt.NDArray[np.uint8]:
    """Return a copy of the picture with the skeletons over it.

    Lines are as wide as the person is large, thinner where the network was unsure, and absent
    where a joint was not found or scores below the threshold.

    Args:
        image: [H, W, 3] uint8 RGB.
        poses: in pixels of this image. Larger boxes are drawn over smaller ones.
        threshold: joints with a lower score are left out.
    """
    dtype = getattr(image, "dtype", None)
    if dtype != np.uint8:
        got = type(image).__name__ if dtype is None else str(dtype)
        raise InputTypeError("image", "a NumPy array uint8 [H, W, 3]", got)
    if image.ndim != 3 or image.shape[2] != 3:  # noqa: PLR2004
        raise InputError("image", "uint8 [H, W, 3]", f"uint8 {list(image.shape)}")
    if not np.isfinite(threshold):
        raise InputError("threshold", "a finite number", repr(threshold))
    canvas = np.ascontiguousarray(image).copy()
    if len(poses) == 0 or image.size == 0:
        return canvas
    cv2 = opencv()
    sizes = np.sqrt([max((x2 - x1) * (y2 - y1), 1.0) for x1, y1, x2, y2 in poses.box.tolist()])
    for person in np.argsort(sizes, kind="stable").tolist():
        _draw_person(cv2, canvas, poses, person, float(sizes[person]), threshold)
    blended: npt.NDArray[np.uint8] = cv2.addWeighted(
        canvas, _OPACITY, np.ascontiguousarray(image), 1.0 - _OPACITY, 0.0
    )
    return blended


def _draw_person(
    cv2: Any,
    canvas: npt.NDArray[np.uint8],
    poses: Poses,
    person: int,
    size: float,
    threshold: float,
) -> None:
    xy = poses.xy[person].astype(np.float64)  # [K, 2]
    score = poses.score[person]
    skeleton = poses.skeleton
    shown = _shown(xy, score, threshold, canvas.shape)
    sure = np.clip((score - threshold) / max(_SURE - threshold, 1e-6), 0.0, 1.0)
    strength = _UNSURE_WIDTH + (1.0 - _UNSURE_WIDTH) * sure  # [K]
    widest = max(_LINE_PART * size, 1.5)
    radius = np.zeros(len(xy))  # of the dots: as wide as the widest line that ends there
    lines = []
    for first, second in skeleton.limbs:
        if not (shown[first] and shown[second]):
            continue
        length = float(np.hypot(*(xy[second] - xy[first])))
        width = min(widest, max(_WIDEST_PART_OF_LIMB * length, 1.2))
        width *= float(min(strength[first], strength[second]))
        sides = {skeleton.side(first), skeleton.side(second)} - {"centre"}
        colour = _COLOURS[sides.pop()] if len(sides) == 1 else _COLOURS["centre"]
        lines.append((xy[first], xy[second], width, colour))
        radius[[first, second]] = np.maximum(radius[[first, second]], 0.72 * width)
    radius[radius == 0] = 0.4 * widest  # a joint all by itself
    for start, end, width, _ in lines:
        _line(cv2, canvas, (start, end), width + 2 * max(_RIM_PART * width, 0.7), _RIM)
    for joint in np.flatnonzero(shown):
        _dot(cv2, canvas, xy[joint], radius[joint] + max(_RIM_PART * radius[joint], 0.7), _RIM)
    for start, end, width, colour in lines:
        _line(cv2, canvas, (start, end), width, colour)
    for joint in np.flatnonzero(shown):
        colour = _COLOURS[skeleton.side(int(joint))]
        _dot(cv2, canvas, xy[joint], float(radius[joint]), (255, 255, 255))
        _dot(cv2, canvas, xy[joint], 0.68 * float(radius[joint]), colour)


def _shown(
    xy: npt.NDArray[np.float64],
    score: npt.NDArray[np.float32],
    threshold: float,
    shape: tuple[int, ...],
) -> npt.NDArray[np.bool_]:
    """Return [K]: found, sure enough, and near enough that OpenCV's integers can hold the place."""
    reach = 4.0 * max(shape)
    near = np.isfinite(xy).all(-1) & (np.abs(np.nan_to_num(xy)) < reach).all(-1)
    return near & np.isfinite(score) & (score >= threshold)


def _line(
    cv2: Any,
    canvas: npt.NDArray[np.uint8],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    width: float,
    colour: tuple[int, int, int],
) -> None:
    """Draw a line of fractional width: OpenCV's own lines know whole pixels only."""
    start, end = ends
    along = end - start
    length = float(np.hypot(*along))
    if length == 0:
        return
    across = np.array([-along[1], along[0]]) * (0.5 * width / length)
    corners = np.stack([start + across, end + across, end - across, start - across])
    fixed = np.rint(corners * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed, colour, cv2.LINE_AA, _SHIFT)


def _dot(
    cv2: Any,
    canvas: npt.NDArray[np.uint8],
    centre: npt.NDArray[np.float64],
    radius: float,
    colour: tuple[int, int, int],
) -> None:
    """Draw a disc as a polygon: below 4 pixels, OpenCV's own circles have four corners."""
    fixed = np.rint((centre + radius * _UNIT_CIRCLE) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed, colour, cv2.LINE_AA, _SHIFT)
