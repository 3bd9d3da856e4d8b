"""A DLPack producer made by hand: it can be wrong in every way, and counts what happens to it.

Declared from the ABI with ctypes and sharing nothing with csrc/bindings/dlpack.h.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy.typing as npt

CPU = 1


class _Tensor(ctypes.Structure):
    _fields_: ClassVar = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_index", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Plain(ctypes.Structure):
    _fields_: ClassVar = [
        ("tensor", _Tensor),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


class _Versioned(ctypes.Structure):
    _fields_: ClassVar = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


# A private handle: the argument types of ctypes.pythonapi are everybody's.
_python = ctypes.PyDLL(None)
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

_NAMES = (b"dltensor", b"dltensor_versioned")
_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _destroy(capsule: int) -> None:
    # The rule of the protocol: a capsule that nobody has renamed still owns its tensor.
    for name in _NAMES:
        if _python.PyCapsule_IsValid(capsule, name):
            managed = _python.PyCapsule_GetPointer(capsule, name)
            kind: type[_Versioned | _Plain] = _Versioned if name == _NAMES[1] else _Plain
            _DELETER(kind.from_address(managed).deleter)(managed)


_destroy_capsule = _DELETER(_destroy)


class Exporter:
    """Exports one NumPy array through ``__dlpack__``.

    Keywords that are no argument replace the field of that name in the tensor or in its frame, e.g.
    ``lanes=4`` or ``major=2``.

    Attributes:
        deleted: how often a deleter was called.
        requests: the options of each call of ``__dlpack__``.
    """

    def __init__(
        self,
        host: npt.NDArray[Any],
        *,
        versioned: bool = True,
        knows_versions: bool = True,
        reuse: bool = False,
        without_strides: bool = False,
        announced: tuple[int, int] = (CPU, 0),
        **fields: Any,
    ) -> None:
        self.host = host
        self.deleted = 0
        self.requests: list[dict[str, object]] = []
        self._frame_type = _Versioned if versioned else _Plain
        self._knows_versions = knows_versions
        self._reuse = reuse
        self._without_strides = without_strides
        self._announced = announced
        self._fields = fields
        self._frames: dict[int, tuple[object, ...]] = {}
        self._capsule: object = None
        self._deleter = _DELETER(self._delete)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._announced

    def __dlpack__(self, **options: object) -> object:
        if "max_version" in options and not self._knows_versions:
            message = "__dlpack__() got an unexpected keyword argument 'max_version'"
            raise TypeError(message)
        self.requests.append(options)
        if self._capsule is not None:
            return self._capsule
        capsule = self._new_capsule()
        if self._reuse:
            self._capsule = capsule
        return capsule

    @property
    def alive(self) -> int:
        """How many exported tensors have not been deleted."""
        return len(self._frames)

    def _new_capsule(self) -> object:
        rank = self.host.ndim
        shape = (ctypes.c_int64 * rank)(*self.host.shape)
        strides = (ctypes.c_int64 * rank)(*(s // self.host.itemsize for s in self.host.strides))
        frame = self._frame_type()
        tensor = frame.tensor
        tensor.data = self.host.ctypes.data
        tensor.device_type, tensor.device_index = self._announced
        tensor.rank = rank
        tensor.code = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}[self.host.dtype.kind]
        tensor.bits = self.host.itemsize * 8
        tensor.lanes = 1
        tensor.shape = shape
        if not self._without_strides:
            tensor.strides = strides
        frame.deleter = ctypes.cast(self._deleter, ctypes.c_void_p)
        if isinstance(frame, _Versioned):
            frame.major = 1
        for field, value in self._fields.items():
            setattr(frame if hasattr(frame, field) else tensor, field, value)
        address = ctypes.addressof(frame)
        self._frames[address] = (frame, shape, strides)
        name = _NAMES[self._frame_type is _Versioned]
        return _python.PyCapsule_New(address, name, ctypes.cast(_destroy_capsule, ctypes.c_void_p))

    def _delete(self, address: int) -> None:
        self.deleted += 1
        # Gone means gone: a consumer that looks again reads nonsense, a second call is a KeyError.
        frame, *_ = self._frames.pop(address)
        ctypes.memset(address, 0xAA, ctypes.sizeof(frame))  # type: ignore[arg-type]
