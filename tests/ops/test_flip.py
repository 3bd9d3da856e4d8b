"""`average_flip`: the oracle, the published flip tests, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import flip as reference
from reference import inputs

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
PAIRS = [(1, 2), (4, 3)]


def both(rng: np.random.Generator, shape: Any, dtype: Any = F32) -> tuple[Any, Any]:
    return rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)


def assert_is_mean(got: Any, expected: Any) -> None:
    """One float32 sum, its exact half, and for float16 one more rounding.

    The largest error is half a unit in the last place of the result, twice that for float16, whose
    sum is rounded to float32 first; denormals have an absolute unit.
    """
    rounding = 2.0**-24 if got.dtype == F32 else 2.0**-11 + 2.0**-24
    smallest = 2.0**-149 if got.dtype == F32 else 2.0**-24
    # A sum that overflows in float32 is infinite although its half would not be.
    limit = 2.0**127 if got.dtype == F32 else np.inf
    error = np.abs(got.astype(np.float64) - expected)
    allowed = rounding * np.abs(expected) + smallest
    assert ((error <= allowed) | (np.abs(expected) >= limit * (1 - 2.0**-24))).all()


@pytest.mark.thread_orders
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_like_the_oracle(device: Device, shift: bool, dtype: Any) -> None:  # noqa: FBT001
    rng = np.random.default_rng(1)
    for size in [*inputs.SMALL_SIZES, (64, 48), (3, 257)]:
        maps, flipped = both(rng, (2, 6, *size), dtype)
        got = device.get(
            ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS, shift=shift)
        )
        assert got.dtype == dtype
        assert got.shape == maps.shape
        assert_is_mean(got, reference.average_flip(maps, flipped, pairs=PAIRS, shift=shift))


@pytest.mark.parametrize("shift", [False, True])
def test_is_the_flip_test_of_hrnet(device: Device, shift: bool) -> None:  # noqa: FBT001
    """Its flip_back, its SHIFT_HEATMAP and its mean, line by line."""
    rng = np.random.default_rng(2)
    output, output_flipped = both(rng, (3, 6, 16, 12))
    back = output_flipped[:, :, :, ::-1].copy()
    for left, right in PAIRS:
        back[:, [left, right]] = back[:, [right, left]]
    if shift:
        back[:, :, :, 1:] = back.copy()[:, :, :, 0:-1]
    expected = (output + back) * F32(0.5)
    got = ops.average_flip(device.put(output), device.put(output_flipped), pairs=PAIRS, shift=shift)
    np.testing.assert_array_equal(device.get(got), expected)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_nhwc(device: Device, shift: bool, dtype: Any) -> None:  # noqa: FBT001
    rng = np.random.default_rng(3)
    maps, flipped = both(rng, (2, 6, 9, 7), dtype)
    expected = device.get(
        ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS, shift=shift)
    )
    last = [np.ascontiguousarray(one.transpose(0, 2, 3, 1)) for one in (maps, flipped)]
    got = device.get(ops.average_flip(*device.put(last), pairs=PAIRS, shift=shift, layout="nhwc"))
    assert got.shape == last[0].shape
    np.testing.assert_array_equal(got.transpose(0, 3, 1, 2), expected)


@pytest.mark.parametrize("how", inputs.LAYOUTS)
@pytest.mark.parametrize("shift", [False, True])
def test_memory_layouts(device: Device, how: str, shift: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(4)
    maps, flipped = both(rng, (2, 6, 9, 7))
    expected = device.get(
        ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS, shift=shift)
    )
    strided = [inputs.in_memory(one, how) for one in (maps, flipped)]
    got = device.get(ops.average_flip(*device.put(strided), pairs=PAIRS, shift=shift))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.thread_orders
@pytest.mark.parametrize("shift", [False, True])
def test_into_the_maps_themselves(device: Device, shift: bool) -> None:  # noqa: FBT001
    """Each sample of `maps` is read once, where it is written."""
    rng = np.random.default_rng(5)
    maps, flipped = both(rng, (2, 6, 9, 37))
    expected = device.get(
        ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS, shift=shift)
    )
    buffer = device.put(maps.copy())
    result = ops.average_flip(buffer, device.put(flipped), pairs=PAIRS, shift=shift, out=buffer)
    assert result is buffer
    np.testing.assert_array_equal(device.get(buffer), expected)
    other = device.put(np.full_like(maps, 9))
    ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS, shift=shift, out=other)
    np.testing.assert_array_equal(device.get(other), expected)


def test_a_symmetric_network_is_left_alone(device: Device) -> None:
    """Maps whose mirror image is what the network says of the mirrored picture."""
    rng = np.random.default_rng(6)
    maps = rng.normal(size=(2, 6, 9, 8)).astype(F32)
    flipped = maps[:, [0, 2, 1, 4, 3, 5], :, ::-1].copy()
    got = device.get(ops.average_flip(device.put(maps), device.put(flipped), pairs=PAIRS))
    np.testing.assert_array_equal(got, maps)


def test_invalid_samples_stay_invalid(device: Device) -> None:
    """They are for the decoder to pass over, which counts them."""
    maps, flipped = np.zeros((1, 1, 2, 4), F32), np.zeros((1, 1, 2, 4), F32)
    maps[0, 0, 0, 0], flipped[0, 0, 1, 0], flipped[0, 0, 0, 1] = np.nan, np.inf, -np.inf
    got = device.get(ops.average_flip(device.put(maps), device.put(flipped), pairs=[]))
    expected = np.zeros((2, 4), F32)
    expected[0, 0], expected[1, 3], expected[0, 2] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(got[0, 0], expected)


def test_no_maps(device: Device) -> None:
    none = device.put(np.zeros((0, 6, 9, 7), F32))
    assert device.get(ops.average_flip(none, none, pairs=PAIRS)).shape == (0, 6, 9, 7)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_share_the_work(threads: int) -> None:
    maps, flipped = both(np.random.default_rng(7), (5, 6, 33, 29))
    one = ops.average_flip(maps, flipped, pairs=PAIRS, shift=True)
    several = ops.average_flip(maps, flipped, pairs=PAIRS, shift=True, threads=threads)
    assert one.tobytes() == several.tobytes()
