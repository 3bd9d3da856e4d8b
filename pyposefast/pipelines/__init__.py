"""The ways to get from pictures to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pyposefast.pipelines.bottom_up import BottomUp
from pyposefast.pipelines.cascade import Cascade, Closer
from pyposefast.pipelines.stream import FrameResult, Stream, StreamStats
from pyposefast.pipelines.top_down import TopDown

if TYPE_CHECKING:
    from pyposefast.network import Network
    from pyposefast.ops.crop import Source
    from pyposefast.poses import Poses
    from pyposefast.skeletons import Skeleton

__all__ = [
    "BottomUp",
    "Cascade",
    "Closer",
    "FrameResult",
    "Pipeline",
    "Stream",
    "StreamStats",
    "TopDown",
]


class Pipeline(Protocol):
    """From pictures to people, however. Threads may share one."""

    @property
    def skeleton(self) -> Skeleton:
        """The K joints of everybody who is found."""

    @property
    def network(self) -> Network:
        """What looks at pictures, or at people."""

    def __call__(self, images: Any, *, source: Source = "rgb") -> Poses | list[Poses]:
        """Find the people of one picture, or of each of several."""

    def stream(self, source: Any, **options: Any) -> Stream:
        """Go through a video, a camera, a stream or a folder."""

    def warmup(self) -> None:
        """Run every network on zeros."""

    def close(self) -> None:
        """Close every network."""
