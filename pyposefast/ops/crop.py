"""Regions of images as network inputs: cut out, normalised and in the order a network wants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from pyposefast import _C, arguments
from pyposefast.arrays import Array, DType, shape_of
from pyposefast.errors import InputError, InputTypeError
from pyposefast.ops import tables

Source = Literal["rgb", "bgr", "grey", "nv12"]
Yuv = Literal["bt601", "bt709", "bt601_full", "bt709_full"]
PerChannel = float | Sequence[float]
Plane = Array | Sequence[Array]


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
        CapacityError: the crops are more than 8 GiB, and there is no ``out``.
        InputError: an argument has the wrong shape or value. On the CPU this includes affines that
            have no inverse; on a device, such a crop shows only ``fill``.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    planes, chroma, is_batch = _planes(images, source)
    first, name = (planes[0], "images") if planes else (affines, "affines")
    home = tables.home_of_results(out, first, name)
    matrices = tables.float64(affines, "affines", home)
    count = tables.rows(matrices, "affines", (2, 3))
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
    if out is None:
        wanted = math.prod(shape) * np.dtype(dtype).itemsize + 48 * count
        arguments.room(wanted, "size", "crop fewer at once, or pass `out=`")
    pixels = home.empty(shape, dtype) if out is None else out
    inverse = home.empty((count, 2, 3), "float64")
    if image_index is not None and home.device_kind == "cpu":
        image_index = tables.int32(image_index, "image_index")
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


def _planes(images: object, source: Source) -> tuple[list[Array], list[Array], bool]:
    """Images as lists of planes (and of chroma planes), and whether the one entry is a batch."""
    arguments.word(source, "source", ("rgb", "bgr", "grey", "nv12"))
    chroma: list[Array] = []
    if source == "nv12":
        expected = "a pair (Y, UV) or a list of pairs"
        if not isinstance(images, (tuple, list)):
            raise InputTypeError("images", expected, type(images).__name__)
        pairs = [images] if isinstance(images, tuple) else images
        if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):  # noqa: PLR2004
            raise InputTypeError("images", expected, type(images).__name__)
        planes, chroma = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        is_list = isinstance(images, list)
    else:
        is_list = isinstance(images, (tuple, list))
        planes = list(images) if is_list else [images]  # type: ignore[call-overload]
    rank = 2 if source in ("grey", "nv12") else 3
    is_batch = not is_list and len(shape_of(planes[0], "images")) == rank + 1
    return planes, chroma, is_batch
