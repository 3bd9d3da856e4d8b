"""`best_peaks` where its loop has seams: the ends of registers, rows and blocks of every size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32, F16 = np.float32, np.float16
SIZES = [(1, 1), (1, 7), (1, 33), (1, 129), (1, 512), (3, 43), (7, 37), (33, 31)]


def noise(count: int, height: int, width: int, dtype: Any) -> Any:
    """[1, count, H, W] in 0.1 to 0.9, in steps that float16 has."""
    random = np.random.default_rng([count, height, width])
    return (random.integers(103, 921, (1, count, height, width)) / 1024).astype(dtype)


def padded(maps: Any) -> Any:
    """The same maps, as part of wider ones that are higher everywhere else."""
    n, k, height, width = maps.shape
    around = np.full((n, k, height + 2, width + 5), 7, maps.dtype)
    around[:, :, 1:-1, 2:-3] = maps
    return around[:, :, 1:-1, 2:-3]


def places_of(result: Any, width: int) -> Any:
    """Raster index per map."""
    xy = np.asarray(result.xy)[0].astype(int)
    return xy[:, 1] * width + xy[:, 0]


@pytest.mark.parametrize("dtype", [F32, F16])
@pytest.mark.parametrize("lay_out", [np.ascontiguousarray, padded])
@pytest.mark.parametrize("size", SIZES)
def test_every_place_is_found(size: tuple[int, int], lay_out: Any, dtype: Any) -> None:
    height, width = size
    count = height * width
    maps = noise(count, height, width, dtype)
    flat = maps.reshape(count, count)
    for place in range(count):
        flat[place, [place, (place + count) // 2, count - 1]] = 1  # and equal ones further on
    result = ops.best_peaks(lay_out(maps), refine="none")
    np.testing.assert_array_equal(places_of(result, width), np.arange(count))
    np.testing.assert_array_equal(result.score, np.ones((1, count), F32))
    assert not result.nonfinite.any()


@pytest.mark.parametrize("dtype", [F32, F16])
@pytest.mark.parametrize("lay_out", [np.ascontiguousarray, padded])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_every_invalid_sample_is_passed_over(value: float, lay_out: Any, dtype: Any) -> None:
    height, width = 5, 59
    count = height * width
    maps = noise(count, height, width, dtype)
    flat = maps.reshape(count, count)
    np.fill_diagonal(flat, value)
    expected = np.nanargmax(np.where(np.isfinite(flat), flat, np.nan), axis=1)
    result = ops.best_peaks(lay_out(maps), refine="none")
    np.testing.assert_array_equal(places_of(result, width), expected)
    np.testing.assert_array_equal(result.nonfinite, np.ones((1, count)))


@pytest.mark.parametrize("value", [-0.5, 0.0])
def test_nothing_positive(value: float) -> None:
    maps = np.full((1, 1, 9, 57), -1, F32)
    maps[0, 0, 6, 41] = value
    result = ops.best_peaks(maps, refine="none", threshold=-2.0)
    np.testing.assert_array_equal(result.xy[0, 0], [41, 6])


@pytest.mark.parametrize(("height", "width"), [(1601, 1500), (20_001, 5), (3, 20_001)])
@pytest.mark.parametrize("dtype", [F32, F16])
def test_more_rows_than_usual(height: int, width: int, dtype: Any) -> None:
    maps = np.zeros((1, 3, height, width + 1), dtype)
    spots = [(0, 0), (height // 2, width // 3), (height - 1, width - 1)]
    for joint, (y, x) in enumerate(spots):
        maps[0, joint, y, x] = 1
    for view in (maps, maps[..., :width]):
        result = ops.best_peaks(view, refine="none")
        np.testing.assert_array_equal(result.xy[0], [(x, y) for y, x in spots])


def test_many_joints_are_as_one(device: Device) -> None:
    random = np.random.default_rng(5)
    shape = (3, 37, 96)
    x, y = (
        random.normal(0.2, 0.1, shape)
        + np.exp(-((np.arange(96) - random.uniform(0, 95, (3, 37, 1))) ** 2) / 50)
        for _ in range(2)
    )
    x, y = x.astype(F32), y.astype(F32)
    together = device.get(ops.decode_simcc(device.put(x), device.put(y)))
    for n, k in [(0, 0), (0, 15), (0, 16), (1, 11), (2, 36)]:
        one = np.s_[n : n + 1, k : k + 1]
        alone = device.get(ops.decode_simcc(device.put(x[one].copy()), device.put(y[one].copy())))
        assert alone.xy.tobytes() == together.xy[one].tobytes()
        assert alone.score.tobytes() == together.score[one].tobytes()
