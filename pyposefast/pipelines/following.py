"""Detect now and then, and follow in between: people move little from one frame to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pyposefast import arguments, preprocess
from pyposefast.errors import InputError
from pyposefast.poses import Boxes, Poses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyposefast.preprocess import Pictures

_SURE = 0.2  # joints from this score on say where somebody is
_FEWEST_JOINTS = 3
_MARGIN = 1.25  # of a person's box around that of the joints, which lie inside of the body


class _ByBoxes(Protocol):
    """The pipelines that look into boxes."""

    def boxes_of(self, pictures: Pictures) -> list[Boxes]:
        """Ask the detector."""

    def people(self, pictures: Pictures, boxes: Sequence[Boxes]) -> list[Poses]:
        """Find the joints of the people in the boxes."""


class Following:
    """A pipeline for the successive frames of one source. It remembers: one thread at a time."""

    def __init__(self, pipeline: _ByBoxes, every: int) -> None:
        """Start knowing nobody.

        Args:
            pipeline: what finds the people.
            every: the detector runs on every so manieth frame, and while nobody is known.
        """
        self._pipeline, self._every = pipeline, every
        self._frame = 0
        self._last: Poses | None = None

    def __call__(self, images: list[npt.NDArray[np.uint8]]) -> list[Poses]:
        """Find the people of successive frames."""
        return [self._next(image) for image in images]

    def _next(self, image: npt.NDArray[np.uint8]) -> Poses:
        picture = preprocess.pictures(image)
        boxes = None
        if self._frame % self._every and self._last is not None:
            boxes = carry(self._last, picture.sizes[0])
        if boxes is None or not len(boxes):
            boxes = self._pipeline.boxes_of(picture)[0]
        self._frame += 1
        self._last = self._pipeline.people(picture, [boxes])[0]
        return self._last


def follow(pipeline: _ByBoxes, every: int, options: Mapping[str, Any]) -> Any:
    """Return what a stream runs: the pipeline, or one that follows.

    Args:
        pipeline: what finds the people.
        every: the detector runs on every so manieth frame.
        options: of the stream.

    Raises:
        InputError: people cannot be followed by several workers, each of whom sees other frames.
    """
    if arguments.integer(every, "detect_every", 1, 1 << 20) == 1:
        return pipeline
    if options.get("workers", 1) != 1:
        got = f"{options['workers']} workers"
        raise InputError("workers", "1 with detect_every", got, "frames follow one another")
    return Following(pipeline, every)


def carry(poses: Poses, size: tuple[int, int]) -> Boxes:
    """Return where to look for the same people in the next frame.

    Args:
        poses: of the last frame.
        size: height and width of the frame.

    Returns:
        A box for each person of whom enough joints were found.
    """
    height, width = size
    boxes = []
    for person in range(len(poses)):
        is_sure = np.isfinite(poses.xy[person]).all(-1) & (poses.score[person] >= _SURE)
        if is_sure.sum() < _FEWEST_JOINTS:
            continue
        places = poses.xy[person, is_sure] + 0.5  # edge coordinates, as boxes have
        low, high = places.min(axis=0), places.max(axis=0)
        middle, half = (low + high) / 2, (high - low) / 2 * _MARGIN
        box = np.clip([*(middle - half), *(middle + half)], 0, [width, height, width, height])
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            boxes.append(box)
    # How sure the detector was is not known any more.
    return Boxes(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))
