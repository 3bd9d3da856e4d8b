"""Batches of any size through an engine that takes one item, or a fixed number, at a time."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np

from pyposefast import arguments
from pyposefast.arrays import home_of, shape_of
from pyposefast.engines.opened import Opened
from pyposefast.engines.ports import Port
from pyposefast.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyposefast.arrays import Array, DType, Home
    from pyposefast.engines import Engine

_MOST_ITEMS = 1 << 20  # of one run


def can_batch(engine: Engine) -> bool:
    """Whether ``Batched`` can take an engine: the first axis of everything is the batch.

    That is, it has one size everywhere, or is free everywhere. Every other axis of an output has
    to be fixed: items whose results differ in shape, such as lists of boxes, make no batch.
    """
    ports = (*engine.inputs, *engine.outputs)
    if not engine.inputs or not all(port.shape for port in ports):
        return False
    sizes = {port.shape[0] for port in ports}
    return len(sizes) == 1 and sizes != {0} and all(None not in p.shape[1:] for p in engine.outputs)


class Batched(Opened[tuple["Engine", ThreadPoolExecutor | None]]):
    """An engine for any number of items over one for a few at a time.

    The items are cut into runs of one size. If the engine's is fixed, the last run is filled up
    with zeros, whose results are dropped. Results are written straight to their places where the
    feeds are. With ``parallel`` above 1, so many runs go on at once; that pays where a run keeps
    one core busy.

    All inputs and outputs have a free first axis. A ``warmup`` with as many items as fill all runs
    that go on at once also starts the threads.

    Threads may share one if they may share the engine.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        parallel: int = 1,
        size: int | None = None,
        several: Callable[[], Engine] | None = None,
    ) -> None:
        """Take over an engine; it is closed with this one.

        Args:
            engine: one that ``can_batch`` says yes to.
            parallel: runs at once, in the calling thread and in threads of this object.
            size: items of one run, needed where the engine's first axis is free.
            several: opens the same network for runs that go on at once, when the first call needs
                it: what runs one item fastest keeps all cores busy, and several get in its way.

        Raises:
            InputError: the engine's axes do not allow it.
        """
        count = arguments.integer(parallel, "parallel", 1, arguments.MOST_THREADS)
        if not can_batch(engine):
            got = "; ".join(f"{port.name}: {port}" for port in (*engine.inputs, *engine.outputs))
            expected = "one first axis of all inputs and outputs, and fixed sizes of outputs"
            raise InputError("engine", expected, got)
        fixed = engine.inputs[0].shape[0]
        if fixed is not None and size not in (None, fixed):
            raise InputError("size", f"None or {fixed}, which the network fixes", str(size))
        self._size = fixed or arguments.integer(size, "size", 1, _MOST_ITEMS)
        self._is_fixed = fixed is not None
        self._parallel = count
        pool = ThreadPoolExecutor(count - 1, "pyposefast-batch") if count > 1 else None
        super().__init__(
            (engine, pool),
            name=engine.name,
            network="in batches",
            device=engine.device,
            inputs=tuple(_freed(port) for port in engine.inputs),
            outputs=tuple(_freed(port) for port in engine.outputs),
        )
        self._open_several = several
        self._several: Engine | None = None
        self._opening = threading.Lock()

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,
        stream: int | None = None,
    ) -> dict[str, Array]:
        """Run the network on N items.

        Args:
            feeds: one C-ordered array [N, ...] for each input, by name.
            out: buffers [N, ...] for some outputs or all, where the feeds are.
            stream: as the engine takes it.

        Returns:
            Every output by name, [N, ...]; of no items, empty arrays.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: an array does not fit.
            EngineError: the runtime failed, the engine was closed, or this process is a fork.
        """
        engine, pool = self._held.get()
        self._feeds.check_names(feeds, all_of_them=True)
        first = feeds[self._inputs[0].name]
        home = home_of(first, "feeds")
        arrays: dict[str, Array] = dict(feeds)
        if home.device_kind == "cpu":
            views = self._feeds.host_feeds(feeds)
            arrays = {port.name: view for port, view in zip(self._inputs, views, strict=True)}
        count = self._count(arrays)
        if count == self._size:  # nothing to cut, and nothing to put together
            return engine.run(feeds, out=out, stream=stream)
        results = self._buffers(out or {}, arrays, count, home)
        work = _Work(engine, arrays, results, self._size, count, stream, fill_up=self._is_fixed)
        if pool is None or count <= self._size:
            work.do()
        else:
            work.engine = self._engine_for_several(engine)
            self._share(work, pool)
        work.finish()
        if home.device_kind == "cpu":
            return self._results.host_results(results, out or {}, first)
        return {port.name: results[port.name] for port in self._outputs}

    def close(self) -> None:
        """Wait for runs of other threads, end the threads of this object, close the engine."""
        held = self._held.close()
        if held is None:
            return
        engine, pool = held
        if pool is not None:
            pool.shutdown()
        engine.close()
        with self._opening:
            if self._several is not None:
                self._several.close()

    def _engine_for_several(self, engine: Engine) -> Engine:
        """Return what is fastest for runs that go on at once."""
        if self._open_several is None:
            return engine
        with self._opening:
            if self._several is None:
                self._several = self._open_several()
            return self._several

    def _count(self, arrays: Mapping[str, Array]) -> int:
        """Return N, which all inputs have to agree on."""
        wanted = self._inputs[0].name
        count = shape_of(arrays[wanted], wanted)[0]
        for port in self._inputs:
            shape = shape_of(arrays[port.name], port.name)
            if not port.takes(shape) or shape[0] != count:
                sizes = ", ".join(str(size) for size in (count, *port.shape[1:]))
                argument = f'feeds["{port.name}"]'
                raise InputError(argument, f"{port.dtype} [{sizes}]", f"shape {list(shape)}")
        return count

    def _buffers(
        self, out: Mapping[str, Array], arrays: Mapping[str, Array], count: int, home: Home
    ) -> dict[str, Array]:
        """Return where the results of all items go: the caller's buffers, or new ones."""
        if home.device_kind == "cpu":
            buffers: dict[str, Array] = self._results.host_buffers(out, list(arrays.values()))
        else:
            found = self._results.device_buffers(out, home)
            buffers = {name: buffer.array for name, buffer in found.items()}
        for port in self._outputs:
            shape = (count, *cast("tuple[int, ...]", port.shape[1:]))
            if port.name not in buffers:
                buffers[port.name] = _empty(home, shape, port.dtype)
            elif shape_of(buffers[port.name], "out") != shape:
                got = str(list(shape_of(buffers[port.name], "out")))
                raise InputError(f'out["{port.name}"]', str(list(shape)), got)
        return buffers

    def _share(self, work: _Work, pool: ThreadPoolExecutor) -> None:
        """Run with the help of the pool's threads; the calling thread takes its part."""
        helpers = min(self._parallel, work.runs) - 1
        try:
            futures = [pool.submit(work.do) for _ in range(helpers)]
        except RuntimeError as error:  # closed by another thread just now
            message = f"{self._name}: the engine is closed"
            raise EngineError(message) from error
        try:
            work.do()
        except BaseException:  # Ctrl-C: the helpers would go on to the end
            work.stop()
            raise
        for future in futures:
            # One that has not begun would find nothing left to do, after others' long work.
            if not future.cancel():
                future.result()


