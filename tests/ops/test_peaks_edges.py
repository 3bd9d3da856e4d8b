"""`best_peaks` and `find_peaks` at their edges: capacity, ties, plateaus, borders, nothing, NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs
from reference import peaks as reference
from reference.compare import peak_differences
from reference.inputs import LOCAL_REFINES, REFINES, gaussian_at

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32


def one_map(values: Any, dtype: Any = F32) -> Any:
    """[H, W] -> [1, 1, H, W]."""
    return np.asarray(values, dtype)[None, None]


# ---- capacity, ties, plateaus --------------------------------------------------------------------


@pytest.mark.thread_orders
def test_overflow_keeps_the_best_at_the_bottom(device: Device) -> None:
    """A11: 200 weak peaks above, 3 strong ones below."""
    maps = np.zeros((1, 1, 64, 64), F32)
    weak = [(y, x) for y in range(0, 40, 2) for x in range(0, 20, 2)]
    for number, (y, x) in enumerate(weak):
        maps[0, 0, y, x] = 0.2 + 1e-4 * number
    maps[0, 0, 60, 10], maps[0, 0, 62, 30], maps[0, 0, 63, 63] = 0.9, 0.8, 0.7
    got = device.get(ops.find_peaks(device.put(maps), capacity=3, refine="none"))
    assert got.total[0, 0] == len(weak) + 3 == 203
    assert got.count[0, 0] == 3
    assert got.xy[0, 0].tolist() == [[10, 60], [30, 62], [63, 63]]
    got = device.get(ops.find_peaks(device.put(maps), capacity=10, refine="none"))
    last_weak = [[float(x), float(y)] for y, x in weak[::-1][:7]]
    assert got.xy[0, 0, 3:].tolist() == last_weak


@pytest.mark.thread_orders
def test_grid_of_equal_peaks(device: Device) -> None:
    """A9: 1,369 peaks of one height: those that come first in the map, in its order."""
    maps = np.zeros((1, 1, 256, 256), F32)
    maps[0, 0, ::7, ::7] = 1.0
    got = device.get(ops.find_peaks(device.put(maps), capacity=100, refine="none"))
    assert got.total[0, 0] == 37 * 37 == 1369
    assert got.count[0, 0] == 100
    expected = [[x, y] for y in range(0, 256, 7) for x in range(0, 256, 7)][:100]
    assert got.xy[0, 0].tolist() == expected


@pytest.mark.thread_orders
def test_ten_thousand_peaks(device: Device) -> None:
    """A10: every other cell of every other row, all of different heights."""
    rng = np.random.default_rng(19)
    heights = rng.permutation(10_000).reshape(100, 100).astype(F32) + 1
    maps = np.zeros((1, 1, 200, 200), F32)
    maps[0, 0, ::2, ::2] = heights
    for capacity in (1, 32, 1000):
        got = device.get(ops.find_peaks(device.put(maps), capacity=capacity, refine="none"))
        assert got.total[0, 0] == 10_000
        assert got.score[0, 0].tolist() == list(range(10_000, 10_000 - capacity, -1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 8), (128, 128)])
@pytest.mark.parametrize("refine", LOCAL_REFINES)
def test_constant_map_is_one_peak(device: Device, shape: Any, refine: Any) -> None:
    """A8: a plateau as large as the map counts once, at its first pixel."""
    maps = np.ones((1, 2, *shape), F32)
    offsets = device.put(np.zeros((1, 2, 2, *shape), F32) if refine == "offset" else None)
    got = device.get(ops.find_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.count.tolist() == got.total.tolist() == [[1, 1]]
    assert (got.score[..., 0] == 1).all()
    assert (np.abs(got.xy[..., 0, :]) <= 3).all()
    best = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert best.count.tolist() == [[1, 1]]
    np.testing.assert_array_equal(best.xy, got.xy[:, :, 0])
    if refine == "none":
        assert (best.xy == 0).all()


@pytest.mark.thread_orders
@pytest.mark.parametrize("name", list(inputs.SHAPES))
def test_plateaus_of_odd_shapes(device: Device, name: str) -> None:
    """One peak, at the first pixel in raster order, however the shape bends and turns."""
    for quarter in range(4):
        mask = np.rot90(inputs.shape_mask(name), quarter)
        height, width = mask.shape
        for border in (0, 1, 2):
            maps = np.zeros((1, 1, height + 2 * border, width + 2 * border), F32)
            maps[0, 0][np.pad(mask, border)] = 0.5
            first = np.argwhere(maps[0, 0] == 0.5)[0][::-1].tolist()
            got = device.get(ops.find_peaks(device.put(maps), refine="none"))
            assert got.total[0, 0] == 1
            assert got.xy[0, 0, 0].tolist() == first
            # A higher sample next to its last pixel, and it is a slope.
            last = np.argwhere(maps[0, 0] == 0.5)[-1]
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0), (1, 1)):
                y, x = last[0] + dy, last[1] + dx
                inside = 0 <= y < maps.shape[2] and 0 <= x < maps.shape[3]
                if inside and maps[0, 0, y, x] == 0:
                    beaten = maps.copy()
                    beaten[0, 0, y, x] = 0.75
                    got = device.get(ops.find_peaks(device.put(beaten), refine="none"))
                    assert got.total[0, 0] == 1
                    assert got.xy[0, 0, 0].tolist() == [x, y]


def test_a_long_spiral(device: Device) -> None:
    """A plateau whose ends are 500 steps apart, and know of each other only through all of them."""
    size = 33
    spiral = np.zeros((size, size), bool)
    y, x, dy, dx = 0, 0, 0, 1
    spiral[0, 0] = True
    while True:
        ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
        blocked = not (0 <= ahead[0] < size and 0 <= ahead[1] < size)
        beyond_inside = 0 <= beyond[0] < size and 0 <= beyond[1] < size
        if blocked or (beyond_inside and spiral[beyond]):
            dy, dx = dx, -dy
            ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
            if spiral[beyond]:
                break
        y, x = ahead
        spiral[y, x] = True
    assert spiral.sum() > 500
    maps = one_map(np.where(spiral, 0.5, 0.0))
    got = device.get(ops.find_peaks(device.put(maps), refine="none"))
    assert (got.total[0, 0], got.xy[0, 0, 0].tolist()) == (1, [0.0, 0.0])
    # The same, entered from the other end: the first pixel is beaten 500 steps away.
    inner = maps.copy()
    free = next((y + v, x + u) for v in (-1, 0, 1) for u in (-1, 0, 1) if not spiral[y + v, x + u])
    inner[0, 0][free] = 0.75
    got = device.get(ops.find_peaks(device.put(inner), refine="none"))
    assert got.total[0, 0] == 1
    assert got.xy[0, 0, 0].tolist() == [free[1], free[0]]


def test_ties_go_to_the_first(device: Device) -> None:
    maps = np.zeros((1, 1, 9, 9), F32)
    places = [(7, 1), (1, 7), (1, 2), (4, 4)]
    for y, x in places:
        maps[0, 0, y, x] = 0.5
    got = device.get(ops.find_peaks(device.put(maps), refine="none"))
    assert got.xy[0, 0, :4].tolist() == [[2, 1], [7, 1], [4, 4], [1, 7]]
    assert device.get(ops.best_peaks(device.put(maps), refine="none")).xy[0, 0].tolist() == [2, 1]
    # -0.0 and 0.0 are equal, so that the first of them is the best.
    zeros = one_map([[-1.0, -0.0], [0.0, -0.0]])
    got = device.get(ops.best_peaks(device.put(zeros), refine="none", threshold=-0.5))
    assert got.xy[0, 0].tolist() == [1, 0]


def test_two_equal_neighbours(device: Device) -> None:
    """A15: a block of 2x2 equal samples is one peak, its place in the middle of the first row."""
    maps = np.zeros((1, 1, 8, 8), F32)
    maps[0, 0, 3:5, 4:6] = 1.0
    maps[0, 0, 2:6, 3] = maps[0, 0, 2:6, 6] = maps[0, 0, 2, 3:7] = maps[0, 0, 5, 3:7] = 0.5
    got = device.get(ops.find_peaks(device.put(maps)))
    assert got.total[0, 0] == 1
    np.testing.assert_allclose(got.xy[0, 0, 0], [4.5, 3.5], atol=1e-6)


@pytest.mark.parametrize("refine", REFINES)
def test_border_and_corners(device: Device, refine: Any) -> None:
    """A14: a peak on each border cell; its place stays on the map."""
    height, width = 9, 11
    border = [
        (y, x)
        for y in range(height)
        for x in range(width)
        if y in (0, height - 1) or x in (0, width - 1)
    ]
    maps = gaussian_at([[(x, y) for y, x in border]], height, width, sigma=1.5)
    offsets = device.put(
        np.zeros((1, len(border), 2, height, width), F32) if refine == "offset" else None
    )
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.count.all()
    # Rules with a half pixel show the cell's middle, and binary quarters may point outwards; where
    # UDP's blur reflects, the place is the map's edge.
    outside = 0.501 if refine == "udp_dark" else 0.25
    assert (got.xy >= -outside).all()
    assert (got.xy <= np.array([width - 1, height - 1]) + 0.5 + outside).all()
    cells = np.array([(x, y) for y, x in border])
    assert np.abs(got.xy[0] - cells).max() <= 2


# ---- nothing there -------------------------------------------------------------------------------


@pytest.mark.parametrize("refine", REFINES)
def test_nothing_above_the_threshold(device: Device, refine: Any) -> None:
    """A7, A16: zeros everywhere but for the score of the best."""
    offsets = device.put(np.ones((1, 3, 2, 6, 5), F32) if refine == "offset" else None)
    for level, score in ((0.0, 0.0), (-1.0, -1.0), (-3e38, F32(-3e38))):
        maps = device.put(np.full((1, 3, 6, 5), level, F32))
        best = device.get(ops.best_peaks(maps, refine=refine, offsets=offsets))
        assert not best.count.any()
        assert not best.xy.any()
        assert (best.score == score).all()
        if refine != "second_peak":
            found = device.get(ops.find_peaks(maps, refine=refine, offsets=offsets))
            assert not found.count.any()
            assert not found.total.any()
            assert not found.xy.any()
            assert not found.score.any()


def test_threshold_is_exclusive(device: Device) -> None:
    maps = device.put(one_map([[0.25, 0.0], [0.0, 0.0]]))
    below = float(np.nextafter(F32(0.25), F32(0)))
    for call in (ops.best_peaks, ops.find_peaks):
        assert device.get(call(maps, refine="none", threshold=0.25)).count[0, 0] == 0
        assert device.get(call(maps, refine="none", threshold=below)).count[0, 0] == 1


def test_entries_past_count_are_zero(device: Device) -> None:
    maps = inputs.crowd(np.random.default_rng(20), 2, 5, 30, 30)
    got = device.get(ops.find_peaks(device.put(maps), capacity=50))
    for index in np.ndindex(2, 5):
        count = got.count[index]
        assert 0 < count < 50
        assert not got.xy[index][count:].any()
        assert not got.score[index][count:].any()
        assert (np.diff(got.score[index][:count]) <= 0).all()


def test_no_maps(device: Device) -> None:
    maps = device.put(np.zeros((0, 17, 8, 6), F32))
    best = device.get(ops.best_peaks(maps))
    assert best.xy.shape == (0, 17, 2)
    found = device.get(ops.find_peaks(maps, capacity=5))
    assert found.xy.shape == (0, 17, 5, 2)
    assert found.total.shape == (0, 17)


# ---- NaN and infinities --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_all_invalid(device: Device, value: float, refine: Any) -> None:
    """A4, A5: nobody is there, and the count of what was passed over says why."""
    maps = device.put(np.full((2, 3, 7, 6), value, F32))
    offsets = device.put(np.ones((2, 3, 2, 7, 6), F32) if refine == "offset" else None)
    best = device.get(ops.best_peaks(maps, refine=refine, offsets=offsets))
    assert not best.count.any()
    assert not best.xy.any()
    assert not best.score.any()
    assert (best.nonfinite == 42).all()
    if refine != "second_peak":
        found = device.get(ops.find_peaks(maps, refine=refine, offsets=offsets))
        assert not found.total.any()
        assert (found.nonfinite == 42).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_one_invalid_sample_far_away(device: Device, value: float, refine: Any) -> None:
    """All other answers are the clean map's, to the bit."""
    maps = gaussian_at([[[30.3, 40.6]]]) + F32(0.01)
    offsets = device.put(np.ones((1, 1, 2, 64, 48), F32) if refine == "offset" else None)
    clean = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    maps[0, 0, 3, 4] = value
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.xy.tobytes() == clean.xy.tobytes()
    assert got.score.tobytes() == clean.score.tobytes()
    assert (got.nonfinite[0, 0], clean.nonfinite[0, 0]) == (1, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_invalid_neighbours(device: Device, value: float, refine: Any) -> None:
    """Every place around the peak in turn: the result is finite and near the peak."""
    peak = np.array([10.0, 9.0])
    clean = gaussian_at([10.2, 9.1], 20, 22)
    around = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if dy or dx]
    maps = np.stack([clean] * len(around))[None]
    for number, (dy, dx) in enumerate(around):
        maps[0, number, 9 + dy, 10 + dx] = value
    offsets = np.zeros((1, len(around), 2, 20, 22), F32) if refine == "offset" else None
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=device.put(offsets)))
    assert got.count.all()
    assert (got.nonfinite == 1).all()
    assert np.isfinite(got.score).all()
    assert np.abs(got.xy - peak).max() <= 1.5
    expected = reference.best_peaks(maps, refine=refine, offsets=offsets)
    assert not peak_differences(got, expected)


