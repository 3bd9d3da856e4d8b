"""One look at the whole picture finds everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyposefast import arguments, preprocess
from pyposefast.pipelines.stream import Stream

if TYPE_CHECKING:
    from pyposefast.network import Network
    from pyposefast.ops.crop import Source
    from pyposefast.pipelines.reading import ReadPeople
    from pyposefast.poses import Poses
    from pyposefast.preprocess import Pictures
    from pyposefast.skeletons import Skeleton


class BottomUp:
    """Finds everybody in a picture by one run of a network. Threads may share one."""

    def __init__(
        self, network: Network, read: ReadPeople, skeleton: Skeleton, *, threads: int = 1
    ) -> None:
        """Put the parts together; ``pyposefast.load`` does it for who has a manifest.

        Args:
            network: looks at whole pictures.
            read: finds the people in its outputs.
            skeleton: whose joints it finds.
            threads: how many CPU threads share what is done around the network.
        """
        self._network, self._read, self._skeleton = network, read, skeleton
        self._threads = arguments.threads(threads)

    @property
    def skeleton(self) -> Skeleton:
        """The K joints of everybody who is found."""
        return self._skeleton

    @property
    def network(self) -> Network:
        """What looks at pictures."""
        return self._network

    def __call__(self, images: Any, *, source: Source = "rgb") -> Poses | list[Poses]:
        """Find the people of one picture, or of each of several.

        Args:
            images: as in ``TopDown``.
            source: as in ``TopDown``.
        """
        pictures = preprocess.pictures(images, source=source)
        found = self.people(pictures)
        return found[0] if pictures.is_single else found

    def people(self, pictures: Pictures) -> list[Poses]:
        """Find the people of each picture."""
        regions = preprocess.whole(pictures, self._network.settings)
        found: list[Poses] = []
        for which, outputs in self._network.look(pictures, regions, threads=self._threads):
            found += self._read(outputs, regions[which], self._threads)
        return found

    def stream(self, source: Any, **options: Any) -> Stream:
        """Go through a video, a camera, a stream or a folder.

        Args:
            source: as ``media.open_source`` takes it.
            options: for ``Stream``.
        """
        return Stream(lambda images: self.people(preprocess.pictures(images)), source, **options)

    def warmup(self) -> None:
        """Run the network on zeros, so that the first call costs what the others do."""
        self._network.warmup()

    def close(self) -> None:
        """Close the network."""
        self._network.close()
