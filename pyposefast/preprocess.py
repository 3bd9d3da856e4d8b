"""From pictures and regions to the input of a network, in one pass per call.

A region is where in which picture to look. It can be laid over a grid of any size, the network's
input or its maps, so that one set of regions serves the way in and the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import arguments, ops
from pyposefast.arrays import Array, Home, home_of, shape_of
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.manifest import Input
    from pyposefast.ops.affines import Affines
    from pyposefast.ops.crop import Source

Float64Array = npt.NDArray[np.float64]
_SOURCES = ("rgb", "bgr", "nv12")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a pipeline was called with, looked at once."""

    planes: Any  # as ``ops.crop_images`` takes them
    sizes: tuple[tuple[int, int], ...]  # N (height, width)
    source: Source
    is_single: bool  # one picture, not a batch or a list of one
    home: Home  # where they are

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.sizes)


def pictures(images: Any, *, source: Source = "rgb") -> Pictures:
    """Find out how many pictures there are, of what size, and where.

    Args:
        images: [H, W, 3] uint8 or float32, a batch [N, H, W, 3] or a list of pictures of any
            sizes; with ``source`` "nv12" a pair (Y [H, W], UV [H/2, W/2, 2]), a pair of batches, or
            a list of pairs. Of NumPy, Torch, CuPy or anything with DLPack.
        source: the order of the samples in memory.

    Raises:
        InputError: a shape that cannot be a picture's.
        InputTypeError: no array.
    """
    arguments.word(source, "source", _SOURCES)
    is_list = isinstance(images, list) or (isinstance(images, tuple) and source != "nv12")
    if is_list and len(images) == 0:
        return Pictures([], (), source, is_single=False, home=home_of(np.empty(0), "images"))
    each = list(images) if is_list else [images]
    luma = [_luma(one, source) for one in each]
    rank = 2 if source == "nv12" else 3
    shapes = [shape_of(one, "images") for one in luma]
    for shape in shapes:
        if not (len(shape) == rank or (len(shape) == rank + 1 and not is_list)):
            expected = "[H, W] with [H/2, W/2, 2]" if source == "nv12" else "[H, W, 3]"
            raise InputError("images", f"pictures {expected}", str(list(shape)))
        if source != "nv12" and shape[-1] != 3:  # noqa: PLR2004
            hint = "turn grey or transparent pictures into RGB first"
            raise InputError("images", "3 channels, the last axis", str(list(shape)), hint)
    is_batch = len(shapes[0]) == rank + 1
    sizes = [shape[is_batch : is_batch + 2] for shape in shapes]
    if is_batch:
        sizes *= shapes[0][0]
    for height, width in sizes:
        if height < 1 or width < 1:
            raise InputError("images", "pictures with pixels", f"{height} x {width}")
    return Pictures(
        each if is_list else images,
        tuple((int(height), int(width)) for height, width in sizes),
        source,
        is_single=not is_list and not is_batch,
        home=home_of(luma[0], "images"),
    )


def _luma(image: Any, source: str) -> Array:
    if source != "nv12":
        return image
    if not isinstance(image, (tuple, list)) or len(image) != 2:  # noqa: PLR2004
        raise InputTypeError("images", "pairs (Y, UV)", type(image).__name__)
    return image[0]


