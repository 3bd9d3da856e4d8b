"""The DeepPose loop: predict every joint, look closer around each, predict again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import ops, preprocess
from pyposefast.arrays import to_host
from pyposefast.errors import ModelError
from pyposefast.pipelines.following import follow
from pyposefast.pipelines.stream import Stream
from pyposefast.stages import stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyposefast.network import Network
    from pyposefast.ops.crop import Source
    from pyposefast.pipelines.reading import ReadPoints
    from pyposefast.pipelines.top_down import TopDown
    from pyposefast.poses import Boxes, Poses
    from pyposefast.preprocess import Pictures
    from pyposefast.skeletons import Skeleton


_SMALLEST_PX = 1e-3  # of a pose that still has windows


@dataclass(frozen=True, slots=True)
class Closer:
    """One later stage: a network that looks at a window around every joint."""

    network: Network
    read: ReadPoints
    sigma: float  # side of a window over the size of the pose
    reference: tuple[int, int]  # two joints whose distance is the size of the pose


class Cascade:
    """Finds the joints of the people in boxes, each stage closer than the last.

    All joints of all people are one launch of crops and one batch of the network per stage.
    Threads may share one.
    """

    def __init__(self, first: TopDown, stages: Sequence[Closer], *, threads: int = 1) -> None:
        """Put the parts together; ``pyposefast.load`` does it for who has a manifest.

        Args:
            first: looks at whole people.
            stages: look at windows, in this order; closed with the pipeline.
            threads: how many CPU threads share what is done around the networks.
        """
        self._first, self._stages, self._threads = first, tuple(stages), threads

    @property
    def skeleton(self) -> Skeleton:
        """The K joints of everybody who is found."""
        return self._first.skeleton

    @property
    def network(self) -> Network:
        """What looks at whole people."""
        return self._first.network

    def __call__(
        self, images: Any, *, boxes: Any = None, source: Source = "rgb"
    ) -> Poses | list[Poses]:
        """Find the people of one picture, or of each of several; arguments as for ``TopDown``."""
        pictures = preprocess.pictures(images, source=source)
        found = self.people(pictures, self.boxes_of(pictures, boxes))
        return found[0] if pictures.is_single else found

    def boxes_of(self, pictures: Pictures, boxes: Any = None) -> list[Boxes]:
        """Return where to look in each picture: what the caller says, or the detector."""
        return self._first.boxes_of(pictures, boxes)

    def people(self, pictures: Pictures, boxes: Sequence[Boxes]) -> list[Poses]:
        """Find the joints of the people in the boxes of each picture."""
        found = self._first.people(pictures, boxes)
        counts = [len(poses) for poses in found]
        if not sum(counts):
            return found
        xy = np.concatenate([poses.xy for poses in found])
        image_index = np.repeat(np.arange(len(found), dtype=np.int32), counts)
        for closer in self._stages:
            xy = self._closer(closer, pictures, xy, image_index)
        parts = np.split(xy, np.cumsum(counts)[:-1])
        return [replace(poses, xy=part) for poses, part in zip(found, parts, strict=True)]

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
        self._first.warmup()
        for closer in self._stages:
            closer.network.warmup()

    def close(self) -> None:
        """Close every network."""
        self._first.close()
        for closer in self._stages:
            closer.network.close()

    def _closer(
        self,
        closer: Closer,
        pictures: Pictures,
        xy: npt.NDArray[np.float32],
        image_index: npt.NDArray[np.int32],
    ) -> npt.NDArray[np.float32]:
        """Return [B, K, 2] after one stage; a joint that it does not find stays where it was."""
        joints = xy.shape[1]
        # A pose without its reference joints has no size, and is left as it is.
        first, second = (xy[:, joint].astype(np.float64) for joint in closer.reference)
        whose = np.flatnonzero(np.hypot(*(first - second).T) > _SMALLEST_PX)
        if not whose.size:
            return xy
        is_known = np.all(np.isfinite(xy[whose]), axis=-1)
        # The window of a joint that was not found lies anywhere; what is seen in it is left out.
        around = np.where(is_known[..., None], xy[whose], first[whose, None])
        size = closer.network.settings.size
        windows = ops.joint_affines(
            around.astype(np.float64),
            size=size,
            reference=closer.reference,
            sigma=closer.sigma,
            alignment=closer.network.settings.alignment,
        )
        of_picture = np.repeat(image_index[whose], joints)
        looks = closer.network.look_through(
            pictures, windows.affine, of_picture, threads=self._threads
        )
        result = xy.copy()
        for which, outputs in looks:
            with stage("decode"):
                points = closer.read(outputs, None, self._threads)
            if points.grid != size:
                raise ModelError("a cascade's later networks have to give coordinates")
            in_window, is_found = to_host(points.xy, "points"), to_host(points.found, "points") > 0
            window = np.arange(which.start, which.stop)
            joint = window % joints
            # A network answers for every joint; of a window, the one in its middle is meant.
            mine = np.arange(len(window)), joint
            moved = ops.transform_points(
                np.ascontiguousarray(in_window[mine][:, None]), windows.inverse[which]
            )[:, 0]
            kept = is_found[mine] & is_known[window // joints, joint]
            result[whose[window // joints][kept], joint[kept]] = moved[kept]
        return result
