"""One CUDA device as an engine uses it: memory, streams, events and graphs, by way of CuPy.

Streams are plain handles (cudaStream_t): the caller's belong to any framework. What is made here is
freed when it is dropped.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyposefast import _C
from pyposefast.errors import DeviceError, InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CannotCapture", "DeviceDied", "Gpu", "GpuInfo", "find_gpu"]

_ANY_DIRECTION = 4  # cudaMemcpyDefault: the addresses say which memory they are in
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
_INSTALL = 'pip install "pyposefast[cuda]"'


class DeviceDied(DeviceError):  # noqa: N818  the name says what happened
    """A CUDA call failed in a way that leaves the device unusable for this process."""


class CannotCapture(Exception):  # noqa: N818
    """Raised by work that a graph cannot hold."""


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """What a plan depends on."""

    index: int
    name: str
    compute_capability: str
    driver: str


def find_gpu(device: str) -> GpuInfo:
    """Find the device that "cuda" or "cuda:1" names.

    Nothing of CUDA may be loaded before this was asked: TensorRT without a device ends the process.

    Raises:
        InputError: it is no name of a CUDA device.
        DeviceError: there is no such device, or nothing here can use one.
    """
    expected = '"cuda" or "cuda:N"'
    if not isinstance(device, str):
        raise InputTypeError("device", expected, type(device).__name__)
    match = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if match is None:
        hint = "TensorRT runs on NVIDIA GPUs alone; the other engines run on the CPU"
        raise InputError("device", expected, repr(device), hint)
    found = _C.cuda_devices()
    if not found["devices"]:
        raise DeviceError(
            f"{device}: {found['status']}",
            "`pyposefast doctor` says what is missing; engine onnx_runtime runs without a GPU",
        )
    index = int(match[1] or 0)
    for each in found["devices"]:
        if each["index"] == index:
            capability = each["compute_capability"]
            return GpuInfo(index, each["name"], capability, _driver(found["driver_version"]))
    visible = ", ".join(f"cuda:{each['index']}" for each in found["devices"])
    hint = "CUDA_VISIBLE_DEVICES may hide devices"
    raise DeviceError(f"{device}: no such device, there is only {visible}", hint)


def _driver(cuda_version: int | None) -> str:
    """Return the driver's own version where the system tells it, and the CUDA version it serves."""
    try:
        own = Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # Jetson, WSL: the CUDA version has to do
        own = ""
    return f"{own} CUDA {cuda_version}".strip()


class Gpu:
    """Memory, streams, events and graphs of one device."""

    def __init__(self, index: int) -> None:
        """Import CuPy, or say how to get it."""
        try:
            import cupy  # noqa: PLC0415  an extra: imported when needed
        except ImportError as error:
            message = f"TensorRT needs CuPy, which does not import here\nhint: {_INSTALL}"
            raise ImportError(message) from error
        self.index = index
        self._cupy: Any = cupy

    @contextlib.contextmanager
    def at_work(self, doing: str) -> Iterator[None]:
        """Make the device the current one of this thread, and CUDA's errors ours."""
        try:
            with self._cupy.cuda.Device(self.index):
                yield
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise self._out_of_memory(doing) from error
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status == _OUT_OF_MEMORY:
                raise self._out_of_memory(doing) from error
            raise DeviceDied(
                f"cuda:{self.index}: {doing}: {error}",
                "the device cannot be used any more in this process; start a new one",
            ) from error

    def memory(self, size_bytes: int) -> Any:
        """Return new memory, whose ``ptr`` is its address.

        It comes from CUDA and not from CuPy's pool, which may hand out what work on another stream
        still uses.
        """
        return self._cupy.cuda.Memory(max(size_bytes, 1))

    def new_stream(self) -> Any:
        """Return a stream that does not wait for the default one; ``ptr`` is its handle."""
        return self._cupy.cuda.Stream(non_blocking=True)

    def new_event(self) -> Any:
        """Return an event, for ``record`` and ``wait``."""
        return self._cupy.cuda.Event(disable_timing=True)

    def copy(self, target: int, source: int, size_bytes: int, stream: int) -> None:
        """Copy between any two addresses, of the host or the device."""
        self._cupy.cuda.runtime.memcpyAsync(target, source, size_bytes, _ANY_DIRECTION, stream)

    def record(self, event: Any, stream: int) -> None:
        """Let the event happen when the stream has done what it has been given so far."""
        self._cupy.cuda.runtime.eventRecord(event.ptr, stream)

    def wait(self, stream: int, event: Any) -> None:
        """Let the stream go on only after the event; one that was never recorded is over."""
        self._cupy.cuda.runtime.streamWaitEvent(stream, event.ptr)

    def synchronize(self, stream: int) -> None:
        """Wait until the stream has nothing left to do."""
        self._cupy.cuda.runtime.streamSynchronize(stream)

    def finish(self, event: Any) -> None:
        """Wait until the event has happened."""
        self._cupy.cuda.runtime.eventSynchronize(event.ptr)

    def capture(self, stream: Any, work: Callable[[], None]) -> Any | None:
        """Make a graph of what ``work`` puts on a stream; None if it cannot be one."""
        failures = (self._cupy.cuda.runtime.CUDARuntimeError, CannotCapture)
        stream.begin_capture()
        try:
            work()
        except failures:
            with contextlib.suppress(*failures):  # the capture has to end all the same
                stream.end_capture()
            return None
        try:
            return stream.end_capture()
        except failures:
            return None

    def launch(self, graph: Any, stream: int) -> None:
        """Put a graph on a stream."""
        self._cupy.cuda.runtime.graphLaunch(graph.graphExec, stream)

    def _out_of_memory(self, doing: str) -> DeviceError:
        return DeviceError(
            f"cuda:{self.index}: {doing}: out of memory",
            "use smaller batches or fewer `contexts`, or free what other programs hold",
        )
