"""Host memory through the buffer protocol: every layout is read as it is, or refused by name."""

from __future__ import annotations

import array
import ctypes
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from array_checks import MAPS, Hook, assert_describes, describe, refusal
from emulated_array import EmulatedArray

from pyposefast import _C
from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from pathlib import Path

ACCEPTED = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", ACCEPTED)
def test_every_accepted_dtype(dtype: str) -> None:
    host = np.zeros((2, 5), dtype)
    for same in (host, memoryview(host)):  # NumPy's own arrays are not read through their buffer
        description = describe(same)
        assert_describes(description, host)
        assert (description["device"], description["device_index"]) == ("cpu", 0)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(MAPS[:, :, ::2], id="every second column"),
        pytest.param(MAPS[..., ::-1], id="negative stride"),
        pytest.param(MAPS[::-1, ::-1, ::-1], id="all negative"),
        pytest.param(np.asfortranarray(MAPS), id="fortran order"),
        pytest.param(MAPS.transpose(1, 2, 0), id="transposed"),
        pytest.param(np.broadcast_to(MAPS, (7, 2, 3, 4)), id="broadcast, read-only"),
        pytest.param(MAPS[1:2, 2:3], id="axes of one"),
        pytest.param(np.array(2.5, np.float32), id="no axes"),
        pytest.param(MAPS[0].view(np.matrix), id="matrix"),
    ],
)
def test_any_strides(view: np.ndarray[Any, Any]) -> None:
    assert_describes(describe(view), view)
    assert_describes(describe(memoryview(view)), view)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 4), (3, 4, 0)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    description = describe(np.zeros(shape, np.float32))
    assert description["shape"] == shape
    assert description["contiguous"] is True


def test_more_elements_than_a_32_bit_index_counts() -> None:
    giant = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.float32), (70000, 40000), (40000 * 4, 4), writeable=False
    )
    assert_describes(describe(giant), giant)


def test_read_only_array_is_accepted_and_said_to_be_so() -> None:
    host = MAPS.copy()
    host.setflags(write=False)
    assert describe(host)["read_only"] is True


def test_other_buffers(tmp_path: Path) -> None:
    path = tmp_path / "maps.bin"
    path.write_bytes(bytes(16))
    mapped = np.memmap(path, np.float32, "r")
    assert_describes(describe(mapped), mapped)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert describe(pages)["shape"] == (16,)
    for buffer, dtype, shape in [
        (b"abc", "uint8", (3,)),
        (bytearray(4), "uint8", (4,)),
        (array.array("d", [1, 2]), "float64", (2,)),
        (array.array("i", [1, 2]), "int32", (2,)),
        (array.array("q", [1]), "int64", (1,)),
        (memoryview(bytes(24)).cast("f", [2, 3]), "float32", (2, 3)),
        ((ctypes.c_float * 3 * 2)(), "float32", (2, 3)),
        (np.float16(1), "float16", ()),
    ]:
        description = describe(buffer)
        assert (description["dtype"], description["shape"]) == (dtype, shape)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (MAPS.astype(">f4"), "byte-swapped float32"),
        (MAPS.astype(">i8"), "byte-swapped int64"),
        (MAPS.astype(np.int8), "int8"),
        (MAPS.astype(np.uint16), "uint16"),
        (MAPS.astype(np.int16), "int16"),
        (MAPS.astype(np.uint32), "uint32"),
        (MAPS.astype(np.complex64), "complex64"),
        (MAPS.astype(np.longdouble), "float128"),
        (MAPS.astype(object), "object"),
        (MAPS.astype(str), "str"),
        (MAPS.astype(bytes), "bytes"),
        (np.zeros(3, [("x", "f4"), ("y", "f4")]), "structured"),
        (np.zeros(3, "M8[s]"), "numpy.ndarray"),
        (np.ma.masked_array(MAPS, mask=MAPS > 3), "MaskedArray"),
        ([[1.0, 2.0]], "list"),
        (None, "NoneType"),
        (1.5, "float"),
        ("maps", "str"),
        (np.ndarray, "type"),
        (EmulatedArray, "type"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_refused_by_name(host: object, said: str) -> None:
    assert said in refusal(host).partition(", got ")[2]


def test_one_byte_elements_have_no_byte_order() -> None:
    assert describe(np.zeros(3, ">u1"))["dtype"] == "uint8"


def test_misaligned_elements_are_refused() -> None:
    raw = bytearray(64)
    assert "misaligned float32" in refusal(np.frombuffer(raw, np.float32, 2, offset=1), InputError)
    packed = np.zeros(4, [("tag", "u1"), ("value", "f4")])["value"]  # a stride of 5 bytes
    assert "misaligned float32" in refusal(packed, InputError)
    odd_start = np.frombuffer(raw, np.float16, 4, offset=2)  # aligned for its own size is enough
    assert_describes(describe(odd_start), odd_start)


def test_too_many_axes_are_refused() -> None:
    assert "9 axes" in refusal(np.zeros((1,) * 9), InputError)


def test_released_memoryview_is_refused() -> None:
    view = memoryview(bytearray(4))
    view.release()
    assert "released memoryview" in refusal(view)


def test_buffer_cannot_be_resized_while_in_use() -> None:
    buffer = bytearray(4 * 2 * 17)
    points = memoryview(buffer).cast("f", [1, 17, 2])

    def resize() -> None:
        with pytest.raises(BufferError):
            points.release()  # the extension holds an export of its own
        seen.append("held")

    seen: list[str] = []
    with pytest.raises(InputTypeError, match=r"^affines: .*seen enough"):
        _C.transform_points(points, Hook(resize), points, stream=0)
    assert seen == ["held"]
    points.release()
    buffer.append(0)  # and nothing is held after the call, though it failed
