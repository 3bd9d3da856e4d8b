"""Boxes first, then one look at each person."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pyposefast import arguments, ops, preprocess
from pyposefast.arrays import to_host
from pyposefast.detectors import Detector
from pyposefast.errors import InputError, InputTypeError
from pyposefast.pipelines.following import follow
from pyposefast.pipelines.stream import Stream
from pyposefast.poses import Boxes, Poses
from pyposefast.preprocess import Regions
from pyposefast.stages import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyposefast.arrays import Array
    from pyposefast.network import Network, Outputs
    from pyposefast.ops.crop import Source
    from pyposefast.pipelines.reading import ReadPoints
    from pyposefast.preprocess import Pictures
    from pyposefast.skeletons import Skeleton

BoxesFrom = Literal["detector", "image"]


class TopDown:
    """Finds the joints of the people in boxes. Threads may share one."""

    def __init__(
        self,
        network: Network,
        read: ReadPoints,
        skeleton: Skeleton,
        *,
        detector: Detector | Callable[[], Detector] | None = None,
        boxes: BoxesFrom = "detector",
        flip_test: bool = False,
        threads: int = 1,
    ) -> None:
        """Put the parts together; ``pyposefast.load`` does it for who has a manifest.

        Args:
            network: looks at one person at a time.
            read: reads its outputs.
            skeleton: whose joints it finds.
            detector: whose boxes are used when none are given, or what opens it when they are
                first needed; closed with the pipeline.
            boxes: when none are given, ask the detector, or take each picture for one person.
            flip_test: look at the mirror image of each person too, and average.
            threads: how many CPU threads share what is done around the network.
        """
        self._network, self._read, self._skeleton = network, read, skeleton
        self._open_detector = None if isinstance(detector, Detector) else detector
        self._detector = detector if isinstance(detector, Detector) else None
        self._opening = threading.Lock()
        self._boxes = arguments.word(boxes, "boxes", ("detector", "image"))
        self._flip_test = arguments.flag(flip_test, "flip_test")
        self._threads = arguments.threads(threads)

    @property
    def skeleton(self) -> Skeleton:
        """The K joints of everybody who is found."""
        return self._skeleton

    @property
    def network(self) -> Network:
        """What looks at one person."""
        return self._network

    @property
    def detector(self) -> Detector | None:
        """What finds the boxes; it is opened when it is first asked for."""
        with self._opening:
            if self._detector is None and self._open_detector is not None:
                self._detector = self._open_detector()
            return self._detector

    def __call__(
        self, images: Any, *, boxes: Any = None, source: Source = "rgb"
    ) -> Poses | list[Poses]:
        """Find the people of one picture, or of each of several.

        Args:
            images: [H, W, 3] uint8 or float32 0..255; a batch [N, H, W, 3] or a list, of any sizes,
                for example of several cameras. NumPy, Torch, CuPy or anything with DLPack.
            boxes: x1 y1 x2 y2 of each person, [P, 4] or ``Boxes``; a list of those for a batch or a
                list of pictures. None: the detector's; an empty list is nobody.
            source: the order of the samples in memory: "rgb", "bgr", or "nv12" with pairs of planes
                (Y [H, W], UV [H/2, W/2, 2]).

        Raises:
            InputError: a shape or a value cannot be, or there are no boxes and no detector.
            InputTypeError: no array, or of a wrong dtype.
            EngineError: the network could not be run.
        """
        pictures = preprocess.pictures(images, source=source)
        found = self.people(pictures, self.boxes_of(pictures, boxes))
        return found[0] if pictures.is_single else found

    def boxes_of(self, pictures: Pictures, boxes: Any = None) -> list[Boxes]:
        """Return where to look in each picture: what the caller says, or the detector."""
        if boxes is not None:
            return _given(boxes, pictures)
        if self._boxes == "image":
            return [_whole(size) for size in pictures.sizes]
        detector = self.detector
        if detector is None:
            hint = "pass `boxes=`, or load the pipeline with `detector=`"
            raise InputError("boxes", "boxes, since there is no detector", "nothing", hint)
        with stage("detect"):
            return detector.find(pictures, threads=self._threads)

    def people(self, pictures: Pictures, boxes: Sequence[Boxes]) -> list[Poses]:
        """Find the joints of the people in the boxes of each picture."""
        regions = self._regions(pictures, boxes)
        points = _Found(len(regions), self._skeleton)
        flipped: Iterator[tuple[slice, Outputs]] = iter(())
        if self._flip_test:
            flipped = self._network.look(pictures, regions, mirror=True, threads=self._threads)
        looks = self._network.look(pictures, regions, threads=self._threads)
        for which, outputs in looks:
            mirrored = next(flipped)[1] if self._flip_test else None
            with stage("decode"):
                read = self._read(outputs, mirrored, self._threads)
            with stage("download"):
                points.add(which, read, regions[which])
        return points.split(boxes)

    def stream(self, source: Any, *, detect_every: int = 1, **options: Any) -> Stream:
        """Go through a video, a camera, a stream or a folder.

        Args:
            source: as ``media.open_source`` takes it.
            detect_every: the detector runs on every so manieth frame; in between, people are
                looked for around their last poses. For the frames of one camera.
            options: for ``Stream``.
        """
        return Stream(follow(self, detect_every, options), source, **options)

    def warmup(self) -> None:
        """Run every network on zeros, so that the first call costs what the others do."""
        self._network.warmup()
        if self._boxes == "detector" and self.detector is not None:
            self.detector.warmup()

    def close(self) -> None:
        """Close every network."""
        self._network.close()
        if self._detector is not None:
            self._detector.close()

    def _regions(self, pictures: Pictures, boxes: Sequence[Boxes]) -> Regions:
        settings = self._network.settings
        xyxy = [each.box for each in boxes]
        regions = preprocess.around(xyxy, settings, pictures.sizes)
        if settings.fit != "axis" or not len(regions):
            return regions
        if any(each.axis is None and len(each) for each in boxes):
            return regions  # somebody's own boxes: upright squares around them
        axes = np.concatenate([each.axis for each in boxes if each.axis is not None])
        return Regions(settings, regions.image_index, axes=axes.astype(np.float64))


class _Found:
    """The points of all regions, in their pictures, on the host."""

    def __init__(self, regions: int, skeleton: Skeleton) -> None:
        joints = len(skeleton.joints)
        self._skeleton = skeleton
        self._xy = np.empty((regions, joints, 2), np.float32)
        self._score = np.empty((regions, joints), np.float32)
        self._person_score = np.empty(regions, np.float32)
        self._world_m: npt.NDArray[np.float32] | None = None

    def add(self, which: slice, points: Any, regions: Regions) -> None:
        """Take the points of some regions to their pictures."""
        xy, score, found = (
            to_host(array, "points") for array in (points.xy, points.score, points.found)
        )
        is_found = found > 0
        xy = ops.transform_points(np.ascontiguousarray(xy), regions.affines(points.grid).inverse)
        xy[~is_found] = np.nan
        self._xy[which] = xy
        self._score[which] = np.where(is_found, score, np.float32(0))
        if points.person_score is None:
            self._person_score[which] = self._score[which].mean(axis=1)
        else:
            self._person_score[which] = to_host(points.person_score, "person_score")
        if points.world_m is not None:
            if self._world_m is None:
                self._world_m = np.full((*self._score.shape, 3), np.nan, np.float32)
            self._world_m[which] = to_host(points.world_m, "world_m")

    def split(self, boxes: Sequence[Boxes]) -> list[Poses]:
        """Return the people of each picture."""
        result, start = [], 0
        for each in boxes:
            mine = slice(start, start + len(each))
            start = mine.stop
            result.append(
                Poses(
                    self._xy[mine],
                    self._score[mine],
                    each.box,
                    self._skeleton,
                    self._person_score[mine] * each.score,
                    None if self._world_m is None else self._world_m[mine],
                )
            )
        return result


def _given(boxes: Any, pictures: Pictures) -> list[Boxes]:
    each = [boxes] if pictures.is_single else boxes
    if not isinstance(each, (list, tuple)) or len(each) != len(pictures):
        got = f"{len(each)}" if isinstance(each, (list, tuple)) else type(each).__name__
        raise InputError("boxes", f"a list of {len(pictures)}, boxes for each picture", got)
    return [box if isinstance(box, Boxes) else _sure(box) for box in each]


def _sure(boxes: Array) -> Boxes:
    """Boxes of a caller, who knows that somebody is there."""
    try:
        xyxy = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputTypeError("boxes", "numbers [P, 4]", type(boxes).__name__) from None
    if xyxy.size == 0:
        xyxy = xyxy.reshape(0, 4)
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:  # noqa: PLR2004
        raise InputError("boxes", "[P, 4] x1 y1 x2 y2", str(list(xyxy.shape)))
    return Boxes(xyxy, np.ones(len(xyxy), np.float32))


def _whole(size: tuple[int, int]) -> Boxes:
    height, width = size
    return _sure(np.array([[0, 0, width, height]], np.float32))
