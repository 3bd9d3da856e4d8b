"""Arrays through DLPack and the CUDA array interface, well made and badly made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_checks import MAPS, Hook, assert_describes, describe, refusal
from dlpack_exporter import CPU, Exporter
from emulated_array import EmulatedArray

from pyposefast.errors import InputError, InputTypeError

# ---- DLPack --------------------------------------------------------------------------------------


@pytest.mark.parametrize("versioned", [True, False])
def test_capsule_is_consumed_once(versioned: bool) -> None:  # noqa: FBT001
    exporter = Exporter(MAPS, versioned=versioned)
    assert_describes(describe(exporter), MAPS)
    assert (exporter.deleted, exporter.alive) == (1, 0)
    assert exporter.requests == [{"max_version": (1, 0)}]


def test_producer_from_before_dlpack_1() -> None:
    exporter = Exporter(MAPS, versioned=False, knows_versions=False)
    assert_describes(describe(exporter), MAPS)
    assert exporter.requests == [{}]
    assert exporter.deleted == 1


@pytest.mark.parametrize("versioned", [True, False])
def test_capsule_cannot_be_consumed_twice(versioned: bool) -> None:  # noqa: FBT001
    exporter = Exporter(MAPS, versioned=versioned, reuse=True)
    describe(exporter)
    assert "used_dltensor" in refusal(exporter)
    assert exporter.deleted == 1


@pytest.mark.parametrize(("flags", "read_only"), [(0, False), (1, True), (2, True), (3, True)])
def test_read_only_and_copied_flags(flags: int, read_only: bool) -> None:  # noqa: FBT001
    assert describe(Exporter(MAPS, flags=flags))["read_only"] is read_only


def test_strides_of_a_capsule() -> None:
    view = MAPS[::-1, :, ::2]
    assert_describes(describe(Exporter(view)), view)
    assert_describes(describe(Exporter(MAPS, without_strides=True)), MAPS)


def test_byte_offset() -> None:
    assert describe(Exporter(MAPS, byte_offset=8))["pointer"] == MAPS.ctypes.data + 8
    assert "misaligned" in refusal(Exporter(MAPS, byte_offset=2), InputError)


@pytest.mark.parametrize("device_type", [1, 3])
def test_host_memory(device_type: int) -> None:
    exporter = Exporter(MAPS, announced=(device_type, 0))
    assert describe(exporter)["device"] == "cpu"
    assert "stream" not in exporter.requests[0]


@pytest.mark.parametrize("device_type", [2, 13])
@pytest.mark.parametrize(("stream", "asked"), [(0, 1), (2, 2), (0x7F00, 0x7F00)])
def test_device_memory_and_its_stream(device_type: int, stream: int, asked: int) -> None:
    exporter = Exporter(MAPS, announced=(device_type, 3))
    description = describe(exporter, stream=stream)
    assert (description["device"], description["device_index"]) == ("cuda", 3)
    assert exporter.requests == [{"stream": asked, "max_version": (1, 0)}]


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"lanes": 4}, InputTypeError, "vectors of 4"),
        ({"code": 4, "bits": 16}, InputTypeError, "bfloat16"),
        ({"code": 5, "bits": 64}, InputTypeError, "complex64"),
        ({"code": 2, "bits": 8}, InputTypeError, "float8"),
        ({"code": 99}, InputTypeError, "unknown type"),
        ({"bits": 4}, InputTypeError, "unknown type"),
        ({"data": None}, InputError, "null pointer"),
        ({"rank": -1}, InputError, "-1 axes"),
        ({"rank": 1 << 30}, InputError, "axes"),
        ({"shape": None}, InputTypeError, "no shape"),
        ({"device_type": 10}, InputTypeError, "device type 10"),
    ],
    ids=str,
)
def test_bad_tensor_is_refused_and_deleted_once(
    fields: dict[str, Any],
    error: type[Exception],
    said: str,
    versioned: bool,  # noqa: FBT001
) -> None:
    exporter = Exporter(MAPS, versioned=versioned, **fields)
    assert said in refusal(exporter, error)
    assert (exporter.deleted, exporter.alive) == (1, 0)


def test_other_major_version_is_refused() -> None:
    exporter = Exporter(MAPS, major=2)
    assert "DLPack 2" in refusal(exporter)
    assert exporter.deleted == 1


def test_unknown_device_is_refused_before_anything_is_exported() -> None:
    exporter = Exporter(MAPS, announced=(10, 0))
    assert "device type 10" in refusal(exporter)
    assert exporter.requests == []


def test_empty_tensor_may_have_no_memory() -> None:
    exporter = Exporter(np.zeros((0, 4), np.float32), data=None)
    assert describe(exporter)["shape"] == (0, 4)


@pytest.mark.parametrize("strides", [(1 << 61, 1), (1, -(1 << 62))])
def test_extent_beyond_64_bits_is_refused(strides: tuple[int, int]) -> None:
    endless = Exporter(np.zeros((9, 9), np.float32))
    endless.host = _Strided(endless.host, strides)  # type: ignore[assignment]
    assert "beyond" in refusal(endless, InputError)


class _Strided:
    """A NumPy array with strides that NumPy itself would not make."""

    def __init__(self, host: np.ndarray[Any, Any], strides: tuple[int, ...]) -> None:
        self._host = host
        self.strides = tuple(stride * host.itemsize for stride in strides)

    def __getattr__(self, name: str) -> object:
        return getattr(self._host, name)


def test_producer_that_fails_is_named_with_its_reason() -> None:
    class Failing:
        def __dlpack_device__(self) -> tuple[int, int]:
            message = "the camera is gone"
            raise RuntimeError(message)

        def __dlpack__(self) -> object:
            raise NotImplementedError

    assert "Failing, which raised RuntimeError: the camera is gone" in refusal(Failing())


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_errors_that_are_not_about_the_array_pass(error: type[BaseException]) -> None:
    def interrupt() -> None:
        raise error

    with pytest.raises(error):
        describe(Hook(interrupt))


def test_a_buffer_that_refuses_leaves_the_other_protocols() -> None:
    exporter = Exporter(MAPS)

    class Dates(np.ndarray[Any, Any]):
        def __dlpack_device__(self) -> tuple[int, int]:  # type: ignore[override]
            return exporter.__dlpack_device__()

        def __dlpack__(self, **options: object) -> Any:
            return exporter.__dlpack__(**options)

    assert_describes(describe(np.zeros(3, "M8[s]").view(Dates)), MAPS)
    assert exporter.deleted == 1


@pytest.mark.parametrize("result", [None, 3, object(), b"dltensor"])
def test_no_capsule(result: object) -> None:
    class Wrong:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (CPU, 0)

        def __dlpack__(self, **_: object) -> object:
            return result

    assert "capsule" in refusal(Wrong())


# ---- __cuda_array_interface__ --------------------------------------------------------------------


class _Interface:
    def __init__(self, **fields: object) -> None:
        data = (MAPS.ctypes.data, False)
        interface = {"version": 3, "typestr": "<f4", "shape": (2, 3, 4), "data": data}
        self.__cuda_array_interface__ = {**interface, **fields}


def test_cuda_interface() -> None:
    description = describe(_Interface())
    assert_describes(description, MAPS)
    assert (description["device"], description["device_index"]) == ("cuda", 0)


def test_cuda_interface_of_an_emulated_array() -> None:
    view = MAPS[:, ::-1, ::2]
    description = describe(EmulatedArray(view, device_index=1))
    assert_describes(description, view)
    assert (description["device"], description["device_index"]) == ("cuda", 1)


def test_cuda_interface_read_only() -> None:
    assert describe(_Interface(data=(MAPS.ctypes.data, True)))["read_only"] is True


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"typestr": ">f4"}, InputTypeError, "byte-swapped float32"),
        ({"typestr": "<c8"}, InputTypeError, "complex64"),
        ({"typestr": "<M8[s]"}, InputTypeError, "times"),
        ({"typestr": "f"}, InputTypeError, "unknown type"),
        ({"typestr": 4}, InputTypeError, "malformed"),
        ({"mask": MAPS}, InputTypeError, "masked"),
        ({"strides": (48, 16, 5)}, InputError, "misaligned"),
        ({"strides": (48,)}, InputTypeError, "IndexError"),
        ({"shape": (-1, 3, 4)}, InputError, "size -1"),
        ({"shape": (1 << 40, 1 << 40)}, InputError, "beyond"),
        ({"shape": (1 << 80,)}, InputTypeError, "OverflowError"),
        ({"shape": None}, InputTypeError, "malformed"),
        ({"data": None}, InputTypeError, "TypeError"),
        ({"data": (0, False)}, InputError, "null pointer"),
        ({"stream": 0}, InputError, "stream 0"),
    ],
    ids=str,
)
def test_bad_cuda_interface(fields: dict[str, object], error: type[Exception], said: str) -> None:
    assert said in refusal(_Interface(**fields), error)


def test_cuda_interface_that_is_no_dictionary() -> None:
    thing = _Interface()
    thing.__cuda_array_interface__ = 7  # type: ignore[assignment]
    assert "TypeError" in refusal(thing)
