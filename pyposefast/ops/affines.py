"""Regions of images -> affines that take them to crops, and points through affines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pyposefast import _C, arguments
from pyposefast.arrays import Array, Home, home_of, shape_of
from pyposefast.errors import InputTypeError
from pyposefast.ops import tables

Alignment = Literal["half_pixel", "corner", "udp"]
Fit = Literal["expand", "stretch"]
_LARGEST_FACTOR = 1e6  # on the sides of a region


@dataclass(frozen=True, slots=True)
class Affines:
    """Where crops lie, both ways. Pixel-centre coordinates on both sides."""

    affine: Array  # [P, 2, 3] float64, image pixels -> crop pixels
    inverse: Array  # [P, 2, 3] float64, crop pixels -> image pixels


def box_affines(
    boxes: Array,
    *,
    size: tuple[int, int],
    padding: float = 1.0,
    fit: Fit = "expand",
    alignment: Alignment = "half_pixel",
    angle_rad: Array | None = None,
    mirror: Array | None = None,
) -> Affines:
    """Affines of crops around boxes.

    Args:
        boxes: [P, 4] float64 x1, y1, x2, y2 in edge coordinates: the whole image is 0, 0, W, H.
        size: (height, width) of the crops, in pixels.
        padding: factor on both sides of the region; 1.25 is the field's habit.
        fit: "expand" lets the shorter side grow to the crop's aspect, "stretch" gives it up.
        alignment: how image and crop pixels meet. "half_pixel" is exact geometry; "corner" is what
            HRNet, SimpleBaseline and hourglass were trained with, "udp" ViTPose and RTMPose.
        angle_rad: [P], turns the region about its centre, clockwise as seen.
        mirror: [P] bool, the crops that show the mirror image.

    Raises:
        InputError: a box is not finite or has no area (CPU; on a device its affine is NaN).
    """
    home = home_of(boxes, "boxes")
    regions = tables.float64(boxes, "boxes", home)
    tables.rows(regions, "boxes", (4,))
    return _affines(
        home,
        (regions,),
        "boxes",
        "box",
        size,
        padding=padding,
        fit=fit,
        alignment=alignment,
        angle_rad=angle_rad,
        mirror=mirror,
    )


def scale_affines(
    centres: Array,
    scales: Array,
    *,
    size: tuple[int, int],
    unit_px: float = 200.0,
    padding: float = 1.0,
    fit: Fit = "expand",
    alignment: Alignment = "corner",
    angle_rad: Array | None = None,
    mirror: Array | None = None,
) -> Affines:
    """Affines from centres and scales, as MPII, COCO tools and hourglass write persons down.

    Args:
        centres: [P, 2] x, y. In edge coordinates; under "corner" both readings are the same.
        scales: [P] or [P, 2]; a side measures scale * ``unit_px``.
        size: (height, width) of the crops, in pixels.
        unit_px: pixels per unit of scale, 200 wherever it is used.
        padding: as in ``box_affines``; published scales include theirs.
        fit: as in ``box_affines``.
        alignment: as in ``box_affines``.
        angle_rad: as in ``box_affines``.
        mirror: as in ``box_affines``.
    """
    home = home_of(centres, "centres")
    middle = tables.float64(centres, "centres", home)
    sides = tables.float64(scales, "scales", home)
    count = tables.rows(middle, "centres", (2,))
    tables.rows(sides, "scales", () if len(shape_of(sides, "scales")) == 1 else (2,), count)
    return _affines(
        home,
        (middle, sides),
        "centres",
        "scale",
        size,
        padding=padding,
        fit=fit,
        alignment=alignment,
        unit_px=unit_px,
        angle_rad=angle_rad,
        mirror=mirror,
    )


def joint_affines(
    points: Array,
    *,
    size: tuple[int, int],
    reference: tuple[int, int],
    sigma: float,
    alignment: Alignment = "half_pixel",
) -> Affines:
    """Affines of square windows around every joint of every pose: DeepPose's refinement stages.

    Args:
        points: [B, K, 2] float64, pixel-centre coordinates.
        size: (height, width) of the windows, in pixels.
        reference: two joints whose distance is the size of the pose: left shoulder, right hip.
        sigma: side of a window over that distance; 1.0 for FLIC, 2.0 for LSP.
        alignment: as in ``box_affines``.

    Returns:
        Affines of B * K windows, pose by pose.
    """
    home = home_of(points, "points")
    joints = tables.float64(points, "points", home)
    tables.rows(joints, "points", (None, 2))
    return _affines(
        home,
        (joints,),
        "points",
        "joint",
        size,
        alignment=alignment,
        reach=arguments.number(sigma, "sigma", arguments.FLOAT32_TINY, _LARGEST_FACTOR),
        reference=_joints(reference, shape_of(joints, "points")[1]),
    )


def axis_affines(
    starts: Array,
    ends: Array,
    *,
    size: tuple[int, int],
    reach: float = 1.25,
    alignment: Alignment = "half_pixel",
) -> Affines:
    """Affines of turned squares around an axis: BlazePose's regions.

    Args:
        starts: [P, 2] float64, the centres of the squares (mid hip), pixel-centre coordinates.
        ends: [P, 2] float64; start to end points up in the crop.
        size: (height, width) of the crops, in pixels.
        reach: half the side over the length of the axis.
        alignment: as in ``box_affines``.
    """
    home = home_of(starts, "starts")
    origin, tip = tables.float64(starts, "starts", home), tables.float64(ends, "ends", home)
    tables.rows(tip, "ends", (2,), tables.rows(origin, "starts", (2,)))
    reach = arguments.number(reach, "reach", arguments.FLOAT32_TINY, _LARGEST_FACTOR)
    return _affines(home, (origin, tip), "starts", "axis", size, alignment=alignment, reach=reach)


def letterbox_affines(
    image_sizes: Array,
    *,
    size: tuple[int, int],
    anchor: Literal["centre", "top_left"] = "centre",
    alignment: Alignment = "half_pixel",
) -> Affines:
    """Affines that fit whole images into crops and keep their aspect.

    Args:
        image_sizes: [P, 2] (height, width).
        size: (height, width) of the crops, in pixels.
        anchor: where the image lies in a crop that is wider or higher than it.
        alignment: as in ``box_affines``.
    """
    home = home_of(image_sizes, "image_sizes")
    sizes = tables.float64(image_sizes, "image_sizes", home)
    tables.rows(sizes, "image_sizes", (2,))
    is_top_left = arguments.word(anchor, "anchor", ("centre", "top_left")) == "top_left"
    return _affines(
        home,
        (sizes,),
        "image_sizes",
        "letterbox",
        size,
        alignment=alignment,
        is_top_left=is_top_left,
    )


def transform_points(points: Array, affines: Array, *, out: Array | None = None) -> Array:
    """Take points through affines, e.g. from crops back to their images with ``Crops.inverse``.

    Args:
        points: [P, K, 2] float32 x, y.
        affines: [P, 2, 3] float64.
        out: a buffer for the result; may be ``points``.

    Returns:
        [P, K, 2] float32.
    """
    home = tables.home_of_results(out, points, "points")
    matrices = tables.float64(affines, "affines", home)
    result = out
    if result is None:
        shape = shape_of(points, "points")
        arguments.room(4 * math.prod(shape), "points")
        result = home.empty(shape, "float32")
    _C.transform_points(points, matrices, result, stream=home.stream)
    return result


def _affines(
    home: Home,
    source: tuple[Array, ...],
    argument: str,
    kind: str,
    size: tuple[int, int],
    *,
    padding: float = 1.0,
    fit: Fit = "expand",
    alignment: Alignment,
    unit_px: float = 200.0,
    reach: float = 1.0,
    reference: tuple[int, int] = (0, 0),
    is_top_left: bool = False,
    angle_rad: Array | None = None,
    mirror: Array | None = None,
) -> Affines:
    shape = shape_of(source[0], argument)
    count = shape[0] * shape[1] if kind == "joint" else shape[0]
    height, width = arguments.crop_size(size)
    padding = arguments.number(padding, "padding", arguments.FLOAT32_TINY, _LARGEST_FACTOR)
    unit_px = arguments.number(unit_px, "unit_px", arguments.FLOAT32_TINY, _LARGEST_FACTOR)
    arguments.word(fit, "fit", get_args(Fit))
    arguments.word(alignment, "alignment", get_args(Alignment))
    if angle_rad is not None:
        angle_rad = tables.float64(angle_rad, "angle_rad", home)
        tables.rows(angle_rad, "angle_rad", (), count)
    if mirror is not None:
        if home.device_kind == "cpu":
            mirror = tables.booleans(mirror, "mirror")
        tables.rows(mirror, "mirror", (), count)
    arguments.room(2 * 48 * count, argument)
    affine = home.empty((count, 2, 3), "float64")
    inverse = home.empty((count, 2, 3), "float64")
    _C.region_affines(
        source[0],
        source[1] if len(source) > 1 else None,
        affine,
        inverse,
        angle_rad,
        mirror,
        argument=argument,
        kind=kind,
        height=height,
        width=width,
        padding=padding,
        fit=fit,
        alignment=alignment,
        unit_px=unit_px,
        reach=reach,
        reference=reference,
        is_top_left=is_top_left,
        stream=home.stream,
    )
    return Affines(affine, inverse)


def _joints(reference: tuple[int, int], joints: int) -> tuple[int, int]:
    try:
        first, second = reference
    except (TypeError, ValueError):
        raise InputTypeError("reference", "two joints", repr(reference)) from None
    last = joints - 1
    return (
        arguments.integer(first, "reference", 0, last),
        arguments.integer(second, "reference", 0, last),
    )