@dataclass(frozen=True, slots=True)
class Regions:
    """P places in pictures: boxes, turned squares along axes, or whole pictures."""

    settings: Input
    image_index: npt.NDArray[np.int32]  # [P], the picture of each
    boxes: Float64Array | None = None  # [P, 4], edge coordinates
    axes: Float64Array | None = None  # [P, 2, 2]: the centre of a square, and what is above it
    image_sizes: Float64Array | None = None  # [P, 2], height and width of whole pictures

    def __len__(self) -> int:
        """Return P."""
        return len(self.image_index)

    def __getitem__(self, which: slice) -> Regions:
        """Return some of the regions."""
        return Regions(
            self.settings,
            self.image_index[which],
            None if self.boxes is None else self.boxes[which],
            None if self.axes is None else self.axes[which],
            None if self.image_sizes is None else self.image_sizes[which],
        )

    def affines(self, size: tuple[int, int], *, mirror: bool = False) -> Affines:
        """Return the affines between pictures and a grid laid over the regions.

        Args:
            size: height and width of the grid.
            mirror: the grid lies over the mirror image of every region; for boxes alone.
        """
        settings = self.settings
        if mirror and self.boxes is None:
            raise InputError("mirror", "False for regions that are no boxes", "True")
        if self.axes is not None:
            return ops.axis_affines(
                self.axes[:, 0],
                self.axes[:, 1],
                size=size,
                reach=settings.padding,
                alignment=settings.alignment,
            )
        if self.image_sizes is not None and settings.fit != "stretch":
            return ops.letterbox_affines(
                self.image_sizes,
                size=size,
                anchor="top_left" if settings.fit == "letterbox_top_left" else "centre",
                alignment=settings.alignment,
            )
        if self.image_sizes is not None:
            height, width = self.image_sizes.T
            boxes = np.stack([0 * width, 0 * height, width, height], axis=-1)
            return ops.box_affines(boxes, size=size, fit="stretch", alignment=settings.alignment)
        return ops.box_affines(
            self.boxes,
            size=size,
            padding=settings.padding,
            # A box has no axis: its square is upright.
            fit="stretch" if settings.fit == "stretch" else "expand",
            alignment=settings.alignment,
            mirror=np.ones(len(self), bool) if mirror else None,
        )


def whole(images: Pictures, settings: Input) -> Regions:
    """Return one region per picture: all of it."""
    return Regions(
        settings,
        np.arange(len(images), dtype=np.int32),
        image_sizes=np.array(images.sizes, np.float64).reshape(-1, 2),
    )


def around(boxes: Sequence[Array], settings: Input, sizes: Sequence[tuple[int, int]]) -> Regions:
    """Return one region per box.

    Args:
        boxes: for each picture [P, 4] x1 y1 x2 y2 in edge coordinates, on the host. Parts may lie
            outside of the picture, not the whole of a box.
        settings: of the network that will look at them.
        sizes: height and width of each picture.

    Raises:
        InputError: a box is not finite, has no area or lies outside of its picture.
    """
    rows, index = [], []
    for picture, (found, (height, width)) in enumerate(zip(boxes, sizes, strict=True)):
        try:
            table = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputTypeError("boxes", "numbers [P, 4]", type(found).__name__) from None
        table = table.reshape(0, 4) if table.size == 0 else table
        if table.ndim != 2 or table.shape[1] != 4:  # noqa: PLR2004
            raise InputError("boxes", "[P, 4] x1 y1 x2 y2", str(list(table.shape)))
        for row, box in enumerate(table.tolist()):
            name = f"boxes[{row}]" if len(sizes) == 1 else f"boxes[{picture}][{row}]"
            _check_box(box, name, height, width)
        rows.append(table)
        index += [picture] * len(table)
    all_boxes = np.concatenate(rows) if rows else np.empty((0, 4))
    return Regions(settings, np.array(index, np.int32), boxes=all_boxes)


def _check_box(box: list[float], name: str, height: int, width: int) -> None:
    x1, y1, x2, y2 = box
    if not (np.isfinite(box).all() and max(map(abs, box)) < 1e6):  # noqa: PLR2004  see largest side
        raise InputError(name, "finite x1 y1 x2 y2 in pixels", str(box))
    if not (x2 > x1 and y2 > y1):
        hint = "boxes are corners, x1 y1 x2 y2, not a corner and a size"
        raise InputError(name, "x2 > x1 and y2 > y1", str(box), hint)
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise InputError(name, f"a box that touches its picture, {width} x {height}", str(box))


def cut(
    images: Pictures,
    affines: Float64Array,
    image_index: npt.NDArray[np.int32],
    *,
    settings: Input,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Return the network's input for P regions, [P, 3, h, w] or [P, h, w, 3].

    Args:
        images: where the regions are.
        affines: [P, 2, 3], image pixels -> pixels of the input; P is not 0.
        image_index: [P], the picture of each.
        settings: of the network.
        out: a buffer for the result.
        threads: how many CPU threads share the crops.
    """
    home = images.home
    is_bytes = settings.dtype == "uint8"
    return ops.crop_images(
        images.planes,
        home.from_host(affines),
        size=settings.size,
        image_index=home.from_host(image_index),
        source=images.source,
        output=settings.colour,
        layout=settings.layout,
        dtype=settings.dtype,
        mean=0.0 if is_bytes else settings.mean,
        std=1.0 if is_bytes else settings.std,
        fill=settings.border,
        out=out,
        threads=threads,
    ).pixels
