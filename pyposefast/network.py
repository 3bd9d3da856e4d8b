"""A network that is ready to look at regions of pictures: an engine and how it is fed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import preprocess
from pyposefast.arrays import Array
from pyposefast.errors import ModelError
from pyposefast.stages import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from pyposefast.engines import Engine, Port
    from pyposefast.manifest import Input
    from pyposefast.preprocess import Pictures, Regions

Outputs = dict[str, Array]  # by name, the first axis being the regions


class _Buffers(threading.local):
    """The input of one thread's last call, to be written over by its next."""

    def __init__(self) -> None:
        self.batch: Any = None


class Network:
    """An engine together with what its manifest says of its input. Threads may share one."""

    __slots__ = ("_buffers", "_engine", "_port", "_settings")

    def __init__(self, engine: Engine, settings: Input) -> None:
        """Compare the engine's input with the manifest's.

        Args:
            engine: opened; it is closed with this network.
            settings: how regions become its input.

        Raises:
            ModelError: the network takes something else than the manifest says.
        """
        self._engine, self._settings = engine, settings
        self._port = _input_port(engine, settings)
        self._buffers = _Buffers()

    @property
    def engine(self) -> Engine:
        """What runs the network."""
        return self._engine

    @property
    def settings(self) -> Input:
        """How regions become its input."""
        return self._settings

    def look(
        self, images: Pictures, regions: Regions, *, mirror: bool = False, threads: int = 1
    ) -> Iterator[tuple[slice, Outputs]]:
        """Run the network on all regions, a bounded number at a time.

        Args:
            images: where the regions are.
            regions: any number of them.
            mirror: look at the mirror image of each.
            threads: how many CPU threads share the crops.

        Yields:
            Which regions, and what the network says of them: before the next are looked at.
        """
        affine = regions.affines(self._settings.size, mirror=mirror).affine
        return self.look_through(images, affine, regions.image_index, threads=threads)

    def look_through(
        self,
        images: Pictures,
        affines: npt.NDArray[np.float64],
        image_index: npt.NDArray[np.int32],
        *,
        threads: int = 1,
    ) -> Iterator[tuple[slice, Outputs]]:
        """Do the same with regions that are given as affines.

        Args:
            images: where the regions are.
            affines: [P, 2, 3], image pixels -> pixels of the input.
            image_index: [P], the picture of each.
            threads: as in ``look``.
        """
        most = self._settings.batch
        for start in range(0, len(affines), most):
            which = slice(start, min(start + most, len(affines)))
            batch = self.batch(images, affines[which], image_index[which], threads=threads)
            yield which, self.run(batch)

    def batch(
        self,
        images: Pictures,
        affines: npt.NDArray[np.float64],
        image_index: npt.NDArray[np.int32],
        *,
        threads: int = 1,
    ) -> Array:
        """Return the input for at most as many regions as one run takes.

        On the host it is this thread's buffer, which its next call writes over.
        """
        out = self._buffer(images, len(affines))
        with stage("preprocess"):
            return preprocess.cut(
                images, affines, image_index, settings=self._settings, out=out, threads=threads
            )

    def run(self, batch: Array) -> Outputs:
        """Run the network on an input [P, ...]; see ``batch``."""
        with stage("network"):
            return self._engine.run({self._port.name: batch})

    def warmup(self) -> None:
        """Run on zeros, so that the first real call costs what the others do."""
        for count in (1, 2)[: self._settings.batch]:  # engines may have a second way for several
            self.run(np.zeros((count, *_shape(self._settings)), self._settings.dtype))

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _buffer(self, images: Pictures, count: int) -> Array | None:
        if images.home.framework.name != "numpy":
            return None  # frameworks for devices keep memory of their own
        buffers = self._buffers
        if buffers.batch is None or len(buffers.batch) < count:
            shape = (count, *_shape(self._settings))
            buffers.batch = np.empty(shape, self._settings.dtype)
        return buffers.batch[:count]


def _shape(settings: Input) -> tuple[int, int, int]:
    height, width = settings.size
    return (3, height, width) if settings.layout == "nchw" else (height, width, 3)


def _input_port(engine: Engine, settings: Input) -> Port:
    """Find the input that takes pictures, and check that it takes those of the manifest."""
    ports = engine.inputs
    names = ", ".join(port.name for port in ports)
    if settings.name is not None:
        ports = tuple(port for port in ports if port.name == settings.name)
        if not ports:
            raise ModelError(f"input.name: the network has {names}, not {settings.name}")
    if len(ports) != 1:
        raise ModelError(
            f"the network has inputs {names}", "say which takes pictures: input.name = ..."
        )
    port, wanted = ports[0], (None, *_shape(settings))
    fits = len(port.shape) == len(wanted) and all(
        have is None or want is None or have == want
        for have, want in zip(port.shape, wanted, strict=True)
    )
    if not fits or port.dtype != settings.dtype:
        raise ModelError(
            f"{port.name}: the network takes {port.dtype} {_words(port.shape)}, the manifest says "
            f"{settings.dtype} {_words(wanted)}",
            "see input.size, input.layout and input.dtype",
        )
    return port


def _words(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"


def output(outputs: Outputs, name: str) -> Array:
    """Return one output, or say which there are."""
    try:
        return outputs[name]
    except KeyError:
        known = ", ".join(outputs)
        raise ModelError(f"decoder: the network has no output {name}", f"it has {known}") from None
