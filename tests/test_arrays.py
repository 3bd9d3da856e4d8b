"""Homes: where results go, in which framework, on which stream."""

from __future__ import annotations

import sys
from dataclasses import FrozenInstanceError, dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from array_checks import MAPS
from dlpack_exporter import Exporter
from emulated_array import EmulatedArray, emulated

from pyposefast.arrays import DType, dtype_of, home_of, shape_of, to_host
from pyposefast.errors import InputTypeError

DTYPES: list[DType] = list(get_args(DType))

HOST_ARRAYS = [
    MAPS,
    MAPS[:, ::2],
    MAPS[0].view(np.matrix),
    np.float32(1),
    b"abc",
    bytearray(3),
    memoryview(bytes(8)).cast("f"),
    Exporter(MAPS),
    Exporter(MAPS, announced=(3, 0)),
]


@pytest.mark.parametrize("thing", HOST_ARRAYS, ids=lambda thing: type(thing).__name__)
def test_host_arrays_get_numpy_results(thing: object) -> None:
    home = home_of(thing, "maps")
    assert (home.framework.name, home.device_kind, home.device_index, home.stream) == (
        "numpy",
        "cpu",
        0,
        0,
    )
    assert home.place == "on the CPU"


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_results_are_plain_arrays(dtype: DType) -> None:
    result = home_of(MAPS[0].view(np.matrix), "maps").empty((2, 0, 3), dtype)
    assert type(result) is np.ndarray
    assert (result.shape, result.dtype.name) == ((2, 0, 3), dtype)
    assert result.flags.c_contiguous
    assert result.flags.writeable


@dataclass(frozen=True, slots=True)
class Pair:
    """A result of two arrays."""

    first: Any
    second: Any


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("thing", [MAPS, EmulatedArray(MAPS)], ids=["numpy", "another framework"])
def test_results_are_made_whole(thing: object, dtype: DType) -> None:
    home = home_of(thing, "maps")
    result = home.result(Pair, ((2, 0, 3), dtype), ((5,), "int32"))
    assert type(result) is Pair
    for array, shape, name in ((result.first, (2, 0, 3), dtype), (result.second, (5,), "int32")):
        assert type(array) is type(home.empty((1,), "int32"))
        assert (shape_of(array, "first"), dtype_of(array, "first")) == (shape, name)
    with pytest.raises(FrozenInstanceError):
        result.first = None  # type: ignore[misc]


@pytest.mark.parametrize("arrays", [[], [((1,), "int32")] * 3, [((1,), "int32"), ((1,), "int7")]])
def test_results_have_an_array_for_each_field(arrays: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"arrays than fields|no element type"):
        home_of(MAPS, "maps").result(Pair, *arrays)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ([[1.0]], "list"),
        (None, "NoneType"),
        ("maps", "str"),
        (np.ndarray, "type"),
        (EmulatedArray, "type"),
        (np.ma.masked_array(MAPS), "MaskedArray"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_array_is_refused(thing: object, said: str) -> None:
    with pytest.raises(InputTypeError) as caught:
        home_of(thing, "maps")
    assert caught.value.argument == "maps"
    assert said in caught.value.got


def test_released_memoryview_is_refused() -> None:
    view = memoryview(bytes(3))
    view.release()
    for question in (home_of, shape_of, dtype_of):
        with pytest.raises(InputTypeError, match=r"^maps: .*released"):
            question(view, "maps")


def test_shapes() -> None:
    assert shape_of(MAPS, "maps") == (2, 3, 4)
    assert shape_of(b"abc", "maps") == (3,)
    assert shape_of(emulated(MAPS), "maps") == (2, 3, 4)
    assert shape_of(np.float32(1), "maps") == ()
    with pytest.raises(InputTypeError, match="maps: expected an array"):
        shape_of([1, 2], "maps")
    with pytest.raises(InputTypeError, match="maps: expected an array"):
        shape_of(SimpleNamespace(shape=None), "maps")


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: DType) -> None:
    assert dtype_of(np.zeros(3, dtype), "maps") == dtype
    assert dtype_of(emulated(np.zeros(3, dtype)), "maps") == dtype
    if dtype != "float16":  # which memoryview cannot make
        letter: Any = {"uint8": "B", "int32": "i", "float32": "f", "float64": "d"}[dtype]
        assert dtype_of(memoryview(bytes(8)).cast(letter), "maps") == dtype