class _Work:
    """The runs that one call is cut into, taken one by one by whoever is free."""

    def __init__(
        self,
        engine: Engine,
        arrays: Mapping[str, Array],
        results: Mapping[str, Array],
        size: int,
        count: int,
        stream: int | None,
        *,
        fill_up: bool,
    ) -> None:
        self.runs = -(-count // size)
        self.engine, self._arrays, self._results = engine, arrays, results
        self._size, self._count, self._stream = size, count, stream
        self._fill_up = fill_up
        self._next = itertools.count()  # atomic: one call into C
        self._lock = threading.Lock()
        self._error: tuple[int, Exception] | None = None
        self._is_stopped = False

    def do(self) -> None:
        """Do runs until there is none left, or one has failed."""
        for run in self._next:
            if run >= self.runs or self._is_stopped:
                return
            try:
                self._one(run * self._size)
            except Exception as error:  # noqa: BLE001  raised by finish, in the caller's thread
                with self._lock:
                    if self._error is None or run < self._error[0]:
                        self._error = (run, error)
                self.stop()
                return

    def stop(self) -> None:
        """Begin no further runs."""
        self._is_stopped = True

    def finish(self) -> None:
        """Raise what went wrong, if anything; of several errors, that of the first items."""
        if self._error is not None:
            raise self._error[1]

    def _one(self, start: int) -> None:
        stop = min(start + self._size, self._count)
        feeds = {name: array[start:stop] for name, array in self._arrays.items()}
        out = {name: array[start:stop] for name, array in self._results.items()}
        if stop - start == self._size or not self._fill_up:
            self.engine.run(feeds, out=out, stream=self._stream)
            return
        full = self.engine.run(
            {name: _filled_up(feed, self._size) for name, feed in feeds.items()},
            stream=self._stream,
        )
        for name, buffer in out.items():
            buffer[...] = full[name][: stop - start]


def _freed(port: Port) -> Port:
    return Port(port.name, (None, *port.shape[1:]), port.dtype)


def _empty(home: Home, shape: tuple[int, ...], dtype: str) -> Array:
    if home.device_kind == "cpu":
        return np.empty(shape, dtype)
    return home.empty(shape, cast("DType", dtype))


def _filled_up(feed: Array, size: int) -> Array:
    """Return a batch of the full size, with zeros after the items."""
    dtype = str(feed.dtype).rpartition(".")[2]  # "torch.float32"
    full = _empty(home_of(feed, "feeds"), (size, *feed.shape[1:]), dtype)
    full[: len(feed)] = feed
    full[len(feed) :] = 0
    return full
