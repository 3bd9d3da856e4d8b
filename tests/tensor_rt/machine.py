"""A CUDA device that does nothing before it must: an order that nobody asked for does not happen.

Streams are queues. Work runs when something waits for it, and then only that work and what it was
told to wait for itself, so a missing wait shows as memory that was never written. Fresh and freed
memory holds bytes that no test expects. Addresses are the host's.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

FRESH, FREED = 0xCD, 0xDD
_ALIGNMENT = 256


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError {status}")
        self.status = status


class OutOfMemoryError(MemoryError):
    pass


class Token:
    """One recording of an event."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.has_happened = False


class Machine:
    def __init__(self) -> None:
        self.streams: dict[int, list[Any]] = {0: []}
        self.events: dict[int, Token] = {}
        self.captures: dict[int, list[Any]] = {}
        self.calls: list[str] = []  # every call of the runtime, by name
        self.failures: dict[str, int] = {}  # name of a call: the status that it fails with
        self.current = threading.local()
        self.memory: list[Any] = []  # never given back to Python: what is stale stays readable
        self.freed = 0
        self._handles = itertools.count(0x1000, 16)
        self._lock = threading.RLock()

    def handle(self) -> int:
        return next(self._handles)

    def called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise CUDARuntimeError(self.failures[name])
        if getattr(self.current, "index", None) is None and name != "streamSynchronize":
            message = f"{name} without a current device"
            raise AssertionError(message)

    def put(self, stream: int, work: Callable[[], None]) -> None:
        with self._lock:
            self._queue(stream).append(work)

    def record(self, event: int, stream: int) -> None:
        with self._lock:
            token = Token(stream)
            self.events[event] = token
            self._queue(stream).append(token)

    def wait(self, stream: int, event: int) -> None:
        with self._lock:
            token = self.events.get(event)
            if token is not None:
                self._queue(stream).append(lambda: self.run_until(token))

    def run(self, stream: int) -> None:
        with self._lock:
            queue = self.streams[stream]
            while queue:
                self._step(queue)

    def run_by_turns(self, streams: list[int]) -> None:
        """Let every stream do one thing at a time, the last one first."""
        while any(self.streams[stream] for stream in streams):
            for stream in reversed(streams):
                with self._lock:
                    if self.streams[stream]:
                        self._step(self.streams[stream])

    def run_until(self, token: Token | None) -> None:
        with self._lock:
            while token is not None and not token.has_happened:
                self._step(self.streams[token.stream])

    def _step(self, queue: list[Any]) -> None:
        item = queue.pop(0)
        if isinstance(item, Token):
            item.has_happened = True
        else:
            item()

    def _queue(self, stream: int) -> list[Any]:
        if stream in self.captures:
            return self.captures[stream]
        return self.streams[stream]


def fake_cupy(machine: Machine) -> ModuleType:
    """Return a module with what our code uses of CuPy, over one machine."""

    class Device:
        def __init__(self, device: int) -> None:
            self._index = device

        def __enter__(self) -> Self:
            self._before = getattr(machine.current, "index", None)
            machine.current.index = self._index
            return self

        def __exit__(self, *_: object) -> None:
            machine.current.index = self._before

    class Memory:
        def __init__(self, size: int) -> None:
            machine.called("malloc")
            self._bytes = np.full(size + _ALIGNMENT, FRESH, np.uint8)
            machine.memory.append(self._bytes)
            address = self._bytes.ctypes.data
            self.ptr = address + -address % _ALIGNMENT

        def __del__(self) -> None:
            if hasattr(self, "_bytes"):
                self._bytes[...] = FREED
                machine.freed += 1

    class Stream:
        def __init__(self, *, non_blocking: bool = False) -> None:
            machine.called("streamCreate")
            assert non_blocking, "a blocking stream waits for the default one"
            self.ptr = machine.handle()
            machine.streams[self.ptr] = []

        def begin_capture(self) -> None:
            machine.called("streamBeginCapture")
            machine.captures[self.ptr] = []

        def end_capture(self) -> Graph:
            work = machine.captures.pop(self.ptr)
            machine.called("streamEndCapture")
            return Graph(work)

    class Graph:
        def __init__(self, work: list[Any]) -> None:
            self.graphExec = machine.handle()
            graphs[self.graphExec] = work

    class Event:
        def __init__(self, *, disable_timing: bool = False) -> None:
            machine.called("eventCreate")
            assert disable_timing, "timing makes waiting slower"
            self.ptr = machine.handle()

    graphs: dict[int, list[Any]] = {}

    def memcpy_async(target: int, source: int, size: int, kind: int, stream: int) -> None:
        machine.called("memcpyAsync")
        assert kind == 4  # cudaMemcpyDefault
        machine.put(stream, lambda: _move(target, source, size))

    def event_record(event: int, stream: int) -> None:
        machine.called("eventRecord")
        machine.record(event, stream)

    def stream_wait_event(stream: int, event: int) -> None:
        machine.called("streamWaitEvent")
        machine.wait(stream, event)

    def stream_synchronize(stream: int) -> None:
        machine.called("streamSynchronize")
        machine.run(stream)

    def event_synchronize(event: int) -> None:
        machine.called("eventSynchronize")
        machine.run_until(machine.events.get(event))

    def graph_launch(graph: int, stream: int) -> None:
        machine.called("graphLaunch")
        for work in graphs[graph]:
            machine.put(stream, work)

    cupy: Any = ModuleType("cupy")
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.Device, cupy.cuda.Memory = Device, Memory
    cupy.cuda.Stream, cupy.cuda.Event = Stream, Event
    cupy.cuda.memory = ModuleType("cupy.cuda.memory")
    cupy.cuda.memory.OutOfMemoryError = OutOfMemoryError
    runtime: Any = ModuleType("cupy.cuda.runtime")
    cupy.cuda.runtime = runtime
    runtime.CUDARuntimeError = CUDARuntimeError
    runtime.memcpyAsync = memcpy_async
    runtime.eventRecord, runtime.streamWaitEvent = event_record, stream_wait_event
    runtime.streamSynchronize, runtime.eventSynchronize = stream_synchronize, event_synchronize
    runtime.graphLaunch = graph_launch
    return cupy


def _move(target: int, source: int, size: int) -> None:
    ctypes.memmove(target, source, size)
