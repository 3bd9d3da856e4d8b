"""Execution contexts, shared by threads: each serves one set of input shapes, one call at a time.

A context is not reused for other shapes: what TensorRT prepares for a shape lies in the context's
memory, and a CUDA graph that was captured for one would read what another left there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.engines.tensor_rt_gpu import CannotCapture, Gpu
from pyposefast.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import tensorrt

    from pyposefast.engines.ports import Port

__all__ = ["Lane", "LaneKey", "Lanes"]

Shape = tuple[int, ...]
LaneKey = tuple[int, tuple[Shape, ...]]  # optimisation profile, shapes of all inputs

_ALIGNMENT = 256  # bytes: what TensorRT asks of every address

_log = logging.getLogger("pyposefast")


class Lane:
    """A context for one set of input shapes, with a stream, buffers and a graph of its own."""

    def __init__(
        self,
        gpu: Gpu,
        engine: tensorrt.ICudaEngine,
        key: LaneKey,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        *,
        cuda_graph: bool,
        last_words: Callable[[], str],
    ) -> None:
        """Make the context, and ask it for the shapes of the outputs."""
        self.key = key
        self.is_sound = True  # False after a call that failed on the way
        self.stream = gpu.new_stream()
        self._gpu = gpu
        self._last_words = last_words  # what TensorRT last complained about
        self._wants_graph = cuda_graph
        self._graph: Any | None = None
        self._done = gpu.new_event()
        self._joint = gpu.new_event()
        self._buffers: dict[str, Any] = {}
        context: tensorrt.IExecutionContext | None = engine.create_execution_context()
        if context is None:
            raise EngineError(f"no execution context could be made: {last_words()}")
        self._context: tensorrt.IExecutionContext = context
        profile, shapes = key
        if not context.set_optimization_profile_async(profile, self.stream.ptr):
            raise EngineError(f"profile {profile} cannot be used: {last_words()}")
        gpu.synchronize(self.stream.ptr)
        for port, shape in zip(inputs, shapes, strict=True):
            if not context.set_input_shape(port.name, shape):
                raise EngineError(f"{port.name}: {list(shape)} is refused: {last_words()}")
        self.output_shapes: dict[str, Shape] = {}
        for port in outputs:
            shape = tuple(int(size) for size in context.get_tensor_shape(port.name))
            if min(shape, default=0) < 0:
                raise EngineError(
                    f"{port.name}: its shape {list(shape)} depends on the data, which is not "
                    "supported here",
                    "export the network without its non-maximum suppression",
                )
            self.output_shapes[port.name] = shape
        all_shapes = {
            **{port.name: shape for port, shape in zip(inputs, shapes, strict=True)},
            **self.output_shapes,
        }
        self._sizes = {  # in bytes
            port.name: int(np.prod(all_shapes[port.name])) * np.dtype(port.dtype).itemsize
            for port in (*inputs, *outputs)
        }

    def enqueue(
        self,
        sources: Mapping[str, int],
        targets: Mapping[str, int],
        stream: int,
        *,
        on_host: bool,
    ) -> None:
        """Put a run on a stream: behind what is there, and behind this lane's last run.

        Args:
            sources: the address of every input.
            targets: the address of every output.
            stream: its handle.
            on_host: the addresses are of the host's memory.
        """
        self._gpu.wait(stream, self._done)
        self.is_sound = False
        try:
            self._run(sources, targets, stream, on_host=on_host)
            self.is_sound = True
        finally:
            self._gpu.record(self._done, stream)

    def follow(self, stream: int, other: int) -> None:
        """Let a stream wait for what another one has been given so far."""
        self._gpu.record(self._joint, other)
        self._gpu.wait(stream, self._joint)

    def close(self) -> None:
        """Wait until the device is done with it, so that its memory may go."""
        self._gpu.finish(self._done)

    def _run(
        self, sources: Mapping[str, int], targets: Mapping[str, int], stream: int, *, on_host: bool
    ) -> None:
        addresses = {**sources, **targets}
        is_aligned = all(address % _ALIGNMENT == 0 for address in addresses.values())
        if on_host or self._wants_graph or not is_aligned:
            self._copy_and_run(sources, targets, stream)
        else:
            self._run_on(addresses, stream)

    def _copy_and_run(
        self, sources: Mapping[str, int], targets: Mapping[str, int], stream: int
    ) -> None:
        if not self._buffers:
            self._buffers = {name: self._gpu.memory(size) for name, size in self._sizes.items()}
        for name, address in sources.items():
            self._gpu.copy(self._buffers[name].ptr, address, self._sizes[name], stream)
        if self._graph is not None:
            self._gpu.launch(self._graph, stream)
        else:
            buffers = {name: buffer.ptr for name, buffer in self._buffers.items()}
            self._run_on(buffers, stream)
            if self._wants_graph:
                # After a run of its own: the first one for a shape does what no graph can hold.
                self._gpu.synchronize(stream)
                self._capture()
        for name, address in targets.items():
            self._gpu.copy(address, self._buffers[name].ptr, self._sizes[name], stream)

    def _capture(self) -> None:
        def work() -> None:
            if not self._context.execute_async_v3(self.stream.ptr):
                raise CannotCapture

        self._graph = self._gpu.capture(self.stream, work)
        if self._graph is None:
            self._wants_graph = False
            _log.warning("TensorRT: no CUDA graph of this network, it runs without one")

    def _run_on(self, addresses: Mapping[str, int], stream: int) -> None:
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise EngineError(f"{name}: its address is refused: {self._last_words()}")
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"the network could not be run: {self._last_words()}")


class Lanes:
    """At most so many lanes, over all shapes; who needs one when all are busy waits."""

    def __init__(self, make: Callable[[LaneKey], Lane], most: int) -> None:
        """Start with none; ``make`` is called for each that is needed."""
        self._make = make
        self._most = most
        self._count = 0
        self._idle: list[Lane] = []  # the one used last is at the end
        self._change = threading.Condition()
        self._is_closed = False

    @contextlib.contextmanager
    def borrow(self, key: LaneKey) -> Iterator[Lane]:
        """Have a lane for oneself; one that failed is not used again."""
        lane = self._taken(key)
        try:
            yield lane
        finally:
            with self._change:
                is_kept = lane.is_sound and not self._is_closed
                if is_kept:
                    self._idle.append(lane)
                    self._change.notify()
            if not is_kept:
                self._drop(lane)

    def close(self) -> None:
        """Drop all lanes; those at work go when they are given back."""
        with self._change:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._change.notify_all()
        for lane in idle:
            self._drop(lane)

    def _taken(self, key: LaneKey) -> Lane:
        """Take an idle lane of these shapes, or make one, in place of another if need be."""
        stale = None
        with self._change:
            self._change.wait_for(lambda: self._is_closed or self._idle or self._count < self._most)
            if self._is_closed:
                raise EngineError("the engine is closed")
            for position in reversed(range(len(self._idle))):
                if self._idle[position].key == key:
                    return self._idle.pop(position)
            if self._count < self._most:
                self._count += 1
            else:
                stale = self._idle.pop(0)
        try:
            if stale is not None:
                stale.close()
                stale = None
            return self._make(key)
        except BaseException:
            self._drop(None)
            raise

    def _drop(self, lane: Lane | None) -> None:
        try:
            if lane is not None:
                lane.close()
        finally:
            with self._change:
                self._count -= 1
                self._change.notify()
