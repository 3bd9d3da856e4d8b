"""A loaded plan at work: the engine that ``open_tensor_rt`` returns."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import weakref
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pyposefast import arguments
from pyposefast.arrays import home_of
from pyposefast.engines.opened import MOST_BATCH, Opened
from pyposefast.engines.tensor_rt_gpu import DeviceDied, Gpu
from pyposefast.engines.tensor_rt_lanes import Lane, LaneKey, Lanes
from pyposefast.engines.tensor_rt_plan import last_words, ports_of, profiles_of
from pyposefast.errors import DeviceError, DeviceMismatchError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import tensorrt

    from pyposefast.arrays import Array, Home
    from pyposefast.engines.ports import Port
    from pyposefast.engines.tensor_rt_plan import Range, Shape

__all__ = ["TensorRt"]

_LARGEST_HANDLE = (1 << 64) - 1
_DEFAULT_STREAMS = (0, 1)  # of CUDA: they wait for all others, and can make no graph

_log = logging.getLogger("pyposefast")


class TensorRt(Opened[Lanes]):
    """A plan, ready to run; an ``Engine``.

    Threads may share it: each run has an execution context, a stream and buffers to itself, and at
    most ``contexts`` are under way at once. Feeds on the device are used behind what their
    framework's current stream (or ``stream``) was given before, the results are ready behind it,
    and nothing waits. Feeds on the host are copied to the device and the results back, which does
    wait. Everything stays on the device that it was opened for. An axis of an input that all
    profiles fix to one size has that size.
    """

    def __init__(
        self,
        trt: Any,
        gpu: Gpu,
        runtime: tensorrt.Runtime,
        engine: tensorrt.ICudaEngine,
        logger: Any,
        *,
        name: str,
        graph: bool,
        contexts: int,
    ) -> None:
        """Use ``open_tensor_rt`` instead."""
        self._gpu = gpu
        self._file = name
        self._death: DeviceDied | None = None
        with gpu.at_work(f"preparing {name}"):
            self._profiles = profiles_of(trt, engine)
            inputs, outputs = ports_of(trt, engine, self._profiles)
        kept = (logger, runtime)  # which have to outlive what they made

        def make(key: LaneKey) -> Lane:
            words = functools.partial(last_words, kept[0])
            return Lane(gpu, engine, key, inputs, outputs, cuda_graph=graph, last_words=words)

        lanes = Lanes(make, contexts)
        super().__init__(
            lanes,
            name="tensor_rt",
            network=name,
            device=f"cuda:{gpu.index}",
            inputs=inputs,
            outputs=outputs,
        )
        # An engine that nobody closed may go while the device is still at work for it.
        weakref.finalize(self, _finish, lanes, gpu, os.getpid()).atexit = False

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,
        stream: int | None = None,
    ) -> dict[str, Array]:
        """Run the network once.

        Args:
            feeds: one C-ordered array for each input, by name: all on the host or all on the
                engine's device.
            out: buffers for some outputs or all, where the feeds are.
            stream: a cudaStream_t to work on; None is the one that the feeds' framework uses.
                Results are allocated on the latter in any case. Not for feeds on the host.

        Returns:
            Every output by name, in the framework of the first feed; those of ``out`` are the
            caller's buffers.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: an array does not fit.
            EngineError: TensorRT failed, the engine was closed, or this process is a fork.
            DeviceError: CUDA failed. After that, every call says so.
        """
        lanes = self._held.get()
        if self._death is not None:
            raise DeviceError(self._death.message, self._death.hint)
        if stream is not None:
            stream = arguments.integer(stream, "stream", 0, _LARGEST_HANDLE)
        self._feeds.check_names(feeds, all_of_them=True)
        home = self._home_of(feeds)
        given = {} if out is None else out
        try:
            with self._gpu.at_work(f"running {self._file}"):
                if home.device_kind == "cpu":
                    return self._run_on_host(lanes, feeds, given, stream)
                return self._run_on_device(lanes, feeds, given, home, stream)
        except DeviceDied as error:
            self._death = error
            raise

    def warmup(self, batches: Sequence[int] = (1,)) -> None:
        """Run on zeros, so that the first real call of these batch sizes costs what others do.

        Free axes other than the first have the usual size of the first profile. The graph of a
        shape is made here too.
        """
        for batch in batches:
            size = arguments.integer(batch, "batches", 1, MOST_BATCH)
            feeds = {}
            for port in self._inputs:
                usual = self._profiles[0].get(port.name, ((), (), ()))[1] or port.shape
                shape = [
                    (size if axis == 0 else usual[axis]) if free is None else free
                    for axis, free in enumerate(port.shape)
                ]
                feeds[port.name] = np.zeros(cast("list[int]", shape), port.dtype)
            self.run(feeds)

    def close(self) -> None:
        """Free what the engine holds; runs that other threads have begun end as they would."""
        lanes = self._held.close()
        if lanes is not None:
            _finish(lanes, self._gpu, os.getpid())

    # ---- one run ---------------------------------------------------------------------------------

    def _home_of(self, feeds: Mapping[str, Array]) -> Home:
        """Return where the feeds are, all in one place."""
        first = self._inputs[0].name
        home = home_of(feeds[first], f'feeds["{first}"]')
        for port in self._inputs[1:]:
            other = home_of(feeds[port.name], f'feeds["{port.name}"]')
            if other.device_kind != home.device_kind:
                argument = f'feeds["{port.name}"]'
                raise DeviceMismatchError(argument, f"{first} is {home.place}", other.place)
        return home

    def _run_on_host(
        self, lanes: Lanes, feeds: Mapping[str, Array], out: Mapping[str, Array], stream: int | None
    ) -> dict[str, Array]:
        if stream is not None:
            hint = "leave it out, or put the feeds on the device"
            raise InputError("stream", "none, as the feeds are on the host", str(stream), hint)
        views = self._feeds.host_feeds(feeds)
        buffers = self._results.host_buffers(out, views)
        names = [port.name for port in self._inputs]
        with lanes.borrow(self._key([view.shape for view in views])) as lane:
            results = {}
            for port in self._outputs:
                shape = lane.output_shapes[port.name]
                buffer = buffers.get(port.name)
                if buffer is None:
                    buffer = np.empty(shape, port.dtype)
                _check_shape(port, buffer.shape, shape)
                results[port.name] = buffer
            sources = {name: view.ctypes.data for name, view in zip(names, views, strict=True)}
            targets = {name: result.ctypes.data for name, result in results.items()}
            try:
                lane.enqueue(sources, targets, lane.stream.ptr, on_host=True)
            finally:  # the copies must not outlive the arrays, not even when something failed
                self._gpu.synchronize(lane.stream.ptr)
        return self._results.host_results(results, out, feeds[names[0]])

    def _run_on_device(
        self,
        lanes: Lanes,
        feeds: Mapping[str, Array],
        out: Mapping[str, Array],
        home: Home,
        stream: int | None,
    ) -> dict[str, Array]:
        here = dataclasses.replace(home, device_index=self._gpu.index)
        buffers = self._feeds.device_buffers(feeds, here)
        given = self._results.device_buffers(out, here)
        caller = home.stream if stream is None else stream
        shapes = [buffers[port.name].shape for port in self._inputs]
        with lanes.borrow(self._key(shapes)) as lane:
            results = dict(out)
            for port in self._outputs:
                shape = lane.output_shapes[port.name]
                if port.name in given:
                    _check_shape(port, given[port.name].shape, shape)
                else:
                    # Ours to choose from: Torch, CuPy and the array API take any of NumPy's names.
                    results[port.name] = home.empty(shape, cast("Any", port.dtype))
            fresh = {name: array for name, array in results.items() if name not in given}
            given.update(self._fresh_buffers(fresh, here))
            sources = {name: buffer.pointer for name, buffer in buffers.items()}
            targets = {name: buffer.pointer for name, buffer in given.items()}
            work = lane.stream.ptr if caller in _DEFAULT_STREAMS else caller
            if work != caller:
                lane.follow(work, caller)
            if home.stream != caller and fresh:  # their memory may be in use on that stream
                lane.follow(work, home.stream)
            try:
                lane.enqueue(sources, targets, work, on_host=False)
            finally:
                if work != caller:
                    lane.follow(caller, work)
        return {port.name: results[port.name] for port in self._outputs}

    def _fresh_buffers(self, arrays: Mapping[str, Array], home: Home) -> Mapping[str, Any]:
        return self._results.device_buffers(arrays, home) if arrays else {}

    def _key(self, shapes: Sequence[Shape]) -> LaneKey:
        """Choose the first profile that takes the feeds."""
        fed = dict(zip([port.name for port in self._inputs], shapes, strict=True))
        for index, profile in enumerate(self._profiles):
            if all(_is_within(fed[name], limits) for name, limits in profile.items()):
                return index, tuple(shapes)
        for name, limits in self._profiles[0].items():
            if len(self._profiles) == 1 and not _is_within(fed[name], limits):
                expected = f"a shape from {list(limits[0])} to {list(limits[2])}"
                hint = "open it with mode throughput or with `profiles`, or split the batch"
                raise InputError(f'feeds["{name}"]', expected, str(list(fed[name])), hint)
        expected = " or ".join(str(profile) for profile in self._profiles)
        raise InputError("feeds", f"shapes within one of the profiles {expected}", str(fed))


def _finish(lanes: Lanes, gpu: Gpu, process: int) -> None:
    """Drop the lanes; a fork must leave the device alone."""
    if os.getpid() != process:
        return
    try:
        with gpu.at_work("closing an engine"):
            lanes.close()
    except DeviceError as error:  # there is nobody left who could use the device
        _log.warning("TensorRT: %s", error.message)


def _is_within(shape: Shape, limits: Range) -> bool:
    low, _, high = limits
    return len(shape) == len(low) and all(
        least <= size <= most for least, size, most in zip(low, shape, high, strict=True)
    )


def _check_shape(port: Port, shape: Shape, wanted: Shape) -> None:
    if shape != wanted:
        raise InputError(f'out["{port.name}"]', str(list(wanted)), str(list(shape)))
