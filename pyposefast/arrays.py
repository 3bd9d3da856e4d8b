"""The caller's arrays: which framework they belong to, and how to make more of the same kind.

The only file that knows NumPy, Torch, CuPy, DLPack and streams. What the memory of an array looks
like is read by the extension (csrc/bindings); here is what only Python can do: allocate results in
the caller's framework, on the caller's device, and find the stream that the caller works on.

No framework but NumPy is ever imported: who passes a Torch tensor has imported Torch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, cast, get_args

import numpy as np

from pyposefast import _C
from pyposefast.errors import InputTypeError

if TYPE_CHECKING:
    import numpy.typing as npt

# Any object with the buffer protocol, `__dlpack__` or `__cuda_array_interface__`: these have no
# attribute in common that a type checker could ask for.
Array: TypeAlias = Any

DType = Literal["uint8", "int32", "float16", "float32", "float64"]
DeviceKind = Literal["cpu", "cuda"]
_Result = TypeVar("_Result")

_ACCEPTED = "an array (NumPy, Torch, CuPy, or anything with the buffer protocol or `__dlpack__`)"
_NUMPY_DTYPES = {name: np.dtype(name) for name in get_args(DType)}
_NAMES = {dtype: name for name, dtype in _NUMPY_DTYPES.items()}

# Device types of DLPack.
_DLPACK_CPU = (1, 3)  # plain, and pinned for CUDA
_DLPACK_CUDA = (2, 13)  # plain, and managed


class Framework(Protocol):
    """Makes arrays of one kind."""

    @property
    def name(self) -> str:
        """Its module's name."""

    def empty(self, shape: tuple[int, ...], dtype: DType, device: object) -> Array:
        """Return a new C-ordered array of any content; ``device`` in the framework's own words."""

    def stream(self, device_index: int) -> int:
        """Return the CUDA stream that the caller works on, 0 being the default one."""

    def from_host(self, array: npt.NDArray[Any], device: object) -> Array:
        """Return a copy of a small NumPy array on the device; on the CPU it may be a view."""

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        """Return the contents on the host, after the work that makes them; a view where it can."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where an array lives, and so where the results of a call on it belong."""

    framework: Framework
    device_kind: DeviceKind
    device_index: int
    stream: int  # a cudaStream_t; 0 on the CPU
    device: object = None  # as the framework itself calls it

    @property
    def place(self) -> str:
        """The device in words, as in "on cuda:0"."""
        return "on the CPU" if self.device_kind == "cpu" else f"on cuda:{self.device_index}"

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """Return a new C-ordered array of any content, at home here."""
        return self.framework.empty(shape, dtype, self.device)

    def result(self, kind: type[_Result], *arrays: tuple[tuple[int, ...], DType]) -> _Result:
        """Return a result to be written into.

        Args:
            kind: a frozen dataclass with slots.
            arrays: shape and dtype of each of its fields.
        """
        if self.framework is _NUMPY:
            return _C.numpy_result(kind, arrays)
        return kind(*(self.empty(shape, dtype) for shape, dtype in arrays))

    def from_host(self, array: npt.NDArray[Any]) -> Array:
        """Return what a small NumPy array holds, at home here."""
        return self.framework.from_host(array, self.device)


class _NumPy:
    name = "numpy"

    def empty(self, shape: tuple[int, ...], dtype: DType, device: object) -> Array:  # noqa: ARG002
        return np.empty(shape, _NUMPY_DTYPES[dtype])

    def stream(self, device_index: int) -> int:  # noqa: ARG002
        return 0

    def from_host(self, array: npt.NDArray[Any], device: object) -> Array:  # noqa: ARG002
        return array

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)


class _Torch:
    name = "torch"

    def empty(self, shape: tuple[int, ...], dtype: DType, device: object) -> Array:
        torch = sys.modules[self.name]
        return torch.empty(shape, dtype=getattr(torch, dtype), device=device)

    def stream(self, device_index: int) -> int:
        stream = sys.modules[self.name].cuda.current_stream(device_index)
        return int(stream.cuda_stream)

    def from_host(self, array: npt.NDArray[Any], device: object) -> Array:
        return sys.modules[self.name].as_tensor(array, device=device)

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        return cast("npt.NDArray[Any]", array.detach().cpu().numpy())


class _CuPy:
    name = "cupy"

    def empty(self, shape: tuple[int, ...], dtype: DType, device: object) -> Array:
        with cast("Any", device):
            return sys.modules[self.name].empty(shape, dtype)

    def stream(self, device_index: int) -> int:
        cuda = sys.modules[self.name].cuda
        with cuda.Device(device_index):
            return int(cuda.get_current_stream().ptr)

    def from_host(self, array: npt.NDArray[Any], device: object) -> Array:
        with cast("Any", device):
            return sys.modules[self.name].asarray(array)

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array.get())


@dataclass(frozen=True, slots=True)
class _ArrayNamespace:
    """Any other framework that follows the array API standard."""

    namespace: Any

    @property
    def name(self) -> str:
        return str(getattr(self.namespace, "__name__", type(self.namespace).__name__))

    def empty(self, shape: tuple[int, ...], dtype: DType, device: object) -> Array:
        return self.namespace.empty(shape, dtype=getattr(self.namespace, dtype), device=device)

    def stream(self, device_index: int) -> int:  # noqa: ARG002
        # The standard has no word for the current stream. Every exporter can order its work before
        # the default stream's, which is what asking for that one means.
        return 0

    def from_host(self, array: npt.NDArray[Any], device: object) -> Array:
        return self.namespace.asarray(array, device=device)

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array.to_device("cpu"))


