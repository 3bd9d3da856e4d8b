"""Arrays that say they are on a CUDA device while their memory is the host's.

The emulated build of the extension runs kernels on such memory. To the package these are arrays of
a foreign framework, known only by the protocols that it follows: DLPack's device, the CUDA array
interface and the array API namespace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class EmulatedArray:
    """A NumPy array in the disguise of a device array."""

    def __init__(
        self, host: npt.NDArray[Any], *, device_index: int = 0, stream: int | None = None
    ) -> None:
        self._host = host
        self._stream = stream
        self.device = f"emulated:{device_index}"

    def numpy(self) -> npt.NDArray[Any]:
        """Return the same memory as an ordinary array."""
        return self._host

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    def __getitem__(self, key: Any) -> EmulatedArray:
        view = self._host[key]
        assert isinstance(view, np.ndarray), "an element would be a copy on the host"
        return EmulatedArray(view, device_index=self._device_index(), stream=self._stream)

    def transpose(self, *axes: int) -> EmulatedArray:
        view = self._host.transpose(*axes)
        return EmulatedArray(view, device_index=self._device_index(), stream=self._stream)

    def __array_namespace__(self, *, api_version: str | None = None) -> type[Namespace]:
        assert api_version is None
        return Namespace

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self._device_index())

    def to_device(self, device: str) -> npt.NDArray[Any]:
        assert device == "cpu"
        return self._host

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        host = self._host.__array_interface__
        return {
            "version": 3,
            "typestr": host["typestr"],
            "shape": host["shape"],
            "strides": host["strides"],
            "data": host["data"],
            "stream": self._stream,
        }

    def __array__(self, *_: object, **__: object) -> npt.NDArray[Any]:
        message = "a device array was copied to the host by itself"
        raise TypeError(message)

    def _device_index(self) -> int:
        return int(self.device.partition(":")[2])


class Namespace:
    """What the array API standard wants of a framework, as far as it is used."""

    uint8 = np.uint8
    int32 = np.int32
    float16 = np.float16
    float32 = np.float32
    float64 = np.float64

    @staticmethod
    def empty(shape: tuple[int, ...], *, dtype: type, device: str) -> EmulatedArray:
        index = int(device.partition(":")[2])
        # Nothing may rely on what fresh memory holds: bytes that make floats NaN and counts absurd.
        host: npt.NDArray[Any] = np.empty(shape, dtype)
        host.reshape(-1).view(np.uint8)[...] = 0xFF
        return EmulatedArray(host, device_index=index)

    @staticmethod
    def asarray(host: npt.NDArray[Any], *, device: str) -> EmulatedArray:
        return EmulatedArray(host.copy(), device_index=int(device.partition(":")[2]))


def emulated(host: npt.ArrayLike) -> EmulatedArray:
    """Put an array on the emulated device, without a copy when it is an array already."""
    return EmulatedArray(np.asarray(host))
