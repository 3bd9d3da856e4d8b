"""Oracle of ``pyposefast.ops`` affines: regions of an image -> the matrices to a crop and back.

A region is (centre, size, angle, mirror) in edge coordinates: pixel i covers [i, i + 1), so its
centre is at i + 0.5. Everything is float64 and one region at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Alignment = Literal["half_pixel", "corner", "udp"]
Fit = Literal["expand", "stretch"]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Region:
    """A rotated rectangle of an image, in edge coordinates (px)."""

    centre: tuple[float, float]
    size: tuple[float, float]  # width, height
    angle_rad: float = 0.0  # clockwise as seen, y down
    mirror: bool = False


@dataclass(frozen=True)
class Affines:
    """affine [P, 2, 3] image px -> crop px; inverse [P, 2, 3] crop px -> image px."""

    affine: Floats
    inverse: Floats


def region_affine(region: Region, size: tuple[int, int], alignment: Alignment) -> Floats:
    """[2, 3] image px -> crop px, pixel centres at integers on both sides.

    Seen from the region's centre a pixel is at ``d``; along the region's own axes that is
    (d . right, d . down). What is left is one scale and one offset per axis, and they are all that
    the three published conventions disagree about. A mirrored crop is the mirror image of the
    other one, pixel for pixel, in every convention: column u goes to column out_w - 1 - u.
    """
    out_h, out_w = size
    cos, sin = np.cos(region.angle_rad), np.sin(region.angle_rad)
    right = np.array([cos, sin])
    down = np.array([-sin, cos])
    out = np.array([out_w, out_h], np.float64)
    if alignment == "half_pixel":  # u + 0.5 = (x + 0.5 - cx) * out / w + out / 2
        scale, pixel_to_edge, offset = out / region.size, 0.5, out / 2 - 0.5
    elif alignment == "corner":  # u = (x - cx) * out / w + out / 2
        scale, pixel_to_edge, offset = out / region.size, 0.0, out / 2
    elif alignment == "udp":  # u = (x - cx) * (out - 1) / w + (out - 1) / 2
        scale, pixel_to_edge, offset = (out - 1) / region.size, 0.0, (out - 1) / 2
    else:
        raise ValueError(alignment)
    linear = np.stack([right * scale[0], down * scale[1]])
    affine = np.column_stack([linear, linear @ (pixel_to_edge - np.array(region.centre)) + offset])
    if region.mirror:
        affine[0] = [0.0, 0.0, out_w - 1] - affine[0]
    return affine


def invert(affine: Floats) -> Floats:
    """[..., 2, 3] -> [..., 2, 3], by the 3x3 inverse."""
    square = np.zeros((*affine.shape[:-2], 3, 3))
    square[..., :2, :] = affine
    square[..., 2, 2] = 1.0
    return np.linalg.inv(square)[..., :2, :]


def affines_of(regions: Iterable[Region], size: tuple[int, int], alignment: Alignment) -> Affines:
    """One matrix and its inverse per region."""
    matrices = [region_affine(region, size, alignment) for region in regions]
    affine = np.array(matrices, np.float64).reshape(-1, 2, 3)
    return Affines(affine, invert(affine))


def fitted(
    width: float, height: float, size: tuple[int, int], fit: Fit, padding: float
) -> tuple[float, float]:
    """``expand``: the side too short for the crop's aspect grows. Then both sides are padded."""
    out_h, out_w = size
    if fit == "expand":
        if width * out_h > height * out_w:
            height = width * out_h / out_w
        else:
            width = height * out_w / out_h
    return width * padding, height * padding


def box_affines(
    boxes: Any,
    *,
    size: tuple[int, int],
    padding: float = 1.0,
    fit: Fit = "expand",
    alignment: Alignment = "half_pixel",
    angle_rad: Sequence[float] | None = None,
    mirror: Sequence[bool] | None = None,
) -> Affines:
    """Boxes [P, 4] xyxy, edge coordinates."""
    regions = []
    for row, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, np.float64)):
        regions.append(
            Region(
                ((x1 + x2) / 2, (y1 + y2) / 2),
                fitted(x2 - x1, y2 - y1, size, fit, padding),
                0.0 if angle_rad is None else float(angle_rad[row]),
                mirror is not None and bool(mirror[row]),
            )
        )
    return affines_of(regions, size, alignment)