_NUMPY, _TORCH, _CUPY = _NumPy(), _Torch(), _CuPy()
_HOST = Home(_NUMPY, "cpu", 0, 0)


def home_of(array: Array, argument: str) -> Home:
    """Find out where an array lives.

    Args:
        array: any array.
        argument: its name, for the message.

    Raises:
        InputTypeError: it is no array, or one of which no second can be made.
    """
    if type(array) is np.ndarray:
        return _HOST
    if isinstance(array, np.ndarray):
        if isinstance(array, np.ma.MaskedArray):
            hint = "call its `filled()` first"
            raise InputTypeError(argument, "an array without a mask", "MaskedArray", hint)
        return _HOST
    if _is_of(array, "torch", "Tensor"):
        return _home_of_tensor(array, argument)
    if _is_of(array, "cupy", "ndarray"):
        index = int(array.device.id)
        return Home(_CUPY, "cuda", index, _CUPY.stream(index), array.device)
    return _home_of_foreign(array, argument)


def to_host(array: Array, argument: str) -> npt.NDArray[Any]:
    """Return an array's contents as a NumPy array; a view of what already is on the host."""
    return home_of(array, argument).framework.to_host(array)


def shape_of(array: Array, argument: str) -> tuple[int, ...]:
    """Return the sizes of an array's axes."""
    try:
        shape = array.shape
        if type(shape) is tuple:
            return cast("tuple[int, ...]", shape)
        return tuple(int(size) for size in shape)
    except AttributeError:  # all that is known of it are the protocols it follows
        return _C.describe_array(array, argument)["shape"]
    except (TypeError, ValueError) as error:
        raise _not_an_array(array, argument, error) from error


def dtype_of(array: Array, argument: str) -> DType:
    """Return the name of an array's element type.

    Raises:
        InputTypeError: it is not one of ``DType``, or in the other byte order.
    """
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        dtype = np.dtype(_C.describe_array(array, argument)["dtype"])
    if isinstance(dtype, np.dtype):
        name = _NAMES.get(dtype) or str(dtype)
    else:
        name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]  # "torch.float32"
    if name not in _NUMPY_DTYPES:
        raise InputTypeError(argument, " or ".join(_NUMPY_DTYPES), name)
    return cast("DType", name)


def _is_of(array: Array, module: str, class_name: str) -> bool:
    found = getattr(sys.modules.get(module), class_name, None)
    return isinstance(found, type) and isinstance(array, found)


def _home_of_tensor(tensor: Array, argument: str) -> Home:
    device = tensor.device
    if device.type == "cpu":
        return Home(_TORCH, "cpu", 0, 0, device)
    if device.type == "cuda":
        return Home(_TORCH, "cuda", device.index, _TORCH.stream(device.index), device)
    raise InputTypeError(argument, "a tensor on the CPU or a CUDA device", f"one on {device}")


def _home_of_foreign(array: Array, argument: str) -> Home:
    if isinstance(array, type):  # a class has the methods of its instances
        raise _not_an_array(array, argument)
    if not hasattr(array, "__dlpack_device__"):
        if hasattr(array, "__cuda_array_interface__"):
            raise _no_results(array, argument)
        _buffer_of(array, argument)
        return _HOST
    kind, index = (int(number) for number in array.__dlpack_device__())
    if kind not in (*_DLPACK_CPU, *_DLPACK_CUDA):
        got = f"one on DLPack device type {kind}"
        raise InputTypeError(argument, "an array on the CPU or a CUDA device", got)
    if hasattr(array, "__array_namespace__") and not _is_immutable(array):
        framework = _ArrayNamespace(array.__array_namespace__())
        if kind in _DLPACK_CPU:
            return Home(framework, "cpu", 0, 0, array.device)
        return Home(framework, "cuda", index, framework.stream(index), array.device)
    if kind in _DLPACK_CUDA:
        raise _no_results(array, argument)
    return _HOST


def _is_immutable(array: Array) -> bool:
    # JAX follows the standard, but nobody may write into what its `empty` returns.
    return type(array).__module__.partition(".")[0] in ("jax", "jaxlib")


def _buffer_of(array: Array, argument: str) -> memoryview:
    try:
        return memoryview(array)
    except (TypeError, ValueError, BufferError) as error:
        raise _not_an_array(array, argument, error) from error


def _not_an_array(array: Array, argument: str, reason: Exception | None = None) -> InputTypeError:
    got = type(array).__name__
    # Of something that could have been an array, why it is not: a memoryview may be released.
    if reason is not None and not isinstance(reason, TypeError):
        got += f" ({reason})"
    return InputTypeError(argument, _ACCEPTED, got, "make one with `numpy.asarray`")


def _no_results(array: Array, argument: str) -> InputTypeError:
    return InputTypeError(
        argument,
        "an array of Torch, CuPy or the array API standard, in which results can be made",
        f"{type(array).__name__} on a CUDA device",
        "pass `out=`, or wrap it with `torch.as_tensor` or `cupy.asarray`",
    )
