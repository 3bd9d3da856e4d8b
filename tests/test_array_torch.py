"""Torch tensors: read without DLPack, and answered with tensors."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from array_checks import MAPS, describe, refusal

from pyposefast.arrays import DType, dtype_of, home_of, shape_of
from pyposefast.errors import InputError, InputTypeError

torch: Any = pytest.importorskip("torch", reason="Torch is not installed")


@pytest.fixture
def maps() -> Any:
    return torch.from_numpy(MAPS.copy())


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
)
def test_every_accepted_dtype(dtype: str) -> None:
    tensor = torch.zeros(2, 3, dtype=getattr(torch, dtype))
    assert describe(tensor) == {
        "pointer": tensor.data_ptr(),
        "device": "cpu",
        "device_index": 0,
        "dtype": dtype,
        "shape": (2, 3),
        "strides": (3, 1),
        "read_only": False,
        "contiguous": True,
    }


def test_any_strides(maps: Any) -> None:
    for view in (
        maps[:, ::2],
        maps.permute(2, 0, 1),
        maps.expand(5, 2, 3, 4),
        maps[0, 0, 0],
        maps[:0],
        torch.nn.Parameter(maps),
        maps.clone().requires_grad_(),
        maps.as_strided((70000, 40000), (0, 0)),
    ):
        description = describe(view)
        assert description["pointer"] == view.data_ptr()
        assert description["shape"] == tuple(view.shape)
        assert description["strides"] == view.stride()
        assert description["contiguous"] is view.is_contiguous()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: t.bfloat16(), "torch.bfloat16"),
        (lambda t: t.to(torch.complex64), "torch.complex64"),
        (lambda t: t.to(torch.int16), "torch.int16"),
        (lambda t: t.to_sparse(), "torch.sparse_coo"),
        (lambda t: t.to("meta"), "meta"),
        (lambda t: torch.conj(t.to(torch.complex64)).imag, "negated"),
    ],
)
def test_refused_by_name(maps: Any, make: Any, said: str) -> None:
    assert said in refusal(make(maps))


def test_freed_memory_is_refused(maps: Any) -> None:
    maps = maps.clone()
    maps.untyped_storage().resize_(0)
    assert "freed" in refusal(maps, InputError)


def test_tensor_inside_a_transform_is_refused(maps: Any) -> None:
    def look(row: Any) -> Any:
        refusal(row)
        return row

    torch.vmap(look)(maps)


@pytest.mark.parametrize("dtype", get_args(DType))
def test_results_are_tensors(maps: Any, dtype: DType) -> None:
    home = home_of(maps, "maps")
    result = home.empty((2, 3), dtype)
    assert (home.framework.name, home.device_kind, home.stream) == ("torch", "cpu", 0)
    assert (tuple(result.shape), result.device, result.requires_grad) == (
        (2, 3),
        maps.device,
        False,
    )
    assert dtype_of(result, "result") == dtype
    assert describe(result)["dtype"] == dtype
    assert shape_of(result, "result") == (2, 3)
    assert type(shape_of(result, "result")) is tuple


def test_other_devices_and_dtypes_are_refused(maps: Any) -> None:
    with pytest.raises(InputTypeError, match=r"^maps: .* one on meta"):
        home_of(maps.to("meta"), "maps")
    with pytest.raises(InputTypeError, match=r"^maps: .* bfloat16"):
        dtype_of(maps.bfloat16(), "maps")