@pytest.mark.parametrize("dtype", [">f4", "i8", "?", "c8", "O", "M8[s]", "U3"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(InputTypeError, match=r"^maps: expected uint8 or .*, got "):
        dtype_of(np.zeros(3, dtype), "maps")


# ---- devices -------------------------------------------------------------------------------------


def test_foreign_device_arrays_get_results_of_their_own_kind() -> None:
    home = home_of(EmulatedArray(MAPS, device_index=2), "maps")
    assert (home.device_kind, home.device_index, home.stream) == ("cuda", 2, 0)
    assert home.place == "on cuda:2"
    result = home.empty((2, 3), "float16")
    assert isinstance(result, EmulatedArray)
    assert (result.shape, result.dtype.name, result.device) == ((2, 3), "float16", "emulated:2")


@pytest.mark.parametrize(
    "thing",
    [
        Exporter(MAPS, announced=(2, 0)),
        SimpleNamespace(__cuda_array_interface__={}),
    ],
    ids=["DLPack", "CUDA array interface"],
)
def test_device_arrays_of_no_framework_have_no_results(thing: object) -> None:
    with pytest.raises(InputTypeError, match="maps: ") as caught:
        home_of(thing, "maps")
    assert "out=" in caught.value.hint


def test_unknown_device_is_refused() -> None:
    with pytest.raises(InputTypeError, match="DLPack device type 10"):
        home_of(Exporter(MAPS, announced=(10, 0)), "maps")


# ---- frameworks that need a device of their own, played by stand-ins -----------------------------


class _Device:
    """A CuPy device: current inside ``with``."""

    current: list[int] = []  # noqa: RUF012

    def __init__(self, index: int) -> None:
        self.id = index

    def __enter__(self) -> None:
        self.current.append(self.id)

    def __exit__(self, *_: object) -> None:
        self.current.pop()


class _CuPyArray:
    def __init__(self, shape: tuple[int, ...], dtype: str, index: int) -> None:
        self.shape, self.dtype, self.device = shape, np.dtype(dtype), _Device(index)


def test_cupy_results_are_made_on_the_device_of_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy: Any = ModuleType("cupy")
    cupy.ndarray = _CuPyArray
    cupy.empty = lambda shape, dtype: _CuPyArray(shape, dtype, _Device.current[-1])
    streams = {0: 0, 1: 0x7F01}
    cupy.cuda = SimpleNamespace(
        Device=_Device,
        get_current_stream=lambda: SimpleNamespace(ptr=streams[_Device.current[-1]]),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    home = home_of(_CuPyArray((1,), "float32", 1), "maps")
    assert (home.framework.name, home.device_kind, home.device_index) == ("cupy", "cuda", 1)
    assert home.stream == streams[1]
    result = home.empty((2, 3), "float32")
    assert (result.shape, result.device.id) == ((2, 3), 1)


def test_immutable_arrays_get_numpy_results_on_the_cpu() -> None:
    class Array(Exporter):
        device = "cpu"

        def __array_namespace__(self) -> object:
            raise AssertionError

    Array.__module__ = "jaxlib._jax"
    assert home_of(Array(MAPS), "maps").framework.name == "numpy"
    with pytest.raises(InputTypeError, match="out="):
        home_of(Array(MAPS, announced=(2, 0)), "maps")


def test_small_arrays_go_to_where_others_are_and_back() -> None:
    table = np.arange(6.0).reshape(2, 3)
    home = home_of(np.zeros(1), "images")
    assert home.from_host(table) is table
    assert to_host(table, "points") is table
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    tensor = home_of(torch.zeros(1), "images").from_host(table)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(to_host(tensor.requires_grad_(), "points"), table)


def test_what_is_on_a_device_is_copied_to_the_host() -> None:
    table = np.arange(6.0).reshape(2, 3)
    moved = home_of(EmulatedArray(MAPS, device_index=1), "images").from_host(table)
    assert isinstance(moved, EmulatedArray)
    assert moved.device == "emulated:1"
    np.testing.assert_array_equal(to_host(moved, "points"), table)