def test_invalid_offsets_count_as_zero(device: Device) -> None:
    maps = gaussian_at([[[10, 9]]], 20, 22)
    for value in (np.nan, np.inf, -np.inf):
        offsets = np.zeros((1, 1, 2, 20, 22), F32)
        offsets[0, 0, :, 9, 10] = [value, 0.5]
        got = device.get(
            ops.best_peaks(
                device.put(maps), refine="offset", offsets=device.put(offsets), offset_scale=1.0
            )
        )
        assert got.xy[0, 0].tolist() == [10.5, 10.0]


def test_invalid_samples_may_be_an_error() -> None:
    maps = np.zeros((1, 2, 4, 4), F32)
    maps[0, 1, 2, 2] = 1.0
    ops.best_peaks(maps, nonfinite="raise")
    maps[0, 0, 0, 0] = np.nan
    for call in (ops.best_peaks, ops.find_peaks):
        with pytest.raises(ValueError, match="maps: expected finite samples, got 1"):
            call(maps, nonfinite="raise")


@pytest.mark.parametrize("refine", ["dark", "udp_dark"])
def test_no_curvature_no_step(device: Device, refine: Any) -> None:
    """A24: on ridges and flats the Hessian is singular; the quarter rule, or nothing, is left."""
    ridge = np.zeros((1, 1, 16, 16), F32)
    ridge[0, 0, 8, :] = 1.0
    flat = np.ones((1, 1, 16, 16), F32)
    lone = np.zeros((1, 1, 16, 16), F32)
    lone[0, 0, 8, 8] = 1e-30  # the blurred map is below both limits: flat after clipping
    for maps in (ridge, flat, lone):
        got = device.get(ops.best_peaks(device.put(maps), refine=refine))
        assert np.isfinite(got.xy).all()
        y, x = np.unravel_index(maps.argmax(), (16, 16))
        assert np.abs(got.xy[0, 0] - [x, y]).max() <= 0.25


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-3, 1e3, 1e30])
@pytest.mark.parametrize("refine", ["none", "quarter", "centroid7", "centroid5", "log_parabola"])
def test_scale_does_not_matter(device: Device, scale: float, refine: Any) -> None:
    """A6: the same places for a map times anything, from denormals to the largest numbers."""
    maps = gaussian_at([[[10.3, 8.8], [20.0, 3.0]]], 16, 26) + F32(0.1)
    expected = device.get(ops.best_peaks(device.put(maps), refine=refine))
    got = device.get(ops.best_peaks(device.put((maps * scale).astype(F32)), refine=refine))
    assert (got.count == 1).all()
    # 1e-40 has 16 bits left: weights are off by 2^-17, logarithms by as much, and the curvature of
    # this peak is 0.2. Elsewhere all is as exact as at scale 1.
    assert np.abs(got.xy - expected.xy).max() <= (1e-3 if scale == 1e-40 else 1e-5)