def scale_affines(
    centres: Any,
    scales: Any,
    *,
    size: tuple[int, int],
    unit_px: float = 200.0,
    padding: float = 1.0,
    fit: Fit = "expand",
    alignment: Alignment = "corner",
    angle_rad: Sequence[float] | None = None,
    mirror: Sequence[bool] | None = None,
) -> Affines:
    """Centres [P, 2], scales [P] or [P, 2] (width, height) in units of ``unit_px``."""
    scales = np.asarray(scales, np.float64)
    sides = (np.stack([scales, scales], axis=-1) if scales.ndim == 1 else scales) * unit_px
    regions = []
    for row, ((x, y), (width, height)) in enumerate(
        zip(np.asarray(centres, np.float64), sides, strict=True)
    ):
        regions.append(
            Region(
                (x, y),
                fitted(width, height, size, fit, padding),
                0.0 if angle_rad is None else float(angle_rad[row]),
                mirror is not None and bool(mirror[row]),
            )
        )
    return affines_of(regions, size, alignment)


def edge_of(point: Floats, alignment: Alignment) -> tuple[float, float]:
    """A pixel as the centre of a region: in the older conventions the very same number."""
    half = 0.5 if alignment == "half_pixel" else 0.0
    return float(point[0]) + half, float(point[1]) + half


def joint_affines(
    points: Any,
    *,
    size: tuple[int, int],
    reference: tuple[int, int],
    sigma: float,
    alignment: Alignment = "half_pixel",
) -> Affines:
    """Points [B, K, 2] -> [B * K] squares, side = sigma * |points[a] - points[b]| (DeepPose)."""
    regions = []
    for person in np.asarray(points, np.float64):
        side = sigma * float(np.hypot(*(person[reference[0]] - person[reference[1]])))
        window = fitted(side, side, size, "expand", 1.0)  # a crop that is not square sees more
        regions.extend(Region(edge_of(joint, alignment), window) for joint in person)
    return affines_of(regions, size, alignment)


def axis_affines(
    starts: Any,
    ends: Any,
    *,
    size: tuple[int, int],
    reach: float = 1.25,
    alignment: Alignment = "half_pixel",
) -> Affines:
    """Squares centred on starts [P, 2], in which the ends [P, 2] are straight up (BlazePose)."""
    regions = []
    for start, end in zip(
        np.asarray(starts, np.float64), np.asarray(ends, np.float64), strict=True
    ):
        along = end - start
        side = 2 * reach * float(np.hypot(*along))
        # Up is (0, -1); turned clockwise by a it is (sin a, -cos a): the direction of `along`.
        angle_rad = float(np.arctan2(along[0], -along[1]))
        window = fitted(side, side, size, "expand", 1.0)
        regions.append(Region(edge_of(start, alignment), window, angle_rad))
    return affines_of(regions, size, alignment)


def letterbox_affines(
    image_sizes: Any,
    *,
    size: tuple[int, int],
    anchor: Literal["centre", "top_left"] = "centre",
    alignment: Alignment = "half_pixel",
) -> Affines:
    """image_sizes [P, 2] (height, width): the whole image, its aspect kept, inside the crop."""
    out_h, out_w = size
    regions = []
    for height, width in np.asarray(image_sizes, np.float64):
        shrink = min(out_h / height, out_w / width)
        covered = (out_w / shrink, out_h / shrink)
        centre = (width / 2, height / 2) if anchor == "centre" else (covered[0] / 2, covered[1] / 2)
        regions.append(Region(centre, covered))
    return affines_of(regions, size, alignment)


def transform_points(points: Any, affines: Any) -> Floats:
    """Points [P, K, 2] through affines [P, 2, 3] -> [P, K, 2] float64."""
    points = np.asarray(points, np.float64)
    affines = np.asarray(affines, np.float64)
    return np.einsum("pij,pkj->pki", affines[:, :, :2], points) + affines[:, None, :, 2]
