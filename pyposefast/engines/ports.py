"""What goes into a network and comes out of it, checked before any runtime sees it.

A runtime that is handed a wrong dtype, shape or layout answers with a message about itself, or
reads memory as what it is not. Here is the one place where arrays meet a network's ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast.arrays import home_of
from pyposefast.errors import DeviceMismatchError, InputError, InputTypeError

if TYPE_CHECKING:
    from pyposefast.arrays import Array, Home

HostArray = npt.NDArray[Any]

_MAPPING = "a mapping of names to arrays"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a network."""

    name: str
    shape: tuple[int | None, ...]  # None: any size
    dtype: str  # as NumPy calls it: "float32", "uint8", "int64" ...

    def __str__(self) -> str:
        return f"{self.dtype} {_sizes(self.shape)}"

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            wanted is None or wanted == size for wanted, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class DeviceBuffer:
    """C-ordered memory of an array on a CUDA device, and the array that it belongs to."""

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Array


class Ports:
    """The inputs or the outputs of a network, ready to check arrays against.

    Args:
        ports: in the network's order.
        argument: what the arrays come as, "feeds" or "out", for messages.
    """

    def __init__(self, ports: Sequence[Port], argument: str) -> None:
        self._argument = argument
        self._rows = [
            (port.name, np.dtype(port.dtype), port.shape, None in port.shape, port)
            for port in ports
        ]
        self._names = frozenset(port.name for port in ports)

    def host_feeds(self, feeds: Mapping[str, Array]) -> list[HostArray]:
        """Return one NumPy view for each port, in the network's order; nothing is copied.

        Raises:
            InputError: a name is missing or unknown, a shape or layout is wrong.
            InputTypeError: something is no array, or of a wrong dtype.
            DeviceMismatchError: an array is on a CUDA device.
        """
        self.check_names(feeds, all_of_them=True)
        views = []
        for name, dtype, shape, is_free, port in self._rows:
            array = feeds[name]
            if type(array) is not np.ndarray:
                array = host_view(array, self._named(name))
            fits = port.takes(array.shape) if is_free else array.shape == shape
            if array.dtype != dtype or not fits or not array.flags.c_contiguous:
                raise self._misfit(port, array)
            views.append(array)
        return views

    def host_buffers(
        self, out: Mapping[str, Array], feeds: Sequence[HostArray]
    ) -> dict[str, HostArray]:
        """Return a writable NumPy view of every buffer that the caller gave.

        None shares memory with one of the feeds or with another buffer: a network may write a
        part of a result long before it has read all of its inputs.

        Raises:
            InputError, InputTypeError, DeviceMismatchError: as for feeds, and for a buffer that
                may not be written to, or whose memory is in use.
        """
        self.check_names(out, all_of_them=False)
        views = {}
        for name, dtype, _, _, port in self._rows:
            if name not in out:
                continue
            array = host_view(out[name], self._named(name))
            if array.dtype != dtype or not port.takes(array.shape) or not array.flags.c_contiguous:
                raise self._misfit(port, array)
            if not array.flags.writeable:
                raise InputError(self._named(name), "a buffer to write into", "a read-only one")
            views[name] = array
        _refuse_overlap(feeds, views)
        return views

    def host_results(
        self, results: Mapping[str, HostArray], out: Mapping[str, Array], feed: Array | None
    ) -> dict[str, Array]:
        """Return what a run on the host gives to its caller, in the network's order.

        Args:
            results: by name; what is in ``out`` may be absent.
            out: the caller's buffers, filled by now, which are returned as they came.
            feed: the first one, None of a network without inputs. If it is a Torch tensor, the
                other results become tensors over the same memory.
        """
        names = [name for name, *_ in self._rows]
        fresh = {name: results[name] for name in names if name not in out}
        returned: dict[str, Array] = fresh if feed is None else _results_like(fresh, feed)
        return {name: out[name] if name in out else returned[name] for name in names}

    def device_buffers(self, arrays: Mapping[str, Array], home: Home) -> dict[str, DeviceBuffer]:
        """Return where the arrays' memory is on the device of ``home``.

        Raises:
            InputError, InputTypeError: as for feeds.
            DeviceMismatchError: an array is elsewhere.
        """
        self.check_names(arrays, all_of_them=self._argument == "feeds")
        buffers = {}
        for name, dtype, _, _, port in self._rows:
            if name not in arrays:
                continue
            argument, array = self._named(name), arrays[name]
            found = home_of(array, argument)
            if (found.device_kind, found.device_index) != (home.device_kind, home.device_index):
                raise DeviceMismatchError(argument, f"the network is {home.place}", found.place)
            buffer, is_contiguous = _device_buffer(array, argument)
            if buffer.dtype != dtype or not port.takes(buffer.shape):
                raise self._wrong(port, buffer.dtype, buffer.shape)
            if not is_contiguous:
                raise self._not_contiguous(port)
            buffers[name] = buffer
        return buffers

    def check_names(self, arrays: Mapping[str, Array], *, all_of_them: bool) -> None:
        """Check that every array belongs to a port, and every port has one where it must."""
        if not isinstance(arrays, Mapping):
            raise InputTypeError(self._argument, _MAPPING, type(arrays).__name__)
        if self._names == arrays.keys():
            return
        unknown = [name for name in arrays if name not in self._names]
        absent = [name for name, *_ in self._rows if name not in arrays]
        if unknown or (absent and all_of_them):
            wanted = ", ".join(name for name, *_ in self._rows)
            raise InputError(self._argument, wanted, ", ".join(map(str, arrays)) or "nothing")

    def _named(self, name: str) -> str:
        return f'{self._argument}["{name}"]'

    def _misfit(self, port: Port, array: HostArray) -> InputError | InputTypeError:
        if array.dtype != np.dtype(port.dtype) or not port.takes(array.shape):
            return self._wrong(port, array.dtype, array.shape)
        return self._not_contiguous(port)

    def _wrong(
        self, port: Port, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> InputError | InputTypeError:
        kind = InputError if dtype == np.dtype(port.dtype) else InputTypeError
        return kind(self._named(port.name), str(port), f"{dtype} {_sizes(shape)}")

    def _not_contiguous(self, port: Port) -> InputError:
        hint = "copy it with `numpy.ascontiguousarray`, or the framework's `contiguous()`"
        return InputError(self._named(port.name), "a C-contiguous array", "a strided one", hint)


def chosen(ports: tuple[Port, ...], names: Sequence[str] | None) -> tuple[Port, ...]:
    """Return the ports of these names, in their order; of None, all of them."""
    if names is None:
        return ports
    known = {port.name: port for port in ports}
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InputTypeError("outputs", "names of outputs", repr(names))
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise InputError("outputs", "some of " + ", ".join(known), ", ".join(names) or "nothing")
    return tuple(known[name] for name in names)


def host_view(array: Array, argument: str) -> HostArray:
    """Return a NumPy view of an array in host memory, whatever framework it is of.

    Raises:
        InputTypeError: it is no array, or NumPy has no such dtype.
        DeviceMismatchError: it is on a CUDA device.
    """
    if type(array) is np.ndarray:
        return array
    home = home_of(array, argument)
    if home.device_kind == "cuda":
        hint = 'open the network with `device="cuda"`, or copy the array to the host'
        raise DeviceMismatchError(argument, "the network is on the CPU", home.place, hint)
    try:
        if isinstance(array, np.ndarray):
            return array.view(np.ndarray)
        if home.framework.name == "torch":
            view: HostArray = array.numpy()
            return view
        if hasattr(array, "__dlpack__"):
            return np.from_dlpack(array)
        return np.asarray(memoryview(array))
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        expected = "an array that NumPy can look at without a copy"
        got = f"{type(array).__name__} ({' '.join(str(error).split())})"
        raise InputTypeError(argument, expected, got) from error


def _results_like(results: dict[str, HostArray], feed: Array) -> dict[str, Array]:
    """Return NumPy results as tensors over the same memory, if the feed is a Torch tensor."""
    if type(feed) is np.ndarray:
        return results
    home = home_of(feed, "feeds")
    if home.framework.name != "torch":
        return results
    return {name: home.from_host(result) for name, result in results.items()}


def _refuse_overlap(feeds: Sequence[HostArray], out: Mapping[str, HostArray]) -> None:
    """Check that no buffer for a result shares memory with a feed or with another buffer."""
    taken = list(feeds)
    for name, buffer in out.items():
        if any(np.may_share_memory(buffer, other) for other in taken):
            raise InputError(f'out["{name}"]', "memory of its own", "memory in use by this call")
        taken.append(buffer)


def zeros(inputs: Sequence[Port], batch: int) -> dict[str, HostArray]:
    """Return feeds of zeros; a free first axis gets the batch size.

    Raises:
        InputError: an axis that is not the first is free.
    """
    feeds = {}
    for port in inputs:
        shape = tuple(
            batch if axis == 0 and size is None else size for axis, size in enumerate(port.shape)
        )
        known = tuple(size for size in shape if size is not None)
        if len(known) < len(shape):
            hint = "run it once on an array of the size that you will use"
            raise InputError(
                f'feeds["{port.name}"]', "all sizes but the first fixed", str(port), hint
            )
        feeds[port.name] = np.zeros(known, port.dtype)
    return feeds


class _Writable:
    """The memory of a read-only array, said to be writable."""

    def __init__(self, array: HostArray) -> None:
        self._array = array  # which keeps the memory
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def writable(array: HostArray) -> HostArray:
    """Return a view for runtimes that take no read-only arrays, although they only read feeds."""
    return array if array.flags.writeable else np.asarray(_Writable(array))


def _device_buffer(array: Array, argument: str) -> tuple[DeviceBuffer, bool]:
    """Memory of an array on a CUDA device, and whether it is C-contiguous."""
    try:
        interface = array.__cuda_array_interface__
    except (AttributeError, RuntimeError, TypeError) as error:  # Torch: it requires a gradient
        expected = "an array with `__cuda_array_interface__`"
        got = f"{type(array).__name__} ({' '.join(str(error).split())})"
        raise InputTypeError(argument, expected, got) from error
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    strides, packed = interface.get("strides"), dtype.itemsize
    is_contiguous = True
    if strides is not None and 0 not in shape:
        for size, stride in zip(reversed(shape), reversed(strides), strict=True):
            is_contiguous &= size == 1 or stride == packed
            packed *= size
    return DeviceBuffer(int(interface["data"][0]), shape, dtype, array), is_contiguous


def _sizes(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
