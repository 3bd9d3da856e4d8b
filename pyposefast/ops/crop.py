"""Regions of images as network inputs: where they lie (affines) and what they show (crops)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from pyposefast import _C, arguments
from pyposefast.arrays import Array, DType, Home, home_of, shape_of
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError

Alignment = Literal["half_pixel", "corner", "udp"]
Fit = Literal["expand", "stretch"]
Source = Literal["rgb", "bgr", "grey", "nv12"]
Yuv = Literal["bt601", "bt709", "bt601_full", "bt709_full"]
_LARGEST_FACTOR = 1e6  # on the sides of a region
PerChannel = float | Sequence[float]
Plane = Array | Sequence[Array]


@dataclass(frozen=True, slots=True)
class Affines:
    """Where crops lie, both ways. Pixel-centre coordinates on both sides."""

    affine: Array  # [P, 2, 3] float64, image pixels -> crop pixels
    inverse: Array  # [P, 2, 3] float64, crop pixels -> image pixels


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops ready for a network, and the way back to the image."""

    pixels: Array  # [P, C, h, w] or [P, h, w, C]
    inverse: Array  # [P, 2, 3] float64, crop pixels -> image pixels


def crop_images(
    images: Plane | tuple[Array, Array] | Sequence[tuple[Array, Array]],
    affines: Array,
    *,
    size: tuple[int, int],
    image_index: Array | None = None,
    source: Source = "rgb",
    output: Literal["rgb", "bgr", "grey"] = "rgb",
    layout: Literal["nchw", "nhwc"] = "nchw",
    dtype: DType = "float32",
    mean: PerChannel = 0.0,
    std: PerChannel = 1.0,
    border: Literal["constant", "replicate"] = "constant",
    fill: PerChannel = 0.0,
    yuv: Yuv = "bt601",
    out: Array | None = None,
    threads: int = 1,
) -> Crops:
    """Cut P crops out of one or many images and normalise them, in one pass.

    Sampling is bilinear with pixel centres at whole numbers, as ``cv2.warpAffine`` has it, but
    without its rounding of positions to 1/32 pixel.

    Args:
        images: one image, a batch or a list. uint8 or float32: [H, W, 3], [N, H, W, 3] for
            ``source`` "rgb" and "bgr"; [H, W], [N, H, W] for "grey". For "nv12" a pair of uint8
            planes (Y [H, W], UV [H/2, W/2, 2]), a pair of batches, or a list of pairs. Rows may
            be apart (``image[y0:y1, x0:x1]``), the samples of a row may not.
        affines: [P, 2, 3] float64, image pixels -> crop pixels; see ``box_affines``. On the CPU
            anything that NumPy can turn into float64.
        size: (height, width) of the crops, in pixels.
        image_index: [P] int32, the image of each crop; by default all are of the first.
        source: the order of the samples in memory.
        output: the order of the channels that come out. "grey" needs a grey source.
        layout: "nchw" or "nhwc".
        dtype: "float32", "float16", or "uint8" (rounded half to even, saturated).
        mean: subtracted, one value or one per output channel, in the units of the source.
        std: divided by, likewise.
        border: what lies outside the image: "constant" is ``fill``, "replicate" the nearest pixel.
        fill: the colour outside, one value or one per output channel, before normalisation.
        yuv: the colour matrix of an NV12 source; BT.601 and BT.709, limited range or full.
        out: a buffer for the pixels, instead of a new one.
        threads: how many CPU threads share the crops.

    Returns:
        The crops, in the caller's framework and on the images' device, and the inverse affines.

    Raises:
        InputError: an argument has the wrong shape or value. On the CPU this includes affines that
            have no inverse; on a device, such a crop shows only ``fill``.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    planes, chroma, is_batch = _planes(images, source)
    first, name = (planes[0], "images") if planes else (affines, "affines")
    home = _home_of_results(out, first, name)
    matrices = _float64(affines, "affines", home)
    count = _rows(matrices, "affines", (2, 3))
    height, width = arguments.crop_size(size)
    channels = 1 if arguments.word(output, "output", ("rgb", "bgr", "grey")) == "grey" else 3
    is_nhwc = arguments.word(layout, "layout", ("nchw", "nhwc")) == "nhwc"
    arguments.word(dtype, "dtype", ("uint8", "float16", "float32"))
    shape = (count, height, width, channels) if is_nhwc else (count, channels, height, width)
    settings: dict[str, Any] = {
        "output": output,
        "is_nhwc": is_nhwc,
        "mean": arguments.per_channel(mean, "mean", channels),
        "std": arguments.per_channel(std, "std", channels, arguments.FLOAT32_TINY),
        "border": arguments.word(border, "border", ("constant", "replicate")),
        "fill": arguments.per_channel(fill, "fill", channels),
        "yuv": arguments.word(yuv, "yuv", get_args(Yuv)),
        "threads": arguments.threads(threads),
    }
    if out is not None and shape_of(out, "out") != shape:
        raise InputError("out", f"shape {shape}", str(shape_of(out, "out")))
    pixels = home.empty(shape, dtype) if out is None else out
    inverse = home.empty((count, 2, 3), "float64")
    if image_index is not None and home.device_kind == "cpu":
        image_index = _int32(image_index, "image_index")
    _C.crop(
        planes,
        chroma,
        is_batch,
        matrices,
        image_index,
        pixels,
        inverse,
        source=source,
        stream=home.stream,
        **settings,
    )
    return Crops(pixels, inverse)


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
    regions = _float64(boxes, "boxes", home)
    _rows(regions, "boxes", (4,))
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
    middle = _float64(centres, "centres", home)
    sides = _float64(scales, "scales", home)
    count = _rows(middle, "centres", (2,))
    _rows(sides, "scales", () if len(shape_of(sides, "scales")) == 1 else (2,), count)
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
    joints = _float64(points, "points", home)
    _rows(joints, "points", (None, 2))
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
    origin, tip = _float64(starts, "starts", home), _float64(ends, "ends", home)
    _rows(tip, "ends", (2,), _rows(origin, "starts", (2,)))
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
    sizes = _float64(image_sizes, "image_sizes", home)
    _rows(sizes, "image_sizes", (2,))
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
    home = _home_of_results(out, points, "points")
    matrices = _float64(affines, "affines", home)
    result = home.empty(shape_of(points, "points"), "float32") if out is None else out
    _C.transform_points(points, matrices, result, stream=home.stream)
    return result


def _home_of_results(out: Array | None, array: Array, argument: str) -> Home:
    # With a buffer for the results, the input may be of a framework in which none can be made.
    return home_of(array, argument) if out is None else home_of(out, "out")


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
        angle_rad = _float64(angle_rad, "angle_rad", home)
        _rows(angle_rad, "angle_rad", (), count)
    if mirror is not None:
        if home.device_kind == "cpu":
            mirror = _booleans(mirror, "mirror")
        _rows(mirror, "mirror", (), count)
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


def _planes(images: object, source: Source) -> tuple[list[Array], list[Array], bool]:
    """Images as lists of planes (and of chroma planes), and whether the one entry is a batch."""
    arguments.word(source, "source", ("rgb", "bgr", "grey", "nv12"))
    chroma: list[Array] = []
    if source == "nv12":
        expected = "a pair (Y, UV) or a list of pairs"
        if not isinstance(images, (tuple, list)):
            raise InputTypeError("images", expected, _kind(images))
        pairs = [images] if isinstance(images, tuple) else images
        if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):  # noqa: PLR2004
            raise InputTypeError("images", expected, _kind(images))
        planes, chroma = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        is_list = isinstance(images, list)
    else:
        is_list = isinstance(images, (tuple, list))
        planes = list(images) if is_list else [images]  # type: ignore[call-overload]
    rank = 2 if source in ("grey", "nv12") else 3
    is_batch = not is_list and len(shape_of(planes[0], "images")) == rank + 1
    return planes, chroma, is_batch


def _kind(value: object) -> str:
    return type(value).__name__


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


def _table(value: Array, argument: str, kinds: str, expected: str) -> np.ndarray[Any, Any]:
    """A small table on the CPU, as a NumPy array of one of the kinds of dtype."""
    if isinstance(value, (np.ma.MaskedArray, str, bytes)):
        raise InputTypeError(argument, expected, _kind(value))
    try:
        table = np.asarray(value)
    except (TypeError, ValueError):
        raise InputTypeError(argument, expected, _kind(value)) from None
    if table.dtype.kind not in kinds and table.size:
        raise InputTypeError(argument, expected, str(table.dtype))
    return table


def _float64(value: Array, argument: str, home: Home) -> Array:
    """Small tables of numbers: converted on the CPU, taken as they are on a device."""
    if home.device_kind != "cpu":
        return value  # what lives elsewhere is refused with the other arrays of the call
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack_device__"):
        other = home_of(value, argument)
        if other.device_kind != "cpu":
            raise DeviceMismatchError(argument, "the other arrays are on the CPU", other.place)
    table = _table(value, argument, "iuf", "numbers")
    if table.dtype == np.longdouble and np.longdouble is not np.float64:
        raise InputTypeError(argument, "numbers of float64 or less", str(table.dtype))
    return np.ascontiguousarray(table, dtype=np.float64)


def _int32(value: Array, argument: str) -> Array:
    table = _table(value, argument, "iu", "integers")
    if table.size and not (table.min() >= 0 and table.max() <= np.iinfo(np.int32).max):
        raise InputError(argument, "indices of images", f"{table.min()} to {table.max()}")
    return np.ascontiguousarray(table, dtype=np.int32)


def _booleans(value: Array, argument: str) -> Array:
    table = _table(value, argument, "biu", "booleans")
    return np.ascontiguousarray(table != 0, dtype=np.uint8)


def _rows(
    array: Array, argument: str, row: tuple[int | None, ...], count: int | None = None
) -> int:
    """Check for shape [count, *row] and give the count."""
    shape = shape_of(array, argument)
    fits = len(shape) == len(row) + 1 and all(
        wanted in (None, size) for wanted, size in zip(row, shape[1:], strict=True)
    )
    if not fits or (count is not None and shape[0] != count):
        wanted = ", ".join("K" if size is None else str(size) for size in row)
        first = "P" if count is None else str(count)
        raise InputError(argument, f"[{first}{', ' if wanted else ''}{wanted}]", str(list(shape)))
    return shape[0]
